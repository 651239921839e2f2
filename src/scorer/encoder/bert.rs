//! Runs BERT, RoBERTa, XLM-R and DistilBERT: one encoder, told apart by flags and by the names of their tensors.
//!
//! Texts are laid end to end as (tokens, hidden) without padding, and attention stays inside each text, so that a text's
//! numbers do not depend on its neighbours, on the batch or on the number of threads. Tokens and pooling are left to others.

use std::ops::Range;

use anyhow::{Result, bail};

use super::layers::{Activation, Buffers, LayerNorm, Linear, Take};
use super::settings::Settings;
use super::weights::Weights;
use crate::model::kernel::{TextAttention, attend_texts};
use crate::model::precision::Precision;

/// How a family's tensors are called and its positions counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Bert,
    /// RoBERTa, XLM-R, CamemBERT: positions are counted from behind the padding's id.
    Roberta,
    /// No token types; names and config of its own.
    DistilBert,
}

impl Family {
    /// By `model_type`, or `None` for another architecture.
    pub fn of(model_type: &str) -> Option<Self> {
        Some(match model_type {
            "bert" => Self::Bert,
            "roberta" | "xlm-roberta" | "camembert" => Self::Roberta,
            "distilbert" => Self::DistilBert,
            _ => return None,
        })
    }

    /// A tensor's name in this family, from BERT's.
    fn stored(self, name: &str) -> String {
        if self != Self::DistilBert {
            return name.to_owned();
        }
        // The output's norm comes last: "output.LayerNorm" stands in "attention.output.LayerNorm" too.
        const NAMES: [(&str, &str); 8] = [
            ("encoder.layer.", "transformer.layer."),
            ("attention.self.query", "attention.q_lin"),
            ("attention.self.key", "attention.k_lin"),
            ("attention.self.value", "attention.v_lin"),
            ("attention.output.dense", "attention.out_lin"),
            ("attention.output.LayerNorm", "sa_layer_norm"),
            ("intermediate.dense", "ffn.lin1"),
            ("output.LayerNorm", "output_layer_norm"),
        ];
        let name = NAMES.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to));
        name.replace(".output.dense", ".ffn.lin2")
    }
}

/// What config.json says, as far as it changes a number.
#[derive(Debug, Clone, PartialEq)]
pub struct BertConfig {
    pub family: Family,
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub intermediate: usize,
    /// Rows of the table of positions.
    pub positions: usize,
    /// The padding's id, where positions are counted from behind it.
    pub padding: Option<u32>,
    pub layer_norm_eps: f64,
    pub activation: Activation,
}

impl BertConfig {
    /// Reads a Hugging Face config.json; refuses what this encoder does not compute.
    pub fn read(settings: &Settings) -> Result<Self> {
        let kind = settings.model_type()?;
        let Some(family) = Family::of(kind) else {
            bail!(
                "{}: model_type is {kind:?}, but this encoder is for \"bert\", \"roberta\", \"xlm-roberta\", \
                 \"camembert\" and \"distilbert\"",
                settings.file()
            );
        };
        settings.require("position_embedding_type", "absolute")?;
        if settings.flag("is_decoder", false)? {
            bail!("{}: is_decoder is true; only encoders that see both sides are computed", settings.file());
        }
        let (hidden, heads) =
            settings.heads(&["hidden_size", "dim"], &["num_attention_heads", "n_heads"], (768, 12))?;
        let layers = if family == Family::DistilBert { 6 } else { 12 };
        let padding = match family {
            Family::Roberta => Some(settings.integer("pad_token_id", 1)?.max(0) as u32),
            _ => None,
        };
        let config = Self {
            family,
            hidden,
            layers: settings.size(&["num_hidden_layers", "n_layers"], layers)?,
            heads,
            intermediate: settings.size(&["intermediate_size", "hidden_dim"], 3072)?,
            positions: settings.size(&["max_position_embeddings"], 512)?,
            padding,
            // DistilBERT's is no setting.
            layer_norm_eps: match family {
                Family::DistilBert => 1e-12,
                _ => settings.number("layer_norm_eps", 1e-12)?,
            },
            activation: settings.activation(&["hidden_act", "activation"], "gelu")?,
        };
        if config.max_tokens() < 3 {
            bail!("{}: {} positions leave no room for a text", settings.file(), config.positions);
        }
        Ok(config)
    }

