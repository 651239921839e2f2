//! Names the tensors that checkpoints keep a decoder's parts under.

use super::config::{Config, Placement};

/// How a checkpoint names its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Llama's names in safetensors, which most families share.
    Llama,
    GptNeox,
    Gpt2,
    Opt,
    /// llama.cpp's names in GGUF.
    Gguf,
}

/// A part of the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Embedding,
    Positions,
    ProjectIn,
    ProjectOut,
    FinalNorm,
    Head,
    AttentionNorm,
    PostAttentionNorm,
    MlpNorm,
    PostMlpNorm,
    QueryNorm,
    KeyNorm,
    /// Queries, keys and values, one below the other.
    Qkv,
    Output,
    /// What feeds the activation: gate and up, one below the other, or the one matrix.
    Up,
    Down,
}

impl Naming {
    /// For safetensors of this `model_type`.
    pub fn of(architecture: &str) -> Self {
        match architecture {
            "gpt_neox" => Naming::GptNeox,
            "gpt2" => Naming::Gpt2,
            "opt" => Naming::Opt,
            _ => Naming::Llama,
        }
    }

    /// What may stand before all names but the head's; the first under which the embedding is found counts.
    pub fn prefixes(self) -> &'static [&'static str] {
        match self {
            Naming::Llama => &["model.", ""],
            Naming::GptNeox => &["gpt_neox.", ""],
            Naming::Gpt2 => &["transformer.", ""],
            Naming::Opt => &["model.decoder.", "decoder."],
            Naming::Gguf => &[""],
        }
    }

    /// The modules that hold `part`, without ending: lists to choose from, the first whose tensors exist; those of a
    /// list lie one below the other. `{}` stands for the layer; a leading `/` means no prefix.
    pub fn modules(self, part: Part, config: &Config) -> &'static [&'static [&'static str]] {
        let sandwich = config.placement == Placement::Sandwich;
        match self {
            Naming::Llama => match part {
                Part::Embedding => &[&["embed_tokens"]],
                Part::FinalNorm => &[&["norm"]],
                Part::Head => &[&["/lm_head"]],
                Part::AttentionNorm => &[&["layers.{}.input_layernorm"]],
                Part::MlpNorm if sandwich => &[&["layers.{}.pre_feedforward_layernorm"]],
                Part::MlpNorm | Part::PostAttentionNorm => &[&["layers.{}.post_attention_layernorm"]],
                Part::PostMlpNorm => &[&["layers.{}.post_feedforward_layernorm"]],
                Part::QueryNorm => &[&["layers.{}.self_attn.q_norm"]],
                Part::KeyNorm => &[&["layers.{}.self_attn.k_norm"]],
                Part::Qkv => &[
                    &["layers.{}.self_attn.q_proj", "layers.{}.self_attn.k_proj", "layers.{}.self_attn.v_proj"],
                    &["layers.{}.self_attn.qkv_proj"],
                ],
                Part::Output => &[&["layers.{}.self_attn.o_proj"]],
                Part::Up => &[&["layers.{}.mlp.gate_proj", "layers.{}.mlp.up_proj"], &["layers.{}.mlp.gate_up_proj"]],
                Part::Down => &[&["layers.{}.mlp.down_proj"]],
                Part::Positions | Part::ProjectIn | Part::ProjectOut => &[],
            },
            Naming::GptNeox => match part {
                Part::Embedding => &[&["embed_in"]],
                Part::FinalNorm => &[&["final_layer_norm"]],
                Part::Head => &[&["/embed_out"]],
                Part::AttentionNorm => &[&["layers.{}.input_layernorm"]],
                Part::MlpNorm => &[&["layers.{}.post_attention_layernorm"]],
                Part::Qkv => &[&["layers.{}.attention.query_key_value"]],
                Part::Output => &[&["layers.{}.attention.dense"]],
                Part::Up => &[&["layers.{}.mlp.dense_h_to_4h"]],
                Part::Down => &[&["layers.{}.mlp.dense_4h_to_h"]],
                _ => &[],
            },
            Naming::Gpt2 => match part {
                Part::Embedding => &[&["wte"]],
                Part::Positions => &[&["wpe"]],
                Part::FinalNorm => &[&["ln_f"]],
                Part::Head => &[&["/lm_head"]],
                Part::AttentionNorm => &[&["h.{}.ln_1"]],
                Part::MlpNorm => &[&["h.{}.ln_2"]],
                Part::Qkv => &[&["h.{}.attn.c_attn"]],
                Part::Output => &[&["h.{}.attn.c_proj"]],
                Part::Up => &[&["h.{}.mlp.c_fc"]],
                Part::Down => &[&["h.{}.mlp.c_proj"]],
                _ => &[],
            },
            Naming::Opt => match part {
                Part::Embedding => &[&["embed_tokens"]],
                Part::Positions => &[&["embed_positions"]],
                Part::ProjectIn => &[&["project_in"]],
                Part::ProjectOut => &[&["project_out"]],
                Part::FinalNorm => &[&["final_layer_norm"]],
                Part::Head => &[&["/lm_head"]],
                Part::AttentionNorm => &[&["layers.{}.self_attn_layer_norm"]],
                Part::MlpNorm => &[&["layers.{}.final_layer_norm"]],
                Part::Qkv => {
                    &[&["layers.{}.self_attn.q_proj", "layers.{}.self_attn.k_proj", "layers.{}.self_attn.v_proj"]]
                }
                Part::Output => &[&["layers.{}.self_attn.out_proj"]],
                Part::Up => &[&["layers.{}.fc1"]],
                Part::Down => &[&["layers.{}.fc2"]],
                _ => &[],
            },
            Naming::Gguf => match part {
                Part::Embedding => &[&["token_embd"]],
                Part::Positions => &[&["position_embd"]],
                Part::FinalNorm => &[&["output_norm"]],
                Part::Head => &[&["output"]],
                Part::AttentionNorm => &[&["blk.{}.attn_norm"]],
                Part::PostAttentionNorm => &[&["blk.{}.post_attention_norm"]],
                Part::MlpNorm => &[&["blk.{}.ffn_norm"]],
                Part::PostMlpNorm => &[&["blk.{}.post_ffw_norm"]],
                Part::QueryNorm => &[&["blk.{}.attn_q_norm"]],
                Part::KeyNorm => &[&["blk.{}.attn_k_norm"]],
                Part::Qkv => &[&["blk.{}.attn_q", "blk.{}.attn_k", "blk.{}.attn_v"], &["blk.{}.attn_qkv"]],
                Part::Output => &[&["blk.{}.attn_output"]],
                Part::Up if config.gated => &[&["blk.{}.ffn_gate", "blk.{}.ffn_up"], &["blk.{}.ffn_up"]],
                Part::Up => &[&["blk.{}.ffn_up"]],
                Part::Down => &[&["blk.{}.ffn_down"]],
                Part::ProjectIn | Part::ProjectOut => &[],
            },
        }
    }

    /// Whether a stored tensor follows from the configuration, so that it is not needed: masks and frequencies that
    /// old checkpoints keep, the head of a model whose head is the embedding, GGUF's rotary factors (read with the
    /// configuration).
    pub fn is_derived(self, name: &str, config: &Config) -> bool {
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        let head = match self {
            Naming::GptNeox => "embed_out.weight",
            Naming::Gguf => "output.weight",
            _ => "lm_head.weight",
        };
        (config.tied && name == head)
            || match self {
                Naming::Llama => ends(&[".rotary_emb.inv_freq"]),
                Naming::GptNeox => ends(&[".rotary_emb.inv_freq", ".attention.bias", ".attention.masked_bias"]),
                Naming::Gpt2 => ends(&[".attn.bias", ".attn.masked_bias"]),
                Naming::Opt => false,
                Naming::Gguf => name.starts_with("rope_f"),
            }
    }
}
