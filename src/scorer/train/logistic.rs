//! Fits a logistic regression by Newton's method, in f64 and in a fixed order of sums.

use anyhow::{Result, ensure};
use rayon::prelude::*;

/// Rows that are summed together; a constant, so that the sums do not depend on the number of threads.
const CHUNK: usize = 1024;

/// Steps after which the fit is given up; ten are common.
const MAX_STEPS: usize = 60;

/// What the fit found.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    pub bias: f64,
    pub weight: Vec<f64>,
    pub steps: usize,
}

/// Minimises Σ row_weight · cross-entropy(target, σ(b + w·x)) + l2/2 · |w|², which has exactly one minimum.
///
/// `x` is (rows, dim); targets lie in [0, 1] and may be fractions (Papke and Wooldridge 1996). The bias is not held
/// back. Ends when the gradient's largest entry is below 1e-9 of the rows' weight.
///
/// # Errors
/// No row, sizes that do not fit, or no minimum within 60 steps (numbers that are not finite).
pub fn fit(x: &[f32], dim: usize, targets: &[f64], row_weights: &[f64], l2: f64) -> Result<Fitted> {
    let rows = targets.len();
    ensure!(rows > 0 && x.len() == rows * dim && row_weights.len() == rows, "the fit needs a target and weight a row");
    ensure!(l2 > 0.0 && targets.iter().all(|t| (0.0..=1.0).contains(t)), "targets lie in [0, 1], l2 above 0");
    let total: f64 = row_weights.iter().sum();
    let mut beta = vec![0.0; dim + 1]; // bias last
    let mut loss = objective(x, dim, targets, row_weights, l2, &beta);
    for steps in 0..MAX_STEPS {
        let (gradient, mut hessian) = derivatives(x, dim, targets, row_weights, l2, &beta);
        let largest = gradient.iter().fold(0.0_f64, |a, g| a.max(g.abs()));
        ensure!(largest.is_finite(), "the fit met a number that is not finite");
        if largest <= 1e-9 * total {
            return Ok(Fitted { bias: beta[dim], weight: beta[..dim].to_vec(), steps });
        }
        let step = solve(&mut hessian, gradient, dim + 1)?;
        // Newton's step overshoots only far from the minimum: halve it while the loss grows.
        let mut length = 1.0;
        loop {
            let next: Vec<f64> = beta.iter().zip(&step).map(|(b, s)| b - length * s).collect();
            let next_loss = objective(x, dim, targets, row_weights, l2, &next);
            if next_loss <= loss + 1e-12 * loss.abs() || length < 1e-6 {
                (beta, loss) = (next, next_loss);
                break;
            }
            length /= 2.0;
        }
    }
    anyhow::bail!("the fit did not end within {MAX_STEPS} steps")
}

fn linear(x: &[f32], beta: &[f64]) -> f64 {
    let mut sum = beta[x.len()];
    for (x, b) in x.iter().zip(beta) {
        sum += f64::from(*x) * b;
    }
    sum
}

fn objective(x: &[f32], dim: usize, targets: &[f64], row_weights: &[f64], l2: f64, beta: &[f64]) -> f64 {
    let chunks: Vec<f64> = x
        .par_chunks(CHUNK * dim)
        .zip(targets.par_chunks(CHUNK))
        .zip(row_weights.par_chunks(CHUNK))
        .map(|((x, targets), weights)| {
            let mut sum = 0.0;
            for ((x, t), w) in x.chunks_exact(dim).zip(targets).zip(weights) {
                let z = linear(x, beta);
                // ln(1 + e^z) - t·z, without overflow.
                sum += w * (z.max(0.0) + (-z.abs()).exp().ln_1p() - t * z);
            }
            sum
        })
        .collect();
    chunks.iter().sum::<f64>() + l2 / 2.0 * beta[..dim].iter().map(|b| b * b).sum::<f64>()
}

