//! Fits a logistic or softmax regression by L-BFGS, in f64 and in a fixed order of sums.
//!
//! L-BFGS (Nocedal 1980; Nocedal and Wright 2006, algorithm 7.5) needs gradients alone, so that the cost grows with the
//! number of labels and not with its square.

use std::collections::VecDeque;

use anyhow::{Result, ensure};
use rayon::prelude::*;

/// Rows that are summed together; a constant, so that the sums do not depend on the number of threads.
const CHUNK: usize = 1024;

/// Pairs of steps and changes of the gradient that stand for the curvature.
const MEMORY: usize = 12;

/// Steps after which the fit is given up; a hundred are common.
const MAX_STEPS: usize = 2000;

/// Vectors with their targets.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// (rows, dim)
    pub x: &'a [f32],
    pub dim: usize,
    /// (rows, outputs), in [0, 1]. One output: the target of a sigmoid. More: shares that sum to 1, of a softmax.
    pub targets: &'a [f32],
    pub outputs: usize,
    /// One weight a row.
    pub weights: &'a [f32],
}

/// What the fit found.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// (outputs, dim)
    pub weight: Vec<f64>,
    /// (outputs)
    pub bias: Vec<f64>,
    pub steps: usize,
}

/// Minimises Σ row weight · cross-entropy(target, prediction) + l2/2 · |weight|²; biases are not held back.
///
/// The weights have exactly one minimum. Ends when the gradient's largest entry is below 1e-7 of the rows' weight.
///
/// # Errors
/// No row, sizes that do not fit, or no minimum within 2,000 steps (numbers that are not finite).
pub fn fit(rows: Rows<'_>, l2: f64) -> Result<Fitted> {
    let n = rows.weights.len();
    let fits = rows.x.len() == n * rows.dim && rows.targets.len() == n * rows.outputs;
    ensure!(n > 0 && fits, "the fit needs a target and a weight a row");
    ensure!(l2 > 0.0 && rows.targets.iter().all(|t| (0.0..=1.0).contains(t)), "targets lie in [0, 1], l2 above 0");
    let total: f64 = rows.weights.iter().map(|&w| f64::from(w)).sum();

    let mut beta = vec![0.0; rows.outputs * (rows.dim + 1)];
    let (mut loss, mut gradient) = evaluate(rows, l2, &beta);
    let mut memory: VecDeque<(Vec<f64>, Vec<f64>)> = VecDeque::new();
    for steps in 0..MAX_STEPS {
        ensure!(loss.is_finite(), "the fit met a number that is not finite");
        if gradient.iter().all(|g| g.abs() <= 1e-7 * total) {
            let weight = beta.chunks_exact(rows.dim + 1).flat_map(|row| row[..rows.dim].to_vec()).collect();
            let bias = beta.chunks_exact(rows.dim + 1).map(|row| row[rows.dim]).collect();
            return Ok(Fitted { weight, bias, steps });
        }
        let mut direction = descent(&memory, &gradient);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            memory.clear();
            direction = gradient.iter().map(|g| -g).collect();
            slope = dot(&direction, &gradient);
        }
        // The first step has no scale yet; later ones mostly fit at length 1.
        let mut length = if memory.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt() } else { 1.0 };
        loop {
            let next: Vec<f64> = beta.iter().zip(&direction).map(|(b, d)| b + length * d).collect();
            let (next_loss, next_gradient) = evaluate(rows, l2, &next);
            let is_lower = next_loss <= loss + 1e-4 * length * slope;
            // Near the minimum rounding hides the last decrease of the loss.
            if is_lower || length < 1e-10 || (next_loss - loss).abs() <= 1e-13 * loss.abs() {
                let step: Vec<f64> = next.iter().zip(&beta).map(|(a, b)| a - b).collect();
                let change: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
                if dot(&step, &change) > 0.0 {
                    memory.push_back((step, change));
                    if memory.len() > MEMORY {
                        memory.pop_front();
                    }
                }
                (beta, loss, gradient) = (next, next_loss, next_gradient);
                break;
            }
            length /= 2.0;
        }
    }
    anyhow::bail!("the fit did not end within {MAX_STEPS} steps")
}

/// The two-loop recursion: minus the inverse of the curvature, as far as it is known, times the gradient.
fn descent(memory: &VecDeque<(Vec<f64>, Vec<f64>)>, gradient: &[f64]) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.to_vec();
    let mut alphas = Vec::with_capacity(memory.len());
    for (step, change) in memory.iter().rev() {
        let alpha = dot(step, &q) / dot(step, change);
        q.iter_mut().zip(change).for_each(|(q, y)| *q -= alpha * y);
        alphas.push(alpha);
    }
    if let Some((step, change)) = memory.back() {
        let scale = dot(step, change) / dot(change, change);
        q.iter_mut().for_each(|q| *q *= scale);
    }
    for ((step, change), alpha) in memory.iter().zip(alphas.into_iter().rev()) {
        let beta = dot(change, &q) / dot(step, change);
        q.iter_mut().zip(step).for_each(|(q, s)| *q += (alpha - beta) * s);
    }
    q.iter_mut().for_each(|q| *q = -*q);
    q
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Loss and gradient at `beta` (outputs, dim + 1), the bias last in each row.
fn evaluate(rows: Rows<'_>, l2: f64, beta: &[f64]) -> (f64, Vec<f64>) {
    let (dim, outputs) = (rows.dim, rows.outputs);
    let chunks: Vec<(f64, Vec<f64>)> = rows
        .x
        .par_chunks(CHUNK * dim)
        .zip(rows.targets.par_chunks(CHUNK * outputs))
        .zip(rows.weights.par_chunks(CHUNK))
        .map(|((x, targets), weights)| {
            let (mut loss, mut gradient) = (0.0, vec![0.0; beta.len()]);
            let mut scores = vec![0.0; outputs];
            for ((x, target), &weight) in x.chunks_exact(dim).zip(targets.chunks_exact(outputs)).zip(weights) {
                for (score, beta) in scores.iter_mut().zip(beta.chunks_exact(dim + 1)) {
                    *score = beta[dim] + x.iter().zip(beta).map(|(&x, b)| f64::from(x) * b).sum::<f64>();
                }
                loss += f64::from(weight) * cross_entropy(&mut scores, target);
                for ((slope, target), gradient) in scores.iter().zip(target).zip(gradient.chunks_exact_mut(dim + 1)) {
                    let slope = f64::from(weight) * (slope - f64::from(*target));
                    gradient.iter_mut().zip(x).for_each(|(g, &x)| *g += slope * f64::from(x));
                    gradient[dim] += slope;
                }
            }
            (loss, gradient)
        })
        .collect();
    let (mut loss, mut gradient) = (0.0, vec![0.0; beta.len()]);
    for (part, more) in &chunks {
        loss += part;
        gradient.iter_mut().zip(more).for_each(|(a, b)| *a += b);
    }
    for (gradient, beta) in gradient.chunks_exact_mut(dim + 1).zip(beta.chunks_exact(dim + 1)) {
        for (g, b) in gradient.iter_mut().zip(beta).take(dim) {
            loss += l2 / 2.0 * b * b;
            *g += l2 * b;
        }
    }
    (loss, gradient)
}

