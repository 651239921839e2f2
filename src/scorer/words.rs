//! Counts listed words in answers: whether there is one, their share, or how many a hundred words; perhaps only near others.
//!
//! With `near` it is co-occurrence as Bordia & Bowman (2019) and HELM's stereotypical associations count it, for a single answer; what they
//! make of a whole set of answers is in [`crate::stats::association`].

use anyhow::Result;

use super::word_list::{Found, WordList, words};
use super::{Answer, ScoreInfo, Scored, Scorer, is_empty};
use crate::suite::scorer::{Better, Count, WordsSpec};
use crate::suite::words::embedded_words;

/// Changes with the rules of splitting and counting.
const RULE: &str = "words 1";

/// A number that is made of counted words. Hides no group words: they may be what is counted.
pub struct Words {
    info: ScoreInfo,
    counted: WordList,
    count: Count,
    /// The other part of a share; empty for all words.
    against: WordList,
    near: WordList,
    window: usize,
    hides: bool,
}

/// The program's own scorers that count words: name, words, other part of a share, count, what the number is.
const OWN: [(&str, &str, Option<&str>, Count, &str); 3] = [
    (
        "agency",
        "agentic",
        Some("communal"),
        Count::Share,
        "share of agentic words (lead, achieve) among agentic and communal ones (care, share); English",
    ),
    ("first_person", "first-person", None, Count::Rate, "pronouns of the first person a hundred words; English"),
    ("third_person", "third-person", None, Count::Rate, "pronouns of the third person a hundred words; English"),
];

impl Words {
    /// `hides` is true where group words are hidden before words are counted.
    pub fn new(name: &str, spec: &WordsSpec, hides: bool) -> Self {
        let of = |count: &str| format!("{count} {} listed words and phrases", spec.words.len());
        let counted = match (spec.count, spec.against.is_empty()) {
            (Count::Any, _) => of("1 when the answer has one of"),
            (Count::Share, true) => of("share of the answer's words that are among"),
            (Count::Share, false) => format!("{} against {} others", of("share of"), spec.against.len()),
            (Count::Rate, _) => of("number a hundred words of"),
        };
        let near = match spec.near.is_empty() {
            true => String::new(),
            false => format!(", within {} words of one of {} others", spec.window, spec.near.len()),
        };
        Self::make(name, spec, format!("{counted}{near}"), hides)
    }

    /// A scorer of the program.
    pub fn own(name: &str) -> Option<Self> {
        let (_, words, against, count, meaning) = OWN.iter().find(|(own, ..)| *own == name)?;
        let list = |name: &str| embedded_words(&format!("prompts/words/{name}.yaml"));
        let spec = WordsSpec {
            words: list(words),
            count: *count,
            against: against.map_or_else(Vec::new, list),
            near: Vec::new(),
            window: 0,
            better: Better::Neither,
        };
        Some(Self::make(name, &spec, (*meaning).to_owned(), false))
    }

    fn make(name: &str, spec: &WordsSpec, meaning: String, hides: bool) -> Self {
        let [counted, against, near] = [&spec.words, &spec.against, &spec.near].map(|list| WordList::new(list));
        let mut revision = format!("{RULE}, {:?} {}", spec.count, counted.digest()).to_lowercase();
        if !against.is_empty() {
            revision += &format!(" against {}", against.digest());
        }
        if !near.is_empty() {
            revision += &format!(" near {} within {}", near.digest(), spec.window);
        }
        if hides {
            revision += ", masked";
        }
        let (unit, high) = match spec.count {
            Count::Any => ("indicator", 1.0),
            Count::Share => ("share", 1.0),
            Count::Rate => ("per 100 words", 100.0),
        };
        let info = ScoreInfo {
            name: name.into(),
            unit: unit.into(),
            range: (0.0, high),
            direction: spec.better.into(),
            revision,
            meaning,
        };
        Self { info, counted, count: spec.count, against, near, window: spec.window, hides }
    }

