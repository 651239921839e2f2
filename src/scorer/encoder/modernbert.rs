//! Runs ModernBERT: norms before the blocks, rotary positions, gated layers, and attention that reaches far in every few
//! layers only (Warner et al. 2024).

use anyhow::{Result, bail};
use serde_json::Value;

use super::head::{HeadShape, Pooling};
use super::layers::{Activation, Buffers, LayerNorm, Linear, Take};
use super::settings::Settings;
use super::weights::Weights;
use crate::model::decoder::rope::{Rotary, Scaling};
use crate::model::kernel::{self, TextAttention, attend_texts};
use crate::model::precision::Precision;

/// What config.json says, as far as it changes a number.
#[derive(Debug, Clone, PartialEq)]
pub struct ModernBertConfig {
    hidden: usize,
    heads: usize,
    intermediate: usize,
    /// Of each layer, whether it sees the whole text.
    is_global: Vec<bool>,
    /// Tokens to each side that the other layers see.
    reach: usize,
    global_theta: f64,
    local_theta: f64,
    max_tokens: usize,
    norm_eps: f64,
    norm_bias: bool,
    attention_bias: bool,
    mlp_bias: bool,
    activation: Activation,
    classifier_bias: bool,
    classifier_activation: Activation,
    pooling: Pooling,
}

impl ModernBertConfig {
    pub fn read(settings: &Settings) -> Result<Self> {
        let at = settings.file();
        let (hidden, heads) = settings.heads(&["hidden_size"], &["num_attention_heads"], (768, 12))?;
        if !(hidden / heads).is_multiple_of(2) {
            bail!("{at}: a head's size {} is odd, but positions turn pairs of its dimensions", hidden / heads);
        }
        let layers = settings.size(&["num_hidden_layers"], 22)?;
        let activation = settings.activation(&["hidden_activation"], "gelu")?;
        if activation == Activation::Tanh {
            bail!("{at}: hidden_activation is \"tanh\", which is not computed in a gated layer");
        }
        Ok(Self {
            hidden,
            heads,
            intermediate: settings.size(&["intermediate_size"], 1152)?,
            is_global: layer_kinds(settings, layers)?,
            reach: settings.size(&["local_attention"], 128)? / 2,
            global_theta: theta(settings, "full_attention", "global_rope_theta", 160_000.0)?,
            local_theta: theta(settings, "sliding_attention", "local_rope_theta", 10_000.0)?,
            max_tokens: settings.size(&["max_position_embeddings"], 8192)?,
            norm_eps: settings.number("norm_eps", 1e-5)?,
            norm_bias: settings.flag("norm_bias", false)?,
            attention_bias: settings.flag("attention_bias", false)?,
            mlp_bias: settings.flag("mlp_bias", false)?,
            activation,
            classifier_bias: settings.flag("classifier_bias", false)?,
            classifier_activation: settings.activation(&["classifier_activation"], "gelu")?,
            pooling: match settings.text("classifier_pooling", "cls")?.as_str() {
                "cls" => Pooling::First,
                "mean" => Pooling::Mean,
                other => bail!("{at}: classifier_pooling is {other:?}; only \"cls\" and \"mean\" are computed"),
            },
        })
    }

    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    pub fn head(&self) -> HeadShape<'static> {
        HeadShape {
            pooling: self.pooling,
            hidden: self.hidden,
            dense: "head.dense",
            dense_inside: false,
            dense_biased: self.classifier_bias,
            activation: self.classifier_activation,
            norm: Some(("head.norm", self.norm_bias, self.norm_eps)),
            output: "classifier",
        }
    }
}

/// From the list of layers that transformers 5 writes, or from "every n-th layer is global".
fn layer_kinds(settings: &Settings, layers: usize) -> Result<Vec<bool>> {
    let Some((_, list)) = settings.value(&["layer_types"]) else {
        let every = settings.size(&["global_attn_every_n_layers"], 3)?;
        return Ok((0..layers).map(|layer| layer % every == 0).collect());
    };
    let kinds: Option<Vec<bool>> = list.as_array().and_then(|list| {
        let kind = |kind: &Value| match kind.as_str()? {
            "full_attention" => Some(true),
            "sliding_attention" => Some(false),
            _ => None,
        };
        list.iter().map(kind).collect()
    });
    match kinds.filter(|kinds| kinds.len() == layers) {
        Some(kinds) => Ok(kinds),
        None => bail!(
            "{}: layer_types must say \"full_attention\" or \"sliding_attention\" for each of {layers} layers, but is {list}",
            settings.file()
        ),
    }
}

/// The base of the rotation, as transformers 5 spells it or as published files do.
fn theta(settings: &Settings, kind: &str, older: &str, default: f64) -> Result<f64> {
    if let Some((_, scaling)) = settings.value(&["rope_scaling"]) {
        bail!("{}: rope_scaling is {scaling}; only plain rotary positions are computed", settings.file());
    }
    if let Some((_, parameters)) = settings.value(&["rope_parameters"]) {
        let parameters = &parameters[kind];
        let rope_type = parameters["rope_type"].as_str().unwrap_or("default");
        if rope_type != "default" {
            bail!("{}: the rope_type of {kind} is {rope_type:?}; only \"default\" is computed", settings.file());
        }
        if let Some(theta) = parameters["rope_theta"].as_f64() {
            return Ok(theta);
        }
    }
    settings.number(older, default)
}

