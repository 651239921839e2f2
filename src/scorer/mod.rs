//! Turns texts into numbers with a declared range: classifiers, heads on a sentence encoder, lexicons, rules, counts of words.

pub mod adapted;
pub mod association;
pub mod audit;
pub mod classifier;
mod distinct;
pub mod encoder;
pub mod head;
pub mod hurtful;
pub mod judge;
pub mod length;
mod raw;
pub mod readability;
pub mod refusal;
pub mod sequence_classifier;
pub mod similarity;
pub mod train;
pub mod vader;
pub mod weat;
pub mod web_text;
mod word_list;
pub mod words;

use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use self::judge::pairs::PairJudge;
use self::raw::Raw;
use self::sequence_classifier::{ClassifierScorer, ScoreOptions};
use crate::model::files::{Access, resolve_encoder};
use crate::model::precision::Precision;
use crate::model::{self, LanguageModel, OpenOptions};
use crate::suite::scorer::{Better, HeadSpec, JudgeSpec, Mask};
use crate::suite::{MaskList, ScorerKind, ScorerSpec};

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

impl From<Better> for Direction {
    fn from(better: Better) -> Self {
        match better {
            Better::Higher => Direction::Higher,
            Better::Lower => Direction::Lower,
            Better::Neither => Direction::Neither,
        }
    }
}

/// An answer to score.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    pub text: &'a str,
    /// What was asked; empty where nobody knows.
    pub prompt: &'a str,
    /// New tokens of the answer, as generated; none where nobody counted.
    pub tokens: Option<usize>,
    /// Group words to hide before a scorer reads words.
    pub mask: &'a MaskList,
}

impl<'a> Answer<'a> {
    /// An answer of which the text alone is known.
    pub fn of(text: &'a str, mask: &'a MaskList) -> Self {
        Answer { text, prompt: "", tokens: None, mask }
    }

    /// The text with its group words hidden.
    pub fn masked(&self) -> String {
        self.mask.apply(self.text)
    }
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

    /// Whether a run measures what the scorer itself adds between groups, on fixed texts. False where the score does not come from the
    /// text, and where a text costs too much.
    fn has_offset(&self) -> bool {
        true
    }

    /// Labels that a classifier tells apart, as its configuration names them; empty for any other scorer.
    fn labels(&self) -> &[String] {
        &[]
    }