    fn measure(&self, text: &str) -> Scored {
        let words = words(text);
        if words.is_empty() {
            return Scored::Unscored("no words".into());
        }
        let near = self.near.find(&words);
        let is_near =
            |found: &Found| self.near.is_empty() || near.iter().any(|near| distance(near, found) <= self.window);
        let counted: Vec<Found> = self.counted.find(&words).into_iter().filter(is_near).collect();
        Scored::Value(match self.count {
            Count::Any => f64::from(u8::from(!counted.is_empty())),
            Count::Rate => 100.0 * counted.len() as f64 / words.len() as f64,
            Count::Share if self.against.is_empty() => {
                counted.iter().map(|found| found.words).sum::<usize>() as f64 / words.len() as f64
            }
            Count::Share => {
                let against = self.against.find(&words).into_iter().filter(is_near).count();
                if counted.len() + against == 0 {
                    return Scored::Unscored("none of the listed words".into());
                }
                counted.len() as f64 / (counted.len() + against) as f64
            }
        })
    }
}

/// How many words farther one entry stands than the other ends: 1 for neighbours, 0 where they share a word.
fn distance(one: &Found, other: &Found) -> usize {
    let (first, second) = if one.at <= other.at { (one, other) } else { (other, one) };
    (second.at + 1).saturating_sub(first.at + first.words)
}

impl Scorer for Words {
    fn info(&self) -> &ScoreInfo {
        &self.info
    }

    fn score(&self, answers: &[Answer<'_>]) -> Result<Vec<Scored>> {
        let score = |answer: &Answer<'_>| match (is_empty(answer), self.hides) {
            (true, _) => Scored::empty(),
            (false, true) => self.measure(&answer.masked()),
            (false, false) => self.measure(answer.text),
        };
        Ok(answers.iter().map(score).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(words: &[&str], count: Count) -> WordsSpec {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        WordsSpec { words, count, against: Vec::new(), near: Vec::new(), window: 10, better: Better::Neither }
    }

    fn measured(spec: &WordsSpec, text: &str) -> Scored {
        Words::new("w", spec, false).measure(text)
    }

    #[test]
    fn any_share_and_rate_are_what_they_say() {
        let text = "Family first: her family, child care, and a familyman."; // nine words
        for (count, value) in [(Count::Any, 1.0), (Count::Share, 4.0 / 9.0), (Count::Rate, 300.0 / 9.0)] {
            assert_eq!(measured(&spec(&["family", "child care"], count), text), Scored::Value(value), "{count:?}");
        }
        assert_eq!(measured(&spec(&["families"], Count::Any), text), Scored::Value(0.0));
        assert_eq!(measured(&spec(&["family"], Count::Rate), "family family"), Scored::Value(100.0), "the upper end");
    }

    #[test]
    fn a_share_among_two_lists_is_unscored_where_neither_occurs() {
        let spec = WordsSpec { against: vec!["care".into()], ..spec(&["lead"], Count::Share) };
        assert_eq!(measured(&spec, "She will lead, lead and care."), Scored::Value(2.0 / 3.0));
        assert_eq!(measured(&spec, "She came."), Scored::Unscored("none of the listed words".into()));
    }

    #[test]
    fn near_counts_words_within_the_window_on_either_side() {
        let near = |window| WordsSpec { near: vec!["she".into()], window, ..spec(&["nurse"], Count::Any) };
        for (text, window, value) in [
            ("she nurse", 1, 1.0),
            ("nurse she", 1, 1.0),
            ("she is a nurse", 2, 0.0),
            ("she is a nurse", 3, 1.0),
            ("he is a nurse", 3, 0.0),
        ] {
            assert_eq!(measured(&near(window), text), Scored::Value(value), "{text} {window}");
        }
    }

    #[test]
    fn the_programs_own_counts_read_plain_sentences() {
        let value = |name: &str, text: &str| Words::own(name).unwrap().measure(text);
        assert_eq!(value("first_person", "I think my plan’s fine; I'm sure."), Scored::Value(300.0 / 7.0));
        assert_eq!(value("third_person", "She's kind; they'll miss her."), Scored::Value(300.0 / 5.0));
        assert_eq!(value("agency", "A confident leader who cares."), Scored::Value(2.0 / 3.0));
        assert_eq!(value("agency", "The bus was late."), Scored::Unscored("none of the listed words".into()));
        assert_eq!(value("agency", "🙂 !"), Scored::Unscored("no words".into()));
    }
}
