//! Compares two versions of a model on one suite: how each gap changed from the base to the candidate.
//!
//! `design` refuses versions that were not asked the same, `change` computes one row, `decide` adjusts the family and gives verdicts. The
//! arithmetic is in [`crate::stats::compare`].

mod change;
mod decide;
mod design;

#[cfg(test)]
mod calibration;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use anyhow::Result;
use rayon::prelude::*;

pub use self::decide::{SuiteChange, decide, suite_change, verdicts};
pub use self::design::check_same_design;
use super::{AxisPlan, Block, GapRow, Plan, ScorerPlan, Verdict};
use crate::record::{OffsetRow, Record};
pub use crate::stats::compare::ChangeVerdict;
use crate::stats::compare::Versions;
use crate::stats::matrix::{Matrix, Sample};

/// One version's records of one suite, with its own gaps.
pub struct Version<'a> {
    records: &'a [Record],
    blocks: Vec<Block<'a>>,
    /// As its disparity.csv has them.
    pub gaps: Vec<GapRow>,
}

impl<'a> Version<'a> {
    /// Errs as [`super::analyze`] does. `offsets` are what the scorers themselves add, where that was measured.
    pub fn of(records: &'a [Record], plan: &'a Plan, offsets: &[OffsetRow]) -> Result<Version<'a>> {
        let blocks = super::checked_blocks(records, plan)?;
        let gaps = super::gap_rows(&blocks, plan, offsets, 0);
        Ok(Version { records, blocks, gaps })
    }

    fn verdict(&self, axis: &str, group: &str, scorer: &str) -> Option<Verdict> {
        let row = self.gaps.iter().find(|row| row.axis == axis && row.group == group && row.scorer == scorer)?;
        row.verdict
    }
}

/// A row of comparison.csv: how one group's gap on one scorer changed. Gaps, means and limits are in the score's unit, and over the cells
/// that both versions have a score for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ComparisonRow {
    pub suite: String,
    pub axis: String,
    pub group: String,
    /// The group compared with, or [`super::REST`].
    pub reference: String,
    pub scorer: String,
    /// Clusters that have every group of the contrast in both versions.
    pub clusters: usize,
    pub gap_base: Option<f64>,
    pub gap_candidate: Option<f64>,
    /// Difference in disparity, gap_candidate − gap_base; 0 is no change.
    pub did: Option<f64>,
    /// Interval of `did` at level 1 − alpha.
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub se: Option<f64>,
    pub df: Option<f64>,
    /// Of no change: sign-flip p; with random terms the larger of that and the two-way t p.
    pub p: Option<f64>,
    /// Of a gap that is no larger than the base's, and of one that is no smaller, in size.
    pub p_regression: Option<f64>,
    pub p_improvement: Option<f64>,
    /// Upper bound of |gap_candidate| − |gap_base| at level 1 − alpha, two-sided.
    pub change_upper: Option<f64>,
    /// `None` when the scorer is not a declared outcome; then there is no verdict either.
    pub margin: Option<f64>,
    pub verdict: Option<ChangeVerdict>,
    /// The gaps have different signs and `did` is significant: after Holm, or by itself where there is no margin.
    pub sign_change: Option<bool>,
    pub status: ChangeStatus,
    /// What the candidate is called; for the reader of a file with several.
    pub candidate: String,
    /// Holm over the family, each kind of p by itself; `None` outside it.
    pub p_adjusted: Option<f64>,
    pub p_regression_adjusted: Option<f64>,
    pub p_improvement_adjusted: Option<f64>,
    /// |gap_candidate| − |gap_base|
    pub size_change: Option<f64>,
    /// The verdicts of each version by itself.
    pub verdict_base: Option<Verdict>,
    pub verdict_candidate: Option<Verdict>,
    /// Of the group.
    pub mean_base: Option<f64>,
    pub mean_candidate: Option<f64>,
    /// Of the reference, or the mean of the rest.
    pub reference_mean_base: Option<f64>,
    pub reference_mean_candidate: Option<f64>,
    /// Change of the level, the mean of both sides, with a t interval.
    pub mean: Level,
    /// Share of refused answers of both sides.
    pub refusal: Level,
    /// Share of unscored records of both sides.
    pub unscored: Level,
    /// p of no change in that share, and the difference between the sides in its change, with its p.
    pub unscored_p: Option<f64>,
    pub unscored_did: Option<f64>,
    pub unscored_did_p: Option<f64>,
    /// Sample sd of the change of the paired differences over clusters.
    pub sd: Option<f64>,
    /// The part of `se` that comes from terms being a sample of terms.
    pub se_terms: Option<f64>,
    /// Correlation of the paired differences of the versions, and the standard error that unpaired versions would have.
    pub correlation: Option<f64>,
    pub se_unpaired: Option<f64>,
    /// For an inconclusive change: clusters at which no change would be called no regression with 80 % power.
    pub clusters_needed: Option<usize>,
    /// The group is a negative control.
    pub control: bool,
    /// Width of the score's range.
    pub width: f64,
}

