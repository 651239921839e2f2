//! Turns a sequence's logits into its answer, token by token.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::model::plan::Consumer;
use crate::model::sampling::{Sampler, log_prob};
use crate::model::stop::StopSearch;
use crate::model::tokenizer::Tokenizer;
use crate::model::{Finish, GenerateRequest, Generation, Likelihood};

/// Writes one answer.
pub struct Writer<'a> {
    request: &'a GenerateRequest,
    tokenizer: &'a Tokenizer,
    ends: &'a BTreeSet<u32>,
    sampler: Sampler,
    stops: StopSearch<'a>,
    prompt_tokens: usize,
    ids: Vec<u32>,
    answer: Option<Generation>,
}

impl<'a> Writer<'a> {
    pub fn new(
        request: &'a GenerateRequest,
        tokenizer: &'a Tokenizer,
        ends: &'a BTreeSet<u32>,
        prompt_tokens: usize,
    ) -> Self {
        Self {
            request,
            tokenizer,
            ends,
            sampler: Sampler::new(&request.sampling, request.seed),
            stops: StopSearch::new(&request.sampling.stop),
            prompt_tokens,
            ids: Vec::new(),
            answer: None,
        }
    }

    /// The answer of a writer that has finished.
    pub fn take(&mut self) -> Generation {
        self.answer.take().expect("a finished writer has its answer")
    }

    fn finish(&mut self, text: String, finish: Finish) {
        let token_ids = std::mem::take(&mut self.ids);
        self.answer = Some(Generation { text, token_ids, finish, prompt_tokens: self.prompt_tokens });
    }
}

impl Consumer for Writer<'_> {
    fn consume(&mut self, _: usize, logits: &[f32]) -> Result<Option<u32>> {
        let next = self.sampler.next(logits).with_context(|| self.request.label.clone())?;
        self.ids.push(next);
        let sampling = &self.request.sampling;
        let ends = !sampling.ignore_eos && self.ends.contains(&next);
        let is_last = ends || self.ids.len() == sampling.max_new_tokens;
        if !is_last && !self.stops.completes(&self.ids, self.tokenizer)? {
            return Ok(Some(next));
        }
        // The text is that of all tokens together; only in it is a stop string certain.
        let shown = self.ids.len() - usize::from(ends);
        let text = self.tokenizer.decode(&self.ids[..shown])?;
        match self.stops.cut(&text) {
            Some(cut) => self.finish(cut.to_owned(), Finish::Stop),
            None if is_last => self.finish(text, if ends { Finish::Stop } else { Finish::Length }),
            None => return Ok(Some(next)),
        }
        Ok(None)
    }
}

/// Reads the probabilities of given tokens.
pub struct Reader<'a> {
    label: &'a str,
    /// Context and continuation, encoded together.
    joint: Vec<u32>,
    /// Tokens of the context.
    split: usize,
    per_token: Vec<f64>,
    boundary_merges: bool,
}

impl<'a> Reader<'a> {
    pub fn new(label: &'a str, joint: Vec<u32>, split: usize, boundary_merges: bool) -> Self {
        Self { label, joint, split, per_token: Vec::new(), boundary_merges }
    }

    /// The answer of a reader that has finished.
    pub fn take(&mut self) -> Likelihood {
        let per_token = std::mem::take(&mut self.per_token);
        let token_ids = self.joint[self.split..].to_vec();
        Likelihood { nats: per_token.iter().sum(), per_token, token_ids, boundary_merges: self.boundary_merges }
    }
}

impl Consumer for Reader<'_> {
    fn consume(&mut self, position: usize, logits: &[f32]) -> Result<Option<u32>> {
        let next = self.joint[position + 1];
        self.per_token.push(log_prob(logits, next).with_context(|| self.label.to_owned())?);
        Ok(None)
    }
}
