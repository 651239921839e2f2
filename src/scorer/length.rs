//! Scores an answer by its number of tokens.

use anyhow::Result;

use super::{Answer, Direction, ScoreInfo, Scored, Scorer, is_empty};

/// New tokens of an answer, 0 to the limit of its request. An empty answer is unscored.
pub struct Length {
    info: ScoreInfo,
}

impl Length {
    /// `max_new_tokens` is the upper end of the range.
    pub fn new(max_new_tokens: usize) -> Self {
        Self {
            info: ScoreInfo {
                name: "length".into(),
                unit: "tokens".into(),
                range: (0.0, max_new_tokens as f64),
                direction: Direction::Neither,
                revision: "length 1".into(),
                meaning: "new tokens of the answer, the ending token included".into(),
            },
        }
    }
}

impl Scorer for Length {
    fn info(&self) -> &ScoreInfo {
        &self.info
    }

    fn score(&self, answers: &[Answer<'_>]) -> Result<Vec<Scored>> {
        let score = |answer: &Answer<'_>| match answer.tokens {
            _ if is_empty(answer) => Scored::empty(),
            Some(tokens) => Scored::Value(tokens as f64),
            None => Scored::Unscored("no token count".into()),
        };
        Ok(answers.iter().map(score).collect())
    }

    /// The number of tokens is the model's own count; no fixed text has one.
    fn has_offset(&self) -> bool {
        false
    }
}
