//! Scores answers by a small head on sentence vectors, with the group words hidden first.

use std::cell::Cell;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::adapted::AdaptedEncoder;
use super::distinct::Distinct;
use super::encoder::TextEncoder;
use super::head::Head;
use super::{Answer, ScoreInfo, Scored, Scorer, is_empty, web_text};
use crate::model::precision::Precision;

/// A head with the encoder that it was fitted on.
pub struct Classifier {
    info: ScoreInfo,
    head: Head,
    encoder: AdaptedEncoder,
    truncated: Cell<usize>,
}

impl Classifier {
    /// # Errors
    /// If the encoder is not the one that the head was fitted on.
    pub fn new(head: &Head, encoder: Arc<TextEncoder>) -> Result<Self> {
        let papers = &head.papers;
        let precision = if encoder.precision() == Precision::Int8 { " in int8" } else { "" };
        let info = ScoreInfo {
            name: papers.name.clone(),
            unit: "probability".into(),
            range: (0.0, 1.0),
            direction: papers.better,
            revision: format!("head {} on encoder {}{precision}", &head.digest()[..12], &encoder.digest()[..12]),
            meaning: papers.meaning.clone(),
        };
        Ok(Self { info, head: head.clone(), encoder: AdaptedEncoder::new(encoder, head)?, truncated: Cell::new(0) })
    }

    /// The labels' probabilities of each text, as it stands. A text that comes again is encoded once.
    ///
    /// # Errors
    /// A text that the tokenizer refuses.
    pub fn of_texts(&self, texts: &[&str]) -> Result<Vec<Vec<f64>>> {
        let clean: Vec<String> = texts.iter().map(|text| web_text::clean(text)).collect();
        let Distinct { texts, places } = Distinct::of(clean.iter().map(String::as_str));
        let encoded = self.encoder.encode(&texts)?;
        let cut = places.iter().filter(|&&place| encoded.truncated[place]).count();
        self.truncated.set(self.truncated.get() + cut);
        Ok(places.into_iter().map(|place| self.head.probabilities(encoded.row(place))).collect())
    }
}

impl Scorer for Classifier {
    fn info(&self) -> &ScoreInfo {
        &self.info
    }

    fn score(&self, answers: &[Answer<'_>]) -> Result<Vec<Scored>> {
        ensure!(
            self.head.papers.values.is_some(),
            "the head {:?} has the labels {:?} and no value for them, so it gives no single score; name one with --label, \
             or in a suite with label: or labels:, or take them all with --all-labels",
            self.info.name,
            self.labels()
        );
        let score = |outcome: Result<Vec<f64>, String>| {
            Ok(match outcome {
                Ok(p) => Scored::Value(self.head.score(&p).context("a head with values gives a score")?),
                Err(reason) => Scored::Unscored(reason),
            })
        };
        self.probabilities(answers)?.into_iter().map(score).collect()
    }

    fn labels(&self) -> &[String] {
        &self.head.papers.labels
    }

    fn probabilities(&self, answers: &[Answer<'_>]) -> Result<Vec<Result<Vec<f64>, String>>> {
        let masked: Vec<String> = answers.iter().filter(|answer| !is_empty(answer)).map(Answer::masked).collect();
        let mut found = self.of_texts(&masked.iter().map(String::as_str).collect::<Vec<_>>())?.into_iter();
        let outcome = |answer: &Answer<'_>| match is_empty(answer) {
            true => Ok(Err("empty".to_owned())),
            false => Ok(Ok(found.next().context("a text without probabilities")?)),
        };
        answers.iter().map(outcome).collect()
    }

    fn truncated(&self) -> usize {
        self.truncated.get()
    }
}
