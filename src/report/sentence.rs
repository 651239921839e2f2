//! Says in plain sentences what was found: one finding for each declared outcome on each axis.

use super::Run;
use crate::analysis::{GapRow, Status, Tables, Verdict};

/// One finding an outcome and axis, in the manifest's order. An axis with several gaps has one line a gap
/// under its finding.
pub fn findings(run: &Run) -> Vec<String> {
    let outcomes: Vec<String> = run.manifest.outcomes.iter().map(|outcome| outcome.score.clone()).collect();
    let axes: Vec<String> = run.manifest.axes.iter().map(|axis| axis.name.clone()).collect();
    of_tables(&run.tables, &outcomes, &axes)
}

/// As [`findings`], in the order of the names given.
pub fn of_tables(tables: &Tables, outcomes: &[String], axes: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    for outcome in outcomes {
        for axis in axes {
            let gaps: Vec<&GapRow> = tables
                .gaps
                .iter()
                .filter(|gap| gap.axis == *axis && gap.scorer == *outcome && gap.verdict.is_some())
                .collect();
            let about = format!("{outcome} by {axis}");
            match gaps.as_slice() {
                [] => {}
                [gap] => findings.push(format!("{about}: {}", finding(gap))),
                gaps => {
                    let worst = gaps.iter().filter(|gap| !gap.control).filter_map(|gap| gap.verdict).max();
                    let lines: Vec<String> = gaps.iter().map(|gap| format!("\n  {}", finding(gap))).collect();
                    let worst = worst.map_or("no verdict", Verdict::as_str);
                    findings.push(format!("{about}: {worst}{}", lines.concat()));
                }
            }
        }
    }
    findings
}

/// `equivalent within ±0.05 (woman − man = +0.004, 90 % interval −0.010 … +0.018, 64 clusters).`
pub fn finding(gap: &GapRow) -> String {
    let pair = format!("{} − {}{}", gap.group, gap.reference, if gap.control { ", a control" } else { "" });
    let Some(value) = gap.gap else {
        return format!("{} ({pair}). {}", verdict(gap), why(gap));
    };
    let (percent, low, high) = match gap.verdict {
        Some(Verdict::Disparity) => (95, gap.low, gap.high),
        _ => (90, gap.low90, gap.high90),
    };
    let size = format!("{pair} = {}", signed(value, gap.width));
    let interval = match (low, high) {
        (Some(low), Some(high)) => {
            format!(", {percent} % interval {} … {}", signed(low, gap.width), signed(high, gap.width))
        }
        _ => String::new(),
    };
    let p = match (gap.verdict, gap.p_adjusted) {
        (Some(Verdict::Disparity), Some(p)) => format!(", adjusted p {}", p_value(p)),
        _ => String::new(),
    };
    let mut text = format!("{} ({size}{interval}{p}, {}).", verdict(gap), clusters(gap.clusters));
    let more = why(gap);
    if !more.is_empty() {
        text = format!("{text} {more}");
    }
    text
}

/// What follows from the verdict, or what would settle it; empty where nothing does.
pub fn why(gap: &GapRow) -> String {
    match gap.verdict {
        _ if gap.gap.is_none() => why_not(gap),
        Some(Verdict::Equivalent) if gap.p_adjusted.is_some_and(|p| p <= 0.05) => {
            "The gap is detectable, but within the margin.".into()
        }
        Some(Verdict::Disparity) if gap.at_least_margin => "It is larger than the margin.".into(),
        Some(Verdict::Disparity) => "Whether it is larger than the margin is open.".into(),
        Some(Verdict::Inconclusive) => why_not(gap),
        _ => String::new(),
    }
}

fn verdict(gap: &GapRow) -> String {
    match (gap.verdict, gap.margin) {
        (Some(Verdict::Equivalent), Some(margin)) => format!("equivalent within ±{margin}"),
        (Some(Verdict::Disparity), _) => "disparity".into(),
        (Some(Verdict::Inconclusive), Some(margin)) => format!("inconclusive at a margin of ±{margin}"),
        (Some(verdict), None) => verdict.to_string(),
        (None, _) => "no verdict".into(),
    }
}

/// Clusters below which their spread is too uncertain to plan from.
const PILOT: usize = 20;

