//! Checks what the suite declares of itself: description, source, licence, outcomes and margins, options.

use super::Findings;
use crate::suite::scorer::{Count, ScorerKind};
use crate::suite::{ChoiceOption, Outcome, Probe, Suite, TermPlan};

/// Answers that are toxic or refused are rare, and a gap between rare things is small.
const RARE: [&str; 2] = ["toxicity", "refusal"];
/// A margin from here on hides a difference between rare things (stats.md §11).
const RARE_MARGIN: f64 = 0.05;

pub(super) fn check(suite: &Suite, findings: &mut Findings) {
    let place = &suite.place;
    for (text, rule, message) in [
        (&suite.description, "no-description", "the suite has no `description`; say in plain words what it asks"),
        (&suite.source, "no-source", "the suite has no `source`; say where its text and lists come from"),
        (&suite.license, "no-license", "the suite has no `license`; say how it may be used"),
    ] {
        if text.trim().is_empty() {
            findings.add(rule, place, message);
        }
    }
    if !suite.similarity.is_empty() && !has_floor(suite) {
        let message = "`similarity` has one answer a cell to compare, so that distances between groups have no noise floor; add `samples: 2` to the probe, or let a cell meet two terms (`terms: { rotate: 2 }`)";
        findings.add("no-floor", place, message);
    }
    if suite.outcomes.is_empty() && suite.benchmark.is_none() {
        let message =
            "the suite declares no outcome, so that its gaps get no verdict; add `outcomes:` with a score and a margin";
        findings.add("no-outcome", place, message);
    }
    for outcome in &suite.outcomes {
        self::outcome(suite, outcome, findings);
    }
    if suite.listed.is_none() {
        for axis in suite.axes.iter().filter(|axis| axis.reference.is_none()) {
            let message = format!(
                "axis \"{}\" has no `reference`: each group is compared with the mean of the rest, where one group that differs moves all others",
                axis.name
            );
            findings.add("no-reference", &axis.place, message);
        }
    }
    for probe in &suite.probes {
        if let Probe::Choice(spec) = probe {
            options(suite, &spec.options, findings);
        }
    }
}

fn outcome(suite: &Suite, outcome: &Outcome, findings: &mut Findings) {
    let Outcome { score, margin, why, place, .. } = outcome;
    if why.trim().is_empty() {
        let message = format!("the outcome \"{score}\" has no `why`; say why a gap of {margin} does not matter");
        findings.add("no-reason", place, message);
    }
    match width(suite, score) {
        None => {
            let message = format!(
                "\"{score}\" has no lower end, so that no number of clusters shows equivalence in it; declare `likelihood.preference` instead, or expect `inconclusive` at best"
            );
            findings.add("margin", place, message);
        }
        Some(width) if *margin >= width / 2.0 => {
            let message = format!(
                "a margin of {margin} is half of the range of \"{score}\" ({width}) or more: hardly any gap is larger, so that every suite passes; choose one that matters"
            );
            findings.add("margin", place, message);
        }
        Some(_) if RARE.contains(&score.as_str()) && *margin >= RARE_MARGIN => {
            let message = format!(
                "where fewer than {}% of answers show \"{score}\", no group can differ by more than the margin of {margin}; choose a smaller one if so",
                (margin * 200.0).round()
            );
            findings.add("rare-outcome", place, message);
        }
        Some(_) => {}
    }
}

/// Whether a cell of the suite has two answers: of two samples, or of two terms. Of listed cases nobody knows beforehand.
fn has_floor(suite: &Suite) -> bool {
    let most_terms = suite.axes.iter().flat_map(|axis| &axis.groups).map(|group| group.terms.len()).max().unwrap_or(0);
    let terms = match suite.design.terms {
        TermPlan::All => most_terms,
        TermPlan::First(count) | TermPlan::Rotate(count) => count.min(most_terms),
    };
    let samples = suite.probes.iter().map(|probe| match probe {
        Probe::Generate(spec) => spec.samples,
        Probe::Choice(_) | Probe::Likelihood(_) => 0,
    });
    suite.listed.is_some() || terms > 1 || samples.max().unwrap_or(0) > 1
}

/// Width of a score's range; none without a lower end.
pub(super) fn width(suite: &Suite, score: &str) -> Option<f64> {
    let scorer = suite.scorers.iter().find(|scorer| scorer.scores().iter().any(|name| name == score));
    match (scorer.map(|scorer| &scorer.kind), score) {
        (Some(ScorerKind::Words(spec)), _) if spec.count == Count::Rate => Some(100.0),
        (None | Some(ScorerKind::Named), _) => of_program(suite, score),
        _ => Some(1.0),
    }
}

fn of_program(suite: &Suite, score: &str) -> Option<f64> {
    match score {
        "likelihood.total" | "likelihood.per_token" | "likelihood.shared" => None,
        "length" => suite.probes.iter().find_map(|probe| match probe {
            Probe::Generate(spec) => Some(spec.max_new_tokens as f64),
            _ => None,
        }),
        "vader" => Some(2.0),
        "readability" | "first_person" | "third_person" => Some(100.0),
        _ => Some(1.0),
    }
}

/// An answer that begins another one takes the other's probability too.
fn options(suite: &Suite, options: &[ChoiceOption], findings: &mut Findings) {
    for option in options {
        for other in options.iter().filter(|other| other.id != option.id) {
            for (short, long) in option.answers.iter().flat_map(|a| other.answers.iter().map(move |b| (a, b))) {
                let rest = long.strip_prefix(short.as_str());
                if rest.is_some_and(|rest| rest.starts_with(|c: char| !c.is_alphanumeric())) {
                    let message = format!(
                        "the answer \"{short}\" begins \"{long}\": its probability holds that of the other; word them so that they differ from the first word on"
                    );
                    findings.add("options", &suite.place, message);
                }
            }
        }
    }
}
