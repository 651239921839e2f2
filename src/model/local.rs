//! Runs a model in this process: files → tokenizer, template and decoder → answers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;
use serde_json::Value as Json;

use super::chat::ChatTemplate;
use super::decoder::Decoder;
use super::decoder::host::Host;
use super::decoder::weights::Weights;
use super::decoder::{families, gguf_config};
use super::files::ModelFiles;
use super::gguf::Gguf;
use super::plan::{self, Consumer, Job, Limits};
use super::precision::Precision;
use super::sampling::{Sampler, log_prob};
use super::tokenizer::Tokenizer;
use super::{
    Finish, GenerateRequest, Generation, LanguageModel, Likelihood, LikelihoodRequest, ModelCard, OpenOptions, Prompt,
    device,
};

pub struct LocalModel {
    card: ModelCard,
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    decoder: Decoder<Host>,
    /// End any answer.
    ends: BTreeSet<u32>,
    /// End an answer to a chat as well.
    chat_ends: BTreeSet<u32>,
    limits: Limits,
}

impl LocalModel {
    pub fn load(files: &ModelFiles, device: &Device, options: &OpenOptions) -> Result<Self> {
        let Parts { tokenizer, template, ends, decoder } = match files {
            ModelFiles::Gguf { weights, .. } => from_gguf(weights, device, options.precision)?,
            ModelFiles::Folder { .. } => from_folder(files, device, options.precision)?,
        };
        let config = decoder.config();
        ensure!(
            tokenizer.size() <= config.vocab,
            "{}: the tokenizer has {} tokens, but the model only {}; they do not belong together",
            files.label(),
            tokenizer.size(),
            config.vocab
        );
        let chat_ends = template
            .iter()
            .flat_map(|t| t.turn_ends())
            .filter_map(|end| tokenizer.id(end))
            .chain(ends.clone())
            .collect();
        let card = ModelCard {
            label: files.label().to_owned(),
            digest: files.digest().to_owned(),
            architecture: config.architecture.clone(),
            dtype: decoder.precision().as_str().into(),
            device: device::kind(device).into(),
            context_length: config.context_length,
            has_chat_template: template.is_some(),
        };
        let batch_tokens = options.batch_tokens.unwrap_or(plan::BATCH_TOKENS).max(1);
        let limits = Limits { batch_tokens, kv_bytes: usize::MAX };
        Ok(Self { card, tokenizer, template, decoder, ends, chat_ends, limits })
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    pub fn decoder(&self) -> &Decoder<Host> {
        &self.decoder
    }

    /// The prompt as the model sees it.
    pub fn render(&self, prompt: &Prompt) -> Result<String> {
        match prompt {
            Prompt::Text(text) => Ok(text.clone()),
            Prompt::Chat(messages) => match &self.template {
                Some(template) => template.render(messages, true),
                None => bail!("{} has no chat template; ask it with `as: text`", self.card.label),
            },
        }
    }

    /// Token ids of a prompt: rendered chats get no tokens but their own.
    pub fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        self.tokenizer.encode(&self.render(prompt)?, matches!(prompt, Prompt::Text(_)))
    }

    fn check_length(&self, label: &str, prompt: usize, new: usize) -> Result<()> {
        ensure!(prompt > 0, "{label}: the prompt has no tokens; ask something");
        ensure!(
            prompt + new <= self.card.context_length,
            "{label}: the prompt has {prompt} tokens and may be answered with {new}, but {} takes {} in all; shorten the \
             prompt or lower max_new_tokens",
            self.card.label,
            self.card.context_length
        );
        Ok(())
    }
}

impl LanguageModel for LocalModel {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    fn prompt_tokens(&self, prompt: &Prompt) -> Result<usize> {
        Ok(self.encode(prompt)?.len())
    }

