//! Computes one gap of one group: difference, error, p, intervals, and whether its missing scores differ.

use std::borrow::Cow;

use super::effect::{self, Cells};
use super::{Block, GapRow, Plan, REST, Status, Unit};
use crate::stats::effect::d_z;
use crate::stats::gap::{Contrast, Gap, paired_gap};
use crate::stats::interval::{BootstrapT, clipped};
use crate::stats::matrix::Matrix;
use crate::stats::means;
use crate::stats::permutation::{sign_flip, smallest_p};
use crate::stats::power::{POWER, minimum_detectable_effect};
use crate::stats::random::Address;
use crate::stats::student::t_two_sided_p;

/// A difference in the share of unscored records below this is not called differential missingness (stats.md §11).
pub(super) const MISSINGNESS: f64 = 0.05;

/// Beyond this many members the random flips of the family are increased (stats.md §5).
const FAMILY_FOR_RESAMPLES: usize = 25;

/// A gap before what depends on the whole family: random p and intervals.
pub(super) struct Estimate<'a> {
    pub(super) block: &'a Block<'a>,
    pub(super) group: &'a str,
    /// Names of the groups compared with.
    pub(super) others: Vec<&'a str>,
    unit: Unit,
    pub(super) gap: Option<Gap>,
}

/// One estimate for every group but the reference, by name.
pub(super) fn estimates<'a>(block: &'a Block<'a>, plan: &Plan) -> Vec<Estimate<'a>> {
    let axis = &block.axis;
    let groups = axis.groups.iter().map(String::as_str);
    let tested = groups.filter(|group| axis.reference.as_deref() != Some(group));
    let estimates = tested.map(|group| {
        let groups = axis.groups.iter().map(String::as_str);
        let others = axis.others(group, groups, |other| block.scores.group(other).is_some());
        let mut estimate = Estimate { block, group, others, unit: plan.generalise_to, gap: None };
        estimate.gap = estimate.paired(&block.scores, block.scorer.width());
        estimate
    });
    estimates.collect()
}

