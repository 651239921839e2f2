//! Keeps what was asked, answered and scored: the durable facts from which everything else is computed.
//!
//! `rows` has the files' rows, `records` those that statistics read, `table` their CSV form, `journal` what a run has answered so far,
//! `manifest` what a run was made with, and `folder` the life of a run's folder.

pub mod folder;
pub mod journal;
pub mod manifest;
pub mod records;
pub mod rows;
pub mod table;

pub use records::Name;

/// A row of cases.csv.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaseRow {
    pub case: String,
    pub set: String,
    pub probe: String,
    pub template: String,
    pub context: String,
    pub axis: String,
    pub group: String,
    pub term: String,
    pub prompt: String,
    pub system: String,
    /// JSON: earlier turns, oldest first; empty when there are none, as the columns below.
    pub turns: String,
    pub continuation: String,
    /// JSON: what the choice probe chooses from, in the order shown.
    pub options: String,
    /// JSON: columns of a listed case that the benchmark's statistics read.
    pub tags: String,
}

/// A row of responses.csv.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseRow {
    pub case: String,
    pub sample: u32,
    /// `stop`, `length`, or `scored` where probabilities were read; empty when the answer was made elsewhere and nobody said.
    pub finish: String,
    /// None when the answer was made elsewhere and nobody said.
    pub prompt_tokens: Option<usize>,
    /// New tokens, the ending token included; None when the answer was made elsewhere and nobody said.
    pub tokens: Option<usize>,
    pub text: String,
    /// JSON: what was read of probabilities; empty for a written answer.
    pub values: String,
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

/// The word for the other side of a gap when an axis declares no reference.
pub const REST: &str = "rest";

/// A row of offsets.csv: what a scorer itself adds to the gap of a group, on texts that differ in nothing but the group.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetRow {
    pub axis: String,
    pub group: String,
    /// The group compared with, or [`REST`].
    pub reference: String,
    pub scorer: String,
    /// Texts that have both sides.
    pub carriers: usize,
    /// Terms of the group.
    pub terms: usize,
    /// Group − reference on raw text, with a 95 % t interval over carriers, its standard error and degrees of freedom.
    pub offset: Option<f64>,
    pub low: Option<f64>,
    pub high: Option<f64>,
    pub se: Option<f64>,
    pub df: Option<f64>,
    /// The same with the words of the axis hidden.
    pub masked_offset: Option<f64>,
    pub masked_low: Option<f64>,
    pub masked_high: Option<f64>,
}

/// A row of similarity.csv: how far apart the answers of one cluster are, by a metric of pairs of texts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PairRow {
    pub template: String,
    pub context: String,
    pub axis: String,
    pub group: String,
    /// The group compared with, or [`REST`].
    pub reference: String,
    /// `cosine`, `rouge_l`, `bleu`, `jaccard`, `serp` or `prag`; the values are 1 − similarity.
    pub metric: String,
    /// Mean over pairs of answers across the groups.
    pub between: f64,
    /// The same within one group, the two averaged; empty where a group has one answer.
    pub floor: Option<f64>,
}

/// A row of records.csv: what the statistics read.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub suite: Name,
    pub model: Name,
    pub template: Name,
    pub context: Name,
    pub axis: Name,
    pub group: Name,
    pub term: Name,
    pub sample: u32,
    pub scorer: Name,
    pub score: Option<f64>,
}
