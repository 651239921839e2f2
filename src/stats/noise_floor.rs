//! Says how far apart answers about two groups are beyond what answers about one group differ anyway.
//!
//! Unsigned metrics (|difference|, flip, 1 − cosine, 1 − ROUGE-L) are positive without any bias: two samples of one prompt differ. Only
//! the excess over that floor is evidence.

use super::interval::rule_of_three;
use super::means;
use super::permutation::sign_flip;
use super::random::Key;
use super::student::t_quantile;

/// An answer within one cluster and group: which term stood in the prompt, which sample it is, and the caller's own number for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw<'a> {
    pub term: &'a str,
    pub sample: u32,
    pub item: usize,
}

/// Mean dissimilarities of one cluster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Apart {
    /// Across the two groups.
    pub between: f64,
    /// Within one group, the two groups averaged; `None` where one of them has a single answer.
    pub floor: Option<f64>,
}

impl Apart {
    /// Compares the answers of a group with those of the others (one reference, or the rest, each with equal weight).
    ///
    /// `between` is the mean over all cross pairs. The floor of a group is the mean over its pairs of different terms, or of different
    /// samples where it has one term. With `shared_draws` (sample s has the same random numbers in every group) and a floor that comes
    /// from samples, pairs of equal sample index are left out everywhere: their noise is shared across groups and never within one.
    ///
    /// `None` when a side has no answer.
    pub fn of(
        group: &[Draw<'_>],
        others: &[&[Draw<'_>]],
        shared_draws: bool,
        dissimilarity: &impl Fn(usize, usize) -> f64,
    ) -> Option<Apart> {
        if others.is_empty() {
            return None;
        }
        let from_samples = |side: &[Draw<'_>]| side.iter().all(|draw| draw.term == side[0].term);
        let has_floor = |side: &[Draw<'_>]| side.len() > 1;
        let sides = || others.iter().copied().chain([group]);
        let skip_equal = shared_draws && sides().all(has_floor) && sides().any(from_samples);
        let may_meet = |a: &Draw<'_>, b: &Draw<'_>| !(skip_equal && a.sample == b.sample);
        let across = |other: &[Draw<'_>]| {
            let pairs = group.iter().flat_map(|a| other.iter().map(move |b| (a, b)));
            mean_of(pairs.filter(|(a, b)| may_meet(a, b)), dissimilarity)
        };
        let within = |side: &[Draw<'_>]| {
            let apart =
                |a: &Draw<'_>, b: &Draw<'_>| if from_samples(side) { a.sample != b.sample } else { a.term != b.term };
            let pairs = side.iter().enumerate().flat_map(|(i, a)| side[i + 1..].iter().map(move |b| (a, b)));
            mean_of(pairs.filter(|(a, b)| apart(a, b) && may_meet(a, b)), dissimilarity)
        };
        let average = |values: Option<Vec<f64>>| means::mean(&values?);
        let between = average(others.iter().map(|other| across(other)).collect())?;
        let of_others = average(others.iter().map(|other| within(other)).collect());
        let floor = of_others.zip(within(group)).map(|(others, own)| f64::midpoint(others, own));
        Some(Apart { between, floor })
    }
}

fn mean_of<'a>(
    pairs: impl Iterator<Item = (&'a Draw<'a>, &'a Draw<'a>)>,
    dissimilarity: &impl Fn(usize, usize) -> f64,
) -> Option<f64> {
    let values: Vec<f64> = pairs.map(|(a, b)| dissimilarity(a.item, b.item)).collect();
    means::mean(&values)
}

/// What all clusters show together; parity is an excess of 0.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NoiseFloor {
    /// Clusters with a floor; where none has one, clusters with both sides.
    pub clusters: usize,
    pub between: Option<f64>,
    /// `None`, as everything below, without a floor: then `between` cannot be told from noise.
    pub floor: Option<f64>,
    /// between − floor; may be below 0.
    pub excess: Option<f64>,
    pub interval: Option<(f64, f64)>,
    pub se: Option<f64>,
    pub df: Option<f64>,
    pub p: Option<f64>,
}

/// Excess over the floor with a t interval and the sign-flip p over clusters (stats.md §8).
///
/// For a dissimilarity d the excess is half the clusters' energy statistic (Székely & Rizzo 2013): unbiased, and for |x − x'| 0 only where
/// the distributions agree. It sees crossovers (+0.2 here, −0.2 there) that leave a gap of 0. Clusters without any spread get the interval
/// of the rule of three; `width` is the largest dissimilarity there can be.
pub fn noise_floor(clusters: &[Apart], width: f64, level: f64, flips: usize, key: &Key) -> NoiseFloor {
    let with_floor: Vec<(f64, f64)> =
        clusters.iter().filter_map(|cluster| Some((cluster.between, cluster.floor?))).collect();
    if with_floor.is_empty() {
        let between: Vec<f64> = clusters.iter().map(|cluster| cluster.between).collect();
        return NoiseFloor { clusters: between.len(), between: means::mean(&between), ..NoiseFloor::default() };
    }
    let (between, floor): (Vec<f64>, Vec<f64>) = with_floor.iter().copied().unzip();
    let excess: Vec<f64> = with_floor.iter().map(|(between, floor)| between - floor).collect();
    let centre = means::mean(&excess);
    let mut all = NoiseFloor {
        clusters: excess.len(),
        between: means::mean(&between),
        floor: means::mean(&floor),
        excess: centre,
        ..NoiseFloor::default()
    };
    let (Some(centre), Some(sd)) = (centre, means::sd(&excess)) else { return all };
    let count = excess.len() as f64;
    let scale = if width.is_finite() { width } else { 1.0 };
    let varies = excess.iter().any(|value| (value - centre).abs() > super::gap::NO_SPREAD * scale);
    let (se, df) = (if varies { sd / count.sqrt() } else { 0.0 }, count - 1.0);
    let half =
        if varies { Some(t_quantile(0.5 + 0.5 * level, df) * se) } else { rule_of_three(width, excess.len(), level) };
    all.se = Some(se);
    all.df = Some(df);
    all.interval = half.map(|half| (centre - half, centre + half));
    all.p = sign_flip(&excess, flips, key);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Address;

    fn key() -> Key {
        Address { seed: 0, suite: "s", axis: "a", pair: ["g", "r"], scorer: "x" }.key("excess")
    }

    fn draws<'a>(terms: &[&'a str], samples: u32, first: usize) -> Vec<Draw<'a>> {
        let all = terms.iter().flat_map(|&term| (0..samples).map(move |sample| (term, sample)));
        all.enumerate().map(|(i, (term, sample))| Draw { term, sample, item: first + i }).collect()
    }

