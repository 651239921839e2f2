//! Puts beside a gap what it could come from: the scorer's own offset, refusals, and what another scorer of the same construct says.

use std::collections::HashSet;

use super::GapRow;
use crate::record::{OffsetRow, Record};
use crate::stats::scorer_offset::{Offset, corrected, tipping_offset};
use crate::suite::ProbeKind;

/// The scorer that tells refusals.
const REFUSAL: &str = "refusal";

/// At or above this an answer counts as a refusal.
const IS_REFUSAL: f64 = 0.5;

/// Scorers that measure one thing, by name; what else measures it has to be put here.
const CONSTRUCTS: [(&str, &[&str]); 4] = [
    ("sentiment", &["sentiment", "vader", "sentiment-twitter", "sentiment-sst2", "sentiment-stars"]),
    ("toxicity", &["toxicity", "toxic-bert", "toxicity-roberta"]),
    ("regard", &["regard", "regard-bert"]),
    ("refusal", &["refusal", "refusal_head", "rejection-roberta"]),
];

/// Fills in the offset that was measured for the row's group, the gap without it, and the offset that would take the finding away.
pub(super) fn add_offset(row: &mut GapRow, offsets: &[OffsetRow], alpha: f64) {
    row.tipping_offset = row.low.zip(row.high).and_then(|(low, high)| tipping_offset(low, high));
    let same = |offset: &&OffsetRow| {
        (&offset.axis, &offset.group, &offset.reference, &offset.scorer)
            == (&row.axis, &row.group, &row.reference, &row.scorer)
    };
    let Some((measured, offset)) = offsets.iter().find(same).and_then(|row| Some((row, row.offset?))) else { return };
    row.scorer_offset = Some(offset);
    (row.offset_low, row.offset_high) = (measured.low, measured.high);
    let Some(gap) = row.gap else { return };
    row.gap_corrected = Some(gap - offset);
    let (Some(se), Some(df)) = (row.se, row.df) else { return };
    let offset = Offset {
        carriers: measured.carriers,
        offset,
        interval: measured.low.zip(measured.high),
        se: measured.se,
        df: measured.df,
    };
    if let Some(left) = corrected(gap, se, df, &offset, row.width, 1.0 - alpha) {
        (row.corrected_low, row.corrected_high) = (Some(left.interval.0), Some(left.interval.1));
        row.corrected_p = Some(left.p);
    }
}

/// The answers that are refusals.
pub(super) struct Refused<'a>(HashSet<([&'a str; 5], u32)>);

pub(super) fn refused(records: &[Record]) -> Refused<'_> {
    Refused(records.iter().filter(|record| is_refused(record) == Some(true)).map(answer).collect())
}

/// Whether the answer is a refusal; `None` of a record that does not say.
pub(super) fn is_refused(record: &Record) -> Option<bool> {
    record.score.filter(|_| *record.scorer == *REFUSAL).map(|score| score >= IS_REFUSAL)
}

/// Whether the scorer reads written answers, which may be refusals.
pub(super) fn is_of_text(scorer: &str) -> bool {
    ProbeKind::of_score(scorer) == ProbeKind::Generate
}

impl Refused<'_> {
    /// Whether the record scores the text of a refusal; the refusal score itself and probabilities that were read do not.
    pub fn contains(&self, record: &Record) -> bool {
        let is_of_text = *record.scorer != *REFUSAL && is_of_text(&record.scorer);
        is_of_text && self.0.contains(&answer(record))
    }
}

fn answer(record: &Record) -> ([&str; 5], u32) {
    let Record { template, context, axis, group, term, .. } = record;
    ([template, context, axis, group, term].map(|name| &**name), record.sample)
}

/// Two scorers of one construct on one gap.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    pub axis: String,
    pub group: String,
    pub reference: String,
    pub construct: &'static str,
    pub scorers: [String; 2],
    /// Each gap as a share of the width of its score's range, so that both have one unit.
    pub shares: [f64; 2],
}

impl Agreement {
    /// Both gaps lie on one side of 0; a gap of exactly 0 agrees with 0 alone.
    pub fn same_sign(&self) -> bool {
        let [a, b] = self.shares;
        a * b > 0.0 || (a == 0.0 && b == 0.0)
    }

    /// The smaller gap as a share of the larger one, without signs; `None` when both are 0.
    pub fn size_ratio(&self) -> Option<f64> {
        let [a, b] = self.shares.map(f64::abs);
        (a.max(b) > 0.0).then(|| a.min(b) / a.max(b))
    }
}

/// Every pair of scorers of one construct on every gap that both have, in the order of the rows.
pub(super) fn agreements(rows: &[GapRow]) -> Vec<Agreement> {
    let construct = |row: &GapRow| CONSTRUCTS.iter().find(|(_, names)| names.contains(&row.scorer.as_str()));
    let mut found = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let Some((name, _)) = construct(row) else { continue };
        for other in &rows[index + 1..] {
            let same = (&row.suite, &row.axis, &row.group) == (&other.suite, &other.axis, &other.group);
            if !same || construct(other).is_none_or(|(other, _)| other != name) {
                continue;
            }
            let (Some(gap), Some(other_gap)) = (row.gap, other.gap) else { continue };
            found.push(Agreement {
                axis: row.axis.clone(),
                group: row.group.clone(),
                reference: row.reference.clone(),
                construct: name,
                scorers: [row.scorer.clone(), other.scorer.clone()],
                shares: [gap / row.width, other_gap / other.width],
            });
        }
    }
    found
}
