//! Puts the cases of a suite to a model, each as its probe asks: `generate` lets it write, `choice` and `likelihood` read probabilities.

pub mod choice;
pub mod generate;
pub mod likelihood;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use serde_json::Value;

use crate::model::{LanguageModel, Likelihood, LikelihoodRequest, Message, ModelCard, Prompt};
use crate::record::{ResponseRow, table};
use crate::suite::{AskAs, Case, Probe, ProbeKind, Suite, Turn};

/// The answers that are there, by case and sample.
pub type Answered = BTreeMap<(String, u32), ResponseRow>;

/// Takes the rows of an answer as it ends, one a case.
pub type Commit<'a> = &'a mut dyn FnMut(Vec<ResponseRow>) -> Result<()>;

/// What is put to a model: cases of a set that are equal in it are asked once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Asked<'a> {
    system: Option<&'a str>,
    turns: &'a [Turn],
    prompt: &'a str,
    continuation: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn of(case: &'a Case) -> Self {
        Asked {
            system: case.system.as_deref(),
            turns: &case.turns,
            prompt: &case.prompt,
            continuation: case.continuation.as_deref(),
        }
    }
}

/// Everything that a run asks.
#[derive(Default)]
pub struct Questions {
    pub generate: Vec<generate::Question>,
    pub choice: Vec<choice::Question>,
    pub likelihood: Vec<likelihood::Question>,
}

impl Questions {
    /// The questions of a suite's cases, which are sorted by id.
    ///
    /// # Errors
    /// When a probe wants a chat of a model without a chat template.
    pub fn of(suite: &Suite, cases: &[Case], card: &ModelCard, run_seed: u64) -> Result<Self> {
        let mut questions = Questions::default();
        for probe in &suite.probes {
            let cases: Vec<&Case> = cases.iter().filter(|case| case.probe == probe.kind()).collect();
            match probe {
                Probe::Generate(spec) => questions.generate = generate::questions(spec, &cases, card, run_seed)?,
                Probe::Choice(spec) => questions.choice = choice::questions(spec, &cases, card)?,
                Probe::Likelihood(spec) => questions.likelihood = likelihood::questions(spec, &cases, card)?,
            }
        }
        Ok(questions)
    }

    /// Cases that answers stand for, with the sample, question by question.
    fn wanted(&self) -> impl Iterator<Item = (&[String], u32)> {
        let generate = self.generate.iter().map(|question| (question.cases.as_slice(), question.sample));
        let choice = self.choice.iter().map(|question| (question.cases.as_slice(), 0));
        let likelihood = self.likelihood.iter().map(|question| (question.cases.as_slice(), 0));
        generate.chain(choice).chain(likelihood)
    }

    /// Every (case, sample) that has an answer in the end.
    pub fn answers(&self) -> BTreeSet<(&str, u32)> {
        self.wanted().flat_map(|(cases, sample)| cases.iter().map(move |case| (case.as_str(), sample))).collect()
    }

    pub fn count(&self) -> usize {
        self.wanted().count()
    }

    /// Questions of which every case has its answer.
    pub fn answered(&self, answered: &Answered) -> usize {
        self.wanted().filter(|(cases, sample)| is_answered(cases, *sample, answered)).count()
    }

    /// Tokens that are read, as `count` counts them: each prompt once, since its samples share it, and what is scored.
    pub fn prompt_tokens(&self, count: &dyn Fn(&Prompt) -> Result<usize>) -> Result<usize> {
        let mut tokens = 0;
        for question in self.generate.iter().filter(|question| question.sample == 0) {
            tokens += count(&question.request.prompt)?;
        }
        let read = self.choice.iter().map(Reading::requests);
        for requests in read.chain(self.likelihood.iter().map(Reading::requests)) {
            tokens += requests.first().map_or(Ok(0), |request| count(&request.context))?;
            for request in requests {
                tokens += count(&Prompt::Text(format!("{}{}", request.lead, request.continuation)))?;
            }
        }
        Ok(tokens)
    }

