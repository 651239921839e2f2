//! The table of architectures that run on candle-transformers' models.
//!
//! A family stands here once its stock model agrees with transformers to 1e-4 on a stored checkpoint, at prompts of every
//! length and in batches (tests/fallback_parity.rs). Where a stock model is right for some checkpoints only, the others
//! are refused. Falcon was tried and left out: its GELU is the tanh form where transformers has the exact one (logits 6e-4
//! apart), and its rotary embedding takes no batch.

use anyhow::{Context, Result};
use candle_core::Tensor;
use candle_nn::VarBuilder;
use candle_transformers::models::{
    bigcode, gemma, glm4_new, granitemoehybrid, helium, lfm2, mixtral, olmo, phi, qwen2_moe, stable_lm, starcoder2,
};
use serde_json::Value;

/// One step of a model over (rows, tokens) ids from a position: the logits behind each row's last token.
pub type Step = Box<dyn FnMut(&Tensor, usize) -> candle_core::Result<Tensor>>;

type Values = &'static [(&'static str, &'static str)];

pub struct Family {
    pub model_type: &'static str,
    /// Models that have it, for people.
    pub models: &'static str,
    /// What transformers takes where config.json says nothing (key, JSON).
    pub defaults: Values,
    /// What the stock model computes whatever config.json says; anything else is refused.
    pub requires: Values,
    /// What the stock model wants to read and does not depend on the checkpoint.
    pub sets: Values,
    /// Rows that the stock model can step together.
    pub max_rows: usize,
    /// Builds the model with empty caches.
    pub open: fn(&Value, VarBuilder<'static>) -> Result<Step>,
}

const ANY: usize = usize::MAX;

pub const FAMILIES: &[Family] = &[
    Family {
        model_type: "gemma",
        models: "Gemma 1, CodeGemma",
        // transformers takes the tanh form of GELU whatever hidden_activation says.
        defaults: &[
            ("attention_bias", "false"),
            ("rope_theta", "10000.0"),
            ("tie_word_embeddings", "true"),
            ("use_bidirectional_attention", "false"),
        ],
        requires: &[("tie_word_embeddings", "true"), ("use_bidirectional_attention", "false")],
        sets: &[("hidden_act", "\"gelu_pytorch_tanh\""), ("hidden_activation", "null")],
        max_rows: ANY,
        open: |config, weights| {
            let mut model = gemma::Model::new(false, &read(config)?, weights)?;
            Ok(Box::new(move |tokens, position| model.forward(tokens, position)))
        },
    },
    Family {
        model_type: "starcoder2",
        models: "StarCoder2",
        defaults: &[
            ("hidden_act", "\"gelu_pytorch_tanh\""),
            ("norm_epsilon", "1e-5"),
            ("rope_theta", "10000.0"),
            ("tie_word_embeddings", "true"),
            ("use_bias", "true"),
        ],
        requires: &[("tie_word_embeddings", "true")],
        sets: &[],
        max_rows: ANY,
        open: |config, weights| {
            let mut model = starcoder2::Model::new(&read(config)?, weights)?;
            Ok(Box::new(move |tokens, position| model.forward(tokens, position)))
        },
    },
    Family {
        model_type: "phi",
        models: "Phi-1, Phi-1.5, Phi-2",
        defaults: &[
            ("hidden_act", "\"gelu_new\""),
            ("layer_norm_eps", "1e-5"),
            ("partial_rotary_factor", "0.5"),
            ("qk_layernorm", "false"),
            ("rope_theta", "10000.0"),
            ("tie_word_embeddings", "false"),
        ],
        // The stock model norms whole rows of q and k, not heads.
        requires: &[("qk_layernorm", "false"), ("tie_word_embeddings", "false")],
        sets: &[],
        max_rows: ANY,
        open: |config, weights| {
            let mut model = phi::Model::new(&read(config)?, weights)?;
            Ok(Box::new(move |tokens, _| model.forward(tokens)))
        },
    },
    Family {
        model_type: "stablelm",
        models: "StableLM 3B, StableLM 2",
        defaults: &[
            ("hidden_act", "\"silu\""),
            ("layer_norm_eps", "1e-5"),
            ("partial_rotary_factor", "0.25"),
            ("qk_layernorm", "false"),
            ("rope_theta", "10000.0"),
            ("tie_word_embeddings", "false"),
            ("use_parallel_residual", "false"),
            ("use_qkv_bias", "false"),
        ],
        requires: &[("qk_layernorm", "false"), ("use_parallel_residual", "false")],
        sets: &[("use_cache", "true"), ("use_flash_attn", "false")],
        max_rows: ANY,
        open: |config, weights| {
            let mut model = stable_lm::Model::new(&read(config)?, weights)?;
            Ok(Box::new(move |tokens, position| model.forward(tokens, position)))
        },
    },
    Family {
        model_type: "olmo",
        models: "OLMo 1",
        defaults: &[
            ("attention_bias", "false"),
            ("hidden_act", "\"silu\""),
            ("rope_theta", "10000.0"),
            ("tie_word_embeddings", "false"),
        ],
        requires: &[],
        sets: &[],
        max_rows: ANY,
        open: |config, weights| {
            let mut model = olmo::Model::new(&read(config)?, weights)?;
            Ok(Box::new(move |tokens, position| model.forward(tokens, position)))
        },
    },
    Family {
        model_type: "mixtral",
        models: "Mixtral",
        defaults: &[
            ("hidden_act", "\"silu\""),
            ("rope_theta", "1000000.0"),
            ("rms_norm_eps", "1e-5"),
            ("sliding_window", "null"),
            ("tie_word_embeddings", "false"),
        ],
        requires: &[],
        sets: &[("use_flash_attn", "false")],
        max_rows: ANY,
        open: |config, weights| {
            let mut model = mixtral::Model::new(&read(config)?, weights)?;
            Ok(Box::new(move |tokens, position| model.forward(tokens, position)))
        },
    },
    Family {
        model_type: "qwen2_moe",
        models: "Qwen1.5-MoE, Qwen2 MoE",
        defaults: &[
            ("decoder_sparse_step", "1"),
            ("hidden_act", "\"silu\""),
            ("max_window_layers", "28"),
            ("mlp_only_layers", "[]"),
            ("norm_topk_prob", "false"),
            ("qkv_bias", "true"),
            ("rope_theta", "10000.0"),
            ("sliding_window", "4096"),
            ("tie_word_embeddings", "false"),
            ("use_sliding_window", "false"),
        ],
        requires: &[("mlp_only_layers", "[]"), ("qkv_bias", "true")],
        sets: &[],
        max_rows: ANY,
        open: |config, weights| {
            let mut model = qwen2_moe::Model::new(&read(config)?, weights)?;
            Ok(Box::new(move |tokens, position| model.forward(tokens, position)))
        },
    },
    Family {
        model_type: "qwen3_moe",
        models: "Qwen3 MoE",
        defaults: &[
            ("attention_bias", "false"),
            ("decoder_sparse_step", "1"),
            ("hidden_act", "\"silu\""),
            ("max_window_layers", "28"),
            ("mlp_only_layers", "[]"),
            ("norm_topk_prob", "false"),
            ("rope_theta", "10000.0"),
            ("tie_word_embeddings", "false"),
            ("use_sliding_window", "false"),
        ],
        requires: &[("mlp_only_layers", "[]")],
        sets: &[],
        max_rows: ANY,
        open: |config, weights| {
            let mut model = candle_transformers::models::qwen3_moe::ModelForCausalLM::new(&read(config)?, weights)?;
            Ok(Box::new(move |tokens, position| model.forward(tokens, position)))
        },
    },
    Family {
        model_type: "helium",
        models: "Helium 1",
        defaults: &[
            ("attention_bias", "false"),
            ("hidden_act", "\"silu\""),
            ("mlp_bias", "false"),
            ("rope_theta", "100000.0"),
            ("tie_word_embeddings", "false"),
        ],
        requires: &[],
        sets: &[("bos_token_id", "0"), ("eos_token_id", "0"), ("use_flash_attn", "false")],
        max_rows: ANY,
        open: |config, weights| {
            let mut model = helium::Model::new(&read(config)?, weights)?;
            Ok(Box::new(move |tokens, position| model.forward(tokens, position)))
        },
    },
    Family {
        model_type: "glm4",
        models: "GLM-4-0414",
        defaults: &[
            ("attention_bias", "true"),
            ("head_dim", "128"),
            ("hidden_act", "\"silu\""),
            ("partial_rotary_factor", "0.5"),
            ("rope_theta", "10000.0"),
            ("tie_word_embeddings", "false"),
        ],
        requires: &[],
        sets: &[("eos_token_id", "null")],
        // The stock rotary embedding takes the first row only.
        max_rows: 1,
        open: |config, weights| {
            let mut model = glm4_new::ModelForCausalLM::new(&read(config)?, weights)?;
            Ok(Box::new(move |tokens, position| model.forward(tokens, position)))
        },
    },
    Family {
        model_type: "granitemoehybrid",
        models: "Granite 4 without Mamba layers",
        defaults: &[
            ("attention_bias", "false"),
            ("hidden_act", "\"silu\""),
            ("num_local_experts", "8"),
            ("rope_theta", "10000.0"),
            ("tie_word_embeddings", "false"),
        ],
        requires: &[
            ("hidden_act", "\"silu\""),
            ("num_local_experts", "0"),
            ("position_embedding_type", "\"rope\""),
            ("tie_word_embeddings", "true"),
        ],
        sets: &[("bos_token_id", "null"), ("eos_token_id", "null")],
        max_rows: ANY,
        open: |config, weights| {
            let config = read::<granitemoehybrid::GraniteMoeHybridConfig>(config)?.into_config(false);
            let mut cache =
                granitemoehybrid::GraniteMoeHybridCache::new(true, weights.dtype(), &config, weights.device())?;
            let model = granitemoehybrid::GraniteMoeHybrid::load(weights, &config)?;
            Ok(Box::new(move |tokens, position| model.forward(tokens, position, &mut cache)))
        },
    },
    Family {
        model_type: "lfm2",
        models: "LFM2",
        defaults: &[("rope_theta", "1000000.0"), ("tie_word_embeddings", "true")],
        requires: &[],
        sets: &[("bos_token_id", "null"), ("eos_token_id", "null")],
        // Decoding multiplies the convolution's state by a weight that takes no batch.
        max_rows: 1,
        open: |config, weights| {
            let mut config = read::<lfm2::Lfm2Config>(config)?.into_config(false);
            // The stock rule for this size knows only some of the configuration's fields.
            config.intermediate_size = weights.get_unchecked("model.layers.0.feed_forward.w1.weight")?.dim(0)?;
            let mut cache = lfm2::Cache::new(true, weights.dtype(), &config, weights.device())?;
            let model = lfm2::Model::new(&config, weights)?;
            Ok(Box::new(move |tokens, position| model.forward(tokens, position, &mut cache)))
        },
    },
    Family {
        model_type: "gpt_bigcode",
        models: "StarCoder, StarCoderBase, SantaCoder",
        defaults: &[
            ("activation_function", "\"gelu_pytorch_tanh\""),
            ("layer_norm_epsilon", "1e-5"),
            ("multi_query", "true"),
            ("scale_attn_weights", "true"),
            ("tie_word_embeddings", "true"),
        ],
        requires: &[
            ("activation_function", "\"gelu_pytorch_tanh\""),
            ("multi_query", "true"),
            ("scale_attn_weights", "true"),
            ("tie_word_embeddings", "true"),
        ],
        sets: &[("num_key_value_heads", "1")],
        max_rows: ANY,
        open: |config, weights| {
            let optional = |key: &str| config[key].as_u64().map(|number| number as usize);
            let number = |key: &str| optional(key).with_context(|| format!("missing field `{key}`"));
            let config = bigcode::Config {
                vocab_size: number("vocab_size")?,
                max_position_embeddings: number("n_positions")?,
                num_hidden_layers: number("n_layer")?,
                hidden_size: number("n_embd")?,
                layer_norm_epsilon: config["layer_norm_epsilon"].as_f64().unwrap_or(1e-5),
                n_inner: optional("n_inner"),
                num_attention_heads: number("n_head")?,
                multi_query: true,
                use_cache: true,
            };
            let mut model = bigcode::GPTBigCode::load(weights, config)?;
            Ok(Box::new(move |tokens, position| model.forward(tokens, position)))
        },
    },
];

/// The stock model's own configuration.
fn read<T: serde::de::DeserializeOwned>(config: &Value) -> Result<T> {
    Ok(T::deserialize(config)?)
}
