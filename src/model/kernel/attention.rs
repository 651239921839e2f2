//! Attends packed queries of any lengths over keys that lie in pieces.
//!
//! A query meets its keys in the order of their positions, each with the same operations, so its bits do not depend on
//! how the keys are cut into pieces (shared prefix or own copy), on the other queries, or on threads.

use rayon::prelude::*;

use super::math::exp;

/// Sizes of the heads. `heads` is a multiple of `kv_heads` (grouped-query attention, Ainslie et al. 2023).
#[derive(Debug, Clone, Copy)]
pub struct AttentionShape {
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Factor on q·k, usually 1/√head_dim.
    pub scale: f32,
}

/// Consecutive keys and values, each `(tokens, kv_heads · head_dim)`.
#[derive(Clone, Copy)]
pub struct KvPiece<'a> {
    pub keys: &'a [f32],
    pub values: &'a [f32],
}

/// One query token: it sees the first `visible` tokens of its pieces.
pub struct QueryRow<'a> {
    pub pieces: &'a [KvPiece<'a>],
    pub visible: usize,
}

/// `out (queries, heads · head_dim)` = softmax(q·kᵀ · scale)·v for `q (queries, heads · head_dim)`, f32.
///
/// # Panics
/// If sizes do not fit, or a query sees no key.
pub fn attend(shape: &AttentionShape, q: &[f32], rows: &[QueryRow<'_>], out: &mut [f32]) {
    let width = shape.heads * shape.head_dim;
    assert!(q.len() == rows.len() * width && out.len() == q.len(), "attention: sizes do not fit");
    if width == 0 {
        return;
    }
    out.par_chunks_mut(width).zip(q.par_chunks(width)).zip(rows.par_iter()).for_each_init(
        || (Vec::new(), Vec::new()),
        |(scores, accumulator), ((out, q), row)| {
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the feature was just detected.
                unsafe { attend_row_avx2(shape, q, row, out, scores, accumulator) };
                return;
            }
            attend_row(shape, q, row, out, scores, accumulator);
        },
    );
}

/// The same operations in wider registers; Rust never contracts `a * b + c`, so the bits agree.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn attend_row_avx2(
    shape: &AttentionShape,
    q: &[f32],
    row: &QueryRow<'_>,
    out: &mut [f32],
    scores: &mut Vec<f32>,
    accumulator: &mut Vec<f32>,
) {
    attend_row(shape, q, row, out, scores, accumulator);
}

#[inline(always)]
fn attend_row(
    shape: &AttentionShape,
    q: &[f32],
    row: &QueryRow<'_>,
    out: &mut [f32],
    scores: &mut Vec<f32>,
    accumulator: &mut Vec<f32>,
) {
    let (d, stride) = (shape.head_dim, shape.kv_heads * shape.head_dim);
    let group = shape.heads / shape.kv_heads;
    assert!(row.visible > 0, "a query sees at least its own token");
    for head in 0..shape.heads {
        let offset = head / group * d;
        let q = &q[head * d..][..d];
        scores.clear();
        for_each_token(row, stride, |keys, _| scores.push(dot(q, &keys[offset..][..d]) * shape.scale));
        let max = scores.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
        for score in scores.iter_mut() {
            *score = exp(*score - max);
        }
        let mut sum = 0.0;
        for &weight in scores.iter() {
            sum += weight;
        }
        accumulator.clear();
        accumulator.resize(d, 0.0);
        let mut token = 0;
        for_each_token(row, stride, |_, values| {
            let weight = scores[token];
            token += 1;
            for (acc, v) in accumulator.iter_mut().zip(&values[offset..][..d]) {
                *acc += weight * v;
            }
        });
        for (out, acc) in out[head * d..][..d].iter_mut().zip(accumulator.iter()) {
            *out = acc / sum;
        }
    }
}

/// Calls `f(keys, values)` of each visible token, in order.
#[inline(always)]
fn for_each_token(row: &QueryRow<'_>, stride: usize, mut f: impl FnMut(&[f32], &[f32])) {
    let mut left = row.visible;
    for piece in row.pieces {
        let tokens = piece.keys.chunks_exact(stride).zip(piece.values.chunks_exact(stride)).take(left);
        left -= tokens.len();
        for (keys, values) in tokens {
            f(keys, values);
        }
        if left == 0 {
            return;
        }
    }
    assert_eq!(left, 0, "a query's pieces hold every token that it sees");
}

/// Sixteen running sums, then a fixed tree; the order depends on the length alone.
#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut acc = [0f32; 16];
    let (a_chunks, b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
    let (a_tail, b_tail) = (a_chunks.remainder(), b_chunks.remainder());
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..16 {
            acc[lane] += a[lane] * b[lane];
        }
    }
    for (acc, (a, b)) in acc.iter_mut().zip(a_tail.iter().zip(b_tail)) {
        *acc += a * b;
    }
    let mut width = 8;
    while width > 0 {
        for lane in 0..width {
            acc[lane] += acc[lane + width];
        }
        width /= 2;
    }
    acc[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(n: usize, step: f32) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * step).sin()).collect()
    }

    const SHAPE: AttentionShape = AttentionShape { heads: 6, kv_heads: 2, head_dim: 20, scale: 0.3 };

    #[test]
    fn attention_is_the_softmax_average_of_the_values() {
        let tokens = 9;
        let (q, k, v) = (wave(120, 0.37), wave(tokens * 40, 0.11), wave(tokens * 40, 0.23));
        let mut out = vec![0.0; 120];
        let pieces = [KvPiece { keys: &k, values: &v }];
        attend(&SHAPE, &q, &[QueryRow { pieces: &pieces, visible: tokens }], &mut out);
        for head in 0..6 {
            let offset = head / 3 * 20;
            let scores: Vec<f64> = (0..tokens)
                .map(|t| {
                    (0..20).map(|i| f64::from(q[head * 20 + i]) * f64::from(k[t * 40 + offset + i])).sum::<f64>() * 0.3
                })
                .collect();
            let total: f64 = scores.iter().map(|s| s.exp()).sum();
            for i in 0..20 {
                let want: f64 = (0..tokens).map(|t| scores[t].exp() / total * f64::from(v[t * 40 + offset + i])).sum();
                assert!((f64::from(out[head * 20 + i]) - want).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn cutting_the_keys_into_pieces_changes_no_bit() {
        let tokens = 13;
        let (q, k, v) = (wave(240, 0.37), wave(tokens * 40, 0.11), wave(tokens * 40, 0.23));
        let whole = [KvPiece { keys: &k, values: &v }];
        let cut: Vec<KvPiece> = [(0, 5), (5, 5), (5, 6), (6, 13)]
            .iter()
            .map(|&(from, to)| KvPiece { keys: &k[from * 40..to * 40], values: &v[from * 40..to * 40] })
            .collect();
        let (mut a, mut b) = (vec![0.0; 240], vec![0.0; 240]);
        attend(
            &SHAPE,
            &q,
            &[QueryRow { pieces: &whole, visible: 12 }, QueryRow { pieces: &whole, visible: 13 }],
            &mut a,
        );
        attend(&SHAPE, &q, &[QueryRow { pieces: &cut, visible: 12 }, QueryRow { pieces: &cut, visible: 13 }], &mut b);
        assert_eq!(a, b);
    }
}
