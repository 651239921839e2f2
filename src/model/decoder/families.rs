//! Reads config.json of each family that the decoder computes.
//!
//! Both spellings are understood: older checkpoints (`rope_theta`, `rope_scaling`) and transformers 5
//! (`rope_parameters`, `layer_types`). Defaults for keys that a file leaves out are those of transformers' configuration
//! classes. What cannot be computed exactly is refused by name.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::super::fallback::FallbackModel;
use super::config::{Activation, Biases, Config, LayerConfig, LearnedPositions, NormKind, Placement, QueryKeyNorm};
use super::rope::{Rotary, Scaling};

/// A family of config.json's `model_type`.
pub struct Family {
    pub model_type: &'static str,
    /// Published models, for people.
    pub models: &'static str,
    read: fn(&Fields<'_>) -> Result<Config>,
}

pub const FAMILIES: &[Family] = &[
    Family { model_type: "llama", models: "Llama 1–3.x, SmolLM, SmolLM2, TinyLlama, Vicuna, Yi", read: llama },
    Family { model_type: "smollm3", models: "SmolLM3", read: smollm3 },
    Family { model_type: "mistral", models: "Mistral 7B, Nemo, Small", read: mistral },
    Family { model_type: "qwen2", models: "Qwen2, Qwen2.5", read: qwen2 },
    Family { model_type: "qwen3", models: "Qwen3", read: qwen3 },
    Family { model_type: "gemma2", models: "Gemma 2", read: gemma2 },
    Family { model_type: "gemma3_text", models: "Gemma 3 (text)", read: gemma3 },
    Family { model_type: "phi3", models: "Phi-3, Phi-3.5, Phi-4", read: phi3 },
    Family { model_type: "olmo2", models: "OLMo 2", read: olmo2 },
    Family { model_type: "granite", models: "Granite 3", read: granite },
    Family { model_type: "gpt2", models: "GPT-2, DistilGPT-2, DialoGPT", read: gpt2 },
    Family { model_type: "gpt_neox", models: "GPT-NeoX, Pythia", read: gpt_neox },
    Family { model_type: "opt", models: "OPT", read: opt },
];

/// Reads config.json; `file` is its name in messages.
pub fn from_json(json: &Value, file: &str) -> Result<Config> {
    let model_type = json.get("model_type").and_then(Value::as_str).unwrap_or("(none)");
    let family = FAMILIES.iter().find(|family| family.model_type == model_type).with_context(|| {
        let own = FAMILIES.iter().map(|family| family.model_type);
        let known: Vec<&str> = own.chain(FallbackModel::supported().map(|(model_type, _)| model_type)).collect();
        format!(
            "{file}: model_type is \"{model_type}\", which this version cannot run; it runs {}: choose such a model",
            known.join(", ")
        )
    })?;
    (family.read)(&Fields { json, file })?.checked(file)
}

/// An object of a configuration file; null counts as left out.
#[derive(Clone, Copy)]
struct Fields<'a> {
    json: &'a Value,
    file: &'a str,
}

