//! Trains small heads: rows, sentence vectors, a fit, figures on held-out rows.
//!
//! Everything follows from the file, the encoder, the options and the seed, so the same command writes the same bytes.

mod descent;
pub mod exam;
mod network;
mod ops;
pub mod quality;
pub mod recipe;
mod regression;
mod sentences;
mod table;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use serde::Deserialize;

use super::Direction;
use super::adapted::AdaptedEncoder;
use super::encoder::TextEncoder;
use super::head::{Data, FORMAT, Fit, Head, HeadEncoder, Kind, MODULES, Papers, PartCount, Source, Stored, as_stored};
use super::web_text;
use descent::Schedule;
use network::{Input, Network, Shape};
use regression::Rows;
pub use table::{Table, parse, read};

/// Texts that are encoded between two reports of progress.
const PROGRESS_STEP: usize = 512;

/// What the maker of a head says about it: a YAML file, or the options of the command.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    pub name: Option<String>,
    /// The labels in their order; of two, the second is what the score is the probability of.
    pub labels: Option<Vec<String>>,
    /// One number in [0, 1] a label: the score is their mean, weighted by the probabilities. Of two labels 0 and 1.
    pub values: Option<Vec<f64>>,
    pub meaning: Option<String>,
    pub better: Option<Direction>,
    pub license: Option<String>,
    pub limits: Option<String>,
    #[serde(default)]
    pub sources: Vec<Source>,
}

impl Card {
    /// # Errors
    /// An unreadable file, or a key that a card does not have.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_saphyr::from_str(&text).with_context(|| path.display().to_string())
    }
}

/// How a head is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    pub kind: Kind,
    pub seed: u64,
    /// See [`Fit::l2`].
    pub l2: f64,
    pub class_weights: bool,
    /// Upper layers of the encoder that get adapters, and the adapters' rank.
    pub layers: usize,
    pub rank: usize,
    /// Width of the hidden layer of `mlp`.
    pub hidden: usize,
    pub epochs: usize,
    pub learning_rate: f64,
    /// The command, for the papers.
    pub command: String,
}

/// How far a training is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// Texts that have their vectors, of all.
    Encoded(usize, usize),
    /// Steps, of all, and the last step's loss.
    Trained(usize, usize, f64),
}

/// Trains a head on the rows of `table`; `name` is what it is called unless the card says otherwise.
///
/// # Errors
/// Options that make no sense together, a card whose labels or values do not fit the rows, a fit that finds no minimum.
pub fn train(
    table: &Table,
    card: &Card,
    name: &str,
    options: &Options,
    encoder: &Arc<TextEncoder>,
    encoder_name: &str,
    progress: &mut dyn FnMut(Progress),
) -> Result<Head> {
    let all = encoder.layers();
    ensure!(
        options.kind != Kind::Lora || (1..=all).contains(&options.layers),
        "the encoder has {all} layers, so {} of them cannot have adapters; give --layers 1 to {all}",
        options.layers
    );
    let (fitted, held_out) = table.split();
    let weights = table.balanced(&fitted, options.class_weights);
    let targets: Vec<f32> =
        fitted.iter().flat_map(|&i| &table.targets[i * table.outputs..][..table.outputs]).copied().collect();
    let texts: Vec<&str> = fitted.iter().map(|&i| table.texts[i].as_str()).collect();
    let papers = papers(table, card, name, options, encoder, encoder_name, fitted.len())?;

    let vectors = encode(encoder, &texts, progress)?;
    let rows = Rows { x: &vectors, dim: encoder.dim(), targets: &targets, outputs: table.outputs, weights: &weights };
    let tensors = match options.kind {
        Kind::Linear => linear(rows, options.l2)?,
        Kind::Mlp => mlp(rows, options, progress)?,
        Kind::Lora => lora(rows, &texts, options, encoder, progress)?,
    };
    let head = Head::new(papers, tensors)?;
    measure(head, table, &held_out, encoder, options.seed)
}

fn encode(encoder: &TextEncoder, texts: &[&str], progress: &mut dyn FnMut(Progress)) -> Result<Vec<f32>> {
    let mut vectors = Vec::with_capacity(texts.len() * encoder.dim());
    for (i, some) in texts.chunks(PROGRESS_STEP).enumerate() {
        vectors.extend(encoder.encode(some)?.rows);
        progress(Progress::Encoded(i * PROGRESS_STEP + some.len(), texts.len()));
    }
    Ok(vectors)
}

type Tensors = BTreeMap<String, Stored>;

