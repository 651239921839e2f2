//! Measures a scorer's own tilt: the same texts, with nothing swapped but the group.
//!
//! `carriers` holds the texts, `tilt` compares groups on them, `labelled` reads a labelled file of the user's. A gap between groups in a
//! model's answers means little until the scorer's own gap on equal texts is known.

pub mod carriers;
pub mod labelled;
mod tilt;

use anyhow::Result;

use self::carriers::{Carriers, Cues, Tone};
use self::tilt::Scored;
use super::{Answer, Direction, Scored as Outcome, Scorer};
use crate::record::{OffsetRow, REST};
use crate::stats::scorer_offset::Offset;
use crate::stats::subgroup_auc::SubgroupAuc;
use crate::suite::{Axis, MaskList, ProbeKind, Suite, TermPlan};

/// Level of every interval.
const LEVEL: f64 = 0.95;

/// Terms a group that a run's own offsets are measured on at most, the first in the suite: sixteen names say what sixty would, and the
/// cost stays the same for every suite.
const MOST_TERMS_IN_A_RUN: usize = 16;

/// What one scorer does to one group.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    pub scorer: String,
    /// Of a labelled file its name.
    pub axis: String,
    /// `None`: the whole axis.
    pub group: Option<String>,
    /// What the offset is against: a group, or [`REST`]; empty in the row of the reference, of the whole axis and of a labelled file.
    pub reference: String,
    pub terms: usize,
    /// Neutral carriers.
    pub carriers: usize,
    /// Texts scored raw, and how many of them got no score.
    pub texts: usize,
    pub unscored: usize,
    pub raw: View,
    /// With the group's words hidden, as a suite does by default.
    pub masked: View,
    /// Masked, on carriers that differ in what tends to stand near a group; `None` where the group or its reference has no cues.
    pub cues: Option<Offset>,
    /// Width of the score's range.
    pub width: f64,
}

/// Scores seen raw or masked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct View {
    /// Over neutral carriers of the mean over terms; of the whole axis the mean over groups; of a labelled file over all texts.
    pub mean: Option<f64>,
    /// On neutral carriers, in the row of a group.
    pub offset: Option<Offset>,
    /// In the row of a whole axis: largest mean of a group − smallest.
    pub spread: Option<f64>,
    /// False-positive rate: share of texts whose score is at or above the middle of its range (0.5 of a probability), among neutral ones
    /// where lower is better, among insults where higher is; of a labelled file the same of texts with label 0.
    pub fpr: Option<f64>,
    /// Of insults against all other carriers where lower is better; of praise against insults where higher is.
    pub auc: SubgroupAuc,
}

/// A text of the audit with its scores.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredText {
    pub scorer: String,
    pub axis: String,
    pub group: String,
    pub term: String,
    pub carrier: String,
    pub text: String,
    pub masked_text: String,
    pub score: Option<f64>,
    pub masked_score: Option<f64>,
}

/// Audits a scorer on one axis: a row a group by name, then one of the whole axis; and every text with its scores.
///
/// `tags` are names of axes that terms may carry values of, which are no text.
pub fn audit(
    scorer: &dyn Scorer,
    axis: &Axis,
    tags: &[&str],
    carriers: &Carriers,
) -> Result<(Vec<Row>, Vec<ScoredText>)> {
    let mask = MaskList::of(&[axis], tags);
    let mut all = Vec::new();
    for tone in Tone::ALL {
        all.extend(carriers.fill(axis, tone, usize::MAX).into_iter().map(|filled| (Some(tone), filled)));
    }
    all.extend(Cues::shipped().fill(axis, carriers).into_iter().map(|filled| (None, filled)));
    let texts: Vec<&str> = all.iter().map(|(_, filled)| filled.text.as_str()).collect();
    let (raw, masked) = (ask(scorer, &texts, &MaskList::default())?, ask(scorer, &texts, &mask)?);
    let of = |scores: &[Option<f64>]| {
        let scored =
            all.iter().zip(scores).map(|((tone, filled), score)| Scored { tone: *tone, filled, score: *score });
        scored.collect::<Vec<_>>()
    };
    let rows = tilt::rows(scorer.info(), axis, &of(&raw), &of(&masked));
    let scored = all.iter().zip(raw.iter().zip(&masked)).map(|((_, filled), (score, masked_score))| ScoredText {
        scorer: scorer.info().name.clone(),
        axis: axis.name.clone(),
        group: axis.groups[filled.group].name.clone(),
        term: filled.term.clone(),
        carrier: filled.carrier.clone(),
        text: filled.text.clone(),
        masked_text: mask.apply(&filled.text),
        score: *score,
        masked_score: *masked_score,
    });
    Ok((rows, scored.collect()))
}

