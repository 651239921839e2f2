//! Turns findings into outcomes, waives what the policy waives, and says what the whole comes to.

use super::policy::{Family, OnInconclusive, Policy, Waiver};
use crate::analysis::{GapRow, Status, Verdict};
use crate::date::Date;

/// What a gate makes of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Pass,
    /// It would not pass, but somebody answers for it.
    Waived,
    Inconclusive,
    Fail,
}

impl Outcome {
    /// The word in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Waived => "waived",
            Outcome::Inconclusive => "inconclusive",
            Outcome::Fail => "fail",
        }
    }
}

/// One gated gap, or one gated change of a gap between two versions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Finding {
    pub suite: String,
    pub model: String,
    pub axis: String,
    pub group: String,
    pub reference: String,
    pub scorer: String,
    /// The gap, or the difference in disparity, with its 95 % interval.
    pub gap: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub p: Option<f64>,
    pub p_adjusted: Option<f64>,
    pub margin: Option<f64>,
    /// As in disparity.csv or comparison.csv.
    pub verdict: &'static str,
    pub status: &'static str,
    /// What it is before any waiver.
    pub outcome: Option<Outcome>,
    /// There is a gap with an error and nothing is wrong with the run: such a finding can be waived.
    pub is_measured: bool,
    /// An inconclusive outcome of its suite only warns.
    pub warns: bool,
    /// For reading: what was found, and what would settle it.
    pub sentence: String,
    pub why: String,
}

impl Finding {
    /// A gap with a margin; `None` without one. A control counts only when it has failed.
    pub fn of_gap(gap: &GapRow, model: &str, warns: bool, sentence: String, why: String) -> Option<Finding> {
        let verdict = gap.verdict?;
        let outcome = match verdict {
            _ if gap.control && gap.status != Status::Suspect => Outcome::Pass,
            Verdict::Equivalent => Outcome::Pass,
            Verdict::Inconclusive => Outcome::Inconclusive,
            Verdict::Disparity => Outcome::Fail,
        };
        Some(Finding {
            suite: gap.suite.clone(),
            model: model.to_owned(),
            axis: gap.axis.clone(),
            group: gap.group.clone(),
            reference: gap.reference.clone(),
            scorer: gap.scorer.clone(),
            gap: gap.gap,
            low: gap.low,
            high: gap.high,
            p: gap.p,
            p_adjusted: gap.p_adjusted,
            margin: gap.margin,
            verdict: verdict.as_str(),
            status: gap.status.as_str(),
            outcome: Some(outcome),
            is_measured: matches!(gap.status, Status::Ok | Status::ZeroVariance | Status::ScorerOffset),
            warns,
            sentence,
            why,
        })
    }
}

/// A finding with what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub finding: Finding,
    pub outcome: Outcome,
    /// The waiver that covers it, or one that would but has expired.
    pub waiver: Option<Waiver>,
}

impl Row {
    /// A waiver covers it that no longer holds.
    pub fn has_expired(&self) -> bool {
        self.waiver.is_some() && self.outcome != Outcome::Waived
    }

    /// It is inconclusive, and that only warns.
    pub fn only_warns(&self) -> bool {
        self.outcome == Outcome::Inconclusive && self.finding.warns
    }
}

/// What a gate says.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Sorted by suite, model, axis, group, scorer.
    pub rows: Vec<Row>,
    /// What is odd about the waivers.
    pub warnings: Vec<String>,
    /// What p was adjusted over.
    pub family: Family,
}

impl Judgement {
    /// The worst outcome that is not only a warning; a waived one passes.
    pub fn verdict(&self) -> Outcome {
        let counts = self.rows.iter().filter(|row| !row.only_warns()).map(|row| row.outcome).max();
        counts.filter(|worst| *worst > Outcome::Waived).unwrap_or(Outcome::Pass)
    }

    /// 0 within limits, 1 a disparity or regression, 3 inconclusive.
    pub fn exit_code(&self) -> u8 {
        match self.verdict() {
            Outcome::Pass | Outcome::Waived => 0,
            Outcome::Fail => 1,
            Outcome::Inconclusive => 3,
        }
    }

    pub fn of(&self, outcome: Outcome) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.outcome == outcome)
    }
}

/// Judges findings, whose p are adjusted over `family`, under a policy on a day.
///
/// A waiver covers a finding that does not pass: a disparity or a regression, or one that stays inconclusive although it was
/// measured. A missing group, fewer than two clusters, scores that are missing unequally and a failed control are faults of
/// the run, which no waiver covers. An expired waiver covers nothing, and is named.
pub fn judge(
    findings: Vec<Finding>,
    policy: &Policy,
    family: Family,
    on_inconclusive: Option<OnInconclusive>,
    today: Date,
) -> Judgement {
    let on_inconclusive = on_inconclusive.or(policy.on_inconclusive);
    let mut uses = vec![Use::default(); policy.waivers.len()];
    let mut rows: Vec<Row> = findings
        .into_iter()
        .filter_map(|mut finding| {
            if let Some(wanted) = on_inconclusive {
                finding.warns = wanted == OnInconclusive::Warn;
            }
            let outcome = finding.outcome?;
            let fitting = policy.waivers.iter().zip(&mut uses).filter(|(waiver, _)| waiver.fits(&finding));
            let needed = outcome > Outcome::Waived;
            let mut covering: Option<&Waiver> = None;
            for (waiver, used) in fitting {
                used.fits = true;
                used.is_needed |= needed && finding.is_measured;
                let is_better = covering.is_none_or(|other| other.expires < today && waiver.expires >= today);
                if needed && finding.is_measured && is_better {
                    covering = Some(waiver);
                }
            }
            let holds = covering.is_some_and(|waiver| waiver.expires >= today);
            Some(Row { outcome: if holds { Outcome::Waived } else { outcome }, waiver: covering.cloned(), finding })
        })
        .collect();
    rows.sort_by(|a, b| key(&a.finding).cmp(&key(&b.finding)));
    let warnings = policy.waivers.iter().zip(&uses).filter_map(|(waiver, used)| used.warning(waiver)).collect();
    Judgement { rows, warnings, family }
}

fn key(finding: &Finding) -> [&str; 6] {
    let Finding { suite, model, axis, group, reference, scorer, .. } = finding;
    [suite, model, axis, group, scorer, reference].map(String::as_str)
}

impl Waiver {
    fn fits(&self, finding: &Finding) -> bool {
        self.part.fits(&finding.suite, &finding.axis, &finding.group, &finding.scorer)
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Use {
    fits: bool,
    is_needed: bool,
}

impl Use {
    fn warning(self, waiver: &Waiver) -> Option<String> {
        let (file, at) = (&waiver.place.file, waiver.place.at);
        let what = match self {
            Use { is_needed: true, .. } => return None,
            Use { fits: false, .. } => "fits nothing that is gated; correct it, or take it out",
            Use { .. } => "covers nothing: what it fits passes, or no waiver can cover it; take it out",
        };
        Some(format!("{file}:{}:{}: the waiver for {} {what}", at.line, at.column, waiver.part))
    }
}
