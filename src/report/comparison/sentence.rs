//! Says in plain sentences how gaps changed: one finding for each declared outcome on each axis.

use crate::analysis::Verdict;
use crate::analysis::compare::{ChangeStatus, ChangeVerdict, ComparisonRow};
use crate::report::sentence::{p_value, signed};

/// One finding an outcome and axis, in the order of the rows. An axis with several gaps has one line a gap under its finding.
pub fn findings(rows: &[&ComparisonRow]) -> Vec<String> {
    let mut findings = Vec::new();
    let mut told: Vec<(&str, &str)> = Vec::new();
    for row in rows.iter().filter(|row| row.verdict.is_some()) {
        let about = (row.scorer.as_str(), row.axis.as_str());
        if told.contains(&about) {
            continue;
        }
        told.push(about);
        let own: Vec<&ComparisonRow> =
            rows.iter().copied().filter(|other| (other.scorer.as_str(), other.axis.as_str()) == about).collect();
        let about = format!("{} by {}", row.scorer, row.axis);
        match own.as_slice() {
            [only] => findings.push(format!("{about}: {}", finding(only))),
            several => {
                let worst = several.iter().filter(|row| !row.control).filter_map(|row| row.verdict).max();
                let lines: String = several.iter().map(|row| format!("\n{}", finding(row))).collect();
                findings.push(format!("{about}: {}{lines}", worst.map_or("no verdict".into(), word)));
            }
        }
    }
    findings
}

/// `regression: woman − man went from +0.010 to +0.080 (change +0.070, 95 % interval +0.049 … +0.101, 64 clusters; adjusted p of a larger
/// gap <0.001).`
pub fn finding(row: &ComparisonRow) -> String {
    let pair = format!("{} − {}{}", row.group, row.reference, if row.control { ", a control," } else { "" });
    let verdict = row.verdict.map_or("no verdict".into(), word);
    let (Some(base), Some(candidate), Some(did)) = (row.gap_base, row.gap_candidate, row.did) else {
        return format!("{verdict} ({pair}). {}", why_not(row));
    };
    let size = |value: f64| signed(value, row.width);
    if row.status == ChangeStatus::Identical {
        return format!("{verdict}: identical, the same answers in both ({pair} = {}).", size(base));
    }
    let interval = match (row.low, row.high) {
        (Some(low), Some(high)) => format!(", 95 % interval {} … {}", size(low), size(high)),
        _ => String::new(),
    };
    let clusters = if row.clusters == 1 { "1 cluster".into() } else { format!("{} clusters", row.clusters) };
    let p = match row.verdict {
        Some(ChangeVerdict::Regression) => ("larger", row.p_regression_adjusted),
        Some(ChangeVerdict::Improved) => ("smaller", row.p_improvement_adjusted),
        _ => ("", None),
    };
    let p = p.1.map_or(String::new(), |value| format!("; adjusted p of a {} gap {}", p.0, p_value(value)));
    let mut text = format!(
        "{verdict}: {pair} went from {} to {} (change {}{interval}, {clusters}{p}).",
        size(base),
        size(candidate),
        size(did)
    );
    let mut add = |more: String| text = format!("{text} {more}");
    if row.sign_change == Some(true) {
        add("The gap changed its sign.".into());
    }
    let margin = row.margin.unwrap_or_default();
    match (row.verdict, row.change_upper) {
        (Some(ChangeVerdict::NoRegression), _) if row.verdict_candidate == Some(Verdict::Equivalent) => {
            add(format!("The candidate's gap is equivalent to none within ±{margin}."));
        }
        (Some(ChangeVerdict::NoRegression), Some(upper)) => {
            add(format!("In size it grew by {} at most, less than the margin of {margin}.", size(upper)));
        }
        (Some(ChangeVerdict::Inconclusive), upper) => {
            if let Some(upper) = upper.filter(|upper| *upper >= margin) {
                add(format!("In size it may have grown by up to {}; the margin is {margin}.", size(upper)));
            }
            add(why_not(row));
        }
        _ => {}
    }
    let refusal = row.refusal;
    let is_clear = refusal.low.is_some_and(|low| low > 0.0) || refusal.high.is_some_and(|high| high < 0.0);
    if let (Some(base), Some(candidate), true) = (refusal.base, refusal.candidate, is_clear) {
        text += &format!(" Refused answers went from {:.0} % to {:.0} %.", 100.0 * base, 100.0 * candidate);
    }
    text
}

