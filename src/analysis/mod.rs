//! Turns records into tables: group means, gaps with intervals and p, verdicts.
//!
//! `plan` says what was declared before the run, `contrast` computes one gap, `beside` adds what the scorer and refusals do to it,
//! `decide` adjusts the family and gives verdicts. Beside the gaps: `floor` compares unsigned distances with their noise floor, `omnibus`
//! looks at all groups at once, `distribution` at whole distributions, `effect` expresses a gap in other units, `slices` and
//! `intersections` screen templates and combinations, `literature` has statistics as published. `compare` sets two versions against each
//! other, `pilot` reads a variance off a run. The arithmetic is in [`crate::stats`]. Rows come out sorted and do not depend on the order
//! of the records nor on the number of threads.

pub mod benchmark;
mod beside;
mod block;
pub mod compare;
mod contrast;
mod decide;
mod distribution;
mod effect;
mod floor;
mod gap_row;
mod intersections;
mod literature;
mod omnibus;
pub mod pilot;
mod plan;
mod slices;

#[cfg(test)]
mod calibration;
#[cfg(test)]
mod screening_tests;
#[cfg(test)]
mod tests;

use anyhow::Result;
use rayon::prelude::*;

pub use self::beside::Agreement;
use self::block::{Block, checked_blocks};
pub use self::decide::{adjust, conclude, decide, suite_verdict};
pub use self::distribution::{DistributionRow, QUANTILES};
pub use self::floor::{FloorRow, FloorStatus};
pub use self::gap_row::{GapRow, GroupRow, Status};
pub use self::intersections::{IntersectionRow, IntersectionStatus};
pub use self::literature::LiteratureRow;
pub use self::omnibus::OmnibusRow;
pub use self::plan::{AxisPlan, Plan, ScorerPlan, without};
pub use self::slices::SliceRow;
pub use crate::record::REST;
use crate::record::{OffsetRow, PairRow, Record};
use crate::stats::means;

pub use crate::stats::equivalence::Verdict;
pub use crate::suite::Unit;

/// Everything that one suite's records show about one model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tables {
    /// Sorted by (suite, axis, group, scorer), by name.
    pub groups: Vec<GroupRow>,
    /// Sorted by (suite, axis, group, scorer), by name; no row for the reference.
    pub gaps: Vec<GapRow>,
    /// Unsigned distances; sorted as `gaps`, by name.
    pub floors: Vec<FloorRow>,
    /// All groups of an axis together; sorted by (axis, scorer), by name.
    pub omnibus: Vec<OmnibusRow>,
    /// Whole distributions; sorted as `gaps`, by name.
    pub distributions: Vec<DistributionRow>,
    /// Several scorers of one construct, by axis and group.
    pub agreements: Vec<Agreement>,
    /// Combinations of crossed axes, by axis, group and scorer.
    pub intersections: Vec<IntersectionRow>,
    /// Gaps by template, by axis, group, scorer and template.
    pub slices: Vec<SliceRow>,
    /// Statistics as published, by axis, group, scorer and statistic.
    pub literature: Vec<LiteratureRow>,
}

/// What was measured beside the records.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Beside {
    /// What the scorers themselves add.
    pub offsets: Vec<OffsetRow>,
    /// Distances of pairs of texts.
    pub pairs: Vec<PairRow>,
    /// Sample s of a set had the same random numbers in every group, as in runs of ours.
    pub shared_draws: bool,
}

impl Tables {
    /// The worst verdict of the suite's declared outcomes; see [`suite_verdict`].
    pub fn suite_verdict(&self) -> Option<Verdict> {
        suite_verdict(&self.gaps)
    }
}

/// Computes all tables from one model's records of one suite.
///
/// Declared groups and outcomes without records get their rows (`missing_group`); groups and axes that the records have
/// beyond the plan get theirs too, by name. Errs on a plan that makes no sense, on records of another suite or of two
/// models, on an undeclared scorer, and on a score outside its range, naming the row.
pub fn analyze(records: &[Record], plan: &Plan) -> Result<Tables> {
    analyze_beside(records, plan, &Beside::default())
}

