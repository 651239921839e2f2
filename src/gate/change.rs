//! Puts changes between two versions of a model before the gate.

use anyhow::{Result, bail};

use super::judge::{Finding, Outcome};
use super::policy::Policy;
use crate::analysis::compare::{ChangeStatus, ChangeVerdict, ComparisonRow};

impl Finding {
    /// A change of a declared outcome; `None` without a verdict. p is that of a regression; a control counts only when it has
    /// failed.
    pub fn of_change(row: &ComparisonRow, warns: bool, sentence: String, why: String) -> Option<Finding> {
        let verdict = row.verdict?;
        let outcome = match verdict {
            _ if row.control && row.status != ChangeStatus::Suspect => Outcome::Pass,
            ChangeVerdict::NoRegression | ChangeVerdict::Improved => Outcome::Pass,
            ChangeVerdict::Inconclusive => Outcome::Inconclusive,
            ChangeVerdict::Regression => Outcome::Fail,
        };
        Some(Finding {
            suite: row.suite.clone(),
            model: row.candidate.clone(),
            axis: row.axis.clone(),
            group: row.group.clone(),
            reference: row.reference.clone(),
            scorer: row.scorer.clone(),
            gap: row.did,
            low: row.low,
            high: row.high,
            p: row.p_regression,
            p_adjusted: row.p_regression_adjusted,
            margin: row.margin,
            verdict: verdict.as_str(),
            status: row.status.as_str(),
            outcome: Some(outcome),
            is_measured: matches!(row.status, ChangeStatus::Ok | ChangeStatus::ZeroVariance | ChangeStatus::Identical),
            warns,
            sentence,
            why,
        })
    }
}

/// The changes that count. Their margins are those that the comparison was made with.
///
/// # Errors
/// When nothing was declared, when a part of the policy fits nothing, and when it has a margin of its own.
pub fn counted<'r>(rows: &'r [ComparisonRow], policy: &Policy) -> Result<Vec<&'r ComparisonRow>> {
    let declared: Vec<&ComparisonRow> = rows.iter().filter(|row| row.verdict.is_some()).collect();
    if declared.is_empty() {
        bail!(
            "nothing that was compared is a declared outcome, so that nothing can pass; declare `outcomes:` in the suite, \
             or --margin for records"
        );
    }
    let fits = |part: &super::Selector, row: &ComparisonRow| part.fits(&row.suite, &row.axis, &row.group, &row.scorer);
    for counted in &policy.outcomes {
        let (file, at) = (&counted.place.file, counted.place.at);
        let place = format!("{file}:{}:{}", at.line, at.column);
        if counted.margin.is_some() {
            bail!("{place}: a comparison has the margins that it was made with; take `margin` out, or gate the runs");
        }
        if !declared.iter().any(|row| fits(&counted.part, row)) {
            bail!("{place}: {} fits no declared outcome of this comparison; correct the name", counted.part);
        }
    }
    let counts =
        |row: &&&ComparisonRow| policy.outcomes.is_empty() || policy.outcomes.iter().any(|c| fits(&c.part, row));
    Ok(declared.iter().filter(counts).copied().collect())
}
