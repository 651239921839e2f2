//! Scores answers with a Hugging Face sequence classifier, with the group words hidden first.
//!
//! A classifier is named by a catalog name, a folder or a hub id; the catalog's own bring the map from their labels to one
//! score. Tokens, encoder and head are left to [`super::encoder::sequence`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail, ensure};

use super::distinct::Distinct;
use super::encoder::sequence::{Output, SequenceClassifier};
use super::{Answer, Direction, ScoreInfo, Scored, Scorer, is_empty};
use crate::model::catalog::{self, Better, Preset};
use crate::model::files::{Access, resolve_classifier};
use crate::model::precision::Precision;
use crate::suite::scorer::{Activation, ClassifierSpec, Labels};

/// A classifier that is loaded, and the catalog's map of its labels where there is one.
pub struct Classifier {
    model: SequenceClassifier,
    preset: Option<&'static Preset>,
    precision: Precision,
    truncated: AtomicUsize,
}

/// One text's number for each label, in the order of [`Classifier::labels`].
pub type LabelScores = Vec<f64>;

impl Classifier {
    /// Finds the classifier, fetching it if need be, and loads it. `precision` is f32 but for [`Precision::Int8`].
    ///
    /// # Errors
    /// As [`resolve_classifier`] and [`SequenceClassifier::load`].
    pub fn open(spec: &str, precision: Precision, access: &Access) -> Result<Self> {
        let model = SequenceClassifier::load(&resolve_classifier(spec, access)?, precision)?;
        let preset = catalog::find(spec).and_then(|entry| entry.preset.as_ref());
        Ok(Self { model, preset, precision, truncated: AtomicUsize::new(0) })
    }

    /// Catalog name, `org--name` or folder name.
    pub fn name(&self) -> &str {
        self.model.name()
    }

    /// As `id2label` names them.
    pub fn labels(&self) -> &[String] {
        self.model.labels()
    }

    /// Texts so far that were longer than what is read.
    pub fn truncated(&self) -> usize {
        self.truncated.load(Ordering::Relaxed)
    }

    /// Every label's number for each text: a probability, or a logit where the output is [`Output::None`]. `None` for a text
    /// without anything but white space. `output` stands in for what `problem_type` asks for.
    ///
    /// # Errors
    /// As [`SequenceClassifier::logits`].
    pub fn label_scores(&self, texts: &[&str], output: Option<Output>) -> Result<Vec<Option<LabelScores>>> {
        let is_blank = |text: &&str| text.trim().is_empty();
        let distinct = Distinct::of(texts.iter().copied().filter(|text| !is_blank(text)));
        let logits = self.model.logits(&distinct.texts)?;
        let cut = distinct.places.iter().filter(|&&place| logits.truncated[place]).count();
        self.truncated.fetch_add(cut, Ordering::Relaxed);
        let output = output.unwrap_or(self.model.output());
        let mut places = distinct.places.into_iter();
        let mut next = || places.next().map(|place| output.apply(logits.row(place)));
        Ok(texts.iter().map(|text| if is_blank(text) { None } else { next() }).collect())
    }
}

/// How labels become one score.
#[derive(Debug, Clone, PartialEq)]
pub enum LabelMap {
    /// The sum of these labels' probabilities.
    Sum(Vec<String>),
    /// A value in [0, 1] for every label: their mean, weighted by the probabilities.
    Values(Vec<(String, f64)>),
    /// No score: the labels' own probabilities are all that is asked for.
    None,
}

/// What a user says of a score; what is left out comes from the catalog, then from the classifier.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScoreOptions {
    /// Of the score; the classifier's own if none.
    pub name: Option<String>,
    pub labels: Option<LabelMap>,
    pub output: Option<Output>,
    pub direction: Option<Direction>,
    /// Of a regression's value, which has no range of its own.
    pub range: Option<(f64, f64)>,
}

/// A classifier with the map from its labels to one score.
pub struct ClassifierScorer {
    classifier: Arc<Classifier>,
    info: ScoreInfo,
    output: Output,
    /// One for each label; a label without weight counts 0.
    weights: Vec<f64>,
}

