//! Reads a decoder's shape from config.json or GGUF metadata.
//!
//! Both spellings of config.json are understood: older checkpoints (`rope_theta`, `rope_scaling`) and transformers 5
//! (`rope_parameters`). What this version cannot compute exactly is refused by name.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::model::gguf::Metadata;

/// Everything that the forward pass needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub architecture: String,
    pub vocab: usize,
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    pub intermediate: usize,
    pub norm_eps: f64,
    pub rope_theta: f64,
    pub rope_scaling: RopeScaling,
    /// The output matrix is the embedding.
    pub tied: bool,
    /// Longest sequence in tokens.
    pub context_length: usize,
    /// q, k, v and o projections have biases.
    pub attention_bias: bool,
    /// gate, up and down projections have biases.
    pub mlp_bias: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    None,
    /// Llama 3.1: wavelengths above `original / low` are stretched by `factor`, those below `original / high` kept,
    /// and blended in between.
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original: f64,
    },
    /// Divisors of the inverse frequencies, as GGUF stores them in `rope_freqs.weight`.
    Factors,
}

/// Architectures of config.json's `model_type` that the decoder computes.
const SUPPORTED: &str = "llama";

impl Config {
    /// Reads config.json; `file` is its name in messages.
    pub fn from_json(json: &Value, file: &str) -> Result<Self> {
        let model_type = json.get("model_type").and_then(Value::as_str).unwrap_or("(none)");
        ensure!(
            model_type == SUPPORTED,
            "{file}: model_type is \"{model_type}\", which this version cannot run; it runs the {SUPPORTED} family \
             (Llama 1–3, SmolLM, SmolLM2, TinyLlama): choose such a model"
        );
        let number = |key: &str| -> Result<usize> {
            let value = json.get(key).with_context(|| format!("{file}: \"{key}\" is missing"))?;
            value
                .as_u64()
                .map(|n| n as usize)
                .with_context(|| format!("{file}: \"{key}\" is {value}, not a whole number"))
        };
        let flag = |key: &str| json.get(key).and_then(Value::as_bool).unwrap_or(false);
        let present = |key: &str| json.get(key).filter(|v| !v.is_null());
        let activation = json.get("hidden_act").and_then(Value::as_str).unwrap_or("silu");
        ensure!(activation == "silu", "{file}: hidden_act is \"{activation}\"; a llama model has \"silu\"");
        let heads = number("num_attention_heads")?;
        let hidden = number("hidden_size")?;
        let rope = present("rope_parameters").or_else(|| present("rope_scaling"));
        let rope_theta = present("rope_theta")
            .or_else(|| rope.and_then(|r| r.get("rope_theta")))
            .and_then(Value::as_f64)
            .unwrap_or(10_000.0);
        let config = Self {
            architecture: SUPPORTED.into(),
            vocab: number("vocab_size")?,
            hidden,
            layers: number("num_hidden_layers")?,
            heads,
            kv_heads: if present("num_key_value_heads").is_some() { number("num_key_value_heads")? } else { heads },
            head_dim: if present("head_dim").is_some() { number("head_dim")? } else { hidden / heads.max(1) },
            intermediate: number("intermediate_size")?,
            norm_eps: json.get("rms_norm_eps").and_then(Value::as_f64).unwrap_or(1e-6),
            rope_theta,
            rope_scaling: rope_scaling(rope, file)?,
            tied: flag("tie_word_embeddings"),
            context_length: number("max_position_embeddings")?,
            attention_bias: flag("attention_bias"),
            mlp_bias: flag("mlp_bias"),
        };
        config.checked(file)
    }