    /// Tokens that a text can have, special ones included.
    pub fn max_tokens(&self) -> usize {
        self.positions.saturating_sub(self.padding.map_or(0, |padding| padding as usize + 1))
    }
}

/// One block, its weights packed for the matrix kernel.
pub struct Layer {
    qkv: Linear,
    attention_out: Linear,
    attention_norm: LayerNorm,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
}

impl Layer {
    /// Takes the tensors of block `index` by BERT's names without a prefix, such as
    /// `encoder.layer.0.attention.self.query.weight`.
    pub fn take(take: Take<'_>, index: usize, config: &BertConfig, precision: Precision) -> Result<Self> {
        let (h, wide, eps) = (config.hidden, config.intermediate, config.layer_norm_eps);
        let name = |end: &str| format!("encoder.layer.{index}.{end}");
        let linear = |take: Take<'_>, ends: &[&str], out: usize, inp: usize| {
            let names: Vec<String> = ends.iter().map(|end| name(end)).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            Linear::take(take, &names, out, inp, true, precision)
        };
        Ok(Self {
            qkv: linear(take, &["attention.self.query", "attention.self.key", "attention.self.value"], h, h)?,
            attention_out: linear(take, &["attention.output.dense"], h, h)?,
            attention_norm: LayerNorm::take(take, &name("attention.output.LayerNorm"), h, true, eps)?,
            up: linear(take, &["intermediate.dense"], wide, h)?,
            down: linear(take, &["output.dense"], h, wide)?,
            norm: LayerNorm::take(take, &name("output.LayerNorm"), h, true, eps)?,
        })
    }

    /// One block over packed rows, in place; `lengths` are the texts' tokens.
    pub fn forward(&self, x: &mut Vec<f32>, lengths: &[usize], config: &BertConfig, b: &mut Buffers) {
        let head_dim = config.hidden / config.heads;
        let shape = TextAttention { heads: config.heads, head_dim, scale: 1.0 / (head_dim as f32).sqrt(), reach: None };
        self.qkv.forward(x, &mut b.qkv);
        b.mixed.resize(x.len(), 0.0);
        attend_texts(&shape, lengths, &b.qkv, &mut b.mixed);
        self.attention_out.product(&b.mixed, &mut b.attended);
        self.attention_norm.end_block(&mut b.attended, self.attention_out.bias(), x);
        self.up.activated(&b.attended, config.activation, &mut b.wide);
        self.down.product(&b.wide, x);
        self.norm.end_block(x, self.down.bias(), &b.attended);
    }
}

/// An encoder of the family, ready to use from several threads.
pub struct Bert {
    config: BertConfig,
    words: Vec<f32>,
    positions: Vec<f32>,
    /// Of type 0, as a text alone is; empty where the family has none.
    token_type: Vec<f32>,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

impl Bert {
    /// Takes all tensors; f16 and bf16 become f32.
    ///
    /// # Errors
    /// A missing tensor or another shape than config.json gives, by name.
    pub fn load(config: BertConfig, weights: &mut Weights, precision: Precision) -> Result<Self> {
        let (h, family) = (config.hidden, config.family);
        let rows = |weights: &Weights, name: &str| weights.rows(name).unwrap_or(0);
        let vocabulary = rows(weights, "embeddings.word_embeddings.weight");
        let words = weights.take("embeddings.word_embeddings.weight", &[vocabulary, h])?;
        let positions = weights.take("embeddings.position_embeddings.weight", &[config.positions, h])?;
        let mut token_type = Vec::new();
        if family != Family::DistilBert {
            let types = rows(weights, "embeddings.token_type_embeddings.weight");
            token_type = weights.take("embeddings.token_type_embeddings.weight", &[types, h])?;
            token_type.truncate(h);
        }
        let take: Take<'_> = &mut |name, shape| weights.take(&family.stored(name), shape);
        let norm = LayerNorm::take(take, "embeddings.LayerNorm", h, true, config.layer_norm_eps)?;
        let layers = (0..config.layers).map(|index| Layer::take(take, index, &config, precision));
        let layers = layers.collect::<Result<_>>()?;
        Ok(Self { config, words, positions, token_type, norm, layers })
    }

