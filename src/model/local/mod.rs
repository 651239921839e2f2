//! Runs a model in this process: files → tokenizer, template and decoder → answers.

mod answer;
mod interface;

use std::path::PathBuf;

use anyhow::{Result, anyhow, bail, ensure};
use candle_core::Device;
use rayon::prelude::*;

use answer::{Reader, Writer};
pub use interface::{Interface, read_json};

use super::decoder::host::Host;
use super::decoder::weights::Weights;
use super::decoder::{Decoder, families, gguf_config};
use super::device::DeviceChoice;
use super::engine::Engine;
use super::fallback::FallbackModel;
use super::files::ModelFiles;
use super::gguf::Gguf;
use super::plan::{self, Job, Limits};
use super::tokenizer::Tokenizer;
use super::{
    GenerateRequest, Generation, LanguageModel, Likelihood, LikelihoodRequest, ModelCard, OpenOptions, Prompt,
};

pub struct LocalModel {
    card: ModelCard,
    interface: Interface,
    engine: Engine,
    limits: Limits,
}

/// What answering cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    /// Tokens of the prompts, or of contexts and continuations.
    pub prompt_tokens: usize,
    /// Those of them that were computed; the rest was shared with other prompts.
    pub prefilled_tokens: usize,
    pub new_tokens: usize,
}

impl LocalModel {
    pub fn load(files: &ModelFiles, device: &Device, options: &OpenOptions) -> Result<Self> {
        let (interface, engine) = match files {
            ModelFiles::Gguf { weights, .. } => {
                let gguf = Gguf::open(weights)?;
                let config = gguf_config::from_gguf(&gguf)?;
                let interface = Interface::from_gguf(gguf.metadata(), options)?;
                check_vocabulary(files, &interface.tokenizer, config.vocab)?;
                let weights = Weights::gguf(gguf, &config)?;
                (interface, Engine::load(config, weights, device, options.precision)?)
            }
            ModelFiles::Folder { config, weights, .. } => {
                let json = read_json(config)?;
                let file = config.display().to_string();
                let interface = Interface::from_folder(files, &json, options)?;
                if FallbackModel::is_for(&json) {
                    // These run on the CPU only, which is what auto then means.
                    let device = if options.device == DeviceChoice::Auto { &Device::Cpu } else { device };
                    let engine = Engine::fallback(&json, &file, weights, device, options.precision)?;
                    check_vocabulary(files, &interface.tokenizer, engine.vocab())?;
                    (interface, engine)
                } else {
                    let config = families::from_json(&json, &file)?;
                    check_vocabulary(files, &interface.tokenizer, config.vocab)?;
                    let weights: &[PathBuf] = weights;
                    let weights = Weights::safetensors(weights, &config)?;
                    (interface, Engine::load(config, weights, device, options.precision)?)
                }
            }
        };
        let card = ModelCard {
            label: files.label().to_owned(),
            digest: files.digest().to_owned(),
            architecture: engine.architecture().to_owned(),
            dtype: engine.precision().as_str().into(),
            device: engine.device().into(),
            batch_invariant: engine.is_batch_invariant(),
            tokenizer: options.tokenizer.as_deref().map(super::files::sha256).transpose()?,
            context_length: engine.context_length(),
            has_chat_template: interface.template.is_some(),
        };
        let batch_tokens = options.batch_tokens.unwrap_or(plan::BATCH_TOKENS).max(1);
        let limits = engine.limits(batch_tokens, options.max_memory)?;
        Ok(Self { card, interface, engine, limits })
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.interface.tokenizer
    }

    /// The decoder, where it runs on the CPU.
    pub fn decoder(&self) -> Option<&Decoder<Host>> {
        match &self.engine {
            Engine::Host(decoder) => Some(decoder),
            Engine::Device(_) | Engine::Fallback(_) => None,
        }
    }