impl<'a> Fields<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.json.get(key).filter(|value| !value.is_null())
    }

    fn number(&self, key: &str) -> Result<usize> {
        let value = self.get(key).with_context(|| format!("{}: \"{key}\" is missing", self.file))?;
        let number =
            value.as_u64().with_context(|| format!("{}: \"{key}\" is {value}, not a whole number", self.file))?;
        ensure!(number < 1 << 32, "{}: \"{key}\" is {number}; no model has that, the file is damaged", self.file);
        Ok(number as usize)
    }

    /// A number of layers.
    fn layers(&self, key: &str) -> Result<usize> {
        let layers = self.number(key)?;
        ensure!(layers < 10_000, "{}: \"{key}\" is {layers}; no model has that, the file is damaged", self.file);
        Ok(layers)
    }

    fn number_or(&self, key: &str, default: usize) -> Result<usize> {
        if self.get(key).is_some() { self.number(key) } else { Ok(default) }
    }

    fn real(&self, key: &str) -> Result<Option<f64>> {
        self.get(key)
            .map(|value| value.as_f64().with_context(|| format!("{}: \"{key}\" is {value}, not a number", self.file)))
            .transpose()
    }

    fn real_or(&self, key: &str, default: f64) -> Result<f64> {
        Ok(self.real(key)?.unwrap_or(default))
    }

    fn flag_or(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => {
                value.as_bool().with_context(|| format!("{}: \"{key}\" is {value}, not true or false", self.file))
            }
        }
    }

    fn reals(&self, key: &str) -> Result<Option<Vec<f32>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let list = value.as_array().and_then(|list| list.iter().map(|v| v.as_f64().map(|v| v as f32)).collect());
        Ok(Some(list.with_context(|| format!("{}: \"{key}\" is not a list of numbers", self.file))?))
    }

    fn activation(&self, key: &str, default: &str) -> Result<Activation> {
        match self.get(key).and_then(Value::as_str).unwrap_or(default) {
            "silu" | "swish" => Ok(Activation::Silu),
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Ok(Activation::GeluTanh),
            "relu" => Ok(Activation::Relu),
            other => bail!(
                "{}: the activation \"{other}\" is not supported; the decoder knows silu, gelu, gelu_new, \
                 gelu_pytorch_tanh, gelu_fast and relu",
                self.file
            ),
        }
    }

    /// The window of each layer: `layer_types` where the file has it, else `slides(layer)`.
    fn windows(
        &self,
        layers: usize,
        window: Option<usize>,
        slides: impl Fn(usize) -> bool,
    ) -> Result<Vec<Option<usize>>> {
        let Some(types) = self.get("layer_types") else {
            return Ok((0..layers).map(|layer| window.filter(|_| slides(layer))).collect());
        };
        let types = types.as_array().with_context(|| format!("{}: \"layer_types\" is not a list", self.file))?;
        ensure!(
            types.len() == layers,
            "{}: \"layer_types\" lists {} layers, but the model has {layers}",
            self.file,
            types.len()
        );
        types
            .iter()
            .map(|kind| match kind.as_str() {
                Some("full_attention") => Ok(None),
                Some("sliding_attention") => Ok(window),
                _ => bail!("{}: the layer type {kind} is not supported", self.file),
            })
            .collect()
    }

    fn window(&self) -> Result<Option<usize>> {
        if self.get("sliding_window").is_some() { self.number("sliding_window").map(Some) } else { Ok(None) }
    }

    /// The object that describes the rotary embedding; of `layer_type` where the file has one for each.
    fn rope(&self, layer_type: &str) -> Option<Fields<'a>> {
        let rope = self.get("rope_parameters").or_else(|| self.get("rope_scaling"))?;
        let json = rope.get(layer_type).unwrap_or(rope);
        Some(Fields { json, file: self.file })
    }

    /// The rotary embedding with this base unless the file says another; two where long sequences have their own.
    fn rotaries(&self, head_dim: usize, default_theta: f64) -> Result<(Vec<Rotary>, Option<usize>)> {
        let rope = self.rope("full_attention");
        let in_rope = |key: &str| rope.map_or(Ok(None), |rope| rope.real(key));
        let theta = match in_rope("rope_theta")? {
            Some(theta) => theta,
            None => self.real_or("rope_theta", default_theta)?,
        };
        let part = match in_rope("partial_rotary_factor")? {
            Some(part) => part,
            None => self.real_or("partial_rotary_factor", 1.0)?,
        };
        self.scaled(rope, (head_dim as f64 * part) as usize, theta)
    }

    fn scaled(&self, rope: Option<Fields<'a>>, dimensions: usize, theta: f64) -> Result<(Vec<Rotary>, Option<usize>)> {
        let file = self.file;
        ensure!(theta > 1.0, "{file}: a rotary base of {theta} is damaged");
        ensure!(dimensions < 1 << 16, "{file}: {dimensions} dimensions of a head are rotated; the file is damaged");
        let one = |scaling: Scaling| Ok((vec![Rotary::new(dimensions, theta, &scaling)], None));
        let Some(rope) = rope else { return one(Scaling::None) };
        let kind = rope.get("rope_type").or_else(|| rope.get("type")).and_then(Value::as_str).unwrap_or("default");
        let needed =
            |key: &str| rope.real(key)?.with_context(|| format!("{file}: rope scaling \"{kind}\" lacks \"{key}\""));
        // Phi-3 keeps its original context outside; there it comes first.
        let original = || -> Result<f64> {
            match self.real("original_max_position_embeddings")? {
                Some(original) => Ok(original),
                None => match rope.real("original_max_position_embeddings")? {
                    Some(original) => Ok(original),
                    None => Ok(self.number("max_position_embeddings")? as f64),
                },
            }
        };
        let factor = || -> Result<f64> {
            match rope.real("factor")? {
                Some(factor) => Ok(factor),
                None => Ok(self.number("max_position_embeddings")? as f64 / original()?),
            }
        };
        match kind {
            "default" => one(Scaling::None),
            "linear" => one(Scaling::Linear(needed("factor")?)),
            "llama3" => one(Scaling::Llama3 {
                factor: needed("factor")?,
                low: needed("low_freq_factor")?,
                high: needed("high_freq_factor")?,
                original: original()?,
            }),
            "yarn" => {
                let factor = factor()?;
                let magnitude = |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
                let attention_factor = match (
                    rope.real("attention_factor")?,
                    rope.real("mscale")?.filter(|m| *m != 0.0),
                    rope.real("mscale_all_dim")?.filter(|m| *m != 0.0),
                ) {
                    (Some(given), ..) => given,
                    (None, Some(scale), Some(all)) => magnitude(scale) / magnitude(all),
                    _ => magnitude(1.0),
                };
                one(Scaling::Yarn {
                    factor,
                    fast: rope.real("beta_fast")?.filter(|b| *b != 0.0).unwrap_or(32.0),
                    slow: rope.real("beta_slow")?.filter(|b| *b != 0.0).unwrap_or(1.0),
                    original: original()?,
                    attention_factor,
                    truncate: rope.flag_or("truncate", true)?,
                })
            }
            // "su" is what the first Phi-3 files called it.
            "longrope" | "su" => {
                let (original, factor) = (original()?, factor()?);
                let attention_factor = match rope.real("attention_factor")? {
                    Some(given) => given,
                    None if factor <= 1.0 => 1.0,
                    None => (1.0 + factor.ln() / original.ln()).sqrt(),
                };
                let rotary = |key: &str| -> Result<Rotary> {
                    let divisors =
                        rope.reals(key)?.with_context(|| format!("{file}: rope scaling \"{kind}\" lacks \"{key}\""))?;
                    ensure!(
                        divisors.len() == dimensions.div_ceil(2),
                        "{file}: \"{key}\" has {} factors for {} pairs of rotated dimensions",
                        divisors.len(),
                        dimensions.div_ceil(2)
                    );
                    ensure!(
                        divisors.iter().all(|divisor| divisor.is_finite() && *divisor > 0.0),
                        "{file}: \"{key}\" holds factors that are not positive; the file is damaged"
                    );
                    Ok(Rotary::new(dimensions, theta, &Scaling::Factors { divisors, attention_factor }))
                };
                Ok((vec![rotary("short_factor")?, rotary("long_factor")?], Some(original as usize)))
            }
            other => bail!(
                "{file}: rope scaling \"{other}\" is not supported; the decoder knows default, linear, llama3, yarn and \
                 longrope"
            ),
        }
    }

    /// What the families with Llama's names have in common: pre-norm, RMS, rotary, gated SiLU, no biases, untied.
    fn llama_like(&self, model_type: &str) -> Result<Config> {
        let (hidden, heads) = (self.number("hidden_size")?, self.number("num_attention_heads")?);
        let head_dim = self.number_or("head_dim", hidden / heads.max(1))?;
        let (rotaries, long_from) = self.rotaries(head_dim, 10_000.0)?;
        let layer = LayerConfig { window: None, rotary: Some(0), scale: inverse_root(head_dim as f64) };
        Ok(Config {
            architecture: model_type.to_owned(),
            vocab: self.number("vocab_size")?,
            hidden,
            heads,
            kv_heads: self.number_or("num_key_value_heads", heads)?,
            head_dim,
            intermediate: self.number("intermediate_size")?,
            context_length: self.number("max_position_embeddings")?,
            norm: NormKind::Rms,
            norm_eps: self.real_or("rms_norm_eps", 1e-6)?,
            placement: Placement::Pre,
            final_norm: true,
            query_key_norm: QueryKeyNorm::None,
            rotaries,
            learned_positions: None,
            layers: vec![layer; self.layers("num_hidden_layers")?],
            attention_softcap: None,
            activation: self.activation("hidden_act", "silu")?,
            gated: true,
            biases: Biases::default(),
            embedding_scale: 1.0,
            embedding_width: hidden,
            residual_scale: 1.0,
            logit_scale: 1.0,
            logit_softcap: None,
            tied: self.flag_or("tie_word_embeddings", false)?,
            long_from,
        })
    }

    /// `attention_bias` stands for all four projections.
    fn attention_bias(&self) -> Result<Biases> {
        let bias = self.flag_or("attention_bias", false)?;
        Ok(Biases { qkv: bias, output: bias, mlp: self.flag_or("mlp_bias", false)? })
    }
}

