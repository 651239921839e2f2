//! Turns texts into numbers with a declared range: classifiers, heads on a sentence encoder, refusal, length.

pub mod adapted;
pub mod classifier;
pub mod encoder;
pub mod head;
pub mod hurtful;
pub mod length;
pub mod refusal;
pub mod sequence_classifier;
pub mod train;
pub mod web_text;

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::suite::MaskList;

/// What a score means.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreInfo {
    pub name: String,
    /// `probability`, `tokens`, …
    pub unit: String,
    pub range: (f64, f64),
    pub direction: Direction,
    /// Changes whenever the numbers could: head digest and encoder digest, or a rule's version.
    pub revision: String,
    /// One line: what the number is, for page and manifest.
    pub meaning: String,
}

/// Which end of a score is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Higher,
    Lower,
    Neither,
}

/// An answer to score.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    pub text: &'a str,
    /// New tokens of the answer, as generated.
    pub tokens: usize,
    /// Group words to hide before a head sees the text.
    pub mask: &'a MaskList,
}

/// A score, or the reason why there is none.
#[derive(Debug, Clone, PartialEq)]
pub enum Scored {
    Value(f64),
    Unscored(String),
}

pub trait Scorer {
    fn info(&self) -> &ScoreInfo;

    /// One outcome an answer, in order; an answer's outcome does not depend on the others.
    fn score(&self, answers: &[Answer<'_>]) -> Result<Vec<Scored>>;

    /// Texts so far that were longer than what is read, and were scored without an end.
    fn truncated(&self) -> usize {
        0
    }
}

impl Scored {
    /// What an answer without text gets from every scorer.
    fn empty() -> Self {
        Scored::Unscored("empty".into())
    }
}

fn is_empty(answer: &Answer<'_>) -> bool {
    answer.text.trim().is_empty()
}

/// Every scorer by name, in the order in which messages list them.
pub const NAMES: [&str; 6] = ["sentiment", "toxicity", "regard", "refusal", "length", "hurtful"];

/// True when one of the scorers is a head on the sentence encoder, which then has to be there.
pub fn needs_encoder(names: &[String]) -> bool {
    names.iter().any(|name| head::embedded(name).is_some())
}

/// Makes the scorers of a suite, in the order of their names.
///
/// `lexicon` holds the entries that `hurtful` looks for; `max_new_tokens` is the upper end of what `length` can be.
///
/// # Errors
/// A name that is not in [`NAMES`]; `hurtful` without a lexicon; a head without an encoder, or with another than it was fitted on.
pub fn build(
    names: &[String],
    lexicon: &[String],
    encoder: Option<Arc<encoder::TextEncoder>>,
    max_new_tokens: usize,
) -> Result<Vec<Box<dyn Scorer>>> {
    let mut scorers: Vec<Box<dyn Scorer>> = Vec::with_capacity(names.len());
    for name in names {
        scorers.push(match name.as_str() {
            "length" => Box::new(length::Length::new(max_new_tokens)),
            "hurtful" if lexicon.is_empty() => {
                bail!("scorer \"hurtful\" looks for the words of a lexicon; add `lexicon: FILE` to the suite, one word a line")
            }
            "hurtful" => Box::new(hurtful::Hurtful::new(lexicon)),
            "refusal" => Box::new(refusal::Refusal::default()),
            _ => {
                let Some(head) = head::embedded(name) else {
                    bail!("there is no scorer {name:?}; the scorers are {}", NAMES.join(", "));
                };
                let encoder = encoder.clone().with_context(|| {
                    format!("scorer {name:?} needs the sentence encoder {}, and none was given", head.papers.encoder.name)
                })?;
                Box::new(classifier::Classifier::new(head, encoder)?)
            }
        });
    }
    Ok(scorers)
}
