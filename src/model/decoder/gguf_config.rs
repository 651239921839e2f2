//! Reads a decoder's configuration from GGUF metadata, as llama.cpp's converter writes it.
//!
//! What the format leaves to the program (which layers have a window or no rotary embedding, how Gemma scales) is what
//! the models' own configurations say.

use anyhow::{Context, Result, bail, ensure};

use super::config::{Activation, Biases, Config, LayerConfig, LearnedPositions, NormKind, Placement, QueryKeyNorm};
use super::rope::{Rotary, Scaling};
use crate::model::gguf::Gguf;

/// An architecture of `general.architecture`.
pub struct GgufArchitecture {
    pub name: &'static str,
    /// The same family's `model_type` in config.json.
    pub model_type: &'static str,
    /// Rows of q and k lie in llama.cpp's order: dimensions i and i + d/2 of a head side by side.
    pub permuted: bool,
}

pub const ARCHITECTURES: &[GgufArchitecture] = &[
    GgufArchitecture { name: "llama", model_type: "llama", permuted: true },
    GgufArchitecture { name: "smollm3", model_type: "smollm3", permuted: true },
    GgufArchitecture { name: "granite", model_type: "granite", permuted: true },
    GgufArchitecture { name: "qwen2", model_type: "qwen2", permuted: false },
    GgufArchitecture { name: "qwen3", model_type: "qwen3", permuted: false },
    GgufArchitecture { name: "gemma2", model_type: "gemma2", permuted: false },
    GgufArchitecture { name: "gemma3", model_type: "gemma3_text", permuted: false },
    GgufArchitecture { name: "phi3", model_type: "phi3", permuted: false },
    GgufArchitecture { name: "olmo2", model_type: "olmo2", permuted: false },
    GgufArchitecture { name: "gpt2", model_type: "gpt2", permuted: false },
    GgufArchitecture { name: "gptneox", model_type: "gpt_neox", permuted: false },
];

/// Reads the metadata of an open file, and with it the small tensors that hold rotary factors.
pub fn from_gguf(gguf: &Gguf) -> Result<Config> {
    let metadata = gguf.metadata().clone();
    let file = metadata.file();
    let name = metadata.string("general.architecture")?;
    let architecture = ARCHITECTURES.iter().find(|known| known.name == name).with_context(|| {
        let known: Vec<&str> = ARCHITECTURES.iter().map(|known| known.name).collect();
        format!(
            "{file}: its architecture is \"{name}\", which this version cannot run; it runs {}: choose such a model",
            known.join(", ")
        )
    })?;
    let key = |part: &str| format!("{name}.{part}");
    let number = |part: &str| metadata.number(&key(part));
    let number_or =
        |part: &str, default: usize| if metadata.get(&key(part)).is_some() { number(part) } else { Ok(default) };
    let real =
        |part: &str| -> Result<Option<f64>> { metadata.get(&key(part)).map(|_| metadata.real(&key(part))).transpose() };
    let vocab = gguf.shape("token_embd.weight").map_or(0, |shape| shape[0]);
    let (hidden, heads) = (number("embedding_length")?, number("attention.head_count")?);
    let head_dim = number_or("attention.key_length", hidden / heads.max(1))?;
    ensure!(
        number_or("attention.value_length", head_dim)? == head_dim,
        "{file}: keys and values of different sizes are not supported"
    );
    let count = number("block_count")?;
    ensure!(count < 10_000, "{file}: {count} layers; the file is damaged");
    let layer_norm = matches!(name, "gpt2" | "gptneox");
    let gemma = matches!(name, "gemma2" | "gemma3");
    let eps = if layer_norm { "attention.layer_norm_epsilon" } else { "attention.layer_norm_rms_epsilon" };
    let window = if metadata.get(&key("attention.sliding_window")).is_some() {
        Some(number("attention.sliding_window")?).filter(|&window| window > 0)
    } else {
        None
    };
    // The largest Gemmas scale by the width of a head as if heads filled the hidden size.
    let largest_gemma = (name == "gemma2" && count == 46) || (name == "gemma3" && count == 62);
    let scale = match real("attention.scale")? {
        Some(scale) => scale as f32,
        None => ((if largest_gemma { hidden / heads.max(1) } else { head_dim }) as f64).powf(-0.5) as f32,
    };
    let theta = real("rope.freq_base")?.unwrap_or(10_000.0);
    let (mut rotaries, long_from) = match name {
        "gpt2" => (Vec::new(), None),
        _ => rotaries(gguf, name, number_or("rope.dimension_count", head_dim)?, theta)?,
    };
    let layer = |index: usize| {
        let window = window.filter(|_| match name {
            "gemma2" => index.is_multiple_of(2),
            "gemma3" => !(index + 1).is_multiple_of(6),
            _ => true,
        });
        let rotary = match name {
            "gpt2" => None,
            "gemma3" => Some(usize::from(window.is_some())),
            "smollm3" => Some(0).filter(|_| !(index + 1).is_multiple_of(4)),
            _ => Some(0),
        };
        LayerConfig { window, rotary, scale }
    };
    let layers = (0..count).map(layer).collect();
    if name == "gemma3" {
        rotaries.push(Rotary::new(head_dim, real("rope.freq_base_swa")?.unwrap_or(10_000.0), &Scaling::None));
    }
    let has = |tensor: &str| gguf.has(tensor);
    let biased = |tensors: &[&str]| tensors.iter().any(|tensor| has(&format!("blk.0.{tensor}.bias")));
    let config = Config {
        architecture: architecture.model_type.to_owned(),
        vocab,
        hidden,
        heads,
        kv_heads: number_or("attention.head_count_kv", heads)?,
        head_dim,
        intermediate: number("feed_forward_length")?,
        context_length: number("context_length")?,
        // The converter has added Gemma's 1 already.
        norm: if layer_norm { NormKind::Layer } else { NormKind::Rms },
        norm_eps: metadata.real(&key(eps))?,
        placement: match name {
            "gemma2" | "gemma3" => Placement::Sandwich,
            "olmo2" => Placement::PostBranch,
            "gptneox" if metadata.flag(&key("use_parallel_residual")).unwrap_or(true) => Placement::Parallel,
            _ => Placement::Pre,
        },
        final_norm: true,
        query_key_norm: match name {
            "qwen3" | "gemma3" => QueryKeyNorm::Head,
            "olmo2" => QueryKeyNorm::Width,
            _ => QueryKeyNorm::None,
        },
        rotaries,
        learned_positions: match name {
            "gpt2" => Some(LearnedPositions { rows: number("context_length")?, offset: 0 }),
            _ => None,
        },
        layers,
        attention_softcap: match name {
            "gemma2" => Some(real("attn_logit_softcapping")?.unwrap_or(50.0) as f32),
            _ => None,
        },
        activation: match name {
            "gemma2" | "gemma3" | "gpt2" => Activation::GeluTanh,
            "gptneox" => Activation::Gelu,
            _ => Activation::Silu,
        },
        gated: !layer_norm,
        biases: Biases {
            qkv: biased(&["attn_q", "attn_qkv"]),
            output: biased(&["attn_output"]),
            mlp: biased(&["ffn_up", "ffn_gate"]),
        },
        embedding_scale: match real("embedding_scale")? {
            Some(scale) => scale as f32,
            None if gemma => (hidden as f64).sqrt() as f32,
            None => 1.0,
        },
        embedding_width: hidden,
        residual_scale: real("residual_scale")?.unwrap_or(1.0) as f32,
        logit_scale: real("logit_scale")?.map_or(1.0, |scale| (1.0 / scale) as f32),
        logit_softcap: match name {
            "gemma2" => Some(real("final_logit_softcapping")?.unwrap_or(30.0) as f32),
            _ => None,
        },
        tied: !has("output.weight"),
        long_from,
    };
    config.checked(file)
}

