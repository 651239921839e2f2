//! Runs DeBERTa-v2 and v3: attention scores know the distance of two tokens, by buckets that widen with it (He et al. 2021).

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use super::head::{HeadShape, Pooling};
use super::layers::{Activation, Buffers, LayerNorm, Linear, Take};
use super::settings::Settings;
use super::weights::Weights;
use crate::model::kernel::{DistanceTable, RelativeAttention, attend_relative};
use crate::model::precision::Precision;

/// What config.json says, as far as it changes a number.
#[derive(Debug, Clone, PartialEq)]
pub struct DebertaConfig {
    hidden: usize,
    layers: usize,
    heads: usize,
    intermediate: usize,
    embedding: usize,
    max_tokens: usize,
    token_types: bool,
    positions_in_input: bool,
    distances: Option<Distances>,
    /// Content scores are divided by √(head size · (1 + parts)), as many parts as `pos_att_type` names.
    parts: usize,
    convolution: Option<Convolution>,
    layer_norm_eps: f64,
    activation: Activation,
    pooler_activation: Activation,
}

/// How scores depend on distances.
#[derive(Debug, Clone, PartialEq)]
struct Distances {
    /// Half the rows of the table of distances.
    span: usize,
    buckets: Option<usize>,
    largest: usize,
    /// The content of the query meets the position of the key.
    content_to_position: bool,
    position_to_content: bool,
    /// Positions are projected as contents are.
    shared: bool,
    normed: bool,
}

/// Of the first layer's input over neighbouring tokens, added to its output (v2-xlarge).
#[derive(Debug, Clone, PartialEq)]
struct Convolution {
    width: usize,
    activation: Activation,
}

impl DebertaConfig {
    pub fn read(settings: &Settings) -> Result<Self> {
        let at = settings.file();
        let (hidden, heads) = settings.heads(&["hidden_size"], &["num_attention_heads"], (1536, 24))?;
        let max_tokens = settings.size(&["max_position_embeddings"], 512)?;
        for (name, only) in [("attention_head_size", hidden / heads), ("pooler_hidden_size", hidden)] {
            let size = settings.size(&[name], only)?;
            ensure!(size == only, "{at}: {name} is {size}; only {only} is computed");
        }
        let kinds = position_kinds(settings)?;
        let distances = match settings.flag("relative_attention", false)? {
            false => None,
            true => {
                let positive =
                    |name| Ok::<_, anyhow::Error>(usize::try_from(settings.integer(name, -1)?).ok().filter(|n| *n > 0));
                let buckets = positive("position_buckets")?;
                let largest = positive("max_relative_positions")?.unwrap_or(max_tokens);
                Some(Distances {
                    span: buckets.unwrap_or(largest),
                    buckets,
                    largest,
                    content_to_position: kinds.iter().any(|kind| kind == "c2p"),
                    position_to_content: kinds.iter().any(|kind| kind == "p2c"),
                    shared: settings.flag("share_att_key", false)?,
                    normed: settings
                        .text("norm_rel_ebd", "none")?
                        .to_lowercase()
                        .split('|')
                        .any(|s| s.trim() == "layer_norm"),
                })
            }
        };
        let convolution = match settings.integer("conv_kernel_size", 0)? {
            ..=0 => None,
            width => {
                ensure!(width % 2 == 1, "{at}: conv_kernel_size is {width}; only odd ones are computed");
                let groups = settings.size(&["conv_groups"], 1)?;
                ensure!(groups == 1, "{at}: conv_groups is {groups}; only 1 is computed");
                Some(Convolution { width: width as usize, activation: settings.activation(&["conv_act"], "tanh")? })
            }
        };
        Ok(Self {
            hidden,
            layers: settings.size(&["num_hidden_layers"], 24)?,
            heads,
            intermediate: settings.size(&["intermediate_size"], 6144)?,
            embedding: settings.size(&["embedding_size"], hidden)?,
            max_tokens,
            token_types: settings.integer("type_vocab_size", 0)? > 0,
            positions_in_input: settings.flag("position_biased_input", true)?,
            distances,
            parts: ["c2p", "p2c"].iter().filter(|part| kinds.iter().any(|kind| kind == *part)).count(),
            convolution,
            layer_norm_eps: settings.number("layer_norm_eps", 1e-7)?,
            activation: settings.activation(&["hidden_act"], "gelu")?,
            pooler_activation: settings.activation(&["pooler_hidden_act"], "gelu")?,
        })
    }

    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    pub fn head(&self) -> HeadShape<'static> {
        HeadShape {
            pooling: Pooling::First,
            hidden: self.hidden,
            dense: "pooler.dense",
            dense_inside: false,
            dense_biased: true,
            activation: self.pooler_activation,
            norm: None,
            output: "classifier",
        }
    }
}

