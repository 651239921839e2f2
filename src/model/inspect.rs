//! Says what a model is and what it would need, from its headers alone: no weights are read, whatever their size.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::Value as Json;

use super::decoder::config::Config;
use super::decoder::{families, gguf_config};
use super::fallback::FallbackModel;
use super::files::{self, Access, ModelFiles, Places};
use super::gguf::Gguf;
use super::local::{Interface, read_json};
use super::precision::Precision;
use super::{OpenOptions, catalog};

/// What is known of a model before it is loaded. What cannot be read is `None`, and its reason stands in `reasons`.
#[derive(Debug, Serialize)]
pub struct Inspection {
    pub label: String,
    /// `gguf` or `safetensors`.
    pub format: &'static str,
    pub commit: Option<String>,
    /// As the files name it.
    pub architecture: String,
    pub path: EnginePath,
    /// Why it is refused.
    pub reasons: Vec<String>,
    /// Numbers stored in tensors.
    pub parameters: u64,
    /// Bytes of the weights' files.
    pub bytes: u64,
    /// Type of numbers → how many are stored so.
    pub dtypes: BTreeMap<String, u64>,
    /// Tokens.
    pub context_length: Option<usize>,
    pub tokenizer: Option<TokenizerCard>,
    pub memory: Option<Memory>,
}

/// Which way a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EnginePath {
    /// The decoder of this program: batch-invariant, prefixes shared.
    Own,
    /// A model of candle-transformers, in batches of equal length.
    Fallback,
    /// None; it cannot be run.
    Refused,
}

/// How a model's text becomes tokens.
#[derive(Debug, Serialize)]
pub struct TokenizerCard {
    pub kind: &'static str,
    pub tokens: usize,
    /// What `encode` puts around a text, by its tokens.
    pub around: Vec<String>,
    /// End any answer.
    pub ends: Vec<Token>,
    /// End an answer to a chat besides.
    pub chat_ends: Vec<Token>,
    /// File of the chat template; none where the model has no template.
    pub chat_template: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct Token {
    pub id: u32,
    pub text: String,
}

/// Bytes, in memory.
#[derive(Debug, Serialize)]
pub struct Memory {
    pub weights_f32: u64,
    /// None where the architecture runs in f32 only.
    pub weights_int8: Option<u64>,
    /// Keys and values of one token of one sequence.
    pub kv_per_token: u64,
    /// What `--precision auto` takes.
    pub auto: &'static str,
}

/// Inspects the model of that name, fetching it first if need be.
pub fn inspect(spec: &str, options: &OpenOptions) -> Result<Inspection> {
    let places = Places { hash: false, ..Places::from_env()? };
    let access = Access::new(options.offline, options.quiet);
    let files = files::resolve_in(spec, Some(catalog::Kind::Model), &places, &access)?;
    let mut path = EnginePath::Own;
    let (format, architecture, shape, interface, tensors) = match &files {
        ModelFiles::Gguf { weights, .. } => {
            let gguf = Gguf::open(weights)?;
            let architecture = gguf.metadata().string("general.architecture")?.to_owned();
            let interface = Interface::from_gguf(gguf.metadata(), options);
            let tensors: Vec<(String, u64)> = gguf.tensor_sizes().collect();
            let shape = gguf_config::from_gguf(&gguf).map(|config| Shape::of(&config));
            ("gguf", architecture, shape, interface, tensors)
        }
        ModelFiles::Folder { config, weights, .. } => {
            let json = read_json(config)?;
            let architecture = json.get("model_type").and_then(Json::as_str).unwrap_or("(none)").to_owned();
            let interface = Interface::from_folder(&files, &json, options);
            let tensors = weights.iter().map(|path| safetensors_sizes(path)).collect::<Result<Vec<_>>>()?;
            let tensors: Vec<(String, u64)> = tensors.into_iter().flatten().collect();
            let file = config.display().to_string();
            let shape = if FallbackModel::is_for(&json) {
                path = EnginePath::Fallback;
                let elements: u64 = tensors.iter().map(|(_, elements)| elements).sum();
                FallbackModel::limits(&json, &file).map(|limits| Shape::of_fallback(limits, elements))
            } else {
                families::from_json(&json, &file).map(|config| Shape::of(&config))
            };
            ("safetensors", architecture, shape, interface, tensors)
        }
    };
    let mut dtypes = BTreeMap::new();
    for (dtype, elements) in &tensors {
        *dtypes.entry(dtype.clone()).or_insert(0) += elements;
    }
    let card = interface.and_then(|interface| TokenizerCard::of(&interface));
    let reasons = [shape.as_ref().err(), card.as_ref().err()];
    let reasons: Vec<String> = reasons.into_iter().flatten().map(|error| format!("{error:#}")).collect();
    let shape = shape.ok();
    Ok(Inspection {
        label: files.label().to_owned(),
        format,
        commit: files.commit().map(str::to_owned),
        architecture,
        path: if reasons.is_empty() { path } else { EnginePath::Refused },
        reasons,
        parameters: tensors.iter().map(|(_, elements)| elements).sum(),
        bytes: size_of_files(&files)?,
        dtypes,
        context_length: shape.as_ref().map(|shape| shape.context_length),
        tokenizer: card.ok(),
        memory: shape.map(|shape| shape.memory),
    })
}

impl TokenizerCard {
    fn of(interface: &Interface) -> Result<Self> {
        let tokenizer = &interface.tokenizer;
        let text = |id: u32| tokenizer.token(id).unwrap_or_default();
        let token = |&id: &u32| Token { id, text: text(id) };
        let chat_only = interface.chat_ends.difference(&interface.ends);
        Ok(Self {
            kind: tokenizer.kind(),
            tokens: tokenizer.size(),
            around: tokenizer.encode("", true)?.into_iter().map(text).collect(),
            ends: interface.ends.iter().map(token).collect(),
            chat_ends: chat_only.map(token).collect(),
            chat_template: interface.template_source.clone(),
        })
    }
}

/// What a configuration says of a model's size.
struct Shape {
    context_length: usize,
    memory: Memory,
}

impl Shape {
    fn of(config: &Config) -> Self {
        let memory = Memory {
            weights_f32: config.weight_bytes(Precision::F32) as u64,
            weights_int8: Some(config.weight_bytes(Precision::Int8) as u64),
            kv_per_token: config.kv_bytes_per_token() as u64,
            auto: Precision::Auto.resolve(config.parameters()).as_str(),
        };
        Self { context_length: config.context_length, memory }
    }

