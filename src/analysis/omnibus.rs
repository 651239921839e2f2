//! Looks at all groups of an axis together: does any differ, how far apart are the extremes, which group is the worst.

use rayon::prelude::*;

use super::{Block, Plan, Status};
use crate::stats::blocked_permutation::shuffle_labels;
use crate::stats::complete::Complete;
use crate::stats::gap::MIN_RANDOM_TERMS;
use crate::stats::max_min::{End, STABLE, ends, max_min};
use crate::stats::omnibus::{friedman, repeated_measures};
use crate::stats::random::Address;
use crate::stats::ratio::{self, rate_ratio};
use crate::suite::{Direction, ProbeKind, Unit};

/// Resamples at most of what stands beside the main numbers: the worst group's share, the limits of max-min and of the ratio, the null of
/// a distance between distributions.
pub(super) const SECONDARY: usize = 999;

/// A row of omnibus.csv: one scorer on one axis, over the clusters that have every group. Controls and groups without any score are left
/// out. Gaps and limits are in the score's unit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OmnibusRow {
    pub suite: String,
    pub axis: String,
    pub scorer: String,
    /// Clusters that have every group.
    pub clusters: usize,
    /// Groups compared.
    pub groups: usize,
    /// Repeated-measures F with its degrees of freedom and the p of the F distribution.
    pub f: Option<f64>,
    pub df: Option<f64>,
    pub df_error: Option<f64>,
    pub p_f: Option<f64>,
    /// p of the labels shuffled inside the clusters: the omnibus p. Neither opens nor closes a gate. With several names a group it is about
    /// these names only.
    pub p: Option<f64>,
    pub friedman: Option<f64>,
    pub p_friedman: Option<f64>,
    pub kendall_w: Option<f64>,
    /// Highest group mean minus lowest; above 0 without any disparity.
    pub max_min: Option<f64>,
    /// The same when labels mean nothing: mean, 95th percentile, and how rarely it is as large as observed.
    pub null_mean: Option<f64>,
    pub null_p95: Option<f64>,
    pub range_p: Option<f64>,
    /// √max(0, 1 − 1/F) · max_min, with names as a random factor where they are one; its interval at level 1 − alpha.
    pub debiased: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// By the score's direction; empty where none is declared or two groups tie. The share of cluster resamples in which it is the worst.
    pub worst_group: String,
    pub worst_share: Option<f64>,
    pub highest: String,
    pub highest_share: Option<f64>,
    pub lowest: String,
    pub lowest_share: Option<f64>,
    /// Lowest group mean over highest, with the BCa 95 % interval of these two groups' ratio; `None` for scores that can be below 0, and
    /// where the highest mean is 0.
    pub ratio: Option<f64>,
    pub ratio_low: Option<f64>,
    pub ratio_high: Option<f64>,
    /// The ratio reaches 0.8. Advisory. `None` for scores that are no rate within 0 and 1, and for those of which less is better.
    pub four_fifths: Option<bool>,
    pub status: Status,
    /// Every labelling was looked at for `p` and the null; else they are random.
    pub is_exact: bool,
    /// Every group has terms enough to be a sample of them: `debiased` and its limits are about others of the kind too, `p` is not.
    pub has_random_terms: bool,
    /// The scorer is a declared outcome on this axis.
    pub is_outcome: bool,
    /// The score is the probability of a decision.
    pub is_decision: bool,
    /// Width of the score's range.
    pub width: f64,
}

impl OmnibusRow {
    /// The worst group stays the worst when other contexts are asked; `None` where there is none.
    pub fn is_stable(&self) -> Option<bool> {
        self.worst_share.map(|share| share >= STABLE)
    }
}

