//! Counts what asking a suite takes: tokens, by the model's tokenizer where it is here, and time, from asking a few of its cases.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::model::counter::TokenCounter;
use crate::model::files::Access;
use crate::model::scripted::{self, ScriptedModel};
use crate::model::{self, LanguageModel, ModelCard, OpenOptions, Prompt};
use crate::probe::Questions;
use crate::suite::{Case, Suite};

/// Letters that make a token where no tokenizer says: English text in the vocabularies of today.
const LETTERS_A_TOKEN: usize = 4;

/// Cases that are asked first to time them, and those that follow where these were quick.
const TIMED: [usize; 2] = [8, 48];

/// Seconds within which the first cases were quick.
const QUICK: f64 = 2.0;

/// What knows the model.
pub enum Model {
    Open(Box<dyn LanguageModel>),
    Tokenizer(Box<TokenCounter>),
    /// It is not here, for this reason.
    Absent(String),
}

impl Model {
    /// Opens no more than is needed, and fetches nothing.
    pub fn find(spec: &str, options: &OpenOptions, to_time: bool) -> Result<Model> {
        if let Some(path) = spec.strip_prefix(scripted::PREFIX) {
            return Ok(Model::Open(Box::new(ScriptedModel::read(path.as_ref())?)));
        }
        let counter = match TokenCounter::open(spec, &Access::new(true, true)) {
            Ok(counter) => counter,
            Err(error) => return Ok(Model::Absent(format!("{error:#}"))),
        };
        if !to_time {
            return Ok(Model::Tokenizer(Box::new(counter)));
        }
        let options = OpenOptions { offline: true, ..options.clone() };
        Ok(Model::Open(Box::new(model::open(spec, &options)?)))
    }

    /// What questions are made for; of a model that is not here, one that has a chat template.
    fn card(&self) -> ModelCard {
        let has_chat_template = match self {
            Model::Open(model) => return model.card().clone(),
            Model::Tokenizer(counter) => counter.has_chat_template(),
            Model::Absent(_) => true,
        };
        ModelCard {
            label: String::new(),
            digest: String::new(),
            architecture: String::new(),
            dtype: String::new(),
            device: String::new(),
            batch_invariant: true,
            tokenizer: None,
            context_length: usize::MAX,
            has_chat_template,
        }
    }

    fn tokens(&self, prompt: &Prompt) -> Result<usize> {
        match self {
            Model::Open(model) => model.prompt_tokens(prompt),
            Model::Tokenizer(counter) => counter.prompt_tokens(prompt),
            Model::Absent(_) => {
                let letters = match prompt {
                    Prompt::Text(text) => text.chars().count(),
                    Prompt::Chat(turns) => turns.iter().map(|turn| turn.content.chars().count()).sum(),
                };
                Ok(letters.div_ceil(LETTERS_A_TOKEN))
            }
        }
    }
}

/// What asking comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// Prompts that are put, samples apart; equal ones of a set are put once.
    pub asked: usize,
    /// Those of them that are written, samples counted.
    pub written: usize,
    pub prompt_tokens: usize,
    /// False: estimated from letters.
    pub counted: bool,
    pub max_new_tokens: usize,
    /// Seconds of asking on this machine; `None` where nothing was timed.
    pub seconds: Option<f64>,
}

impl Pace {
    /// # Errors
    /// When the model refuses the questions or fails at them.
    pub fn of(suite: &Suite, cases: &[Case], model: &Model, to_time: bool) -> Result<Pace> {
        let card = model.card();
        let questions = Questions::of(suite, cases, &card, 0)?;
        let seconds = match model {
            Model::Open(model) if to_time => Some(seconds(suite, cases, model.as_ref(), questions.count())?),
            _ => None,
        };
        Ok(Pace {
            asked: questions.count(),
            written: questions.generate.len(),
            prompt_tokens: questions.prompt_tokens(&|prompt| model.tokens(prompt))?,
            counted: !matches!(model, Model::Absent(_)),
            max_new_tokens: questions.max_new_tokens(),
            seconds,
        })
    }
}

/// Asks cases from all over the suite and scales up. A larger batch is no slower a question, so that it is rather too much.
fn seconds(suite: &Suite, cases: &[Case], model: &dyn LanguageModel, all: usize) -> Result<f64> {
    let mut expected = 0.0;
    for count in TIMED {
        let step = cases.len().div_ceil(count).max(1);
        let few: Vec<Case> = cases.iter().step_by(step).cloned().collect();
        let questions = Questions::of(suite, &few, model.card(), 0)?;
        if questions.count() == 0 {
            bail!("suite {} asks nothing", suite.name);
        }
        let begun = Instant::now();
        questions.ask(&BTreeMap::new(), model, &mut |_| Ok(()))?;
        let taken = begun.elapsed().as_secs_f64();
        expected = taken / questions.count() as f64 * all as f64;
        if taken > QUICK {
            break;
        }
    }
    Ok(expected)
}
