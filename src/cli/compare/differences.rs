//! Tells what else differs between two runs than their answers, and refuses what makes them answers to different questions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, bail, ensure};

use super::versions::OfSuite;
use crate::record::manifest::{Manifest, ProbeEntry, ScorerEntry};
use crate::record::{CaseRow, rows};

/// Letters of a text that a line shows.
const SHOWN: usize = 48;

/// One thing a line: model, precision, sampling, seed, system prompt, and whatever else the manifests have.
///
/// # Errors
/// On prompts that differ in more than the system prompt, and on a score that changed its meaning. `names` are what base and candidate are
/// called. Files of records tell the model alone.
pub fn between(base: &OfSuite, candidate: &OfSuite, names: [&str; 2]) -> Result<Vec<String>> {
    let (Some((folder, one)), Some((other_folder, other))) = (&base.run, &candidate.run) else {
        let model =
            |version: &OfSuite| version.records.first().map_or(String::new(), |record| record.model.to_string());
        return Ok(changed("model", model(base), model(candidate)).into_iter().collect());
    };
    check_scorers(one, other, names)?;
    check_questions(one, other, names)?;
    let mut lines = settings(one, other);
    lines.extend(prompts(folder, other_folder, names)?);
    Ok(lines)
}

/// `what: before → after` of two values that differ.
fn changed(what: &str, before: String, after: String) -> Option<String> {
    let said = |text: String| if text.is_empty() { "none".into() } else { text };
    (before != after).then(|| format!("{what}: {} → {}", said(before), said(after)))
}

fn check_scorers(base: &Manifest, candidate: &Manifest, names: [&str; 2]) -> Result<()> {
    for (one, other) in shared(base, candidate) {
        ensure!(
            (&one.revision, &one.unit) == (&other.revision, &other.unit),
            "the score {} does not mean the same in both: revision {:?} ({}) in {}, {:?} ({}) in {}; score both with one version of it",
            one.name,
            one.revision,
            one.unit,
            names[0],
            other.revision,
            other.unit,
            names[1]
        );
    }
    Ok(())
}

/// The scorers that both have.
fn shared<'m>(base: &'m Manifest, candidate: &'m Manifest) -> Vec<(&'m ScorerEntry, &'m ScorerEntry)> {
    let other = |one: &ScorerEntry| candidate.scorers.iter().find(|other| other.name == one.name);
    base.scorers.iter().filter_map(|one| Some((one, other(one)?))).collect()
}

/// How the question is put is part of it; how the answer is drawn is not.
fn check_questions(base: &Manifest, candidate: &Manifest, names: [&str; 2]) -> Result<()> {
    let kinds =
        |manifest: &Manifest| -> Vec<String> { manifest.probes.iter().map(|probe| probe.kind.clone()).collect() };
    let (one, other) = (kinds(base), kinds(candidate));
    ensure!(
        one == other,
        "{} was asked by {}, {} by {}; compare versions that were asked alike",
        names[0],
        one.join(", "),
        names[1],
        other.join(", ")
    );
    for (probe, same) in base.probes.iter().zip(&candidate.probes) {
        let options = |probe: &ProbeEntry| probe.options.as_ref().map(|all| all.join(", "));
        for (what, one, other) in [
            ("style", probe.style.clone(), same.style.clone()),
            ("lead", probe.lead.clone(), same.lead.clone()),
            ("options", options(probe), options(same)),
        ] {
            ensure!(
                one == other,
                "the {} probe has {what} {:?} in {} and {:?} in {}; compare versions that were asked alike",
                probe.kind,
                one.unwrap_or_default(),
                names[0],
                other.unwrap_or_default(),
                names[1]
            );
        }
    }
    Ok(())
}

