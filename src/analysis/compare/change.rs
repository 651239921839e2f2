//! Computes how one gap of one group changed: difference in disparity, p, interval, levels, and whether missing scores changed.

use super::{ChangeStatus, ComparisonRow, Level, Pair};
use crate::analysis::contrast::{MISSINGNESS, flips, limits, p};
use crate::analysis::{Plan, REST, Unit};
use crate::stats::compare::{Change, Versions, change, levels};
use crate::stats::gap::{Contrast, Gap, NO_SPREAD};
use crate::stats::interval::{BootstrapT, rule_of_three};
use crate::stats::matrix::Matrix;
use crate::stats::means;
use crate::stats::permutation::sign_flip;
use crate::stats::random::Address;
use crate::stats::student::t_quantile;

/// A change before what depends on the whole family.
pub(super) struct Estimate<'p> {
    pair: &'p Pair<'p>,
    group: &'p str,
    /// Names of the groups compared with.
    others: Vec<&'p str>,
    unit: Unit,
    seen: Option<Seen>,
}

/// What both versions have of a contrast, with the unit that was declared as cluster.
struct Seen {
    versions: Versions,
    contrast: Contrast,
    change: Change,
}

/// One estimate for every group but the reference, by name.
pub(super) fn estimates<'p>(pair: &'p Pair<'p>, plan: &Plan) -> Vec<Estimate<'p>> {
    let axis = &pair.axis;
    let groups = || axis.groups.iter().map(String::as_str);
    let tested = groups().filter(|group| axis.reference.as_deref() != Some(group));
    let estimates = tested.map(|group| {
        let others = axis.others(group, groups(), |other| pair.scores.change.group(other).is_some());
        let mut estimate = Estimate { pair, group, others, unit: plan.generalise_to, seen: None };
        estimate.seen = estimate.see(&pair.scores, pair.scorer.width());
        estimate
    });
    estimates.collect()
}