/// What stands in the way of a verdict, and what would settle it.
fn why_not(gap: &GapRow) -> String {
    let GapRow { group, reference, .. } = gap;
    match gap.status {
        Status::MissingGroup => {
            format!("{group} or {reference} has no scored answer: look into scores.csv for the reasons.")
        }
        Status::Insufficient => "At least two clusters with scored answers of both sides are needed.".into(),
        Status::DifferentialMissingness => format!(
            "Answers about {group} stay unscored more or less often than those about {reference}{}: look into \
             scores.csv for the reasons first.",
            gap.unscored_gap.map_or(String::new(), |share| format!(" ({} of all)", signed(share, 1.0)))
        ),
        Status::Suspect => "A control group shows a gap where none can be: check the templates and terms first.".into(),
        Status::ScorerOffset => "The scorer's own offset could explain more than half of the gap.".into(),
        Status::Ok | Status::ZeroVariance => match gap.clusters_needed {
            _ if gap.more_terms_needed => "More terms a group would settle it; more clusters alone would not.".into(),
            _ if gap.clusters < PILOT => format!("From {PILOT} clusters on, this line says how many would settle it."),
            Some(needed) => format!("About {} would settle it, if there is no gap.", clusters(needed)),
            None => "More clusters are needed.".into(),
        },
    }
}

fn clusters(count: usize) -> String {
    if count == 1 { "1 cluster".into() } else { format!("{count} clusters") }
}

/// A number with as many decimals as its range makes worth reading; the minus is `−`.
pub fn plain(value: f64, width: f64) -> String {
    let decimals = match width {
        width if width <= 2.0 => 3,
        width if width <= 20.0 || width.is_infinite() => 2,
        _ => 1,
    };
    let text = format!("{value:.decimals$}");
    match text.strip_prefix('-') {
        Some(zero) if zero.bytes().all(|byte| matches!(byte, b'0' | b'.')) => zero.to_owned(),
        Some(size) => format!("−{size}"),
        None => text,
    }
}

/// As [`plain`], with a sign on everything but zero.
pub fn signed(value: f64, width: f64) -> String {
    let text = plain(value, width);
    let is_zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if is_zero || text.starts_with('−') { text } else { format!("+{text}") }
}

pub fn p_value(p: f64) -> String {
    if p < 0.001 { "<0.001".into() } else { format!("{p:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap() -> GapRow {
        GapRow {
            axis: "gender".into(),
            group: "woman".into(),
            reference: "man".into(),
            scorer: "sentiment".into(),
            clusters: 64,
            gap: Some(0.004),
            low: Some(-0.013),
            high: Some(0.021),
            low90: Some(-0.01),
            high90: Some(0.018),
            p_adjusted: Some(1.0),
            margin: Some(0.05),
            verdict: Some(Verdict::Equivalent),
            width: 1.0,
            ..GapRow::default()
        }
    }

    #[test]
    fn equivalence_is_said_with_gap_interval_and_clusters() {
        assert_eq!(
            finding(&gap()),
            "equivalent within ±0.05 (woman − man = +0.004, 90 % interval −0.010 … +0.018, 64 clusters)."
        );
    }

    #[test]
    fn an_inconclusive_gap_says_what_would_settle_it() {
        let open = GapRow { verdict: Some(Verdict::Inconclusive), clusters_needed: Some(210), ..gap() };
        assert!(finding(&open).contains("About 210 clusters would settle it"), "{}", finding(&open));
        let terms = GapRow { more_terms_needed: true, ..open.clone() };
        assert!(finding(&terms).contains("More terms"), "{}", finding(&terms));
        let few = GapRow { clusters: 4, ..open.clone() };
        assert!(!finding(&few).contains("210") && finding(&few).contains("From 20 clusters on"), "{}", finding(&few));
        let missing = GapRow { gap: None, clusters: 0, status: Status::MissingGroup, ..open };
        assert!(finding(&missing).contains("no scored answer"), "{}", finding(&missing));
    }

    #[test]
    fn a_disparity_is_said_with_its_p() {
        let found =
            GapRow { verdict: Some(Verdict::Disparity), p_adjusted: Some(2e-5), at_least_margin: true, ..gap() };
        let text = finding(&found);
        assert!(
            text.contains("95 % interval") && text.contains("adjusted p <0.001") && text.contains("larger"),
            "{text}"
        );
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(signed(-0.0001, 1.0), "0.000");
        assert_eq!(signed(0.0, 1.0), "0.000");
        assert_eq!(signed(-12.34, 64.0), "−12.3");
    }
}
