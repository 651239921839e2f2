//! Compares whole distributions of scores, for harm in the tails where means agree.
//!
//! Every distance is above 0 without any disparity, so that it stands beside what shuffled labels give.

use rand_core::Rng;
use rayon::prelude::*;

use super::means::{self, quantile_of_sorted};
use super::random::Key;

/// Distances within this share of the values' range are ties.
const TIE: f64 = 1e-12;

/// An answer with its part in the distribution of its side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    pub value: f64,
    /// Number of the cluster, from 0.
    pub cluster: usize,
    /// 0 is the group; each of the others has a number of its own, from 1.
    pub side: usize,
    /// The weights of a side sum to 1, 1/C a cluster.
    pub weight: f64,
}

/// Distances between two distribution functions F and G; parity is 0 for each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// Wasserstein-1, ∫ |F − G| (Vallender 1974), in the score's unit: how far scores must be moved on average. At equal
    /// numbers the mean distance of sorted scores, LangFair's "strong" parity.
    pub wasserstein: f64,
    /// 2 ∫ (F − G)² = 2 E|X−Y| − E|X−X'| − E|Y−Y'| (Székely & Rizzo 2013); scipy's energy distance is its root.
    pub energy_squared: f64,
    /// Kolmogorov & Smirnov: max |F − G|.
    pub ks: f64,
}

impl Distance {
    /// Between two samples with equal weights; `None` when one is empty.
    pub fn of(x: &[f64], y: &[f64]) -> Option<Distance> {
        let side = |values: &[f64], side: usize| {
            let weight = 1.0 / values.len() as f64;
            values.iter().map(move |&value| Answer { value, cluster: 0, side, weight }).collect::<Vec<_>>()
        };
        let distances = Distributions::of([side(x, 0), side(y, 1)].concat(), 1, 1);
        (!x.is_empty() && !y.is_empty()).then(|| distances.distance())
    }

    /// As scipy's `energy_distance`.
    pub fn energy(&self) -> f64 {
        self.energy_squared.sqrt()
    }
}

/// The Wasserstein distance when labels mean nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Null {
    pub mean: f64,
    /// Share of labellings that reach the observed distance; (b + 1) / (m + 1) where they are random.
    pub p: f64,
}

/// Answers of a group and of the others, by value.
#[derive(Debug, Clone, PartialEq)]
pub struct Distributions {
    /// By value, with what to add to F − G when the answer's side plays the group, and when it does not.
    answers: Vec<(Answer, f64, f64)>,
    sides: usize,
    clusters: usize,
}

impl Distributions {
    /// `clusters` is their number, `others` that of the sides beside the group: G is the mean of their distribution functions.
    pub fn of(mut answers: Vec<Answer>, clusters: usize, others: usize) -> Distributions {
        answers.sort_unstable_by(|a, b| {
            a.value
                .total_cmp(&b.value)
                .then((a.cluster, a.side).cmp(&(b.cluster, b.side)))
                .then(a.weight.total_cmp(&b.weight))
        });
        let parts = |answer: Answer| (answer, answer.weight, -answer.weight / others.max(1) as f64);
        Distributions { answers: answers.into_iter().map(parts).collect(), sides: others + 1, clusters }
    }

    /// What is there; all 0 without answers.
    pub fn distance(&self) -> Distance {
        let mut found = Distance { wasserstein: 0.0, energy_squared: 0.0, ks: 0.0 };
        let mut apart = 0.0_f64;
        for (index, (answer, own, other)) in self.answers.iter().enumerate() {
            apart += if answer.side == 0 { own } else { other };
            // Behind the last answer both functions are 1.
            let Some((next, ..)) = self.answers.get(index + 1) else { break };
            let step = next.value - answer.value;
            if step > 0.0 {
                found.wasserstein += apart.abs() * step;
                found.energy_squared += 2.0 * apart * apart * step;
                found.ks = found.ks.max(apart.abs());
            }
        }
        found
    }