fn inverse_root(value: f64) -> f32 {
    value.powf(-0.5) as f32
}

fn set_windows(config: &mut Config, windows: Vec<Option<usize>>) {
    for (layer, window) in config.layers.iter_mut().zip(windows) {
        layer.window = window;
    }
}

fn llama(fields: &Fields<'_>) -> Result<Config> {
    Ok(Config { biases: fields.attention_bias()?, ..fields.llama_like("llama")? })
}

/// No rotary embedding on every fourth layer.
fn smollm3(fields: &Fields<'_>) -> Result<Config> {
    let mut config = fields.llama_like("smollm3")?;
    config.biases = fields.attention_bias()?;
    config.tied = fields.flag_or("tie_word_embeddings", true)?;
    let count = config.layers.len();
    let rotated: Vec<bool> = match fields.reals("no_rope_layers")? {
        Some(list) => list.iter().map(|&rotated| rotated != 0.0).collect(),
        None => {
            let interval = fields.number_or("no_rope_layer_interval", 4)?.max(1);
            (1..=count).map(|layer| layer % interval != 0).collect()
        }
    };
    ensure!(
        rotated.len() == count,
        "{}: \"no_rope_layers\" lists {} layers, but the model has {count}",
        fields.file,
        rotated.len()
    );
    let window = fields.window()?.filter(|_| fields.json.get("use_sliding_window") == Some(&Value::Bool(true)));
    let windows = fields.windows(count, window, |layer| !rotated[layer])?;
    set_windows(&mut config, windows);
    for (layer, rotated) in config.layers.iter_mut().zip(rotated) {
        layer.rotary = layer.rotary.filter(|_| rotated);
    }
    Ok(config)
}

