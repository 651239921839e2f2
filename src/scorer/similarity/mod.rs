//! Says how far apart answers are as texts: across two groups of a counterfactual set, and within one group, which is the noise floor.
//!
//! Group words are hidden first, so that the swapped word itself is no distance. A similarity is never shown alone: two samples of one
//! prompt differ too, and only what goes beyond that ([`crate::stats::noise_floor`]) is about the groups.

pub mod bleu;
pub mod lists;
mod porter;
pub mod rouge;

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::distinct::Distinct;
use super::encoder::TextEncoder;
use crate::record::{PairRow, REST};
use crate::stats::noise_floor::{Apart, Draw};
use crate::suite::Similarity;
use crate::suite::tested::TestedAxis;

/// An answer with its place; `text` without its group words. Empty answers are left out by the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAnswer<'a> {
    pub template: &'a str,
    pub context: &'a str,
    pub axis: &'a str,
    pub group: &'a str,
    pub term: &'a str,
    pub sample: u32,
    pub text: String,
}

/// Changes whenever a distance could.
pub fn revision(metric: Similarity, encoder: Option<&TextEncoder>) -> String {
    match (metric, encoder) {
        (Similarity::Cosine, Some(encoder)) => format!("cosine 1 on encoder {}", &encoder.digest()[..12]),
        (metric, _) => format!("{} 1", metric.as_str()),
    }
}

/// Words in lower case: runs of letters and digits.
pub fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Cosine of two vectors; `None` for another length or a vector of zeros.
pub fn cosine(a: &[f32], b: &[f32]) -> Option<f64> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let length = (dot(a, a) * dot(b, b)).sqrt();
    (a.len() == b.len() && length > 0.0).then(|| dot(a, b) / length)
}

/// 1 − similarity of any two answers, by one metric.
enum Distances {
    /// (number of the answer's text, vectors of distinct texts)
    Cosine(Vec<usize>, Vec<Vec<f32>>),
    RougeL(Vec<Vec<String>>),
    Bleu(Vec<Vec<String>>),
    /// The items of each answer.
    Lists(Similarity, Vec<Vec<String>>),
}

