//! Scores answers by a linear head on sentence vectors, with the group words hidden first.

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
        Ok(Self { info, head: head.clone(), encoder })
    }
}

impl Scorer for Classifier {
    fn info(&self) -> &ScoreInfo {
        &self.info
    }

    /// Texts that are equal once group words are hidden are encoded once: they have one score by construction.
    fn score(&self, answers: &[Answer<'_>]) -> Result<Vec<Scored>> {
        let texts: Vec<Option<String>> = answers
            .iter()
            .map(|answer| (!is_empty(answer)).then(|| web_text::clean(&hide(answer.mask, answer.text))))
            .collect();
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
        Ok(texts
            .iter()
            .map(|text| text.as_deref().map_or_else(Scored::empty, |text| Scored::Value(scores[places[text]])))
            .collect())
    }
}

/// Hides the words that name groups.
fn hide(mask: &crate::suite::MaskList, text: &str) -> String {
    // Stands in for `MaskList::apply` until that is merged: whole words, any case.
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let is_word = |c: char| c.is_alphanumeric();
    'text: while let Some(c) = rest.chars().next() {
        if !out.ends_with(is_word) {
            for (word, neutral) in &mask.words {
                let Some(found) = rest.get(..word.len()) else { continue };
                if !word.is_empty()
                    && found.to_lowercase() == word.to_lowercase()
                    && !rest[word.len()..].starts_with(is_word)
                {
                    out.push_str(neutral);
                    rest = &rest[word.len()..];
                    continue 'text;
                }
            }
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}
