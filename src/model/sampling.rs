//! Draws the next token from logits, each request from its own random stream.

use anyhow::{Result, ensure};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::model::Sampling;
use crate::model::kernel::exp;

pub struct Sampler {
    temperature: f64,
    top_p: f64,
    random: ChaCha8Rng,
}

impl Sampler {
    /// ChaCha8 keyed by `seed`; one draw a token.
    pub fn new(sampling: &Sampling, seed: [u8; 32]) -> Self {
        Self { temperature: sampling.temperature, top_p: sampling.top_p, random: ChaCha8Rng::from_seed(seed) }
    }

    /// The next token id. Temperature 0 takes the largest logit, the lowest id among equals; otherwise the inverse of the
    /// cumulative distribution, tokens in falling order of probability, cut at `top_p` (Holtzman et al. 2020: the
    /// smallest set whose mass reaches it). Members of a counterfactual set share the draw, and the order makes near
    /// distributions give the same token. Errs where logits are not numbers.
    pub fn next(&mut self, logits: &[f32]) -> Result<u32> {
        let max = maximum(logits)?;
        let scale = (1.0 / self.temperature) as f32;
        // A temperature so small that its inverse is no f32 leaves one token too.
        if !scale.is_finite() {
            return Ok(position(logits, max));
        }
        let draw = (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let weights: Vec<f32> = logits.iter().map(|&logit| exp((logit - max) * scale)).collect();
        let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        // Tokens below this share hold less than 1 − top_p together, so none of them is in the nucleus; what lies below
        // a 53-bit draw's resolution cannot be drawn either.
        let floor = total * ((1.0 - self.top_p) / logits.len() as f64).max(f64::EPSILON / logits.len() as f64);
        let mut nucleus: Vec<(f64, u32)> = weights
            .iter()
            .enumerate()
            .map(|(id, &weight)| (f64::from(weight), id as u32))
            .filter(|&(weight, _)| weight >= floor)
            .collect();
        nucleus.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let limit = self.top_p * total;
        let mut mass = 0.0;
        let kept = nucleus.iter().position(|&(weight, _)| {
            mass += weight;
            mass >= limit
        });
        let kept = &nucleus[..kept.map_or(nucleus.len(), |last| last + 1)];
        let target = draw * kept.iter().map(|(weight, _)| weight).sum::<f64>();
        let mut reached = 0.0;
        for &(weight, id) in kept {
            reached += weight;
            if target < reached {
                return Ok(id);
            }
        }
        Ok(kept.last().expect("the most probable token is always kept").1)
    }
}

/// Numbers that are looked at side by side; the compiler makes vectors of them.
const LANES: usize = 16;

/// The largest logit; errs where one is not a number, or none is finite.
fn maximum(logits: &[f32]) -> Result<f32> {
    let (chunks, rest) = logits.as_chunks::<LANES>();
    let mut largest = [f32::NEG_INFINITY; LANES];
    let mut is_number = [true; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            is_number[lane] &= !chunk[lane].is_nan();
            largest[lane] = if chunk[lane] > largest[lane] { chunk[lane] } else { largest[lane] };
        }
    }
    let max = largest.iter().chain(rest).fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
    let are_numbers = is_number.iter().all(|&is| is) && !rest.iter().any(|logit| logit.is_nan());
    ensure!(
        are_numbers && max.is_finite(),
        "the model's logits are not numbers; its weights are damaged, or too large for this precision"
    );
    Ok(max)
}

/// Index of the first logit that equals `max`.
fn position(logits: &[f32], max: f32) -> u32 {
    logits.iter().position(|&logit| logit == max).expect("the maximum is one of them") as u32
}

/// Natural-log probability of `id` under a softmax: exponentials in f32 with a relative error below 2e-7, their sum in
/// f64. Errs where logits are not numbers.
pub fn log_prob(logits: &[f32], id: u32) -> Result<f64> {
    let max = maximum(logits)?;
    let (chunks, rest) = logits.as_chunks::<LANES>();
    let mut sums = [0.0f64; LANES];
    for chunk in chunks {
        for (sum, &logit) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(exp(logit - max));
        }
    }
    let sum = sums.iter().sum::<f64>() + rest.iter().map(|&logit| f64::from(exp(logit - max))).sum::<f64>();
    Ok(f64::from(logits[id as usize]) - f64::from(max) - sum.ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(temperature: f64, top_p: f64, seed: u8) -> Sampler {
        Sampler::new(
            &Sampling { temperature, top_p, max_new_tokens: 1, stop: Vec::new(), ignore_eos: false },
            [seed; 32],
        )
    }

    #[test]
    fn draws_follow_the_softmax_at_the_temperature() {
        let logits = [0.0f32, 1.0, 2.0];
        let mut counts = [0f64; 3];
        let mut sampler = sampler(0.5, 1.0, 7);
        for _ in 0..20_000 {
            counts[sampler.next(&logits).unwrap() as usize] += 1.0;
        }
        let weights: Vec<f64> = logits.iter().map(|&l| (f64::from(l) / 0.5).exp()).collect();
        for (count, weight) in counts.iter().zip(&weights) {
            let want = weight / weights.iter().sum::<f64>();
            assert!((count / 20_000.0 - want).abs() < 0.015, "{counts:?}");
        }
    }

    #[test]
    fn the_nucleus_is_the_smallest_set_that_reaches_top_p() {
        // Probabilities .5, .3, .15, .05.
        let logits: Vec<f32> = [0.5f32, 0.3, 0.15, 0.05].iter().map(|p| p.ln()).collect();
        let mut sampler = sampler(1.0, 0.7, 1);
        let drawn: std::collections::BTreeSet<u32> = (0..500).map(|_| sampler.next(&logits).unwrap()).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn greedy_takes_the_lowest_id_among_equals() {
        assert_eq!(sampler(0.0, 1.0, 0).next(&[1.0, 3.0, 3.0]).unwrap(), 1);
        let many: Vec<f32> = (0..100).map(|i| if i == 37 || i == 90 { 5.0 } else { -1.0 }).collect();
        assert_eq!(sampler(0.0, 1.0, 0).next(&many).unwrap(), 37);
        assert_eq!(sampler(1e-300, 1.0, 0).next(&many).unwrap(), 37);
    }

    #[test]
    fn logits_that_are_not_numbers_are_an_error() {
        for at in [0, 50, 99] {
            for wrong in [f32::NAN, f32::INFINITY] {
                let mut logits = [0.5f32; 100];
                logits[at] = wrong;
                assert!(sampler(0.0, 1.0, 0).next(&logits).is_err());
                assert!(log_prob(&logits, 3).is_err());
            }
        }
    }

    #[test]
    fn log_probabilities_agree_with_a_softmax_in_f64() {
        let logits: Vec<f32> = (0..1003).map(|i| ((i * 7919) % 1000) as f32 / 50.0 - 10.0).collect();
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
        for id in [0u32, 500, 1002] {
            let want = f64::from(logits[id as usize]) - sum.ln();
            assert!((log_prob(&logits, id).unwrap() - want).abs() < 1e-6);
        }
    }
}
