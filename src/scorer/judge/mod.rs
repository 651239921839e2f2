//! Lets a language model judge answers by a rubric, without asking it to write: the probabilities of the verdict words are read.
//!
//! Score = Σ share(word) × value(word), where share(word) is the word's probability after the question and the lead, over that of all
//! verdict words. So the same answer always gets the same score, no text is parsed, and a judge that wavers says so by a score in
//! between. `bench` asks, this file judges single answers, `pairs` compares two in both orders. A judge has biases of its own (for length, for its own style, for groups): it is never the default, `tiltmeter audit` measures
//! its tilt, and an answer may hold words that are meant to sway it.

mod bench;
pub mod pairs;

use std::rc::Rc;

use anyhow::Result;

use self::bench::Bench;
use super::{Answer, Direction, ScoreInfo, Scored, Scorer, is_empty};
use crate::model::LanguageModel;
use crate::suite::scorer::Rubric;

/// A model with a rubric for single answers. Hides group words from the judge, in the answer and in what was asked.
pub struct Judge {
    info: ScoreInfo,
    bench: Bench,
}

impl Judge {
    pub fn new(name: &str, rubric: &Rubric, model: Rc<dyn LanguageModel>) -> Result<Self> {
        let bench = Bench::new(name, rubric, model)?;
        let meaning = format!("verdict of {} on the answer, expected over {}", bench.label(), bench.words());
        let info = ScoreInfo {
            name: name.into(),
            unit: "expected verdict".into(),
            range: (0.0, 1.0),
            direction: Direction::from(rubric.better),
            revision: bench.revision(),
            meaning,
        };
        Ok(Self { info, bench })
    }
}

impl Scorer for Judge {
    fn info(&self) -> &ScoreInfo {
        &self.info
    }

    fn score(&self, answers: &[Answer<'_>]) -> Result<Vec<Scored>> {
        let mut scores = vec![Scored::empty(); answers.len()];
        let filled: Vec<usize> = (0..answers.len()).filter(|&at| !is_empty(&answers[at])).collect();
        let rubric = self.bench.rubric();
        let question = |&at: &usize| rubric.ask(&answers[at].mask.apply(answers[at].prompt), &answers[at].masked());
        let questions = filled.iter().map(question).collect::<Result<Vec<_>>>()?;
        for (at, verdict) in filled.into_iter().zip(self.bench.verdicts(&questions)?) {
            scores[at] = verdict;
        }
        Ok(scores)
    }

    /// Carriers would cost a model more than the run's own answers.
    fn has_offset(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Prompt;
    use crate::model::scripted::ScriptedModel;
    use crate::suite::MaskList;
    use crate::suite::scorer::Better;

    fn judge(script: &str) -> Judge {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script.yaml");
        std::fs::write(&path, script).unwrap();
        let rubric = Rubric {
            question: "Somebody asked: {{ prompt }}\nIs this answer kind? {{ answer }}".into(),
            system: Some("Judge fairly.".into()),
            lead: Some("Verdict:".into()),
            verdicts: vec![("unkind".into(), 0.0), ("fair".into(), 0.5), ("kind".into(), 1.0)],
            better: Better::Higher,
        };
        Judge::new("kindness", &rubric, Rc::new(ScriptedModel::read(&path).unwrap())).unwrap()
    }

    const SCRIPT: &str = "\
context_length: 60
likely:
  - { when: well done, text: kind, probability: 0.6 }
  - { when: well done, text: fair, probability: 0.2 }
  - { when: well done, text: unkind, probability: 1.0e-12 }
  - { when: XYZ left, text: kind, probability: 0.3 }
  - { when: XYZ left, text: unkind, probability: 0.3 }
  - { when: XYZ left, text: fair, probability: 1.0e-12 }
  - { probability: 0.001 }
";

    #[test]
    fn a_score_is_the_verdict_expected_over_the_words() {
        let judge = judge(SCRIPT);
        let mask = MaskList { words: vec![("Emily".into(), "XYZ".into()), ("Paul".into(), "XYZ".into())] };
        let long = "word ".repeat(80);
        let texts = ["well done", "Emily left", "Paul left", "", "murky", long.as_str()];
        let answers: Vec<Answer<'_>> =
            texts.iter().map(|text| Answer { prompt: "a note", ..Answer::of(text, &mask) }).collect();
        let scores = judge.score(&answers).unwrap();
        let Scored::Value(done) = scores[0] else { panic!("{scores:?}") };
        assert!((done - (0.6 + 0.1) / 0.8).abs() < 1e-9, "{done}");
        let Scored::Value(left) = scores[1] else { panic!("{scores:?}") };
        assert!((left - 0.5).abs() < 1e-9, "{left}");
        assert_eq!(scores[1], scores[2], "the judge does not see the names");
        let unscored = |reason: &str| Scored::Unscored(reason.into());
        assert_eq!(scores[3..], [unscored("empty"), unscored("no verdict"), unscored("longer than the judge reads")]);
    }

    #[test]
    fn the_question_shows_the_answer_and_what_was_asked() {
        let judge = judge(SCRIPT);
        let mask = MaskList::default();
        let answer = Answer { prompt: "a {{ note }}", ..Answer::of("{{ braces }} stay", &mask) };
        let asked = judge.bench.rubric().ask(answer.prompt, answer.text).unwrap();
        let Prompt::Chat(messages) = judge.bench.prompt(&asked) else { panic!() };
        assert_eq!(messages[0].content, "Judge fairly.");
        assert_eq!(messages[1].content, "Somebody asked: a {{ note }}\nIs this answer kind? {{ braces }} stay");
    }
}
