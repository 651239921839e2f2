//! Attends the tokens of whole texts to each other, for encoders: packed rows, no padding, both directions.
//!
//! The arithmetic is that of [`super::attention`]; here four tokens of a text share the loads of a key. A text's bits
//! depend on its own rows alone.

use std::cell::RefCell;

use super::attention::{AttentionShape, Job, Piece, Scratch, TILE};
use super::chunk::CHUNK_TOKENS;
use super::lanes::Line;
use super::level::Level;
use super::{Output, for_each_task};

/// What attention inside a text computes.
#[derive(Debug, Clone, Copy)]
pub struct TextAttention {
    pub heads: usize,
    pub head_dim: usize,
    /// Factor on q·k, usually 1/√head_dim.
    pub scale: f32,
    /// A token sees those at most so far from it, on both sides; all of its text if `None`.
    pub reach: Option<usize>,
}

/// Keys and values of one text and head, kept from task to task.
#[derive(Default)]
struct Packed {
    keys: Vec<Line>,
    values: Vec<Line>,
    scratch: Scratch,
}

thread_local! {
    static PACKED: RefCell<Packed> = RefCell::default();
}

/// `out (tokens, heads · head_dim)` = softmax(q·kᵀ · scale)·v inside each text, for rows `[q, k, v]` of
/// `qkv (tokens, 3 · heads · head_dim)`; `lengths` are the texts' tokens, in the order of the rows.
///
/// # Panics
/// If sizes do not fit.
pub fn attend_texts(shape: &TextAttention, lengths: &[usize], qkv: &[f32], out: &mut [f32]) {
    attend_texts_at(Level::detect(), shape, lengths, qkv, out);
}

fn attend_texts_at(level: Level, shape: &TextAttention, lengths: &[usize], qkv: &[f32], out: &mut [f32]) {
    let width = shape.heads * shape.head_dim;
    let rows: usize = lengths.iter().sum();
    assert!(qkv.len() == 3 * rows * width && out.len() == rows * width, "attention: sizes do not fit");
    let starts = starts(lengths);
    let output = Output::new(out);
    let longest = lengths.iter().copied().max().unwrap_or(0);
    for_each_task(lengths.len() * shape.heads, longest * longest * shape.head_dim * 2, |task| {
        let (text, head) = (task / shape.heads, task % shape.heads);
        let (start, length) = (starts[text], lengths[text]);
        PACKED.with_borrow_mut(|packed| {
            packed.fill(shape, &qkv[3 * start * width..][..3 * length * width], head);
            packed.attend(level, shape, &qkv[3 * start * width..], length, head, output, start);
        });
    });
}

/// The row at which each text begins.
pub(super) fn starts(lengths: &[usize]) -> Vec<usize> {
    let ends = lengths.iter().scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    ends.zip(lengths).map(|(end, length)| end - length).collect()
}

impl Packed {
    /// Lays out one head's keys and values of a text as [`super::chunk`] does.
    fn fill(&mut self, shape: &TextAttention, qkv: &[f32], head: usize) {
        let (d, width) = (shape.head_dim, shape.heads * shape.head_dim);
        let (length, value_lines) = (qkv.len() / (3 * width), d.div_ceil(16));
        let chunks = length.div_ceil(CHUNK_TOKENS);
        let (keys, values) = (chunks * d, chunks * CHUNK_TOKENS * value_lines);
        if self.keys.len() < keys {
            self.keys.resize(keys, Line::ZERO);
        }
        if self.values.len() < values {
            self.values.resize(values, Line::ZERO);
        }
        for (token, row) in qkv.chunks_exact(3 * width).enumerate() {
            let (chunk, slot) = (token / CHUNK_TOKENS, token % CHUNK_TOKENS);
            let key = &row[width + head * d..][..d];
            for (line, &key) in self.keys[chunk * d..][..d].iter_mut().zip(key) {
                line.0[slot] = key;
            }
            let value = &row[2 * width + head * d..][..d];
            for (line, value) in self.values[token * value_lines..][..value_lines].iter_mut().zip(value.chunks(16)) {
                match value.first_chunk() {
                    Some(whole) => line.0 = *whole,
                    None => line.0[..value.len()].copy_from_slice(value),
                }
            }
        }
        self.scratch.pieces.clear();
        for chunk in 0..chunks {
            self.scratch.pieces.push(Piece {
                keys: self.keys[chunk * d..].as_ptr(),
                values: self.values[chunk * CHUNK_TOKENS * value_lines..].as_ptr(),
                tokens: CHUNK_TOKENS.min(length - chunk * CHUNK_TOKENS),
            });
        }
    }

