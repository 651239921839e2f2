//! Says how cases are put to a model: it writes, or the probabilities of answers or of texts are read.

use serde::{Deserialize, Serialize};

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
