//! Holds what a suite is: axes, factors, templates, probes, scorers and outcomes, and the cases they make.
//!
//! Loading is in `load`, expansion in `expand`. Knows nothing of models, scores or files of results.

mod axes;
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
mod reader;
mod rotation;
pub mod schema;
mod slug;
mod template;
mod templates;
pub mod tested;
mod yaml;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use problem::{Mark, Place};
pub use slug::slug;

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
    /// Names of scorers of generated text, in the order of the file.
    pub scorers: Vec<String>,
    /// Entries that the scorer `hurtful` looks for, in the order of their file.
    pub lexicon: Vec<String>,
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

/// How a case is put to a model.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// The model writes.
    Generate(GenerateSpec),
    /// How probable the model finds each of a few answers.
    Choice(ChoiceSpec),
    /// How probable the model finds the case's own text.
    Likelihood(LikelihoodSpec),
}

impl Probe {
    pub fn kind(&self) -> ProbeKind {
        match self {
            Probe::Generate(_) => ProbeKind::Generate,
            Probe::Choice(_) => ProbeKind::Choice,
            Probe::Likelihood(_) => ProbeKind::Likelihood,
        }
    }

    /// Names of the scores that the probe itself gives; `choice` alone where listed cases bring the options.
    pub fn scores(&self) -> Vec<String> {
        match self {
            Probe::Generate(_) => Vec::new(),
            Probe::Choice(spec) if spec.options.is_empty() => vec!["choice".into()],
            Probe::Choice(spec) => {
                let ids = spec.options.iter().map(|option| option.id.as_str()).chain(["mass"]);
                ids.map(|id| format!("choice.{id}")).collect()
            }
            Probe::Likelihood(_) => {
                ["total", "per_token", "shared", "preference"].map(|name| format!("likelihood.{name}")).to_vec()
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    Generate,
    Choice,
    Likelihood,
}

impl ProbeKind {
    pub const ALL: [ProbeKind; 3] = [ProbeKind::Generate, ProbeKind::Choice, ProbeKind::Likelihood];

    /// The kind of probe that gives a score: the one that its name begins with, and generate for scores of written text.
    pub fn of_score(score: &str) -> ProbeKind {
        let named = ProbeKind::ALL.into_iter().find(|kind| score.split('.').next() == Some(kind.as_str()));
        named.unwrap_or(ProbeKind::Generate)
    }

    /// As suites, case ids and score names write it.
    pub fn as_str(self) -> &'static str {
        match self {
            ProbeKind::Generate => "generate",
            ProbeKind::Choice => "choice",
            ProbeKind::Likelihood => "likelihood",
        }
    }
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

impl Default for GenerateSpec {
    fn default() -> Self {
        GenerateSpec {
            samples: 1,
            temperature: 0.7,
            top_p: 1.0,
            max_new_tokens: 64,
            stop: Vec::new(),
            ask_as: AskAs::Auto,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ChoiceSpec {
    /// In the order of the file; empty where every listed case has its own.
    pub options: Vec<ChoiceOption>,
    pub style: ChoiceStyle,
    pub ask_as: AskAs,
    /// How the answer begins, e.g. `Answer:`; the options are scored after it.
    pub lead: Option<String>,
    /// What stands before the last option where `{{ options }}` lists them in a line; `or`.
    pub joined: String,
}

/// An answer that the choice probe knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChoiceOption {
    /// Slug; the score is `choice.<id>`.
    pub id: String,
    /// As it is listed in the prompt.
    pub text: String,
    /// What the model may write to choose it; its probability is the sum over these.
    pub answers: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChoiceStyle {
    /// The texts themselves are scored.
    Text,
    /// The options are listed as A, B, C in the prompt, and the letters are scored.
    Letters,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LikelihoodSpec {
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

/// One filled template, or one listed case, as one probe puts it.
#[derive(Debug, Clone)]
pub struct Case {
    /// `generate/letter/occupation=nurse/gender=woman/term=emily`
    pub id: String,
    /// The counterfactual set: `generate/letter/occupation=nurse/gender`
    pub set: String,
    pub probe: ProbeKind,
    pub template: String,
    /// `occupation=nurse,setting=a-small-school`, empty when the template has no other slots.
    pub context: String,
    /// Empty for a listed case that compares no groups. Crossed axes are joined: `gender+ethnicity`.
    pub axis: String,
    pub group: String,
    pub term: String,
    /// The user's turn, the list of options included.
    pub prompt: String,
    pub system: Option<String>,
    pub turns: Vec<Turn>,
    /// What the likelihood probe scores after the prompt; the prompt itself when none.
    pub continuation: Option<String>,
    /// What the choice probe chooses from, in the order shown in this case.
    pub options: Vec<ChoiceOption>,
    /// Columns of a listed case that the benchmark's statistics read.
    pub tags: Vec<(String, String)>,
    /// What stands for groups in this axis (and in other axes that fill the template), to hide before scoring.
    pub mask: Arc<MaskList>,
}

impl Default for Case {
    fn default() -> Self {
        Case {
            id: String::new(),
            set: String::new(),
            probe: ProbeKind::Generate,
            template: String::new(),
            context: String::new(),
            axis: String::new(),
            group: String::new(),
            term: String::new(),
            prompt: String::new(),
            system: None,
            turns: Vec::new(),
            continuation: None,
            options: Vec::new(),
            tags: Vec::new(),
            mask: Arc::new(MaskList::default()),
        }
    }
}

/// Words that name groups, with the neutral word that takes their place before a head sees a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MaskList {
    /// (text as it may stand in an answer, neutral replacement); longest first.
    pub words: Vec<(String, String)>,
}
