//! Turns texts into sentence vectors: tokens, a BERT encoder, mean pooling, length 1.
//!
//! Reads the layout of Sentence Transformers. A text's vector is the same, bit for bit, whatever is encoded beside it.

pub mod bert;
mod softmax;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use tokenizers::{Tokenizer, TruncationParams};

use crate::model::files::ModelFiles;
use bert::{Bert, BertConfig};

/// Tokens that go through the encoder together: enough to keep the matrix kernel busy, few enough for its cache.
const BATCH_TOKENS: usize = 1024;

/// A sentence encoder, ready to use from several threads.
pub struct TextEncoder {
    tokenizer: Tokenizer,
    bert: Bert,
    max_tokens: usize,
    digest: String,
}

/// Sentence vectors of some texts, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// Length of a vector.
    pub dim: usize,
    /// (texts, dim), row after row; every row has length 1.
    pub rows: Vec<f32>,
    /// True where a text had more tokens than the encoder reads, and lost its end.
    pub truncated: Vec<bool>,
}

impl Encoded {
    pub fn len(&self) -> usize {
        self.truncated.len()
    }

    pub fn is_empty(&self) -> bool {
        self.truncated.is_empty()
    }

    /// The vector of text `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.rows[i * self.dim..][..self.dim]
    }
}

impl TextEncoder {
    /// Loads an encoder from its config.json, tokenizer.json and safetensors, with mean pooling and length 1.
    ///
    /// `max_tokens` counts the special tokens; it stands in sentence_bert_config.json as `max_seq_length`. Padding and
    /// truncation that tokenizer.json carries are switched off: they belong to whoever published the file.
    ///
    /// # Errors
    /// Unreadable files, another architecture than BERT, or fewer positions than `max_tokens`.
    pub fn load(config: &Path, tokenizer: &Path, weights: &Path, max_tokens: usize) -> Result<Self> {
        let settings = BertConfig::read(config)?;
        ensure!(
            (3..=settings.positions).contains(&max_tokens),
            "{}: the encoder has {} positions, so it cannot read {max_tokens} tokens a text; give 3 to {}",
            config.display(),
            settings.positions,
            settings.positions
        );
        let mut words = Tokenizer::from_file(tokenizer)
            .map_err(|e| anyhow!("cannot read {} as a tokenizer: {e}", tokenizer.display()))?;
        words.with_padding(None);
        let truncation = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
        words
            .with_truncation(Some(truncation))
            .map_err(|e| anyhow!("{}: cannot cut texts at {max_tokens} tokens: {e}", tokenizer.display()))?;

        let mut hash = Sha256::new();
        hash.update(format!("sentence-encoder 1\n{settings:?}\nmax_tokens {max_tokens}\nmean, length 1\n"));
        hash.update(file_digest(tokenizer)?);
        hash.update(file_digest(weights)?);
        let digest = hex(&hash.finalize());

        let bert = Bert::load(settings, weights)?;
        let size = words.get_vocab_size(true);
        ensure!(
            size <= bert.vocabulary(),
            "{} has {size} tokens, but {} has embeddings for {}; the two do not belong together",
            tokenizer.display(),
            weights.display(),
            bert.vocabulary()
        );
        Ok(Self { tokenizer: words, bert, max_tokens, digest })
    }

    /// Loads an encoder from resolved files in the layout of Sentence Transformers: config.json, tokenizer.json, one
    /// safetensors file, sentence_bert_config.json, and modules.json with 1_Pooling/config.json where they exist.
    ///
    /// # Errors
    /// As [`TextEncoder::load`]; a missing file, or anything but mean pooling and length 1.
    pub fn from_files(files: &ModelFiles) -> Result<Self> {
        let ModelFiles::Folder { label, config, tokenizer, weights, extra, .. } = files else {
            bail!("{} is a GGUF file; a sentence encoder is a folder with safetensors", files.label());
        };
        let Some(tokenizer) = tokenizer else { bail!("{label}: tokenizer.json is missing") };
        let [weights] = weights.as_slice() else {
            bail!("{label}: a sentence encoder has one weights file, but here are {}", weights.len());
        };
        Self::from_layout(config, tokenizer, weights, &|name| extra.get(name).cloned())
    }

