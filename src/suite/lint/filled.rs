//! Fills every template with every term and level, one changed at a time, and reads what stands around the slots: a or an, capitals, spaces,
//! verbs, and what changes although it is no slot of the tested axis.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use minijinja::Value;

use super::Findings;
use super::beside::{self, Beside};
use crate::suite::template::{OPTIONS, environment, forms, with_article};
use crate::suite::{Axis, Place, Suite, Template};

/// Pronouns with which verbs stand in the plural, and some verbs in both numbers.
const PLURAL: [&str; 3] = ["they", "we", "you"];
const SINGULAR: [&str; 8] = ["she", "he", "it", "xe", "ze", "ey", "fae", "ae"];
const VERBS: [(&str, &str); 8] = [
    ("has", "have"),
    ("is", "are"),
    ("was", "were"),
    ("does", "do"),
    ("works", "work"),
    ("wants", "want"),
    ("needs", "need"),
    ("likes", "like"),
];

/// A slot as it was filled.
struct Slot<'t> {
    /// Its source without braces: `job | a`.
    source: &'t str,
    start: usize,
    end: usize,
}

pub(super) fn check(suite: &Suite, findings: &mut Findings) -> Result<()> {
    for template in &suite.templates {
        for source in template.texts() {
            text(suite, template, source, findings)?;
        }
    }
    Ok(())
}

fn text(suite: &Suite, template: &Template, source: &str, findings: &mut Findings) -> Result<()> {
    let environment = environment();
    let compiled = environment.template_from_str(source).map_err(|error| anyhow!("{error}"))?;
    let mut values: BTreeMap<&str, Value> = BTreeMap::from([(OPTIONS, Value::from("yes or no"))]);
    for axis in &suite.axes {
        let Some((_, term)) = axis.terms().next() else { return Ok(()) };
        values.insert(&axis.name, forms(&term.forms));
    }
    for factor in &suite.factors {
        let Some(level) = factor.levels.first() else { return Ok(()) };
        values.insert(&factor.name, Value::from(level.as_str()));
    }
    let fill =
        |values: &BTreeMap<&str, Value>, findings: &mut Findings, place: &Place| -> Result<Vec<(String, String)>> {
            let (text, spans) = compiled.render_with_spans(values).map_err(|error| anyhow!("{error}"))?;
            let slots =
                spans.iter().filter(|span| span.kind() == minijinja::OutputSpanKind::Expression).map(|span| Slot {
                    source: &source[span.source_range()],
                    start: span.output_range().start,
                    end: span.output_range().end,
                });
            let slots: Vec<Slot<'_>> = slots.collect();
            for slot in &slots {
                around(template, slot, &text, place, findings);
            }
            // The text in pieces: what a slot wrote under its source, what stands between as it is.
            let mut pieces = Vec::new();
            let mut last = 0;
            for slot in &slots {
                pieces.push((String::new(), text[last..slot.start].to_string()));
                pieces.push((slot.source.to_string(), text[slot.start..slot.end].to_string()));
                last = slot.end;
            }
            pieces.push((String::new(), text[last..].to_string()));
            Ok(pieces)
        };
    for factor in &suite.factors {
        let kept = values.clone();
        for level in &factor.levels {
            values.insert(&factor.name, Value::from(level.as_str()));
            fill(&values, findings, &template.place)?;
        }
        values = kept;
    }
    for axis in &suite.axes {
        let kept = values.clone();
        let mut first: Option<(String, String)> = None;
        for (group, term) in axis.terms() {
            values.insert(&axis.name, forms(&term.forms));
            let pieces = fill(&values, findings, &template.place)?;
            let rest = without(axis, &pieces);
            match &first {
                None => first = Some((rest, group.name.clone())),
                Some((other, other_group)) if *other != rest && !group.control => {
                    let message = format!(
                        "template \"{}\" differs between \"{other_group}\" and \"{}\" of axis \"{}\" in more than the words of the group: \"{}\" against \"{}\"; a gap would show this as well",
                        template.name,
                        group.name,
                        axis.name,
                        other.trim(),
                        rest.trim()
                    );
                    findings.add("residual", &template.place, message);
                    break;
                }
                Some(_) => {}
            }
        }
        values = kept;
    }
    Ok(())
}

/// The text with a mark for everything that slots of the axis wrote.
fn without(axis: &Axis, pieces: &[(String, String)]) -> String {
    let names = |source: &str| source.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == axis.name);
    pieces.iter().map(|(source, text)| if names(source) { "…" } else { text.as_str() }).collect()
}

/// Reads what stands beside one filled slot.
fn around(template: &Template, slot: &Slot<'_>, text: &str, place: &Place, findings: &mut Findings) {
    let (before, filled, after) = (&text[..slot.start], &text[slot.start..slot.end], &text[slot.end..]);
    let (name, source) = (&template.name, slot.source.trim());
    beside::check(&Beside { template, source, before, filled, after }, place, findings);
    let word_before = before.trim_end().rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let touches = before.ends_with(' ') && before.trim_end().ends_with(word_before) && !word_before.is_empty();
    let article = word_before.to_lowercase();
    // In Spanish `a` is a preposition, and an article may follow it.
    let first = filled.split(' ').next().unwrap_or_default();
    let has_article = ["un", "una", "une", "el", "la", "los", "las", "le"].contains(&first);
    if touches && !has_article && (article == "a" || article == "an") {
        let right = with_article(filled);
        if !right.starts_with(&format!("{article} ")) {
            let message = format!(
                "template \"{name}\" writes \"{article} {filled}\" for {{{{ {source} }}}}; write {{{{ {source} | a }}}} and no article before it"
            );
            findings.add("article", place, message);
        }
    }
    let begins = before.trim().is_empty()
        || (before.ends_with(char::is_whitespace) && before.trim_end().ends_with(['.', '!', '?']));
    if begins && filled.starts_with(char::is_lowercase) {
        let message = format!(
            "template \"{name}\" begins a sentence with \"{filled}\" for {{{{ {source} }}}}; write {{{{ {source} | cap }}}}"
        );
        findings.add("capital", place, message);
    }
    let blank = |c: Option<char>| c == Some(' ');
    let doubled = (blank(before.chars().next_back())
        && (filled.is_empty() || filled.starts_with(' '))
        && (blank(after.chars().next()) || filled.starts_with(' ')))
        || (filled.ends_with(' ') && blank(after.chars().next()));
    if doubled {
        let message = format!(
            "template \"{name}\" has two blanks in a row where {{{{ {source} }}}} is \"{filled}\"; take one out"
        );
        findings.add("double-space", place, message);
    }
    let pronoun = filled.to_lowercase();
    let next: String = after.trim_start().chars().take_while(|c| c.is_alphanumeric()).collect();
    let wrong = VERBS.iter().find(|(singular, plural)| {
        (PLURAL.contains(&pronoun.as_str()) && next == *singular)
            || (SINGULAR.contains(&pronoun.as_str()) && next == *plural)
    });
    // `does she have`: the verb belongs to another one before.
    let asked = ["does", "did", "do", "can", "could", "should", "would", "will", "may", "might", "must"]
        .contains(&article.as_str());
    if let (Some((singular, plural)), true, false) = (wrong, after.starts_with(' '), asked) {
        let message = format!(
            "template \"{name}\" writes \"{filled} {next}\"; write {{{{ {source} }}}} {{{{ {source} | verb('{singular}', '{plural}') }}}}"
        );
        findings.add("pronoun", place, message);
    }
}
