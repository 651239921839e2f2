//! Puts effect sizes beside a gap: in units of its spread, in ranks, in log odds; and the gaps that names alone make.

use rayon::prelude::*;

use super::{Block, GapRow, Plan, Status};
use crate::stats::effect;
use crate::stats::gap::NO_SPREAD;
use crate::stats::half_splits::half_splits;
use crate::stats::means;
use crate::stats::random::Address;

/// The cells that a gap is made of, cluster by cluster.
pub(super) struct Cells {
    pub own: Vec<f64>,
    /// One list a group that is compared with.
    pub others: Vec<Vec<f64>>,
}

/// Fills in what the cells and their differences show.
pub(super) fn fill(row: &mut GapRow, block: &Block<'_>, cells: &Cells, differences: &[f64]) {
    let tie = NO_SPREAD * if row.width.is_finite() { row.width } else { 1.0 };
    let average = |of_other: &dyn Fn(&[f64]) -> Option<f64>| {
        let values: Option<Vec<f64>> = cells.others.iter().map(|other| of_other(other)).collect();
        means::mean(&values?)
    };
    row.hedges_g = effect::hedges_g(differences).filter(|_| row.d_z.is_some());
    row.cliffs_delta = average(&|other| effect::cliffs_delta(&cells.own, other, tie));
    row.paired_delta = effect::paired_delta(differences, tie);
    if block.scorer.range == (0.0, 1.0) {
        let logit_gap = |other: &[f64]| {
            let pairs: Vec<(f64, f64)> = cells.own.iter().copied().zip(other.iter().copied()).collect();
            effect::logit_gap(&pairs, 0.95).map(|gap| gap.value)
        };
        row.logit_gap = average(&logit_gap);
    }
    if let [other] = cells.others.as_slice() {
        row.d_av = effect::d_av(&cells.own, other);
        if block.is_binary {
            let count = |cells: &[f64]| [means::sum(cells.iter().copied()), cells.len() as f64];
            row.log_odds_ratio = effect::log_odds_ratio(count(&cells.own), count(other), 0.95).map(|ratio| ratio.value);
            if cells.own.iter().chain(other).all(|cell| [0.0, 1.0].contains(cell)) {
                let (above, below) = effect::discordant(differences, tie);
                (row.discordant_above, row.discordant_below) = (Some(above), Some(below));
            }
        }
    }
}

/// Puts the A/A band of each block beside its gaps; whoever needs the gaps alone does not pay for it.
pub(super) fn add_bands(rows: &mut [GapRow], blocks: &[Block<'_>], plan: &Plan) {
    let bands: Vec<_> = blocks.par_iter().map(|block| band(block, plan)).collect();
    for (block, (low, high)) in blocks.iter().zip(bands).filter_map(|(block, band)| Some((block, band?))) {
        let is_of = |row: &&mut GapRow| (&row.axis, &row.scorer) == (&block.axis.name, &block.scorer.name);
        for row in rows.iter_mut().filter(is_of).filter(|row| row.status != Status::MissingGroup) {
            (row.aa_low, row.aa_high) = (Some(low), Some(high));
        }
    }
}

/// The A/A band of the reference's names; `None` without a reference.
pub(super) fn band(block: &Block<'_>, plan: &Plan) -> Option<(f64, f64)> {
    let reference = block.axis.reference.as_deref()?;
    let pair = [reference, reference];
    let (axis, scorer) = (&*block.axis.name, &*block.scorer.name);
    let address = Address { seed: plan.seed, suite: &plan.suite, axis, pair, scorer };
    half_splits(&block.scores, block.scores.group(reference)?, &address.key("half-splits"))
}