    fn of_fallback((context_length, kv_per_token): (usize, usize), elements: u64) -> Self {
        let memory = Memory {
            weights_f32: elements * size_of::<f32>() as u64,
            weights_int8: None,
            kv_per_token: kv_per_token as u64,
            auto: Precision::F32.as_str(),
        };
        Self { context_length, memory }
    }
}

fn size_of_files(files: &ModelFiles) -> Result<u64> {
    let paths: Vec<&PathBuf> = match files {
        ModelFiles::Gguf { weights, .. } => vec![weights],
        ModelFiles::Folder { weights, .. } => weights.iter().collect(),
    };
    paths
        .into_iter()
        .map(|path| Ok(fs::metadata(path).with_context(|| format!("cannot open {}", path.display()))?.len()))
        .sum()
}

/// (type, number of elements) of each tensor, from the header: eight bytes with its length, then JSON.
fn safetensors_sizes(path: &Path) -> Result<Vec<(String, u64)>> {
    use std::io::Read;
    let read = || -> Result<Vec<u8>> {
        let mut file = fs::File::open(path)?;
        let mut length = [0; 8];
        file.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        ensure!(length <= file.metadata()?.len(), "its header is cut short; fetch it again");
        let mut header = Vec::new();
        file.take(length).read_to_end(&mut header)?;
        Ok(header)
    };
    let header = read().with_context(|| format!("{}: cannot be read", path.display()))?;
    let header: BTreeMap<String, Json> = serde_json::from_slice(&header)
        .with_context(|| format!("{}: its header cannot be read; fetch it again", path.display()))?;
    let tensors = header.into_iter().filter(|(name, _)| name != "__metadata__");
    tensors
        .map(|(name, tensor)| {
            let size = || {
                let shape = tensor.get("shape")?.as_array()?.iter();
                let elements = shape.map(Json::as_u64).try_fold(1u64, |all, one| all.checked_mul(one?));
                Some((tensor.get("dtype")?.as_str()?.to_owned(), elements?))
            };
            size().with_context(|| format!("{}: tensor {name} has no type or shape", path.display()))
        })
        .collect()
}
