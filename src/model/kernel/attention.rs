//! Attends packed queries of any lengths over keys and values that lie in chunks.
//!
//! A score is one chain of fused multiply-adds over the head's dimensions; a softmax adds its weights in sixteen sums by
//! position modulo 16, then in a fixed tree; an output is one chain over the visible tokens in the order of their
//! positions, divided by the sum. So a query's bits do not depend on how its sequence is cut into chunks (shared prefix
//! or own copy), on the other queries, on threads or on the instruction set.

use std::cell::RefCell;
use std::ops::Range;

use super::chunk::{CHUNK_TOKENS, Chunk, ChunkLayout};
use super::lanes::{Lanes, Line, prefetch};
use super::level::Level;
use super::math::{exp, tanh, tree_sum};
use super::{Output, for_each_task};

/// What attention computes. `heads` is a multiple of `kv_heads` (grouped-query attention, Ainslie et al. 2023).
#[derive(Debug, Clone, Copy)]
pub struct AttentionShape {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Factor on q·k, usually 1/√head_dim.
    pub scale: f32,
    /// c: a scaled score s becomes c·tanh(s/c) (Gemma 2).
    pub softcap: Option<f32>,
    /// Keys that a query sees, its own among them; all before it if `None`.
    pub window: Option<usize>,
}

/// The first tokens of a chunk, consecutive in a sequence.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    /// Index of the chunk.
    pub chunk: usize,
    pub tokens: usize,
}

/// One query token.
#[derive(Debug, Clone)]
pub struct Query {
    /// Its sequence's blocks, from position 0 on.
    pub blocks: Range<usize>,
    /// It sees this many of its first tokens, itself the last, or a window's end of them.
    pub visible: usize,
}

/// The keys and values that one layer's queries meet.
#[derive(Clone, Copy)]
pub struct KvView<'a> {
    pub layout: ChunkLayout,
    pub layer: usize,
    pub chunks: &'a [Chunk],
    pub blocks: &'a [Block],
}

/// `out (queries, heads · head_dim)` = softmax(q·kᵀ · scale)·v for `q (queries, heads · head_dim)`, f32.
///
/// # Panics
/// If sizes do not fit, or a query sees no token, or one that its blocks do not have.
pub fn attend(shape: &AttentionShape, kv: KvView<'_>, queries: &[Query], q: &[f32], out: &mut [f32]) {
    attend_at(Level::detect(), shape, kv, queries, q, out);
}

fn attend_at(level: Level, shape: &AttentionShape, kv: KvView<'_>, queries: &[Query], q: &[f32], out: &mut [f32]) {
    let width = shape.heads * shape.head_dim;
    assert!(q.len() == queries.len() * width && out.len() == q.len(), "attention: sizes do not fit");
    assert!(kv.layout.head_dim == shape.head_dim && kv.layout.kv_heads == shape.kv_heads);
    assert!(shape.heads.is_multiple_of(shape.kv_heads), "attention: every key head serves as many query heads");
    assert!(shape.window != Some(0), "a query sees at least its own token");
    // (blocks, tokens) of the query before, which mostly is of the same sequence.
    let mut last = (0..0, 0);
    for query in queries {
        if query.blocks != last.0 {
            let blocks = &kv.blocks[query.blocks.clone()];
            assert!(blocks.iter().all(|block| block.tokens <= CHUNK_TOKENS), "a chunk has {CHUNK_TOKENS} tokens");
            last = (query.blocks.clone(), blocks.iter().map(|block| block.tokens).sum());
        }
        assert!(
            (1..=last.1).contains(&query.visible),
            "attention: a query sees {} of {} tokens",
            query.visible,
            last.1
        );
    }
    let output = Output::new(out);
    let group = shape.heads / shape.kv_heads;
    let seen: usize = queries.iter().map(|query| query.visible.min(shape.window.unwrap_or(usize::MAX))).sum();
    let work = seen / queries.len().max(1) * group * shape.head_dim * 2;
    // One key head after the other: its keys stay in cache while the queries of a prompt pass by.
    for_each_task(shape.kv_heads * queries.len(), work, |task| {
        let (head, index) = (task / queries.len(), task % queries.len());
        let query = &queries[index];
        let from = query.visible.saturating_sub(shape.window.unwrap_or(usize::MAX));
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.pieces.clear();
            scratch.pieces.extend(kv.blocks[query.blocks.clone()].iter().map(|block| {
                let (keys, values) = kv.layout.head(&kv.chunks[block.chunk], kv.layer, head);
                Piece { keys: keys.as_ptr(), values: values.as_ptr(), tokens: block.tokens }
            }));
            for part in (0..group).step_by(TILE) {
                let heads = TILE.min(group - part);
                let offset = index * width + (head * group + part) * shape.head_dim;
                let job = Job {
                    shape,
                    value_lines: kv.layout.value_lines(),
                    from,
                    visible: query.visible,
                    is_cold: part == 0 && (index == 0 || queries[index - 1].blocks != query.blocks),
                    q: q[offset..][..heads * shape.head_dim].as_ptr(),
                    out: output.at(offset),
                    q_stride: shape.head_dim,
                    out_stride: shape.head_dim,
                };
                // SAFETY: the job reads `heads` queries and writes as many outputs, all in bounds and no other task's;
                // the pieces hold the tokens that it sees; the level was detected on this machine.
                unsafe { job.run(level, heads, scratch) };
            }
        });
    });
}

