//! Plans which tokens each step computes: shared prefixes once, within a budget, rows joining and leaving as they end.
//!
//! Prompts are taken in the order of their tokens, so the longest prefix that a prompt shares with any before it is the
//! one with its neighbour: walking that order is walking the trie of all prompts. What a job computes does not depend on
//! the plan, only when it does.

use std::ops::Range;

use anyhow::Result;
use rayon::prelude::*;

use super::decoder::backend::{Backend, SeqId, Sequences};
use super::decoder::{Decoder, Row};
use super::kernel::CHUNK_TOKENS;

/// Tokens that a step computes at most, unless `--batch-tokens` says otherwise: wide enough that weights are read for
/// many rows, small enough that a step's buffers stay in cache.
pub const BATCH_TOKENS: usize = 384;
/// Logits computed at a time.
pub const LOGIT_ROWS: usize = 64;

/// A sequence to run: its tokens, and from where on somebody wants logits.
pub struct Job {
    /// At least one.
    pub tokens: Vec<u32>,
    /// Logits are wanted at the positions from here to the end; less than `tokens.len()`.
    pub want_from: usize,
    /// Tokens that whoever wrote the model would have computed at once: `tokens.len()`, or one more where the last
    /// token's own row is not needed. Models that rotate long sequences differently go by it.
    pub length: usize,
    /// Tokens that the sequence may come to.
    pub max_length: usize,
}

/// Takes a job's logits as they come and says what follows.
pub trait Consumer: Send {
    /// `logits` predict the token behind `position`. The answer to the last position of a job's tokens, and to all that
    /// follow, is the token to go on with, or `None` at the end.
    fn consume(&mut self, position: usize, logits: &[f32]) -> Result<Option<u32>>;
}

/// What the steps may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Tokens a step, at least 1.
    pub batch_tokens: usize,
    /// Bytes of keys and values; a single sequence may exceed it, so check what it needs before.
    pub kv_bytes: usize,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Prompt tokens that were computed; what prompts share counts once.
    pub prefilled_tokens: usize,
    /// Rows of tokens that answers fed back.
    pub decoded_tokens: usize,
    pub steps: usize,
}

/// A sequence that has its prompt and is being continued.
struct Active {
    job: usize,
    seq: SeqId,
    next: u32,
    long: bool,
    /// What has been fed back, kept only for models that rotate long sequences differently.
    fed: Vec<u32>,
}

/// A prompt that is being computed, perhaps over several steps.
struct Prefill<'a> {
    job: usize,
    seq: SeqId,
    tokens: std::borrow::Cow<'a, [u32]>,
    want_from: usize,
    done: usize,
    long: bool,
    fed: Vec<u32>,
}

/// A prefill's share of a step.
struct Part<'a> {
    prefill: Prefill<'a>,
    range: Range<usize>,
}

/// The plan's state between steps.
struct Plan<'a, B: Backend> {
    decoder: &'a Decoder<B>,
    jobs: &'a [Job],
    limits: Limits,
    store: B::Store,
    /// In the order of their tokens; those that are long by themselves, since the two kinds share nothing.
    waiting: std::iter::Peekable<std::vec::IntoIter<usize>>,
    active: Vec<Active>,
    unfinished: Option<Prefill<'a>>,
    /// Sequences that became long and start again.
    restarts: Vec<Prefill<'a>>,
    /// The last prompt taken, kept so that the next can share its beginning.
    neighbour: Option<(usize, SeqId)>,
    statistics: Statistics,
}

/// Runs all jobs and calls `finished(job)` as each ends.
pub fn run<B: Backend, C: Consumer>(
    decoder: &Decoder<B>,
    jobs: &[Job],
    consumers: &mut [C],
    limits: Limits,
    finished: &mut dyn FnMut(usize, &mut C) -> Result<()>,
) -> Result<Statistics> {
    let is_long = |job: usize| decoder.config().is_long(jobs[job].length);
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by(|&a, &b| {
        is_long(a).cmp(&is_long(b)).then_with(|| jobs[a].tokens.cmp(&jobs[b].tokens)).then(a.cmp(&b))
    });
    let mut plan = Plan {
        decoder,
        jobs,
        limits,
        store: decoder.new_store(),
        waiting: order.into_iter().peekable(),
        active: Vec::new(),
        unfinished: None,
        restarts: Vec::new(),
        neighbour: None,
        statistics: Statistics::default(),
    };
    while plan.step(consumers, finished)? {}
    Ok(plan.statistics)
}

