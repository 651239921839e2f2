//! Keeps what was asked, answered and scored: the durable facts from which everything else is computed.

/// A row of responses.csv.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseRow {
    pub case: String,
    pub sample: u32,
    /// `stop` or `length`.
    pub finish: String,
    pub prompt_tokens: usize,
    pub tokens: usize,
    pub text: String,
}

/// A row of scores.csv.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRow {
    pub case: String,
    pub sample: u32,
    pub scorer: String,
    /// Empty when unscored; the reason says why.
    pub score: Option<f64>,
    pub reason: String,
}

/// A row of records.csv: what the statistics read.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub suite: String,
    pub model: String,
    pub template: String,
    pub context: String,
    pub axis: String,
    pub group: String,
    pub term: String,
    pub sample: u32,
    pub scorer: String,
    pub score: Option<f64>,
}
