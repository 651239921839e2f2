//! Compares unsigned distances between groups with those within a group: |difference| of every score, and similarity of texts.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{Beside, Block, Plan, REST, Unit};
use crate::record::PairRow;
use crate::stats::means;
use crate::stats::noise_floor::{Apart, Draw, NoiseFloor, noise_floor};
use crate::stats::random::Address;
use crate::suite::Similarity;

/// A row of noise_floor.csv; distances are in the score's unit, or 1 − similarity.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FloorRow {
    pub suite: String,
    pub axis: String,
    pub group: String,
    /// The group compared with, or [`REST`].
    pub reference: String,
    /// The scorer whose |difference| it is, or the metric of pairs: cosine, rouge_l, bleu, jaccard, serp, prag.
    pub scorer: String,
    pub clusters: usize,
    /// Mean distance of answers about the two groups.
    pub between: Option<f64>,
    /// Mean distance of answers about one group; `None`, as all that follows, without two answers a group.
    pub floor: Option<f64>,
    /// between − floor; parity is 0.
    pub excess: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub se: Option<f64>,
    pub df: Option<f64>,
    pub p: Option<f64>,
    pub status: FloorStatus,
    /// The distance is of pairs of texts, and no score's.
    pub of_texts: bool,
    /// Largest distance there can be.
    pub width: f64,
}

/// What an excess rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum FloorStatus {
    #[default]
    Ok,
    /// Every cluster shows the same excess.
    ZeroVariance,
    /// Fewer than two clusters.
    Insufficient,
    /// No group has two answers in a cluster: the distance cannot be told from noise.
    NoFloor,
    /// The group or what it is compared with has no answer.
    MissingGroup,
}

impl FloorStatus {
    /// The word in files.
    pub fn as_str(self) -> &'static str {
        match self {
            FloorStatus::Ok => "ok",
            FloorStatus::ZeroVariance => "zero_variance",
            FloorStatus::Insufficient => "insufficient",
            FloorStatus::NoFloor => "no_floor",
            FloorStatus::MissingGroup => "missing_group",
        }
    }
}

/// A row a gap for every scorer of the records, and for every metric of pairs.
pub(super) fn rows(blocks: &[Block<'_>], plan: &Plan, beside: &Beside) -> Vec<FloorRow> {
    let with_records = blocks.par_iter().filter(|block| !block.records.is_empty());
    let mut rows: Vec<FloorRow> = with_records.flat_map_iter(|block| of_scores(block, plan, beside)).collect();
    let mut by_metric: BTreeMap<[&str; 4], Vec<&PairRow>> = BTreeMap::new();
    for pair in &beside.pairs {
        by_metric.entry([&pair.axis, &pair.group, &pair.reference, &pair.metric]).or_default().push(pair);
    }
    for ([axis, group, reference, metric], pairs) in by_metric {
        let mut pairs = pairs;
        pairs.sort_by(|a, b| (&a.template, &a.context).cmp(&(&b.template, &b.context)));
        let apart = pairs.iter().map(|pair| (&*pair.template, Apart { between: pair.between, floor: pair.floor }));
        let clusters = by_unit(apart.collect(), plan.generalise_to);
        // A cosine may be −1.
        let width = if metric == Similarity::Cosine.as_str() { 2.0 } else { 1.0 };
        let row = row(&clusters, plan, [axis, group, reference, metric], width);
        rows.push(FloorRow { of_texts: true, ..row });
    }
    rows.sort_by(|a, b| (&a.axis, &a.group, &a.scorer).cmp(&(&b.axis, &b.group, &b.scorer)));
    rows
}

/// Group → its answers in one cluster.
type Cluster<'a> = BTreeMap<&'a str, Vec<Draw<'a>>>;

fn of_scores(block: &Block<'_>, plan: &Plan, beside: &Beside) -> Vec<FloorRow> {
    let (axis, scored) = (&block.axis, block.scored());
    let scores: Vec<f64> = scored.iter().filter_map(|record| record.score).collect();
    let mut clusters: BTreeMap<(&str, &str), Cluster<'_>> = BTreeMap::new();
    for (item, record) in scored.iter().enumerate() {
        let draw = Draw { term: &record.term, sample: record.sample, item };
        let cluster = clusters.entry((&record.template, &record.context)).or_default();
        cluster.entry(&record.group).or_default().push(draw);
    }
    let groups = || axis.groups.iter().map(String::as_str);
    let tested = groups().filter(|group| axis.reference.as_deref() != Some(group));
    let rows = tested.map(|group| {
        let has_score = |other: &str| clusters.values().any(|cluster| cluster.contains_key(other));
        let others = axis.others(group, groups(), has_score);
        let apart: Vec<(&str, Apart)> = clusters
            .iter()
            .filter_map(|((template, _), cluster)| {
                let others =
                    others.iter().map(|other| cluster.get(other).map(Vec::as_slice)).collect::<Option<Vec<_>>>()?;
                let distance = |a: usize, b: usize| (scores[a] - scores[b]).abs();
                Some((*template, Apart::of(cluster.get(group)?, &others, beside.shared_draws, &distance)?))
            })
            .collect();
        row(
            &by_unit(apart, plan.generalise_to),
            plan,
            [&axis.name, group, axis.reference.as_deref().unwrap_or(REST), &block.scorer.name],
            block.scorer.width(),
        )
    });
    rows.collect()
}

/// (template, distances of one of its contexts), by template: the distances of each cluster, or the means of each template.
fn by_unit(apart: Vec<(&str, Apart)>, unit: Unit) -> Vec<Apart> {
    let means_of = |contexts: &[(&str, Apart)]| {
        let between: Vec<f64> = contexts.iter().map(|(_, apart)| apart.between).collect();
        let floors: Vec<f64> = contexts.iter().filter_map(|(_, apart)| apart.floor).collect();
        Some(Apart { between: means::mean(&between)?, floor: means::mean(&floors) })
    };
    match unit {
        Unit::Contexts => apart.into_iter().map(|(_, apart)| apart).collect(),
        Unit::Templates => apart.chunk_by(|a, b| a.0 == b.0).filter_map(means_of).collect(),
    }
}

fn row(clusters: &[Apart], plan: &Plan, [axis, group, reference, scorer]: [&str; 4], width: f64) -> FloorRow {
    let address = Address { seed: plan.seed, suite: &plan.suite, axis, pair: [group, reference], scorer };
    let key = address.key("sign flip of excess");
    let NoiseFloor { clusters, between, floor, excess, interval, se, df, p } =
        noise_floor(clusters, width, 1.0 - plan.alpha, plan.resamples, &key);
    FloorRow {
        suite: plan.suite.clone(),
        axis: axis.to_owned(),
        group: group.to_owned(),
        reference: reference.to_owned(),
        scorer: scorer.to_owned(),
        clusters,
        between,
        floor,
        excess,
        low: interval.map(|(low, _)| low),
        high: interval.map(|(_, high)| high),
        se,
        df,
        p,
        status: match (between, floor, se) {
            (None, ..) => FloorStatus::MissingGroup,
            (_, None, _) => FloorStatus::NoFloor,
            (_, _, None) => FloorStatus::Insufficient,
            (_, _, Some(0.0)) => FloorStatus::ZeroVariance,
            _ => FloorStatus::Ok,
        },
        of_texts: false,
        width,
    }
}
