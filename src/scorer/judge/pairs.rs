//! Lets a language model compare the answers of a counterfactual set two by two, each pair in both orders.
//!
//! A judge favours a place: most models the text that stands first. So the preference of a pair is the mean of both orders, and how often
//! the orders disagree is a score of its own; where that is high the preferences are mostly the place's.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use super::bench::Bench;
use crate::model::LanguageModel;
use crate::scorer::{Answer, Direction, ScoreInfo, Scored, is_empty};
use crate::suite::MaskList;
use crate::suite::scorer::{DISAGREEMENT, Rubric};

/// A tie: no preference for either text.
const TIE: f64 = 0.5;

/// A model with a rubric that compares two answers.
pub struct PairJudge {
    preference: ScoreInfo,
    disagreement: ScoreInfo,
    bench: Bench,
    /// Group words are hidden from the judge.
    hides: bool,
}

/// An answer with its place among those that it is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Contender<'a> {
    /// The counterfactual set.
    pub set: &'a str,
    pub group: &'a str,
    pub term: &'a str,
    pub sample: u32,
    pub answer: Answer<'a>,
}

/// What the comparisons of one answer say.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// How much it is preferred over the set's groups, in [0, 1]; its own group counts as a tie, so that the gap between two groups is how
    /// much one is preferred over the other, less a half. 0.5 is no preference.
    pub preference: Scored,
    /// Share of its comparisons in which the two orders prefer different texts.
    pub disagreement: Scored,
}

/// Two answers of different groups, by their numbers.
struct Pair {
    first: usize,
    second: usize,
}

/// A pair's outcome: how much the first is preferred, and whether the orders disagree; or why there is none.
type Outcome = Result<(f64, bool), String>;

impl PairJudge {
    pub fn new(name: &str, rubric: &Rubric, model: Rc<dyn LanguageModel>, hides: bool) -> Result<Self> {
        let bench = Bench::new(name, rubric, model)?;
        let raw = if hides { "" } else { "; group words not hidden" };
        let (label, words) = (bench.label(), bench.words());
        let info = |name: String, unit: &str, direction, meaning| ScoreInfo {
            name,
            unit: unit.into(),
            range: (0.0, 1.0),
            direction,
            revision: format!("pairs 1, {}{raw}", bench.revision()),
            meaning,
        };
        let preference = info(
            name.into(),
            "preference",
            Direction::from(rubric.better),
            format!(
                "preference of {label} for the answer over those of its set, both orders, expected over {words}{raw}"
            ),
        );
        let disagreement = info(
            format!("{name}{DISAGREEMENT}"),
            "share",
            Direction::Lower,
            format!("share of the answer's comparisons by {label} in which the two orders prefer different texts{raw}"),
        );
        Ok(Self { preference, disagreement, bench, hides })
    }

    /// The two scores of an answer, preference first.
    pub fn infos(&self) -> [&ScoreInfo; 2] {
        [&self.preference, &self.disagreement]
    }

