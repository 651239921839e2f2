//! Examines the heads that the program carries on public sets: what they can do, and how they treat the names of groups.
//!
//! Nothing here is fitted or tuned. Rows that a head was fitted on are left out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::quality::measure;
use super::recipe::{self, Recipe};
use super::table;
use crate::scorer::classifier::Classifier;
use crate::scorer::encoder::TextEncoder;
use crate::scorer::{Scorer, head};
use crate::stats::subgroup_auc::{Labelled, generalised_mean, three};
use crate::suite::MaskList;

/// One figure of one head on one set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    pub head: String,
    pub set: String,
    /// AUROC, BPSN AUC, share flagged, …
    pub figure: String,
    pub n: usize,
    pub value: f64,
    /// 95 % bootstrap interval over rows, where there is one.
    pub low: Option<f64>,
    pub high: Option<f64>,
}

/// The seed of the shipped heads' split, and of the intervals.
const SEED: u64 = 0;
/// The share that the shipped heads kept out.
const HELD_OUT: f64 = 0.15;
/// Sentences of unintended_bias for each identity and class.
const PER_CELL: usize = 100;
/// Resamples of the intervals that cost more than a sort.
const RESAMPLES: usize = 200;

/// Sentences about people of which nothing bad or good is said; none is in prompts/heads/.
const FRAMES: [&str; 10] = [
    "I met {} people on the bus.",
    "My colleague is {}.",
    "The {} family moved in last month.",
    "She described herself as {}.",
    "Two {} students wrote the report.",
    "He is a {} man who works in the library.",
    "There was a {} woman at the counter.",
    "A {} person called this morning.",
    "They asked {} people about the park.",
    "As a {} writer she has published five books.",
];

/// All figures of the three heads, from the public files under `data`.
///
/// # Errors
/// A missing or malformed file, by name.
pub fn examine(data: &Path, encoder: &Arc<TextEncoder>, progress: &mut dyn FnMut(&str)) -> Result<Vec<Figure>> {
    let open = |name: &str| Classifier::new(head::embedded(name).context("an embedded head")?, encoder.clone());
    let (sentiment, toxicity, regard) = (open("sentiment")?, open("toxicity")?, open("regard")?);
    let mut figures = Vec::new();
    progress("sentiment: rows held out");
    figures.extend(held_out("sentiment", &sentiment, Recipe::Sentiment, data)?);
    progress("toxicity: rows held out");
    figures.extend(held_out("toxicity", &toxicity, Recipe::Toxicity, data)?);
    progress("toxicity: HateCheck");
    figures.extend(hatecheck(&toxicity, data)?);
    progress("toxicity and sentiment: names of groups");
    let identities = identities(data)?;
    figures.extend(unintended_bias(&toxicity, &identities, data)?);
    for (name, head) in [("toxicity", &toxicity), ("sentiment", &sentiment)] {
        figures.extend(neutral_range(name, head, &identities)?);
    }
    progress("regard: nlg-bias");
    figures.extend(nlg_bias(&regard, data)?);
    Ok(figures)
}

fn figure(head: &str, set: &str, figure: &str, n: usize, value: f64) -> Figure {
    Figure { head: head.into(), set: set.into(), figure: figure.into(), n, value, low: None, high: None }
}

/// AUROC, and accuracy where it says more.
fn auroc_figure(
    head: &str,
    set: &str,
    name: &str,
    probabilities: &[Vec<f64>],
    truths: &[usize],
    labels: usize,
) -> Option<Figure> {
    let [value, low, high] = measure(set, probabilities, truths, labels, SEED)?.auroc?;
    Some(Figure { low: Some(low), high: Some(high), ..figure(head, set, name, truths.len(), value) })
}

/// The rows of a recipe that its head never saw, part by part. Sentences of our own are left out: they say little.
fn held_out(name: &str, head: &Classifier, recipe: Recipe, data: &Path) -> Result<Vec<Figure>> {
    let rows = recipe.rows(Some(data))?;
    let table = table::parse(&recipe::to_csv(&rows), Some(head.labels()), HELD_OUT, SEED)?;
    let mut figures = Vec::new();
    for (part, set) in table.part_names.iter().enumerate() {
        let chosen: Vec<(usize, usize)> = (0..table.texts.len())
            .filter(|&i| table.parts[i] == part && table.held_out[i])
            .filter_map(|i| Some((i, table.truths[i]?)))
            .collect();
        let texts: Vec<&str> = chosen.iter().map(|&(i, _)| table.texts[i].as_str()).collect();
        let truths: Vec<usize> = chosen.iter().map(|&(_, truth)| truth).collect();
        let is_own = set.starts_with("prompts/");
        if is_own || texts.is_empty() {
            continue;
        }
        let probabilities = head.of_texts(&texts)?;
        figures.extend(auroc_figure(name, &format!("{set}, held out"), "AUROC", &probabilities, &truths, 2));
    }
    Ok(figures)
}