fn linear(rows: Rows<'_>, l2: f64) -> Result<Tensors> {
    let fitted = regression::fit(rows, l2)?;
    let narrow = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect();
    Ok(BTreeMap::from([
        ("output.weight".into(), Stored { shape: vec![rows.outputs, rows.dim], values: narrow(fitted.weight) }),
        ("output.bias".into(), Stored { shape: vec![rows.outputs], values: narrow(fitted.bias) }),
    ]))
}

fn mlp(rows: Rows<'_>, options: &Options, progress: &mut dyn FnMut(Progress)) -> Result<Tensors> {
    let mut random = ChaCha8Rng::seed_from_u64(options.seed);
    let shape =
        Shape { dim: rows.dim, attention_heads: 1, rank: 0, outputs: rows.outputs, hidden: Some(options.hidden) };
    let network = Network::new(shape, Vec::new(), None, &mut random)?;
    // A vector counts as one token.
    let schedule = Schedule {
        epochs: options.epochs,
        learning_rate: options.learning_rate,
        last_factor: 1.0,
        weight_decay: 0.0,
        batch_tokens: 256,
    };
    let mut input = |batch: &[usize]| -> Result<Input> {
        let x: Vec<f32> = batch.iter().flat_map(|&i| &rows.x[i * rows.dim..][..rows.dim]).copied().collect();
        Ok(Input::Vectors(Tensor::from_vec(x, (batch.len(), rows.dim), &Device::Cpu)?))
    };
    let lengths = vec![1; rows.weights.len()];
    descend(&network, &lengths, rows, &schedule, &mut random, &mut input, progress)
}

fn lora(
    rows: Rows<'_>,
    texts: &[&str],
    options: &Options,
    encoder: &TextEncoder,
    progress: &mut dyn FnMut(Progress),
) -> Result<Tensors> {
    let all = encoder.layers();
    let mut random = ChaCha8Rng::seed_from_u64(options.seed);
    // The output starts at the best one for the encoder as it is (Kumar et al. 2022).
    let start = regression::fit(rows, options.l2)?;
    let narrow = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect();
    let shape = Shape {
        dim: rows.dim,
        attention_heads: encoder.attention_heads(),
        rank: options.rank,
        outputs: rows.outputs,
        hidden: None,
    };
    let first = all - options.layers;
    let frozen = encoder.layer_tensors(first..all, &MODULES)?;
    let network = Network::new(shape, frozen, Some((narrow(start.weight), narrow(start.bias))), &mut random)?;
    let schedule = Schedule {
        epochs: options.epochs,
        learning_rate: options.learning_rate,
        last_factor: 5.0,
        weight_decay: 0.01,
        batch_tokens: 1024,
    };
    let tokens = encoder.all_tokens(texts)?;
    let lengths: Vec<usize> = tokens.iter().map(Vec::len).collect();
    // The frozen layers below are computed anew for each batch: a seventh of the time, and nothing to keep.
    let mut input = |batch: &[usize]| -> Result<Input> {
        let ids: Vec<&[u32]> = batch.iter().map(|&i| tokens[i].as_slice()).collect();
        padded(&encoder.lower(&ids, first), &ids, rows.dim)
    };
    descend(&network, &lengths, rows, &schedule, &mut random, &mut input, progress)
}

/// Packed rows as (texts, tokens, dim), with zeros behind the shorter texts.
fn padded(packed: &[f32], ids: &[&[u32]], dim: usize) -> Result<Input> {
    let longest = ids.iter().map(|ids| ids.len()).max().unwrap_or(0);
    let mut x = vec![0.0; ids.len() * longest * dim];
    let mut is_token = vec![0.0_f32; ids.len() * longest];
    let mut from = 0;
    for (text, ids) in ids.iter().enumerate() {
        let length = ids.len() * dim;
        x[text * longest * dim..][..length].copy_from_slice(&packed[from..from + length]);
        is_token[text * longest..][..ids.len()].fill(1.0);
        from += length;
    }
    Ok(Input::Tokens {
        x: Tensor::from_vec(x, (ids.len(), longest, dim), &Device::Cpu)?,
        is_token: Tensor::from_vec(is_token, (ids.len(), longest), &Device::Cpu)?,
    })
}