    /// The prompt as the model sees it.
    pub fn render(&self, prompt: &Prompt) -> Result<String> {
        self.interface.render(prompt)
    }

    /// Token ids of a prompt: rendered chats get no tokens but their own.
    pub fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        self.interface.encode(prompt)
    }

    /// As [`LanguageModel::generate`], but a request that cannot be answered is an error of its own: the sink gets it
    /// before anything is computed, and the others are answered.
    pub fn generate_each(
        &self,
        requests: &[GenerateRequest],
        sink: &mut dyn FnMut(usize, Result<Generation>) -> Result<()>,
    ) -> Result<Cost> {
        let prepared: Vec<Result<Job>> = requests.par_iter().map(|request| self.prompt_of(request)).collect();
        let (indices, jobs) = fit(prepared, &mut |index, error| sink(index, Err(error)))?;
        let mut writers: Vec<Writer<'_>> = indices
            .iter()
            .zip(&jobs)
            .map(|(&index, job)| {
                let request = &requests[index];
                Writer::new(request, self.tokenizer(), self.interface.ends_of(&request.prompt), job.tokens.len())
            })
            .collect();
        let mut new_tokens = 0;
        let statistics = self.engine.run(&jobs, &mut writers, self.limits, &mut |job, writer| {
            let answer = writer.take();
            new_tokens += answer.token_ids.len();
            sink(indices[job], Ok(answer))
        })?;
        let prompt_tokens = jobs.iter().map(|job| job.tokens.len()).sum();
        Ok(Cost { prompt_tokens, prefilled_tokens: statistics.prefilled_tokens, new_tokens })
    }

    /// As [`LanguageModel::log_likelihood`], with errors as in [`Self::generate_each`].
    pub fn log_likelihood_each(
        &self,
        requests: &[LikelihoodRequest],
        sink: &mut dyn FnMut(usize, Result<Likelihood>) -> Result<()>,
    ) -> Result<Cost> {
        let prepared: Vec<Result<(Job, Reader<'_>)>> =
            requests.par_iter().map(|request| self.continuation_of(request)).collect();
        let (indices, prepared) = fit(prepared, &mut |index, error| sink(index, Err(error)))?;
        let (jobs, mut readers): (Vec<Job>, Vec<Reader<'_>>) = prepared.into_iter().unzip();
        let statistics = self
            .engine
            .run(&jobs, &mut readers, self.limits, &mut |job, reader| sink(indices[job], Ok(reader.take())))?;
        // The last token of a continuation is predicted, not computed.
        let prompt_tokens = jobs.iter().map(|job| job.tokens.len() + 1).sum();
        Ok(Cost { prompt_tokens, prefilled_tokens: statistics.prefilled_tokens, new_tokens: 0 })
    }

    /// What is to be computed for an answer; errs where it cannot be.
    fn prompt_of(&self, request: &GenerateRequest) -> Result<Job> {
        let tokens = || {
            request.sampling.check()?;
            ensure!(
                !matches!(&request.prompt, Prompt::Text(text) if text.is_empty()),
                "the prompt is empty; ask something"
            );
            let tokens = self.encode(&request.prompt)?;
            self.check_length(&tokens, request.sampling.max_new_tokens)?;
            Ok(tokens)
        };
        let tokens: Vec<u32> = tokens().map_err(|error| named(&request.label, &error))?;
        let length = tokens.len();
        let max_length = length + request.sampling.max_new_tokens;
        self.check_memory(&request.label, max_length)?;
        Ok(Job { want_from: length - 1, length, max_length, tokens })
    }

    /// What is to be computed for a likelihood; errs where it cannot be.
    ///
    /// Context and continuation are encoded together and split at the length of the context alone.
    fn continuation_of<'a>(&self, request: &'a LikelihoodRequest) -> Result<(Job, Reader<'a>)> {
        let encode = || {
            let special = matches!(request.context, Prompt::Text(_));
            let before = format!("{}{}", self.render(&request.context)?, request.lead);
            let mut context = self.tokenizer().encode(&before, special)?;
            let mut joint = self.tokenizer().encode(&format!("{before}{}", request.continuation), special)?;
            if context.is_empty() {
                let Some(beginning) = self.interface.beginning else {
                    bail!("the context has no tokens, so nothing predicts the continuation's first; give a context")
                };
                context.push(beginning);
                joint.insert(0, beginning);
            }
            self.check_length(&joint, 0)?;
            ensure!(joint.len() > context.len(), "the continuation adds no tokens to the context; give a longer one");
            Ok((context, joint))
        };
        let (context, joint) = encode().map_err(|error| named(&request.label, &error))?;
        let merges = joint[..context.len()] != context[..];
        // The last token is predicted, not computed.
        let tokens = joint[..joint.len() - 1].to_vec();
        self.check_memory(&request.label, tokens.len())?;
        let job = Job { want_from: context.len() - 1, length: joint.len(), max_length: tokens.len(), tokens };
        Ok((job, Reader::new(&request.label, joint, context.len(), merges)))
    }

    fn check_memory(&self, label: &str, tokens: usize) -> Result<()> {
        let bytes = tokens.saturating_mul(self.engine.kv_bytes_per_token());
        ensure!(
            bytes <= self.limits.kv_bytes,
            "{label}: {tokens} tokens keep {} MiB of keys and values, but --max-memory leaves {} MiB for them; allow more",
            bytes >> 20,
            self.limits.kv_bytes >> 20
        );
        Ok(())
    }

    fn check_length(&self, prompt: &[u32], new: usize) -> Result<()> {
        let (tokens, context) = (prompt.len(), self.card.context_length);
        ensure!(tokens > 0, "the prompt has no tokens; ask something");
        ensure!(
            tokens.saturating_add(new) <= context,
            "the prompt has {tokens} tokens and may be answered with {new}, but {} takes {context} in all; shorten the \
             prompt or lower max_new_tokens",
            self.card.label,
        );
        let vocabulary = self.engine.vocab();
        if let Some(id) = prompt.iter().find(|id| **id as usize >= vocabulary) {
            bail!(
                "the prompt has token {id} ({:?}), but the model has only {vocabulary}; its tokenizer belongs to another",
                self.tokenizer().token(*id).unwrap_or_default()
            );
        }
        Ok(())
    }
}

