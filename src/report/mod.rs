//! Shows a run's tables: CSV files, the terminal's table and sentences, JSON.
//!
//! Everything here is a function from what lies in a run folder to bytes, so that `report` prints what `run` printed.

pub mod columns;
pub mod comparison;
pub mod gate;
pub mod json;
pub mod sentence;
pub mod terminal;

use crate::analysis::Tables;
use crate::analysis::benchmark::Row;
use crate::record::ResponseRow;
use crate::record::manifest::Manifest;

/// A run as its folder has it.
#[derive(Debug, Clone)]
pub struct Run {
    pub manifest: Manifest,
    pub answers: Answers,
    pub tables: Tables,
    /// The benchmark's own statistics; none for a suite that is no benchmark.
    pub benchmark: Vec<Row>,
}

/// Records of one suite and model that came without a run, analysed.
#[derive(Debug, Clone)]
pub struct Analysis {
    pub suite: String,
    pub model: String,
    pub records: usize,
    /// Declared outcomes and axes, in the order in which findings are told.
    pub outcomes: Vec<String>,
    pub axes: Vec<String>,
    pub tables: Tables,
}

/// What became of the questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answers {
    pub cases: usize,
    pub responses: usize,
    /// Ended by the limit of new tokens; scored all the same.
    pub truncated: usize,
    /// Without text; unscored.
    pub empty: usize,
    /// Not written: probabilities were read.
    pub read: usize,
}

impl Answers {
    pub fn count(rows: &[ResponseRow]) -> Self {
        let mut cases: Vec<&str> = rows.iter().map(|row| row.case.as_str()).collect();
        cases.sort_unstable();
        cases.dedup();
        Self {
            cases: cases.len(),
            responses: rows.len(),
            truncated: rows.iter().filter(|row| row.finish == "length").count(),
            empty: rows.iter().filter(|row| row.values.is_empty() && row.text.trim().is_empty()).count(),
            read: rows.iter().filter(|row| !row.values.is_empty()).count(),
        }
    }
}