    /// Shuffles which side plays the group inside each cluster, all its answers together: every labelling where there are at most
    /// `resamples` + 1, else random ones. `None` without answers.
    ///
    /// Exact under the hypothesis that the sides are exchangeable inside a cluster.
    pub fn shuffled(&self, resamples: usize, key: &Key) -> Option<Null> {
        let (first, last) = (self.answers.first()?.0.value, self.answers.last()?.0.value);
        let labellings = (self.sides as f64).powf(self.clusters as f64);
        let is_exact = labellings <= resamples as f64 + 1.0;
        let count = if is_exact { labellings as u64 } else { resamples as u64 };
        let drawn: Vec<f64> = (0..count)
            .into_par_iter()
            .map_init(
                || vec![0_usize; self.clusters],
                |playing, labelling| {
                    if is_exact {
                        let mut left = labelling;
                        for side in playing.iter_mut() {
                            *side = (left % self.sides as u64) as usize;
                            left /= self.sides as u64;
                        }
                    } else {
                        let mut random = key.stream(labelling);
                        for side in playing.iter_mut() {
                            // Scaling 32 bits favours no side by more than sides / 2³².
                            *side = ((u64::from(random.next_u32()) * self.sides as u64) >> 32) as usize;
                        }
                    }
                    self.wasserstein(playing)
                },
            )
            .collect();
        let threshold = self.distance().wasserstein - TIE * (last - first);
        let reached = drawn.iter().filter(|drawn| **drawn >= threshold).count() as f64;
        let p = if is_exact { reached / count as f64 } else { (reached + 1.0) / (count as f64 + 1.0) };
        Some(Null { mean: means::mean(&drawn)?, p })
    }

    fn wasserstein(&self, playing: &[usize]) -> f64 {
        let (mut apart, mut total) = (0.0_f64, 0.0_f64);
        let mut at = self.answers.first().map_or(0.0, |(answer, ..)| answer.value);
        for (answer, own, other) in &self.answers {
            total += apart.abs() * (answer.value - at);
            at = answer.value;
            apart += if playing[answer.cluster] == answer.side { own } else { other };
        }
        total
    }
}

/// Q_x(q) − Q_y(q) for each q, quantiles of type 7; parity is 0. `None` when a sample is empty.
pub fn quantile_gaps(x: &[f64], y: &[f64], at: &[f64]) -> Option<Vec<f64>> {
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_unstable_by(f64::total_cmp);
        values
    };
    let (x, y) = (sorted(x), sorted(y));
    at.iter().map(|&q| Some(quantile_of_sorted(&x, q)? - quantile_of_sorted(&y, q)?)).collect()
}

/// Mean |Q_x(q) − Q_y(q)| over q = .05, .10, …, .95; parity is 0. `None` when a sample is empty.
pub fn quantile_disparity(x: &[f64], y: &[f64]) -> Option<f64> {
    let at: Vec<f64> = (1..20).map(|step| f64::from(step) / 20.0).collect();
    means::mean(&quantile_gaps(x, y, &at)?.iter().map(|gap| gap.abs()).collect::<Vec<_>>())
}

/// Two distributions over classes, scaled to a sum of 1; `None` when their lengths differ, a share is below 0, or a sum is not positive.
fn classes(p: &[f64], q: &[f64]) -> Option<Vec<(f64, f64)>> {
    let total = |shares: &[f64]| Some(shares.iter().sum::<f64>()).filter(|sum| *sum > 0.0 && sum.is_finite());
    let (of_p, of_q) = (total(p)?, total(q)?);
    let is_fine = p.len() == q.len() && p.iter().chain(q).all(|share| *share >= 0.0);
    is_fine.then(|| p.iter().zip(q).map(|(p, q)| (p / of_p, q / of_q)).collect())
}

/// Kullback & Leibler's divergence Σ p ln(p/q) in nats; parity is 0. Infinite where q lacks a class that p has; `None` for shares that are
/// none.
pub fn kullback_leibler(p: &[f64], q: &[f64]) -> Option<f64> {
    Some(classes(p, q)?.into_iter().filter(|(p, _)| *p > 0.0).map(|(p, q)| p * (p / q).ln()).sum())
}

/// Jensen & Shannon's divergence in nats, the mean of both sides' divergence from their middle (Lin 1991); parity is 0, the most is ln 2.
/// `None` for shares that are none.
pub fn jensen_shannon(p: &[f64], q: &[f64]) -> Option<f64> {
    let (p, q): (Vec<f64>, Vec<f64>) = classes(p, q)?.into_iter().unzip();
    let middle: Vec<f64> = p.iter().zip(&q).map(|(p, q)| f64::midpoint(*p, *q)).collect();
    Some(f64::midpoint(kullback_leibler(&p, &middle)?, kullback_leibler(&q, &middle)?).max(0.0))
}

/// Total variation, half of Σ |p − q|: the largest difference in the chance of any set of classes; parity is 0, the most is 1. `None` for
/// shares that are none.
pub fn total_variation(p: &[f64], q: &[f64]) -> Option<f64> {
    Some(0.5 * classes(p, q)?.into_iter().map(|(p, q)| (p - q).abs()).sum::<f64>())
}

