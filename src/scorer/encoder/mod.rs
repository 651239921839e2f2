//! Runs encoders: sentence vectors here (tokens, a BERT encoder, mean pooling, length 1), classifiers in [`sequence`].
//!
//! Reads the layout of Sentence Transformers. A text's vector is the same, bit for bit, whatever is encoded beside it.

pub mod adapting;
mod batches;
pub mod bert;
mod deberta;
mod head;
pub mod layers;
mod modernbert;
pub mod sequence;
pub mod settings;
mod vocabulary;
pub mod weights;
mod words;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::model::files::{ModelFiles, sha256};
use crate::model::precision::Precision;
use bert::{Bert, BertConfig};
use settings::{Settings, read_json};
use weights::Weights;
use words::Words;

/// A sentence encoder, ready to use from several threads.
pub struct TextEncoder {
    words: Words,
    bert: Bert,
    /// The file of the weights, from which changed layers are made.
    weights: PathBuf,
    precision: Precision,
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
    /// Unreadable files, an architecture that is none of BERT's relatives, or fewer positions than `max_tokens`.
    pub fn load(config: &Path, tokenizer: &Path, weights: &Path, max_tokens: usize, p: Precision) -> Result<Self> {
        let settings = BertConfig::read(&Settings::read(config)?)?;
        let limit = settings.max_tokens();
        ensure!(
            (3..=limit).contains(&max_tokens),
            "{}: the encoder has {limit} positions, so it cannot read {max_tokens} tokens a text; give 3 to {limit}",
            config.display(),
        );
        let mut hash = Sha256::new();
        hash.update(format!("sentence-encoder 2\n{}\nmax_tokens {max_tokens}\nmean, length 1\n", described(&settings)));
        for path in [tokenizer, weights] {
            hash.update(bytes(&sha256(path)?));
        }
        let digest = hex(&hash.finalize());

        let bert = Bert::load(settings, &mut Weights::read(&[weights.to_owned()])?, p)?;
        let words = Words::read(tokenizer, max_tokens, bert.vocabulary())?;
        ensure!(
            words.size() <= bert.vocabulary(),
            "{} has {} tokens, but {} has embeddings for {}; the two do not belong together",
            tokenizer.display(),
            words.size(),
            weights.display(),
            bert.vocabulary()
        );
        Ok(Self { words, bert, weights: weights.to_owned(), precision: p, digest })
    }

    /// Loads an encoder from resolved files in the layout of Sentence Transformers: config.json, tokenizer.json, one
    /// safetensors file, sentence_bert_config.json, and modules.json with 1_Pooling/config.json where they exist.
    ///
    /// # Errors
    /// As [`TextEncoder::load`]; a missing file, or anything but mean pooling and length 1.
    pub fn from_files(files: &ModelFiles) -> Result<Self> {
        Self::from_files_in(files, Precision::F32)
    }

    /// As [`TextEncoder::from_files`], in f32 or int8. Heads belong to the f32 encoder: int8 has another digest.
    pub fn from_files_in(files: &ModelFiles, precision: Precision) -> Result<Self> {
        let ModelFiles::Folder { label, config, tokenizer, weights, extra, .. } = files else {
            bail!("{} is a GGUF file; a sentence encoder is a folder with safetensors", files.label());
        };
        let Some(tokenizer) = tokenizer else { bail!("{label}: tokenizer.json is missing") };
        let [weights] = weights.as_slice() else {
            bail!("{label}: a sentence encoder has one weights file, but here are {}", weights.len());
        };
        Self::from_layout(config, tokenizer, weights, &|name| extra.get(name).cloned(), precision)
    }

    /// As [`TextEncoder::from_files`], from a folder with the usual names.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let path = |name: &str| folder.join(name);
        let find = |name: &str| Some(path(name)).filter(|path| path.exists());
        let (config, weights) = (path("config.json"), path("model.safetensors"));
        Self::from_layout(&config, &path("tokenizer.json"), &weights, &find, Precision::F32)
    }

    fn from_layout(
        config: &Path,
        tokenizer: &Path,
        weights: &Path,
        find: &dyn Fn(&str) -> Option<PathBuf>,
        precision: Precision,
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
        Self::load(config, tokenizer, weights, max_tokens as usize, precision)
    }

    /// Length of a sentence vector.
    pub fn dim(&self) -> usize {
        self.bert.config().hidden
    }

    /// f32, or int8 where that was asked for.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// SHA-256 (hex) over weights, tokenizer and every setting that can change a vector, but for the precision.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Tokens of a text that are read, special tokens included.
    pub fn max_tokens(&self) -> usize {
        self.words.max_tokens()
    }

    /// Token ids as the encoder reads them, special tokens included, and whether the text was cut.
    pub fn tokens(&self, text: &str) -> Result<(Vec<u32>, bool)> {
        let tokens = self.words.tokens(text)?;
        Ok((tokens.ids, tokens.truncated))
    }

    /// Encodes texts; an empty text gets the vector of its special tokens alone.
    ///
    /// # Errors
    /// A text that the tokenizer refuses.
    pub fn encode(&self, texts: &[&str]) -> Result<Encoded> {
        self.encode_with(texts, &[])
    }
}

/// The texts' vectors, from their packed rows.
fn pooled(states: &[f32], texts: &[&[u32]], dim: usize) -> Vec<f32> {
    let mut start = 0;
    let text = |ids: &&[u32]| {
        let rows = &states[start * dim..][..ids.len() * dim];
        start += ids.len();
        pool(rows, dim)
    };
    texts.iter().flat_map(text).collect()
}

/// Mean over tokens, divided by its length; sums in f64, in the order of the tokens.
fn pool(states: &[f32], dim: usize) -> Vec<f32> {
    let mean = head::sums(states, dim);
    // The number of tokens cancels; 1e-12 is the floor that Sentence Transformers puts under the length.
    let length = mean.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
    mean.into_iter().map(|v| (v / length) as f32).collect()
}

/// The settings that can change a vector, as they stand in the digest.
fn described(config: &BertConfig) -> String {
    let BertConfig { hidden, layers, heads, intermediate, positions, layer_norm_eps, .. } = config;
    let sizes = format!(
        "BertConfig {{ hidden: {hidden}, layers: {layers}, heads: {heads}, intermediate: {intermediate}, positions: \
         {positions}, layer_norm_eps: {layer_norm_eps:?} }}"
    );
    match (config.family, config.activation) {
        (bert::Family::Bert, layers::Activation::Gelu) => sizes,
        (family, activation) => format!("{sizes} {family:?} {activation:?} {:?}", config.padding),
    }
}

/// The bytes that hexadecimal stands for.
fn bytes(hex: &str) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).unwrap_or(0) as u8;
    hex.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
