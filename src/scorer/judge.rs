//! Lets a language model judge answers by a rubric, without asking it to write: the probabilities of the verdict words are read.
//!
//! Score = Σ share(word) × value(word), where share(word) is the word's probability after the question and the lead, over that of all
//! verdict words. So the same answer always gets the same score, no text is parsed, and a judge that wavers says so by a score in
//! between. A judge has biases of its own (for length, for its own style, for groups): it is never the default, `tiltmeter audit` measures
//! its tilt, and an answer may hold words that are meant to sway it.

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::encoder::hex;
use super::{Answer, Direction, ScoreInfo, Scored, Scorer, is_empty};
use crate::model::{LanguageModel, LikelihoodRequest, Message, Prompt};
use crate::suite::scorer::Rubric;

/// Changes with how a judge is asked or read.
const RULE: &str = "judge 1";

/// Where all verdict words together are less probable than this, the judge would have said something else, and its shares say nothing.
const LEAST_MASS: f64 = 0.01;

/// Verdict words that are longer than this make no difference to whether a question fits.
const VERDICT_TOKENS: usize = 16;

/// A model with a rubric. Hides group words from the judge, in the answer and in what was asked.
pub struct Judge {
    info: ScoreInfo,
    model: Box<dyn LanguageModel>,
    rubric: Rubric,
}

impl Judge {
    pub fn new(name: &str, rubric: &Rubric, model: Box<dyn LanguageModel>) -> Result<Self> {
        ensure!(
            rubric.verdicts.len() > 1,
            "the rubric of {name:?} has {} verdicts; give it two at least",
            rubric.verdicts.len()
        );
        let card = model.card();
        let digest: String = card.digest.chars().take(12).collect();
        let papers = hex(&Sha256::digest(format!("{rubric:?}")));
        let words: Vec<&str> = rubric.verdicts.iter().map(|(word, _)| word.as_str()).collect();
        let info = ScoreInfo {
            name: name.into(),
            unit: "expected verdict".into(),
            range: (0.0, 1.0),
            direction: Direction::from(rubric.better),
            revision: format!("{RULE}, {}@{digest} {}, rubric {}", card.label, card.dtype, &papers[..12]),
            meaning: format!("verdict of {} on the answer, expected over {}", card.label, words.join(", ")),
        };
        Ok(Self { info, model, rubric: rubric.clone() })
    }

    /// The question with the answer in it, as the model takes questions.
    fn question(&self, answer: &Answer<'_>) -> Result<Prompt> {
        let asked = self.rubric.ask(&answer.mask.apply(answer.prompt), &answer.masked())?;
        let system = self.rubric.system.as_deref();
        Ok(if self.model.card().has_chat_template {
            let message = |role: &str, content: &str| Message { role: role.into(), content: content.into() };
            let system = system.map(|system| message("system", system));
            Prompt::Chat(system.into_iter().chain([message("user", &asked)]).collect())
        } else {
            Prompt::Text(system.map_or_else(|| asked.clone(), |system| format!("{}\n\n{asked}", system.trim_end())))
        })
    }

    /// The verdict words after one question.
    fn requests(&self, context: &Prompt) -> impl Iterator<Item = LikelihoodRequest> {
        let lead = match (&self.rubric.lead, context) {
            (None, _) => String::new(),
            (Some(lead), Prompt::Chat(_)) => lead.clone(),
            (Some(lead), Prompt::Text(_)) => format!("\n{lead}"),
        };
        // A word begins with a blank, but for the first one of a chat's answer.
        let is_first = lead.is_empty() && matches!(context, Prompt::Chat(_));
        let gap = if is_first || lead.ends_with(char::is_whitespace) { "" } else { " " };
        self.rubric.verdicts.iter().map(move |(word, _)| LikelihoodRequest {
            label: format!("a text for the judge {}", self.info.name),
            context: context.clone(),
            lead: lead.clone(),
            continuation: format!("{gap}{word}"),
        })
    }

    fn expected(&self, nats: &[f64]) -> Scored {
        let probabilities: Vec<f64> = nats.iter().map(|nats| nats.exp()).collect();
        let mass: f64 = probabilities.iter().sum();
        if !mass.is_finite() || mass < LEAST_MASS {
            return Scored::Unscored("no verdict".into());
        }
        let values = self.rubric.verdicts.iter().map(|(_, value)| value);
        let expected: f64 =
            probabilities.iter().zip(values).map(|(probability, value)| probability / mass * value).sum();
        Scored::Value(expected.clamp(0.0, 1.0))
    }
}

impl Scorer for Judge {
    fn info(&self) -> &ScoreInfo {
        &self.info
    }

    fn score(&self, answers: &[Answer<'_>]) -> Result<Vec<Scored>> {
        let mut scores = vec![Scored::empty(); answers.len()];
        let mut requests = Vec::new();
        let mut asked = Vec::new();
        for (at, answer) in answers.iter().enumerate().filter(|(_, answer)| !is_empty(answer)) {
            let question = self.question(answer)?;
            let tokens = self.model.prompt_tokens(&question)? + VERDICT_TOKENS;
            if tokens > self.model.card().context_length {
                scores[at] = Scored::Unscored("longer than the judge reads".into());
                continue;
            }
            requests.extend(self.requests(&question));
            asked.push(at);
        }
        let mut nats = vec![None; requests.len()];
        self.model.log_likelihood(&requests, &mut |index, likelihood| {
            nats[index] = Some(likelihood.nats);
            Ok(())
        })?;
        let nats: Vec<f64> = nats.into_iter().collect::<Option<_>>().context("the judge left a question unanswered")?;
        for (at, nats) in asked.into_iter().zip(nats.chunks(self.rubric.verdicts.len())) {
            scores[at] = self.expected(nats);
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
        Judge::new("kindness", &rubric, Box::new(ScriptedModel::read(&path).unwrap())).unwrap()
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
        let Prompt::Chat(messages) = judge.question(&answer).unwrap() else { panic!() };
        assert_eq!(messages[0].content, "Judge fairly.");
        assert_eq!(messages[1].content, "Somebody asked: a {{ note }}\nIs this answer kind? {{ braces }} stay");
    }
}
