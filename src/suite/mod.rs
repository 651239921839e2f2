//! Holds what a suite is: axes, factors, templates, probes, scorers and outcomes, and the cases they make.
//!
//! Loading is in `load`, expansion in `expand`. Knows nothing of models, scores or files of results.

mod axes;
mod case;
mod cells;
mod choices;
mod design;
pub mod expand;
mod factors;
pub mod files;
mod fill;
pub mod grammar;
pub mod import;
pub mod lint;
mod listed;
pub mod load;
mod mask;
mod plans;
mod probes;
pub mod problem;
pub(crate) mod reader;
mod rotation;
pub mod schema;
pub mod scorer;
mod scorers;
mod similarity;
mod slug;
mod spec;
mod template;
mod templates;
pub mod tested;
pub mod words;
pub(crate) mod yaml;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use case::Case;
pub use problem::{Mark, Place};
pub use scorer::{ScorerKind, ScorerSpec};
pub use similarity::Similarity;
pub use slug::slug;
pub use spec::{AskAs, ChoiceOption, ChoiceSpec, ChoiceStyle, GenerateSpec, LikelihoodSpec, Probe, ProbeKind};
pub use template::with_article;

/// A suite as loaded and checked: every list resolved, every name known to exist.
#[derive(Debug, Clone, Default)]
pub struct Suite {
    pub name: String,
    pub version: u32,
    pub description: String,
    pub source: String,
    pub license: String,
    /// Prompts and answers are left out of pages.
    pub private: bool,
    /// In the order of the file; those of listed cases are read off the list.
    pub axes: Vec<Axis>,
    pub factors: Vec<Factor>,
    pub templates: Vec<Template>,
    /// Cases that are listed one by one instead of filled from templates.
    pub listed: Option<Arc<Listed>>,
    pub design: Design,
    /// At most one of a kind.
    pub probes: Vec<Probe>,
    /// What scores generated text, in the order of the file.
    pub scorers: Vec<ScorerSpec>,
    /// How the answers of a counterfactual set are compared as texts.
    pub similarity: Vec<Similarity>,
    pub outcomes: Vec<Outcome>,
    pub gate: Gate,
    /// The published benchmark whose own statistics are computed beside the gaps, e.g. `bbq`.
    pub benchmark: Option<String>,
    /// SHA-256 (hex) over the suite file and every file that it uses, so that a changed list shows.
    pub digest: String,
    pub place: Place,
}

/// A protected attribute and its values.
#[derive(Debug, Clone, Default)]
pub struct Axis {
    pub name: String,
    /// The group that the others are compared with; none means each against the rest.
    pub reference: Option<String>,
    pub groups: Vec<Group>,
    pub place: Place,
}

#[derive(Debug, Clone, Default)]
pub struct Group {
    pub name: String,
    /// A negative control: a gap here casts doubt on the suite (stats.md §8).
    pub control: bool,
    pub terms: Vec<Term>,
    pub place: Place,
}

/// What stands for a group in text: a name, a pronoun set, a noun.
#[derive(Debug, Clone, Default)]
pub struct Term {
    /// Slug of the first form, unique in its axis, or the slug of the `pair` key where terms are declared as matched.
    pub id: String,
    /// Form name → text in the order of the file; a term given as a plain string has the one form `name`.
    pub forms: Vec<(String, String)>,
    /// True when the id is a `pair` key that other groups share.
    pub paired: bool,
    pub place: Place,
}

#[derive(Debug, Clone, Default)]
pub struct Factor {
    pub name: String,
    pub levels: Vec<String>,
    pub place: Place,
}

#[derive(Debug, Clone, Default)]
pub struct Template {
    pub name: String,
    /// minijinja source of the user's turn.
    pub text: String,
    /// System prompt, in place of the chat template's own default; minijinja source.
    pub system: Option<String>,
    /// Turns before the user's, oldest first.
    pub turns: Vec<Turn>,
    /// What the likelihood probe scores after the text; without it the text itself is scored. minijinja source.
    pub continuation: Option<String>,
    /// Kinds of probes that put this template; all when empty.
    pub probes: Vec<ProbeKind>,
    pub place: Place,
}

/// An earlier turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Turn {
    /// `user` or `assistant`.
    pub role: String,
    /// In a template minijinja source, in a case its text.
    pub content: String,
}

/// Cases that a file lists.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// In the order of the file.
    pub rows: Vec<ListedCase>,
}

/// A row of a file of listed cases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedCase {
    pub template: String,
    pub context: String,
    /// Empty where the row compares no groups; then the benchmark's own statistics are all that is computed.
    pub axis: String,
    pub group: String,
    pub term: String,
    pub prompt: String,
    pub system: Option<String>,
    pub turns: Vec<Turn>,
    pub continuation: Option<String>,
    /// Option id → text, as listed; empty where the suite's own options serve.
    pub options: Vec<(String, String)>,
    /// Further columns, for the benchmark's statistics.
    pub tags: Vec<(String, String)>,
    pub place: Place,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Design {
    pub vary: Vary,
    pub terms: TermPlan,
    /// A seeded, balanced sample of that many contexts; all when none.
    pub contexts: Option<usize>,
    /// Seeds rotation and the sample of contexts; the suite's own, never the run's.
    pub seed: u64,
    pub generalise_to: Unit,
}

/// What the clusters are a sample of; said before the data are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unit {
    /// Template × context.
    #[default]
    Contexts,
    /// Whole templates, each the mean of its contexts: stricter, for suites with many templates.
    Templates,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Vary {
    /// Each axis by itself, the others of a template held fixed.
    #[default]
    Each,
    /// The axes of a template together: a group is a combination of their groups.
    Crossed,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TermPlan {
    #[default]
    All,
    First(usize),
    /// Each cell (cluster × group) meets this many terms, rotating.
    Rotate(usize),
}

/// A score that the suite declares before the run; these are the gate's family.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub score: String,
    /// The better side of the score, where the suite says which: higher or lower.
    pub direction: Option<Direction>,
    pub margin: f64,
    pub why: String,
    pub place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    HigherIsBetter,
    LowerIsBetter,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gate {
    /// True: an inconclusive outcome does not pass.
    pub fail_on_inconclusive: bool,
}

/// Words that name groups, with the neutral word that takes their place before a head sees a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaskList {
    /// (text as it may stand in an answer, neutral replacement); longest first.
    pub words: Vec<(String, String)>,
}
