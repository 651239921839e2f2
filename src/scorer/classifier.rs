//! Scores answers by a linear head on sentence vectors, with the group words hidden first.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Result, ensure};

use super::encoder::TextEncoder;
use super::linear_head::LinearHead;
use super::{Answer, Direction, ScoreInfo, Scored, Scorer, is_empty, web_text};

/// A head with the encoder that it was fitted on.
pub struct Classifier {
    info: ScoreInfo,
    head: LinearHead,
    encoder: Arc<TextEncoder>,
    truncated: Cell<usize>,
}

impl Classifier {
    /// # Errors
    /// If the encoder is not the one that the head was fitted on.
    pub fn new(head: &LinearHead, encoder: Arc<TextEncoder>) -> Result<Self> {
        ensure!(
            head.encoder.digest == encoder.digest() && head.weight.len() == encoder.dim(),
            "head {:?} was fitted on {} with digest {}, but the encoder has digest {}; use that encoder, or fit the head \
             again with `tiltmeter head train`",
            head.name,
            head.encoder.name,
            head.encoder.digest,
            encoder.digest()
        );
        let info = ScoreInfo {
            name: head.name.clone(),
            unit: "probability".into(),
            range: (0.0, 1.0),
            direction: if head.higher_is_better { Direction::Higher } else { Direction::Lower },
            revision: format!("head {} on encoder {}", &head.digest()[..12], &encoder.digest()[..12]),
            meaning: head.meaning.clone(),
        };
        Ok(Self { info, head: head.clone(), encoder, truncated: Cell::new(0) })
    }
}

impl Scorer for Classifier {
    fn info(&self) -> &ScoreInfo {
        &self.info
    }

    /// Texts that are equal once group words are hidden are encoded once: they have one score by construction.
    fn score(&self, answers: &[Answer<'_>]) -> Result<Vec<Scored>> {
        let texts: Vec<Option<String>> =
            answers.iter().map(|answer| (!is_empty(answer)).then(|| web_text::clean(&answer.masked()))).collect();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut distinct: Vec<&str> = Vec::new();
        for text in texts.iter().flatten() {
            places.entry(text).or_insert_with(|| {
                distinct.push(text);
                distinct.len() - 1
            });
        }
        let encoded = self.encoder.encode(&distinct)?;
        let scores: Vec<f64> = (0..distinct.len()).map(|i| self.head.score(encoded.row(i))).collect();
        let cut = texts.iter().flatten().filter(|text| encoded.truncated[places[text.as_str()]]).count();
        self.truncated.set(self.truncated.get() + cut);
        Ok(texts
            .iter()
            .map(|text| text.as_deref().map_or_else(Scored::empty, |text| Scored::Value(scores[places[text]])))
            .collect())
    }

    fn truncated(&self) -> usize {
        self.truncated.get()
    }
}