impl<'a, B: Backend> Plan<'a, B> {
    /// Computes one step; false when nothing is left.
    fn step<C: Consumer>(
        &mut self,
        consumers: &mut [C],
        finished: &mut dyn FnMut(usize, &mut C) -> Result<()>,
    ) -> Result<bool> {
        let parts = self.admit();
        let active = std::mem::take(&mut self.active);
        if active.is_empty() && parts.is_empty() {
            return Ok(false);
        }
        let mut rows: Vec<Row<'_>> = Vec::with_capacity(active.len() + parts.len());
        // (job, position of each wanted row)
        let mut wanted: Vec<(usize, Range<usize>)> = Vec::with_capacity(rows.capacity());
        for a in &active {
            rows.push(Row { seq: a.seq, tokens: std::slice::from_ref(&a.next), want_from: 0, long: a.long });
            let position = self.store.len(a.seq);
            wanted.push((a.job, position..position + 1));
        }
        for Part { prefill, range } in &parts {
            let want_from = prefill.want_from.clamp(range.start, range.end);
            let tokens = &prefill.tokens[range.clone()];
            rows.push(Row { seq: prefill.seq, tokens, want_from: want_from - range.start, long: prefill.long });
            wanted.push((prefill.job, want_from..range.end));
            self.statistics.prefilled_tokens += tokens.len();
        }
        self.statistics.decoded_tokens += active.len();
        self.statistics.steps += 1;
        let (decoder, store) = (self.decoder, &mut self.store);
        // As a task of the thread pool: kernels then share its threads without waking this one in between.
        let mut answers = rayon::scope(|_| match decoder.step(store, &rows)? {
            Some(hidden) => consume(decoder, &hidden, &wanted, consumers),
            None => Ok(vec![None; wanted.len()]),
        })?
        .into_iter();
        drop(rows);
        let mut answer = || answers.next().expect("one answer for each row");
        for a in active {
            let fed = self.remembered(a.fed, a.next);
            self.go_on(a.job, a.seq, a.long, answer(), fed, consumers, finished)?;
        }
        for Part { mut prefill, range } in parts {
            let answer = answer();
            if range.end < prefill.tokens.len() {
                prefill.done = range.end;
                self.unfinished = Some(prefill);
            } else {
                self.go_on(prefill.job, prefill.seq, prefill.long, answer, prefill.fed, consumers, finished)?;
            }
        }
        Ok(true)
    }

    /// Keeps a sequence that has another token to compute, or ends it.
    #[allow(clippy::too_many_arguments)]
    fn go_on<C: Consumer>(
        &mut self,
        job: usize,
        seq: SeqId,
        long: bool,
        answer: Option<u32>,
        fed: Vec<u32>,
        consumers: &mut [C],
        finished: &mut dyn FnMut(usize, &mut C) -> Result<()>,
    ) -> Result<()> {
        let Some(next) = answer else {
            self.store.free(seq);
            return finished(job, &mut consumers[job]);
        };
        let config = self.decoder.config();
        if long || !config.is_long(self.store.len(seq) + 1) {
            self.active.push(Active { job, seq, next, long, fed });
            return Ok(());
        }
        // All of it is rotated anew.
        self.store.free(seq);
        let tokens: Vec<u32> = self.jobs[job].tokens.iter().chain(&fed).copied().chain([next]).collect();
        let seq = self.store.root();
        let want_from = tokens.len() - 1;
        let fed = self.remembered(fed, next);
        self.restarts.push(Prefill { job, seq, tokens: tokens.into(), want_from, done: 0, long: true, fed });
        Ok(())
    }

    /// What has been fed back, where a sequence may have to start again.
    fn remembered(&self, mut fed: Vec<u32>, token: u32) -> Vec<u32> {
        if self.decoder.config().long_from.is_some() {
            fed.push(token);
        }
        fed
    }

