//! Takes the tensors of a checkpoint one by one, in f32, with a check of their shape.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};

/// The tensors of one or several safetensors files.
pub struct Weights {
    tensors: HashMap<String, Tensor>,
    /// Before the names of the encoder's tensors, such as `bert.`.
    prefix: String,
    /// Before those of the head, which stands beside the encoder.
    outer: String,
    file: String,
}

/// How the embeddings of the words end in every family: what stands before tells the prefix.
const WORDS: [&str; 2] = ["embeddings.word_embeddings.weight", "embeddings.tok_embeddings.weight"];

impl Weights {
    /// Reads one file, or all shards of a checkpoint.
    ///
    /// # Errors
    /// A file that is no safetensors file, or a checkpoint without embeddings of words.
    pub fn read(paths: &[PathBuf]) -> Result<Self> {
        let mut tensors = HashMap::new();
        for path in paths {
            let file = path.display();
            let more = candle_core::safetensors::load(path, &Device::Cpu)
                .with_context(|| format!("cannot read {file} as safetensors"))?;
            tensors.extend(more);
        }
        let file = paths.first().map_or_else(String::new, |path| describe(path, paths.len()));
        let prefix = tensors
            .keys()
            .filter_map(|name| WORDS.iter().find_map(|words| name.strip_suffix(words)))
            .find(|prefix| prefix.is_empty() || prefix.ends_with('.'))
            .map(str::to_owned);
        let Some(prefix) = prefix else {
            bail!(
                "{file}: there is no tensor whose name ends in {:?}, so this is no encoder that can be read here; it has {}",
                WORDS[0],
                some_of(tensors.keys().map(String::as_str).collect())
            );
        };
        let outer =
            prefix.trim_end_matches('.').rsplit_once('.').map_or(String::new(), |(outer, _)| format!("{outer}."));
        Ok(Self { tensors, prefix, outer, file })
    }

    /// For messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// A tensor of the encoder, by its name there.
    ///
    /// # Errors
    /// A missing tensor, another shape, or a number that is not finite.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.take_full(&format!("{}{name}", self.prefix), shape)
    }

    /// A tensor of the head, which stands beside the encoder.
    pub fn take_outer(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.take_full(&format!("{}{name}", self.outer), shape)
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(&format!("{}{name}", self.prefix))
    }

    /// Rows of a tensor of the encoder; none if it is not there.
    pub fn rows(&self, name: &str) -> Option<usize> {
        self.tensors.get(&format!("{}{name}", self.prefix))?.dims().first().copied()
    }

    /// Likewise of the head.
    pub fn outer_rows(&self, name: &str) -> Option<usize> {
        self.tensors.get(&format!("{}{name}", self.outer))?.dims().first().copied()
    }

    fn take_full(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        // Checkpoints converted from TensorFlow call the two vectors of a norm gamma and beta.
        let old = name.strip_suffix("Norm.weight").map(|start| format!("{start}Norm.gamma"));
        let old = old.or_else(|| name.strip_suffix("Norm.bias").map(|start| format!("{start}Norm.beta")));
        let found = self.tensors.remove(name).or_else(|| self.tensors.remove(&old?));
        let Some(tensor) = found else {
            bail!("{}: there is no tensor {name:?}; is this the checkpoint that config.json describes?", self.file);
        };
        ensure!(
            tensor.dims() == shape,
            "{}: tensor {name:?} has shape {:?}, but config.json asks for {shape:?}",
            self.file,
            tensor.dims()
        );
        let values: Vec<f32> = tensor
            .to_dtype(DType::F32)
            .and_then(|tensor| tensor.flatten_all()?.to_vec1())
            .with_context(|| format!("{}: tensor {name:?} cannot be read as f32", self.file))?;
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            bail!("{}: tensor {name:?} holds {} at element {at}; the file is damaged", self.file, values[at]);
        }
        Ok(values)
    }

    /// The names of the head's tensors that are there, for an error.
    pub fn outer_names(&self) -> String {
        let names = self.tensors.keys().map(String::as_str);
        some_of(names.filter(|name| self.prefix.is_empty() || !name.starts_with(&self.prefix)).collect())
    }
}

fn describe(first: &Path, count: usize) -> String {
    match count {
        1 => first.display().to_string(),
        _ => format!("{} and {} more", first.display(), count - 1),
    }
}

fn some_of(mut names: Vec<&str>) -> String {
    names.sort_unstable();
    match names.as_slice() {
        [] => "no others".into(),
        names if names.len() > 6 => format!("{}, …", names[..6].join(", ")),
        names => names.join(", "),
    }
}