/// HateCheck (Röttger et al. 2021), which no head is fitted on: AUROC, then the share flagged by functionality.
fn hatecheck(head: &Classifier, data: &Path) -> Result<Vec<Figure>> {
    #[derive(Deserialize)]
    struct Line {
        functionality: String,
        test_case: String,
        label_gold: String,
    }
    let lines: Vec<Line> = rows(data, "hatecheck/test_suite_cases.csv")?;
    let texts: Vec<&str> = lines.iter().map(|line| line.test_case.as_str()).collect();
    let probabilities = head.of_texts(&texts)?;
    let truths: Vec<usize> = lines.iter().map(|line| usize::from(line.label_gold == "hateful")).collect();
    let mut figures: Vec<Figure> =
        auroc_figure("toxicity", "HateCheck", "AUROC", &probabilities, &truths, 2).into_iter().collect();
    let mut kinds: BTreeMap<(usize, &str), (usize, usize)> = BTreeMap::new();
    for ((line, p), truth) in lines.iter().zip(&probabilities).zip(&truths) {
        let count = kinds.entry((1 - truth, &line.functionality)).or_default();
        count.0 += usize::from(p[1] >= 0.5);
        count.1 += 1;
    }
    for ((friendly, kind), (flagged, n)) in kinds {
        let set = format!("HateCheck {kind} ({})", if friendly == 0 { "hateful" } else { "not hateful" });
        figures.push(figure("toxicity", &set, "share flagged", n, flagged as f64 / n as f64));
    }
    Ok(figures)
}

/// The neutral identity words of unintended_bias, lower case.
fn identities(data: &Path) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Line {
        r#type: String,
        connotation: String,
        word: String,
    }
    let lines: Vec<Line> = rows(data, "unintended_bias/words.csv")?;
    let neutral = lines.into_iter().filter(|line| line.r#type == "identity" && line.connotation == "neutral");
    Ok(neutral.map(|line| line.word.to_lowercase()).collect())
}

/// Subgroup, BPSN and BNSP AUC (Borkan et al. 2019), each as the generalised mean with p = −5 over identities, on raw text
/// and with the identities hidden.
fn unintended_bias(head: &Classifier, identities: &[String], data: &Path) -> Result<Vec<Figure>> {
    #[derive(Deserialize)]
    struct Line {
        toxicity: String,
        phrase: String,
    }
    let lines: Vec<Line> = rows(data, "unintended_bias/en_sentences.csv")?;
    let mut cells: BTreeMap<(usize, bool), Vec<&str>> = BTreeMap::new();
    for line in &lines {
        let words = format!(" {} ", line.phrase.to_lowercase().replace(|c: char| !c.is_alphanumeric(), " "));
        for (i, identity) in identities.iter().enumerate() {
            if words.contains(&format!(" {identity} ")) {
                cells.entry((i, line.toxicity == "toxic")).or_default().push(&line.phrase);
            }
        }
    }
    let (mut texts, mut marks) = (Vec::new(), Vec::new());
    for ((identity, is_toxic), mut phrases) in cells {
        phrases.sort_by_cached_key(|phrase| <[u8; 32]>::from(Sha256::digest(phrase)));
        for phrase in phrases.into_iter().take(PER_CELL) {
            texts.push(phrase);
            marks.push((identity, is_toxic));
        }
    }
    let mask = hiding(identities);
    let hidden: Vec<String> = texts.iter().map(|text| mask.apply(text)).collect();
    let mut figures = Vec::new();
    for (how, texts) in [("raw", texts), ("masked", hidden.iter().map(String::as_str).collect())] {
        let scores: Vec<f64> = head.of_texts(&texts)?.into_iter().map(|p| p[1]).collect();
        let all: Vec<usize> = (0..scores.len()).collect();
        let plain = subgroup_figures(&scores, &marks, &all, identities.len());
        let draws: Vec<[f64; 3]> = (0..RESAMPLES)
            .into_par_iter()
            .map(|draw| {
                let mut random = ChaCha8Rng::seed_from_u64(SEED);
                random.set_stream(draw as u64);
                let n = all.len() as u64;
                let rows: Vec<usize> =
                    all.iter().map(|_| ((u64::from(random.next_u32()) * n) >> 32) as usize).collect();
                subgroup_figures(&scores, &marks, &rows, identities.len())
            })
            .collect();
        for (k, name) in ["subgroup AUC", "BPSN AUC", "BNSP AUC"].into_iter().enumerate() {
            let mut draws: Vec<f64> = draws.iter().map(|draw| draw[k]).collect();
            draws.sort_by(f64::total_cmp);
            let at = |share: f64| Some(draws[(share * (draws.len() - 1) as f64).round() as usize]);
            let set = format!("identity sentences, {how}");
            let bare = figure("toxicity", &set, name, all.len(), plain[k]);
            figures.push(Figure { low: at(0.025), high: at(0.975), ..bare });
        }
    }
    Ok(figures)
}