impl Distances {
    fn of(metric: Similarity, answers: &[SetAnswer<'_>], encoder: Option<&TextEncoder>) -> Result<Distances> {
        Ok(match metric {
            Similarity::Cosine => {
                let encoder = encoder.context("similarity: cosine needs the sentence encoder, and none was given")?;
                let Distinct { texts, places } = Distinct::of(answers.iter().map(|answer| answer.text.as_str()));
                let encoded = encoder.encode(&texts)?;
                Distances::Cosine(places, (0..texts.len()).map(|text| encoded.row(text).to_vec()).collect())
            }
            Similarity::RougeL => Distances::RougeL(answers.iter().map(|answer| rouge::stems(&answer.text)).collect()),
            Similarity::Bleu => Distances::Bleu(answers.iter().map(|answer| words(&answer.text)).collect()),
            Similarity::Jaccard | Similarity::Serp | Similarity::Prag => {
                Distances::Lists(metric, answers.iter().map(|answer| lists::items(&answer.text)).collect())
            }
        })
    }

    fn between(&self, a: usize, b: usize) -> f64 {
        match self {
            // One text is at distance 0 from itself, whatever the last bit of its length.
            Distances::Cosine(texts, _) if texts[a] == texts[b] => 0.0,
            Distances::Cosine(texts, vectors) => 1.0 - cosine(&vectors[texts[a]], &vectors[texts[b]]).unwrap_or(0.0),
            Distances::RougeL(stems) => 1.0 - rouge::rouge_l(&stems[a], &stems[b]),
            Distances::Bleu(words) => 1.0 - bleu::bleu(&words[a], &words[b]),
            Distances::Lists(metric, items) => 1.0 - lists::similarity(*metric, &items[a], &items[b]),
        }
    }
}

/// A row a cluster, group and metric: the mean distance across the groups, and within one.
///
/// `shared_draws`: sample s of a set has the same random numbers in every group.
pub fn pairs(
    metrics: &[Similarity],
    answers: &[SetAnswer<'_>],
    axes: &[TestedAxis],
    encoder: Option<&TextEncoder>,
    shared_draws: bool,
) -> Result<Vec<PairRow>> {
    let mut clusters: BTreeMap<[&str; 3], BTreeMap<&str, Vec<Draw<'_>>>> = BTreeMap::new();
    for (item, answer) in answers.iter().enumerate() {
        let cluster = clusters.entry([answer.axis, answer.template, answer.context]).or_default();
        let draw = Draw { term: answer.term, sample: answer.sample, item };
        cluster.entry(answer.group).or_default().push(draw);
    }
    let mut rows = Vec::new();
    for metric in metrics {
        let distances = Distances::of(*metric, answers, encoder)?;
        for ([axis, template, context], groups) in &clusters {
            let Some(axis) = axes.iter().find(|tested| tested.name == *axis) else { continue };
            for (group, own) in groups.iter().filter(|(group, _)| axis.reference.as_deref() != Some(**group)) {
                let others: Option<Vec<&[Draw<'_>]>> = match axis.reference.as_deref() {
                    Some(reference) => groups.get(reference).map(|other| vec![other.as_slice()]),
                    None => {
                        let rest = axis.groups.iter().filter(|other| other != group && !axis.controls.contains(other));
                        rest.map(|other| groups.get(other.as_str()).map(Vec::as_slice)).collect()
                    }
                };
                let apart =
                    others.and_then(|others| Apart::of(own, &others, shared_draws, &|a, b| distances.between(a, b)));
                let Some(apart) = apart else { continue };
                rows.push(PairRow {
                    template: (*template).to_owned(),
                    context: (*context).to_owned(),
                    axis: axis.name.clone(),
                    group: (*group).to_owned(),
                    reference: axis.reference.clone().unwrap_or_else(|| REST.to_owned()),
                    metric: metric.as_str().to_owned(),
                    between: apart.between,
                    floor: apart.floor,
                });
            }
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(context: &'static str, group: &'static str, sample: u32, text: &str) -> SetAnswer<'static> {
        SetAnswer { template: "t", context, axis: "gender", group, term: group, sample, text: text.into() }
    }

    fn axes(reference: Option<&str>) -> Vec<TestedAxis> {
        vec![TestedAxis {
            name: "gender".into(),
            reference: reference.map(str::to_owned),
            groups: vec!["woman".into(), "man".into()],
            ..TestedAxis::default()
        }]
    }

    #[test]
    fn groups_that_say_the_same_are_as_near_as_one_group_is_to_itself() {
        let answers: Vec<SetAnswer<'_>> = ["woman", "man"]
            .into_iter()
            .flat_map(|group| [answer("c", group, 0, "a good nurse"), answer("c", group, 1, "a kind and good nurse")])
            .collect();
        let metrics = [Similarity::RougeL, Similarity::Bleu];
        for reference in [Some("man"), None] {
            let rows = pairs(&metrics, &answers, &axes(reference), None, true).unwrap();
            assert_eq!(rows.len(), if reference.is_some() { 2 } else { 4 });
            for row in rows {
                assert!(row.between > 0.0 && (row.between - row.floor.unwrap()).abs() < 1e-12, "{row:?}");
            }
        }
    }

    #[test]
    fn one_answer_a_group_has_a_distance_without_floor() {
        let answers = [answer("c", "woman", 0, "warm and kind"), answer("c", "man", 0, "quick and bold")];
        let rows = pairs(&[Similarity::RougeL], &answers, &axes(Some("man")), None, true).unwrap();
        assert_eq!((rows[0].group.as_str(), rows[0].floor), ("woman", None));
        assert!((rows[0].between - 2.0 / 3.0).abs() < 1e-12);
        assert!(pairs(&[Similarity::Cosine], &answers, &axes(None), None, true).is_err());
    }
}