/// A mean in both versions and its change, with a t interval over clusters.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Level {
    pub base: Option<f64>,
    pub candidate: Option<f64>,
    pub change: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
}

/// What the numbers of a change rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum ChangeStatus {
    #[default]
    Ok,
    /// Both versions are the same answers: one model, the same scores in every cell. Nothing changed, for certain.
    Identical,
    /// Every cluster shows the same change; the interval is the rule of three.
    ZeroVariance,
    /// Fewer than two complete clusters.
    Insufficient,
    /// The group or what it is compared with has no cell that both versions scored.
    MissingGroup,
    /// The versions differ in how much is unscored; blocks `improved` and `no_regression`.
    DifferentialMissingness,
    /// A negative control changed; blocks `regression` and `improved`.
    Suspect,
}

impl ChangeStatus {
    /// The word in files.
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeStatus::Ok => "ok",
            ChangeStatus::Identical => "identical",
            ChangeStatus::ZeroVariance => "zero_variance",
            ChangeStatus::Insufficient => "insufficient",
            ChangeStatus::MissingGroup => "missing_group",
            ChangeStatus::DifferentialMissingness => "differential_missingness",
            ChangeStatus::Suspect => "suspect",
        }
    }
}

/// One row for every gap that either version has, sorted as disparity.csv, decided as one family.
///
/// Both versions are of `plan`, and of the same design; see [`check_same_design`].
pub fn compare(base: &Version<'_>, candidate: &Version<'_>, plan: &Plan) -> Vec<ComparisonRow> {
    let pairs = pairs(base, candidate);
    let estimates: Vec<Vec<change::Estimate<'_>>> =
        pairs.par_iter().map(|pair| change::estimates(pair, plan)).collect();
    let family = estimates.iter().flatten().filter(|estimate| estimate.is_in_family()).count();
    let mut rows: Vec<ComparisonRow> = estimates.par_iter().flatten().map(|one| one.row(plan, family)).collect();
    for row in &mut rows {
        row.verdict_base = base.verdict(&row.axis, &row.group, &row.scorer);
        row.verdict_candidate = candidate.verdict(&row.axis, &row.group, &row.scorer);
    }
    decide(&mut rows, plan.alpha);
    rows.sort_by(|a, b| (&a.axis, &a.group, &a.scorer).cmp(&(&b.axis, &b.group, &b.scorer)));
    rows
}

/// One axis under one scorer, in both versions.
struct Pair<'a> {
    axis: AxisPlan,
    scorer: &'a ScorerPlan,
    scores: Versions,
    /// 1 for an unscored record, 0 for a scored one; `None` when both versions have every record scored.
    unscored: Option<Versions>,
    /// 1 for a refused answer, 0 for another; `None` where refusals were not scored or the scores are of no answers.
    refused: Option<Versions>,
    is_identical: bool,
}

impl Pair<'_> {
    fn margin(&self) -> Option<f64> {
        self.scorer.margin.filter(|_| !self.axis.crossed)
    }
}