/// Gradient, and the lower triangle of the Hessian in full square storage.
fn derivatives(
    x: &[f32],
    dim: usize,
    targets: &[f64],
    row_weights: &[f64],
    l2: f64,
    beta: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let n = dim + 1;
    let chunks: Vec<(Vec<f64>, Vec<f64>)> = x
        .par_chunks(CHUNK * dim)
        .zip(targets.par_chunks(CHUNK))
        .zip(row_weights.par_chunks(CHUNK))
        .map(|((x, targets), weights)| {
            let (mut gradient, mut hessian) = (vec![0.0; n], vec![0.0; n * n]);
            let mut row = vec![1.0; n];
            for ((x, t), w) in x.chunks_exact(dim).zip(targets).zip(weights) {
                let p = 1.0 / (1.0 + (-linear(x, beta)).exp());
                for (wide, narrow) in row.iter_mut().zip(x) {
                    *wide = f64::from(*narrow);
                }
                let (slope, curve) = (w * (p - t), w * p * (1.0 - p));
                for i in 0..n {
                    gradient[i] += slope * row[i];
                    let scale = curve * row[i];
                    for (h, v) in hessian[i * n..=i * n + i].iter_mut().zip(&row) {
                        *h += scale * v;
                    }
                }
            }
            (gradient, hessian)
        })
        .collect();
    let (mut gradient, mut hessian) = (vec![0.0; n], vec![0.0; n * n]);
    for (g, h) in &chunks {
        gradient.iter_mut().zip(g).for_each(|(a, b)| *a += b);
        hessian.iter_mut().zip(h).for_each(|(a, b)| *a += b);
    }
    for i in 0..dim {
        gradient[i] += l2 * beta[i];
        hessian[i * n + i] += l2;
    }
    (gradient, hessian)
}

/// Solves H·s = g by Cholesky's factor, which replaces the lower triangle of `h`.
fn solve(h: &mut [f64], mut g: Vec<f64>, n: usize) -> Result<Vec<f64>> {
    for i in 0..n {
        for j in 0..=i {
            let mut sum = h[i * n + j];
            for k in 0..j {
                sum -= h[i * n + k] * h[j * n + k];
            }
            if i == j {
                ensure!(sum > 0.0, "the fit has no single minimum: are all rows' weights 0?");
                h[i * n + i] = sum.sqrt();
            } else {
                h[i * n + j] = sum / h[j * n + j];
            }
        }
    }
    for i in 0..n {
        for k in 0..i {
            g[i] -= h[i * n + k] * g[k];
        }
        g[i] /= h[i * n + i];
    }
    for i in (0..n).rev() {
        for k in i + 1..n {
            g[i] -= h[k * n + i] * g[k];
        }
        g[i] /= h[i * n + i];
    }
    Ok(g)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_is_zero_at_what_is_found() {
        let x: Vec<f32> = (0..3000).map(|i| ((i * 7919 % 1000) as f32 / 500.0) - 1.0).collect();
        let targets: Vec<f64> = (0..1000).map(|i| f64::from(x[i * 3] + 0.3 * x[i * 3 + 1] > 0.1)).collect();
        let weights: Vec<f64> = (0..1000).map(|i| if i % 3 == 0 { 2.0 } else { 0.5 }).collect();
        let fitted = fit(&x, 3, &targets, &weights, 0.1).unwrap();
        let mut beta = fitted.weight.clone();
        beta.push(fitted.bias);
        let (gradient, _) = derivatives(&x, 3, &targets, &weights, 0.1, &beta);
        assert!(gradient.iter().all(|g| g.abs() < 1e-5), "{gradient:?}");
        assert!(fitted.weight[0] > fitted.weight[1] && fitted.weight[1] > 0.0);
    }

    #[test]
    fn without_signal_the_bias_is_the_log_odds_of_the_mean_target() {
        let fitted = fit(&[0.0; 40], 1, &[0.25; 40], &[1.0; 40], 1.0).unwrap();
        assert!((fitted.bias - (0.25_f64 / 0.75).ln()).abs() < 1e-7, "{}", fitted.bias);
        assert_eq!(fitted.weight, [0.0]);
    }

    #[test]
    fn one_thread_and_many_give_the_same_bits() {
        let x: Vec<f32> = (0..20_000).map(|i| ((i * 7919 % 1009) as f32 / 500.0) - 1.0).collect();
        let targets: Vec<f64> = (0..5000).map(|i| f64::from(x[i * 4] > 0.0)).collect();
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let many = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
        let run = || fit(&x, 4, &targets, &[1.0; 5000], 0.5).unwrap();
        assert_eq!(alone.install(run), many.install(run));
    }
}