    /// A tensor by BERT's name, from the file that the encoder was loaded from.
    pub fn take(&self, weights: &mut Weights, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        weights.take(&self.config.family.stored(name), shape)
    }

    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// Rows of the word embeddings; token ids must be below it.
    pub fn vocabulary(&self) -> usize {
        self.words.len() / self.config.hidden
    }

    /// Packed rows (tokens of all texts, hidden) before the first block.
    ///
    /// # Panics
    /// On a token id outside the vocabulary or a text longer than the positions; callers rule both out.
    pub fn embed(&self, texts: &[&[u32]]) -> Vec<f32> {
        let h = self.config.hidden;
        let mut x = Vec::with_capacity(texts.iter().map(|ids| ids.len()).sum::<usize>() * h);
        for ids in texts {
            let mut next = self.config.padding.map_or(0, |padding| padding as usize + 1);
            for &id in *ids {
                // A padding token that stands in the text has the padding's position, and is not counted.
                let position = if self.config.padding == Some(id) { id as usize } else { next };
                next += usize::from(self.config.padding != Some(id));
                let word = &self.words[id as usize * h..][..h];
                let place = &self.positions[position * h..][..h];
                match self.token_type.is_empty() {
                    true => x.extend(word.iter().zip(place).map(|(word, place)| word + place)),
                    false => x.extend((0..h).map(|k| word[k] + self.token_type[k] + place[k])),
                }
            }
        }
        let mut y = Vec::new();
        self.norm.forward(&x, &mut y);
        y
    }

    /// Packed rows behind some of the blocks, from those before them.
    pub fn run_layers(&self, x: Vec<f32>, texts: &[&[u32]], layers: Range<usize>) -> Vec<f32> {
        self.run(x, texts, &self.layers[layers])
    }

    /// Packed rows behind blocks that need not be its own.
    pub fn run(&self, mut x: Vec<f32>, texts: &[&[u32]], layers: &[Layer]) -> Vec<f32> {
        let lengths: Vec<usize> = texts.iter().map(|ids| ids.len()).collect();
        let mut buffers = Buffers::default();
        for layer in layers {
            layer.forward(&mut x, &lengths, &self.config, &mut buffers);
        }
        x
    }

    /// Last hidden states of several texts, `(sum of their tokens, hidden)`, in their order.
    pub fn forward(&self, texts: &[&[u32]]) -> Vec<f32> {
        self.run_layers(self.embed(texts), texts, 0..self.layers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_distilbert_block_has_its_own_name() {
        let stored = |end: &str| Family::DistilBert.stored(&format!("encoder.layer.3.{end}"));
        for (bert, distilbert) in [
            ("attention.self.key.bias", "attention.k_lin.bias"),
            ("attention.output.dense.weight", "attention.out_lin.weight"),
            ("attention.output.LayerNorm.weight", "sa_layer_norm.weight"),
            ("intermediate.dense.bias", "ffn.lin1.bias"),
            ("output.dense.weight", "ffn.lin2.weight"),
            ("output.LayerNorm.bias", "output_layer_norm.bias"),
        ] {
            assert_eq!(stored(bert), format!("transformer.layer.3.{distilbert}"));
        }
    }
}
