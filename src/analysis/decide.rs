//! Adjusts a family of gaps and gives each its verdict.

use super::{GapRow, Status, Verdict};
use crate::stats::adjust::holm;
use crate::stats::equivalence::{Evidence, min_clusters, tost_of, verdict};
use crate::stats::power::{POWER, clusters_for_equivalence};
use crate::stats::scorer_offset::Offset;

/// Sets `p_adjusted`, `verdict` and what follows from them on every row of one family.
///
/// The family is every row with a margin and a p. Depends on nothing that it writes, so that rows of several suites can
/// be put together and decided again. A control whose adjusted p is at most `alpha` and whose gap is at least half the
/// margin has failed: in its suite every `disparity` becomes `inconclusive` with status `suspect`, and so does the
/// control's own row (stats.md §8). A `disparity` that the scorer's own offset could explain more than half of becomes
/// `inconclusive` with status `scorer_offset`.
pub fn decide(rows: &mut [GapRow], alpha: f64) {
    adjust(rows.iter_mut());
    conclude(rows, alpha);
}

/// Sets `p_adjusted` by Holm over every row with a margin and a p; empty outside that family.
pub fn adjust<'r>(rows: impl IntoIterator<Item = &'r mut GapRow>) {
    let mut members: Vec<&mut GapRow> = Vec::new();
    for row in rows {
        row.p_adjusted = None;
        if row.margin.is_some() && row.p.is_some() {
            members.push(row);
        }
    }
    let adjusted = holm(&members.iter().filter_map(|row| row.p).collect::<Vec<_>>());
    for (row, p) in members.into_iter().zip(adjusted) {
        row.p_adjusted = Some(p);
    }
}

/// The part of [`decide`] that follows from `p_adjusted`, for one suite's rows on one model.
pub fn conclude(rows: &mut [GapRow], alpha: f64) {
    for row in rows.iter_mut() {
        if matches!(row.status, Status::Suspect | Status::ScorerOffset) {
            row.status = if row.se == Some(0.0) { Status::ZeroVariance } else { Status::Ok };
        }
        row.verdict = row.margin.map(|margin| first_verdict(row, margin, alpha));
        if row.verdict == Some(Verdict::Disparity) && is_explained(row) {
            row.verdict = Some(Verdict::Inconclusive);
            if matches!(row.status, Status::Ok | Status::ZeroVariance) {
                row.status = Status::ScorerOffset;
            }
        }
    }
    let failed = |row: &GapRow| {
        let is_large = row.gap.zip(row.margin).is_some_and(|(gap, margin)| gap.abs() >= 0.5 * margin);
        row.control && is_large && row.p_adjusted.is_some_and(|p| p <= alpha)
    };
    let suspects: Vec<String> = rows.iter().filter(|row| failed(row)).map(|row| row.suite.clone()).collect();
    for row in rows.iter_mut() {
        if failed(row) || (row.verdict == Some(Verdict::Disparity) && suspects.contains(&row.suite)) {
            row.verdict = Some(Verdict::Inconclusive);
            if matches!(row.status, Status::Ok | Status::ZeroVariance) {
                row.status = Status::Suspect;
            }
        }
        explain(row, alpha);
    }
}

/// The worst verdict among declared outcomes: disparity, then inconclusive, then equivalent; `None` when nothing was
/// declared. A control counts only when it has failed.
pub fn suite_verdict(rows: &[GapRow]) -> Option<Verdict> {
    rows.iter().filter(|row| !row.control || row.status == Status::Suspect).filter_map(|row| row.verdict).max()
}

fn first_verdict(row: &GapRow, margin: f64, alpha: f64) -> Verdict {
    let interval = row.low90.zip(row.high90);
    let evidence = Evidence { clusters: row.clusters, interval, p_adjusted: row.p_adjusted };
    match verdict(&evidence, margin, row.width, alpha) {
        Verdict::Equivalent if row.status == Status::DifferentialMissingness => Verdict::Inconclusive,
        verdict => verdict,
    }
}

/// The scorer's own offset could be more than half of the gap (stats.md §14); it is looked at only where a disparity would be called, so
/// that a gap near 0 is not marked for an offset near 0.
fn is_explained(row: &GapRow) -> bool {
    row.scorer_offset.zip(row.gap).is_some_and(|(offset, gap)| Offset::explains(offset, gap))
}

/// What a sentence about the verdict needs beside it.
fn explain(row: &mut GapRow, alpha: f64) {
    (row.p_equivalence, row.clusters_least) = (None, None);
    let Some(margin) = row.margin else { return };
    row.clusters_least = min_clusters(margin, row.width, alpha);
    if let (Some(gap), Some(se), Some(df)) = (row.gap, row.se, row.df) {
        row.p_equivalence = tost_of(gap, se, df, margin).map(|tost| tost.p);
    }
    row.at_least_margin = row.low.is_some_and(|low| low > margin) || row.high.is_some_and(|high| high < -margin);
    row.clusters_needed = None;
    row.more_terms_needed = false;
    // Missing scores and a failed control are not settled by more clusters.
    let is_short_of_data = matches!(row.status, Status::Ok | Status::ZeroVariance | Status::Insufficient);
    if row.verdict != Some(Verdict::Inconclusive) || !is_short_of_data {
        return;
    }
    let Some(least) = row.clusters_least else { return };
    let terms = row.se_terms.unwrap_or(0.0);
    row.clusters_needed = clusters_for_equivalence(row.sd.unwrap_or(0.0), terms * terms, margin, alpha, POWER, least);
    row.more_terms_needed = row.clusters_needed.is_none();
}
