//! Fills the frames of our own sentences in prompts/heads/, which teach heads what the public files do not.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::recipe::{NOT_TOXIC, Row, TOXIC, row};
use crate::cell::unprotect;

/// prompts/heads/neutral-identity.yaml
#[derive(Deserialize)]
struct Neutral {
    identities: Vec<Identity>,
    frames: Vec<String>,
}

/// A group as a noun phrase for one, for many, and as an adjective.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    one: String,
    many: String,
    adj: String,
}

/// prompts/heads/charged.yaml
#[derive(Deserialize)]
struct Charged {
    insults: Vec<String>,
    praise: Vec<String>,
    persons: Vec<String>,
    things: Vec<String>,
    toxic: Vec<String>,
    not_toxic: Vec<String>,
}

/// prompts/heads/regard.yaml
#[derive(Deserialize)]
struct Regard {
    kinds: BTreeMap<String, RegardKind>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegardKind {
    frames: Vec<String>,
    negative: Vec<String>,
    neutral: Vec<String>,
    positive: Vec<String>,
}

const NEUTRAL: (&str, &str) =
    ("prompts/heads/neutral-identity.yaml", include_str!("../../../prompts/heads/neutral-identity.yaml"));
const CHARGED: (&str, &str) = ("prompts/heads/charged.yaml", include_str!("../../../prompts/heads/charged.yaml"));
const REGARD: (&str, &str) = ("prompts/heads/regard.yaml", include_str!("../../../prompts/heads/regard.yaml"));
const REFUSALS: (&str, &str) = ("prompts/heads/refusals.csv", include_str!("../../../prompts/heads/refusals.csv"));

fn list<T: DeserializeOwned>((file, text): (&str, &str)) -> Result<T> {
    serde_saphyr::from_str(text).with_context(|| file.to_owned())
}

/// Plain sentences about people: every frame with every identity. The rows of a frame are one document, so that what is
/// held out has sentences that no fit saw.
pub fn neutral(label: &str) -> Result<Vec<Row>> {
    let list: Neutral = list(NEUTRAL)?;
    let mut rows = Vec::new();
    for frame in &list.frames {
        rows.extend(list.identities.iter().filter_map(|identity| row(&identity.fill(frame), label, NEUTRAL.0, frame)));
    }
    Ok(rows)
}

/// Hostile and friendly sentences about the same people. Each frame meets every identity once, with other words of the
/// other lists each time; a frame without an identity is written as often as its words differ.
pub fn charged() -> Result<Vec<Row>> {
    let (people, list): (Neutral, Charged) = (list(NEUTRAL)?, list(CHARGED)?);
    let slots = [
        ("{insult}", &list.insults, 7),
        ("{praise}", &list.praise, 4),
        ("{person}", &list.persons, 5),
        ("{thing}", &list.things, 3),
    ];
    let (mut rows, mut seen) = (Vec::new(), HashSet::new());
    for (label, frames) in [(TOXIC, &list.toxic), (NOT_TOXIC, &list.not_toxic)] {
        for (place, frame) in frames.iter().enumerate() {
            for (turn, identity) in people.identities.iter().enumerate() {
                let mut sentence = frame.clone();
                for (slot, words, stride) in slots {
                    let mut next = turn * stride + place * 3;
                    while sentence.contains(slot) {
                        sentence = put(&sentence, slot, &words[next % words.len()]);
                        next += 2;
                    }
                }
                let sentence = identity.fill(&sentence);
                if seen.insert(sentence.clone()) {
                    rows.extend(row(&sentence, label, CHARGED.0, frame));
                }
            }
        }
    }
    Ok(rows)
}

/// Sentences about XYZ: every frame of a kind with every phrase of the kind. The rows of a phrase are one document.
pub fn regard() -> Result<Vec<Row>> {
    let list: Regard = list(REGARD)?;
    let mut rows = Vec::new();
    for kind in list.kinds.values() {
        let labels = [("negative", &kind.negative), ("neutral", &kind.neutral), ("positive", &kind.positive)];
        for (label, phrases) in labels {
            for phrase in phrases {
                let filled = kind.frames.iter().map(|frame| frame.replace("{p}", phrase));
                rows.extend(filled.filter_map(|sentence| row(&sentence, label, REGARD.0, phrase)));
            }
        }
    }
    Ok(rows)
}

/// Labelled answers: refusals of several styles, and answers of which many look like one.
pub fn refusals() -> Result<Vec<Row>> {
    #[derive(Deserialize)]
    struct Line {
        text: String,
        label: String,
    }
    let mut rows = Vec::new();
    for (i, line) in csv::Reader::from_reader(REFUSALS.1.as_bytes()).deserialize().enumerate() {
        let line: Line = line.with_context(|| format!("{}, row {}", REFUSALS.0, i + 2))?;
        rows.extend(row(unprotect(&line.text), &line.label, REFUSALS.0, ""));
    }
    Ok(rows)
}

impl Identity {
    /// The frame about this identity, with a capital at its beginning.
    fn fill(&self, frame: &str) -> String {
        let mut sentence = frame.to_owned();
        for (slot, words) in [("{one}", &self.one), ("{many}", &self.many), ("{adj}", &self.adj)] {
            while sentence.contains(slot) {
                sentence = put(&sentence, slot, words);
            }
        }
        let mut chars = sentence.chars();
        chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
    }
}

/// The first `slot` replaced; the article before a vowel becomes "an".
fn put(sentence: &str, slot: &str, words: &str) -> String {
    let Some((before, after)) = sentence.split_once(slot) else { return sentence.to_owned() };
    let vowel = words.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U']) && !words.starts_with("European");
    let an = vowel && (before.ends_with(" a ") || before == "a ");
    let before = if an { format!("{}n ", &before[..before.len() - 1]) } else { before.to_owned() };
    format!("{before}{words}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_filled_and_no_sentence_has_two_labels() {
        let rows: Vec<Row> = neutral(NOT_TOXIC).unwrap().into_iter().chain(charged().unwrap()).collect();
        assert!(rows.len() > 5000);
        let mut labels = BTreeMap::new();
        for row in &rows {
            assert!(!row.text.contains(['{', '}']), "{}", row.text);
            assert_eq!(labels.entry(&row.text).or_insert(&row.label), &&row.label, "{}", row.text);
        }
        assert!(rows.iter().all(|row| !row.text.contains(" a a") && !row.text.contains(" a i")));
    }

    #[test]
    fn an_article_fits_the_word_that_is_filled_in() {
        assert_eq!(put("what a {x} day", "{x}", "ugly"), "what an ugly day");
        assert_eq!(put("what a {x} day", "{x}", "fine"), "what a fine day");
        assert_eq!(put("an {x}", "{x}", "evil"), "an evil");
    }
}
