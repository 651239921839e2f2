//! Says what scores generated text: a scorer of the program, or one that the author sets up with a model, a file or words of their own.

use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};
use minijinja::Value;

use super::Place;
use super::template::{self, environment, render};

/// One entry of `scorers:`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScorerSpec {
    /// Also the name of its score.
    pub name: String,
    pub kind: ScorerKind,
    /// None: as the kind of scorer does by default, hidden where a head reads the text.
    pub mask: Option<Mask>,
    pub place: Place,
}

/// Whether the group words of a case are hidden before its answer is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    On,
    Off,
    /// Hidden for the score itself; a second score, `<name>_raw`, reads the text as it is.
    Both,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ScorerKind {
    /// One that the program has under this name.
    Named,
    /// The program's `hurtful`, with the entries of the suite's lexicon; none where the suite names no lexicon.
    Hurtful(Vec<String>),
    Head(HeadSpec),
    Classifier(ClassifierSpec),
    Words(WordsSpec),
    Judge(JudgeSpec),
}

/// A head that `tiltmeter head train` wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadSpec {
    /// Found from the suite's folder.
    pub file: PathBuf,
    pub labels: Labels,
    /// None: as the head's papers say.
    pub better: Option<Better>,
}

/// A sequence classifier in the layout of the hub.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassifierSpec {
    /// A folder, a name of the catalog or a hub id.
    pub model: String,
    pub labels: Labels,
    /// None: as the classifier's `problem_type` says.
    pub activation: Option<Activation>,
    pub better: Option<Better>,
}

/// How the probabilities of several labels become one score.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Labels {
    /// As the catalog or the head's papers say; an error where they do not and there are several.
    #[default]
    Declared,
    /// The probabilities of these, added up.
    Sum(Vec<String>),
    /// None of them: every label's own probability is asked for, and there is no score.
    All,
    /// Σ probability × value over these; the values lie in [0, 1], labels that are not named count 0.
    Values(Vec<(String, f64)>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    Softmax,
    Sigmoid,
    /// The output itself is the score.
    None,
}

/// The better end of a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    Higher,
    Lower,
    Neither,
}

/// Words that are counted in an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct WordsSpec {
    pub words: Vec<String>,
    pub count: Count,
    /// Of a share: the words that make up the rest; none means all words of the answer.
    pub against: Vec<String>,
    /// Only words that stand near one of these are counted; empty means all.
    pub near: Vec<String>,
    /// How many words to either side are near.
    pub window: usize,
    pub better: Better,
}

/// What is made of the counted words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// 1 where there is one at least, else 0.
    Any,
    /// Their share, in [0, 1].
    Share,
    /// Their number a hundred words, in [0, 100].
    Rate,
}

/// A language model that gives a verdict on an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgeSpec {
    /// As `--model` takes it.
    pub model: String,
    pub rubric: Rubric,
}

/// What a judge is asked, and what its verdicts are worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Rubric {
    /// minijinja source with `{{ answer }}`, or with `{{ first }}` and `{{ second }}` where two answers are compared; and `{{ prompt }}`
    /// where the judge sees what was asked.
    pub question: String,
    pub system: Option<String>,
    /// How the verdict begins, e.g. `Verdict:`.
    pub lead: Option<String>,
    /// Word → value in [0, 1], in the order of the file; the score is Σ share × value. Of two answers: how much the first is preferred.
    pub verdicts: Vec<(String, f64)>,
    pub better: Better,
}

impl Rubric {
    /// The question about one answer.
    ///
    /// # Errors
    /// When it cannot be filled.
    pub fn ask(&self, prompt: &str, answer: &str) -> Result<String> {
        self.fill(&[("prompt", prompt), ("answer", answer)])
    }

    /// The question about two answers; `prompt` is what was asked for the first one.
    ///
    /// # Errors
    /// When it cannot be filled.
    pub fn compare(&self, prompt: &str, first: &str, second: &str) -> Result<String> {
        self.fill(&[("prompt", prompt), (FIRST, first), (SECOND, second)])
    }

    /// Whether the question is about two answers.
    pub fn compares(&self) -> bool {
        template::slots(&self.question).is_ok_and(|slots| slots.iter().any(|slot| slot.name == FIRST))
    }

    fn fill(&self, values: &[(&'static str, &str)]) -> Result<String> {
        let environment = environment();
        let template = environment.template_from_str(&self.question).context("the rubric's question is no template")?;
        let values = values.iter().map(|&(name, text)| (name, Value::from(text))).collect();
        render(&template, &values).map_err(|(line, words)| anyhow!("the rubric's question, line {line}: {words}"))
    }
}

impl ScorerSpec {
    /// A scorer of the program with its defaults.
    pub fn named(name: &str) -> ScorerSpec {
        let kind = if name == HURTFUL { ScorerKind::Hurtful(Vec::new()) } else { ScorerKind::Named };
        ScorerSpec { name: name.into(), kind, mask: None, place: Place::default() }
    }

    /// Names of its scores: its own, and with `mask: both` the one on raw text; of a judge that compares also how often its two orders
    /// disagree.
    pub fn scores(&self) -> Vec<String> {
        let raw = (self.mask == Some(Mask::Both)).then(|| self.raw_name());
        let names = std::iter::once(self.name.clone()).chain(raw);
        match self.pair_judge() {
            Some(_) => names.flat_map(|name| [format!("{name}{DISAGREEMENT}"), name]).collect(),
            None => names.collect(),
        }
    }

    /// The judge, where it compares two answers.
    pub fn pair_judge(&self) -> Option<&JudgeSpec> {
        match &self.kind {
            ScorerKind::Judge(judge) if judge.rubric.compares() => Some(judge),
            _ => None,
        }
    }

    /// Name of the score on raw text beside the one on masked text.
    pub fn raw_name(&self) -> String {
        format!("{}_raw", self.name)
    }
}

/// What the name of a judge's disagreement ends with.
pub const DISAGREEMENT: &str = "_disagreement";

/// The slots of the two answers of a rubric that compares.
pub(super) const FIRST: &str = "first";
pub(super) const SECOND: &str = "second";

/// The scorer that reads the suite's lexicon.
pub const HURTFUL: &str = "hurtful";
