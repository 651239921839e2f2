//! Asks language models: text in, text or numbers out. No tensor leaves this module.

pub mod catalog;
pub mod chat;
pub mod counter;
pub mod decoder;
pub mod device;
pub mod engine;
pub mod fallback;
pub mod files;
pub mod gguf;
pub mod inspect;
#[allow(unsafe_code)]
pub mod kernel;
pub mod local;
pub mod plan;
pub mod precision;
pub mod sampling;
pub mod scripted;
mod stop;
pub mod support;
pub mod tokenizer;

use std::path::PathBuf;

use anyhow::{Result, ensure};

/// One turn of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub role: String,
    pub content: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// Rendered with the model's chat template; no tokens are added to what it renders.
    Chat(Vec<Message>),
    /// Encoded as it is, with the tokenizer's own special tokens.
    Text(String),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// 0 is greedy.
    pub temperature: f64,
    /// In (0, 1]; 1 keeps every token.
    pub top_p: f64,
    pub max_new_tokens: usize,
    /// The answer ends before the first of these.
    pub stop: Vec<String>,
    /// Ending tokens are tokens like others: every answer has `max_new_tokens`, unless a stop string ends it. For
    /// measuring speed.
    pub ignore_eos: bool,
}

impl Sampling {
    /// Errs on a setting that means nothing, and says what it may be.
    pub fn check(&self) -> Result<()> {
        ensure!(
            self.temperature.is_finite() && self.temperature >= 0.0,
            "temperature is {}; give a number from 0 (always the likeliest token) upwards",
            self.temperature
        );
        ensure!(self.top_p > 0.0 && self.top_p <= 1.0, "top_p is {}; give a number above 0, up to 1", self.top_p);
        ensure!(self.max_new_tokens > 0, "max_new_tokens is 0; ask for at least 1");
        ensure!(!self.stop.iter().any(String::is_empty), "a stop string is empty; leave it out");
        Ok(())
    }
}

#[derive(Debug, Clone)]
pub struct GenerateRequest {
    /// Names the request in errors, usually the case id.
    pub label: String,
    pub prompt: Prompt,
    pub sampling: Sampling,
    /// Key of the request's own random stream; nothing else decides what is drawn.
    pub seed: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// An ending token or a stop string.
    Stop,
    /// The limit of new tokens.
    Length,
}

impl Finish {
    /// As it stands in responses.csv.
    pub fn as_str(self) -> &'static str {
        match self {
            Finish::Stop => "stop",
            Finish::Length => "length",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Generation {
    /// Special tokens left out.
    pub text: String,
    /// The ending token included.
    pub token_ids: Vec<u32>,
    pub finish: Finish,
    pub prompt_tokens: usize,
}

#[derive(Debug, Clone)]
pub struct LikelihoodRequest {
    pub label: String,
    /// A chat is rendered up to where the answer begins. A text without any token is stood in for by the token with which the model
    /// knows that a text begins (bos), or where it has none, ended before (eos).
    pub context: Prompt,
    /// How the answer begins, directly after the context; not scored.
    pub lead: String,
    pub continuation: String,
}

#[derive(Debug, Clone)]
pub struct Likelihood {
    /// Sum of natural-log probabilities of the continuation's tokens.
    pub nats: f64,
    pub per_token: Vec<f64>,
    /// Ids of the continuation's tokens.
    pub token_ids: Vec<u32>,
    /// The border between context and continuation fell inside a token of the joint encoding.
    pub boundary_merges: bool,
}

/// What a run's manifest says of its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelCard {
    /// Label for folders: catalog name, hub name, or file stem.
    pub label: String,
    /// SHA-256 (hex) of the weights.
    pub digest: String,
    /// e.g. `llama`
    pub architecture: String,
    /// e.g. `f32`
    pub dtype: String,
    /// `cpu`, `cuda` or `metal`
    pub device: String,
    /// Whether an answer's bits depend on nothing beside it: no neighbour, batch or thread.
    pub batch_invariant: bool,
    /// SHA-256 (hex) of a tokenizer.json that was taken in place of the model's own.
    pub tokenizer: Option<String>,
    pub context_length: usize,
    pub has_chat_template: bool,
}

/// A model that can be asked. Every request is answered exactly once, in any order, and its answer
/// depends on that request alone: not on its neighbours, its position, the batch or the threads.
pub trait LanguageModel {
    fn card(&self) -> &ModelCard;

    /// Number of prompt tokens, to refuse what does not fit before anything is run.
    fn prompt_tokens(&self, prompt: &Prompt) -> Result<usize>;

    /// Calls `sink(index of the request, answer)` as each answer ends. An error of the sink ends the run.
    fn generate(
        &self,
        requests: &[GenerateRequest],
        sink: &mut dyn FnMut(usize, Generation) -> Result<()>,
    ) -> Result<()>;

    fn log_likelihood(
        &self,
        requests: &[LikelihoodRequest],
        sink: &mut dyn FnMut(usize, Likelihood) -> Result<()>,
    ) -> Result<()>;
}

/// How a model is opened. Device, precision, tokenizer and date may change an answer; the others do not.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    pub device: device::DeviceChoice,
    pub precision: precision::Precision,
    /// A tokenizer.json in place of the model's own tokenizer.
    pub tokenizer: Option<PathBuf>,
    /// What chat templates that print a date print.
    pub template_date: chat::TemplateDate,
    /// Tokens that a step computes at most; [`plan::BATCH_TOKENS`] when none.
    pub batch_tokens: Option<usize>,
    /// Bytes that weights, keys and values may take.
    pub max_memory: Option<u64>,
    pub offline: bool,
    pub quiet: bool,
}

/// Finds the files of `spec` (a catalog name, a folder, a .gguf file or a hub id), fetching what is missing, and loads them.
pub fn open(spec: &str, options: &OpenOptions) -> Result<local::LocalModel> {
    let device = options.device.open()?;
    let files = files::resolve_model(spec, &files::Access::new(options.offline, options.quiet))?;
    local::LocalModel::load(&files, &device, options)
}

/// As [`open`], and `scripted:FILE` for a model that is a table of answers.
pub fn open_any(spec: &str, options: &OpenOptions) -> Result<Box<dyn LanguageModel>> {
    Ok(match spec.strip_prefix(scripted::PREFIX) {
        Some(path) => Box::new(scripted::ScriptedModel::read(path.as_ref())?),
        None => Box::new(open(spec, options)?),
    })
}
