//! Runs architectures that the own decoder lacks on candle-transformers' models, each held against stored logits first.
//!
//! These models step whole batches of equal length from one position, so prompts are grouped by how many tokens come
//! before the first wanted logits; the tokens after that, given or generated, follow one a step. Prefixes are not
//! shared, and the arithmetic of a row may differ in its last bits with the rows beside it: answers are not
//! batch-invariant, unless every row runs alone (`--batch-tokens 1`). The CPU and f32 only.

mod config;
mod family;
mod tensors;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use serde_json::Value;

use self::family::{FAMILIES, Family, Step};
use self::tensors::Tensors;
use super::plan::{Consumer, Job, Limits, Statistics};

/// Fewest positions in a rotary table: the stock Granite takes heads for positions when it looks whether its cache is full.
const POSITIONS: usize = 512;

/// A model of candle-transformers with its weights in f32.
pub struct FallbackModel {
    family: &'static Family,
    config: Value,
    tensors: Tensors,
    vocab: usize,
    context_length: usize,
    kv_bytes_per_token: usize,
}

impl FallbackModel {
    /// Whether `model_type` of a config.json names an architecture that runs here.
    pub fn supports(model_type: &str) -> bool {
        FAMILIES.iter().any(|family| family.model_type == model_type)
    }

    /// Whether the model of that config.json runs here.
    pub fn is_for(config: &Value) -> bool {
        config.get("model_type").and_then(Value::as_str).is_some_and(Self::supports)
    }

    /// (`model_type`, models that have it) of all that run here, for messages and docs.
    pub fn supported() -> impl Iterator<Item = (&'static str, &'static str)> {
        FAMILIES.iter().map(|family| (family.model_type, family.models))
    }

    /// Loads safetensors; `file` is the name of config.json in messages. Errs where the configuration asks for something
    /// that the stock model would ignore, and where tensors are missing, left over, misshaped or not finite.
    pub fn load(config: &Value, file: &str, weights: &[PathBuf]) -> Result<Self> {
        let (family, read) = read(config, file)?;
        let tensors = Tensors::load(weights, read.tied)?;
        let model = Self {
            family,
            config: read.json,
            tensors,
            vocab: read.vocab,
            context_length: read.context_length,
            kv_bytes_per_token: read.kv_bytes_per_token,
        };
        drop(model.open(0).with_context(|| format!("{file}: the model cannot be built from it"))?);
        model.tensors.finish()?;
        Ok(model)
    }

    /// Longest sequence in tokens, and bytes of keys and values for each of them, without any weights.
    pub fn limits(config: &Value, file: &str) -> Result<(usize, usize)> {
        let (_, read) = read(config, file)?;
        Ok((read.context_length, read.kv_bytes_per_token))
    }