    /// Reads GGUF metadata; `has` tells which tensors the file holds.
    pub fn from_gguf(metadata: &Metadata, vocab: usize, has: impl Fn(&str) -> bool) -> Result<Self> {
        let architecture = metadata.string("general.architecture")?;
        ensure!(
            architecture == SUPPORTED,
            "{}: its architecture is \"{architecture}\", which this version cannot run; it runs the {SUPPORTED} family \
             (Llama 1–3, SmolLM, SmolLM2, TinyLlama): choose such a model",
            metadata.file()
        );
        let key = |name: &str| format!("{architecture}.{name}");
        let heads = metadata.number(&key("attention.head_count"))?;
        let hidden = metadata.number(&key("embedding_length"))?;
        let head_dim = match metadata.get(&key("attention.key_length")) {
            Some(_) => metadata.number(&key("attention.key_length"))?,
            None => hidden / heads.max(1),
        };
        if metadata.get(&key("rope.dimension_count")).is_some() {
            let rotated = metadata.number(&key("rope.dimension_count"))?;
            ensure!(
                rotated == head_dim,
                "{}: rotates {rotated} of {head_dim} dimensions, which this version cannot compute",
                metadata.file()
            );
        }
        if let Ok(kind) = metadata.string(&key("rope.scaling.type")) {
            ensure!(
                kind == "none",
                "{}: rope scaling \"{kind}\" is not supported by this version; choose a file without it",
                metadata.file()
            );
        }
        let config = Self {
            architecture: architecture.to_owned(),
            vocab,
            hidden,
            layers: metadata.number(&key("block_count"))?,
            heads,
            kv_heads: match metadata.get(&key("attention.head_count_kv")) {
                Some(_) => metadata.number(&key("attention.head_count_kv"))?,
                None => heads,
            },
            head_dim,
            intermediate: metadata.number(&key("feed_forward_length"))?,
            norm_eps: metadata.real(&key("attention.layer_norm_rms_epsilon"))?,
            rope_theta: metadata.real(&key("rope.freq_base")).unwrap_or(10_000.0),
            rope_scaling: if has("rope_freqs.weight") { RopeScaling::Factors } else { RopeScaling::None },
            tied: !has("output.weight"),
            context_length: metadata.number(&key("context_length"))?,
            attention_bias: has("blk.0.attn_q.bias"),
            mlp_bias: has("blk.0.ffn_gate.bias"),
        };
        config.checked(metadata.file())
    }

    /// Weights in matrices, norms left out.
    pub fn parameters(&self) -> usize {
        let (q, kv) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let layer = self.hidden * (2 * q + 2 * kv + 3 * self.intermediate);
        self.layers * layer + self.vocab * self.hidden * if self.tied { 1 } else { 2 }
    }

    /// Bytes of keys and values that a token keeps.
    pub fn kv_bytes_per_token(&self) -> usize {
        self.layers * 2 * self.kv_heads * self.head_dim * size_of::<f32>()
    }

    fn checked(self, file: &str) -> Result<Self> {
        for (what, value) in [
            ("vocabulary", self.vocab),
            ("hidden size", self.hidden),
            ("layers", self.layers),
            ("heads", self.heads),
            ("key/value heads", self.kv_heads),
            ("head size", self.head_dim),
            ("intermediate size", self.intermediate),
            ("context length", self.context_length),
        ] {
            ensure!(value > 0, "{file}: the model's {what} is 0; the file is damaged");
        }
        ensure!(
            self.heads.is_multiple_of(self.kv_heads),
            "{file}: {} heads cannot share {} key/value heads",
            self.heads,
            self.kv_heads
        );
        ensure!(self.head_dim.is_multiple_of(2), "{file}: a head size of {} cannot be rotated", self.head_dim);
        Ok(self)
    }

    /// Inverse frequencies θ^(−2i/d) of the rotary embedding (Su et al. 2021), scaled; `factors` are GGUF's divisors.
    pub fn inverse_frequencies(&self, factors: Option<&[f32]>) -> Vec<f32> {
        let half = self.head_dim / 2;
        (0..half)
            .map(|i| {
                let base = self.rope_theta.powf(-((2 * i) as f64) / self.head_dim as f64);
                let scaled = match (&self.rope_scaling, factors) {
                    (RopeScaling::Llama3 { factor, low, high, original }, _) => {
                        let wavelength = 2.0 * std::f64::consts::PI / base;
                        if wavelength < original / high {
                            base
                        } else if wavelength > original / low {
                            base / factor
                        } else {
                            let smooth = (original / wavelength - low) / (high - low);
                            (1.0 - smooth) * base / factor + smooth * base
                        }
                    }
                    (RopeScaling::Factors, Some(factors)) => base / f64::from(factors[i]),
                    _ => base,
                };
                scaled as f32
            })
            .collect()
    }
}

fn rope_scaling(rope: Option<&Value>, file: &str) -> Result<RopeScaling> {
    let Some(rope) = rope else { return Ok(RopeScaling::None) };
    let kind = rope.get("rope_type").or_else(|| rope.get("type")).and_then(Value::as_str).unwrap_or("default");
    let number = |key: &str| {
        rope.get(key).and_then(Value::as_f64).with_context(|| format!("{file}: rope scaling lacks \"{key}\""))
    };
    match kind {
        "default" => Ok(RopeScaling::None),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: number("factor")?,
            low: number("low_freq_factor")?,
            high: number("high_freq_factor")?,
            original: number("original_max_position_embeddings")?,
        }),
        other => {
            bail!("{file}: rope scaling \"{other}\" is not supported by this version; it knows default and llama3")
        }
    }
}