impl Estimate<'_> {
    /// The gap in one matrix of the block, with the unit that was declared as cluster; `None` where a side has nothing in it.
    fn paired(&self, matrix: &Matrix, width: f64) -> Option<Gap> {
        let contrast = self.contrast(matrix)?;
        Some(paired_gap(&self.of_unit(matrix, &contrast), &contrast, width))
    }

    fn contrast(&self, matrix: &Matrix) -> Option<Contrast> {
        Contrast::named(matrix, self.group, &self.others, self.block.axis.paired)
    }

    fn of_unit<'m>(&self, matrix: &'m Matrix, contrast: &Contrast) -> Cow<'m, Matrix> {
        match self.unit {
            Unit::Contexts => Cow::Borrowed(matrix),
            Unit::Templates => {
                let groups: Vec<usize> = contrast.others.iter().copied().chain([contrast.group]).collect();
                Cow::Owned(matrix.by_template(&groups))
            }
        }
    }

    /// The cells that the gap's differences are made of.
    fn cells(&self, gap: &Gap) -> Option<Cells> {
        let contrast = self.contrast(&self.block.scores)?;
        let matrix = self.of_unit(&self.block.scores, &contrast);
        let of_group = |group: usize| -> Option<Vec<f64>> {
            gap.clusters.iter().map(|&cluster| Some(matrix.cell(cluster, group)?.mean)).collect()
        };
        let others = contrast.others.iter().map(|&other| of_group(other)).collect::<Option<_>>()?;
        Some(Cells { own: of_group(contrast.group)?, others })
    }

    /// Declared outcomes with data are adjusted together; missing groups are outside.
    pub(super) fn is_in_family(&self) -> bool {
        self.gap.is_some() && self.block.margin().is_some()
    }

    pub(super) fn row(&self, plan: &Plan, family: usize) -> GapRow {
        let (axis, scorer) = (&self.block.axis, self.block.scorer);
        let count = self.block.counts.get(self.group);
        let mut row = GapRow {
            suite: plan.suite.clone(),
            axis: axis.name.clone(),
            group: self.group.to_owned(),
            reference: axis.reference.clone().unwrap_or_else(|| REST.to_owned()),
            scorer: scorer.name.clone(),
            terms: count.map_or(0, |count| count.terms.len()),
            responses: count.map_or(0, |count| count.responses),
            unscored: count.map_or(0, |count| count.unscored),
            group_mean: self.mean(self.group),
            reference_mean: self.mean_of_others(),
            margin: self.block.margin(),
            status: Status::MissingGroup,
            control: axis.controls.iter().any(|control| control == self.group),
            width: scorer.width(),
            ..GapRow::default()
        };
        if let Some(gap) = &self.gap {
            row.clusters = gap.clusters.len();
            row.gap = gap.gap;
            row.status = Status::Insufficient;
            row.p = Some(1.0);
            let tests = if self.is_in_family() { family.max(1) } else { 1 };
            self.fill_error(&mut row, gap, plan, tests);
            self.fill_missingness(&mut row, plan, tests);
            self.fill_unrefused(&mut row, plan);
            if let Some(cells) = self.cells(gap) {
                effect::fill(&mut row, self.block, &cells, &gap.differences);
            }
        }
        row
    }

    fn mean(&self, group: &str) -> Option<f64> {
        means::mean(&self.block.scores.cell_means(self.block.scores.group(group)?))
    }

    fn mean_of_others(&self) -> Option<f64> {
        let values: Option<Vec<f64>> = self.others.iter().map(|other| self.mean(other)).collect();
        means::mean(&values?)
    }

    fn address<'b>(&'b self, plan: &'b Plan) -> Address<'b> {
        Address {
            seed: plan.seed,
            suite: &plan.suite,
            axis: &self.block.axis.name,
            pair: [self.group, self.block.axis.reference.as_deref().unwrap_or(REST)],
            scorer: &self.block.scorer.name,
        }
    }

    fn fill_error(&self, row: &mut GapRow, gap: &Gap, plan: &Plan, tests: usize) {
        let Some(error) = gap.error else { return };
        let flips = flips(plan, tests);
        row.se = Some(error.se);
        row.df = Some(error.df);
        row.sd = Some(error.sd);
        row.se_terms = Some(error.v_added.sqrt());
        row.deff_template = match self.unit {
            Unit::Contexts => gap.template_design_effect(&self.block.scores),
            Unit::Templates => None,
        };
        row.p = p(gap, flips, &self.address(plan), "sign flip");
        let (level, level90) = (1.0 - plan.alpha, 1.0 - 2.0 * plan.alpha);
        let clusters = gap.clusters.len();
        row.status = Status::ZeroVariance;
        let mut bootstrap = None;
        if error.se > 0.0 {
            row.status = Status::Ok;
            row.d_z = d_z(&gap.differences);
            bootstrap = BootstrapT::of(&gap.differences, plan.resamples, &self.address(plan).key("bootstrap-t"));
        }
        (row.low, row.high) = gap.interval(level, row.width, bootstrap.as_ref()).unzip();
        (row.low90, row.high90) = gap.interval(level90, row.width, bootstrap.as_ref()).unzip();
        let alpha = plan.alpha / tests as f64;
        if smallest_p(clusters, flips) <= alpha {
            row.mde = minimum_detectable_effect(error.se, error.df, alpha, POWER);
        }
    }

    /// The gap over answers that are no refusals, where somebody on either side refused.
    fn fill_unrefused(&self, row: &mut GapRow, plan: &Plan) {
        let Some(unrefused) = &self.block.unrefused else { return };
        let refused = |group: &str| self.block.counts.get(group).map_or(0, |count| count.refused);
        let (own, of_others) = (refused(self.group), self.others.iter().map(|other| refused(other)).sum::<usize>());
        if own + of_others == 0 {
            return;
        }
        (row.refused, row.reference_refused) = (Some(own), Some(of_others));
        let Some(gap) = self.paired(unrefused, row.width) else { return };
        row.gap_unrefused = gap.gap;
        (row.unrefused_low, row.unrefused_high) = gap.interval(1.0 - plan.alpha, row.width, None).unzip();
    }

    /// The same gap path on the share of unscored records, without adjustment.
    fn fill_missingness(&self, row: &mut GapRow, plan: &Plan, tests: usize) {
        let unscored = |group: &str| self.block.counts.get(group).is_some_and(|count| count.unscored > 0);
        if !unscored(self.group) && !self.others.iter().any(|other| unscored(other)) {
            return;
        }
        let Some(marks) = &self.block.unscored else { return };
        let Some(gap) = self.paired(marks, 1.0) else { return };
        row.unscored_gap = gap.gap;
        row.unscored_p = p(&gap, flips(plan, tests), &self.address(plan), "sign flip of unscored");
        let differs =
            gap.gap.is_some_and(|gap| gap.abs() >= MISSINGNESS) && row.unscored_p.is_some_and(|p| p <= plan.alpha);
        if differs && matches!(row.status, Status::Ok | Status::ZeroVariance) {
            row.status = Status::DifferentialMissingness;
        }
    }
}

/// Random flips a gap: with m tests a p of alpha/m must be well above the smallest that can be drawn.
pub(super) fn flips(plan: &Plan, tests: usize) -> usize {
    if tests <= FAMILY_FOR_RESAMPLES {
        return plan.resamples;
    }
    let needed = (20.0 * tests as f64 / plan.alpha - 1e-6).ceil() as usize - 1;
    plan.resamples.max(needed)
}

/// Sign-flip p; when terms add variance, the larger of that and the two-sided t p of the two-way error.
pub(super) fn p(gap: &Gap, resamples: usize, address: &Address<'_>, purpose: &str) -> Option<f64> {
    let (centre, error) = (gap.gap?, gap.error?);
    let flip = sign_flip(&gap.differences, resamples, &address.key(purpose))?;
    Some(if error.v_added > 0.0 { flip.max(t_two_sided_p(centre / error.se, error.df)) } else { flip })
}

pub(super) fn limits(centre: f64, half: Option<f64>, width: f64) -> (Option<f64>, Option<f64>) {
    match half {
        Some(half) => {
            let (low, high) = clipped(centre, half, width);
            (Some(low), Some(high))
        }
        None => (None, None),
    }
}