impl ClassifierScorer {
    /// # Errors
    /// A label that the classifier does not have, a map that gives no number in [0, 1], or several labels without a map.
    pub fn new(classifier: Arc<Classifier>, options: &ScoreOptions) -> Result<Self> {
        let (name, labels) = (classifier.name(), classifier.labels());
        let preset = classifier.preset;
        let output = match (options.output, preset) {
            (Some(output), _) => output,
            (None, Some(preset)) => preset.activation.parse()?,
            (None, None) => classifier.model.output(),
        };
        let map = options.labels.clone().or_else(|| preset.map(|preset| preset_map(&preset.labels)));
        let weights = match &map {
            Some(LabelMap::None) => Vec::new(),
            _ if output == Output::None => {
                ensure!(
                    map.is_none() && labels.len() == 1,
                    "{name} gives values, not probabilities (activation none): it needs a single label and no map, but \
                     the labels are {}",
                    list(labels)
                );
                vec![1.0]
            }
            Some(map) => weights(map, output, labels).with_context(|| format!("the labels of {name}"))?,
            None if labels.len() == 1 => vec![1.0],
            None => bail!(
                "{name} has the labels {} and no map to one score; name one with --label, or in a suite with label: or \
                 labels:, or take them all with --all-labels",
                list(labels)
            ),
        };
        let range = match (output, options.range) {
            (Output::None, range) => range.unwrap_or((f64::NEG_INFINITY, f64::INFINITY)),
            (_, None) => (0.0, 1.0),
            (_, Some(_)) => bail!("{name} gives probabilities, whose range is 0 to 1; leave range: out"),
        };
        let direction = options.direction.unwrap_or(match preset.map(|preset| preset.better) {
            Some(Better::Higher) => Direction::Higher,
            Some(Better::Lower) => Direction::Lower,
            Some(Better::Neither) | None => Direction::Neither,
        });
        let meaning = match (&options.labels, preset) {
            (Some(LabelMap::None), _) => format!("probabilities of {}", list(labels)),
            (None, Some(preset)) => preset.meaning.clone(),
            _ => meaning(&weights, output, labels),
        };
        let precision = if classifier.precision == Precision::Int8 { " in int8" } else { "" };
        let info = ScoreInfo {
            name: options.name.clone().unwrap_or_else(|| name.to_owned()),
            unit: if output == Output::None { "value".into() } else { "probability".into() },
            range,
            direction,
            revision: format!("classifier {}{precision}, {}", &classifier.model.digest()[..12], output.as_str()),
            meaning,
        };
        Ok(Self { classifier, info, output, weights })
    }
}

impl ScoreOptions {
    /// What a suite says.
    pub fn of(name: &str, spec: &ClassifierSpec) -> Self {
        let labels = match &spec.labels {
            Labels::Declared => None,
            Labels::All => Some(LabelMap::None),
            Labels::Sum(names) => Some(LabelMap::Sum(names.clone())),
            Labels::Values(values) => Some(LabelMap::Values(values.clone())),
        };
        let output = spec.activation.map(|activation| match activation {
            Activation::Softmax => Output::Softmax,
            Activation::Sigmoid => Output::Sigmoid,
            Activation::None => Output::None,
        });
        Self { name: Some(name.to_owned()), labels, output, direction: spec.better.map(Direction::from), range: None }
    }
}

impl Scorer for ClassifierScorer {
    fn info(&self) -> &ScoreInfo {
        &self.info
    }

    fn labels(&self) -> &[String] {
        self.classifier.labels()
    }