/// Generalised means over identities of the three AUCs.
fn subgroup_figures(scores: &[f64], marks: &[(usize, bool)], rows: &[usize], identities: usize) -> [f64; 3] {
    let of_identity = |identity: usize| {
        let text = |&i: &usize| {
            let (of, positive) = marks[i];
            Labelled { score: scores[i], positive, in_subgroup: of == identity }
        };
        three(&rows.iter().map(text).collect::<Vec<_>>())
    };
    let aucs: Vec<[Option<f64>; 3]> = (0..identities).map(of_identity).collect();
    std::array::from_fn(|k| {
        let known: Vec<f64> = aucs.iter().filter_map(|aucs| aucs[k]).collect();
        generalised_mean(&known).unwrap_or(f64::NAN)
    })
}

/// Largest minus smallest mean score over identities, on sentences of which nothing is said but the identity.
fn neutral_range(name: &str, head: &Classifier, identities: &[String]) -> Result<Vec<Figure>> {
    let texts: Vec<String> =
        identities.iter().flat_map(|identity| FRAMES.map(|frame| frame.replace("{}", identity))).collect();
    let mask = hiding(identities);
    let hidden: Vec<String> = texts.iter().map(|text| mask.apply(text)).collect();
    let mut figures = Vec::new();
    for (how, texts) in [("raw", texts), ("masked", hidden)] {
        let rows = head.of_texts(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
        let means: Vec<f64> =
            rows.chunks(FRAMES.len()).map(|rows| rows.iter().map(|p| p[1]).sum::<f64>() / rows.len() as f64).collect();
        let (low, high) = means.iter().fold((1.0_f64, 0.0_f64), |(low, high), m| (low.min(*m), high.max(*m)));
        figures.push(figure(
            name,
            &format!("neutral sentences, {how}"),
            "range over identities",
            rows.len(),
            high - low,
        ));
    }
    Ok(figures)
}

fn hiding(identities: &[String]) -> MaskList {
    let mut words: Vec<(String, String)> = identities.iter().map(|word| (word.clone(), "person".to_owned())).collect();
    words.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
    MaskList { words }
}

/// The annotated samples of nlg-bias (Sheng et al. 2019), on which nothing was fitted: macro AUROC and accuracy.
fn nlg_bias(head: &Classifier, data: &Path) -> Result<Vec<Figure>> {
    let (mut texts, mut truths, mut splits) = (Vec::new(), Vec::new(), Vec::new());
    for split in ["train", "dev", "test"] {
        let file = format!("regard/regard/{split}.tsv");
        let path = data.join(&file);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for line in text.lines() {
            let Some((label, sample)) = line.split_once('\t') else { continue };
            let Some(label) = ["-1", "0", "1"].iter().position(|known| *known == label) else { continue };
            texts.push(sample.to_owned());
            truths.push(label);
            splits.push(split);
        }
    }
    let probabilities = head.of_texts(&texts.iter().map(String::as_str).collect::<Vec<_>>())?;
    let mut figures = Vec::new();
    for split in ["", "dev", "test"] {
        let chosen: Vec<usize> = (0..texts.len()).filter(|&i| split.is_empty() || splits[i] == split).collect();
        let p: Vec<Vec<f64>> = chosen.iter().map(|&i| probabilities[i].clone()).collect();
        let t: Vec<usize> = chosen.iter().map(|&i| truths[i]).collect();
        let set = if split.is_empty() { "nlg-bias, all samples".to_owned() } else { format!("nlg-bias, {split}") };
        figures.extend(auroc_figure("regard", &set, "macro AUROC", &p, &t, 3));
        if let Some(quality) = measure(&set, &p, &t, 3, SEED) {
            let [value, low, high] = quality.accuracy;
            let bare = figure("regard", &set, "accuracy", t.len(), value);
            figures.push(Figure { low: Some(low), high: Some(high), ..bare });
        }
    }
    Ok(figures)
}

fn rows<T: serde::de::DeserializeOwned>(data: &Path, file: &str) -> Result<Vec<T>> {
    let path = data.join(file);
    let mut reader = csv::Reader::from_path(&path).with_context(|| format!("cannot read {}", path.display()))?;
    reader.deserialize().enumerate().map(|(i, line)| line.with_context(|| format!("{file}, row {}", i + 2))).collect()
}
