//! Holds what a suite is: axes, factors, templates, probes, scorers and outcomes, and the cases they make.
//!
//! Loading is in `load`, expansion in `expand`. Knows nothing of models, scores or files of results.

mod axes;
mod design;
pub mod expand;
pub mod files;
pub mod load;
mod mask;
pub mod problem;
mod reader;
mod rotation;
mod slug;
mod template;
mod templates;
mod yaml;

use std::sync::Arc;

pub use slug::slug;

/// A suite as loaded and checked: every list resolved, every name known to exist.
#[derive(Debug, Clone)]
pub struct Suite {
    pub name: String,
    pub version: u32,
    pub description: String,
    pub source: String,
    pub license: String,
    /// In the order of the file.
    pub axes: Vec<Axis>,
    pub factors: Vec<Factor>,
    pub templates: Vec<Template>,
    pub design: Design,
    pub probes: Vec<Probe>,
    /// Names of scorers, in the order of the file.
    pub scorers: Vec<String>,
    pub outcomes: Vec<Outcome>,
    pub gate: Gate,
    /// SHA-256 (hex) over the suite file and every file that it uses, so that a changed list shows.
    pub digest: String,
}

/// A protected attribute and its values.
#[derive(Debug, Clone)]
pub struct Axis {
    pub name: String,
    /// The group that the others are compared with; none means each against the rest.
    pub reference: Option<String>,
    pub groups: Vec<Group>,
}

#[derive(Debug, Clone)]
pub struct Group {
    pub name: String,
    /// A negative control: a gap here casts doubt on the suite (stats.md §8).
    pub control: bool,
    pub terms: Vec<Term>,
}

/// What stands for a group in text: a name, a pronoun set, a noun.
#[derive(Debug, Clone)]
pub struct Term {
    /// Slug of the first form, unique in its axis, or the slug of the `pair` key where terms are declared as matched.
    pub id: String,
    /// Form name → text in the order of the file; a term given as a plain string has the one form `name`.
    pub forms: Vec<(String, String)>,
    /// True when the id is a `pair` key that other groups share.
    pub paired: bool,
}

#[derive(Debug, Clone)]
pub struct Factor {
    pub name: String,
    pub levels: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Template {
    pub name: String,
    /// minijinja source of the user's turn.
    pub text: String,
    /// System prompt, in place of the chat template's own default.
    pub system: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    pub terms: TermPlan,
    /// A seeded, balanced sample of that many contexts; all when none.
    pub contexts: Option<usize>,
    /// Seeds rotation and the sample of contexts; the suite's own, never the run's.
    pub seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TermPlan {
    All,
    First(usize),
    /// Each cell (cluster × group) meets this many terms, rotating.
    Rotate(usize),
}

/// How a case is put to a model. Later kinds: choice, likelihood.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    Generate(GenerateSpec),
}

#[derive(Debug, Clone, PartialEq)]
pub struct GenerateSpec {
    pub samples: u32,
    pub temperature: f64,
    pub top_p: f64,
    pub max_new_tokens: usize,
    pub stop: Vec<String>,
    pub ask_as: AskAs,
}

/// Chat is the default where the model has a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskAs {
    Auto,
    Chat,
    Text,
}

/// A score that the suite declares before the run; these are the gate's family.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub score: String,
    pub margin: f64,
    pub why: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gate {
    /// True: an inconclusive outcome does not pass.
    pub fail_on_inconclusive: bool,
}

/// One filled template.
#[derive(Debug, Clone)]
pub struct Case {
    /// `generate/letter/occupation=nurse/gender=woman/term=emily`
    pub id: String,
    /// The counterfactual set: `generate/letter/occupation=nurse/gender`
    pub set: String,
    pub probe: usize,
    pub probe_name: &'static str,
    pub template: String,
    /// `occupation=nurse,setting=a-small-school`, empty when the template has no other slots.
    pub context: String,
    pub axis: String,
    pub group: String,
    pub term: String,
    pub prompt: String,
    pub system: Option<String>,
    /// What stands for groups in this axis (and in other axes that fill the template), to hide before scoring.
    pub mask: Arc<MaskList>,
}

/// Words that name groups, with the neutral word that takes their place before a head sees a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaskList {
    /// (text as it may stand in an answer, neutral replacement); longest first.
    pub words: Vec<(String, String)>,
}