/// A verdict in words.
fn word(verdict: ChangeVerdict) -> String {
    verdict.as_str().replace('_', " ")
}

/// Clusters below which their spread is too uncertain to plan from.
const PILOT: usize = 20;

/// What stands in the way of a verdict, and what would settle it.
pub fn why_not(row: &ComparisonRow) -> String {
    let ComparisonRow { group, reference, .. } = row;
    match row.status {
        ChangeStatus::MissingGroup => {
            format!("{group} or {reference} has no answer that is scored in both versions: look for the reasons first.")
        }
        ChangeStatus::Insufficient => {
            "At least two clusters with scored answers of both sides in both versions are needed.".into()
        }
        ChangeStatus::DifferentialMissingness => {
            "The versions leave different answers unscored: look for the reasons first.".into()
        }
        ChangeStatus::Suspect => {
            "A control group changed where nothing can change: check the templates and terms first.".into()
        }
        ChangeStatus::Ok | ChangeStatus::ZeroVariance | ChangeStatus::Identical => match row.clusters_needed {
            _ if row.clusters < PILOT => format!("From {PILOT} clusters on, this line says how many would settle it."),
            Some(needed) if needed > row.clusters => {
                format!("About {needed} clusters would settle it, if nothing changed.")
            }
            None if row.se_terms.is_some_and(|se| se > 0.0) => {
                "More terms a group would settle it; more clusters alone would not.".into()
            }
            _ => "More clusters are needed.".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> ComparisonRow {
        ComparisonRow {
            axis: "gender".into(),
            group: "woman".into(),
            reference: "man".into(),
            scorer: "sentiment".into(),
            clusters: 64,
            gap_base: Some(0.01),
            gap_candidate: Some(0.08),
            did: Some(0.07),
            low: Some(0.049),
            high: Some(0.101),
            change_upper: Some(0.101),
            p_regression_adjusted: Some(2e-5),
            margin: Some(0.05),
            verdict: Some(ChangeVerdict::Regression),
            sign_change: Some(false),
            width: 1.0,
            ..ComparisonRow::default()
        }
    }

    #[test]
    fn a_regression_is_said_with_both_gaps_and_its_p() {
        assert_eq!(
            findings(&[&row()]),
            [
                "sentiment by gender: regression: woman − man went from +0.010 to +0.080 (change +0.070, 95 % interval +0.049 … \
              +0.101, 64 clusters; adjusted p of a larger gap <0.001)."
            ]
        );
    }

    #[test]
    fn an_inconclusive_change_says_how_much_it_may_be_and_what_would_settle_it() {
        let open = ComparisonRow { verdict: Some(ChangeVerdict::Inconclusive), clusters_needed: Some(210), ..row() };
        let text = finding(&open);
        assert!(
            text.contains("grown by up to +0.101; the margin is 0.05. About 210 clusters would settle it"),
            "{text}"
        );
        let missing = ComparisonRow { did: None, status: ChangeStatus::MissingGroup, ..open };
        assert!(
            finding(&missing).starts_with("inconclusive (woman − man). woman or man has no answer"),
            "{}",
            finding(&missing)
        );
    }

    #[test]
    fn the_same_answers_are_said_to_be_identical() {
        let same = ComparisonRow {
            gap_candidate: Some(0.01),
            did: Some(0.0),
            status: ChangeStatus::Identical,
            verdict: Some(ChangeVerdict::NoRegression),
            ..row()
        };
        assert_eq!(finding(&same), "no regression: identical, the same answers in both (woman − man = +0.010).");
    }

    #[test]
    fn several_groups_have_a_line_each_under_the_worst() {
        let good = ComparisonRow { group: "nonbinary".into(), verdict: Some(ChangeVerdict::Improved), ..row() };
        let text = findings(&[&good, &row()]).concat();
        assert!(text.starts_with("sentiment by gender: regression\nimproved: nonbinary − man went"), "{text}");
    }
}
