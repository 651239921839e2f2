//! Scores answers by a small head on sentence vectors, with the group words hidden first.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Result, ensure};

use super::adapted::AdaptedEncoder;
use super::encoder::TextEncoder;
use super::head::Head;
use super::{Answer, ScoreInfo, Scored, Scorer, is_empty, web_text};

/// A head with the encoder that it was fitted on.
pub struct Classifier {
    info: ScoreInfo,
    head: Head,
    encoder: AdaptedEncoder,
}

/// The labels' probabilities for some texts.
pub struct Probabilities {
    /// One row a text.
    pub rows: Vec<Vec<f64>>,
    /// Texts of which the encoder read only the beginning.
    pub truncated: Vec<bool>,
}

impl Classifier {
    /// # Errors
    /// If the encoder is not the one that the head was fitted on.
    pub fn new(head: &Head, encoder: Arc<TextEncoder>) -> Result<Self> {
        let papers = &head.papers;
        let info = ScoreInfo {
            name: papers.name.clone(),
            unit: "probability".into(),
            range: (0.0, 1.0),
            direction: papers.better,
            revision: format!("head {} on encoder {}", &head.digest()[..12], &encoder.digest()[..12]),
            meaning: papers.meaning.clone(),
        };
        Ok(Self { info, head: head.clone(), encoder: AdaptedEncoder::new(encoder, head)? })
    }

    /// The head's labels, in the order of the probabilities.
    pub fn labels(&self) -> &[String] {
        &self.head.papers.labels
    }

    /// False for a head that has labels and no single score.
    pub fn has_score(&self) -> bool {
        self.head.papers.values.is_some()
    }

    /// The labels' probabilities; texts are cleaned here, and nothing is hidden in them.
    pub fn probabilities(&self, texts: &[&str]) -> Result<Probabilities> {
        let clean: Vec<String> = texts.iter().map(|text| web_text::clean(text)).collect();
        let encoded = self.encoder.encode(&clean.iter().map(String::as_str).collect::<Vec<_>>())?;
        let rows = (0..texts.len()).map(|i| self.head.probabilities(encoded.row(i))).collect();
        Ok(Probabilities { rows, truncated: encoded.truncated })
    }
}

impl Scorer for Classifier {
    fn info(&self) -> &ScoreInfo {
        &self.info
    }

    /// Texts that are equal once group words are hidden are encoded once: they have one score by construction.
    fn score(&self, answers: &[Answer<'_>]) -> Result<Vec<Scored>> {
        ensure!(
            self.has_score(),
            "head {:?} has the labels {:?} and no value for them, so it gives no single score; add `values` to its card \
             and train it again",
            self.info.name,
            self.labels()
        );
        let texts: Vec<Option<String>> =
            answers.iter().map(|answer| (!is_empty(answer)).then(|| answer.mask.apply(answer.text))).collect();
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut distinct: Vec<&str> = Vec::new();
        for text in texts.iter().flatten() {
            places.entry(text).or_insert_with(|| {
                distinct.push(text);
                distinct.len() - 1
            });
        }
        let scores: Vec<Option<f64>> =
            self.probabilities(&distinct)?.rows.iter().map(|p| self.head.score(p)).collect();
        let outcome = |text: &Option<String>| match text {
            None => Scored::empty(),
            Some(text) => scores[places[text.as_str()]].map_or_else(Scored::empty, Scored::Value),
        };
        Ok(texts.iter().map(outcome).collect())
    }
}
