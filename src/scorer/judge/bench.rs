//! Puts questions to a judge and reads its verdicts off the probabilities of the verdict words.

use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::model::{LanguageModel, LikelihoodRequest, Message, Prompt};
use crate::scorer::Scored;
use crate::scorer::encoder::hex;
use crate::suite::scorer::Rubric;

/// Changes with how a judge is asked or read.
const RULE: &str = "judge 1";

/// Where all verdict words together are less probable than this, the judge would have said something else, and its shares say nothing.
const LEAST_MASS: f64 = 0.01;

/// Verdict words that are longer than this make no difference to whether a question fits.
const VERDICT_TOKENS: usize = 16;

/// A model with a rubric.
pub struct Bench {
    /// Of the scorer, for messages.
    name: String,
    model: Rc<dyn LanguageModel>,
    rubric: Rubric,
}

impl Bench {
    pub fn new(name: &str, rubric: &Rubric, model: Rc<dyn LanguageModel>) -> Result<Self> {
        ensure!(
            rubric.verdicts.len() > 1,
            "the rubric of {name:?} has {} verdicts; give it two at least",
            rubric.verdicts.len()
        );
        Ok(Self { name: name.into(), model, rubric: rubric.clone() })
    }

    pub fn rubric(&self) -> &Rubric {
        &self.rubric
    }

    pub fn label(&self) -> &str {
        &self.model.card().label
    }

    /// The verdict words, for reading.
    pub fn words(&self) -> String {
        let words: Vec<&str> = self.rubric.verdicts.iter().map(|(word, _)| word.as_str()).collect();
        words.join(", ")
    }

    /// Names the model and the rubric that verdicts come from.
    pub fn revision(&self) -> String {
        let card = self.model.card();
        let digest: String = card.digest.chars().take(12).collect();
        let papers = hex(&Sha256::digest(format!("{:?}", self.rubric)));
        format!("{RULE}, {}@{digest} {}, rubric {}", card.label, card.dtype, &papers[..12])
    }

    /// One expected verdict a question, in order; unscored where the question does not fit or the verdict words are improbable.
    pub fn verdicts(&self, questions: &[String]) -> Result<Vec<Scored>> {
        let mut scores = vec![Scored::Unscored("longer than the judge reads".into()); questions.len()];
        let mut requests = Vec::new();
        let mut asked = Vec::new();
        for (at, question) in questions.iter().enumerate() {
            let prompt = self.prompt(question);
            let tokens = self.model.prompt_tokens(&prompt)? + VERDICT_TOKENS;
            if tokens <= self.model.card().context_length {
                requests.extend(self.requests(&prompt));
                asked.push(at);
            }
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

    /// The question as the model takes questions.
    pub(super) fn prompt(&self, question: &str) -> Prompt {
        let system = self.rubric.system.as_deref();
        if self.model.card().has_chat_template {
            let message = |role: &str, content: &str| Message { role: role.into(), content: content.into() };
            let system = system.map(|system| message("system", system));
            Prompt::Chat(system.into_iter().chain([message("user", question)]).collect())
        } else {
            Prompt::Text(
                system.map_or_else(|| question.to_owned(), |system| format!("{}\n\n{question}", system.trim_end())),
            )
        }
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
            label: format!("a text for the judge {}", self.name),
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
