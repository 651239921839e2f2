//! Says what is wrong with a suite, where, and how to put it right; all problems at once.

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
#[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct SuiteProblems(pub Vec<Problem>);

/// Collects problems while a suite is read; what is found twice is told once.
#[derive(Debug, Default)]
pub(super) struct Problems(pub BTreeSet<Problem>);

impl Problems {
    pub fn add(&mut self, file: &str, at: Mark, message: impl Into<String>) {
        self.0.insert(Problem { file: file.to_string(), at, message: message.into() });
    }
}

/// `a, b and c`; for the lists of what exists in messages.
pub(super) fn and_list<S: AsRef<str>>(items: &[S]) -> String {
    match items {
        [] => "none".into(),
        [one] => one.as_ref().into(),
        [head @ .., last] => {
            format!("{} and {}", head.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "), last.as_ref())
        }
    }
}