/// The rotary embeddings: one, or two where the file holds factors for long sequences.
fn rotaries(gguf: &Gguf, name: &str, dimensions: usize, theta: f64) -> Result<(Vec<Rotary>, Option<usize>)> {
    let metadata = gguf.metadata().clone();
    let file = metadata.file();
    ensure!(theta > 1.0, "{file}: a rotary base of {theta} is damaged");
    ensure!(dimensions < 1 << 16, "{file}: {dimensions} dimensions of a head are rotated; the file is damaged");
    let key = |part: &str| format!("{name}.rope.scaling.{part}");
    let (has_long, has_factors) = (gguf.has("rope_factors_long.weight"), gguf.has("rope_freqs.weight"));
    let original = |file: &str| -> Result<f64> {
        let original = metadata.number(&key("original_context_length"));
        Ok(original.with_context(|| format!("{file}: the original context length is needed"))? as f64)
    };
    let divided = |tensor: &str, attention_factor: f64| -> Result<Rotary> {
        let (divisors, _) = gguf.tensor(tensor)?;
        ensure!(
            divisors.len() == dimensions / 2 && divisors.iter().all(|v| v.is_finite() && *v > 0.0),
            "{file}: tensor {tensor} does not hold {} positive factors; the file is damaged",
            dimensions / 2
        );
        Ok(Rotary::new(dimensions, theta, &Scaling::Factors { divisors, attention_factor }))
    };
    if has_long {
        let original = original(file)?;
        let factor = metadata.number(&format!("{name}.context_length"))? as f64 / original;
        let attention_factor = match metadata.real(&key("attn_factor")) {
            Ok(given) => given,
            Err(_) if factor <= 1.0 => 1.0,
            Err(_) => (1.0 + factor.ln() / original.ln()).sqrt(),
        };
        let short = divided("rope_factors_short.weight", attention_factor)?;
        return Ok((vec![short, divided("rope_factors_long.weight", attention_factor)?], Some(original as usize)));
    }
    if has_factors {
        return Ok((vec![divided("rope_freqs.weight", 1.0)?], None));
    }
    let factor = || metadata.real(&key("factor"));
    let scaling = match metadata.string(&key("type")).unwrap_or("none") {
        "none" => Scaling::None,
        "linear" => Scaling::Linear(factor()?),
        "yarn" => {
            let factor = factor()?;
            let attention_factor = metadata.real(&key("attn_factor")).unwrap_or(1.0)
                * if factor <= 1.0 { 1.0 } else { 0.1 * factor.ln() + 1.0 };
            let beta = |part: &str, default: f64| metadata.real(&key(part)).unwrap_or(default);
            Scaling::Yarn {
                factor,
                fast: beta("yarn_beta_fast", 32.0),
                slow: beta("yarn_beta_slow", 1.0),
                original: original(file)?,
                attention_factor,
                truncate: true,
            }
        }
        other => bail!("{file}: rope scaling \"{other}\" is not supported; the decoder knows none, linear and yarn"),
    };
    Ok((vec![Rotary::new(dimensions, theta, &scaling)], None))
}