    /// Compares the answers of each set: i-th with i-th of every two groups, by term and sample; a shorter group begins again. Answers of
    /// equal text are a tie that nobody is asked about. One outcome a contender, in order.
    ///
    /// # Errors
    /// When the judge cannot be asked.
    pub fn compare(&self, contenders: &[Contender<'_>]) -> Result<Vec<Compared>> {
        let pairs = pairs(contenders);
        let outcomes = self.outcomes(contenders, &pairs)?;
        let mut of_contender: Vec<BTreeMap<&str, Vec<Outcome>>> = vec![BTreeMap::new(); contenders.len()];
        for (Pair { first, second }, outcome) in pairs.iter().zip(outcomes) {
            let other = outcome.clone().map(|(share, disagrees)| (1.0 - share, disagrees));
            of_contender[*first].entry(contenders[*second].group).or_default().push(outcome);
            of_contender[*second].entry(contenders[*first].group).or_default().push(other);
        }
        Ok(contenders.iter().zip(of_contender).map(|(contender, met)| summary(&contender.answer, &met)).collect())
    }

    fn outcomes(&self, contenders: &[Contender<'_>], pairs: &[Pair]) -> Result<Vec<Outcome>> {
        let shown: Vec<[String; 2]> = contenders.iter().map(|contender| self.shown(&contender.answer)).collect();
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(pairs.len());
        let (mut questions, mut asked) = (Vec::new(), Vec::new());
        for (at, &Pair { first, second }) in pairs.iter().enumerate() {
            if is_empty(&contenders[first].answer) || is_empty(&contenders[second].answer) {
                outcomes.push(Err("empty".into()));
                continue;
            }
            outcomes.push(Ok((TIE, false)));
            let ask = |a: usize, b: usize| self.bench.rubric().compare(&shown[a][0], &shown[a][1], &shown[b][1]);
            let orders = [ask(first, second)?, ask(second, first)?];
            if orders[0] != orders[1] {
                questions.extend(orders);
                asked.push(at);
            }
        }
        let verdicts = self.bench.verdicts(&questions)?;
        for (at, orders) in asked.into_iter().zip(verdicts.chunks_exact(2)) {
            outcomes[at] = match orders {
                [Scored::Value(there), Scored::Value(back)] => {
                    let back = 1.0 - back;
                    Ok((f64::midpoint(*there, back), (there - TIE) * (back - TIE) < 0.0))
                }
                [Scored::Unscored(reason), _] | [_, Scored::Unscored(reason)] => Err(reason.clone()),
                _ => unreachable!("orders come in twos"),
            };
        }
        Ok(outcomes)
    }

    /// Prompt and text as the judge sees them.
    fn shown(&self, answer: &Answer<'_>) -> [String; 2] {
        let nothing = MaskList::default();
        let mask = if self.hides { answer.mask } else { &nothing };
        [mask.apply(answer.prompt), mask.apply(answer.text)]
    }
}

fn pairs(contenders: &[Contender<'_>]) -> Vec<Pair> {
    let mut sets: BTreeMap<&str, BTreeMap<&str, Vec<usize>>> = BTreeMap::new();
    for (at, contender) in contenders.iter().enumerate() {
        sets.entry(contender.set).or_default().entry(contender.group).or_default().push(at);
    }
    let mut pairs = Vec::new();
    for groups in sets.into_values() {
        let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
        groups.iter_mut().for_each(|group| group.sort_by_key(|&at| (contenders[at].term, contenders[at].sample)));
        for (index, own) in groups.iter().enumerate() {
            for other in &groups[index + 1..] {
                let places = 0..own.len().max(other.len());
                pairs.extend(places.map(|at| Pair { first: own[at % own.len()], second: other[at % other.len()] }));
            }
        }
    }
    pairs
}

fn summary(answer: &Answer<'_>, met: &BTreeMap<&str, Vec<Outcome>>) -> Compared {
    let unscored = |reason: String| Compared {
        preference: Scored::Unscored(reason.clone()),
        disagreement: Scored::Unscored(reason),
    };
    if is_empty(answer) {
        return unscored("empty".into());
    }
    let told = |outcomes: &Vec<Outcome>| outcomes.iter().filter_map(|outcome| outcome.clone().ok()).collect::<Vec<_>>();
    let by_group: Vec<Vec<(f64, bool)>> = met.values().map(told).filter(|told| !told.is_empty()).collect();
    if by_group.is_empty() {
        let reason = met.values().flatten().find_map(|outcome| outcome.clone().err());
        return unscored(match reason.as_deref() {
            None | Some("empty") => "nothing to compare with".into(),
            Some(reason) => reason.to_owned(),
        });
    }
    let above_tie: f64 =
        by_group.iter().map(|met| met.iter().map(|(share, _)| share - TIE).sum::<f64>() / met.len() as f64).sum();
    let all: Vec<bool> = by_group.iter().flatten().map(|(_, disagrees)| *disagrees).collect();
    let disagree = all.iter().filter(|disagrees| **disagrees).count();
    Compared {
        preference: Scored::Value(TIE + above_tie / (by_group.len() + 1) as f64),
        disagreement: Scored::Value(disagree as f64 / all.len() as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::scripted::ScriptedModel;
    use crate::suite::scorer::Better;

    /// Prefers the first text by 0.6, and a text that says "warm" by 0.9 wherever it stands.
    const SCRIPT: &str = "\
likely:
  - { when: \"1: warm\", text: first, probability: 0.9 }
  - { when: \"1: warm\", text: second, probability: 0.1 }
  - { when: \"2: warm\", text: first, probability: 0.1 }
  - { when: \"2: warm\", text: second, probability: 0.9 }
  - { text: first, probability: 0.6 }
  - { text: second, probability: 0.4 }
";

    fn judge(hides: bool) -> PairJudge {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script.yaml");
        std::fs::write(&path, SCRIPT).unwrap();
        let rubric = Rubric {
            question: "Which is warmer?\n1: {{ first }}\n2: {{ second }}".into(),
            system: None,
            lead: None,
            verdicts: vec![("first".into(), 1.0), ("second".into(), 0.0)],
            better: Better::Higher,
        };
        PairJudge::new("warmer", &rubric, Rc::new(ScriptedModel::read(&path).unwrap()), hides).unwrap()
    }

    /// (group, text), all of one set, with a term each.
    fn compare(judge: &PairJudge, mask: &MaskList, texts: &[(&str, &str)]) -> Vec<Compared> {
        let contender = |(group, text): &(&'static str, &'static str)| (*group, *text);
        let texts: Vec<(&'static str, &'static str)> =
            texts.iter().map(|(group, text)| (&*String::from(*group).leak(), &*String::from(*text).leak())).collect();
        let contenders: Vec<Contender<'_>> = texts
            .iter()
            .map(contender)
            .map(|(group, text)| Contender { set: "s", group, term: "t", sample: 0, answer: Answer::of(text, mask) })
            .collect();
        judge.compare(&contenders).unwrap()
    }

    fn values(compared: &[Compared]) -> Vec<(f64, f64)> {
        let value = |scored: &Scored| match scored {
            Scored::Value(value) => *value,
            Scored::Unscored(reason) => panic!("{reason}"),
        };
        compared.iter().map(|one| (value(&one.preference), value(&one.disagreement))).collect()
    }

    fn close(got: &[(f64, f64)], want: &[(f64, f64)]) {
        for (got, want) in got.iter().zip(want) {
            assert!((got.0 - want.0).abs() < 1e-9 && got.1 == want.1, "{got:?}, not {want:?}");
        }
        assert_eq!(got.len(), want.len());
    }

    #[test]
    fn a_preference_for_the_place_alone_is_no_preference_and_shows_as_disagreement() {
        let found = values(&compare(&judge(true), &MaskList::default(), &[("a", "cool"), ("b", "mild")]));
        close(&found, &[(0.5, 1.0), (0.5, 1.0)]);
    }

    #[test]
    fn the_gap_of_two_groups_is_the_preference_less_a_half_in_sets_of_any_size() {
        let two = values(&compare(&judge(true), &MaskList::default(), &[("a", "warm"), ("b", "mild")]));
        close(&two, &[(0.7, 0.0), (0.3, 0.0)]);
        let three =
            values(&compare(&judge(true), &MaskList::default(), &[("a", "warm"), ("b", "mild"), ("c", "cool")]));
        let third = 0.4 / 3.0;
        close(&three, &[(0.5 + 2.0 * third, 0.0), (0.5 - third, 0.5), (0.5 - third, 0.5)]);
        assert!((three[0].0 - three[1].0 - 0.4).abs() < 1e-9);
    }

    #[test]
    fn swapping_the_groups_swaps_the_preferences() {
        let there = values(&compare(&judge(true), &MaskList::default(), &[("a", "warm"), ("b", "mild")]));
        let back = values(&compare(&judge(true), &MaskList::default(), &[("a", "mild"), ("b", "warm")]));
        assert_eq!(there, [back[1], back[0]]);
    }

    #[test]
    fn answers_that_differ_in_group_words_alone_are_a_tie_unless_the_words_are_shown() {
        let mask = MaskList { words: vec![("warm".into(), "XYZ".into()), ("mild".into(), "XYZ".into())] };
        let texts = [("a", "warm"), ("b", "mild")];
        assert_eq!(values(&compare(&judge(true), &mask, &texts)), [(0.5, 0.0), (0.5, 0.0)]);
        close(&values(&compare(&judge(false), &mask, &texts)), &[(0.7, 0.0), (0.3, 0.0)]);
    }

    #[test]
    fn an_answer_without_another_to_compare_with_is_unscored() {
        let found = compare(&judge(true), &MaskList::default(), &[("a", "warm"), ("b", " ")]);
        assert_eq!(found[0].preference, Scored::Unscored("nothing to compare with".into()));
        assert_eq!(found[1].preference, Scored::Unscored("empty".into()));
        let alone = compare(&judge(true), &MaskList::default(), &[("a", "warm")]);
        assert_eq!(alone[0].disagreement, Scored::Unscored("nothing to compare with".into()));
    }
}
