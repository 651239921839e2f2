//! Says what is wrong with a suite or another YAML file, where, and how to put it right; all problems at once.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// A place in a file; both numbers begin at 1, columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub line: usize,
    pub column: usize,
}

impl Mark {
    pub const START: Mark = Mark { line: 1, column: 1 };
}

impl Default for Mark {
    fn default() -> Self {
        Mark::START
    }
}

/// A place in one of a suite's files, for what is found wrong after loading. Places do not make two things unequal.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// The file as messages call it.
    pub file: Arc<str>,
    pub at: Mark,
}

impl PartialEq for Place {
    fn eq(&self, _: &Place) -> bool {
        true
    }
}

impl Eq for Place {}

impl Place {
    pub fn new(file: &str, at: Mark) -> Place {
        Place { file: file.into(), at }
    }
}

/// One thing to put right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file as the user wrote it.
    pub file: String,
    pub at: Mark,
    /// What is wrong and how to put it right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.at.line, self.at.column, self.message)
    }
}

/// Everything that is wrong with a suite, in the order of its files and lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SuiteProblems(pub Vec<Problem>);

/// Problems that are told; a faulty file of cases has one a row.
const TOLD: usize = 50;

impl fmt::Display for SuiteProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().take(TOLD).enumerate() {
            write!(f, "{}{problem}", if number > 0 { "\n" } else { "" })?;
        }
        match self.0.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, "\n… and {more} more"),
        }
    }
}

/// Collects problems while a suite is read; what is found twice is told once.
#[derive(Debug, Default)]
pub(crate) struct Problems(pub BTreeSet<Problem>);

impl Problems {
    pub fn add(&mut self, file: &str, at: Mark, message: impl Into<String>) {
        self.0.insert(Problem { file: file.to_string(), at, message: message.into() });
    }
}

/// `a, b and c`; for the lists of what exists in messages.
pub(crate) fn and_list<S: AsRef<str>>(items: &[S]) -> String {
    match items {
        [] => "none".into(),
        [one] => one.as_ref().into(),
        [head @ .., last] => {
            format!("{} and {}", head.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "), last.as_ref())
        }
    }
}
