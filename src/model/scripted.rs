//! Plays a model from a table of answers: a double for tests, and a way to try a suite without a model.
//!
//! `tiltmeter run SUITE --model scripted:answers.yaml` reads such a table:
//!
//! ```yaml
//! label: my-script            # names the results; default: scripted
//! chat_template: true         # default: true
//! context_length: 4096        # tokens, here words; default: 4096
//! answers:                    # the first rule whose `when` stands in the prompt answers it
//!   - when: Emily
//!     say: [She worked well., She was late.]   # the request's seed picks one
//!   - say: ["{prompt}"]       # a rule without `when` answers everything; {prompt} is the prompt
//! likely:                     # probabilities of continuations; the first rule that fits answers, else each word has one half
//!   - { when: Emily, text: "yes", probability: 0.9 }
//! fail_after: 10              # tests only: errs after so many answers
//! delay_ms: 5                 # tests only: waits before each answer
//! ```

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Finish, GenerateRequest, Generation, LanguageModel, Likelihood, LikelihoodRequest, ModelCard, Prompt};

/// Begins the MODEL argument that means a script: `scripted:FILE`.
pub const PREFIX: &str = "scripted:";

pub struct ScriptedModel {
    card: ModelCard,
    script: Script,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Script {
    #[serde(default = "default_label")]
    label: String,
    #[serde(default = "yes")]
    chat_template: bool,
    #[serde(default = "default_context")]
    context_length: usize,
    #[serde(default)]
    answers: Vec<Rule>,
    #[serde(default)]
    likely: Vec<Likely>,
    /// Not part of the digest, nor is `delay_ms`: they change no answer.
    fail_after: Option<usize>,
    #[serde(default)]
    delay_ms: u64,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    when: Option<String>,
    say: Vec<String>,
}

/// How probable a continuation is.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Likely {
    /// Stands in the context; none fits every one.
    when: Option<String>,
    /// The continuation, white space around it aside; none fits every one.
    text: Option<String>,
    probability: f64,
}

fn default_label() -> String {
    "scripted".into()
}

fn yes() -> bool {
    true
}

fn default_context() -> usize {
    4096
}

impl ScriptedModel {
    /// Reads a script; errs on unknown keys and on a rule that says nothing.
    pub fn read(path: &Path) -> Result<Self> {
        let yaml = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let script: Script = serde_saphyr::from_str(&yaml).map_err(|error| anyhow!("{}: {error}", path.display()))?;
        if script.answers.iter().any(|rule| rule.say.is_empty()) {
            bail!("{}: an answer has an empty list under `say`; give it at least one text", path.display());
        }
        if let Some(rule) = script.likely.iter().find(|rule| !(rule.probability > 0.0 && rule.probability <= 1.0)) {
            bail!("{}: a probability is {}; give a number above 0, up to 1", path.display(), rule.probability);
        }
        Ok(Self::new(script))
    }

    /// Answers every prompt with its own words.
    pub fn echo() -> Self {
        Self::new(Script {
            label: "echo".into(),
            chat_template: true,
            context_length: default_context(),
            answers: vec![Rule { when: None, say: vec!["{prompt}".into()] }],
            likely: Vec::new(),
            fail_after: None,
            delay_ms: 0,
        })
    }

    fn new(script: Script) -> Self {
        let content = (&script.label, script.chat_template, script.context_length, &script.answers, &script.likely);
        let content = serde_json::to_vec(&content).expect("a script is JSON");
        let card = ModelCard {
            label: script.label.clone(),
            digest: Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect(),
            architecture: "scripted".into(),
            dtype: "none".into(),
            device: "cpu".into(),
            batch_invariant: true,
            tokenizer: None,
            context_length: script.context_length,
            has_chat_template: script.chat_template,
        };
        Self { card, script }
    }

    fn answer(&self, request: &GenerateRequest) -> Result<Generation> {
        let prompt = text(&request.prompt);
        let rule = self.script.answers.iter().find(|rule| rule.when.as_ref().is_none_or(|when| prompt.contains(when)));
        let Some(rule) = rule else {
            bail!("the script {} has no answer to {}; add a rule without `when`", self.card.label, request.label);
        };
        let draw = u64::from_le_bytes(request.seed[..8].try_into().expect("a seed has 32 bytes"));
        let draw = if request.sampling.temperature == 0.0 { 0 } else { draw };
        let mut said = rule.say[(draw % rule.say.len() as u64) as usize].replace("{prompt}", &prompt);
        if let Some(end) = request.sampling.stop.iter().filter_map(|stop| said.find(stop.as_str())).min() {
            said.truncate(end);
        }
        let words = said.split_whitespace().count();
        let limit = request.sampling.max_new_tokens;
        // The ending token counts, so that as many words as the limit are cut short.
        let (text, tokens, finish) = if words < limit {
            (said, words + 1, Finish::Stop)
        } else {
            (said.split_whitespace().take(limit).collect::<Vec<_>>().join(" "), limit, Finish::Length)
        };
        Ok(Generation {
            text,
            token_ids: (0..tokens as u32).collect(),
            finish,
            prompt_tokens: self.prompt_tokens(&request.prompt)?,
        })
    }
}