    fn apart(a: &[Draw<'_>], b: &[Draw<'_>], shared: bool, scores: &[f64]) -> Apart {
        Apart::of(a, &[b], shared, &|i, j| (scores[i] - scores[j]).abs()).unwrap()
    }

    #[test]
    fn one_sample_of_one_term_has_no_floor() {
        let one = apart(&draws(&["a"], 1, 0), &draws(&["b"], 1, 1), true, &[0.25, 0.75]);
        assert_eq!(one, Apart { between: 0.5, floor: None });
        let all = noise_floor(&[one, one], 1.0, 0.95, 99, &key());
        assert_eq!((all.clusters, all.between, all.floor, all.p), (2, Some(0.5), None, None));
    }

    /// With shared draws, sample s of both groups is the same text where the groups are treated alike; pairs of it would read as closer
    /// than any two samples of one group can be.
    #[test]
    fn equal_groups_that_share_their_draws_have_no_excess() {
        let scores = [0.1, 0.5, 0.9, 0.1, 0.5, 0.9];
        let (a, b) = (draws(&["a"], 3, 0), draws(&["b"], 3, 3));
        let shared = apart(&a, &b, true, &scores);
        assert!((shared.between - shared.floor.unwrap()).abs() < 1e-12);
        let apart = apart(&a, &b, false, &scores);
        assert!(apart.between < apart.floor.unwrap() - 0.1);
    }

    #[test]
    fn a_floor_of_terms_is_of_pairs_of_different_terms_only() {
        let scores = [0.0, 0.4, 1.0, 1.0, 0.5, 0.5];
        let one = apart(&draws(&["a", "b"], 2, 0), &draws(&["c", "d"], 1, 4), false, &scores);
        assert_eq!(one.floor, Some(f64::midpoint((1.0 + 1.0 + 0.6 + 0.6) / 4.0, 0.0)));
    }

    #[test]
    fn clusters_without_spread_have_the_interval_of_the_rule_of_three() {
        let same = Apart { between: 0.0, floor: Some(0.0) };
        let all = noise_floor(&[same; 60], 1.0, 0.95, 99, &key());
        let (low, high) = all.interval.unwrap();
        assert!((high - 0.0596).abs() < 1e-4 && low == -high);
        assert_eq!(all.p, Some(1.0));
    }
}