fn settings(base: &Manifest, candidate: &Manifest) -> Vec<String> {
    let suite = |manifest: &Manifest| format!("{}@{}", manifest.suite.name, manifest.suite.version);
    let digest = |manifest: &Manifest| manifest.suite.digest.chars().take(7).collect::<String>();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let of = |read: fn(&Manifest) -> String| (read(base), read(candidate));
    let mut lines = Vec::new();
    let mut add = |what: &str, (before, after): (String, String)| lines.extend(changed(what, before, after));
    add("suite", (suite(base), suite(candidate)));
    add("content of the suite's files, by digest", (digest(base), digest(candidate)));
    add("model", of(Manifest::model_name));
    add("precision", of(|manifest| manifest.model.dtype.clone()));
    add("device", of(|manifest| manifest.model.device.clone()));
    add("tokenizer", (text(&base.model.tokenizer), text(&candidate.model.tokenizer)));
    add("tiltmeter", of(|manifest| manifest.tiltmeter.clone()));
    add("seed", of(|manifest| manifest.seed.to_string()));
    add("date in chat templates", (text(&base.template_date), text(&candidate.template_date)));
    for (one, other) in base.probes.iter().zip(&candidate.probes) {
        for ((what, before), (_, after)) in sampling(one).into_iter().zip(sampling(other)) {
            add(&format!("{} {what}", one.kind), (before, after));
        }
    }
    for (one, other) in shared(base, candidate) {
        let range = |scorer: &ScorerEntry| format!("{} to {}", scorer.low, scorer.high);
        add(&format!("range of {}, of which the wider is taken", one.name), (range(one), range(other)));
    }
    let margins = |manifest: &Manifest| -> BTreeMap<String, String> {
        manifest.outcomes.iter().map(|outcome| (outcome.score.clone(), outcome.margin.to_string())).collect()
    };
    let (one, other) = (margins(base), margins(candidate));
    for score in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
        let of = |margins: &BTreeMap<String, String>| margins.get(score).cloned().unwrap_or_default();
        add(&format!("margin of {score}, of which the base's is taken"), (of(&one), of(&other)));
    }
    add("clusters, of which the base's are taken", (text(&base.generalise_to), text(&candidate.generalise_to)));
    for axis in &base.axes {
        let Some(other) = candidate.axes.iter().find(|other| other.name == axis.name) else { continue };
        let what = format!("reference of {}, of which the base's is taken", axis.name);
        add(&what, (text(&axis.reference), text(&other.reference)));
    }
    let scorers = |manifest: &Manifest| -> BTreeSet<String> {
        manifest.scorers.iter().map(|scorer| scorer.name.clone()).collect()
    };
    let (one, other) = (scorers(base), scorers(candidate));
    let list = |names: Vec<String>| names.join(", ");
    add(
        "scores that only one has",
        (list(one.difference(&other).cloned().collect()), list(other.difference(&one).cloned().collect())),
    );
    lines
}

/// What may differ of a probe.
fn sampling(probe: &ProbeEntry) -> [(&'static str, String); 6] {
    let number = |value: Option<String>| value.unwrap_or_default();
    [
        ("asked as", probe.asked_as.clone()),
        ("samples", number(probe.samples.map(|value| value.to_string()))),
        ("temperature", number(probe.temperature.map(|value| value.to_string()))),
        ("top_p", number(probe.top_p.map(|value| value.to_string()))),
        ("max_new_tokens", number(probe.max_new_tokens.map(|value| value.to_string()))),
        ("stop", probe.stop.as_ref().map_or(String::new(), |stop| format!("{stop:?}"))),
    ]
}

/// The system prompts that differ, by text; any other text that differs is refused.
fn prompts(base: &Path, candidate: &Path, names: [&str; 2]) -> Result<Vec<String>> {
    let read = |folder: &Path| rows::read_cases(&folder.join("cases.csv"));
    let (one, other) = (read(base)?, read(candidate)?);
    let others: BTreeMap<&str, &CaseRow> = other.iter().map(|case| (case.case.as_str(), case)).collect();
    let pairs: Vec<(&CaseRow, &CaseRow)> =
        one.iter().filter_map(|case| Some((case, *others.get(case.case.as_str())?))).collect();
    let asked = |case: &CaseRow| -> [(&'static str, String); 4] {
        [
            ("prompt", case.prompt.clone()),
            ("earlier turns", case.turns.clone()),
            ("continuation", case.continuation.clone()),
            ("options", case.options.clone()),
        ]
    };
    let mut different = pairs.iter().filter(|(one, other)| asked(one) != asked(other));
    if let Some((one, other)) = different.next() {
        let parts = asked(one).into_iter().zip(asked(other));
        let Some(((what, before), (_, after))) = parts.into_iter().find(|(a, b)| a != b) else { return Ok(Vec::new()) };
        bail!(
            "{} and {} were asked in other words: the {what} of {} of {} cases differs, first of {}: {} against {}; only the system prompt \
             may differ",
            names[0],
            names[1],
            1 + different.count(),
            pairs.len(),
            one.case,
            quoted(&before),
            quoted(&after)
        );
    }
    let mut systems: BTreeMap<(&str, &str), (usize, BTreeSet<&str>)> = BTreeMap::new();
    for (one, other) in pairs.iter().filter(|(one, other)| one.system != other.system) {
        let (count, templates) = systems.entry((&one.system, &other.system)).or_default();
        *count += 1;
        templates.insert(&one.template);
    }
    let line = |((before, after), (count, templates)): ((&str, &str), (usize, BTreeSet<&str>))| {
        let templates = templates.into_iter().collect::<Vec<_>>().join(", ");
        let what = format!("system prompt of {templates} ({count} of {} cases)", pairs.len());
        changed(&what, quoted(before), quoted(after))
    };
    Ok(systems.into_iter().filter_map(line).collect())
}

/// The beginning of a text on one line; nothing of an empty one.
fn quoted(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        return line;
    }
    let shown: String = line.chars().take(SHOWN).collect();
    let more = if shown.len() < line.len() { "…" } else { "" };
    format!("“{shown}{more}”")
}