    /// As [`TextEncoder::from_files`], from a folder with the usual names.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let path = |name: &str| folder.join(name);
        let find = |name: &str| Some(path(name)).filter(|path| path.exists());
        Self::from_layout(&path("config.json"), &path("tokenizer.json"), &path("model.safetensors"), &find)
    }

    fn from_layout(
        config: &Path,
        tokenizer: &Path,
        weights: &Path,
        find: &dyn Fn(&str) -> Option<PathBuf>,
    ) -> Result<Self> {
        if let Some(at) = find("modules.json") {
            let modules = read_json(&at)?;
            let kinds: Vec<&str> = modules
                .as_array()
                .map(|list| list.iter().filter_map(|m| m["type"].as_str()?.rsplit('.').next()).collect())
                .unwrap_or_default();
            ensure!(
                kinds == ["Transformer", "Pooling", "Normalize"],
                "{}: the modules are {kinds:?}, but only Transformer, Pooling, Normalize are computed",
                at.display()
            );
        }
        if let Some(at) = find("1_Pooling/config.json") {
            let pooling = read_json(&at)?;
            let modes: Vec<&str> = pooling
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(key, value)| key.starts_with("pooling_mode_") && value.as_bool() == Some(true))
                .map(|(key, _)| key.as_str())
                .collect();
            ensure!(
                modes == ["pooling_mode_mean_tokens"],
                "{}: the pooling is {modes:?}, but only pooling_mode_mean_tokens is computed",
                at.display()
            );
        }
        let Some(at) = find("sentence_bert_config.json") else {
            bail!(
                "{}: sentence_bert_config.json is missing beside it; its max_seq_length says how many tokens are read",
                config.display()
            );
        };
        let Some(max_tokens) = read_json(&at)?["max_seq_length"].as_u64() else {
            bail!("{}: max_seq_length is missing; it says how many tokens of a text are read", at.display());
        };
        Self::load(config, tokenizer, weights, max_tokens as usize)
    }

    /// Length of a sentence vector.
    pub fn dim(&self) -> usize {
        self.bert.config().hidden
    }

    /// SHA-256 (hex) over weights, tokenizer and every setting that can change a vector.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Tokens of a text that are read, special tokens included.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Token ids as the encoder reads them, special tokens included, and whether the text was cut.
    pub fn tokens(&self, text: &str) -> Result<(Vec<u32>, bool)> {
        let encoding = self.tokenizer.encode_fast(text, true).map_err(|e| anyhow!("cannot tokenize a text: {e}"))?;
        Ok((encoding.get_ids().to_vec(), !encoding.get_overflowing().is_empty()))
    }

    /// Encodes texts; an empty text gets the vector of its special tokens alone.
    ///
    /// # Errors
    /// A text that the tokenizer refuses.
    pub fn encode(&self, texts: &[&str]) -> Result<Encoded> {
        let tokens: Vec<(Vec<u32>, bool)> = texts.par_iter().map(|text| self.tokens(text)).collect::<Result<_>>()?;
        let mut rows = Vec::with_capacity(texts.len() * self.dim());
        let mut start = 0;
        while start < tokens.len() {
            let mut end = start;
            let mut size = 0;
            while end < tokens.len() && (end == start || size + tokens[end].0.len() <= BATCH_TOKENS) {
                size += tokens[end].0.len();
                end += 1;
            }
            let batch: Vec<&[u32]> = tokens[start..end].iter().map(|(ids, _)| ids.as_slice()).collect();
            let states = self.bert.forward(&batch);
            let mut at = 0;
            for ids in batch {
                rows.extend(pool(&states[at..at + ids.len() * self.dim()], self.dim()));
                at += ids.len() * self.dim();
            }
            start = end;
        }
        Ok(Encoded { dim: self.dim(), rows, truncated: tokens.into_iter().map(|(_, cut)| cut).collect() })
    }
}

/// Mean over tokens, divided by its length; sums in f64, in the order of the tokens.
fn pool(states: &[f32], dim: usize) -> Vec<f32> {
    let mut mean = vec![0.0_f64; dim];
    for row in states.chunks_exact(dim) {
        for (sum, &value) in mean.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
    // The number of tokens cancels; 1e-12 is the floor that Sentence Transformers puts under the length.
    let length = mean.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
    mean.into_iter().map(|v| (v / length) as f32).collect()
}

fn read_json(path: &Path) -> Result<serde_json::Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

fn file_digest(path: &Path) -> Result<[u8; 32]> {
    let mut file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        let n =
            std::io::Read::read(&mut file, &mut block).with_context(|| format!("cannot read {}", path.display()))?;
        if n == 0 {
            return Ok(hash.finalize().into());
        }
        hash.update(&block[..n]);
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
