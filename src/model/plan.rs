//! Plans which tokens each step computes: shared prefixes once, within a budget, rows joining and leaving as they end.
//!
//! Prompts are taken in the order of their tokens, so the longest prefix that a prompt shares with any before it is the
//! one with its neighbour: walking that order is walking the trie of all prompts. What a job computes does not depend on
//! the plan, only when it does.

use anyhow::Result;
use rayon::prelude::*;

use super::decoder::kv::{KvStore, SeqId};
use super::decoder::{Decoder, Row};

/// Tokens that a step computes at most, unless `--batch-tokens` says otherwise: wide enough that weights are read for
/// many rows, small enough that a step's buffers stay in cache.
pub const BATCH_TOKENS: usize = 384;
/// Logits computed at a time.
const LOGIT_ROWS: usize = 64;

/// A sequence to run: its tokens, and from where on somebody wants logits.
pub struct Job {
    /// At least one.
    pub tokens: Vec<u32>,
    /// Logits are wanted at the positions from here to the end; less than `tokens.len()`.
    pub want_from: usize,
}

/// Takes a job's logits as they come and says what follows.
pub trait Consumer: Send {
    /// `logits` predict the token behind `position`. The answer to the last position of a job's tokens, and to all that
    /// follow, is the token to go on with, or `None` at the end.
    fn consume(&mut self, position: usize, logits: &[f32]) -> Result<Option<u32>>;
}

/// A sequence that has its prompt and is being continued.
struct Active {
    job: usize,
    seq: SeqId,
    next: u32,
}

/// The prompt that is being computed, perhaps over several steps.
struct Prefill {
    job: usize,
    seq: SeqId,
    done: usize,
}

/// What a run computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Tokens of prompts that went through the decoder; those of shared prefixes once.
    pub prefilled_tokens: usize,
    pub steps: usize,
}

/// Runs all jobs and calls `finished(job)` as each ends.
pub fn run<C: Consumer>(
    decoder: &Decoder,
    jobs: &[Job],
    consumers: &mut [C],
    batch_tokens: usize,
    finished: &mut dyn FnMut(usize, &mut C) -> Result<()>,
) -> Result<Statistics> {
    let mut statistics = Statistics::default();
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by(|&a, &b| jobs[a].tokens.cmp(&jobs[b].tokens).then(a.cmp(&b)));
    let mut waiting = order.into_iter().peekable();
    let mut kv = decoder.new_store();
    let max_active = (batch_tokens / 4).max(1);
    let mut active: Vec<Active> = Vec::new();
    let mut unfinished: Option<Prefill> = None;
    // The last prompt taken, kept so that the next can share its beginning.
    let mut neighbour: Option<(usize, SeqId)> = None;
    loop {
        let mut budget = batch_tokens.max(active.len() + 1) - active.len();
        // (job, sequence, range of its tokens)
        let mut parts: Vec<(usize, SeqId, std::ops::Range<usize>)> = Vec::new();
        while budget > 0 {
            let prefill = match unfinished.take() {
                Some(prefill) => prefill,
                None if active.len() + parts.len() >= max_active => break,
                None => match waiting.next() {
                    Some(job) => begin(&mut kv, jobs, job, &mut neighbour),
                    None => break,
                },
            };
            let length = jobs[prefill.job].tokens.len();
            let end = length.min(prefill.done + budget);
            budget -= end - prefill.done;
            statistics.prefilled_tokens += end - prefill.done;
            parts.push((prefill.job, prefill.seq, prefill.done..end));
            if end < length {
                unfinished = Some(Prefill { done: end, ..prefill });
            }
        }
        if waiting.peek().is_none()
            && unfinished.is_none()
            && let Some((_, seq)) = neighbour.take()
        {
            kv.free(seq);
        }
        if active.is_empty() && parts.is_empty() {
            return Ok(statistics);
        }
        statistics.steps += 1;
        let mut rows: Vec<Row<'_>> =
            active.iter().map(|a| Row { seq: a.seq, tokens: std::slice::from_ref(&a.next), want_from: 0 }).collect();
        // (job, sequence, position of each wanted row, all tokens computed)
        let mut wanted: Vec<(usize, SeqId, std::ops::Range<usize>)> =
            active.iter().map(|a| (a.job, a.seq, kv.len(a.seq)..kv.len(a.seq) + 1)).collect();
        for (job, seq, range) in &parts {
            let want_from = jobs[*job].want_from.clamp(range.start, range.end);
            rows.push(Row { seq: *seq, tokens: &jobs[*job].tokens[range.clone()], want_from: want_from - range.start });
            wanted.push((*job, *seq, want_from..range.end));
        }
        let hidden = decoder.step(&mut kv, &rows)?;
        let answers = match hidden {
            Some(hidden) => consume(decoder, &hidden, &wanted, consumers)?,
            None => Vec::new(),
        };
        active.clear();
        let mut answers = answers.into_iter();
        for (job, seq, positions) in wanted {
            let answer = if positions.is_empty() { None } else { answers.next().flatten() };
            if positions.end < jobs[job].tokens.len() {
                continue; // its prompt goes on in the next step
            }
            match answer {
                Some(next) => active.push(Active { job, seq, next }),
                None => {
                    kv.free(seq);
                    finished(job, &mut consumers[job])?;
                }
            }
        }
    }
}

