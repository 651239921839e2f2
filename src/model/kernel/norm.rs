//! Normalises rows.
//!
//! Sums run in f32 in sixteen lanes, element i in lane i mod 16, then in a fixed tree: the error grows with the width's
//! sixteenth part, below 1e-6 of the value at any width in use, and the bits are those of the row alone.

use rayon::prelude::*;

use super::level::{Level, at_each_level};
use super::math::tree_sum;
use super::tasks::{ROWS_GRAIN, is_shared, map_rows};

/// Σ f(x)
#[inline(always)]
fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0f32; 16];
    let (lines, rest) = x.as_chunks::<16>();
    for line in lines {
        for (sum, &x) in sums.iter_mut().zip(line) {
            *sum += f(x);
        }
    }
    for (sum, &x) in sums.iter_mut().zip(rest) {
        *sum += f(x);
    }
    tree_sum(sums)
}

at_each_level! {
    fn rms_norm_rows(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
        for (x, out) in x.chunks_exact(weight.len()).zip(out.chunks_exact_mut(weight.len())) {
            let mean = sum(x, |x| x * x) / weight.len() as f32;
            let scale = 1.0 / (mean + eps).sqrt();
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * scale * weight;
            }
        }
    }

    fn layer_norm_rows(
        x: &[f32], width: usize, weight: Option<&[f32]>, bias: Option<&[f32]>, eps: f32, out: &mut [f32],
    ) {
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            let mean = sum(x, |x| x) / width as f32;
            let variance = sum(x, |x| (x - mean) * (x - mean)) / width as f32;
            let scale = 1.0 / (variance + eps).sqrt();
            for (out, x) in out.iter_mut().zip(x) {
                *out = (x - mean) * scale;
            }
            if let Some(weight) = weight {
                for (out, weight) in out.iter_mut().zip(weight) {
                    *out *= weight;
                }
            }
            if let Some(bias) = bias {
                for (out, bias) in out.iter_mut().zip(bias) {
                    *out += bias;
                }
            }
        }
    }
}

at_each_level! {
    fn add_layer_norm_rows(
        x: &mut [f32], residual: &[f32], addend: &[f32], weight: &[f32], bias: &[f32], eps: f32,
    ) {
        let width = weight.len();
        for (x, residual) in x.chunks_exact_mut(width).zip(residual.chunks_exact(width)) {
            for ((x, residual), addend) in x.iter_mut().zip(residual).zip(addend) {
                *x = *x + addend + residual;
            }
            let mean = sum(x, |x| x) / width as f32;
            let variance = sum(x, |x| (x - mean) * (x - mean)) / width as f32;
            let scale = 1.0 / (variance + eps).sqrt();
            for ((x, weight), bias) in x.iter_mut().zip(weight).zip(bias) {
                *x = (*x - mean) * scale * weight + bias;
            }
        }
    }
}

/// The end of an encoder's block: `layer_norm(x + addend + residual)` for each row, in place; `addend` is the bias of the
/// product that gave x.
///
/// # Panics
/// If sizes do not fit.
pub fn add_layer_norm(x: &mut [f32], residual: &[f32], addend: &[f32], weight: &[f32], bias: &[f32], eps: f32) {
    let width = weight.len();
    assert!(x.len() == residual.len() && addend.len() == width && bias.len() == width, "norm: sizes do not fit");
    let rows = |x: &mut [f32], residual: &[f32]| {
        add_layer_norm_rows(Level::detect(), x, residual, addend, weight, bias, eps);
    };
    if !is_shared(x.len()) {
        return rows(x, residual);
    }
    let part = ROWS_GRAIN.div_ceil(width) * width;
    x.par_chunks_mut(part).zip(residual.par_chunks(part)).for_each(|(x, residual)| rows(x, residual));
}

/// `x / √(mean x² + eps) · weight` for each row as wide as `weight` (Zhang and Sennrich 2019).
///
/// # Panics
/// If sizes do not fit.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let width = weight.len();
    map_rows(x, width, out, width, |x, out| rms_norm_rows(Level::detect(), x, weight, eps, out));
}

/// `(x − mean) / √(variance + eps) · weight + bias` for each row of `width` (Ba et al. 2016).
///
/// # Panics
/// If sizes do not fit.
pub fn layer_norm(x: &[f32], width: usize, weight: Option<&[f32]>, bias: Option<&[f32]>, eps: f32, out: &mut [f32]) {
    assert!([weight, bias].iter().flatten().all(|part| part.len() == width), "layer_norm: sizes do not fit");
    map_rows(x, width, out, width, |x, out| layer_norm_rows(Level::detect(), x, width, weight, bias, eps, out));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::noise;

    #[test]
    fn norms_are_near_their_formulas_in_f64() {
        for width in [1, 10, 16, 100, 576] {
            let (x, weight, bias) = (noise(3 * width, 1), noise(width, 2), noise(width, 3));
            let (mut rms, mut layer) = (vec![0.0; 3 * width], vec![0.0; 3 * width]);
            rms_norm(&x, &weight, 1e-5, &mut rms);
            layer_norm(&x, width, Some(&weight), Some(&bias), 1e-5, &mut layer);
            for row in 0..3 {
                let x = x[row * width..][..width].iter().map(|&x| f64::from(x));
                let n = width as f64;
                let mean = x.clone().sum::<f64>() / n;
                let square = x.clone().map(|x| x * x).sum::<f64>() / n;
                let variance = x.clone().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
                for (i, x) in x.enumerate() {
                    let (weight, bias) = (f64::from(weight[i]), f64::from(bias[i]));
                    let want = x / (square + 1e-5).sqrt() * weight;
                    assert!((f64::from(rms[row * width + i]) - want).abs() < 1e-5);
                    let want = (x - mean) / (variance + 1e-5).sqrt() * weight + bias;
                    assert!((f64::from(layer[row * width + i]) - want).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn the_end_of_a_block_is_the_norm_of_the_sum() {
        for width in [1, 16, 90, 384] {
            let (x, residual) = (noise(4 * width, 6), noise(4 * width, 7));
            let (addend, weight, bias) = (noise(width, 8), noise(width, 9), noise(width, 10));
            let sum: Vec<f32> = (0..4 * width).map(|i| x[i] + addend[i % width] + residual[i]).collect();
            let (mut got, mut want) = (x, vec![0.0; 4 * width]);
            add_layer_norm(&mut got, &residual, &addend, &weight, &bias, 1e-5);
            layer_norm(&sum, width, Some(&weight), Some(&bias), 1e-5, &mut want);
            assert_eq!(got, want);
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let (x, weight) = (noise(5 * 90, 4), noise(90, 5));
        let mut results = Level::all().into_iter().map(|level| {
            let (mut rms, mut layer) = (vec![0.0; 450], vec![0.0; 450]);
            rms_norm_rows(level, &x, &weight, 1e-6, &mut rms);
            layer_norm_rows(level, &x, 90, Some(&weight), None, 1e-6, &mut layer);
            (rms, layer)
        });
        let first = results.next().unwrap();
        assert!(results.all(|other| other == first));
    }
}