fn pairs<'a>(base: &Version<'a>, candidate: &Version<'a>) -> Vec<Pair<'a>> {
    let mut blocks: BTreeMap<(&str, &str), [Option<&Block<'a>>; 2]> = BTreeMap::new();
    for (slot, version) in [base, candidate].into_iter().enumerate() {
        for block in &version.blocks {
            blocks.entry((&block.axis.name, &block.scorer.name)).or_default()[slot] = Some(block);
        }
    }
    let is_identical = are_identical(base, candidate);
    let refusals = [base, candidate].map(|version| refusals(version.records));
    let pair = |[a, b]: [Option<&Block<'a>>; 2]| {
        let either = a.or(b)?;
        let nothing = Matrix::of(Vec::new());
        let scores = |block: Option<&Block<'a>>| block.map_or(nothing.clone(), |block| block.scores.clone());
        let mut axis = either.axis.clone();
        axis.groups.extend(b.iter().flat_map(|block| block.axis.groups.iter().cloned()));
        axis.groups.sort_unstable();
        axis.groups.dedup();
        axis.paired |= b.is_some_and(|block| block.axis.paired);
        let marks = [a, b].map(|block| block.and_then(|block| block.unscored.as_ref()));
        let unscored = marks.iter().any(Option::is_some).then(|| {
            let [a, b] = [(a, marks[0]), (b, marks[1])]
                .map(|(block, marks)| marks.cloned().unwrap_or_else(|| all_scored(&scores(block))));
            Versions::of(&a, &b)
        });
        let refused = match &refusals {
            [a, b] if super::beside::is_of_text(&either.scorer.name) => {
                a.get(axis.name.as_str()).zip(b.get(axis.name.as_str())).map(|(a, b)| Versions::of(a, b))
            }
            _ => None,
        };
        Some(Pair {
            scores: Versions::of(&scores(a), &scores(b)),
            axis,
            scorer: either.scorer,
            unscored,
            refused,
            is_identical,
        })
    };
    blocks.into_values().collect::<Vec<_>>().into_par_iter().filter_map(pair).collect()
}

/// Of one model by its name, and every cell the same.
fn are_identical(base: &Version<'_>, candidate: &Version<'_>) -> bool {
    let model = |version: &Version<'_>| version.records.first().map(|record| record.model.clone());
    let is_same = |(a, b): (&Block<'_>, &Block<'_>)| {
        (&a.axis.name, &a.scorer.name) == (&b.axis.name, &b.scorer.name)
            && a.scores == b.scores
            && a.unscored == b.unscored
    };
    model(base) == model(candidate)
        && base.blocks.len() == candidate.blocks.len()
        && base.blocks.iter().zip(&candidate.blocks).all(is_same)
}

/// The marks of a version that has every record scored.
fn all_scored(scores: &Matrix) -> Matrix {
    let cells =
        |cluster: usize| (0..scores.groups.len()).filter_map(move |group| Some((group, scores.cell(cluster, group)?)));
    let samples = scores.clusters.iter().enumerate().flat_map(|(index, (template, context))| {
        cells(index).flat_map(move |(group, cell)| {
            cell.terms.iter().map(move |&(term, _)| Sample {
                template,
                context,
                group: &scores.groups[group],
                term: &scores.terms[term],
                score: 0.0,
            })
        })
    });
    Matrix::of(samples.collect())
}

/// Per axis: 1 for a refused answer, 0 for another.
fn refusals(records: &[Record]) -> BTreeMap<&str, Matrix> {
    let mut by_axis: BTreeMap<&str, Vec<Sample<'_>>> = BTreeMap::new();
    for record in records {
        let Some(is_refused) = super::beside::is_refused(record) else { continue };
        by_axis.entry(&record.axis).or_default().push(Sample {
            template: &record.template,
            context: &record.context,
            group: &record.group,
            term: &record.term,
            score: f64::from(u8::from(is_refused)),
        });
    }
    by_axis.into_iter().map(|(axis, samples)| (axis, Matrix::of(samples))).collect()
}