    fn probabilities(&self, answers: &[Answer<'_>]) -> Result<Vec<Result<Vec<f64>, String>>> {
        let masked: Vec<String> = answers.iter().map(Answer::masked).collect();
        let texts: Vec<&str> = masked.iter().map(String::as_str).collect();
        let scores = self.classifier.label_scores(&texts, Some(self.output))?;
        Ok(scores.into_iter().map(|labels| labels.ok_or_else(|| "empty".to_owned())).collect())
    }

    /// Texts that are equal once group words are hidden are computed once: they have one score by construction.
    fn score(&self, answers: &[Answer<'_>]) -> Result<Vec<Scored>> {
        ensure!(!self.weights.is_empty(), "{} was opened for its labels, and has no score", self.info.name);
        let masked: Vec<String> = answers
            .iter()
            .map(|answer| if is_empty(answer) { String::new() } else { answer.mask.apply(answer.text) })
            .collect();
        let texts: Vec<&str> = masked.iter().map(String::as_str).collect();
        let scores = self.classifier.label_scores(&texts, Some(self.output))?;
        let score = |labels: &LabelScores| labels.iter().zip(&self.weights).map(|(p, weight)| p * weight).sum::<f64>();
        Ok(scores.iter().map(|labels| labels.as_ref().map_or_else(Scored::empty, |l| self.bounded(score(l)))).collect())
    }

    fn truncated(&self) -> usize {
        self.classifier.truncated()
    }
}

impl ClassifierScorer {
    /// Probabilities that sum to 1 + 1e-16 are 1; a value outside a declared range is no score.
    fn bounded(&self, score: f64) -> Scored {
        let (low, high) = self.info.range;
        match self.output {
            Output::None if !(low..=high).contains(&score) => {
                Scored::Unscored(format!("the value {score} is outside the range {low} to {high}"))
            }
            Output::None => Scored::Value(score),
            _ => Scored::Value(score.clamp(low, high)),
        }
    }
}

/// One label that counts 1 stands for its probability; the others need not be named.
fn preset_map(labels: &[(String, f64)]) -> LabelMap {
    match labels {
        [(label, 1.0)] => LabelMap::Sum(vec![label.clone()]),
        labels => LabelMap::Values(labels.to_vec()),
    }
}

/// The weight of each label in the score.
fn weights(map: &LabelMap, output: Output, labels: &[String]) -> Result<Vec<f64>> {
    let place = |name: &String| match labels.iter().position(|label| label == name) {
        Some(place) => Ok(place),
        None => bail!("there is no label {name:?}; the labels are {}", list(labels)),
    };
    let mut weights = vec![0.0; labels.len()];
    match map {
        LabelMap::None => weights.clear(),
        LabelMap::Sum(names) => {
            ensure!(!names.is_empty(), "no label is named; the labels are {}", list(labels));
            ensure!(
                names.len() == 1 || output == Output::Softmax,
                "labels with a sigmoid are no shares of 1, so that their sum is no probability; name one of {}",
                list(labels)
            );
            for name in names {
                weights[place(name)?] = 1.0;
            }
        }
        LabelMap::Values(values) => {
            ensure!(
                output == Output::Softmax,
                "labels with a sigmoid are no shares of 1, so that they have no mean value; name one of {}",
                list(labels)
            );
            let mut named = vec![false; labels.len()];
            for (name, value) in values {
                ensure!((0.0..=1.0).contains(value), "label {name:?} has the value {value}; values go from 0 to 1");
                let place = place(name)?;
                (weights[place], named[place]) = (*value, true);
            }
            if let Some(missing) = named.iter().position(|named| !named) {
                bail!("label {:?} has no value; give one from 0 to 1 to each of {}", labels[missing], list(labels));
            }
        }
    }
    Ok(weights)
}

fn meaning(weights: &[f64], output: Output, labels: &[String]) -> String {
    let counted: Vec<&str> =
        labels.iter().zip(weights).filter(|(_, weight)| **weight == 1.0).map(|(label, _)| label.as_str()).collect();
    match output {
        Output::None => format!("value of {}", labels[0]),
        _ if weights.iter().all(|weight| *weight == 0.0 || *weight == 1.0) => {
            format!("probability of {}", counted.join(" or "))
        }
        _ => {
            let values: Vec<String> =
                labels.iter().zip(weights).map(|(label, weight)| format!("{label} {weight}")).collect();
            format!("expected value of {}", values.join(", "))
        }
    }
}

fn list(labels: &[String]) -> String {
    labels.iter().map(|label| format!("{label:?}")).collect::<Vec<_>>().join(", ")
}
