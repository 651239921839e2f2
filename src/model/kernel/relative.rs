//! Attends the tokens of whole texts to each other with a score for their distance (DeBERTa: He et al. 2021).
//!
//! A score is three chains of fused multiply-adds over the head's dimensions, added in a fixed order; the softmax sums in
//! sixteen lanes by position, then in a tree; an output is one chain over the tokens in their order, divided by the sum.

use std::cell::RefCell;

use super::bidirectional::starts;
use super::level::{Level, at_each_level};
use super::math::{exp, tree_sum};
use super::{Output, for_each_task};

/// What attention with distances computes: softmax((q·k + q·pk + k·pq) · scale)·v, where pk and pq depend on the
/// distance of the two tokens.
pub struct RelativeAttention<'a> {
    pub heads: usize,
    pub head_dim: usize,
    pub scale: f32,
    pub keys: Option<&'a DistanceTable>,
    pub queries: Option<&'a DistanceTable>,
}

/// A vector for every distance that two tokens of a text of at most `longest` tokens can have.
pub struct DistanceTable {
    /// (heads · head_dim) rows; distance query − key = longest − 1 − column, so that columns rise with the key.
    values: Vec<f32>,
    longest: usize,
}

impl DistanceTable {
    /// Columns, with room for sixteen at a time.
    fn columns(longest: usize) -> usize {
        2 * longest + 16
    }

    /// From `vectors (rows, width)` and the row that stands for a distance.
    pub fn new(vectors: &[f32], width: usize, longest: usize, row: impl Fn(isize) -> usize) -> Self {
        let columns = Self::columns(longest);
        let mut values = vec![0.0; width * columns];
        for column in 0..2 * longest - 1 {
            let distance = longest as isize - 1 - column as isize;
            for (i, &value) in vectors[row(distance) * width..][..width].iter().enumerate() {
                values[i * columns + column] = value;
            }
        }
        Self { values, longest }
    }

    /// The rows of a head, from the column for query `token` and key 0 on.
    fn of(&self, head: usize, head_dim: usize, token: usize) -> (&[f32], usize) {
        let columns = Self::columns(self.longest);
        (&self.values[head * head_dim * columns + self.longest - 1 - token..], columns)
    }
}

thread_local! {
    /// Keys of one text and head, (head_dim, tokens filled up to sixteen), and the scores of one token.
    static SCRATCH: RefCell<(Vec<f32>, Vec<f32>)> = RefCell::default();
}

/// `out (tokens, heads · head_dim)` for rows `[q, k, v]` of `qkv (tokens, 3 · heads · head_dim)`; `lengths` are the
/// texts' tokens, in the order of the rows.
///
/// # Panics
/// If sizes do not fit, or a text is longer than the tables.
pub fn attend_relative(shape: &RelativeAttention<'_>, lengths: &[usize], qkv: &[f32], out: &mut [f32]) {
    attend_relative_at(Level::detect(), shape, lengths, qkv, out);
}

fn attend_relative_at(level: Level, shape: &RelativeAttention<'_>, lengths: &[usize], qkv: &[f32], out: &mut [f32]) {
    let (d, width) = (shape.head_dim, shape.heads * shape.head_dim);
    let rows: usize = lengths.iter().sum();
    let longest = lengths.iter().copied().max().unwrap_or(0);
    assert!(qkv.len() == 3 * rows * width && out.len() == rows * width, "attention: sizes do not fit");
    let fits = |table: &DistanceTable| {
        table.longest >= longest && table.values.len() == width * DistanceTable::columns(table.longest)
    };
    assert!([shape.keys, shape.queries].into_iter().flatten().all(fits), "attention: the tables are too small");
    let starts = starts(lengths);
    let output = Output::new(out);
    for_each_task(lengths.len() * shape.heads, longest * longest * d * 4, |task| {
        let (text, head) = (task / shape.heads, task % shape.heads);
        let (start, length) = (starts[text], lengths[text]);
        let qkv = &qkv[3 * start * width..][..3 * length * width];
        SCRATCH.with_borrow_mut(|(keys, scores)| {
            let padded = length.next_multiple_of(16);
            keys.clear();
            keys.resize(d * padded, 0.0);
            scores.resize(padded, 0.0);
            for (token, row) in qkv.chunks_exact(3 * width).enumerate() {
                for (i, &key) in row[width + head * d..][..d].iter().enumerate() {
                    keys[i * padded + token] = key;
                }
            }
            for token in 0..length {
                let query = &qkv[token * 3 * width + head * d..][..d];
                let none = (&[][..], 0);
                let to_keys = shape.keys.map_or(none, |table| table.of(head, d, token));
                let to_queries = shape.queries.map_or(none, |table| table.of(head, d, token));
                score(level, query, keys, to_keys, to_queries, shape.scale, length, scores);
                let total = soften(level, scores);
                // SAFETY: this text, head and token are this task's alone.
                let out = unsafe { std::slice::from_raw_parts_mut(output.at((start + token) * width + head * d), d) };
                average(level, &scores[..length], total, &qkv[2 * width + head * d..], 3 * width, out);
            }
        });
    });
}

