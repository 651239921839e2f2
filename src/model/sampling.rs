//! Draws the next token from logits, each request from its own random stream.

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
    /// distributions give the same token.
    pub fn next(&mut self, logits: &[f32]) -> u32 {
        if self.temperature == 0.0 {
            return argmax(logits);
        }
        let draw = (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let max = logits[argmax(logits) as usize];
        let scale = (1.0 / self.temperature) as f32;
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
                return id;
            }
        }
        kept.last().expect("the most probable token is always kept").1
    }
}

/// Index of the largest logit, the lowest among equals.
pub fn argmax(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = id;
        }
    }
    best as u32
}

/// Natural-log probability of `id` under a softmax in f64.
pub fn log_prob(logits: &[f32], id: u32) -> f64 {
    let max = logits.iter().fold(f32::NEG_INFINITY, |a, &b| a.max(b));
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - f64::from(max)).exp()).sum();
    f64::from(logits[id as usize]) - f64::from(max) - sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(temperature: f64, top_p: f64, seed: u8) -> Sampler {
        Sampler::new(&Sampling { temperature, top_p, max_new_tokens: 1, stop: Vec::new() }, [seed; 32])
    }

    #[test]
    fn draws_follow_the_softmax_at_the_temperature() {
        let logits = [0.0f32, 1.0, 2.0];
        let mut counts = [0f64; 3];
        let mut sampler = sampler(0.5, 1.0, 7);
        for _ in 0..20_000 {
            counts[sampler.next(&logits) as usize] += 1.0;
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
        let drawn: std::collections::BTreeSet<u32> = (0..500).map(|_| sampler.next(&logits)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn greedy_takes_the_lowest_id_among_equals() {
        assert_eq!(sampler(0.0, 1.0, 0).next(&[1.0, 3.0, 3.0]), 1);
    }
}