    /// One head of a text that begins at row `start` of the output.
    #[allow(clippy::too_many_arguments)]
    fn attend(
        &mut self,
        level: Level,
        shape: &TextAttention,
        qkv: &[f32],
        length: usize,
        head: usize,
        output: Output,
        start: usize,
    ) {
        let (d, width) = (shape.head_dim, shape.heads * shape.head_dim);
        let attention =
            AttentionShape { heads: 1, kv_heads: 1, head_dim: d, scale: shape.scale, softcap: None, window: None };
        let seen = |token: usize| match shape.reach {
            Some(reach) => (token.saturating_sub(reach), length.min(token + reach + 1)),
            None => (0, length),
        };
        let mut token = 0;
        while token < length {
            let (from, visible) = seen(token);
            let same = (token..length.min(token + TILE)).take_while(|&other| seen(other) == (from, visible)).count();
            let job = Job {
                shape: &attention,
                value_lines: d.div_ceil(16),
                from,
                visible,
                is_cold: false,
                q: qkv[3 * token * width + head * d..].as_ptr(),
                out: output.at((start + token) * width + head * d),
                q_stride: 3 * width,
                out_stride: width,
            };
            // SAFETY: `same` rows follow at `q` and `out`, and no other task has this text and head; `fill` laid out all
            // of the text's tokens; the level was detected on this machine.
            unsafe { job.run(level, same, &mut self.scratch) };
            token += same;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::noise;

    const SHAPES: [(usize, usize, Option<usize>); 4] =
        [(2, 32, None), (3, 10, None), (2, 20, Some(3)), (1, 64, Some(16))];

    fn shape((heads, head_dim, reach): (usize, usize, Option<usize>)) -> TextAttention {
        TextAttention { heads, head_dim, scale: 0.4, reach }
    }

    /// The formula in f64, for one text.
    fn naive(shape: &TextAttention, qkv: &[f32]) -> Vec<f64> {
        let (d, width) = (shape.head_dim, shape.heads * shape.head_dim);
        let length = qkv.len() / (3 * width);
        let at = |row: usize, part: usize, head: usize, i: usize| {
            f64::from(qkv[row * 3 * width + part * width + head * d + i])
        };
        let mut out = vec![0.0; length * width];
        for head in 0..shape.heads {
            for i in 0..length {
                let seen: Vec<usize> =
                    (0..length).filter(|&j| shape.reach.is_none_or(|reach| i.abs_diff(j) <= reach)).collect();
                let weights: Vec<f64> = seen
                    .iter()
                    .map(|&j| {
                        let dot: f64 = (0..d).map(|k| at(i, 0, head, k) * at(j, 1, head, k)).sum();
                        (dot * f64::from(shape.scale)).exp()
                    })
                    .collect();
                let total: f64 = weights.iter().sum();
                for k in 0..d {
                    out[i * width + head * d + k] =
                        seen.iter().zip(&weights).map(|(&j, w)| w / total * at(j, 2, head, k)).sum();
                }
            }
        }
        out
    }

    #[test]
    fn every_token_averages_the_values_that_it_sees() {
        for shape in SHAPES.map(shape) {
            let row = 3 * shape.heads * shape.head_dim;
            for length in [1, 2, 15, 16, 17, 70] {
                let qkv = noise(length * row, 1);
                let mut out = vec![f32::NAN; qkv.len() / 3];
                attend_texts(&shape, &[length], &qkv, &mut out);
                for (got, want) in out.iter().zip(naive(&shape, &qkv)) {
                    assert!((f64::from(*got) - want).abs() < 3e-6, "{got} {want} {length} {shape:?}");
                }
            }
        }
    }

    #[test]
    fn a_text_has_the_same_bits_alone_and_among_others_on_every_instruction_set() {
        let lengths = [40, 1, 17, 16, 5];
        for shape in SHAPES.map(shape) {
            let row = 3 * shape.heads * shape.head_dim;
            let qkv = noise(lengths.iter().sum::<usize>() * row, 2);
            let mut all = vec![f32::NAN; qkv.len() / 3];
            attend_texts(&shape, &lengths, &qkv, &mut all);
            let mut start = 0;
            for length in lengths {
                for level in Level::all() {
                    let mut alone = vec![f32::NAN; length * row / 3];
                    attend_texts_at(level, &shape, &[length], &qkv[start * row..][..length * row], &mut alone);
                    assert_eq!(alone, all[start * row / 3..][..length * row / 3], "{level:?} {shape:?}");
                }
                start += length;
            }
        }
    }

    #[test]
    fn what_an_earlier_text_left_behind_does_not_matter() {
        let shape = shape(SHAPES[0]);
        let (long, short) = (vec![f32::NAN; 33 * 3 * 64], noise(3 * 3 * 64, 3));
        let mut out = vec![0.0; 3 * 64];
        crate::model::kernel::on_one_thread(|| {
            attend_texts(&shape, &[33], &long, &mut vec![0.0; 33 * 64]);
            attend_texts(&shape, &[3], &short, &mut out);
        });
        assert!(out.iter().all(|x| x.is_finite()));
    }
}
