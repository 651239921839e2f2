//! Runs jobs on whatever computes a model: the decoder on the CPU, or on an accelerator.

use anyhow::{Result, ensure};
use candle_core::Device;

use super::decoder::Decoder;
use super::decoder::config::Config;
use super::decoder::device::Accelerator;
use super::decoder::host::Host;
use super::decoder::weights::Weights;
use super::plan::{self, Consumer, Job, Limits, Statistics};
use super::precision::Precision;

pub enum Engine {
    Host(Decoder<Host>),
    Device(Decoder<Accelerator>),
}

impl Engine {
    pub fn load(config: Config, weights: Weights, device: &Device, precision: Precision) -> Result<Self> {
        Ok(match device {
            Device::Cpu => Engine::Host(Decoder::load(Host, config, weights, precision)?),
            device => Engine::Device(Decoder::load(Accelerator(device.clone()), config, weights, precision)?),
        })
    }

    pub fn config(&self) -> &Config {
        match self {
            Engine::Host(decoder) => decoder.config(),
            Engine::Device(decoder) => decoder.config(),
        }
    }

    /// `F32` or `Int8`.
    pub fn precision(&self) -> Precision {
        match self {
            Engine::Host(decoder) => decoder.precision(),
            Engine::Device(decoder) => decoder.precision(),
        }
    }

    /// As [`plan::run`].
    pub fn run<C: Consumer>(
        &self,
        jobs: &[Job],
        consumers: &mut [C],
        limits: Limits,
        finished: &mut dyn FnMut(usize, &mut C) -> Result<()>,
    ) -> Result<Statistics> {
        match self {
            Engine::Host(decoder) => plan::run(decoder, jobs, consumers, limits, finished),
            Engine::Device(decoder) => plan::run(decoder, jobs, consumers, limits, finished),
        }
    }

    /// What steps may use of `max_memory` bytes once the weights are there; all where it is none.
    pub fn limits(&self, batch_tokens: usize, max_memory: Option<u64>) -> Result<Limits> {
        let Some(memory) = max_memory else {
            return Ok(Limits { batch_tokens, kv_bytes: usize::MAX });
        };
        let config = self.config();
        let weights = config.weight_bytes(self.precision());
        // What a step needs beside: rows of activations, and logits.
        let step = batch_tokens * 4 * size_of::<f32>() * (config.mlp_width() + 4 * config.hidden)
            + plan::LOGIT_ROWS * config.vocab * size_of::<f32>();
        let kv_bytes = memory.saturating_sub((weights + step) as u64);
        let token = config.kv_bytes_per_token() as u64;
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