/// Opens a job's sequence on the prefix that it shares with its neighbour.
fn begin(kv: &mut KvStore, jobs: &[Job], job: usize, neighbour: &mut Option<(usize, SeqId)>) -> Prefill {
    let tokens = &jobs[job].tokens;
    let (seq, done) = match neighbour.take() {
        Some((other, seq)) => {
            let shared = tokens.iter().zip(&jobs[other].tokens).take_while(|(a, b)| a == b).count();
            // What is wanted must be computed here.
            let shared = shared.min(jobs[job].want_from);
            let fork = kv.fork(seq, shared);
            kv.free(seq);
            (fork, shared)
        }
        None => (kv.root(), 0),
    };
    *neighbour = Some((job, kv.fork(seq, tokens.len())));
    Prefill { job, seq, done }
}

/// Computes the wanted logits a few rows at a time and hands them out; one answer (the last) for each part with any.
fn consume<C: Consumer>(
    decoder: &Decoder,
    hidden: &candle_core::Tensor,
    wanted: &[(usize, SeqId, std::ops::Range<usize>)],
    consumers: &mut [C],
) -> Result<Vec<Option<u32>>> {
    let vocab = decoder.config().vocab;
    let rows: Vec<(usize, usize)> =
        wanted.iter().flat_map(|(job, _, range)| range.clone().map(|p| (*job, p))).collect();
    let mut answers: Vec<(usize, Option<u32>)> = Vec::new();
    for (chunk, first) in rows.chunks(LOGIT_ROWS).zip((0..).step_by(LOGIT_ROWS)) {
        // Each job's rows lie together; its consumer takes them in order, jobs in parallel.
        let mut groups: Vec<(usize, &mut C, std::ops::Range<usize>)> = Vec::new();
        let mut by_job: std::collections::HashMap<usize, std::ops::Range<usize>> = std::collections::HashMap::new();
        for (row, (job, _)) in chunk.iter().enumerate() {
            by_job.entry(*job).or_insert(row..row).end = row + 1;
        }
        for (job, consumer) in consumers.iter_mut().enumerate() {
            if let Some(range) = by_job.remove(&job) {
                groups.push((job, consumer, range));
            }
        }
        groups.sort_by_key(|(_, _, range)| range.start);
        let results: Vec<Result<(usize, Option<u32>)>> =
            decoder.logits(&hidden.narrow(0, first, chunk.len())?, |logits| {
                groups
                    .into_par_iter()
                    .map(|(job, consumer, range)| {
                        let mut answer = None;
                        for row in range {
                            answer = consumer.consume(chunk[row].1, &logits[row * vocab..][..vocab])?;
                        }
                        Ok((job, answer))
                    })
                    .collect()
            })?;
        for result in results {
            let (job, answer) = result?;
            match answers.last_mut() {
                // A job whose rows crossed the border of two chunks.
                Some(last) if last.0 == job => last.1 = answer,
                _ => answers.push((job, answer)),
            }
        }
    }
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}
