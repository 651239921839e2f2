//! Compares the groups of one axis on scored carriers.

use super::carriers::{Filled, Tone};
use super::{LEVEL, Row, View, class};
use crate::record::REST;
use crate::scorer::{Direction, ScoreInfo};
use crate::stats::gap::{Contrast, paired_gap};
use crate::stats::matrix::{Matrix, Sample};
use crate::stats::means;
use crate::stats::scorer_offset::Offset;
use crate::stats::subgroup_auc::{Labelled, SubgroupAuc};
use crate::suite::Axis;

/// A filled carrier with its score; cues have no tone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scored<'a> {
    pub tone: Option<Tone>,
    pub filled: &'a Filled,
    pub score: Option<f64>,
}

/// Mean over carriers of (mean over the group's terms − mean over the others of the same), as a suite's gap has it: a carrier that lacks
/// one of the sides is left out. `None` without a carrier that has all.
pub(super) fn offset(axis: &Axis, texts: &[Scored<'_>], group: usize, others: &[usize], width: f64) -> Option<Offset> {
    let matrix = matrix(axis, texts);
    let index = |group: usize| matrix.group(&axis.groups[group].name);
    let others = others.iter().map(|other| index(*other)).collect::<Option<Vec<usize>>>()?;
    let contrast = Contrast { group: index(group)?, others, paired: false };
    Offset::of(&paired_gap(&matrix, &contrast, width).differences, width, LEVEL)
}

/// The groups that a group is compared with: the reference, or the rest but for controls, as in a suite's gaps. `None` for the reference
/// itself and where nothing is left.
pub(super) fn others(axis: &Axis, group: usize, texts: &[Scored<'_>]) -> Option<Vec<usize>> {
    let has_scores = |group: usize| texts.iter().any(|text| text.filled.group == group && text.score.is_some());
    let others: Vec<usize> = match &axis.reference {
        Some(reference) if axis.groups[group].name == *reference => Vec::new(),
        Some(reference) => axis.groups.iter().position(|group| group.name == *reference).into_iter().collect(),
        None => {
            let rest = (0..axis.groups.len()).filter(|other| *other != group && !axis.groups[*other].control);
            rest.filter(|other| has_scores(*other)).collect()
        }
    };
    (!others.is_empty()).then_some(others)
}

fn matrix(axis: &Axis, texts: &[Scored<'_>]) -> Matrix {
    let samples = texts.iter().filter_map(|text| {
        Some(Sample {
            template: &text.filled.carrier,
            context: "",
            group: &axis.groups[text.filled.group].name,
            term: &text.filled.term,
            score: text.score?,
        })
    });
    Matrix::of(samples.collect())
}

/// A row a group in the order of their names, then the row of the whole axis.
pub(super) fn rows(info: &ScoreInfo, axis: &Axis, raw: &[Scored<'_>], masked: &[Scored<'_>]) -> Vec<Row> {
    let width = info.range.1 - info.range.0;
    let (raw, masked) = (Views::of(info, axis, raw), Views::of(info, axis, masked));
    let blank = Row { scorer: info.name.clone(), axis: axis.name.clone(), width, ..Row::default() };
    let mut order: Vec<usize> = (0..axis.groups.len()).collect();
    order.sort_by_key(|group| &axis.groups[*group].name);
    let row = |group: usize| {
        let others = others(axis, group, &raw.neutral);
        let count = |view: &Views<'_>, is: &dyn Fn(&&Scored<'_>) -> bool| {
            view.all.iter().filter(|text| text.filled.group == group).filter(is).count()
        };
        let mut terms: Vec<&str> = of_group(&raw.neutral, group).map(|text| text.filled.term.as_str()).collect();
        terms.sort_unstable();
        terms.dedup();
        Row {
            group: Some(axis.groups[group].name.clone()),
            reference: match (&others, &axis.reference) {
                (None, _) => String::new(),
                (Some(_), Some(reference)) => reference.clone(),
                (Some(_), None) => REST.to_owned(),
            },
            terms: terms.len(),
            carriers: raw.carriers,
            texts: count(&raw, &|_| true),
            unscored: count(&raw, &|text| text.score.is_none()),
            raw: raw.of_group(info, axis, group, others.as_deref(), width),
            masked: masked.of_group(info, axis, group, others.as_deref(), width),
            cues: cue_offset(axis, &masked.cues, group, width),
            ..blank.clone()
        }
    };
    let mut rows: Vec<Row> = order.into_iter().map(row).collect();
    let whole = Row {
        terms: rows.iter().map(|row| row.terms).sum(),
        carriers: raw.carriers,
        texts: rows.iter().map(|row| row.texts).sum(),
        unscored: rows.iter().map(|row| row.unscored).sum(),
        raw: raw.whole(info, axis),
        masked: masked.whole(info, axis),
        ..blank.clone()
    };
    rows.push(whole);
    rows
}

fn of_group<'a, 'b>(texts: &'b [Scored<'a>], group: usize) -> impl Iterator<Item = &'b Scored<'a>> {
    texts.iter().filter(move |text| text.filled.group == group)
}

/// On cues the others are those that have some.
fn cue_offset(axis: &Axis, cues: &[Scored<'_>], group: usize, width: f64) -> Option<Offset> {
    offset(axis, cues, group, &others(axis, group, cues)?, width)
}

/// The texts of one way of seeing them, sorted into what each figure needs.
struct Views<'a> {
    all: Vec<Scored<'a>>,
    neutral: Vec<Scored<'a>>,
    cues: Vec<Scored<'a>>,
    /// (group, text) of the carriers that have a class.
    labelled: Vec<(usize, Labelled)>,
    carriers: usize,
}

impl<'a> Views<'a> {
    fn of(info: &ScoreInfo, axis: &Axis, texts: &[Scored<'a>]) -> Views<'a> {
        let pick = |tone: Option<Tone>| texts.iter().copied().filter(|text| text.tone == tone).collect::<Vec<_>>();
        let labelled = texts.iter().filter_map(|text| {
            let positive = class(text.tone?, info.direction)?;
            Some((text.filled.group, Labelled { score: text.score?, positive, in_subgroup: false }))
        });
        let neutral = pick(Some(Tone::Neutral));
        Views {
            all: texts.to_vec(),
            carriers: matrix(axis, &neutral).clusters.len(),
            cues: pick(None),
            labelled: labelled.collect(),
            neutral,
        }
    }

    fn of_group(&self, info: &ScoreInfo, axis: &Axis, group: usize, others: Option<&[usize]>, width: f64) -> View {
        View {
            mean: self.mean(axis, group),
            offset: others.and_then(|others| offset(axis, &self.neutral, group, others, width)),
            spread: None,
            fpr: fpr(info, of_group(&self.all, group)),
            auc: SubgroupAuc::of(&self.members(|of| of == group), middle(info)),
        }
    }

    fn whole(&self, info: &ScoreInfo, axis: &Axis) -> View {
        let means: Vec<f64> = (0..axis.groups.len()).filter_map(|group| self.mean(axis, group)).collect();
        let largest = means.iter().copied().reduce(f64::max);
        let smallest = means.iter().copied().reduce(f64::min);
        View {
            mean: means::mean(&means),
            offset: None,
            spread: largest.zip(smallest).map(|(largest, smallest)| largest - smallest),
            fpr: fpr(info, self.all.iter()),
            auc: SubgroupAuc {
                overall: SubgroupAuc::of(&self.members(|_| false), middle(info)).overall,
                ..SubgroupAuc::default()
            },
        }
    }

    fn members(&self, is_member: impl Fn(usize) -> bool) -> Vec<Labelled> {
        self.labelled.iter().map(|(group, text)| Labelled { in_subgroup: is_member(*group), ..*text }).collect()
    }

    fn mean(&self, axis: &Axis, group: usize) -> Option<f64> {
        let matrix = matrix(axis, &self.neutral);
        means::mean(&matrix.cell_means(matrix.group(&axis.groups[group].name)?))
    }
}

/// The middle of the score's range: 0.5 for a probability.
pub(super) fn middle(info: &ScoreInfo) -> f64 {
    f64::midpoint(info.range.0, info.range.1)
}

/// Share of harmless texts that score at or above the middle: of neutral ones, or of insults where praise is what should score high.
fn fpr<'a, 'b: 'a>(info: &ScoreInfo, texts: impl Iterator<Item = &'a Scored<'b>>) -> Option<f64> {
    let lower = match info.direction {
        Direction::Lower => Tone::Neutral,
        Direction::Higher => Tone::Negative,
        Direction::Neither => return None,
    };
    let scores = texts.filter(|text| text.tone == Some(lower)).filter_map(|text| text.score);
    let marks: Vec<f64> = scores.map(|score| f64::from(u8::from(score >= middle(info)))).collect();
    means::mean(&marks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Group;

    fn info(direction: Direction) -> ScoreInfo {
        ScoreInfo {
            name: "s".into(),
            unit: "probability".into(),
            range: (0.0, 1.0),
            direction,
            revision: "1".into(),
            meaning: String::new(),
        }
    }

    fn axis(reference: Option<&str>) -> Axis {
        let group = |name: &str| Group { name: name.into(), ..Group::default() };
        Axis {
            name: "a".into(),
            reference: reference.map(str::to_owned),
            groups: ["g", "h", "i"].map(group).to_vec(),
            ..Axis::default()
        }
    }

    /// (tone, carrier, group, term, score)
    type Text = (Tone, &'static str, usize, &'static str, f64);

    fn tables(direction: Direction, reference: Option<&str>, texts: &[Text]) -> Vec<Row> {
        let filled: Vec<Filled> = texts
            .iter()
            .map(|&(_, carrier, group, term, _)| Filled {
                carrier: carrier.into(),
                group,
                term: term.into(),
                text: String::new(),
            })
            .collect();
        let scored: Vec<Scored<'_>> = texts
            .iter()
            .zip(&filled)
            .map(|(text, filled)| Scored { tone: Some(text.0), filled, score: Some(text.4) })
            .collect();
        rows(&info(direction), &axis(reference), &scored, &scored)
    }

    /// Worked by hand: two carriers, two terms in g, one in h.
    #[test]
    fn an_offset_is_the_mean_over_carriers_of_the_difference_of_means_over_terms() {
        use Tone::Neutral;
        let texts = [
            (Neutral, "1", 0, "x", 0.6),
            (Neutral, "1", 0, "y", 0.2),
            (Neutral, "1", 1, "z", 0.1),
            (Neutral, "2", 0, "x", 0.5),
            (Neutral, "2", 0, "y", 0.5),
            (Neutral, "2", 1, "z", 0.4),
        ];
        let rows = tables(Direction::Lower, Some("h"), &texts);
        let offset = rows[0].raw.offset.unwrap();
        assert!((offset.offset - 0.2).abs() < 1e-12); // (0.4 − 0.1 + 0.5 − 0.4) / 2
        assert!((offset.se.unwrap() - 0.1).abs() < 1e-12);
        assert_eq!((rows[0].terms, rows[0].carriers, rows[0].texts), (2, 2, 4));
        assert_eq!((rows[1].raw.offset, rows[1].reference.as_str()), (None, ""));
        assert_eq!((rows[2].raw.offset, rows[2].raw.mean), (None, None));
        let whole = rows.last().unwrap();
        assert!((whole.raw.spread.unwrap() - 0.2).abs() < 1e-12);
        // Three of the four texts of g are at 0.5 or above.
        assert_eq!((rows[0].raw.fpr, rows[1].raw.fpr), (Some(0.75), Some(0.0)));
    }

    #[test]
    fn without_a_reference_a_group_is_measured_against_the_mean_of_the_rest() {
        let texts =
            [(Tone::Neutral, "1", 0, "x", 0.6), (Tone::Neutral, "1", 1, "y", 0.2), (Tone::Neutral, "1", 2, "z", 0.4)];
        let rows = tables(Direction::Higher, None, &texts);
        assert!((rows[0].raw.offset.unwrap().offset - 0.3).abs() < 1e-12);
        assert_eq!(rows[0].reference, "rest");
        assert_eq!(rows[0].raw.offset.unwrap().interval, None);
    }

    #[test]
    fn insults_are_the_class_of_toxicity_and_praise_that_of_sentiment() {
        let texts = [
            (Tone::Neutral, "n", 0, "x", 0.7),
            (Tone::Negative, "b", 0, "x", 0.9),
            (Tone::Positive, "p", 0, "x", 0.1),
            (Tone::Neutral, "n", 1, "y", 0.2),
            (Tone::Negative, "b", 1, "y", 0.6),
            (Tone::Positive, "p", 1, "y", 0.1),
        ];
        let toxicity = tables(Direction::Lower, Some("h"), &texts);
        // The insult of h, 0.6, is below g's neutral text and above its praise.
        assert_eq!((toxicity[0].raw.auc.subgroup, toxicity[0].raw.auc.bpsn), (Some(1.0), Some(0.5)));
        assert_eq!(toxicity[0].raw.auc.bnsp, Some(1.0));
        let sentiment = tables(Direction::Higher, Some("h"), &texts);
        assert_eq!(sentiment[0].raw.auc.subgroup, Some(0.0));
        let neither = tables(Direction::Neither, Some("h"), &texts);
        assert_eq!((neither[0].raw.auc.subgroup, neither[0].raw.fpr), (None, None));
        assert!(neither[0].raw.offset.is_some());
    }
}
