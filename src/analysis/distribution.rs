//! Compares the whole distribution of a group's scores with that of the others, for tails that a mean does not show.

use rayon::prelude::*;

use super::omnibus::SECONDARY;
use super::{Block, Plan, REST, Status};
use crate::record::Record;
use crate::stats::distribution::{Answer, Distributions, quantile_disparity, quantile_gaps};
use crate::stats::random::Address;
use crate::suite::Unit;

/// Where the quantiles are compared.
pub const QUANTILES: [f64; 7] = [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95];

/// A row of distribution.csv: the scores of one group's answers against those of the others, over the clusters that have both. Descriptive:
/// no verdict hangs on it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DistributionRow {
    pub suite: String,
    pub axis: String,
    pub group: String,
    /// The group compared with, or [`REST`].
    pub reference: String,
    pub scorer: String,
    pub clusters: usize,
    /// Wasserstein-1 in the score's unit; clusters weigh alike, in a cluster the terms, of a term the samples. Above 0 without any
    /// disparity.
    pub w1: Option<f64>,
    /// Mean of the same when labels are shuffled inside the clusters, and how rarely it is as large as observed.
    pub null_mean: Option<f64>,
    pub p: Option<f64>,
    /// Largest distance of the distribution functions.
    pub ks: Option<f64>,
    /// √(2 ∫ (F − G)²)
    pub energy: Option<f64>,
    /// Group minus others at each of [`QUANTILES`], every answer counted alike.
    pub quantiles: [Option<f64>; QUANTILES.len()],
    /// Mean |quantile gap| at .05, .10, …, .95.
    pub quantile_disparity: Option<f64>,
    /// Scored answers in these clusters.
    pub answers: usize,
    pub reference_answers: usize,
    pub status: Status,
}

/// A row for every gap, sorted by axis, group and scorer.
pub(super) fn rows(blocks: &[Block<'_>], plan: &Plan) -> Vec<DistributionRow> {
    let mut rows: Vec<DistributionRow> = blocks.par_iter().flat_map(|block| of_block(block, plan)).collect();
    rows.sort_by(|a, b| (&a.axis, &a.group, &a.scorer).cmp(&(&b.axis, &b.group, &b.scorer)));
    rows
}

fn of_block(block: &Block<'_>, plan: &Plan) -> Vec<DistributionRow> {
    let (axis, scored) = (&block.axis, block.scored());
    let groups = || axis.groups.iter().map(String::as_str);
    let tested: Vec<&str> = groups().filter(|group| axis.reference.as_deref() != Some(group)).collect();
    let row = |group: &&str| {
        let others = axis.others(group, groups(), |other| block.scores.group(other).is_some());
        row(block, plan, group, &others, &scored)
    };
    tested.par_iter().map(row).collect()
}

fn row(block: &Block<'_>, plan: &Plan, group: &str, others: &[&str], scored: &[&Record]) -> DistributionRow {
    let (axis, scorer) = (&block.axis, block.scorer);
    let mut row = DistributionRow {
        suite: plan.suite.clone(),
        axis: axis.name.clone(),
        group: group.to_owned(),
        reference: axis.reference.clone().unwrap_or_else(|| REST.to_owned()),
        scorer: scorer.name.clone(),
        status: Status::MissingGroup,
        ..DistributionRow::default()
    };
    let has_score = |name: &str| block.scores.group(name).is_some();
    if others.is_empty() || !has_score(group) || !others.iter().all(|other| has_score(other)) {
        return row;
    }
    let sides: Vec<&str> = [&[group], others].concat();
    let (answers, clusters) = answers(scored, &sides, plan.generalise_to);
    row.clusters = clusters;
    row.status = if clusters < 2 { Status::Insufficient } else { Status::Ok };
    let values = |is_own: bool| -> Vec<f64> {
        answers.iter().filter(|answer| (answer.side == 0) == is_own).map(|answer| answer.value).collect()
    };
    let (own, of_others) = (values(true), values(false));
    (row.answers, row.reference_answers) = (own.len(), of_others.len());
    let Some(gaps) = quantile_gaps(&own, &of_others, &QUANTILES) else { return row };
    row.quantiles = std::array::from_fn(|index| Some(gaps[index]));
    row.quantile_disparity = quantile_disparity(&own, &of_others);
    let all = Distributions::of(answers, clusters, others.len());
    let distance = all.distance();
    row.w1 = Some(distance.wasserstein);
    (row.ks, row.energy) = (Some(distance.ks), Some(distance.energy()));
    let pair = [group, row.reference.as_str()];
    let address = Address { seed: plan.seed, suite: &plan.suite, axis: &axis.name, pair, scorer: &scorer.name };
    if let Some(null) = all.shuffled(plan.resamples.min(SECONDARY), &address.key("labels of a distribution")) {
        (row.null_mean, row.p) = (Some(null.mean), Some(null.p));
    }
    row
}

/// The answers of the complete clusters with equal weights at each level, and the number of units whose labels are shuffled together.
fn answers(scored: &[&Record], sides: &[&str], unit: Unit) -> (Vec<Answer>, usize) {
    let side = |record: &&Record| sides.iter().position(|side| *side == &*record.group);
    let own: Vec<&Record> = scored.iter().copied().filter(|record| side(record).is_some()).collect();
    // By unit and context: both orders are by name, so that a template's contexts lie together.
    let by_context = |a: &&Record, b: &&Record| (&a.template, &a.context) == (&b.template, &b.context);
    let is_complete =
        |records: &&[&Record]| sides.iter().all(|side| records.iter().any(|record| *record.group == **side));
    let contexts: Vec<&[&Record]> = own.chunk_by(by_context).filter(is_complete).collect();
    let units: Vec<&[&[&Record]]> = match unit {
        Unit::Contexts => contexts.chunks(1).collect(),
        Unit::Templates => contexts.chunk_by(|a, b| a[0].template == b[0].template).collect(),
    };
    let mut answers = Vec::with_capacity(own.len());
    for (cluster, contexts) in units.iter().enumerate() {
        for records in *contexts {
            for cell in records.chunk_by(|a, b| a.group == b.group) {
                let terms = || cell.chunk_by(|a, b| a.term == b.term);
                let of_terms = (units.len() * contexts.len() * terms().count()) as f64;
                for samples in terms() {
                    let weight = 1.0 / (of_terms * samples.len() as f64);
                    answers.extend(samples.iter().filter_map(|record| {
                        Some(Answer { value: record.score?, cluster, side: side(record)?, weight })
                    }));
                }
            }
        }
    }
    (answers, units.len())
}