/// A row for every block with two groups that are no controls, sorted by axis and scorer.
pub(super) fn rows(blocks: &[Block<'_>], plan: &Plan) -> Vec<OmnibusRow> {
    let mut rows: Vec<OmnibusRow> = blocks.par_iter().filter_map(|block| row(block, plan)).collect();
    rows.sort_by(|a, b| (&a.axis, &a.scorer).cmp(&(&b.axis, &b.scorer)));
    rows
}

fn row(block: &Block<'_>, plan: &Plan) -> Option<OmnibusRow> {
    let (axis, scorer) = (&block.axis, block.scorer);
    let declared: Vec<&String> = axis.groups.iter().filter(|group| !axis.controls.contains(group)).collect();
    if declared.len() < 2 {
        return None;
    }
    let groups: Vec<usize> = declared.iter().filter_map(|group| block.scores.group(group)).collect();
    let of_unit = match plan.generalise_to {
        Unit::Contexts => None,
        Unit::Templates => Some(block.scores.by_template(&groups)),
    };
    let matrix = of_unit.as_ref().unwrap_or(&block.scores);
    let cells = Complete::of(matrix, &groups);
    let mut row = OmnibusRow {
        suite: plan.suite.clone(),
        axis: axis.name.clone(),
        scorer: scorer.name.clone(),
        clusters: cells.clusters.len(),
        groups: groups.len(),
        status: match cells.clusters.len() {
            _ if groups.len() < declared.len() => Status::MissingGroup,
            0 | 1 => Status::Insufficient,
            _ => Status::Ok,
        },
        has_random_terms: declared
            .iter()
            .all(|group| block.counts.get(group.as_str()).is_some_and(|count| count.terms.len() >= MIN_RANDOM_TERMS)),
        is_outcome: block.margin().is_some(),
        is_decision: ProbeKind::of_score(&scorer.name) == ProbeKind::Choice,
        width: scorer.width(),
        ..OmnibusRow::default()
    };
    if groups.len() < 2 || cells.clusters.is_empty() {
        return Some(row);
    }
    let address =
        Address { seed: plan.seed, suite: &plan.suite, axis: &axis.name, pair: ["", ""], scorer: &scorer.name };
    let centred = cells.centred(row.width);
    let secondary = plan.resamples.min(SECONDARY);
    if let Some(analysis) = repeated_measures(&centred) {
        (row.f, row.p_f) = (Some(analysis.f), Some(analysis.p));
        (row.df, row.df_error) = (Some(analysis.df), Some(analysis.df_error));
    } else if row.status == Status::Ok {
        row.status = Status::ZeroVariance;
    }
    if let Some(ranks) = friedman(&cells, row.width) {
        row.friedman = Some(ranks.chi_squared);
        (row.p_friedman, row.kendall_w) = (Some(ranks.p), Some(ranks.kendall_w));
    }
    if let Some(shuffled) = shuffle_labels(&centred, plan.resamples, &address.key("labels in clusters")) {
        (row.p, row.range_p) = (Some(shuffled.p), Some(shuffled.range_p));
        (row.null_mean, row.null_p95) = (Some(shuffled.range_mean), Some(shuffled.range_p95));
        row.is_exact = shuffled.is_exact;
    }
    let key = address.key("signs of max-min");
    if let Some(range) = max_min(matrix, &cells, axis.paired, row.width, 1.0 - plan.alpha, secondary, &key) {
        (row.max_min, row.debiased) = (Some(range.observed), Some(range.debiased));
        (row.low, row.high) = (Some(range.low), Some(range.high));
    }
    let ends = ends(&cells, row.width, secondary, &address.key("ends"));
    let name = |end: Option<End>| {
        end.map_or((String::new(), None), |end| (matrix.groups[end.group].to_string(), Some(end.share)))
    };
    (row.highest, row.highest_share) = name(ends.highest);
    (row.lowest, row.lowest_share) = name(ends.lowest);
    (row.worst_group, row.worst_share) = match scorer.direction {
        Some(Direction::HigherIsBetter) => name(ends.lowest),
        Some(Direction::LowerIsBetter) => name(ends.highest),
        None => (String::new(), None),
    };
    if scorer.range.0 >= 0.0
        && let Some(rates) = cells.means().and_then(|means| rate_ratio(&means))
    {
        let pairs: Vec<[f64; 2]> = cells.rows().map(|cells| [cells[rates.lowest], cells[rates.highest]]).collect();
        let interval = ratio::interval(&pairs, secondary, &address.key("ratio"));
        row.ratio = Some(rates.ratio);
        (row.ratio_low, row.ratio_high) = (interval.map(|(low, _)| low), interval.map(|(_, high)| high));
        let is_rate = scorer.range.1 <= 1.0 && scorer.direction != Some(Direction::LowerIsBetter);
        row.four_fifths = is_rate.then(|| rates.passes_four_fifths());
    }
    Some(row)
}