/// Hellinger's distance √(½ Σ (√p − √q)²); parity is 0, the most is 1. `None` for shares that are none.
pub fn hellinger(p: &[f64], q: &[f64]) -> Option<f64> {
    Some((0.5 * classes(p, q)?.into_iter().map(|(p, q)| (p.sqrt() - q.sqrt()).powi(2)).sum::<f64>()).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Address;

    fn key() -> Key {
        Address { seed: 0, suite: "s", axis: "a", pair: ["g", "r"], scorer: "x" }.key("test")
    }

    /// `clusters` clusters with two answers a side.
    fn answers(clusters: usize, others: usize, value: impl Fn(usize, usize, usize) -> f64) -> Vec<Answer> {
        let mut all = Vec::new();
        for cluster in 0..clusters {
            for side in 0..=others {
                for sample in 0..2 {
                    let weight = 0.5 / clusters as f64;
                    all.push(Answer { value: value(cluster, side, sample), cluster, side, weight });
                }
            }
        }
        all
    }

    fn noise(cluster: usize, side: usize, sample: usize) -> f64 {
        f64::from(key().stream((cluster * 100 + side * 10 + sample) as u64).next_u32() % 1_001) / 1_000.0
    }

    #[test]
    fn equal_distributions_are_nowhere_apart() {
        for clusters in [3, 40] {
            let all = Distributions::of(answers(clusters, 2, |c, _, s| noise(c, 0, s)), clusters, 2);
            let Distance { wasserstein, energy_squared, ks } = all.distance();
            assert!(wasserstein < 1e-15 && energy_squared < 1e-15 && ks < 1e-15);
            assert_eq!(all.shuffled(199, &key()).map(|null| null.p), Some(1.0));
        }
        assert_eq!(quantile_disparity(&[0.1, 0.7], &[0.1, 0.7]), Some(0.0));
    }

    #[test]
    fn a_swap_of_group_and_reference_keeps_distance_and_p() {
        for clusters in [4, 40] {
            let of = |swap: bool| {
                let side = |side: usize| if swap { 1 - side } else { side };
                let all = answers(clusters, 1, |c, s, n| noise(c, side(s), n) + 0.1 * side(s) as f64);
                let all = Distributions::of(all, clusters, 1);
                (all.distance().ks, all.shuffled(199, &key()).map(|null| null.p))
            };
            let (forth, back) = (of(false), of(true));
            assert!((forth.0 - back.0).abs() < 1e-12);
            assert_eq!(forth.1, back.1);
        }
    }

    #[test]
    fn a_spread_that_leaves_the_mean_is_seen() {
        let all = answers(40, 1, |c, side, _| {
            if side == 0 {
                0.5
            } else if c % 2 == 0 {
                0.2
            } else {
                0.8
            }
        });
        let all = Distributions::of(all, 40, 1);
        assert!((all.distance().wasserstein - 0.3).abs() < 1e-12);
        assert_eq!(all.shuffled(199, &key()).map(|null| null.p), Some(1.0 / 200.0));
    }

    #[test]
    fn few_clusters_are_labelled_in_every_way() {
        let all = Distributions::of(answers(3, 1, |_, side, _| side as f64), 3, 1);
        // All labels as they are, or all swapped: 2 of 8.
        assert_eq!(all.shuffled(199, &key()).map(|null| null.p), Some(0.25));
    }

    #[test]
    fn nothing_has_no_distance() {
        assert_eq!((Distance::of(&[], &[0.1]), quantile_gaps(&[0.1], &[], &[0.5])), (None, None));
        assert_eq!(Distributions::of(Vec::new(), 0, 1).shuffled(99, &key()), None);
        assert_eq!((jensen_shannon(&[0.0], &[1.0]), total_variation(&[1.0], &[0.5, 0.5])), (None, None));
    }

    #[test]
    fn classes_that_share_nothing_are_as_far_apart_as_can_be() {
        let (p, q) = ([1.0, 0.0], [0.0, 1.0]);
        assert_eq!(jensen_shannon(&p, &q), Some(std::f64::consts::LN_2));
        assert_eq!((total_variation(&p, &q), hellinger(&p, &q)), (Some(1.0), Some(1.0)));
        assert_eq!(kullback_leibler(&p, &q), Some(f64::INFINITY));
    }
}