    fn generate(
        &self,
        requests: &[GenerateRequest],
        sink: &mut dyn FnMut(usize, Generation) -> Result<()>,
    ) -> Result<()> {
        let mut jobs = Vec::with_capacity(requests.len());
        let mut writers = Vec::with_capacity(requests.len());
        for request in requests {
            let tokens = self.encode(&request.prompt).with_context(|| request.label.clone())?;
            self.check_length(&request.label, tokens.len(), request.sampling.max_new_tokens)?;
            ensure!(request.sampling.max_new_tokens > 0, "{}: max_new_tokens is 0; ask for at least 1", request.label);
            writers.push(Writer {
                model: self,
                sampler: Sampler::new(&request.sampling, request.seed),
                ends: if matches!(request.prompt, Prompt::Chat(_)) { &self.chat_ends } else { &self.ends },
                stop: &request.sampling.stop,
                limit: request.sampling.max_new_tokens,
                prompt_tokens: tokens.len(),
                ids: Vec::new(),
                answer: None,
            });
            let length = tokens.len();
            let max_length = length + request.sampling.max_new_tokens;
            jobs.push(Job { want_from: length - 1, length, max_length, tokens });
        }
        plan::run(&self.decoder, &jobs, &mut writers, self.limits, &mut |job, writer| {
            sink(job, writer.answer.take().expect("a finished writer has its answer"))
        })?;
        Ok(())
    }

    fn log_likelihood(
        &self,
        requests: &[LikelihoodRequest],
        sink: &mut dyn FnMut(usize, Likelihood) -> Result<()>,
    ) -> Result<()> {
        let mut jobs = Vec::with_capacity(requests.len());
        let mut readers = Vec::with_capacity(requests.len());
        for request in requests {
            let context = self.tokenizer.encode(&request.context, true).with_context(|| request.label.clone())?;
            let joint = self.tokenizer.encode(&format!("{}{}", request.context, request.continuation), true)?;
            self.check_length(&request.label, joint.len(), 0)?;
            ensure!(
                !context.is_empty(),
                "{}: the context has no tokens, so nothing predicts the continuation's first; give a context",
                request.label
            );
            ensure!(
                joint.len() > context.len(),
                "{}: the continuation adds no tokens to the context; give a longer one",
                request.label
            );
            readers.push(Reader {
                boundary_merges: joint[..context.len()] != context[..],
                joint: joint.clone(),
                per_token: Vec::new(),
            });
            let mut tokens = joint;
            tokens.pop();
            let (length, max_length) = (tokens.len() + 1, tokens.len());
            jobs.push(Job { tokens, want_from: context.len() - 1, length, max_length });
        }
        plan::run(&self.decoder, &jobs, &mut readers, self.limits, &mut |job, reader| {
            let per_token = std::mem::take(&mut reader.per_token);
            sink(job, Likelihood { nats: per_token.iter().sum(), per_token, boundary_merges: reader.boundary_merges })
        })?;
        Ok(())
    }
}

/// Writes one answer.
struct Writer<'a> {
    model: &'a LocalModel,
    sampler: Sampler,
    ends: &'a BTreeSet<u32>,
    stop: &'a [String],
    limit: usize,
    prompt_tokens: usize,
    ids: Vec<u32>,
    answer: Option<Generation>,
}

impl Writer<'_> {
    fn finish(&mut self, text: String, finish: Finish) -> Option<u32> {
        let token_ids = std::mem::take(&mut self.ids);
        self.answer = Some(Generation { text, token_ids, finish, prompt_tokens: self.prompt_tokens });
        None
    }
}

impl Consumer for Writer<'_> {
    fn consume(&mut self, _: usize, logits: &[f32]) -> Result<Option<u32>> {
        let next = self.sampler.next(logits);
        self.ids.push(next);
        let tokenizer = &self.model.tokenizer;
        if self.ends.contains(&next) {
            let text = tokenizer.decode(&self.ids[..self.ids.len() - 1])?;
            return Ok(self.finish(text, Finish::Stop));
        }
        if !self.stop.is_empty() {
            let text = tokenizer.decode(&self.ids)?;
            if let Some(at) = self.stop.iter().filter_map(|stop| text.find(stop.as_str())).min() {
                return Ok(self.finish(text[..at].to_owned(), Finish::Stop));
            }
        }
        if self.ids.len() == self.limit {
            let text = tokenizer.decode(&self.ids)?;
            return Ok(self.finish(text, Finish::Length));
        }
        Ok(Some(next))
    }
}

