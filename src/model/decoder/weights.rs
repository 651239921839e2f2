//! Hands out a checkpoint's tensors under their Hugging Face names, from safetensors or GGUF.
//!
//! Every tensor must be asked for once and have the expected shape; what is missing or left over is an error that lists
//! the names, since a model that runs without a part of itself is silently wrong.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use candle_core::safetensors::MmapedSafetensors;
use candle_core::{DType, Device};

use crate::model::gguf::Gguf;

pub struct Weights {
    source: Source,
    left: BTreeSet<String>,
    file: String,
    /// Heads of q and k, whose rows a GGUF file stores in llama.cpp's order.
    heads: (usize, usize),
}

enum Source {
    Safetensors(MmapedSafetensors),
    Gguf(Box<Gguf>),
}

impl Weights {
    #[allow(unsafe_code)]
    pub fn safetensors(files: &[PathBuf]) -> Result<Self> {
        let file = files.first().map(|f| f.display().to_string()).unwrap_or_default();
        // SAFETY: the files are read-only input; like every memory-mapped reader this assumes that nobody truncates them
        // while they are being loaded.
        let tensors = unsafe { MmapedSafetensors::multi(files) }.map_err(|error| {
            anyhow::anyhow!("{file}: cannot be read as safetensors ({error}); fetch the model again")
        })?;
        let left = tensors.tensors().into_iter().map(|(name, _)| name).filter(|name| !is_derived(name)).collect();
        Ok(Self { source: Source::Safetensors(tensors), left, file, heads: (0, 0) })
    }

    pub fn gguf(gguf: Gguf, heads: usize, kv_heads: usize) -> Self {
        let left = gguf.tensor_names().map(str::to_owned).collect();
        let file = gguf.metadata().file().to_owned();
        Self { source: Source::Gguf(Box::new(gguf)), left, file, heads: (heads, kv_heads) }
    }

    /// The values of `name` in f32, row-major.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let stored = match &self.source {
            Source::Safetensors(_) => name.to_owned(),
            Source::Gguf(_) => gguf_name(name)?,
        };
        if !self.left.remove(&stored) {
            bail!("{}: tensor {stored} is missing; the file is incomplete or of another architecture", self.file);
        }
        let (values, found) = match &mut self.source {
            Source::Safetensors(tensors) => {
                let tensor = tensors
                    .load(&stored, &Device::Cpu)
                    .and_then(|t| t.to_dtype(DType::F32))
                    .with_context(|| format!("{}: tensor {stored} cannot be read", self.file))?;
                let found = tensor.dims().to_vec();
                (tensor.flatten_all()?.to_vec1()?, found)
            }
            Source::Gguf(gguf) => gguf.tensor(&stored)?,
        };
        ensure!(
            found == shape,
            "{}: tensor {stored} has the shape {found:?}, but the model's configuration asks for {shape:?}",
            self.file
        );
        if let Some(at) = values.iter().position(|v: &f32| !v.is_finite()) {
            bail!("{}: tensor {stored} holds {} at element {at}; the file is damaged", self.file, values[at]);
        }
        match &self.source {
            Source::Gguf(_) if name.ends_with("q_proj.weight") => Ok(unpermute(&values, self.heads.0, shape)),
            Source::Gguf(_) if name.ends_with("k_proj.weight") => Ok(unpermute(&values, self.heads.1, shape)),
            _ => Ok(values),
        }
    }

    /// GGUF's divisors of the rotary frequencies.
    pub fn rope_factors(&mut self, half: usize) -> Result<Vec<f32>> {
        self.take("rope_freqs.weight", &[half])
    }

    /// Errs with the names of tensors that nobody asked for.
    pub fn finish(self) -> Result<()> {
        let names: Vec<&str> = self.left.iter().map(String::as_str).collect();
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
}

/// Buffers that old checkpoints store although they follow from the configuration.
fn is_derived(name: &str) -> bool {
    name.ends_with(".rotary_emb.inv_freq")
}

/// llama.cpp's name for a tensor of a Llama checkpoint.
fn gguf_name(name: &str) -> Result<String> {
    Ok(match name {
        "rope_freqs.weight" => name.to_owned(),
        "model.embed_tokens.weight" => "token_embd.weight".into(),
        "model.norm.weight" => "output_norm.weight".into(),
        "lm_head.weight" => "output.weight".into(),
        _ => {
            let rest = name.strip_prefix("model.layers.").with_context(|| format!("no GGUF name for {name}"))?;
            let (layer, part) = rest.split_once('.').with_context(|| format!("no GGUF name for {name}"))?;
            let (module, kind) = part.rsplit_once('.').with_context(|| format!("no GGUF name for {name}"))?;
            let module = match module {
                "input_layernorm" => "attn_norm",
                "post_attention_layernorm" => "ffn_norm",
                "self_attn.q_proj" => "attn_q",
                "self_attn.k_proj" => "attn_k",
                "self_attn.v_proj" => "attn_v",
                "self_attn.o_proj" => "attn_output",
                "mlp.gate_proj" => "ffn_gate",
                "mlp.up_proj" => "ffn_up",
                "mlp.down_proj" => "ffn_down",
                _ => bail!("no GGUF name for {name}"),
            };
            format!("blk.{layer}.{module}.{kind}")
        }
    })
}

/// Undoes llama.cpp's order of q and k rows: there, dimensions i and i + d/2 of a head lie side by side.
fn unpermute(values: &[f32], heads: usize, shape: &[usize]) -> Vec<f32> {
    let (rows, inp) = (shape[0], shape[1]);
    let head_dim = rows / heads;
    let mut out = vec![0.0; values.len()];
    for row in 0..rows {
        let (head, within) = (row / head_dim, row % head_dim);
        let (half, i) = (within / (head_dim / 2), within % (head_dim / 2));
        let stored = head * head_dim + i * 2 + half;
        out[row * inp..][..inp].copy_from_slice(&values[stored * inp..][..inp]);
    }
    out
}
