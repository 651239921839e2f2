//! Reads a policy file with the machinery of suite files: every problem at once, with its line and column.

use std::path::Path;

use super::policy::{Counted, Family, OnInconclusive, Policy, Selector, Waiver};
use crate::date::Date;
use crate::suite::Place;
use crate::suite::files::{self, Places};
use crate::suite::grammar::{Field, Form, Shape, may, must};
use crate::suite::problem::SuiteProblems;
use crate::suite::reader::{Fields, MOST_YAML, Reader};
use crate::suite::yaml::{Node, parse};

static POLICY: Form = Form {
    name: "policy",
    fields: &[
        may("outcomes", Shape::List(&Shape::Map(&COUNTED)), "What counts; every declared outcome when left out."),
        may("waivers", Shape::List(&Shape::Map(&WAIVER)), "Findings that somebody answers for, for a time."),
        may("on_inconclusive", Shape::Word(&["fail", "warn"]), "Whether an inconclusive outcome passes."),
        may("family", Shape::Word(&["suite", "all"]), "What p-values are adjusted over; all when left out."),
    ],
};

const SUITE: Field = may("suite", Shape::Text, "The suite's name; every suite when left out.");
const AXIS: Field = may("axis", Shape::Text, "Every axis when left out.");
const GROUP: Field = may("group", Shape::Text, "Every group when left out.");

static COUNTED: Form = Form {
    name: "counted",
    fields: &[
        SUITE,
        AXIS,
        GROUP,
        may("score", Shape::Text, "Every declared outcome when left out."),
        may("margin", Shape::Number, "In place of the suite's, in the score's unit."),
    ],
};

static WAIVER: Form = Form {
    name: "waiver",
    fields: &[
        SUITE,
        AXIS,
        GROUP,
        may("score", Shape::Text, "Every score when left out."),
        must("owner", Shape::Text, "Who answers for it."),
        must("reason", Shape::Text, "Why it is tolerated."),
        must("expires", Shape::Text, "The last day on which it holds, as 2027-01-31."),
    ],
};

/// Reads a policy file.
///
/// # Errors
/// [`SuiteProblems`] for all that is wrong inside; a sentence when the file cannot be read.
pub fn load(path: &Path) -> anyhow::Result<Policy> {
    let text = files::read_text(path, MOST_YAML).map_err(anyhow::Error::msg)?;
    Ok(parse_policy(&text, &path.display().to_string())?)
}

/// A policy from its text; `file` is what messages call it.
pub(super) fn parse_policy(text: &str, file: &str) -> Result<Policy, SuiteProblems> {
    let places = Places::default();
    let mut reader = Reader::new(&places);
    let policy = match parse(text) {
        Ok(root) => policy(&mut reader, file, &root),
        Err((at, words)) => {
            reader.problems.add(file, at, words);
            None
        }
    };
    match policy {
        Some(policy) if reader.problems.0.is_empty() => Ok(policy),
        _ => Err(SuiteProblems(reader.problems.0.into_iter().collect())),
    }
}

fn policy(reader: &mut Reader<'_>, file: &str, root: &Node) -> Option<Policy> {
    let top = reader.fields(file, root, "the policy", &POLICY)?;
    let mut policy = Policy::default();
    if let Some(node) = top.get("outcomes") {
        let items = reader.list(file, node, "outcomes")?;
        if items.is_empty() {
            let message = "`outcomes` is empty, so that nothing counts; list what counts, or take it out for all that \
                           the suites declare";
            reader.problems.add(file, node.at, message);
        }
        policy.outcomes = items.iter().filter_map(|item| counted(reader, file, item)).collect();
    }
    if let Some(node) = top.get("waivers") {
        let items = reader.list(file, node, "waivers")?;
        policy.waivers = items.iter().filter_map(|item| waiver(reader, file, item)).collect();
    }
    policy.on_inconclusive = top.get("on_inconclusive").and_then(|node| {
        let word = reader.word(file, node, "`on_inconclusive`", &["fail", "warn"])?;
        Some(if word == "warn" { OnInconclusive::Warn } else { OnInconclusive::Fail })
    });
    policy.family = top.get("family").and_then(|node| {
        let word = reader.word(file, node, "`family`", &["suite", "all"])?;
        Some(if word == "suite" { Family::Suite } else { Family::All })
    });
    Some(policy)
}

fn counted(reader: &mut Reader<'_>, file: &str, node: &Node) -> Option<Counted> {
    let fields = reader.fields(file, node, "an outcome", &COUNTED)?;
    let part = selector(reader, file, fields);
    let margin = fields.get("margin").and_then(|node| {
        let margin = reader.number(file, node, "margin", "a number above 0, in the score's unit", |value| value > 0.0);
        if part.score.is_none() {
            reader.problems.add(file, node.at, "a margin is in a score's unit; name the `score` beside it");
        }
        margin
    });
    Some(Counted { part, margin, place: Place::new(file, node.at) })
}

fn waiver(reader: &mut Reader<'_>, file: &str, node: &Node) -> Option<Waiver> {
    let fields = reader.fields(file, node, "a waiver", &WAIVER)?;
    let part = selector(reader, file, fields);
    if part.is_everything() {
        let message = "this waiver would waive everything; say which `suite`, `axis`, `group` or `score` it is about";
        reader.problems.add(file, node.at, message);
    }
    let mut needed = |name: &str, how: &str| {
        let node = reader.required(file, fields, "this waiver", name, how)?;
        Some((reader.text(file, node, name)?, node.at))
    };
    let owner = needed("owner", "`owner:`, who answers for it");
    let reason = needed("reason", "`reason:`, why it is tolerated");
    let expires = needed("expires", "`expires:`, the last day on which it holds, as 2027-01-31");
    let expires = expires.and_then(|(text, at)| {
        let date = text.parse::<Date>();
        if date.is_err() {
            reader.problems.add(file, at, format!("expires is \"{text}\", but should be a day, as 2027-01-31"));
        }
        date.ok()
    });
    Some(Waiver { part, owner: owner?.0, reason: reason?.0, expires: expires?, place: Place::new(file, node.at) })
}

fn selector(reader: &mut Reader<'_>, file: &str, fields: Fields<'_>) -> Selector {
    let mut name = |key: &str| fields.get(key).and_then(|node| reader.text(file, node, key));
    Selector { suite: name("suite"), axis: name("axis"), group: name("group"), score: name("score") }
}