fn descend(
    network: &Network,
    lengths: &[usize],
    rows: Rows<'_>,
    schedule: &Schedule,
    random: &mut ChaCha8Rng,
    input: &mut dyn FnMut(&[usize]) -> Result<Input>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Tensors> {
    let mut report = |done, all, loss| progress(Progress::Trained(done, all, loss));
    descent::train(network, lengths, (rows.targets, rows.outputs), rows.weights, schedule, random, input, &mut report)?;
    let tensors = network.tensors()?;
    tensors
        .into_iter()
        .map(|(name, tensor)| {
            let values = as_stored(&name, tensor.flatten_all()?.to_vec1()?);
            Ok((name, Stored { shape: tensor.dims().to_vec(), values }))
        })
        .collect()
}

fn papers(
    table: &Table,
    card: &Card,
    name: &str,
    options: &Options,
    encoder: &TextEncoder,
    encoder_name: &str,
    rows: usize,
) -> Result<Papers> {
    let values = match (&card.values, table.labels.len()) {
        (Some(values), _) => Some(values.clone()),
        (None, 2) => Some(vec![0.0, 1.0]),
        (None, _) => None,
    };
    if let Some(values) = &values {
        ensure!(
            values.len() == table.labels.len() && values.iter().all(|v| (0.0..=1.0).contains(v)),
            "the card gives the values {values:?} to the labels {:?}; give one in [0, 1] to each",
            table.labels
        );
    }
    let name = card.name.as_deref().unwrap_or(name);
    let meaning = card.meaning.clone().unwrap_or_else(|| match values {
        Some(_) if table.labels.len() == 2 => {
            format!("probability of {:?} against {:?}", table.labels[1], table.labels[0])
        }
        _ => format!("which of {:?}", table.labels),
    });
    let is_lora = options.kind == Kind::Lora;
    let parts = table.part_names.iter().enumerate().map(|(i, part)| {
        let count = |held: bool| {
            let rows = table.parts.iter().zip(&table.held_out);
            rows.filter(|(part, held_out)| **part == i && **held_out == held).count()
        };
        PartCount { part: part.clone(), fitted: count(false), held_out: count(true) }
    });
    Ok(Papers {
        format: FORMAT,
        name: name.to_owned(),
        kind: options.kind,
        labels: table.labels.clone(),
        values,
        meaning,
        better: card.better.unwrap_or(Direction::Neither),
        encoder: HeadEncoder { name: encoder_name.to_owned(), digest: encoder.digest().to_owned() },
        text_rule: web_text::RULE.to_owned(),
        fit: Fit {
            command: options.command.clone(),
            seed: options.seed,
            l2: options.l2,
            class_weights: options.class_weights,
            rows,
            layers: is_lora.then_some(options.layers),
            rank: is_lora.then_some(options.rank),
            hidden: (options.kind == Kind::Mlp).then_some(options.hidden),
            epochs: (options.kind != Kind::Linear).then_some(options.epochs),
            learning_rate: (options.kind != Kind::Linear).then_some(options.learning_rate),
        },
        data: Data { sha256: table.sha256.clone(), parts: parts.collect(), sources: card.sources.clone() },
        license: card.license.clone().unwrap_or_else(|| "not stated".to_owned()),
        quality: Vec::new(),
        limits: card.limits.clone().unwrap_or_else(|| "not stated".to_owned()),
        weights_digest: String::new(),
    })
}

/// Adds the figures on the held-out rows of each part, then of all parts together.
fn measure(mut head: Head, table: &Table, held_out: &[usize], encoder: &Arc<TextEncoder>, seed: u64) -> Result<Head> {
    let judged: Vec<(usize, usize)> = held_out.iter().filter_map(|&i| Some((i, table.truths[i]?))).collect();
    let texts: Vec<&str> = judged.iter().map(|&(i, _)| table.texts[i].as_str()).collect();
    let adapted = AdaptedEncoder::new(encoder.clone(), &head)?;
    let vectors = adapted.encode(&texts)?;
    let probabilities: Vec<Vec<f64>> = (0..texts.len()).map(|i| head.probabilities(vectors.row(i))).collect();
    let on = |name: &str, wanted: &dyn Fn(usize) -> bool| {
        let chosen: Vec<usize> = (0..judged.len()).filter(|&at| wanted(table.parts[judged[at].0])).collect();
        let p: Vec<Vec<f64>> = chosen.iter().map(|&at| probabilities[at].clone()).collect();
        let truths: Vec<usize> = chosen.iter().map(|&at| judged[at].1).collect();
        quality::measure(name, &p, &truths, table.labels.len(), seed)
    };
    let mut figures = Vec::new();
    if table.part_names.len() > 1 {
        figures.extend(table.part_names.iter().enumerate().filter_map(|(i, part)| on(part, &|at| at == i)));
    }
    figures.extend(on("all rows held out", &|_| true));
    head.papers.quality = figures;
    Ok(head)
}

#[cfg(test)]
mod tests;
