//! Holds what a gate tolerates: which outcomes count, with what margins, and which findings are waived until when.

use crate::date::Date;
use crate::suite::Place;

/// What a policy file says; the default is what the suites declare, with nothing waived.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Policy {
    /// What counts; every declared outcome when empty. The first that fits a gap decides its margin.
    pub outcomes: Vec<Counted>,
    pub waivers: Vec<Waiver>,
    /// In place of what the suites say.
    pub on_inconclusive: Option<OnInconclusive>,
    pub family: Option<Family>,
}

/// A part of what was measured; a name that is missing fits every one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    pub suite: Option<String>,
    pub axis: Option<String>,
    pub group: Option<String>,
    pub score: Option<String>,
}

/// A part that counts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counted {
    pub part: Selector,
    /// In place of the suite's, in the score's unit.
    pub margin: Option<f64>,
    pub place: Place,
}

/// A finding that somebody answers for, for a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiver {
    pub part: Selector,
    pub owner: String,
    pub reason: String,
    /// The last day on which it holds.
    pub expires: Date,
    pub place: Place,
}

/// Whether an inconclusive outcome keeps a gate from passing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnInconclusive {
    #[default]
    Fail,
    Warn,
}

/// What Holm's adjustment is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Family {
    /// Each run's outcomes by themselves.
    Suite,
    /// All outcomes of the gate.
    #[default]
    All,
}

impl Selector {
    pub fn fits(&self, suite: &str, axis: &str, group: &str, score: &str) -> bool {
        let fits = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
        fits(&self.suite, suite) && fits(&self.axis, axis) && fits(&self.group, group) && fits(&self.score, score)
    }

    /// No name is given, so that everything fits.
    pub fn is_everything(&self) -> bool {
        *self == Selector::default()
    }
}

impl std::fmt::Display for Selector {
    /// `suite letters, axis gender, score sentiment`
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [("suite", &self.suite), ("axis", &self.axis), ("group", &self.group), ("score", &self.score)];
        let parts: Vec<String> =
            parts.into_iter().filter_map(|(what, name)| Some(format!("{what} {}", name.as_ref()?))).collect();
        out.write_str(if parts.is_empty() { "everything" } else { "" })?;
        out.write_str(&parts.join(", "))
    }
}