fn mistral(fields: &Fields<'_>) -> Result<Config> {
    let mut config = fields.llama_like("mistral")?;
    let windows = fields.windows(config.layers.len(), fields.window()?, |_| true)?;
    set_windows(&mut config, windows);
    Ok(config)
}

/// The window counts from layer `max_window_layers` on, and only where `use_sliding_window` says so.
fn qwen_windows(fields: &Fields<'_>, config: &mut Config) -> Result<()> {
    let window = if fields.flag_or("use_sliding_window", false)? { fields.window()? } else { None };
    let from = fields.number_or("max_window_layers", 28)?;
    let windows = fields.windows(config.layers.len(), window, |layer| layer >= from)?;
    set_windows(config, windows);
    Ok(())
}

fn qwen2(fields: &Fields<'_>) -> Result<Config> {
    let mut config = fields.llama_like("qwen2")?;
    config.biases.qkv = true;
    qwen_windows(fields, &mut config)?;
    Ok(config)
}

fn qwen3(fields: &Fields<'_>) -> Result<Config> {
    let mut config = fields.llama_like("qwen3")?;
    config.biases = Biases { mlp: false, ..fields.attention_bias()? };
    config.query_key_norm = QueryKeyNorm::Head;
    qwen_windows(fields, &mut config)?;
    Ok(config)
}

fn gemma(fields: &Fields<'_>, model_type: &str, eps: f64) -> Result<Config> {
    let mut config = fields.llama_like(model_type)?;
    config.norm = NormKind::RmsOffset;
    config.norm_eps = fields.real_or("rms_norm_eps", eps)?;
    config.placement = Placement::Sandwich;
    config.biases = Biases { mlp: false, ..fields.attention_bias()? };
    config.tied = fields.flag_or("tie_word_embeddings", true)?;
    let key = if fields.get("hidden_activation").is_some() { "hidden_activation" } else { "hidden_act" };
    // The first files said "gelu" and meant the tanh form.
    config.activation = match fields.activation(key, "gelu_pytorch_tanh")? {
        Activation::Gelu if key == "hidden_act" => Activation::GeluTanh,
        activation => activation,
    };
    config.embedding_scale = (config.hidden as f64).sqrt() as f32;
    config.attention_softcap = fields.real("attn_logit_softcapping")?.map(|cap| cap as f32);
    config.logit_softcap = fields.real("final_logit_softcapping")?.map(|cap| cap as f32);
    let scale = inverse_root(fields.real_or("query_pre_attn_scalar", 256.0)?);
    for layer in &mut config.layers {
        layer.scale = scale;
    }
    ensure!(
        !fields.flag_or("use_bidirectional_attention", false)?,
        "{}: use_bidirectional_attention is set; such a model does not generate",
        fields.file
    );
    Ok(config)
}

