//! Turns texts into numbers with a declared range: classifier heads, refusal, length.

pub mod encoder;

use anyhow::Result;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}