impl Estimate<'_> {
    /// Declared outcomes with data are adjusted together; missing groups are outside.
    pub(super) fn is_in_family(&self) -> bool {
        self.seen.is_some() && self.pair.margin().is_some()
    }

    /// `None` where a side has nothing that both versions have.
    fn see(&self, versions: &Versions, width: f64) -> Option<Seen> {
        let contrast = Contrast::named(&versions.change, self.group, &self.others, self.pair.axis.paired)?;
        let versions = match self.unit {
            Unit::Contexts => versions.clone(),
            Unit::Templates => {
                let groups: Vec<usize> = contrast.others.iter().copied().chain([contrast.group]).collect();
                versions.by_template(&groups)
            }
        };
        let change = change(&versions, &contrast, width);
        Some(Seen { versions, contrast, change })
    }

    pub(super) fn row(&self, plan: &Plan, family: usize) -> ComparisonRow {
        let (axis, scorer) = (&self.pair.axis, self.pair.scorer);
        let mut row = ComparisonRow {
            suite: plan.suite.clone(),
            axis: axis.name.clone(),
            group: self.group.to_owned(),
            reference: axis.reference.clone().unwrap_or_else(|| REST.to_owned()),
            scorer: scorer.name.clone(),
            margin: self.pair.margin(),
            status: ChangeStatus::MissingGroup,
            control: axis.controls.iter().any(|control| control == self.group),
            width: scorer.width(),
            ..ComparisonRow::default()
        };
        let tests = if self.is_in_family() { family.max(1) } else { 1 };
        if let Some(seen) = &self.seen {
            row.clusters = seen.change.change.clusters.len();
            row.gap_base = seen.change.base.gap;
            row.gap_candidate = seen.change.candidate.gap;
            row.did = seen.change.change.gap;
            row.size_change = seen.change.in_size();
            row.status = ChangeStatus::Insufficient;
            (row.p, row.p_regression, row.p_improvement) = (Some(1.0), Some(1.0), Some(1.0));
            self.fill_error(&mut row, &seen.change, plan, tests);
            self.fill_means(&mut row, seen, plan);
        }
        // A group that one version does not score at all is missing there, and its counts tell.
        self.fill_unscored(&mut row, plan, tests);
        if let Some(seen) = self.pair.refused.as_ref().and_then(|refused| self.see(refused, 1.0)) {
            row.refusal = level(&seen, plan, 1.0);
        }
        if self.pair.is_identical {
            // Nothing is estimated, so that nothing has an error.
            (row.low, row.high, row.change_upper) = (row.did, row.did, row.did);
            for level in [&mut row.mean, &mut row.refusal, &mut row.unscored] {
                (level.low, level.high) = (level.change, level.change);
            }
        }
        row
    }

    fn address<'b>(&'b self, plan: &'b Plan) -> Address<'b> {
        Address {
            seed: plan.seed,
            suite: &plan.suite,
            axis: &self.pair.axis.name,
            pair: [self.group, self.pair.axis.reference.as_deref().unwrap_or(REST)],
            scorer: &self.pair.scorer.name,
        }
    }

    fn fill_error(&self, row: &mut ComparisonRow, change: &Change, plan: &Plan, tests: usize) {
        let (Some(centre), Some(error)) = (change.change.gap, change.change.error) else { return };
        let (address, level) = (self.address(plan), 1.0 - plan.alpha);
        (row.se, row.df, row.sd) = (Some(error.se), Some(error.df), Some(error.sd));
        row.se_terms = Some(error.v_added.sqrt());
        row.p = p_of(&change.change, row.width, flips(plan, tests), &address, "sign flip of change");
        row.p_regression = change.p_regression();
        row.p_improvement = change.p_improvement();
        row.change_upper = change.upper(level);
        (row.correlation, row.se_unpaired) = (change.correlation(), change.se_unpaired());
        let mut bootstrap = None;
        row.status = if self.pair.is_identical { ChangeStatus::Identical } else { ChangeStatus::ZeroVariance };
        if error.se > 0.0 {
            row.status = ChangeStatus::Ok;
            let key = address.key("bootstrap-t of change");
            bootstrap = BootstrapT::of(&change.change.differences, plan.resamples, &key);
        }
        let half = change.change.half(level, row.width, bootstrap.as_ref());
        // Two gaps can be twice the range apart.
        (row.low, row.high) = limits(centre, half, 2.0 * row.width);
    }

    fn fill_means(&self, row: &mut ComparisonRow, seen: &Seen, plan: &Plan) {
        let Seen { versions, contrast, .. } = seen;
        let of = |matrix: &Matrix, group: usize| means::mean(&matrix.cell_means(group));
        let of_others = |matrix: &Matrix| {
            let values: Option<Vec<f64>> = contrast.others.iter().map(|&other| of(matrix, other)).collect();
            means::mean(&values?)
        };
        row.mean_base = of(&versions.base, contrast.group);
        row.mean_candidate = of(&versions.candidate, contrast.group);
        row.reference_mean_base = of_others(&versions.base);
        row.reference_mean_candidate = of_others(&versions.candidate);
        row.mean = level(seen, plan, row.width);
    }

    /// Whether the versions differ in what they leave unscored: in its share, or in the gap of its shares. Without adjustment, as within
    /// one version.
    fn fill_unscored(&self, row: &mut ComparisonRow, plan: &Plan, tests: usize) {
        let Some(seen) = self.pair.unscored.as_ref().and_then(|unscored| self.see(unscored, 1.0)) else { return };
        let (address, flips) = (self.address(plan), flips(plan, tests));
        row.unscored = level(&seen, plan, 1.0);
        let changes = levels(&seen.versions.change, &seen.contrast);
        row.unscored_p = sign_flip(&changes, flips, &address.key("sign flip of change of unscored"));
        row.unscored_did = seen.change.change.gap;
        row.unscored_did_p = p_of(&seen.change.change, 1.0, flips, &address, "sign flip of change of unscored gap");
        let differs = |size: Option<f64>, p: Option<f64>| {
            size.is_some_and(|size| size.abs() >= MISSINGNESS) && p.is_some_and(|p| p <= plan.alpha)
        };
        let is_open = matches!(row.status, ChangeStatus::Ok | ChangeStatus::ZeroVariance);
        if is_open && (differs(row.unscored.change, row.unscored_p) || differs(row.unscored_did, row.unscored_did_p)) {
            row.status = ChangeStatus::DifferentialMissingness;
        }
    }
}

/// As [`p`], but 1 where every cluster changed by nothing more than rounding.
fn p_of(gap: &Gap, width: f64, resamples: usize, address: &Address<'_>, purpose: &str) -> Option<f64> {
    let width = if width.is_finite() { width } else { 1.0 };
    let is_rounding = gap.error?.se == 0.0 && gap.gap?.abs() <= NO_SPREAD * width;
    if is_rounding { Some(1.0) } else { p(gap, resamples, address, purpose) }
}

/// The level of both sides in each version, and its change with a t interval over clusters.
fn level(seen: &Seen, plan: &Plan, width: f64) -> Level {
    let Seen { versions, contrast, .. } = seen;
    let mean = |matrix| means::mean(&levels(matrix, contrast));
    let changes = levels(&versions.change, contrast);
    let (centre, at) = (means::mean(&changes), 1.0 - plan.alpha);
    let half = means::sd(&changes).and_then(|sd| match sd > 0.0 {
        true => Some(t_quantile(0.5 + 0.5 * at, changes.len() as f64 - 1.0) * sd / (changes.len() as f64).sqrt()),
        false => rule_of_three(width, changes.len(), at),
    });
    let (low, high) = centre.map_or((None, None), |centre| limits(centre, half, width));
    Level { base: mean(&versions.base), candidate: mean(&versions.candidate), change: centre, low, high }
}