/// `pos_att_type`, as `"c2p|p2c"` or as a list.
fn position_kinds(settings: &Settings) -> Result<Vec<String>> {
    let kinds: Option<Vec<String>> = match settings.value(&["pos_att_type"]) {
        None => Some(Vec::new()),
        Some((_, Value::String(text))) => Some(text.to_lowercase().split('|').map(|s| s.trim().to_owned()).collect()),
        Some((_, value)) => value
            .as_array()
            .and_then(|list| list.iter().map(|kind| kind.as_str().map(|kind| kind.trim().to_lowercase())).collect()),
    };
    match kinds {
        Some(kinds) if kinds.iter().all(|kind| ["c2p", "p2c", "none", ""].contains(&kind.as_str())) => Ok(kinds),
        _ => bail!(
            "{}: pos_att_type is {}; \"c2p\" and \"p2c\" are computed",
            settings.file(),
            settings.value(&["pos_att_type"]).map_or(&Value::Null, |(_, value)| value)
        ),
    }
}

impl Distances {
    /// The row of the table for the distance query − key.
    fn row(&self, distance: isize) -> usize {
        let bucket = match self.buckets {
            Some(buckets) => log_bucket(distance, buckets, self.largest),
            None => distance,
        };
        bucket.saturating_add(self.span as isize).clamp(0, 2 * self.span as isize - 1) as usize
    }
}

/// Exact up to half the buckets, then logarithmic up to `largest`; in f32, as the reference computes it.
fn log_bucket(distance: isize, buckets: usize, largest: usize) -> isize {
    let middle = (buckets / 2) as f32;
    let far = distance.unsigned_abs() as f32;
    if far <= middle {
        return distance;
    }
    let log = ((far / middle).ln() / ((largest as f32 - 1.0) / middle).ln() * (middle - 1.0)).ceil() + middle;
    (log as isize).saturating_mul(distance.signum())
}

struct Layer {
    qkv: Linear,
    /// Projected distances, (2 · span, hidden).
    position_keys: Option<Vec<f32>>,
    position_queries: Option<Vec<f32>>,
    attention_out: Linear,
    attention_norm: LayerNorm,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
}

pub struct Deberta {
    config: DebertaConfig,
    words: Vec<f32>,
    positions: Option<Vec<f32>>,
    /// Of type 0.
    token_type: Option<Vec<f32>>,
    projection: Option<Linear>,
    norm: LayerNorm,
    layers: Vec<Layer>,
    convolution: Option<(Linear, Activation, LayerNorm)>,
}

