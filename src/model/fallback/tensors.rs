//! Hands a checkpoint's tensors to candle-transformers' models, and notes which of them nobody asked for.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, anyhow, ensure};
use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;

/// The output matrix of every family that has one of its own.
const OUTPUT: &str = "lm_head.weight";
/// The embedding, in the families' words.
const EMBEDDINGS: [&str; 3] =
    ["model.embed_tokens.weight", "transformer.word_embeddings.weight", "transformer.wte.weight"];

/// All tensors in f32. Clones share them.
#[derive(Clone)]
pub struct Tensors {
    tensors: Arc<HashMap<String, Tensor>>,
    left: Arc<Mutex<BTreeSet<String>>>,
    file: String,
}

impl Tensors {
    /// Reads everything. Where embeddings are `tied`, the embedding is the output matrix, whatever else is stored under
    /// that name (so does transformers).
    #[allow(unsafe_code)]
    pub fn load(files: &[PathBuf], tied: bool) -> Result<Self> {
        let file = files.first().map(|file| file.display().to_string()).unwrap_or_default();
        // SAFETY: the files are read-only input; like every memory-mapped reader this assumes that nobody truncates them
        // while they are being loaded.
        let stored = unsafe { MmapedSafetensors::multi(files) }
            .map_err(|error| anyhow!("{file}: cannot be read as safetensors ({error}); fetch the model again"))?;
        let mut tensors = HashMap::new();
        for (name, _) in stored.tensors() {
            if is_derived(&name) || (tied && name == OUTPUT) {
                continue;
            }
            let tensor = stored
                .load(&name, &Device::Cpu)
                .and_then(|tensor| tensor.to_dtype(DType::F32))
                .with_context(|| format!("{file}: tensor {name} cannot be read"))?;
            let sum = tensor.abs()?.sum_all()?.to_scalar::<f32>()?;
            ensure!(sum.is_finite(), "{file}: tensor {name} holds values that are not finite; the file is damaged");
            tensors.insert(name, tensor);
        }
        let left = tensors.keys().cloned().collect();
        if tied && let Some(embedding) = EMBEDDINGS.iter().find_map(|name| tensors.get(*name)).cloned() {
            tensors.insert(OUTPUT.to_owned(), embedding);
        }
        Ok(Self { tensors: Arc::new(tensors), left: Arc::new(Mutex::new(left)), file })
    }

    /// Errs with the names of tensors that nobody asked for: a model without a part of itself is silently wrong.
    pub fn finish(&self) -> Result<()> {
        let left = self.left.lock().expect("no reader panics");
        let names: Vec<&str> = left.iter().map(String::as_str).collect();
        ensure!(
            names.is_empty(),
            "{}: {} tensors of the file are not part of the architecture that its configuration names: {}{}",
            self.file,
            names.len(),
            names[..names.len().min(8)].join(", "),
            if names.len() > 8 { ", …" } else { "" }
        );
        Ok(())
    }

    /// Values in all tensors; a tied output matrix is its embedding.
    pub fn elements(&self) -> usize {
        let tied = EMBEDDINGS.iter().find_map(|name| self.tensors.get(*name)).map(Tensor::id);
        self.tensors
            .iter()
            .filter(|(name, tensor)| *name != OUTPUT || Some(tensor.id()) != tied)
            .map(|(_, tensor)| tensor.elem_count())
            .sum()
    }
}

impl SimpleBackend for Tensors {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: candle_nn::Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let tensor = self.get_unchecked(name, dtype, device)?;
        if tensor.shape() != &shape {
            candle_core::bail!(
                "{}: tensor {name} has the shape {:?}, but the model's configuration asks for {:?}",
                self.file,
                tensor.dims(),
                shape.dims()
            );
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let Some(tensor) = self.tensors.get(name) else {
            candle_core::bail!(
                "{}: tensor {name} is missing; the file is incomplete or of another architecture",
                self.file
            )
        };
        self.left.lock().expect("no reader panics").remove(name);
        tensor.to_device(device)?.to_dtype(dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}

/// Buffers that checkpoints store although they follow from the configuration.
fn is_derived(name: &str) -> bool {
    name.ends_with(".rotary_emb.inv_freq") || name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias")
}
