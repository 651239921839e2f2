//! Runs a decoder over packed rows of any lengths.
//!
//! One `step` serves prefill, decoding and likelihood: each row continues its sequence at that sequence's own length,
//! nothing is padded, and a row's numbers do not depend on the other rows. On a GPU the matrix products run there and
//! attention on the host, over the same store of keys and values.

pub mod config;
pub mod kv;
mod linear;
pub mod weights;

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor};

use config::{Config, RopeScaling};
use kv::{KvStore, SeqId};
use linear::{Linear, gated_silu, with_values};
use weights::Weights;

use crate::model::kernel::AttentionShape;
use crate::model::precision::Precision;

pub struct Decoder {
    config: Config,
    device: Device,
    /// None when the output matrix serves as the embedding.
    embedding: Option<Linear>,
    layers: Vec<Layer>,
    norm: Tensor,
    head: Linear,
    inverse_frequencies: Vec<f32>,
    precision: Precision,
}

struct Layer {
    attention_norm: Tensor,
    /// q, k and v in one matrix.
    qkv: Linear,
    output: Linear,
    mlp_norm: Tensor,
    /// gate and up in one matrix.
    gate_up: Linear,
    down: Linear,
}

/// New tokens of one sequence.
pub struct Row<'a> {
    pub seq: SeqId,
    pub tokens: &'a [u32],
    /// Hidden states are wanted of the tokens from this index on; `tokens.len()` for none.
    pub want_from: usize,
}

impl Decoder {
    pub fn load(config: Config, mut weights: Weights, device: &Device, precision: Precision) -> Result<Self> {
        let (hidden, kv_width) = (config.hidden, config.kv_heads * config.head_dim);
        let q_width = config.heads * config.head_dim;
        let vector = |values: Vec<f32>| -> Result<Tensor> {
            let length = values.len();
            Ok(Tensor::from_vec(values, length, device)?)
        };
        let mut layers = Vec::with_capacity(config.layers);
        for index in 0..config.layers {
            let name = |part: &str| format!("model.layers.{index}.{part}");
            // Several matrices with the same input are one: their outputs lie side by side.
            let mut stack = |parts: &[(&str, usize)], inp: usize, has_bias: bool| -> Result<Linear> {
                let (mut matrix, mut bias) = (Vec::new(), Vec::new());
                for &(part, out) in parts {
                    matrix.extend(weights.take(&name(&format!("{part}.weight")), &[out, inp])?);
                    if has_bias {
                        bias.extend(weights.take(&name(&format!("{part}.bias")), &[out])?);
                    }
                }
                let out = parts.iter().map(|(_, out)| out).sum();
                Linear::new(&matrix, has_bias.then_some(bias), out, inp, device)
            };
            let qkv_parts =
                [("self_attn.q_proj", q_width), ("self_attn.k_proj", kv_width), ("self_attn.v_proj", kv_width)];
            let gate_up_parts = [("mlp.gate_proj", config.intermediate), ("mlp.up_proj", config.intermediate)];
            let qkv = stack(&qkv_parts, hidden, config.attention_bias)?;
            let output = stack(&[("self_attn.o_proj", hidden)], q_width, config.attention_bias)?;
            let gate_up = stack(&gate_up_parts, hidden, config.mlp_bias)?;
            let down = stack(&[("mlp.down_proj", hidden)], config.intermediate, config.mlp_bias)?;
            layers.push(Layer {
                attention_norm: vector(weights.take(&name("input_layernorm.weight"), &[hidden])?)?,
                qkv,
                output,
                mlp_norm: vector(weights.take(&name("post_attention_layernorm.weight"), &[hidden])?)?,
                gate_up,
                down,
            });
        }
        let norm = vector(weights.take("model.norm.weight", &[hidden])?)?;
        let embedding = weights.take("model.embed_tokens.weight", &[config.vocab, hidden])?;
        let embedding = Linear::new(&embedding, None, config.vocab, hidden, device)?;
        let (embedding, head) = if config.tied {
            (None, embedding)
        } else {
            let head = weights.take("lm_head.weight", &[config.vocab, hidden])?;
            (Some(embedding), Linear::new(&head, None, config.vocab, hidden, device)?)
        };
        let factors = match config.rope_scaling {
            RopeScaling::Factors => Some(weights.rope_factors(config.head_dim / 2)?),
            _ => None,
        };
        let inverse_frequencies = config.inverse_frequencies(factors.as_deref());
        weights.finish()?;
        let precision = precision.resolve(config.parameters());
        Ok(Self { precision, config, device: device.clone(), embedding, layers, norm, head, inverse_frequencies })
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// `F32` or `Int8`.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    pub fn new_store(&self) -> KvStore {
        KvStore::new(self.config.layers, self.config.kv_heads, self.config.head_dim)
    }