impl Deberta {
    pub fn load(config: DebertaConfig, weights: &mut Weights, precision: Precision) -> Result<Self> {
        let (h, e, eps) = (config.hidden, config.embedding, config.layer_norm_eps);
        let vocabulary = weights.rows("embeddings.word_embeddings.weight").unwrap_or(0);
        let words = weights.take("embeddings.word_embeddings.weight", &[vocabulary, e])?;
        let positions = match config.positions_in_input {
            true => Some(weights.take("embeddings.position_embeddings.weight", &[config.max_tokens, e])?),
            false => None,
        };
        let mut token_type = None;
        if config.token_types {
            let types = weights.rows("embeddings.token_type_embeddings.weight").unwrap_or(0);
            let mut table = weights.take("embeddings.token_type_embeddings.weight", &[types, e])?;
            table.truncate(e);
            token_type = Some(table);
        }
        let take: Take<'_> = &mut |name, shape| weights.take(name, shape);
        let projection = match e == h {
            true => None,
            false => Some(Linear::take(take, &["embeddings.embed_proj"], h, e, false, precision)?),
        };
        let norm = LayerNorm::take(take, "embeddings.LayerNorm", h, true, eps)?;
        let distances = match &config.distances {
            None => Vec::new(),
            Some(distances) => {
                let table = take("encoder.rel_embeddings.weight", &[2 * distances.span, h])?;
                match distances.normed {
                    false => table,
                    true => {
                        let mut normed = Vec::new();
                        LayerNorm::take(take, "encoder.LayerNorm", h, true, eps)?.forward(&table, &mut normed);
                        normed
                    }
                }
            }
        };
        let layers = (0..config.layers).map(|index| Layer::take(take, index, &config, &distances, precision));
        let layers = layers.collect::<Result<_>>()?;
        let convolution = match &config.convolution {
            None => None,
            Some(convolution) => {
                let stored = take("encoder.conv.conv.weight", &[h, h, convolution.width])?;
                // (out, in, place) to (out, place, in): neighbouring rows lie behind each other in a window.
                let width = convolution.width;
                let weight: Vec<f32> = (0..h * width * h)
                    .map(|at| (at / (width * h), at / h % width, at % h))
                    .map(|(out, place, inp)| stored[(out * h + inp) * width + place])
                    .collect();
                let linear = Linear::new(&weight, take("encoder.conv.conv.bias", &[h])?, width * h, precision);
                Some((linear, convolution.activation, LayerNorm::take(take, "encoder.conv.LayerNorm", h, true, eps)?))
            }
        };
        Ok(Self { config, words, positions, token_type, projection, norm, layers, convolution })
    }

    pub fn vocabulary(&self) -> usize {
        self.words.len() / self.config.embedding
    }

    /// Last hidden states of several texts, `(sum of their tokens, hidden)`, in their order.
    pub fn forward(&self, texts: &[&[u32]]) -> Vec<f32> {
        let config = &self.config;
        let lengths: Vec<usize> = texts.iter().map(|ids| ids.len()).collect();
        let mut x = self.embed(texts);
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let table = |vectors: &Option<Vec<f32>>| {
            let (vectors, distances) = (vectors.as_ref()?, config.distances.as_ref()?);
            Some(DistanceTable::new(vectors, config.hidden, longest, |distance| distances.row(distance)))
        };
        let head_dim = config.hidden / config.heads;
        let mut b = Buffers::default();
        for (index, layer) in self.layers.iter().enumerate() {
            let convolved = match &self.convolution {
                Some(convolution) if index == 0 => Some(convolve(convolution, &x, &lengths, config)),
                _ => None,
            };
            layer.qkv.forward(&x, &mut b.qkv);
            b.mixed.resize(x.len(), 0.0);
            let (keys, queries) = (table(&layer.position_keys), table(&layer.position_queries));
            let shape = RelativeAttention {
                heads: config.heads,
                head_dim,
                scale: 1.0 / ((head_dim * (1 + config.parts)) as f32).sqrt(),
                keys: keys.as_ref(),
                queries: queries.as_ref(),
            };
            attend_relative(&shape, &lengths, &b.qkv, &mut b.mixed);
            layer.attention_out.product(&b.mixed, &mut b.attended);
            layer.attention_norm.end_block(&mut b.attended, layer.attention_out.bias(), &x);
            layer.up.activated(&b.attended, config.activation, &mut b.wide);
            layer.down.product(&b.wide, &mut x);
            layer.norm.end_block(&mut x, layer.down.bias(), &b.attended);
            if let (Some((_, _, norm)), Some(convolved)) = (&self.convolution, convolved) {
                norm.end_block(&mut x, &vec![0.0; config.hidden], &convolved);
            }
        }
        x
    }