    /// The prefills of the next step, within its tokens and the memory.
    fn admit(&mut self) -> Vec<Part<'a>> {
        let batch_tokens = self.limits.batch_tokens;
        let max_active = (batch_tokens / 4).max(1);
        let mut budget = batch_tokens.max(self.active.len() + 1) - self.active.len();
        let mut parts = Vec::new();
        while budget > 0 {
            let prefill = match self.unfinished.take().or_else(|| self.restarts.pop()) {
                Some(prefill) => prefill,
                None => match self.next_waiting(&parts, max_active) {
                    Some(job) => self.begin(job),
                    None => break,
                },
            };
            let end = prefill.tokens.len().min(prefill.done + budget);
            budget -= end - prefill.done;
            let range = prefill.done..end;
            parts.push(Part { prefill, range });
        }
        if self.waiting.peek().is_none()
            && let Some((_, seq)) = self.neighbour.take()
        {
            self.store.free(seq);
        }
        parts
    }

    /// The next job, if it may begin now.
    fn next_waiting(&mut self, parts: &[Part<'_>], max_active: usize) -> Option<usize> {
        let &job = self.waiting.peek()?;
        if self.active.len() + parts.len() >= max_active {
            return None;
        }
        // Room for what is there, for what running sequences may still grow to, and for this one; memory comes in chunks.
        let grows =
            |job: usize, seq: SeqId| CHUNK_TOKENS + self.jobs[job].max_length.saturating_sub(self.store.len(seq));
        let growth: usize = self.active.iter().map(|a| grows(a.job, a.seq)).sum::<usize>()
            + parts.iter().map(|part| grows(part.prefill.job, part.prefill.seq)).sum::<usize>()
            + CHUNK_TOKENS
            + self.jobs[job].max_length;
        let needed = self.store.bytes() + growth * self.decoder.config().kv_bytes_per_token();
        let alone = self.active.is_empty() && parts.is_empty();
        if needed > self.limits.kv_bytes && !alone {
            return None;
        }
        self.waiting.next()
    }

    /// Opens a job's sequence on the prefix that it shares with its neighbour.
    fn begin(&mut self, job: usize) -> Prefill<'a> {
        let jobs = self.jobs;
        let Job { tokens, want_from, length, .. } = &jobs[job];
        let is_long = |length: usize| self.decoder.config().is_long(length);
        let long = is_long(*length);
        let (seq, done) = match self.neighbour.take() {
            Some((other, seq)) => {
                let same_kind = is_long(jobs[other].length) == long;
                let shared = tokens.iter().zip(&jobs[other].tokens).take_while(|(a, b)| a == b && same_kind).count();
                // What is wanted must be computed here.
                let shared = shared.min(*want_from);
                let fork = self.store.fork(seq, shared);
                self.store.free(seq);
                (fork, shared)
            }
            None => (self.store.root(), 0),
        };
        self.neighbour = Some((job, self.store.fork(seq, tokens.len())));
        let tokens = std::borrow::Cow::Borrowed(&tokens[..]);
        Prefill { job, seq, tokens, want_from: *want_from, done, long, fed: Vec::new() }
    }
}

/// Computes the wanted logits a few rows at a time and hands them out; the last answer of each entry of `wanted`.
fn consume<B: Backend, C: Consumer>(
    decoder: &Decoder<B>,
    hidden: &B::Rows,
    wanted: &[(usize, Range<usize>)],
    consumers: &mut [C],
) -> Result<Vec<Option<u32>>> {
    let vocab = decoder.config().vocab;
    let mut answers = vec![None; wanted.len()];
    // (entry of wanted, position) of each row.
    let rows: Vec<(usize, usize)> = wanted
        .iter()
        .enumerate()
        .flat_map(|(entry, (_, positions))| positions.clone().map(move |position| (entry, position)))
        .collect();
    for (chunk, first) in rows.chunks(LOGIT_ROWS).zip((0..).step_by(LOGIT_ROWS)) {
        // The rows of an entry lie together; its consumer takes them in order, the others beside it.
        let groups: Vec<&[(usize, usize)]> = chunk.chunk_by(|a, b| a.0 == b.0).collect();
        let takers = pick_mut(consumers, groups.iter().map(|group| wanted[group[0].0].0));
        let starts: Vec<usize> = groups
            .iter()
            .scan(0, |row, group| {
                *row += group.len();
                Some(*row - group.len())
            })
            .collect();
        let results: Vec<Result<Option<u32>>> = decoder.logits(hidden, first, first + chunk.len(), |logits| {
            let tasks = groups.par_iter().zip(takers).zip(starts);
            tasks
                .map(|((group, consumer), start)| {
                    let mut answer = None;
                    for (logits, (_, position)) in logits[start * vocab..].chunks_exact(vocab).zip(group.iter()) {
                        answer = consumer.consume(*position, logits)?;
                    }
                    Ok(answer)
                })
                .collect()
        })?;
        for (group, result) in groups.iter().zip(results) {
            answers[group[0].0] = result?;
        }
    }
    Ok(answers)
}

/// Mutable references to distinct elements, in the order of `indices`.
fn pick_mut<T>(items: &mut [T], indices: impl Iterator<Item = usize>) -> Vec<&mut T> {
    let indices: Vec<usize> = indices.collect();
    let mut order: Vec<usize> = (0..indices.len()).collect();
    order.sort_by_key(|&i| indices[i]);
    let mut picked: Vec<Option<&mut T>> = (0..indices.len()).map(|_| None).collect();
    let (mut rest, mut passed) = (items, 0);
    for i in order {
        let (item, tail) =
            rest[indices[i] - passed..].split_first_mut().expect("an index inside the items, named once");
        passed = indices[i] + 1;
        picked[i] = Some(item);
        rest = tail;
    }
    picked.into_iter().map(|item| item.expect("every index was visited")).collect()
}
