//! Lays a policy over the gaps of several runs, adjusts them together, and gives each its verdict anew.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};

use super::policy::{Counted, Family, Policy};
use crate::analysis::{GapRow, adjust, conclude};

/// One suite's gaps on one model, as the gate gets them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Entry {
    pub suite: String,
    pub model: String,
    /// With the margins that the suite declares; afterwards with those of the policy, and none where a gap does not count.
    pub gaps: Vec<GapRow>,
    /// Axes that are screened and never gated: combinations of others.
    pub screened: BTreeSet<String>,
    /// Declared scores; each must have been measured.
    pub outcomes: Vec<String>,
    /// The suite says that an inconclusive outcome only warns.
    pub warns: bool,
    /// Error rate that adjusted p-values are held against.
    pub alpha: f64,
}

/// Decides what counts, adjusts p by Holm over the family, and sets every verdict.
///
/// # Errors
/// When nothing is declared in a suite, when a declared outcome has no gap, when a part of the policy fits nothing, and on
/// a margin that is no smaller than its score's range.
pub fn settle(entries: &mut [Entry], policy: &Policy, family: Family) -> Result<()> {
    let mut used = vec![false; policy.outcomes.len()];
    for entry in entries.iter_mut() {
        check_declared(&entry.suite, &entry.outcomes, policy)?;
        check_measured(entry, policy)?;
        for gap in &mut entry.gaps {
            if entry.screened.contains(&gap.axis) {
                gap.margin = None;
            } else if !policy.outcomes.is_empty() {
                gap.margin = margin(gap, policy, &mut used)?;
            }
        }
    }
    if let Some((counted, _)) = policy.outcomes.iter().zip(&used).find(|(_, used)| !**used) {
        bail!("{}", fits_nothing(counted, entries));
    }
    ensure!(
        entries.iter().flat_map(|entry| &entry.gaps).any(|gap| gap.margin.is_some()),
        "nothing that was measured counts, so that nothing can pass; declare `outcomes:` in the suite"
    );
    match family {
        Family::Suite => entries.iter_mut().for_each(|entry| adjust(&mut entry.gaps)),
        Family::All => adjust(entries.iter_mut().flat_map(|entry| &mut entry.gaps)),
    }
    // A failed control casts doubt on its own run alone.
    entries.iter_mut().for_each(|entry| conclude(&mut entry.gaps, entry.alpha));
    Ok(())
}

/// Errs on a suite of which nothing can pass: where the policy does not choose what counts, the suite has to.
pub fn check_declared(suite: &str, outcomes: &[String], policy: &Policy) -> Result<()> {
    ensure!(
        !outcomes.is_empty() || !policy.outcomes.is_empty(),
        "{suite} declares no outcomes, so that nothing of it can pass; declare them before the run, in the suite as\n  \
         outcomes:\n    - {{ score: sentiment, margin: 0.05 }}\nor for records with --margin, or name them with their \
         margins under `outcomes:` in a policy"
    );
    Ok(())
}

fn check_measured(entry: &Entry, policy: &Policy) -> Result<()> {
    if !policy.outcomes.is_empty() {
        return Ok(());
    }
    let was_measured = |score: &&String| entry.gaps.iter().any(|gap| gap.scorer == **score && gap.margin.is_some());
    if let Some(score) = entry.outcomes.iter().find(|score| !was_measured(score)) {
        let suite = &entry.suite;
        bail!("{suite} declares the outcome {score:?}, but no axis of it was measured by it; take one of the two out");
    }
    Ok(())
}

/// The margin that the first part that fits gives to a gap; `None` when none does.
fn margin(gap: &GapRow, policy: &Policy, used: &mut [bool]) -> Result<Option<f64>> {
    let mut first: Option<&Counted> = None;
    for (counted, used) in policy.outcomes.iter().zip(used) {
        let has_margin = counted.margin.or(gap.margin).is_some();
        if has_margin && counted.part.fits(&gap.suite, &gap.axis, &gap.group, &gap.scorer) {
            *used = true;
            first = first.or(Some(counted));
        }
    }
    let Some(counted) = first else { return Ok(None) };
    let margin = counted.margin.or(gap.margin);
    if let Some(margin) = margin.filter(|margin| *margin >= gap.width) {
        let (file, at) = (&counted.place.file, counted.place.at);
        bail!(
            "{file}:{}:{}: the margin {margin} of {} is no smaller than the width of its range, {}; nothing could fail",
            at.line,
            at.column,
            gap.scorer,
            gap.width
        );
    }
    Ok(margin)
}

fn fits_nothing(counted: &Counted, entries: &[Entry]) -> String {
    let all = |name: fn(&GapRow) -> &str| {
        let names: BTreeSet<&str> = entries.iter().flat_map(|entry| entry.gaps.iter().map(name)).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    };
    let (file, at) = (&counted.place.file, counted.place.at);
    format!(
        "{file}:{}:{}: {} fits no outcome of these runs, which have the suites {}, axes {}, groups {} and scores {}; \
         correct the name, or give a score that its suite does not declare a `margin`",
        at.line,
        at.column,
        counted.part,
        all(|gap| &gap.suite),
        all(|gap| &gap.axis),
        all(|gap| &gap.group),
        all(|gap| &gap.scorer)
    )
}