fn gemma2(fields: &Fields<'_>) -> Result<Config> {
    let mut config = gemma(fields, "gemma2", 1e-6)?;
    let window = Some(fields.number_or("sliding_window", 4096)?);
    let windows = fields.windows(config.layers.len(), window, |layer| layer % 2 == 0)?;
    set_windows(&mut config, windows);
    Ok(config)
}

/// Layers with a window have a rotary embedding of their own, without scaling.
fn gemma3(fields: &Fields<'_>) -> Result<Config> {
    let mut config = gemma(fields, "gemma3_text", 1e-6)?;
    config.query_key_norm = QueryKeyNorm::Head;
    let window = Some(fields.number_or("sliding_window", 4096)?);
    let pattern = match fields.get("sliding_window_pattern") {
        Some(_) => fields.number("sliding_window_pattern")?,
        None => fields.number_or("_sliding_window_pattern", 6)?,
    };
    ensure!(pattern > 0, "{}: \"sliding_window_pattern\" is 0; the file is damaged", fields.file);
    let windows = fields.windows(config.layers.len(), window, |layer| (layer + 1) % pattern != 0)?;
    set_windows(&mut config, windows);
    let (mut rotaries, _) = fields.rotaries(config.head_dim, 1_000_000.0)?;
    let nested = fields.get("rope_parameters").and_then(|rope| rope.get("sliding_attention"));
    let local = match nested.filter(|value| !value.is_null()) {
        Some(json) => {
            let rope = Fields { json, file: fields.file };
            fields.scaled(Some(rope), config.head_dim, rope.real_or("rope_theta", 10_000.0)?)?.0
        }
        None => fields.scaled(None, config.head_dim, fields.real_or("rope_local_base_freq", 10_000.0)?)?.0,
    };
    rotaries.extend(local);
    config.rotaries = rotaries;
    for layer in &mut config.layers {
        layer.rotary = Some(usize::from(layer.window.is_some()));
    }
    Ok(config)
}

fn phi3(fields: &Fields<'_>) -> Result<Config> {
    let mut config = fields.llama_like("phi3")?;
    config.norm_eps = fields.real_or("rms_norm_eps", 1e-5)?;
    let windows = fields.windows(config.layers.len(), fields.window()?, |_| true)?;
    set_windows(&mut config, windows);
    Ok(config)
}

fn olmo2(fields: &Fields<'_>) -> Result<Config> {
    let mut config = fields.llama_like("olmo2")?;
    config.norm_eps = fields.real_or("rms_norm_eps", 1e-5)?;
    config.placement = Placement::PostBranch;
    config.query_key_norm = QueryKeyNorm::Width;
    config.biases = Biases { mlp: false, ..fields.attention_bias()? };
    Ok(config)
}

fn granite(fields: &Fields<'_>) -> Result<Config> {
    let mut config = fields.llama_like("granite")?;
    config.biases = fields.attention_bias()?;
    config.embedding_scale = fields.real_or("embedding_multiplier", 1.0)? as f32;
    config.residual_scale = fields.real_or("residual_multiplier", 1.0)? as f32;
    config.logit_scale = (1.0 / fields.real_or("logits_scaling", 1.0)?) as f32;
    let scale = fields.real_or("attention_multiplier", 1.0)? as f32;
    for layer in &mut config.layers {
        layer.scale = scale;
    }
    Ok(config)
}

/// What the families with LayerNorm, biases and a plain activation have in common.
#[allow(clippy::too_many_arguments)]
fn plain(
    fields: &Fields<'_>,
    model_type: &str,
    hidden: usize,
    layers: usize,
    heads: usize,
    intermediate: usize,
    context_length: usize,
    activation: Activation,
) -> Result<Config> {
    let head_dim = hidden / heads.max(1);
    let layer = LayerConfig { window: None, rotary: None, scale: inverse_root(head_dim as f64) };
    Ok(Config {
        architecture: model_type.to_owned(),
        vocab: fields.number("vocab_size")?,
        hidden,
        heads,
        kv_heads: heads,
        head_dim,
        intermediate,
        context_length,
        norm: NormKind::Layer,
        norm_eps: 1e-5,
        placement: Placement::Pre,
        final_norm: true,
        query_key_norm: QueryKeyNorm::None,
        rotaries: Vec::new(),
        learned_positions: None,
        layers: vec![layer; layers],
        attention_softcap: None,
        activation,
        gated: false,
        biases: Biases { qkv: true, output: true, mlp: true },
        embedding_scale: 1.0,
        embedding_width: hidden,
        residual_scale: 1.0,
        logit_scale: 1.0,
        logit_softcap: None,
        tied: true,
        long_from: None,
    })
}

