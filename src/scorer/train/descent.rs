//! Trains a network by AdamW over shuffled batches of about equal length.

use anyhow::{Result, ensure};
use candle_core::{D, Tensor};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use super::network::{Input, Network};

/// Rows among which texts are sorted by length, so that little is padded and batches still mix.
const WINDOW: usize = 4096;

/// Share of the steps in which the step size grows from 0; it falls to a fiftieth in the others.
const WARM_UP: f64 = 0.06;

/// How a network is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pub epochs: usize,
    pub learning_rate: f64,
    /// The output's and hidden layer's step is this many times as large.
    pub last_factor: f64,
    pub weight_decay: f64,
    /// Tokens of a batch, padding included; a sentence vector counts as one.
    pub batch_tokens: usize,
}

/// Minimises the weighted mean cross-entropy of `targets` (rows, outputs).
///
/// `lengths` are the rows' tokens, `input(rows)` makes a batch of them, `progress(steps done, of all, loss)` is called
/// after each step. The same arguments give the same bits, on any number of threads.
///
/// # Errors
/// A loss that is not finite; what candle and `input` report.
pub fn train(
    network: &Network,
    lengths: &[usize],
    (targets, outputs): (&[f32], usize),
    weights: &[f32],
    schedule: &Schedule,
    random: &mut ChaCha8Rng,
    input: &mut dyn FnMut(&[usize]) -> Result<Input>,
    progress: &mut dyn FnMut(usize, usize, f64),
) -> Result<()> {
    let (adapters, last) = network.variables();
    let params = |lr| ParamsAdamW { lr, weight_decay: schedule.weight_decay, ..ParamsAdamW::default() };
    let mut slow = AdamW::new(adapters, params(0.0))?;
    let mut fast = AdamW::new(last, ParamsAdamW { weight_decay: 0.0, ..params(0.0) })?;
    let epochs: Vec<Vec<Vec<usize>>> =
        (0..schedule.epochs).map(|_| batches(lengths, schedule.batch_tokens, random)).collect();
    let steps: usize = epochs.iter().map(Vec::len).sum();
    for (step, batch) in epochs.iter().flatten().enumerate() {
        let share = step as f64 / steps as f64;
        let scale = if share < WARM_UP { share / WARM_UP } else { ((1.0 - share) / (1.0 - WARM_UP)).max(0.02) };
        slow.set_learning_rate(schedule.learning_rate * scale);
        fast.set_learning_rate(schedule.learning_rate * schedule.last_factor * scale);

        let logits = network.logits(&input(batch)?)?;
        let target: Vec<f32> = batch.iter().flat_map(|&i| &targets[i * outputs..][..outputs]).copied().collect();
        let weight: Vec<f32> = batch.iter().map(|&i| weights[i]).collect();
        let loss = loss(
            &logits,
            &Tensor::from_vec(target, (batch.len(), outputs), logits.device())?,
            &Tensor::from_vec(weight, batch.len(), logits.device())?,
        )?;
        let value = f64::from(loss.to_scalar::<f32>()?);
        ensure!(value.is_finite(), "the loss is not finite after {step} steps; give a smaller --learning-rate");
        let gradients = loss.backward()?;
        slow.step(&gradients)?;
        fast.step(&gradients)?;
        progress(step + 1, steps, value);
    }
    Ok(())
}

/// Weighted mean over rows: of a sigmoid's cross-entropy for one output, of a softmax's for more.
pub fn loss(logits: &Tensor, targets: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let rows = if logits.dim(1)? == 1 {
        // max(z, 0) - t·z + ln(1 + e^-|z|), which does not overflow.
        let tail = ((logits.abs()?.neg()?.exp()? + 1.0)?).log()?;
        ((logits.relu()? - (logits * targets)?)? + tail)?.squeeze(1)?
    } else {
        (targets * candle_nn::ops::log_softmax(logits, D::Minus1)?)?.sum(1)?.neg()?
    };
    Ok(((rows * weights)?.sum_all()? / f64::from(weights.sum_all()?.to_scalar::<f32>()?))?)
}

/// Every row once, in shuffled batches whose texts have about one length.
fn batches(lengths: &[usize], tokens: usize, random: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let mut rows: Vec<usize> = (0..lengths.len()).collect();
    shuffle(&mut rows, random);
    let mut batches = Vec::new();
    for window in rows.chunks_mut(WINDOW) {
        window.sort_by_key(|&i| lengths[i]);
        let mut batch: Vec<usize> = Vec::new();
        for &i in window.iter() {
            if !batch.is_empty() && (batch.len() + 1) * lengths[i] > tokens {
                batches.push(std::mem::take(&mut batch));
            }
            batch.push(i);
        }
        batches.push(batch);
    }
    shuffle(&mut batches, random);
    batches
}

/// Fisher and Yates.
fn shuffle<T>(items: &mut [T], random: &mut ChaCha8Rng) {
    for i in (1..items.len()).rev() {
        items.swap(i, ((u64::from(random.next_u32()) * (i as u64 + 1)) >> 32) as usize);
    }
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn an_epoch_has_every_row_once_and_no_batch_over_its_tokens() {
        let lengths: Vec<usize> = (0..5000).map(|i| 1 + i * 31 % 97).collect();
        let batches = batches(&lengths, 512, &mut ChaCha8Rng::seed_from_u64(1));
        for batch in &batches {
            let longest = batch.iter().map(|&i| lengths[i]).max().unwrap();
            assert!(!batch.is_empty() && batch.len() * longest <= 512);
        }
        let mut rows: Vec<usize> = batches.into_iter().flatten().collect();
        rows.sort_unstable();
        assert_eq!(rows, (0..5000).collect::<Vec<_>>());
    }
}