    fn embed(&self, texts: &[&[u32]]) -> Vec<f32> {
        let e = self.config.embedding;
        let mut x = Vec::new();
        for ids in texts {
            for (position, &id) in ids.iter().enumerate() {
                let start = x.len();
                x.extend_from_slice(&self.words[id as usize * e..][..e]);
                let places = self.positions.as_ref().map(|table| &table[position * e..][..e]);
                for addend in [places, self.token_type.as_deref()].into_iter().flatten() {
                    x[start..].iter_mut().zip(addend).for_each(|(x, addend)| *x += addend);
                }
            }
        }
        if let Some(projection) = &self.projection {
            let mut wide = Vec::new();
            projection.forward(&x, &mut wide);
            x = wide;
        }
        let mut y = Vec::new();
        self.norm.forward(&x, &mut y);
        y
    }
}

/// f(convolution) of every text by itself, with zeros beyond its ends.
fn convolve(
    (linear, activation, _): &(Linear, Activation, LayerNorm),
    x: &[f32],
    lengths: &[usize],
    config: &DebertaConfig,
) -> Vec<f32> {
    let (h, width) = (config.hidden, config.convolution.as_ref().map_or(1, |convolution| convolution.width));
    let mut windows = vec![0.0; x.len() * width];
    let mut start = 0;
    for &length in lengths {
        for token in 0..length {
            for place in 0..width {
                let Some(neighbour) = (token + place).checked_sub(width / 2).filter(|n| *n < length) else { continue };
                windows[((start + token) * width + place) * h..][..h]
                    .copy_from_slice(&x[(start + neighbour) * h..][..h]);
            }
        }
        start += length;
    }
    let mut y = Vec::new();
    linear.activated(&windows, *activation, &mut y);
    y
}

impl Layer {
    fn take(take: Take<'_>, index: usize, config: &DebertaConfig, distances: &[f32], p: Precision) -> Result<Self> {
        let (h, eps) = (config.hidden, config.layer_norm_eps);
        let name = |end: &str| format!("encoder.layer.{index}.{end}");
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        let (mut position_keys, mut position_queries) = (None, None);
        for part in ["query", "key", "value"] {
            let own = take(&name(&format!("attention.self.{part}_proj.weight")), &[h, h])?;
            let own_bias = take(&name(&format!("attention.self.{part}_proj.bias")), &[h])?;
            let Some(distances_config) = &config.distances else {
                weight.extend(own);
                bias.extend(own_bias);
                continue;
            };
            // Positions of keys meet contents of queries, and the other way round.
            let wanted = match part {
                "query" => distances_config.position_to_content,
                "key" => distances_config.content_to_position,
                _ => false,
            };
            if wanted {
                let projection = match distances_config.shared {
                    true => Linear::new(&own, own_bias.clone(), h, Precision::F32),
                    false => {
                        let name = name(&format!("attention.self.pos_{part}_proj"));
                        Linear::take(take, &[&name], h, h, true, Precision::F32)?
                    }
                };
                let mut projected = Vec::new();
                projection.forward(distances, &mut projected);
                *(if part == "key" { &mut position_keys } else { &mut position_queries }) = Some(projected);
            }
            weight.extend(own);
            bias.extend(own_bias);
        }
        let linear = |take: Take<'_>, end: &str, out, inp| Linear::take(take, &[&name(end)], out, inp, true, p);
        Ok(Self {
            qkv: Linear::new(&weight, bias, h, p),
            position_keys,
            position_queries,
            attention_out: linear(take, "attention.output.dense", h, h)?,
            attention_norm: LayerNorm::take(take, &name("attention.output.LayerNorm"), h, true, eps)?,
            up: linear(take, "intermediate.dense", config.intermediate, h)?,
            down: linear(take, "output.dense", h, config.intermediate)?,
            norm: LayerNorm::take(take, &name("output.LayerNorm"), h, true, eps)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_exact_near_and_widen_with_the_distance() {
        // 16 buckets, distances up to 128: by hand from ceil(ln(d/8) / ln(127/8) · 7) + 8.
        for (distance, bucket) in [(0, 0), (8, 8), (-8, -8), (9, 9), (12, 10), (-12, -10), (127, 15), (-127, -15)] {
            assert_eq!(log_bucket(distance, 16, 128), bucket, "{distance}");
        }
    }
}