at_each_level! {
    fn score(
        query: &[f32], keys: &[f32], to_keys: (&[f32], usize), to_queries: (&[f32], usize), scale: f32, length: usize,
        scores: &mut [f32],
    ) {
        let padded = scores.len();
        for first in (0..padded).step_by(16) {
            let (mut content, mut position, mut reverse) = ([0f32; 16], [0f32; 16], [0f32; 16]);
            for (i, &q) in query.iter().enumerate() {
                let key: &[f32; 16] = keys[i * padded + first..].first_chunk().expect("keys are filled up to sixteen");
                for lane in 0..16 {
                    content[lane] = q.mul_add(key[lane], content[lane]);
                }
                if to_keys.1 > 0 {
                    let pk: &[f32; 16] =
                        to_keys.0[i * to_keys.1 + first..].first_chunk().expect("columns are filled up");
                    for lane in 0..16 {
                        position[lane] = q.mul_add(pk[lane], position[lane]);
                    }
                }
                if to_queries.1 > 0 {
                    let pq: &[f32; 16] =
                        to_queries.0[i * to_queries.1 + first..].first_chunk().expect("columns are filled up");
                    for lane in 0..16 {
                        reverse[lane] = key[lane].mul_add(pq[lane], reverse[lane]);
                    }
                }
            }
            for lane in 0..16 {
                let sum = (content[lane] + position[lane] + reverse[lane]) * scale;
                scores[first + lane] = if first + lane < length { sum } else { f32::NEG_INFINITY };
            }
        }
    }

    fn soften(scores: &mut [f32]) -> f32 {
        let mut top = [f32::NEG_INFINITY; 16];
        for line in scores.as_chunks::<16>().0 {
            for (top, &score) in top.iter_mut().zip(line) {
                *top = if score > *top { score } else { *top };
            }
        }
        let top = top.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
        let mut sums = [0f32; 16];
        for line in scores.as_chunks_mut::<16>().0 {
            for (sum, score) in sums.iter_mut().zip(line) {
                *score = exp(*score - top);
                *sum += *score;
            }
        }
        tree_sum(sums)
    }

    fn average(weights: &[f32], total: f32, values: &[f32], stride: usize, out: &mut [f32]) {
        for (part, out) in out.chunks_mut(16).enumerate() {
            let mut sums = [0f32; 16];
            for (token, &weight) in weights.iter().enumerate() {
                let value = &values[token * stride + part * 16..][..out.len()];
                for (sum, &value) in sums.iter_mut().zip(value) {
                    *sum = weight.mul_add(value, *sum);
                }
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = sum / total;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::noise;

    const HEADS: usize = 2;
    const DIM: usize = 20;
    const WIDTH: usize = HEADS * DIM;

    fn row(distance: isize) -> usize {
        (distance.clamp(-7, 7) + 7) as usize
    }

    #[test]
    fn a_score_is_the_sum_of_its_three_parts_and_a_text_is_the_same_among_others() {
        let lengths = [5, 33, 1, 16];
        let (vectors_k, vectors_q) = (noise(15 * WIDTH, 1), noise(15 * WIDTH, 2));
        let tables = |longest| {
            (DistanceTable::new(&vectors_k, WIDTH, longest, row), DistanceTable::new(&vectors_q, WIDTH, longest, row))
        };
        let qkv = noise(lengths.iter().sum::<usize>() * 3 * WIDTH, 3);
        let (keys, queries) = tables(40);
        let shape =
            RelativeAttention { heads: HEADS, head_dim: DIM, scale: 0.3, keys: Some(&keys), queries: Some(&queries) };
        let mut all = vec![f32::NAN; qkv.len() / 3];
        attend_relative(&shape, &lengths, &qkv, &mut all);
        let mut start = 0;
        for length in lengths {
            let own = &qkv[start * 3 * WIDTH..][..length * 3 * WIDTH];
            let at = |token: usize, part: usize, i: usize| f64::from(own[token * 3 * WIDTH + part * WIDTH + i]);
            for level in Level::all() {
                let (keys, queries) = tables(length);
                let shape = RelativeAttention { keys: Some(&keys), queries: Some(&queries), ..shape };
                let mut alone = vec![f32::NAN; length * WIDTH];
                attend_relative_at(level, &shape, &[length], own, &mut alone);
                assert_eq!(alone, all[start * WIDTH..][..length * WIDTH], "{level:?}");
            }
            for head in 0..HEADS {
                for i in 0..length {
                    let weights: Vec<f64> = (0..length)
                        .map(|j| {
                            let place = row(i as isize - j as isize) * WIDTH;
                            let part = |k: usize| {
                                let (q, key) = (at(i, 0, k), at(j, 1, k));
                                q * key + q * f64::from(vectors_k[place + k]) + key * f64::from(vectors_q[place + k])
                            };
                            ((head * DIM..(head + 1) * DIM).map(part).sum::<f64>() * 0.3).exp()
                        })
                        .collect();
                    let total: f64 = weights.iter().sum();
                    for k in head * DIM..(head + 1) * DIM {
                        let want: f64 = weights.iter().enumerate().map(|(j, w)| w / total * at(j, 2, k)).sum();
                        assert!((f64::from(all[(start + i) * WIDTH + k]) - want).abs() < 3e-6);
                    }
                }
            }
            start += length;
        }
    }
}
