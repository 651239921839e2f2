//! Finds what is wrong or weak in a suite that loads: what its numbers would mistake for a group, and what they could not show.
//!
//! Every rule is a row of [`RULES`]; docs/lint.md says the same to people.

mod beside;
mod declared;
mod filled;
mod leaks;
mod prompts;
mod spelling;
mod terms;

use anyhow::Result;

use super::{Place, Suite};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The suite cannot be run so.
    Error,
    /// The results would be weak or mistaken; `--strict` counts it.
    Warning,
    /// Worth knowing.
    Note,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note => "note",
        }
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub rule: &'static str,
    pub level: Level,
    pub place: Place,
    /// What, what it costs, how to put it right.
    pub message: String,
}

/// Every rule with its level.
pub const RULES: [(&str, Level); 31] = [
    ("article", Level::Warning),
    ("capital", Level::Warning),
    ("context-length", Level::Error),
    ("double-space", Level::Warning),
    ("duplicate-prompt", Level::Warning),
    ("duplicate-term", Level::Warning),
    ("early-slot", Level::Note),
    ("few-clusters", Level::Warning),
    ("few-terms", Level::Warning),
    ("fixed-terms", Level::Note),
    ("idle-control", Level::Warning),
    ("inside-word", Level::Warning),
    ("leak", Level::Warning),
    ("margin", Level::Warning),
    ("no-cases", Level::Error),
    ("no-description", Level::Warning),
    ("no-floor", Level::Warning),
    ("no-license", Level::Warning),
    ("no-outcome", Level::Warning),
    ("no-reason", Level::Warning),
    ("no-reference", Level::Note),
    ("no-source", Level::Warning),
    ("option-order", Level::Note),
    ("options", Level::Warning),
    ("pronoun", Level::Warning),
    ("rare-outcome", Level::Note),
    ("residual", Level::Warning),
    ("spelling", Level::Note),
    ("stray-blank", Level::Warning),
    ("unbalanced", Level::Warning),
    ("wrong-form", Level::Warning),
];

/// The rules on tokens, which need a tokenizer.
pub const TOKEN_RULES: [(&str, Level); 2] = [("longer-words", Level::Note), ("token-length", Level::Warning)];

/// What the lint knows of the model that will be asked.
pub struct Model<'a> {
    pub name: &'a str,
    /// Tokens of a text.
    pub tokens: &'a dyn Fn(&str) -> Result<usize>,
    pub context_length: usize,
}

/// Collects findings.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, rule: &'static str, place: &Place, message: impl Into<String>) {
        let known = RULES.iter().chain(&TOKEN_RULES).find(|(name, _)| *name == rule);
        let level = known.map(|(_, level)| *level).expect("every rule has its row in the table");
        let finding = Finding { rule, level, place: place.clone(), message: message.into() };
        let is_new = |other: &Finding| {
            other.rule != finding.rule || other.place.at != finding.place.at || other.message != finding.message
        };
        if self.0.iter().all(is_new) {
            self.0.push(finding);
        }
    }
}

/// Everything found, in the order of files and lines. The suite's own file comes first.
///
/// # Errors
/// When a template cannot be filled, or a text not be split into tokens.
pub fn lint(suite: &Suite, model: Option<&Model<'_>>) -> Result<Vec<Finding>> {
    let mut findings = Findings::default();
    declared::check(suite, &mut findings);
    terms::check(suite, &mut findings);
    leaks::check(suite, &mut findings)?;
    filled::check(suite, &mut findings)?;
    spelling::check(suite, &mut findings);
    prompts::check(suite, model, &mut findings)?;
    let mut found = findings.0;
    let key =
        |finding: &Finding| (finding.place.file != suite.place.file, finding.place.file.clone(), finding.place.at);
    found.sort_by(|a, b| key(a).cmp(&key(b)).then(a.rule.cmp(b.rule)));
    Ok(found)
}

/// `1 case`, `2 cases`
fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