/// The loss of one row; its scores become probabilities.
fn cross_entropy(scores: &mut [f64], target: &[f32]) -> f64 {
    if let ([score], [target]) = (&mut *scores, target) {
        let z = *score;
        *score = 1.0 / (1.0 + (-z).exp());
        // ln(1 + e^z) - t·z, without overflow.
        return z.max(0.0) + (-z.abs()).exp().ln_1p() - f64::from(*target) * z;
    }
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = scores.iter().map(|z| (z - top).exp()).sum();
    let mut loss = 0.0;
    for (score, target) in scores.iter_mut().zip(target) {
        let log_probability = *score - top - total.ln();
        loss -= f64::from(*target) * log_probability;
        *score = log_probability.exp();
    }
    loss
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 % 1009) as f32 / 500.0) - 1.0).collect()
    }

    #[test]
    fn the_gradient_is_what_finite_differences_of_the_loss_say() {
        for outputs in [1, 3] {
            let x = noise(40 * 4);
            let mut targets = vec![0.0; 40 * outputs];
            (0..40).for_each(|i| targets[i * outputs + i % outputs] = 1.0);
            let rows = Rows { x: &x, dim: 4, targets: &targets, outputs, weights: &[0.7; 40] };
            let beta: Vec<f64> = noise(outputs * 5).iter().map(|&v| f64::from(v)).collect();
            let (_, gradient) = evaluate(rows, 0.3, &beta);
            for i in 0..beta.len() {
                let at = |d: f64| {
                    let mut moved = beta.clone();
                    moved[i] += d;
                    evaluate(rows, 0.3, &moved).0
                };
                assert!(((at(1e-5) - at(-1e-5)) / 2e-5 - gradient[i]).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn the_gradient_is_zero_at_what_is_found() {
        let x = noise(3000);
        let targets: Vec<f32> = (0..1000).map(|i| f32::from(x[i * 3] + 0.3 * x[i * 3 + 1] > 0.1)).collect();
        let weights: Vec<f32> = (0..1000).map(|i| if i % 3 == 0 { 2.0 } else { 0.5 }).collect();
        let rows = Rows { x: &x, dim: 3, targets: &targets, outputs: 1, weights: &weights };
        let fitted = fit(rows, 0.1).unwrap();
        let mut beta = fitted.weight.clone();
        beta.extend(&fitted.bias);
        assert!(evaluate(rows, 0.1, &beta).1.iter().all(|g| g.abs() < 1e-4));
        assert!(fitted.weight[0] > fitted.weight[1] && fitted.weight[1] > 0.0);
    }

    #[test]
    fn without_signal_the_bias_is_the_log_odds_of_the_mean_target() {
        let rows = Rows { x: &[0.0; 40], dim: 1, targets: &[0.25; 40], outputs: 1, weights: &[1.0; 40] };
        let fitted = fit(rows, 1.0).unwrap();
        assert!((fitted.bias[0] - (0.25_f64 / 0.75).ln()).abs() < 1e-5, "{:?}", fitted.bias);
        assert_eq!(fitted.weight, [0.0]);
    }

    #[test]
    fn three_labels_without_signal_get_the_shares_that_they_have() {
        let mut targets = vec![0.0; 300];
        (0..100).for_each(|i| targets[i * 3 + [0, 0, 0, 0, 0, 1, 1, 1, 2, 2][i % 10]] = 1.0);
        let rows = Rows { x: &[0.0; 100], dim: 1, targets: &targets, outputs: 3, weights: &[1.0; 100] };
        let bias = fit(rows, 1.0).unwrap().bias;
        let total: f64 = bias.iter().map(|b| b.exp()).sum();
        for (b, share) in bias.iter().zip([0.5, 0.3, 0.2]) {
            assert!((b.exp() / total - share).abs() < 1e-5);
        }
    }

    #[test]
    fn one_thread_and_many_give_the_same_bits() {
        let x = noise(20_000);
        let targets: Vec<f32> = (0..5000).map(|i| f32::from(x[i * 4] > 0.0)).collect();
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let many = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
        let run = || fit(Rows { x: &x, dim: 4, targets: &targets, outputs: 1, weights: &[1.0; 5000] }, 0.5).unwrap();
        assert_eq!(alone.install(run), many.install(run));
    }
}