    /// New tokens that all answers together may have.
    pub fn max_new_tokens(&self) -> usize {
        self.generate.iter().map(|question| question.request.sampling.max_new_tokens).sum()
    }

    /// Errs, naming the case, unless everything that is put to the model fits into its context.
    pub fn check_fit(&self, model: &dyn LanguageModel) -> Result<()> {
        let context = model.card().context_length;
        let refuse = |case: &str, what: &str| {
            bail!(
                "case {case}: {what}, but the context of model {} holds {context}; shorten the template, lower \
                 max_new_tokens, or take a model with a longer context",
                model.card().label
            )
        };
        for question in self.generate.iter().filter(|question| question.sample == 0) {
            let request = &question.request;
            let (prompt, answer) = (model.prompt_tokens(&request.prompt)?, request.sampling.max_new_tokens);
            if prompt + answer > context {
                refuse(&request.label, &format!("its prompt has {prompt} tokens and its answer may have {answer}"))?;
            }
        }
        let read = self.choice.iter().flat_map(Reading::requests);
        for request in read.chain(self.likelihood.iter().flat_map(Reading::requests)) {
            let after = Prompt::Text(format!("{}{}", request.lead, request.continuation));
            let (before, after) = (model.prompt_tokens(&request.context)?, model.prompt_tokens(&after)?);
            if before + after > context {
                refuse(&request.label, &format!("its text has about {} tokens", before + after))?;
            }
        }
        Ok(())
    }

    /// Asks the model whatever `answered` lacks.
    pub fn ask(&self, answered: &Answered, model: &dyn LanguageModel, commit: Commit<'_>) -> Result<()> {
        read(&self.choice, answered, model, commit)?;
        generate::ask(&self.generate, answered, model, commit)?;
        read(&self.likelihood, answered, model, commit)
    }
}

/// What a score of a probe is, for the manifest.
pub struct ScoreInfo {
    pub name: String,
    pub unit: &'static str,
    pub range: (f64, f64),
    pub meaning: String,
}

/// The scores that probes themselves give to these cases, sorted by probe.
pub fn scores(cases: &[Case]) -> Vec<ScoreInfo> {
    let probability =
        |name: String, meaning: String| ScoreInfo { name, unit: "probability", range: (0.0, 1.0), meaning };
    let mut options: Vec<&str> = Vec::new();
    for case in cases.iter().filter(|case| case.probe == ProbeKind::Choice) {
        for option in &case.options {
            if !options.contains(&option.id.as_str()) {
                options.push(&option.id);
            }
        }
    }
    options.sort_unstable();
    let mut scores = Vec::new();
    for id in &options {
        scores.push(probability(
            format!("choice.{id}"),
            format!("share of the option {id} in the probability of all options"),
        ));
    }
    if !options.is_empty() {
        scores.push(probability("choice.mass".into(), "probability of all options together".into()));
    }
    if cases.iter().any(|case| case.probe == ProbeKind::Likelihood) {
        let nats = |name: &str, meaning: &str| ScoreInfo {
            name: format!("likelihood.{name}"),
            unit: "nats",
            range: (f64::NEG_INFINITY, 0.0),
            meaning: meaning.into(),
        };
        scores.push(nats("total", "log-probability of the text"));
        scores.push(nats("per_token", "log-probability of the text a token"));
        scores.push(nats("shared", "log-probability of the tokens that all members of the set share"));
        scores.push(probability(
            "likelihood.preference".into(),
            "share of the text in the probability of its set".into(),
        ));
    }
    scores
}

/// The probe's scores of one answer: name, and value or reason.
pub fn read_scores(case: &Case, row: &ResponseRow) -> Vec<(String, Result<f64, &'static str>)> {
    match case.probe {
        ProbeKind::Generate => Vec::new(),
        ProbeKind::Choice => choice::scores(row, &case.options),
        ProbeKind::Likelihood => likelihood::scores(row),
    }
}