/// Reads the probabilities of given tokens.
struct Reader {
    joint: Vec<u32>,
    per_token: Vec<f64>,
    boundary_merges: bool,
}

impl Consumer for Reader {
    fn consume(&mut self, position: usize, logits: &[f32]) -> Result<Option<u32>> {
        self.per_token.push(log_prob(logits, self.joint[position + 1]));
        Ok(None)
    }
}

struct Parts {
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    ends: BTreeSet<u32>,
    decoder: Decoder<Host>,
}

fn from_gguf(path: &Path, device: &Device, precision: Precision) -> Result<Parts> {
    let mut gguf = Gguf::open(path)?;
    let metadata = gguf.metadata().clone();
    let config = gguf_config::from_gguf(&mut gguf)?;
    let tokenizer = Tokenizer::from_gguf(&metadata)?;
    let special = |key: &str| metadata.number(key).ok().map(|id| id as u32);
    let text = |id: Option<u32>| id.and_then(|id| tokenizer.token(id)).unwrap_or_default();
    let end = special("tokenizer.ggml.eos_token_id");
    let template = metadata
        .string("tokenizer.chat_template")
        .ok()
        .map(|source| ChatTemplate::new(source, &text(special("tokenizer.ggml.bos_token_id")), &text(end)))
        .transpose()?;
    let ends = end.into_iter().chain(special("tokenizer.ggml.eot_token_id")).collect();
    let weights = Weights::gguf(gguf, &config)?;
    Ok(Parts { tokenizer, template, ends, decoder: Decoder::load(Host, config, weights, precision)? })
}

fn from_folder(files: &ModelFiles, device: &Device, precision: Precision) -> Result<Parts> {
    let ModelFiles::Folder { config, tokenizer, tokenizer_config, generation_config, chat_template, weights, .. } =
        files
    else {
        unreachable!("only folders come here")
    };
    let config_json = read_json(config)?;
    let config = families::from_json(&config_json, &config.display().to_string())?;
    let tokenizer = tokenizer.as_deref().with_context(|| {
        format!("{}: there is no tokenizer.json beside the weights; put the model's own one there", files.label())
    })?;
    let tokenizer = Tokenizer::from_file(tokenizer)?;
    let tokenizer_json = tokenizer_config.as_deref().map(read_json).transpose()?.unwrap_or(Json::Null);
    let generation = generation_config.as_deref().map(read_json).transpose()?.unwrap_or(Json::Null);
    let source = match chat_template {
        Some(path) => Some(fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?),
        None => ChatTemplate::source_in(&tokenizer_json),
    };
    let special = |key: &str| match tokenizer_json.get(key) {
        Some(Json::String(text)) => text.clone(),
        Some(object) => object.get("content").and_then(Json::as_str).unwrap_or_default().to_owned(),
        None => String::new(),
    };
    let template =
        source.map(|source| ChatTemplate::new(&source, &special("bos_token"), &special("eos_token"))).transpose()?;
    let mut ends = ending_tokens(&generation);
    if ends.is_empty() {
        ends = ending_tokens(&config_json);
    }
    let weights = Weights::safetensors(weights, &config)?;
    let decoder = Decoder::load(Host, config, weights, precision)?;
    Ok(Parts { tokenizer, template, ends, decoder })
}

/// `eos_token_id`: a number or a list.
fn ending_tokens(json: &Json) -> BTreeSet<u32> {
    let id = |value: &Json| value.as_u64().map(|id| id as u32);
    match json.get("eos_token_id") {
        Some(Json::Array(ids)) => ids.iter().filter_map(id).collect(),
        Some(value) => id(value).into_iter().collect(),
        None => BTreeSet::new(),
    }
}

fn read_json(path: &Path) -> Result<Json> {
    let text = fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}: is not JSON", path.display()))
}