    /// Runs the rows' tokens and returns the normed hidden states that are wanted, (wanted, hidden), in the order of the
    /// rows; `None` when none is. A sequence may stand in one row only.
    pub fn step(&self, kv: &mut KvStore, rows: &[Row<'_>]) -> Result<Option<Tensor>> {
        let tokens: Vec<u32> = rows.iter().flat_map(|row| row.tokens).copied().collect();
        ensure!(!tokens.is_empty(), "a step needs at least one token");
        let (heads, kv_heads, head_dim) = (self.config.heads, self.config.kv_heads, self.config.head_dim);
        let (q_width, kv_width) = (heads * head_dim, kv_heads * head_dim);
        let positions: Vec<usize> = rows.iter().flat_map(|row| (kv.len(row.seq)..).take(row.tokens.len())).collect();
        let (cos, sin) = self.rotations(&positions)?;
        let scale = (1.0 / (head_dim as f64).sqrt()) as f32;
        let shape = AttentionShape { heads, kv_heads, head_dim, scale, softcap: None, window: None };
        let new: Vec<(SeqId, usize)> = rows.iter().map(|row| (row.seq, row.tokens.len())).collect();
        let mut x = self.embedding.as_ref().unwrap_or(&self.head).rows(&tokens, &self.device)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let normed = self.rms_norm(&x, &layer.attention_norm)?;
            let qkv = layer.qkv.forward(&normed)?;
            let rotate = |from: usize, heads: usize| -> Result<Tensor> {
                let part = qkv.narrow(1, from, heads * head_dim)?.contiguous()?;
                let part = part.reshape((1, tokens.len(), heads, head_dim))?;
                Ok(candle_nn::rotary_emb::rope_thd(&part, &cos, &sin)?)
            };
            let q = rotate(0, heads)?;
            let k = rotate(q_width, kv_heads)?;
            let v = qkv.narrow(1, q_width + kv_width, kv_width)?;
            with_values(&k, |k| with_values(&v, |v| kv.store(index, &new, k, v)))??;
            let mut attended = vec![0.0; tokens.len() * q_width];
            with_values(&q, |q| kv.attend(index, &shape, &new, q, &mut attended))??;
            let attended = Tensor::from_vec(attended, (tokens.len(), q_width), &self.device)?;
            x = (x + layer.output.forward(&attended)?)?;
            let normed = self.rms_norm(&x, &layer.mlp_norm)?;
            let gated = gated_silu(&layer.gate_up.forward(&normed)?, self.config.intermediate)?;
            x = (x + layer.down.forward(&gated)?)?;
        }
        for row in rows {
            kv.advance(row.seq, row.tokens.len());
        }
        let mut wanted = Vec::new();
        let mut first = 0;
        for row in rows {
            wanted.extend((row.want_from..row.tokens.len()).map(|i| (first + i) as u32));
            first += row.tokens.len();
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        let count = wanted.len();
        let x = x.index_select(&Tensor::from_vec(wanted, count, &self.device)?, 0)?;
        Ok(Some(self.rms_norm(&x, &self.norm)?))
    }

    /// Logits of normed hidden states: (rows, hidden) → `f(values of (rows, vocab), f32)`.
    pub fn logits<R>(&self, hidden: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
        with_values(&self.head.forward(hidden)?, f)
    }

    fn rms_norm(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        Ok(candle_nn::ops::rms_norm(x, weight, self.config.norm_eps as f32)?)
    }

    /// cos and sin of the angles at these positions, (tokens, head_dim / 2), always in f32.
    fn rotations(&self, positions: &[usize]) -> Result<(Tensor, Tensor)> {
        let half = self.inverse_frequencies.len();
        let angles = positions.iter().flat_map(|&p| self.inverse_frequencies.iter().map(move |f| p as f32 * f));
        let (cos, sin): (Vec<f32>, Vec<f32>) = angles.map(|angle| (angle.cos(), angle.sin())).unzip();
        let shape = (positions.len(), half);
        Ok((Tensor::from_vec(cos, shape, &self.device)?, Tensor::from_vec(sin, shape, &self.device)?))
    }
}
