//! Rotates queries and keys by their positions (Su et al. 2021), in the form that pairs a head's two halves (GPT-NeoX).

use rayon::prelude::*;

use super::level::{Level, at_each_level};
use super::tasks::{ROWS_GRAIN, is_shared};

at_each_level! {
    fn rotate_heads(heads: &mut [f32], head_dim: usize, cos: &[f32], sin: &[f32]) {
        for head in heads.chunks_exact_mut(head_dim) {
            let (low, high) = head[..2 * cos.len()].split_at_mut(cos.len());
            for (((low, high), cos), sin) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                let (a, b) = (*low, *high);
                *low = a * cos - b * sin;
                *high = b * cos + a * sin;
            }
        }
    }
}

/// Rotates the first `rotary_dim` numbers of each head in place: (a, b) → (a·cos − b·sin, b·cos + a·sin) for a in the
/// first half of them and b as far into the second. `cos` and `sin` are (rows, rotary_dim / 2).
///
/// The heads are the first `heads · head_dim` numbers of a row; a row of x may be longer, so that the queries and keys of
/// a `[q, k, v]` row turn in one call.
///
/// # Panics
/// If sizes do not fit.
pub fn rope(x: &mut [f32], rows: usize, heads: usize, head_dim: usize, rotary_dim: usize, cos: &[f32], sin: &[f32]) {
    let half = rotary_dim / 2;
    assert!(rotary_dim.is_multiple_of(2) && rotary_dim <= head_dim, "rope: sizes do not fit");
    assert!(cos.len() == rows * half && sin.len() == cos.len(), "rope: sizes do not fit");
    if rows == 0 || half == 0 {
        return;
    }
    let width = x.len() / rows;
    assert!(x.len() == rows * width && heads * head_dim <= width, "rope: sizes do not fit");
    let level = Level::detect();
    if !is_shared(x.len()) {
        let rows = x.chunks_exact_mut(width).zip(cos.chunks_exact(half)).zip(sin.chunks_exact(half));
        return rows
            .for_each(|((row, cos), sin)| rotate_heads(level, &mut row[..heads * head_dim], head_dim, cos, sin));
    }
    // Rows that a thread takes at least.
    let grain = ROWS_GRAIN.div_ceil(width);
    x.par_chunks_exact_mut(width)
        .zip(cos.par_chunks_exact(half))
        .zip(sin.par_chunks_exact(half))
        .with_min_len(grain)
        .for_each(|((row, cos), sin)| rotate_heads(level, &mut row[..heads * head_dim], head_dim, cos, sin));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::noise;

    #[test]
    fn rope_turns_each_pair_by_its_angle_and_leaves_the_rest() {
        let (rows, heads, head_dim, rotary_dim, width) = (3, 2, 10, 8, 25);
        let before = noise(rows * width, 1);
        let angle = |row: usize, i: usize| row as f32 * 0.7 + i as f32 * 0.3;
        let angles: Vec<f32> = (0..rows * 4).map(|i| angle(i / 4, i % 4)).collect();
        let (cos, sin): (Vec<f32>, Vec<f32>) = angles.iter().map(|a| (a.cos(), a.sin())).unzip();
        let mut after = before.clone();
        rope(&mut after, rows, heads, head_dim, rotary_dim, &cos, &sin);
        for row in 0..rows {
            for column in 0..width {
                let (head, i) = (column / head_dim, column % head_dim);
                let at = |i: usize| before[row * width + head * head_dim + i];
                let want = if head >= heads || i >= rotary_dim {
                    before[row * width + column]
                } else if i < 4 {
                    at(i) * angle(row, i).cos() - at(i + 4) * angle(row, i).sin()
                } else {
                    at(i) * angle(row, i - 4).cos() + at(i - 4) * angle(row, i - 4).sin()
                };
                assert_eq!(after[row * width + column], want);
            }
        }
    }
}
