//! Describes a decoder: what the forward pass must know of an architecture, as flags and numbers.
//!
//! A family is a way to fill this in, from config.json (`families`) or from GGUF metadata (`gguf`); the forward pass
//! never asks for a family's name.

use anyhow::{Result, ensure};

use super::rope::Rotary;
use crate::model::precision::Precision;

/// Everything that the forward pass needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The name that the checkpoint gives its architecture, e.g. `llama`.
    pub architecture: String,
    pub vocab: usize,
    pub hidden: usize,
    pub heads: usize,
    /// Heads of keys and values, which `heads / kv_heads` query heads share (Ainslie et al. 2023).
    pub kv_heads: usize,
    pub head_dim: usize,
    pub intermediate: usize,
    /// Longest sequence in tokens.
    pub context_length: usize,
    pub norm: NormKind,
    pub norm_eps: f64,
    pub placement: Placement,
    /// A norm behind the last layer.
    pub final_norm: bool,
    pub query_key_norm: QueryKeyNorm,
    /// The rotary embeddings that layers choose from.
    pub rotaries: Vec<Rotary>,
    /// A learned vector for each position, this many rows after the first; none with rotary embeddings.
    pub learned_positions: Option<LearnedPositions>,
    pub layers: Vec<LayerConfig>,
    /// `cap · tanh(score / cap)` before the softmax (Gemma 2).
    pub attention_softcap: Option<f32>,
    pub activation: Activation,
    /// The activated half gates the other: down(act(gate) · up).
    pub gated: bool,
    pub biases: Biases,
    /// Factor on embeddings (Gemma: √hidden; Granite).
    pub embedding_scale: f32,
    /// Width of the embedding where it differs from `hidden` and is projected (OPT-350m).
    pub embedding_width: usize,
    /// Factor on what a block adds to the residual stream (Granite).
    pub residual_scale: f32,
    /// Factor on the logits (Granite).
    pub logit_scale: f32,
    /// `cap · tanh(logit / cap)` (Gemma 2).
    pub logit_softcap: Option<f32>,
    /// The output matrix is the embedding.
    pub tied: bool,
    /// Beyond so many tokens a sequence is rotated by other frequencies, all of it (LongRoPE, Ding et al. 2024); the index
    /// into `rotaries` shifts by one.
    pub long_from: Option<usize>,
}

/// What differs between the layers of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerConfig {
    /// A query sees this many keys, its own included; all when none.
    pub window: Option<usize>,
    /// Index into [`Config::rotaries`]; none where positions are learned, or the layer has none (SmolLM3).
    pub rotary: Option<usize>,
    /// Factor on q·k, usually 1/√head_dim.
    pub scale: f32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// x / √(mean x² + ε) · w (Zhang & Sennrich 2019).
    Rms,
    /// The same with 1 + w, as Gemma stores it.
    RmsOffset,
    /// (x − mean) / √(variance + ε) · w + b (Ba et al. 2016).
    Layer,
}

/// Where a block's norms stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// x + f(norm x)
    Pre,
    /// x + norm f(norm x) (Gemma 2 and 3)
    Sandwich,
    /// x + norm f(x) (OLMo 2)
    PostBranch,
    /// norm(x + f(x)) (OPT-350m, the first transformers)
    PostResidual,
    /// x + attention(norm x) + mlp(norm' x) (GPT-NeoX)
    Parallel,
}

/// RMS norm of queries and keys before they are rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryKeyNorm {
    None,
    /// Each head by itself (Qwen3, Gemma 3).
    Head,
    /// All heads together (OLMo 2).
    Width,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LearnedPositions {
    /// Rows of the table.
    pub rows: usize,
    /// Row of position 0 (OPT: 2).
    pub offset: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    Silu,
    /// Exact, with erf.
    Gelu,
    /// The tanh form (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
    Relu,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Biases {
    pub qkv: bool,
    pub output: bool,
    pub mlp: bool,
}

impl Config {
    pub fn q_width(&self) -> usize {
        self.heads * self.head_dim
    }

    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Rows of the matrix that feeds the activation.
    pub fn mlp_width(&self) -> usize {
        self.intermediate * if self.gated { 2 } else { 1 }
    }

    /// Weights in matrices; norms, biases and positions left out.
    pub fn parameters(&self) -> usize {
        let attention = 2 * self.q_width() + 2 * self.kv_width();
        let layer = self.hidden * (attention + self.mlp_width() + self.intermediate);
        let embedding = self.vocab * self.embedding_width;
        let projections = if self.embedding_width == self.hidden { 0 } else { 2 * self.embedding_width * self.hidden };
        self.layers.len() * layer + embedding * if self.tied { 1 } else { 2 } + projections
    }

    /// Bytes of keys and values that a token keeps.
    pub fn kv_bytes_per_token(&self) -> usize {
        self.layers.len() * 2 * self.kv_width() * size_of::<f32>()
    }

    /// Bytes that the matrices take in memory, about.
    pub fn weight_bytes(&self, precision: Precision) -> usize {
        match precision {
            // A scale for every 32 weights.
            Precision::Int8 => self.parameters() / 8 * 9,
            _ => self.parameters() * size_of::<f32>(),
        }
    }

    /// Whether a sequence of so many tokens is rotated by the long frequencies.
    pub fn is_long(&self, tokens: usize) -> bool {
        self.long_from.is_some_and(|limit| tokens > limit)
    }

    /// Errs on numbers that no model can have; `file` is the source's name in messages.
    pub(super) fn checked(self, file: &str) -> Result<Self> {
        // Far above any model, and small enough that no product of them overflows.
        const WIDTH: usize = 1 << 20;
        for (what, value, limit) in [
            ("vocabulary", self.vocab, 1 << 26),
            ("hidden size", self.hidden, WIDTH),
            ("number of layers", self.layers.len(), 10_000),
            ("number of heads", self.heads, WIDTH),
            ("number of key/value heads", self.kv_heads, WIDTH),
            ("head size", self.head_dim, WIDTH),
            ("width of all heads", self.heads.saturating_mul(self.head_dim), WIDTH),
            ("intermediate size", self.intermediate, WIDTH),
            ("context length", self.context_length, 1 << 32),
            ("embedding size", self.embedding_width, WIDTH),
        ] {
            ensure!(value > 0, "{file}: the model's {what} is 0; the file is damaged");
            ensure!(value < limit, "{file}: the model's {what} is {value}; no model has that, the file is damaged");
        }
        ensure!(
            self.heads.is_multiple_of(self.kv_heads),
            "{file}: {} heads cannot share {} key/value heads; the file is damaged",
            self.heads,
            self.kv_heads
        );
        for rotary in &self.rotaries {
            ensure!(
                rotary.dimensions() <= self.head_dim,
                "{file}: {} dimensions are rotated, but a head has only {}",
                rotary.dimensions(),
                self.head_dim
            );
        }
        ensure!(
            self.layers.iter().all(|layer| layer.window != Some(0)),
            "{file}: a sliding window of 0 tokens sees nothing; the file is damaged"
        );
        ensure!(
            self.norm_eps >= 0.0 && self.norm_eps < 1.0,
            "{file}: a norm's epsilon of {} is damaged",
            self.norm_eps
        );
        Ok(self)
    }
}