fn text(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Text(text) => text.clone(),
        Prompt::Chat(messages) => {
            messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n\n")
        }
    }
}

impl LanguageModel for ScriptedModel {
    fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Words.
    fn prompt_tokens(&self, prompt: &Prompt) -> Result<usize> {
        Ok(text(prompt).split_whitespace().count())
    }

    fn generate(
        &self,
        requests: &[GenerateRequest],
        sink: &mut dyn FnMut(usize, Generation) -> Result<()>,
    ) -> Result<()> {
        for (index, request) in requests.iter().enumerate() {
            if self.script.fail_after.is_some_and(|limit| index >= limit) {
                bail!("the script {} ends after {index} answers (fail_after)", self.card.label);
            }
            std::thread::sleep(Duration::from_millis(self.script.delay_ms));
            sink(index, self.answer(request)?)?;
        }
        Ok(())
    }

    /// By the rules, the probability of a text shared out over its words; without one every word has probability one half.
    fn log_likelihood(
        &self,
        requests: &[LikelihoodRequest],
        sink: &mut dyn FnMut(usize, Likelihood) -> Result<()>,
    ) -> Result<()> {
        for (index, request) in requests.iter().enumerate() {
            if self.script.fail_after.is_some_and(|limit| index >= limit) {
                bail!("the script {} ends after {index} answers (fail_after)", self.card.label);
            }
            std::thread::sleep(Duration::from_millis(self.script.delay_ms));
            let context = format!("{}{}", text(&request.context), request.lead);
            let said = request.continuation.trim();
            let rule = self.script.likely.iter().find(|rule| {
                rule.when.as_ref().is_none_or(|when| context.contains(when))
                    && rule.text.as_ref().is_none_or(|text| text == said)
            });
            let words: Vec<&str> = request.continuation.split_whitespace().collect();
            let nats = rule.map_or(-std::f64::consts::LN_2 * words.len() as f64, |rule| rule.probability.ln());
            let per_token = vec![nats / words.len().max(1) as f64; words.len()];
            // Equal words have equal ids.
            let id =
                |word: &&str| u32::from_le_bytes(Sha256::digest(word)[..4].try_into().expect("a digest has 32 bytes"));
            let token_ids = words.iter().map(id).collect();
            sink(index, Likelihood { nats, per_token, token_ids, boundary_merges: false })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sampling;

    fn read(yaml: &str) -> Result<ScriptedModel> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script.yaml");
        std::fs::write(&path, yaml).unwrap();
        ScriptedModel::read(&path)
    }

    fn request(prompt: &str, max_new_tokens: usize) -> GenerateRequest {
        GenerateRequest {
            label: "x".into(),
            prompt: Prompt::Text(prompt.into()),
            sampling: Sampling {
                temperature: 1.0,
                top_p: 1.0,
                max_new_tokens,
                stop: vec!["END".into()],
                ignore_eos: false,
            },
            seed: [0; 32],
        }
    }

    #[test]
    fn the_first_rule_that_fits_answers() {
        let model = read("answers:\n  - {when: Emily, say: [good END bad]}\n  - say: ['{prompt}']\n").unwrap();
        let answer = model.answer(&request("about Emily", 9)).unwrap();
        assert_eq!((answer.text.as_str(), answer.finish, answer.token_ids.len()), ("good ", Finish::Stop, 2));
        let answer = model.answer(&request("one two three", 2)).unwrap();
        assert_eq!((answer.text.as_str(), answer.finish, answer.token_ids.len()), ("one two", Finish::Length, 2));
    }

    #[test]
    fn a_failing_script_has_the_digest_of_one_that_does_not_fail() {
        let (one, two) = ("answers: [{say: [x]}]\n", "fail_after: 1\nanswers: [{say: [x]}]\n");
        assert_eq!(read(one).unwrap().card, read(two).unwrap().card);
        assert_ne!(read(one).unwrap().card, read("answers: [{say: [y]}]\n").unwrap().card);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(read("answer: []\n").is_err());
        assert!(read("answers: [{say: []}]\n").is_err());
    }
}