/// How a probe is put to this model: `auto` is chat where the model has a chat template.
///
/// # Errors
/// When a chat is wanted of a model without one.
pub fn ask_as(wanted: AskAs, card: &ModelCard) -> Result<AskAs> {
    match wanted {
        AskAs::Auto if card.has_chat_template => Ok(AskAs::Chat),
        AskAs::Auto | AskAs::Text => Ok(AskAs::Text),
        AskAs::Chat if card.has_chat_template => Ok(AskAs::Chat),
        AskAs::Chat => bail!(
            "the suite asks `as: chat`, but model {} has no chat template; write `as: text` (or leave `as` out), or \
             take a model that was tuned for chat",
            card.label
        ),
    }
}

/// The system prompt is a first message, earlier turns come before the user's; in plain text they stand one after the other, blank lines
/// between, turns with `User:` and `Assistant:` before them where there are several.
pub fn prompt(case: &Case, ask_as: AskAs) -> Prompt {
    let message = |role: &str, content: &str| Message { role: role.into(), content: content.into() };
    if ask_as == AskAs::Chat {
        let mut messages: Vec<Message> = case.system.iter().map(|system| message("system", system)).collect();
        messages.extend(case.turns.iter().map(|turn| message(&turn.role, &turn.content)));
        messages.push(message("user", &case.prompt));
        return Prompt::Chat(messages);
    }
    let mut parts: Vec<String> = case.system.iter().map(|system| system.trim_end().to_owned()).collect();
    if case.turns.is_empty() {
        parts.push(case.prompt.clone());
    } else {
        let label = |role: &str| if role == "assistant" { "Assistant" } else { "User" };
        parts.extend(case.turns.iter().map(|turn| format!("{}: {}", label(&turn.role), turn.content)));
        parts.push(format!("User: {}", case.prompt));
        parts.push("Assistant:".into());
    }
    Prompt::Text(parts.join("\n\n"))
}

/// A question of several likelihoods, which answer it together.
trait Reading {
    /// Ids of the cases that it stands for.
    fn cases(&self) -> &[String];

    /// What is put to the model; one at least.
    fn requests(&self) -> &[LikelihoodRequest];

    /// One row a case, from the likelihoods in the order of the requests.
    fn rows(&self, read: &[Likelihood]) -> Vec<ResponseRow>;
}

/// Reads what `answered` lacks; the rows of a question are committed together.
fn read<Q: Reading>(questions: &[Q], answered: &Answered, model: &dyn LanguageModel, commit: Commit<'_>) -> Result<()> {
    let open: Vec<&Q> = questions.iter().filter(|question| !is_answered(question.cases(), 0, answered)).collect();
    let owners: Vec<(usize, usize)> = open
        .iter()
        .enumerate()
        .flat_map(|(index, question)| (0..question.requests().len()).map(move |request| (index, request)))
        .collect();
    let requests: Vec<LikelihoodRequest> =
        open.iter().flat_map(|question| question.requests().iter().cloned()).collect();
    let mut read: Vec<Vec<Option<Likelihood>>> =
        open.iter().map(|question| vec![None; question.requests().len()]).collect();
    model.log_likelihood(&requests, &mut |index, likelihood| {
        let (question, request) = owners[index];
        read[question][request] = Some(likelihood);
        if read[question].iter().any(Option::is_none) {
            return Ok(());
        }
        let all: Vec<Likelihood> = std::mem::take(&mut read[question]).into_iter().flatten().collect();
        commit(open[question].rows(&all))
    })?;
    match read.iter().position(|read| !read.is_empty()) {
        Some(index) => bail!("model {} gave no answer to {}", model.card().label, open[index].cases()[0]),
        None => Ok(()),
    }
}

/// Whether every case has its answer.
fn is_answered(cases: &[String], sample: u32, answered: &Answered) -> bool {
    cases.iter().all(|case| answered.contains_key(&(case.clone(), sample)))
}

/// A number as result files have it; null where it is not finite.
fn rounded(value: f64) -> Value {
    table::number(Some(value)).parse::<f64>().map_or(Value::Null, Value::from)
}
