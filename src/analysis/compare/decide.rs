//! Adjusts a family of changes and gives each its verdict.

use super::{ChangeStatus, ChangeVerdict, ComparisonRow, Verdict};
use crate::stats::adjust::holm;
use crate::stats::compare::{ChangeEvidence, verdict};
use crate::stats::equivalence::min_clusters;
use crate::stats::power::{POWER, clusters_for_equivalence};

/// Sets the adjusted p, `verdict`, `sign_change` and what follows from them on every row of one family.
///
/// The family is every row with a margin and a p; the p of a change, of a regression and of an improvement are three families. Depends on
/// nothing that it writes, so that rows of several suites can be put together and decided again. A control whose change is at least half
/// the margin at an adjusted p of at most `alpha` has failed: in its suite every `regression` and `improved` becomes `inconclusive` with
/// status `suspect`, and so does the control's own row.
pub fn decide(rows: &mut [ComparisonRow], alpha: f64) {
    adjust(rows, |row| row.p, |row| &mut row.p_adjusted);
    adjust(rows, |row| row.p_regression, |row| &mut row.p_regression_adjusted);
    adjust(rows, |row| row.p_improvement, |row| &mut row.p_improvement_adjusted);
    for row in rows.iter_mut() {
        if row.status == ChangeStatus::Suspect {
            row.status = if row.se == Some(0.0) { ChangeStatus::ZeroVariance } else { ChangeStatus::Ok };
        }
        row.sign_change = row.gap_base.zip(row.gap_candidate).map(|(a, b)| {
            let p = if row.margin.is_some() { row.p_adjusted } else { row.p };
            a * b < 0.0 && p.is_some_and(|p| p <= alpha)
        });
        row.verdict = row.margin.map(|margin| first_verdict(row, margin, alpha));
    }
    let failed = |row: &ComparisonRow| {
        let is_large = row.did.zip(row.margin).is_some_and(|(did, margin)| did.abs() >= 0.5 * margin);
        row.control && is_large && row.p_adjusted.is_some_and(|p| p <= alpha)
    };
    let suspects: Vec<(String, String)> =
        rows.iter().filter(|row| failed(row)).map(|row| (row.suite.clone(), row.candidate.clone())).collect();
    for row in rows.iter_mut() {
        let is_change = matches!(row.verdict, Some(ChangeVerdict::Regression | ChangeVerdict::Improved));
        let is_suspect =
            || suspects.iter().any(|(suite, candidate)| *suite == row.suite && *candidate == row.candidate);
        if failed(row) || (is_change && is_suspect()) {
            row.verdict = Some(ChangeVerdict::Inconclusive);
            if matches!(row.status, ChangeStatus::Ok | ChangeStatus::ZeroVariance) {
                row.status = ChangeStatus::Suspect;
            }
        }
        row.clusters_needed = clusters_needed(row, alpha);
    }
}

fn adjust(
    rows: &mut [ComparisonRow],
    p: fn(&ComparisonRow) -> Option<f64>,
    adjusted: fn(&mut ComparisonRow) -> &mut Option<f64>,
) {
    let members: Vec<(usize, f64)> =
        rows.iter().enumerate().filter_map(|(index, row)| row.margin.and(p(row)).map(|p| (index, p))).collect();
    rows.iter_mut().for_each(|row| *adjusted(row) = None);
    for (&(index, _), p) in members.iter().zip(holm(&members.iter().map(|&(_, p)| p).collect::<Vec<_>>())) {
        *adjusted(&mut rows[index]) = Some(p);
    }
}

fn first_verdict(row: &ComparisonRow, margin: f64, alpha: f64) -> ChangeVerdict {
    if row.status == ChangeStatus::Identical {
        return ChangeVerdict::NoRegression;
    }
    let evidence = ChangeEvidence {
        clusters: row.clusters,
        p_regression: row.p_regression_adjusted,
        p_improvement: row.p_improvement_adjusted,
        upper: row.change_upper,
        is_equivalent: row.verdict_candidate == Some(Verdict::Equivalent),
        is_missing_otherwise: row.status == ChangeStatus::DifferentialMissingness,
    };
    verdict(&evidence, margin, row.width, alpha)
}

fn clusters_needed(row: &ComparisonRow, alpha: f64) -> Option<usize> {
    // Missing scores and a failed control are not settled by more clusters.
    let is_short_of_data =
        matches!(row.status, ChangeStatus::Ok | ChangeStatus::ZeroVariance | ChangeStatus::Insufficient);
    if row.verdict != Some(ChangeVerdict::Inconclusive) || !is_short_of_data {
        return None;
    }
    let margin = row.margin?;
    let least = min_clusters(margin, row.width, alpha)?;
    let terms = row.se_terms.unwrap_or(0.0);
    clusters_for_equivalence(row.sd.unwrap_or(0.0), terms * terms, margin, alpha, POWER, least)
}

/// The worst verdict among declared outcomes: regression, then inconclusive, then improved, then no regression; `None` when nothing was
/// declared. A control counts only when it has failed.
pub fn suite_change<'r>(rows: impl IntoIterator<Item = &'r ComparisonRow>) -> Option<ChangeVerdict> {
    let counts = |row: &&ComparisonRow| !row.control || row.status == ChangeStatus::Suspect;
    rows.into_iter().filter(counts).filter_map(|row| row.verdict).max()
}

/// The verdict on one suite of one candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteChange {
    pub candidate: String,
    pub suite: String,
    /// `None` when nothing was declared.
    pub verdict: Option<ChangeVerdict>,
}

/// The verdicts of each candidate and suite, in the order in which they come first in the rows.
pub fn verdicts(rows: &[ComparisonRow]) -> Vec<SuiteChange> {
    let mut seen: Vec<SuiteChange> = Vec::new();
    for row in rows {
        if !seen.iter().any(|one| one.candidate == row.candidate && one.suite == row.suite) {
            let of = |other: &&ComparisonRow| other.candidate == row.candidate && other.suite == row.suite;
            seen.push(SuiteChange {
                candidate: row.candidate.clone(),
                suite: row.suite.clone(),
                verdict: suite_change(rows.iter().filter(of)),
            });
        }
    }
    seen
}