    pub fn architecture(&self) -> &'static str {
        self.family.model_type
    }

    /// Entries of a row of logits.
    pub fn vocab(&self) -> usize {
        self.vocab
    }

    /// Longest sequence in tokens; no more than a sliding window, since stock models get windows wrong.
    pub fn context_length(&self) -> usize {
        self.context_length
    }

    /// Keys and values of one token of one sequence, as if every layer kept them.
    pub fn kv_bytes_per_token(&self) -> usize {
        self.kv_bytes_per_token
    }

    /// Numbers that a token's activations come to at once, about.
    pub fn width(&self) -> usize {
        let number = |key: &str| self.config[key].as_u64().map(|number| number as usize);
        let hidden = number("hidden_size").or(number("n_embd")).unwrap_or(0);
        number("intermediate_size").or(number("n_inner")).unwrap_or(4 * hidden) + 4 * hidden
    }

    /// Weights, shared ones counted once; in f32.
    pub fn parameters(&self) -> usize {
        self.tensors.elements()
    }

    /// Runs all jobs and calls `finished(job)` as each ends; what [`super::plan::run`] promises holds, but for bits.
    pub fn run<C: Consumer>(
        &self,
        jobs: &[Job],
        consumers: &mut [C],
        limits: Limits,
        finished: &mut dyn FnMut(usize, &mut C) -> Result<()>,
    ) -> Result<Statistics> {
        let mut statistics = Statistics::default();
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        // Rows that end together waste least: a batch steps until its last row ends.
        let key = |job: usize| (jobs[job].want_from, jobs[job].max_length, &jobs[job].tokens, job);
        order.sort_by(|&a, &b| key(a).cmp(&key(b)));
        for equal in order.chunk_by(|&a, &b| jobs[a].want_from == jobs[b].want_from) {
            let mut waiting = equal;
            while !waiting.is_empty() {
                let (batch, others) = waiting.split_at(self.rows(waiting, jobs, limits));
                self.run_batch(batch, jobs, consumers, &mut statistics, finished)?;
                waiting = others;
            }
        }
        Ok(statistics)
    }

    /// How many of the waiting jobs step together: at least one.
    fn rows(&self, waiting: &[usize], jobs: &[Job], limits: Limits) -> usize {
        let first = &jobs[waiting[0]];
        let by_tokens = limits.batch_tokens / (first.want_from + 1);
        let by_memory = limits.kv_bytes / (first.max_length * self.kv_bytes_per_token).max(1);
        let rows = by_tokens.min(by_memory).clamp(1, self.family.max_rows);
        let mut end = rows.min(waiting.len());
        // Identical prompts stay in one batch, so that their answers are identical.
        while rows > 1 && end < waiting.len() && jobs[waiting[end]].tokens == jobs[waiting[end - 1]].tokens {
            end += 1;
        }
        end
    }

    /// Steps jobs of one `want_from` together until all have ended.
    fn run_batch<C: Consumer>(
        &self,
        batch: &[usize],
        jobs: &[Job],
        consumers: &mut [C],
        statistics: &mut Statistics,
        finished: &mut dyn FnMut(usize, &mut C) -> Result<()>,
    ) -> Result<()> {
        // Opened anew, with empty caches; weights are shared, so this costs no more than rotary tables.
        let longest = batch.iter().map(|&job| jobs[job].max_length.max(jobs[job].tokens.len())).max().unwrap_or(0);
        let mut step = self.open(longest)?;
        let mut position = jobs[batch[0]].want_from;
        let prompts: Vec<u32> = batch.iter().flat_map(|&job| &jobs[job].tokens[..=position]).copied().collect();
        let mut logits = self.logits(&mut step, &prompts, batch.len(), 0)?;
        statistics.prefilled_tokens += batch.iter().map(|&job| jobs[job].tokens.len()).sum::<usize>();
        statistics.steps += 1;
        let mut live = vec![true; batch.len()];
        loop {
            // A row that has ended goes on with any token; the stock caches cannot drop it.
            let mut next = vec![0; batch.len()];
            for (row, &job) in batch.iter().enumerate().filter(|&(row, _)| live[row]).collect::<Vec<_>>() {
                let values = &logits[row * self.vocab..][..self.vocab];
                ensure!(
                    values.iter().all(|value| value.is_finite()),
                    "the model's logits at token {} are not numbers; its weights are damaged or too large for f32",
                    position + 1
                );
                let answer = consumers[job].consume(position, values)?;
                match jobs[job].tokens.get(position + 1).copied().or(answer) {
                    Some(token) => {
                        next[row] = token;
                        statistics.decoded_tokens += usize::from(position + 1 >= jobs[job].tokens.len());
                    }
                    None => {
                        live[row] = false;
                        finished(job, &mut consumers[job])?;
                    }
                }
            }
            if !live.contains(&true) {
                return Ok(());
            }
            position += 1;
            statistics.steps += 1;
            logits = self.logits(&mut step, &next, batch.len(), position)?;
        }
    }

    /// The model with empty caches, for sequences of up to so many tokens.
    fn open(&self, longest: usize) -> Result<Step> {
        let mut config = self.config.clone();
        if let Some(positions) = config.get_mut("max_position_embeddings") {
            *positions = longest.max(POSITIONS).min(self.context_length).into();
        }
        let weights = VarBuilder::from_backend(Box::new(self.tensors.clone()), DType::F32, Device::Cpu);
        (self.family.open)(&config, weights)
    }

    /// Logits behind the last of each row's `tokens`, row after row.
    fn logits(&self, step: &mut Step, tokens: &[u32], rows: usize, position: usize) -> Result<Vec<f32>> {
        let input = Tensor::from_slice(tokens, (rows, tokens.len() / rows), &Device::Cpu)?;
        let logits = step(&input, position)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        ensure!(
            logits.len() == rows * self.vocab,
            "{}: {} logits came for {rows} rows of {}",
            self.family.model_type,
            logits.len(),
            self.vocab
        );
        Ok(logits)
    }
}

fn read(config: &Value, file: &str) -> Result<(&'static Family, config::Read)> {
    let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or("(none)");
    let family = FAMILIES.iter().find(|family| family.model_type == model_type).with_context(|| {
        let known: Vec<&str> = FAMILIES.iter().map(|family| family.model_type).collect();
        format!("{file}: model_type is \"{model_type}\", which does not run here; these do: {}", known.join(", "))
    })?;
    Ok((family, config::read(config, family, file)?))
}