fn gpt2(fields: &Fields<'_>) -> Result<Config> {
    let hidden = fields.number("n_embd")?;
    let positions = match fields.get("n_positions") {
        Some(_) => fields.number("n_positions")?,
        None => fields.number_or("n_ctx", 1024)?,
    };
    let mut config = plain(
        fields,
        "gpt2",
        hidden,
        fields.layers("n_layer")?,
        fields.number("n_head")?,
        fields.number_or("n_inner", 4 * hidden)?,
        positions,
        fields.activation("activation_function", "gelu_new")?,
    )?;
    config.norm_eps = fields.real_or("layer_norm_epsilon", 1e-5)?;
    config.tied = fields.flag_or("tie_word_embeddings", true)?;
    config.learned_positions = Some(LearnedPositions { rows: positions, offset: 0 });
    let scaled = fields.flag_or("scale_attn_weights", true)?;
    let by_layer = fields.flag_or("scale_attn_by_inverse_layer_idx", false)?;
    for (index, layer) in config.layers.iter_mut().enumerate() {
        layer.scale = if scaled { layer.scale } else { 1.0 } / if by_layer { (index + 1) as f32 } else { 1.0 };
    }
    Ok(config)
}

fn gpt_neox(fields: &Fields<'_>) -> Result<Config> {
    let hidden = fields.number("hidden_size")?;
    let mut config = plain(
        fields,
        "gpt_neox",
        hidden,
        fields.layers("num_hidden_layers")?,
        fields.number("num_attention_heads")?,
        fields.number("intermediate_size")?,
        fields.number("max_position_embeddings")?,
        fields.activation("hidden_act", "gelu")?,
    )?;
    config.norm_eps = fields.real_or("layer_norm_eps", 1e-5)?;
    config.tied = fields.flag_or("tie_word_embeddings", false)?;
    let bias = fields.flag_or("attention_bias", true)?;
    config.biases = Biases { qkv: bias, output: bias, mlp: true };
    if fields.flag_or("use_parallel_residual", true)? {
        config.placement = Placement::Parallel;
    }
    let rope = fields.rope("full_attention");
    let theta = match rope.map_or(Ok(None), |rope| rope.real("rope_theta"))? {
        Some(theta) => theta,
        None => fields.real_or("rotary_emb_base", fields.real_or("rope_theta", 10_000.0)?)?,
    };
    let part = match rope.map_or(Ok(None), |rope| rope.real("partial_rotary_factor"))? {
        Some(part) => part,
        None => fields.real_or("rotary_pct", 0.25)?,
    };
    let dimensions = (config.head_dim as f64 * part) as usize;
    (config.rotaries, config.long_from) = fields.scaled(rope, dimensions, theta)?;
    for layer in &mut config.layers {
        layer.rotary = Some(0);
    }
    Ok(config)
}

fn opt(fields: &Fields<'_>) -> Result<Config> {
    let hidden = fields.number("hidden_size")?;
    let context = fields.number("max_position_embeddings")?;
    let mut config = plain(
        fields,
        "opt",
        hidden,
        fields.layers("num_hidden_layers")?,
        fields.number("num_attention_heads")?,
        fields.number("ffn_dim")?,
        context,
        fields.activation("activation_function", "relu")?,
    )?;
    config.tied = fields.flag_or("tie_word_embeddings", true)?;
    config.embedding_width = fields.number_or("word_embed_proj_dim", hidden)?;
    config.learned_positions = Some(LearnedPositions { rows: context + 2, offset: 2 });
    let bias = fields.flag_or("enable_bias", true)?;
    config.biases = Biases { qkv: bias, output: bias, mlp: bias };
    ensure!(
        fields.flag_or("layer_norm_elementwise_affine", true)?,
        "{}: layer_norm_elementwise_affine is false, which this version cannot compute",
        fields.file
    );
    if !fields.flag_or("do_layer_norm_before", true)? {
        config.placement = Placement::PostResidual;
        config.final_norm = false;
    }
    if fields.flag_or("_remove_final_layer_norm", false)? {
        config.final_norm = false;
    }
    Ok(config)
}