/// Heads that share the loads of a key: with four, the accumulators of scores and outputs fit the registers.
pub(super) const TILE: usize = 4;

/// A block's keys and values of one head.
pub(super) struct Piece {
    /// `head_dim` lines of sixteen tokens.
    pub keys: *const Line,
    /// Sixteen tokens of `value_lines` lines.
    pub values: *const Line,
    pub tokens: usize,
}

/// Kept from step to step, so that nothing is allocated that grows with a sequence.
#[derive(Default)]
pub(super) struct Scratch {
    pub pieces: Vec<Piece>,
    scores: Vec<Line>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Up to four queries that meet the same keys: heads of one token, or one head of tokens that see the same.
pub(super) struct Job<'a> {
    pub shape: &'a AttentionShape,
    pub value_lines: usize,
    /// Positions from here to `visible` are seen.
    pub from: usize,
    pub visible: usize,
    /// Whether nobody has just read the same keys.
    pub is_cold: bool,
    pub q: *const f32,
    pub out: *mut f32,
    /// Numbers from one query to the next.
    pub q_stride: usize,
    pub out_stride: usize,
}

impl Job<'_> {
    /// Safety: `heads` queries and outputs lie at `q` and `out`, the outputs are nobody else's, the pieces of `scratch` hold
    /// the tokens below `visible`, and the level was detected on this machine.
    pub unsafe fn run(&self, level: Level, heads: usize, scratch: &mut Scratch) {
        // SAFETY: as the caller promises.
        unsafe {
            match level {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => avx512(self, heads, scratch),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => avx2(self, heads, scratch),
                Level::Portable => self.heads::<[f32; 16]>(heads, scratch),
            }
        }
    }

    #[inline(always)]
    unsafe fn heads<L: Lanes>(&self, heads: usize, scratch: &mut Scratch) {
        // SAFETY: as `attend_at` says.
        unsafe {
            match heads {
                1 => self.tile::<L, 1, 4>(scratch),
                2 => self.tile::<L, 2, 2>(scratch),
                3 => self.tile::<L, 3, 2>(scratch),
                _ => self.tile::<L, 4, 1>(scratch),
            }
        }
    }

    /// `HEADS` heads, keys of `PIECES` pieces at a time.
    #[inline(always)]
    unsafe fn tile<L: Lanes, const HEADS: usize, const PIECES: usize>(&self, scratch: &mut Scratch) {
        // Scores lie at position − base. A piece that holds `from` starts less than sixteen before it; a multiple of
        // sixteen keeps positions in their sums.
        let base = (self.from / 16 * 16).saturating_sub(16);
        let lines = (self.visible - base).div_ceil(16);
        // The last piece may end up to fifteen behind the last visible token.
        let stride = lines + 1;
        if scratch.scores.len() < HEADS * stride {
            scratch.scores.resize(HEADS * stride, Line::ZERO);
        }
        let scores = scratch.scores.as_mut_ptr().cast::<f32>();
        // Pieces that hold seen tokens: the first of them and its position.
        let (mut skipped, mut start) = (0, 0);
        while start + scratch.pieces[skipped].tokens <= self.from {
            start += scratch.pieces[skipped].tokens;
            skipped += 1;
        }
        let pieces = &scratch.pieces[skipped..];
        // SAFETY: pieces hold all tokens below `visible`; scores have room for sixteen behind each.
        unsafe {
            let (mut index, mut position) = (0, start);
            while index < pieces.len() && position < self.visible {
                // Pieces that are left of PIECES, and where their scores go.
                let (mut left, mut offsets) = (1, [0; PIECES]);
                while left < PIECES && index + left < pieces.len() {
                    let offset = offsets[left - 1] + pieces[index + left - 1].tokens;
                    if position + offset >= self.visible {
                        break;
                    }
                    offsets[left..].fill(offset);
                    left += 1;
                }
                let (now, to) = (&pieces[index..], scores.add(position - base));
                if left == 1 {
                    self.score::<L, HEADS, 1>(now, left, to, [0], stride * 16);
                } else {
                    self.score::<L, HEADS, PIECES>(now, left, to, offsets, stride * 16);
                }
                position += offsets[left - 1] + pieces[index + left - 1].tokens;
                index += left;
            }
        }
        let mut sums = [0.0; HEADS];
        for (head, sum) in sums.iter_mut().enumerate() {
            *sum = self.softmax(&mut scratch.scores[head * stride..][..lines], base);
        }
        // Where the weight of position 0 would lie.
        let weights = scratch.scores.as_ptr().cast::<f32>().wrapping_sub(base);
        // SAFETY: as above.
        unsafe {
            let mut first = 0;
            while first < self.value_lines {
                let left = self.value_lines - first;
                if left >= 4 && (L::WIDE || HEADS == 1) {
                    self.average::<L, HEADS, 4>(pieces, start, weights, stride * 16, sums, first);
                    first += 4;
                } else if left >= 2 {
                    self.average::<L, HEADS, 2>(pieces, start, weights, stride * 16, sums, first);
                    first += 2;
                } else {
                    self.average::<L, HEADS, 1>(pieces, start, weights, stride * 16, sums, first);
                    first += 1;
                }
            }
        }
    }

    /// q·k of the first `count` pieces; those of the i-th go to `scores + offsets[i]`, in order, as each overwrites what
    /// the one before it wrote behind its tokens. If there are fewer than `PIECES`, the last is computed again: chains
    /// side by side cost no more than one.
    #[inline(always)]
    unsafe fn score<L: Lanes, const HEADS: usize, const PIECES: usize>(
        &self,
        pieces: &[Piece],
        count: usize,
        scores: *mut f32,
        offsets: [usize; PIECES],
        stride: usize,
    ) {
        // SAFETY: keys have head_dim lines, q HEADS · head_dim numbers.
        unsafe {
            let mut keys = [pieces[0].keys.cast::<f32>(); PIECES];
            // Pages end with a head's keys, and the processor looks no further: fetch the next pieces' keys, and the
            // values, which are as many lines and wanted soon.
            let mut soon = [keys; 2];
            for i in 0..PIECES {
                let piece = i.min(count - 1);
                keys[i] = pieces[piece].keys.cast();
                soon[0][i] = pieces[piece].values.cast();
                soon[1][i] = pieces[(i + count).min(pieces.len() - 1)].keys.cast();
            }
            let mut sums = [[L::splat(0.0); PIECES]; HEADS];
            for i in 0..self.shape.head_dim {
                if self.is_cold {
                    for line in soon.as_flattened() {
                        prefetch(line.wrapping_add(i * 16));
                    }
                }
                let mut key = [L::load(keys[0].add(i * 16)); PIECES];
                for piece in 1..PIECES {
                    key[piece] = L::load(keys[piece].add(i * 16));
                }
                for (head, sums) in sums.iter_mut().enumerate() {
                    let q = L::splat(*self.q.add(head * self.q_stride + i));
                    for (sum, &key) in sums.iter_mut().zip(&key) {
                        *sum = q.fma(key, *sum);
                    }
                }
            }
            for (head, sums) in sums.iter().enumerate() {
                for (sum, offset) in sums.iter().zip(offsets) {
                    sum.store(scores.add(head * stride + offset));
                }
            }
        }
    }

    /// Turns scores from position `base` on into e^(score − greatest), 0 for what is not seen, and returns their sum.
    #[inline(always)]
    fn softmax(&self, scores: &mut [Line], base: usize) -> f32 {
        for line in scores.iter_mut() {
            for score in &mut line.0 {
                *score *= self.shape.scale;
            }
        }
        if let Some(cap) = self.shape.softcap {
            for line in scores.iter_mut() {
                for score in &mut line.0 {
                    *score = cap * tanh(*score / cap);
                }
            }
        }
        for unseen in base..self.from {
            scores[(unseen - base) / 16].0[unseen % 16] = f32::NEG_INFINITY;
        }
        let before_last = base + (scores.len() - 1) * 16;
        if let Some(last) = scores.last_mut() {
            last.0[self.visible - before_last..].fill(f32::NEG_INFINITY);
        }
        let mut top = [f32::NEG_INFINITY; 16];
        for line in scores.iter() {
            for (top, &score) in top.iter_mut().zip(&line.0) {
                *top = if score > *top { score } else { *top };
            }
        }
        let top = top.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
        let mut sums = [0f32; 16];
        for line in scores.iter_mut() {
            for (sum, score) in sums.iter_mut().zip(&mut line.0) {
                *score = exp(*score - top);
                *sum += *score;
            }
        }
        tree_sum(sums)
    }

    /// The values' average in `LINES` lines of the head's dimensions, from line `first` on; `weights` is where position
    /// 0 would lie.
    #[inline(always)]
    unsafe fn average<L: Lanes, const HEADS: usize, const LINES: usize>(
        &self,
        pieces: &[Piece],
        start: usize,
        weights: *const f32,
        stride: usize,
        sums: [f32; HEADS],
        first: usize,
    ) {
        // SAFETY: pieces hold all tokens below `visible`, and weights one number for each that is seen.
        unsafe {
            let mut averages = [[L::splat(0.0); LINES]; HEADS];
            let mut position = start;
            for piece in pieces {
                let slots = self.from.saturating_sub(position)..piece.tokens.min(self.visible - position);
                for slot in slots {
                    let values = piece.values.add(slot * self.value_lines + first).cast::<f32>();
                    let mut value = [L::load(values); LINES];
                    for (line, value) in value.iter_mut().enumerate().skip(1) {
                        *value = L::load(values.add(line * 16));
                    }
                    for (head, averages) in averages.iter_mut().enumerate() {
                        let weight = L::splat(*weights.wrapping_add(head * stride + position + slot));
                        for (average, &value) in averages.iter_mut().zip(&value) {
                            *average = weight.fma(value, *average);
                        }
                    }
                }
                position += piece.tokens;
                if position >= self.visible {
                    break;
                }
            }
            let dims = (self.shape.head_dim - first * 16).min(LINES * 16);
            for (head, (averages, sum)) in averages.iter().zip(sums).enumerate() {
                let mut buffer = [Line::ZERO; LINES];
                for (line, average) in buffer.iter_mut().zip(averages) {
                    average.store(line.0.as_mut_ptr());
                    line.0 = line.0.map(|x| x / sum);
                }
                let out = self.out.add(head * self.out_stride + first * 16);
                for (line, average) in buffer.iter().enumerate() {
                    let (average, out, left) = (average.0.as_ptr(), out.add(line * 16), dims - line * 16);
                    if left >= 16 {
                        out.copy_from_nonoverlapping(average, 16);
                    } else {
                        out.copy_from_nonoverlapping(average, left);
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn avx512(job: &Job<'_>, heads: usize, scratch: &mut Scratch) {
    // SAFETY: as `attend_at` says.
    unsafe { job.heads::<std::arch::x86_64::__m512>(heads, scratch) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(job: &Job<'_>, heads: usize, scratch: &mut Scratch) {
    // SAFETY: as `attend_at` says.
    unsafe { job.heads::<(std::arch::x86_64::__m256, std::arch::x86_64::__m256)>(heads, scratch) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::noise;

    /// Chunks of one layer that hold `tokens` tokens, cut at these positions.
    fn cut(layout: ChunkLayout, k: &[f32], v: &[f32], cuts: &[usize]) -> (Vec<Chunk>, Vec<Block>) {
        let width = layout.kv_heads * layout.head_dim;
        let (mut chunks, mut blocks) = (Vec::new(), Vec::new());
        let mut from = 0;
        for &cut in cuts.iter().chain(&[k.len() / width]) {
            while from < cut {
                let tokens = (cut - from).min(CHUNK_TOKENS);
                let mut chunk = layout.new_chunk();
                // What lies behind a block's tokens must not matter.
                chunk.fill(Line([f32::NAN; 16]));
                for (slot, token) in (from..from + tokens).enumerate() {
                    layout.write(&mut chunk, 0, slot, &k[token * width..][..width], &v[token * width..][..width]);
                }
                blocks.push(Block { chunk: chunks.len(), tokens });
                chunks.push(chunk);
                from += tokens;
            }
        }
        (chunks, blocks)
    }

    /// The formula in f64.
    fn naive(shape: &AttentionShape, q: &[f32], k: &[f32], v: &[f32], visible: usize) -> Vec<f64> {
        let (d, width) = (shape.head_dim, shape.kv_heads * shape.head_dim);
        let from = visible.saturating_sub(shape.window.unwrap_or(visible));
        let mut out = vec![0.0; shape.heads * d];
        for head in 0..shape.heads {
            let offset = head / (shape.heads / shape.kv_heads) * d;
            let scores: Vec<f64> = (from..visible)
                .map(|t| {
                    let dot = (0..d).map(|i| f64::from(q[head * d + i]) * f64::from(k[t * width + offset + i]));
                    let score = dot.sum::<f64>() * f64::from(shape.scale);
                    shape.softcap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
                })
                .collect();
            let total: f64 = scores.iter().map(|score| score.exp()).sum();
            for i in 0..d {
                let weighted =
                    (from..visible).map(|t| scores[t - from].exp() / total * f64::from(v[t * width + offset + i]));
                out[head * d + i] = weighted.sum();
            }
        }
        out
    }

    fn shapes() -> Vec<AttentionShape> {
        let shape = |heads, kv_heads, head_dim| AttentionShape {
            heads,
            kv_heads,
            head_dim,
            scale: 0.7,
            softcap: None,
            window: None,
        };
        vec![
            shape(1, 1, 8),
            shape(6, 2, 20),
            AttentionShape { window: Some(5), ..shape(4, 4, 10) },
            AttentionShape { window: Some(33), softcap: Some(0.8), ..shape(4, 2, 12) },
            AttentionShape { softcap: Some(2.0), ..shape(9, 3, 64) },
            shape(7, 1, 80),
            shape(8, 2, 96),
            AttentionShape { window: Some(16), ..shape(5, 1, 128) },
            shape(2, 1, 256),
        ]
    }

    #[test]
    fn attention_is_the_softmax_average_of_the_values() {
        for shape in shapes() {
            let layout = ChunkLayout { layers: 1, kv_heads: shape.kv_heads, head_dim: shape.head_dim };
            let (width, kv_width) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
            for tokens in [1, 15, 16, 17, 100] {
                let (q, k, v) = (noise(width, 1), noise(tokens * kv_width, 2), noise(tokens * kv_width, 3));
                let (chunks, blocks) = cut(layout, &k, &v, &[]);
                let view = KvView { layout, layer: 0, chunks: &chunks, blocks: &blocks };
                let mut out = vec![f32::NAN; width];
                attend(&shape, view, &[Query { blocks: 0..blocks.len(), visible: tokens }], &q, &mut out);
                for (got, want) in out.iter().zip(naive(&shape, &q, &k, &v, tokens)) {
                    assert!((f64::from(*got) - want).abs() < 3e-6, "{got} {want} {tokens} {shape:?}");
                }
            }
        }
    }

    #[test]
    fn cutting_the_keys_anywhere_changes_no_bit_on_any_instruction_set() {
        let tokens = 61;
        for shape in shapes() {
            let layout = ChunkLayout { layers: 1, kv_heads: shape.kv_heads, head_dim: shape.head_dim };
            let (width, kv_width) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
            let (q, k, v) = (noise(3 * width, 1), noise(tokens * kv_width, 2), noise(tokens * kv_width, 3));
            let run = |level, cuts: &[usize]| {
                let (chunks, blocks) = cut(layout, &k, &v, cuts);
                let view = KvView { layout, layer: 0, chunks: &chunks, blocks: &blocks };
                let query = |visible| Query { blocks: 0..blocks.len(), visible };
                let mut out = vec![f32::NAN; 3 * width];
                attend_at(level, &shape, view, &[query(40), query(60), query(61)], &q, &mut out);
                out
            };
            let whole = run(Level::detect(), &[]);
            assert!(whole.iter().all(|x| x.is_finite()));
            for level in Level::all() {
                for cuts in [vec![], vec![5], vec![5, 6, 21, 37], vec![16, 32], vec![1, 2, 3, 4, 40, 59, 60]] {
                    assert_eq!(run(level, &cuts), whole, "{level:?} {cuts:?} {shape:?}");
                }
            }
        }
    }

    #[test]
    fn a_query_alone_has_the_bits_that_it_has_among_others() {
        let shape = shapes()[4];
        let layout = ChunkLayout { layers: 1, kv_heads: shape.kv_heads, head_dim: shape.head_dim };
        let (tokens, width, kv_width) = (300, shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
        let (q, k, v) = (noise(tokens * width, 1), noise(tokens * kv_width, 2), noise(tokens * kv_width, 3));
        let (chunks, blocks) = cut(layout, &k, &v, &[]);
        let view = KvView { layout, layer: 0, chunks: &chunks, blocks: &blocks };
        let queries: Vec<Query> = (1..=tokens).map(|visible| Query { blocks: 0..blocks.len(), visible }).collect();
        let mut all = vec![f32::NAN; tokens * width];
        attend(&shape, view, &queries, &q, &mut all);
        for token in [0, 15, 16, 299] {
            let mut alone = vec![f32::NAN; width];
            attend(&shape, view, &queries[token..=token], &q[token * width..][..width], &mut alone);
            assert_eq!(alone, all[token * width..][..width]);
        }
    }

    #[test]
    fn a_key_or_a_value_that_is_not_a_number_shows_where_it_is_seen_and_not_before() {
        let shape = shapes()[0];
        let layout = ChunkLayout { layers: 1, kv_heads: 1, head_dim: 8 };
        for bad_key in [true, false] {
            let (q, mut k, mut v) = (noise(16, 1), noise(20 * 8, 2), noise(20 * 8, 3));
            if bad_key {
                k[18 * 8] = f32::NAN
            } else {
                v[18 * 8] = f32::NAN
            }
            let (chunks, blocks) = cut(layout, &k, &v, &[]);
            let view = KvView { layout, layer: 0, chunks: &chunks, blocks: &blocks };
            let mut out = vec![0.0; 16];
            let queries = [18, 19].map(|visible| Query { blocks: 0..blocks.len(), visible });
            attend(&shape, view, &queries, &q, &mut out);
            assert!(out[..8].iter().all(|x| x.is_finite()) && out[8].is_nan());
        }
    }
}