    /// For each answer the probability of every label, in the order of [`Scorer::labels`]; or why there is none.
    ///
    /// # Errors
    /// Where the scorer has no labels.
    fn probabilities(&self, _answers: &[Answer<'_>]) -> Result<Vec<Result<Vec<f64>, String>>> {
        bail!("the scorer {:?} has no labels", self.info().name)
    }

    /// Texts so far that were longer than the scorer reads, and were scored by their beginning.
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
pub const NAMES: [&str; 12] = [
    "sentiment",
    "toxicity",
    "regard",
    "vader",
    "refusal",
    "refusal_head",
    "length",
    "readability",
    "agency",
    "first_person",
    "third_person",
    "hurtful",
];

/// Catalog name of the sentence encoder that the embedded heads were fitted on.
pub const ENCODER: &str = "minilm-l6";

/// Finds a sentence encoder, fetching it if need be, and loads it.
///
/// # Errors
/// An encoder that cannot be had, or that is none.
pub fn open_encoder(name: &str, precision: Precision, access: &Access) -> Result<Arc<encoder::TextEncoder>> {
    let files = resolve_encoder(name, access)?;
    Ok(Arc::new(encoder::TextEncoder::from_files_in(&files, precision)?))
}

/// What scorers are built with.
pub struct Setting {
    /// The sentence encoder that the embedded heads were fitted on; only [`needs_encoder`] needs it.
    pub encoder: Option<Arc<encoder::TextEncoder>>,
    /// The upper end of what `length` can be.
    pub max_new_tokens: usize,
    /// How the models of classifiers and judges are found and opened.
    pub open: OpenOptions,
}

/// True when one of the scorers is a head on the sentence encoder, which then has to be there.
pub fn needs_encoder(specs: &[ScorerSpec]) -> bool {
    specs.iter().any(|spec| matches!(spec.kind, ScorerKind::Named) && head::embedded(&spec.name).is_some())
}

/// What keeps a scorer from being built, as far as it can be told without opening files; none when nothing does.
pub fn problem(spec: &ScorerSpec) -> Option<String> {
    let name = &spec.name;
    match &spec.kind {
        ScorerKind::Hurtful(lexicon) if lexicon.is_empty() => Some(format!(
            "the scorer \"{name}\" looks for the words of a lexicon; add `lexicon: FILE`, one word or phrase a line"
        )),
        ScorerKind::Named if !NAMES.contains(&name.as_str()) => {
            Some(format!("there is no scorer \"{name}\"; the scorers are {}", NAMES.join(", ")))
        }
        ScorerKind::Named | ScorerKind::Hurtful(_) if spec.mask.is_some() && !hides(name) => {
            Some(format!("the scorer \"{name}\" reads every text as it is; take `mask` out"))
        }
        _ => None,
    }
}

/// Whether a scorer of the program hides group words before it reads a text. Names can be words of a lexicon (`Grace`, `Joy`), and have syllables.
fn hides(name: &str) -> bool {
    head::embedded(name).is_some() || matches!(name, "vader" | "readability")
}

/// Makes the scorers of a suite in their order, but for judges that compare; `mask: both` makes two of one.
///
/// # Errors
/// [`problem`]; a head without an encoder, or with another than it was fitted on; a file or a model that cannot be had.
pub fn build(specs: &[ScorerSpec], setting: &Setting) -> Result<Vec<Box<dyn Scorer>>> {
    let mut scorers: Vec<Box<dyn Scorer>> = Vec::with_capacity(specs.len());
    for spec in specs.iter().filter(|spec| spec.pair_judge().is_none()) {
        if let Some(problem) = problem(spec) {
            bail!("{problem}");
        }
        let scorer = make(spec, setting)?;
        match spec.mask {
            None | Some(Mask::On) => scorers.push(scorer),
            Some(Mask::Off) => scorers.push(Box::new(Raw::new(scorer.into(), spec.name.clone()))),
            Some(Mask::Both) => {
                let shared: Rc<dyn Scorer> = scorer.into();
                scorers.push(Box::new(Rc::clone(&shared)));
                scorers.push(Box::new(Raw::new(shared, spec.raw_name())));
            }
        }
    }
    Ok(scorers)
}

/// The judges among the scorers that compare two answers, in their order; `mask: both` makes two of one.
///
/// # Errors
/// A model that cannot be had.
pub fn build_pair_judges(specs: &[ScorerSpec], setting: &Setting) -> Result<Vec<PairJudge>> {
    let mut judges = Vec::new();
    for (spec, judge) in specs.iter().filter_map(|spec| Some((spec, spec.pair_judge()?))) {
        let model = open_judge(&spec.name, judge, setting)?;
        let own = |hides| PairJudge::new(&spec.name, &judge.rubric, Rc::clone(&model), hides);
        match spec.mask {
            None | Some(Mask::On) => judges.push(own(true)?),
            Some(Mask::Off) => judges.push(own(false)?),
            Some(Mask::Both) => {
                judges.push(own(true)?);
                judges.push(PairJudge::new(&spec.raw_name(), &judge.rubric, model, false)?);
            }
        }
    }
    Ok(judges)
}

fn open_judge(name: &str, judge: &JudgeSpec, setting: &Setting) -> Result<Rc<dyn LanguageModel>> {
    let model = model::open_any(&judge.model, &setting.open);
    Ok(model.with_context(|| format!("the judge of {name:?} cannot be opened"))?.into())
}

/// One scorer, which hides group words if its kind does so.
fn make(spec: &ScorerSpec, setting: &Setting) -> Result<Box<dyn Scorer>> {
    Ok(match &spec.kind {
        ScorerKind::Named => named(&spec.name, setting)?,
        ScorerKind::Hurtful(lexicon) => Box::new(hurtful::Hurtful::new(lexicon)),
        ScorerKind::Words(words) => {
            Box::new(words::Words::new(&spec.name, words, matches!(spec.mask, Some(Mask::On | Mask::Both))))
        }
        ScorerKind::Judge(judge) => {
            Box::new(judge::Judge::new(&spec.name, &judge.rubric, open_judge(&spec.name, judge, setting)?)?)
        }
        ScorerKind::Head(spec_of_head) => Box::new(head_of(&spec.name, spec_of_head, setting)?),
        ScorerKind::Classifier(classifier) => {
            let precision = setting.open.precision;
            let access = Access::new(setting.open.offline, setting.open.quiet);
            let opened = sequence_classifier::Classifier::open(&classifier.model, precision, &access)?;
            let options = ScoreOptions::of(&spec.name, classifier);
            Box::new(ClassifierScorer::new(Arc::new(opened), &options)?)
        }
    })
}

fn named(name: &str, setting: &Setting) -> Result<Box<dyn Scorer>> {
    Ok(match name {
        "length" => Box::new(length::Length::new(setting.max_new_tokens)),
        "readability" => Box::new(readability::Readability::default()),
        "refusal" => Box::new(refusal::Refusal::default()),
        "vader" => Box::new(vader::Vader::default()),
        "agency" | "first_person" | "third_person" => {
            Box::new(words::Words::own(name).with_context(|| format!("the program has no words for {name:?}"))?)
        }
        _ => {
            let head = head::embedded(name).with_context(|| format!("there is no scorer {name:?}"))?;
            let encoder = setting.encoder.clone().with_context(|| {
                format!("scorer {name:?} needs the sentence encoder {}, and none was given", head.papers.encoder.name)
            })?;
            Box::new(classifier::Classifier::new(head, encoder)?)
        }
    })
}

/// A head from a file, on the encoder that it was trained on.
fn head_of(name: &str, spec: &HeadSpec, setting: &Setting) -> Result<classifier::Classifier> {
    let mut head = head::Head::read(&spec.file)?;
    let wanted = &head.papers.encoder;
    let encoder = match &setting.encoder {
        Some(encoder) if encoder.digest() == wanted.digest => Arc::clone(encoder),
        _ => open_encoder(&wanted.name, Precision::F32, &Access::new(setting.open.offline, setting.open.quiet))
            .with_context(|| format!("the head {} was trained on the encoder {}", spec.file.display(), wanted.name))?,
    };
    head.rename(name, spec)?;
    classifier::Classifier::new(&head, encoder)
}