/// An error as one message that begins with the request's name.
fn named(label: &str, error: &anyhow::Error) -> anyhow::Error {
    anyhow!("{label}: {error:#}")
}

/// What can be answered, with its index; the sink gets the errors.
fn fit<T>(
    prepared: Vec<Result<T>>,
    refuse: &mut dyn FnMut(usize, anyhow::Error) -> Result<()>,
) -> Result<(Vec<usize>, Vec<T>)> {
    let mut fitting = (Vec::new(), Vec::new());
    for (index, result) in prepared.into_iter().enumerate() {
        match result {
            Ok(value) => {
                fitting.0.push(index);
                fitting.1.push(value);
            }
            Err(error) => refuse(index, error)?,
        }
    }
    Ok(fitting)
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
        self.generate_each(requests, &mut |index, answer| sink(index, answer?)).map(|_| ())
    }

    fn log_likelihood(
        &self,
        requests: &[LikelihoodRequest],
        sink: &mut dyn FnMut(usize, Likelihood) -> Result<()>,
    ) -> Result<()> {
        self.log_likelihood_each(requests, &mut |index, answer| sink(index, answer?)).map(|_| ())
    }
}

fn check_vocabulary(files: &ModelFiles, tokenizer: &Tokenizer, vocab: usize) -> Result<()> {
    ensure!(
        tokenizer.size() <= vocab,
        "{}: the tokenizer has {} tokens, but the model only {}; they do not belong together",
        files.label(),
        tokenizer.size(),
        vocab
    );
    Ok(())
}