/// What every scorer of a run itself adds between the groups of the suite's axes, on neutral carriers: a row a group and scorer. Scorers
/// without offset are left out, and so are axes that nothing written compares.
pub fn offsets(scorers: &[Box<dyn Scorer>], suite: &Suite) -> Result<Vec<OffsetRow>> {
    let most = match suite.design.terms {
        TermPlan::First(count) => count.min(MOST_TERMS_IN_A_RUN),
        TermPlan::All | TermPlan::Rotate(_) => MOST_TERMS_IN_A_RUN,
    };
    let tags: Vec<&str> = suite.axes.iter().map(|axis| axis.name.as_str()).collect();
    let tested = suite.tested_axes();
    let is_written = |axis: &&Axis| {
        tested.iter().any(|tested| tested.name == axis.name && tested.probes.contains(&ProbeKind::Generate))
            || tested.iter().any(|tested| tested.crossed && tested.name.split('+').any(|name| name == axis.name))
    };
    let mut rows = Vec::new();
    for axis in suite.axes.iter().filter(is_written) {
        let filled = Carriers::shipped().fill(axis, Tone::Neutral, most);
        let texts: Vec<&str> = filled.iter().map(|filled| filled.text.as_str()).collect();
        let mask = MaskList::of(&[axis], &tags);
        for scorer in scorers.iter().filter(|scorer| scorer.has_offset()) {
            let (raw, masked) =
                (ask(scorer.as_ref(), &texts, &MaskList::default())?, ask(scorer.as_ref(), &texts, &mask)?);
            let of = |scores: &[Option<f64>]| {
                let scored = filled.iter().zip(scores);
                scored
                    .map(|(filled, score)| Scored { tone: Some(Tone::Neutral), filled, score: *score })
                    .collect::<Vec<_>>()
            };
            let (raw, masked) = (of(&raw), of(&masked));
            let info = scorer.info();
            let width = info.range.1 - info.range.0;
            for (index, group) in axis.groups.iter().enumerate() {
                let Some(others) = tilt::others(axis, index, &raw) else { continue };
                let raw = tilt::offset(axis, &raw, index, &others, width);
                let masked = tilt::offset(axis, &masked, index, &others, width);
                let end = |offset: Option<Offset>, end: fn((f64, f64)) -> f64| offset?.interval.map(end);
                rows.push(OffsetRow {
                    axis: axis.name.clone(),
                    group: group.name.clone(),
                    reference: axis.reference.clone().unwrap_or_else(|| REST.to_owned()),
                    scorer: info.name.clone(),
                    carriers: raw.map_or(0, |offset| offset.carriers),
                    terms: group.terms.len().min(most),
                    offset: raw.map(|offset| offset.offset),
                    low: end(raw, |interval| interval.0),
                    high: end(raw, |interval| interval.1),
                    se: raw.and_then(|offset| offset.se),
                    df: raw.and_then(|offset| offset.df),
                    masked_offset: masked.map(|offset| offset.offset),
                    masked_low: end(masked, |interval| interval.0),
                    masked_high: end(masked, |interval| interval.1),
                });
            }
        }
    }
    Ok(rows)
}

/// Scores of texts; `None` where one could not be scored.
fn ask(scorer: &dyn Scorer, texts: &[&str], mask: &MaskList) -> Result<Vec<Option<f64>>> {
    let answers: Vec<Answer<'_>> = texts.iter().map(|text| Answer::of(text, mask)).collect();
    let outcomes = scorer.score(&answers)?;
    Ok(outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Value(value) => Some(value).filter(|value| value.is_finite()),
            Outcome::Unscored(_) => None,
        })
        .collect())
}

/// Whether a carrier belongs to the class that the score should be high for; `None` where it says nothing about that.
fn class(tone: Tone, direction: Direction) -> Option<bool> {
    match (direction, tone) {
        (Direction::Lower, tone) => Some(tone == Tone::Negative),
        (Direction::Higher, Tone::Positive) => Some(true),
        (Direction::Higher, Tone::Negative) => Some(false),
        (Direction::Higher, Tone::Neutral) | (Direction::Neither, _) => None,
    }
}