struct Layer {
    /// None in the first layer, whose input the embeddings' norm has just normalised.
    attention_norm: Option<LayerNorm>,
    qkv: Linear,
    attention_out: Linear,
    mlp_norm: LayerNorm,
    /// The activated half, then the other.
    up: Linear,
    down: Linear,
}

pub struct ModernBert {
    config: ModernBertConfig,
    words: Vec<f32>,
    norm: LayerNorm,
    layers: Vec<Layer>,
    final_norm: LayerNorm,
    global: Vec<f32>,
    local: Vec<f32>,
}

impl ModernBert {
    pub fn load(config: ModernBertConfig, weights: &mut Weights, precision: Precision) -> Result<Self> {
        let (h, wide, biased, eps) = (config.hidden, config.intermediate, config.norm_bias, config.norm_eps);
        let vocabulary = weights.rows("embeddings.tok_embeddings.weight").unwrap_or(0);
        let words = weights.take("embeddings.tok_embeddings.weight", &[vocabulary, h])?;
        let take: Take<'_> = &mut |name, shape| weights.take(name, shape);
        let norm = LayerNorm::take(take, "embeddings.norm", h, biased, eps)?;
        let mut layers = Vec::with_capacity(config.is_global.len());
        for index in 0..config.is_global.len() {
            let name = |end: &str| format!("layers.{index}.{end}");
            let attention_norm = match index {
                0 => None,
                _ => Some(LayerNorm::take(take, &name("attn_norm"), h, biased, eps)?),
            };
            let (attention, mlp) = (config.attention_bias, config.mlp_bias);
            layers.push(Layer {
                attention_norm,
                qkv: Linear::take(take, &[&name("attn.Wqkv")], 3 * h, h, attention, precision)?,
                attention_out: Linear::take(take, &[&name("attn.Wo")], h, h, attention, precision)?,
                mlp_norm: LayerNorm::take(take, &name("mlp_norm"), h, biased, eps)?,
                up: Linear::take(take, &[&name("mlp.Wi")], 2 * wide, h, mlp, precision)?,
                down: Linear::take(take, &[&name("mlp.Wo")], h, wide, mlp, precision)?,
            });
        }
        let final_norm = LayerNorm::take(take, "final_norm", h, biased, eps)?;
        let frequencies = |theta| Rotary::new(h / config.heads, theta, &Scaling::None).inverse_frequencies;
        let (global, local) = (frequencies(config.global_theta), frequencies(config.local_theta));
        Ok(Self { config, words, norm, layers, final_norm, global, local })
    }

    pub fn vocabulary(&self) -> usize {
        self.words.len() / self.config.hidden
    }

    /// Last hidden states of several texts, `(sum of their tokens, hidden)`, in their order.
    pub fn forward(&self, texts: &[&[u32]]) -> Vec<f32> {
        let config = &self.config;
        let (h, heads) = (config.hidden, config.heads);
        let head_dim = h / heads;
        let lengths: Vec<usize> = texts.iter().map(|ids| ids.len()).collect();
        let rows: usize = lengths.iter().sum();
        let embedded: Vec<f32> =
            texts.iter().flat_map(|ids| *ids).flat_map(|&id| &self.words[id as usize * h..][..h]).copied().collect();
        let (mut x, mut normed) = (Vec::new(), Vec::new());
        self.norm.forward(&embedded, &mut x);
        let (global, local) = (angles(&lengths, &self.global), angles(&lengths, &self.local));
        let mut b = Buffers::default();
        for (layer, &is_global) in self.layers.iter().zip(&config.is_global) {
            let input = match &layer.attention_norm {
                Some(norm) => {
                    norm.forward(&x, &mut normed);
                    &normed
                }
                None => &x,
            };
            layer.qkv.forward(input, &mut b.qkv);
            let (cos, sin) = if is_global { &global } else { &local };
            // Queries and keys lie side by side in a row.
            kernel::rope(&mut b.qkv, rows, 2 * heads, head_dim, 2 * self.global.len(), cos, sin);
            b.mixed.resize(x.len(), 0.0);
            let reach = (!is_global).then_some(config.reach);
            let shape = TextAttention { heads, head_dim, scale: (head_dim as f32).powf(-0.5), reach };
            attend_texts(&shape, &lengths, &b.qkv, &mut b.mixed);
            layer.attention_out.forward(&b.mixed, &mut b.attended);
            kernel::add(&mut x, &b.attended, 1.0);
            layer.mlp_norm.forward(&x, &mut normed);
            layer.up.forward(&normed, &mut b.wide);
            b.gated.resize(rows * config.intermediate, 0.0);
            let gate = match config.activation {
                Activation::GeluTanh => kernel::gelu_tanh_mul,
                Activation::Relu => kernel::relu_mul,
                Activation::Silu => kernel::silu_mul,
                // Tanh was refused when the config was read.
                Activation::Gelu | Activation::Tanh => kernel::gelu_mul,
            };
            gate(&b.wide, config.intermediate, &mut b.gated);
            layer.down.forward(&b.gated, &mut b.attended);
            kernel::add(&mut x, &b.attended, 1.0);
        }
        self.final_norm.forward(&x, &mut normed);
        normed
    }
}

/// Cosine and sine of every token's angles, (tokens, frequencies) each; every text begins at 0.
fn angles(lengths: &[usize], frequencies: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let positions = lengths.iter().flat_map(|&length| 0..length);
    positions
        .flat_map(|position| frequencies.iter().map(move |f| (position as f32 * f).sin_cos()))
        .map(|(s, c)| (c, s))
        .unzip()
}
