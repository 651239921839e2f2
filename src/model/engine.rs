//! Runs jobs on whatever computes a model: the decoder on the CPU or on an accelerator, or a model of candle-transformers.

use std::path::PathBuf;

use anyhow::ensure;
use candle_core::Device;
use serde_json::Value;

use super::decoder::Decoder;
use super::decoder::config::Config;
use super::decoder::device::Accelerator;
use super::decoder::host::Host;
use super::decoder::weights::Weights;
use super::device;
use super::fallback::FallbackModel;
use super::plan::{self, Consumer, Job, Limits, Statistics};
use super::precision::Precision;

pub enum Engine {
    Host(Box<Decoder<Host>>),
    Device(Box<Decoder<Accelerator>>),
    Fallback(FallbackModel),
}

impl Engine {
    pub fn load(config: Config, weights: Weights, device: &Device, precision: Precision) -> anyhow::Result<Self> {
        Ok(match device {
            Device::Cpu => Engine::Host(Box::new(Decoder::load(Host, config, weights, precision)?)),
            device => Engine::Device(Box::new(Decoder::load(Accelerator(device.clone()), config, weights, precision)?)),
        })
    }

    /// A model of candle-transformers, which runs in f32 on the CPU; `file` names config.json in messages.
    pub fn fallback(
        config: &Value,
        file: &str,
        weights: &[PathBuf],
        device: &Device,
        precision: Precision,
    ) -> anyhow::Result<Self> {
        ensure!(matches!(device, Device::Cpu), "{file}: this architecture runs on the CPU only; take --device cpu");
        ensure!(
            precision != Precision::Int8,
            "{file}: this architecture runs in f32 only; leave --precision out, or take f32"
        );
        Ok(Engine::Fallback(FallbackModel::load(config, file, weights)?))
    }

    /// The own decoder's configuration, or else the model that runs in its place.
    fn shape(&self) -> Result<&Config, &FallbackModel> {
        match self {
            Engine::Host(decoder) => Ok(decoder.config()),
            Engine::Device(decoder) => Ok(decoder.config()),
            Engine::Fallback(model) => Err(model),
        }
    }

    /// As `model_type` of config.json.
    pub fn architecture(&self) -> &str {
        match self.shape() {
            Ok(config) => &config.architecture,
            Err(model) => model.architecture(),
        }
    }

    /// `cpu`, `cuda` or `metal`
    pub fn device(&self) -> &'static str {
        match self {
            Engine::Host(_) | Engine::Fallback(_) => "cpu",
            Engine::Device(decoder) => device::kind(decoder.device()),
        }
    }

    /// Longest sequence in tokens.
    pub fn context_length(&self) -> usize {
        self.shape().map_or_else(FallbackModel::context_length, |config| config.context_length)
    }

    /// Tokens that the model knows.
    pub fn vocab(&self) -> usize {
        self.shape().map_or_else(FallbackModel::vocab, |config| config.vocab)
    }

    pub fn kv_bytes_per_token(&self) -> usize {
        self.shape().map_or_else(FallbackModel::kv_bytes_per_token, Config::kv_bytes_per_token)
    }

    /// Whether an answer's bits depend on nothing beside it.
    pub fn is_batch_invariant(&self) -> bool {
        matches!(self, Engine::Host(_))
    }

    /// `F32` or `Int8`.
    pub fn precision(&self) -> Precision {
        match self {
            Engine::Host(decoder) => decoder.precision(),
            Engine::Device(decoder) => decoder.precision(),
            Engine::Fallback(_) => Precision::F32,
        }
    }

    /// As [`plan::run`].
    pub fn run<C: Consumer>(
        &self,
        jobs: &[Job],
        consumers: &mut [C],
        limits: Limits,
        finished: &mut dyn FnMut(usize, &mut C) -> anyhow::Result<()>,
    ) -> anyhow::Result<Statistics> {
        match self {
            Engine::Host(decoder) => plan::run(decoder, jobs, consumers, limits, finished),
            Engine::Device(decoder) => plan::run(decoder, jobs, consumers, limits, finished),
            Engine::Fallback(model) => model.run(jobs, consumers, limits, finished),
        }
    }

    /// What steps may use of `max_memory` bytes once the weights are there; all where it is none.
    pub fn limits(&self, batch_tokens: usize, max_memory: Option<u64>) -> anyhow::Result<Limits> {
        let Some(memory) = max_memory else {
            return Ok(Limits { batch_tokens, kv_bytes: usize::MAX });
        };
        // Bytes of the weights, and the numbers that a token's activations come to at once.
        let (weights, width) = match self.shape() {
            Ok(config) => (config.weight_bytes(self.precision()), config.mlp_width() + 4 * config.hidden),
            Err(model) => (model.parameters() * size_of::<f32>(), model.width()),
        };
        // What a step needs beside: rows of activations, and logits.
        let step = batch_tokens * 4 * size_of::<f32>() * width + plan::LOGIT_ROWS * self.vocab() * size_of::<f32>();
        let kv_bytes = memory.saturating_sub((weights + step) as u64);
        let token = self.kv_bytes_per_token() as u64;
        ensure!(
            kv_bytes >= 16 * token,
            "--max-memory of {} MiB is too little: the weights take {} MiB, a step of {batch_tokens} tokens {} MiB; allow \
             more, or lower --batch-tokens{}",
            memory >> 20,
            weights >> 20,
            step >> 20,
            if self.precision() == Precision::F32 { ", or take --precision int8" } else { "" }
        );
        Ok(Limits { batch_tokens, kv_bytes: usize::try_from(kv_bytes).unwrap_or(usize::MAX) })
    }
}
