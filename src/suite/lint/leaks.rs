//! Finds words in templates that tell or contradict the group: a term of the tested axis, or a word for one gender beside names or pronouns of
//! several.

use anyhow::Result;

use super::Findings;
use crate::suite::{Axis, Suite, Template};

/// Words that say a person's gender.
const GENDERED: [&str; 30] = [
    "he",
    "she",
    "him",
    "her",
    "his",
    "hers",
    "himself",
    "herself",
    "mr",
    "mrs",
    "ms",
    "miss",
    "sir",
    "madam",
    "man",
    "woman",
    "men",
    "women",
    "boy",
    "girl",
    "husband",
    "wife",
    "father",
    "mother",
    "son",
    "daughter",
    "brother",
    "sister",
    "ladies",
    "gentlemen",
];
/// Words for people: after one of these groups' names, `a black applicant`, the name tells the group.
const PEOPLE: [&str; 26] = [
    "person",
    "people",
    "man",
    "men",
    "woman",
    "women",
    "applicant",
    "applicants",
    "candidate",
    "candidates",
    "customer",
    "customers",
    "patient",
    "patients",
    "user",
    "users",
    "student",
    "students",
    "employee",
    "employees",
    "worker",
    "workers",
    "tenant",
    "tenants",
    "family",
    "community",
];
/// Forms of pronouns; as words they stand in any text.
const PRONOUNS: [&str; 8] = ["they", "them", "their", "theirs", "themself", "themselves", "article", "art"];

pub(super) fn check(suite: &Suite, findings: &mut Findings) -> Result<()> {
    for template in &suite.templates {
        let slots = template.slots()?;
        let uses = |axis: &&Axis| slots.iter().any(|slot| slot.name == axis.name);
        let axes: Vec<&Axis> = suite.axes.iter().filter(uses).collect();
        let literal = literal(template);
        let words: Vec<String> = words(&literal);
        for axis in &axes {
            terms(template, axis, &words, findings);
            groups(template, axis, &words, findings);
        }
        if let Some(axis) = axes.iter().find(|axis| speaks_of_gender(axis)) {
            let found = GENDERED.iter().find(|word| words.iter().any(|other| other == *word));
            if let Some(word) = found {
                let message = format!(
                    "template \"{}\" says \"{word}\" for everybody, while axis \"{}\" varies people of several genders: some prompts contradict themselves; use a form, as {{{{ {}.they }}}}, or a word for all",
                    template.name, axis.name, axis.name
                );
                findings.add("pronoun", &template.place, message);
            }
        }
    }
    Ok(())
}

/// The texts of the template without its slots: what a render with nothing filled in would leave.
pub(super) fn literal(template: &Template) -> String {
    let mut text = String::new();
    for source in template.texts() {
        let mut rest = source;
        while let Some(open) = rest.find("{{").into_iter().chain(rest.find("{%")).chain(rest.find("{#")).min() {
            text.push_str(&rest[..open]);
            text.push_str(" \u{0} ");
            let close = match &rest[open..open + 2] {
                "{{" => "}}",
                "{%" => "%}",
                _ => "#}",
            };
            rest = rest[open..].find(close).map_or("", |at| &rest[open + at + 2..]);
        }
        text.push_str(rest);
        text.push('\n');
    }
    text
}

/// In lower case; apostrophes part words, so that `he's` is he.
fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric() && c != '-')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn terms(template: &Template, axis: &Axis, words_of_template: &[String], findings: &mut Findings) {
    for (group, term) in axis.terms() {
        for (form, text) in term.forms.iter().filter(|(form, _)| !PRONOUNS.contains(&form.as_str())) {
            let term_words = words(text);
            let letters: usize = term_words.iter().map(String::len).sum();
            let stands = !term_words.is_empty()
                && letters > 3
                && words_of_template.windows(term_words.len()).any(|window| window == term_words);
            if stands {
                let message = format!(
                    "template \"{}\" itself says \"{text}\", which as `{form}` stands for group \"{}\" of axis \"{}\": every prompt names that group; word it without",
                    template.name, group.name, axis.name
                );
                findings.add("leak", &template.place, message);
                return;
            }
        }
    }
}

/// A group's own name before a word for people.
fn groups(template: &Template, axis: &Axis, words_of_template: &[String], findings: &mut Findings) {
    for group in &axis.groups {
        let name = words(&group.name);
        let length = name.len();
        let is_named = |window: &[String]| window[..length] == name && PEOPLE.contains(&window[length].as_str());
        if length > 0
            && let Some(window) = words_of_template.windows(length + 1).find(|window| is_named(window))
        {
            let message = format!(
                "template \"{}\" itself says \"{}\", while axis \"{}\" has the group \"{}\": every prompt names that group; word it without",
                template.name,
                window.join(" "),
                axis.name,
                group.name
            );
            findings.add("leak", &template.place, message);
            return;
        }
    }
}

/// The axis is about gender, has pronouns as forms, or its terms carry a gender.
fn speaks_of_gender(axis: &Axis) -> bool {
    let is_gender = |name: &str| ["gender", "sex", "pronoun", "pronouns"].contains(&name);
    is_gender(&axis.name)
        || axis
            .terms()
            .any(|(_, term)| term.forms.iter().any(|(form, _)| is_gender(form) || form == "they" || form == "their"))
}