/// As [`analyze`], with what was measured beside the records: a disparity that the scorer's own offset could explain more than half of
/// becomes inconclusive.
pub fn analyze_beside(records: &[Record], plan: &Plan, beside: &Beside) -> Result<Tables> {
    let blocks = checked_blocks(records, plan)?;
    let gaps = gap_rows(&blocks, plan, &beside.offsets, 0);
    let mut groups: Vec<GroupRow> = blocks.par_iter().flat_map_iter(|block| group_rows(block, plan)).collect();
    groups.sort_by(|a, b| (&a.suite, &a.axis, &a.group, &a.scorer).cmp(&(&b.suite, &b.axis, &b.group, &b.scorer)));
    Ok(Tables {
        groups,
        floors: floor::rows(&blocks, plan, beside),
        omnibus: omnibus::rows(&blocks, plan),
        distributions: distribution::rows(&blocks, plan),
        agreements: beside::agreements(&gaps),
        intersections: intersections::rows(&blocks, plan),
        slices: slices::rows(&blocks, plan),
        literature: literature::rows(&blocks, plan),
        gaps,
    })
}

/// The gaps of [`analyze_beside`] alone, in a family that has `elsewhere` further gaps in other records.
///
/// The family decides how many sign flips are drawn and what could be detected; [`adjust`] and [`conclude`] are for
/// whoever has all of its rows.
pub fn gaps(records: &[Record], plan: &Plan, beside: &Beside, elsewhere: usize) -> Result<Vec<GapRow>> {
    Ok(gap_rows(&checked_blocks(records, plan)?, plan, &beside.offsets, elsewhere))
}

/// How many gaps of these records are adjusted together: those of declared outcomes that have data.
pub fn family_size(records: &[Record], plan: &Plan) -> Result<usize> {
    let size =
        |block: &Block<'_>| contrast::estimates(block, plan).iter().filter(|estimate| estimate.is_in_family()).count();
    Ok(checked_blocks(records, plan)?.par_iter().map(size).sum())
}

fn gap_rows(blocks: &[Block<'_>], plan: &Plan, offsets: &[OffsetRow], elsewhere: usize) -> Vec<GapRow> {
    let estimates: Vec<_> = blocks.par_iter().flat_map_iter(|block| contrast::estimates(block, plan)).collect();
    let family = estimates.iter().filter(|estimate| estimate.is_in_family()).count() + elsewhere;
    let mut rows: Vec<GapRow> = estimates.par_iter().map(|estimate| estimate.row(plan, family)).collect();
    rows.iter_mut().for_each(|row| beside::add_offset(row, offsets, plan.alpha));
    effect::add_bands(&mut rows, blocks, plan);
    decide(&mut rows, plan.alpha);
    rows.sort_by(|a, b| (&a.suite, &a.axis, &a.group, &a.scorer).cmp(&(&b.suite, &b.axis, &b.group, &b.scorer)));
    rows
}

fn group_rows(block: &Block<'_>, plan: &Plan) -> Vec<GroupRow> {
    let rows = block.axis.groups.iter().map(|name| {
        let values = block.scores.group(name).map(|group| block.scores.cell_means(group)).unwrap_or_default();
        let interval = means::t_interval(&values, 1.0 - plan.alpha);
        let count = block.counts.get(name.as_str());
        GroupRow {
            suite: plan.suite.clone(),
            axis: block.axis.name.clone(),
            group: name.clone(),
            scorer: block.scorer.name.clone(),
            clusters: values.len(),
            responses: count.map_or(0, |count| count.responses),
            unscored: count.map_or(0, |count| count.unscored),
            mean: means::mean(&values),
            low: interval.map(|(low, _)| low.max(block.scorer.range.0)),
            high: interval.map(|(_, high)| high.min(block.scorer.range.1)),
            width: block.scorer.width(),
        }
    });
    rows.collect()
}
