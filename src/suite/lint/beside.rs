//! Reads the words beside a filled slot for swaps that other tools get wrong: `hers book`, `him husband`, `caucT man`, a blank before a comma.

use super::Findings;
use crate::suite::{Place, Template};

/// A filled slot and what stands around it.
pub(super) struct Beside<'t> {
    pub template: &'t Template,
    /// The slot without braces: `gender.theirs`.
    pub source: &'t str,
    pub before: &'t str,
    pub filled: &'t str,
    pub after: &'t str,
}

/// Pronouns that stand alone, where a word that is owned needs `their`.
const ALONE: [&str; 8] = ["hers", "theirs", "xirs", "zirs", "hirs", "eirs", "faers", "aers"];
/// Pronouns that are objects and never own; `her` is left out, which does both.
const OBJECTS: [&str; 6] = ["him", "them", "xem", "zem", "em", "faer"];
/// What people own; one of these after [`ALONE`] is its noun.
const OWNED: [&str; 40] = [
    "account",
    "age",
    "application",
    "bag",
    "bike",
    "body",
    "book",
    "books",
    "business",
    "car",
    "career",
    "child",
    "children",
    "class",
    "colleague",
    "colleagues",
    "cv",
    "doctor",
    "dog",
    "face",
    "family",
    "friend",
    "friends",
    "hair",
    "house",
    "job",
    "keys",
    "letter",
    "manager",
    "name",
    "office",
    "parents",
    "phone",
    "profile",
    "project",
    "résumé",
    "school",
    "skin",
    "story",
    "team",
];
/// Relatives: in the singular none of them stands without an owner or an article, so that one after [`OBJECTS`] lacks it.
const RELATIVES: [&str; 12] = [
    "husband",
    "wife",
    "mother",
    "father",
    "mum",
    "dad",
    "sister",
    "brother",
    "daughter",
    "son",
    "boyfriend",
    "girlfriend",
];
/// Beginnings that words are built with.
const PREFIXES: [&str; 14] =
    ["grand", "step", "god", "half", "non", "un", "ex", "co", "pre", "post", "anti", "mid", "mc", "mac"];

pub(super) fn check(beside: &Beside<'_>, place: &Place, findings: &mut Findings) {
    wrong_form(beside, place, findings);
    inside_word(beside, place, findings);
    stray_blank(beside, place, findings);
}

fn wrong_form(beside: &Beside<'_>, place: &Place, findings: &mut Findings) {
    let pronoun = beside.filled.to_lowercase();
    let Some(rest) = beside.after.strip_prefix(' ') else { return };
    let next: String = rest.chars().take_while(|c| c.is_alphabetic()).collect::<String>().to_lowercase();
    let is_relative = RELATIVES.contains(&next.as_str());
    let is_wrong = (ALONE.contains(&pronoun.as_str()) && (is_relative || OWNED.contains(&next.as_str())))
        || (OBJECTS.contains(&pronoun.as_str()) && is_relative);
    if is_wrong {
        let axis = beside.source.split('.').next().unwrap_or_default().trim();
        let message = format!(
            "template \"{}\" writes \"{} {next}\" for {{{{ {} }}}}; write {{{{ {axis}.their }}}} {next}, the form that owns",
            beside.template.name, beside.filled, beside.source
        );
        findings.add("wrong-form", place, message);
    }
}

/// Endings such as `cansad{{ g.o }}` are grammar; a name, a noun or a capital inside a word is a slip.
fn inside_word(beside: &Beside<'_>, place: &Place, findings: &mut Findings) {
    let stem: Vec<char> = beside.before.chars().rev().take_while(|c| c.is_alphabetic()).collect();
    let stem: String = stem.into_iter().rev().collect();
    let is_whole =
        beside.source.split([' ', '|']).next().is_some_and(|slot| slot.ends_with(".name") || slot.ends_with(".noun"));
    let begins = beside.filled.chars().next();
    let is_slip = begins.is_some_and(char::is_uppercase) || (is_whole && begins.is_some_and(char::is_alphabetic));
    if !stem.is_empty() && is_slip && !PREFIXES.contains(&stem.to_lowercase().as_str()) {
        let message = format!(
            "template \"{}\" writes \"{stem}{}\": {{{{ {} }}}} stands inside a word; put a blank before it, or the whole word into the slot",
            beside.template.name, beside.filled, beside.source
        );
        findings.add("inside-word", place, message);
    }
}

fn stray_blank(beside: &Beside<'_>, place: &Place, findings: &mut Findings) {
    if beside.filled.ends_with(' ') && beside.after.starts_with([',', '.', ';', ':', '!', '?', ')']) {
        let message = format!(
            "template \"{}\" has a blank before \"{}\" where {{{{ {} }}}} is \"{}\": such prompts differ in more than the group; take the blank out of the slot's text",
            beside.template.name,
            beside.after.chars().next().unwrap_or_default(),
            beside.source,
            beside.filled
        );
        findings.add("stray-blank", place, message);
    }
}
