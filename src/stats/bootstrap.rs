//! Puts an interval around a statistic that has no standard error of its own, by resampling whole clusters.

use rand_core::Rng;
use rayon::prelude::*;

use super::means::quantile;
use super::random::Key;
use super::student::{normal_cdf, normal_quantile};

/// Parts that are left out in turn of many clusters.
const PARTS: usize = 500;

/// The bias-corrected and accelerated (BCa) 95 % interval of `statistic`, a function of the clusters' summed counts.
///
/// Source: Efron 1987, "Better bootstrap confidence intervals"; the bias from the share of resamples below the estimate (ties half), the
/// acceleration from the jackknife, quantiles interpolated (type 7). Replicate i draws from stream i of the key, so that threads do not
/// matter. Resamples that leave the statistic undefined are left out. Approximate below 50 clusters (it covers less than it says).
///
/// `None` below two clusters, where the statistic is undefined, and where no resample differs from another: an interval of no width would
/// claim certainty.
pub fn bca<const K: usize>(
    clusters: &[[f64; K]],
    statistic: impl Fn(&[f64; K]) -> Option<f64> + Sync,
    resamples: usize,
    key: &Key,
) -> Option<(f64, f64)> {
    let estimate = statistic(&sum(clusters.iter()))?;
    if clusters.len() < 2 {
        return None;
    }
    let mut drawn: Vec<f64> = (0..resamples as u64)
        .into_par_iter()
        .filter_map(|replicate| {
            let mut random = key.stream(replicate);
            let count = clusters.len() as u64;
            // Scaling 32 bits favours no cluster by more than clusters / 2³².
            let draws = (0..clusters.len()).map(|_| &clusters[((u64::from(random.next_u32()) * count) >> 32) as usize]);
            statistic(&sum(draws))
        })
        .collect();
    limits(&mut drawn, estimate, &left_out(clusters, &statistic))
}

/// As [`bca`], of a statistic of the clusters' weights: how often each was drawn.
pub fn bca_weighted(
    clusters: usize,
    statistic: impl Fn(&[f64]) -> Option<f64> + Sync,
    resamples: usize,
    key: &Key,
) -> Option<(f64, f64)> {
    let estimate = statistic(&vec![1.0; clusters])?;
    if clusters < 2 {
        return None;
    }
    let drawn = (0..resamples as u64)
        .into_par_iter()
        .filter_map(|replicate| statistic(&drawn_weights(clusters, replicate, key)));
    let left_out: Vec<f64> = left_out_weights(clusters).filter_map(|weights| statistic(&weights)).collect();
    limits(&mut drawn.collect::<Vec<f64>>(), estimate, &left_out)
}

/// How often each of `clusters` is drawn in a replicate.
pub fn drawn_weights(clusters: usize, replicate: u64, key: &Key) -> Vec<f64> {
    let mut random = key.stream(replicate);
    let mut weights = vec![0.0; clusters];
    for _ in 0..clusters {
        weights[((u64::from(random.next_u32()) * clusters as u64) >> 32) as usize] += 1.0;
    }
    weights
}

/// The weights of the jackknife: all clusters but one, or of more than 500 all but every 500th, which keeps the cost linear.
pub fn left_out_weights(clusters: usize) -> impl ParallelIterator<Item = Vec<f64>> {
    let parts = clusters.min(PARTS);
    let weight = move |cluster: usize, part: usize| if cluster % parts == part { 0.0 } else { 1.0 };
    (0..parts).into_par_iter().map(move |part| (0..clusters).map(|cluster| weight(cluster, part)).collect())
}

/// The same interval from resamples and leave-one-out estimates that the caller has, for statistics that are no function of a few counts.
///
/// Sorts `drawn`. `None` without resamples, where none differs from another, and where anything is not finite.
pub fn limits(drawn: &mut [f64], estimate: f64, left_out: &[f64]) -> Option<(f64, f64)> {
    drawn.sort_unstable_by(f64::total_cmp);
    let is_finite = |value: &f64| value.is_finite();
    if drawn.first()? == drawn.last()? || !estimate.is_finite() || !drawn.iter().all(is_finite) {
        return None;
    }
    let below = drawn.partition_point(|value| *value < estimate) + drawn.partition_point(|value| *value <= estimate);
    // Kept off 0 and 1, where every resample lies on one side of the estimate.
    let half = 0.5 / drawn.len() as f64;
    let bias = normal_quantile((0.5 * below as f64 / drawn.len() as f64).clamp(half, 1.0 - half));
    let acceleration = acceleration(left_out);
    let end = |level: f64| {
        let z = bias + normal_quantile(level);
        quantile(drawn, normal_cdf(bias + z / (1.0 - acceleration * z)))
    };
    Some((end(0.025)?, end(0.975)?))
}

/// Counts of all clusters together.
pub fn sum<'a, const K: usize>(clusters: impl Iterator<Item = &'a [f64; K]>) -> [f64; K] {
    let mut total = [0.0; K];
    for cluster in clusters {
        for (total, count) in total.iter_mut().zip(cluster) {
            *total += count;
        }
    }
    total
}

fn left_out<const K: usize>(clusters: &[[f64; K]], statistic: &impl Fn(&[f64; K]) -> Option<f64>) -> Vec<f64> {
    let total = sum(clusters.iter());
    let without = |cluster: &[f64; K]| {
        let mut rest = total;
        rest.iter_mut().zip(cluster).for_each(|(rest, count)| *rest -= count);
        statistic(&rest)
    };
    clusters.iter().filter_map(without).collect()
}

/// Σ d³ ÷ (6 (Σ d²)^1.5), d = mean of the leave-one-out estimates − each; 0 where they do not differ.
fn acceleration(left_out: &[f64]) -> f64 {
    let mean = left_out.iter().sum::<f64>() / left_out.len() as f64;
    let power = |exponent: i32| left_out.iter().map(|value| (mean - value).powi(exponent)).sum::<f64>();
    let spread = 6.0 * power(2).powf(1.5);
    if spread > 0.0 { power(3) / spread } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Address;

    fn key() -> Key {
        Address { seed: 0, suite: "s", axis: "", pair: ["", ""], scorer: "x" }.key("bca")
    }

    fn share(counts: &[f64; 2]) -> Option<f64> {
        (counts[1] > 0.0).then(|| counts[0] / counts[1])
    }

    #[test]
    fn the_number_of_threads_changes_no_interval() {
        let clusters: Vec<[f64; 2]> = (0..40).map(|i| [f64::from(i % 3), 2.0]).collect();
        let of = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bca(&clusters, share, 999, &key()))
        };
        assert_eq!(of(1), of(4));
        let (low, high) = of(1).unwrap();
        assert!(low < 39.0 / 80.0 && high > 39.0 / 80.0);
    }

    #[test]
    fn one_cluster_equal_clusters_and_an_undefined_statistic_have_no_interval() {
        assert_eq!(bca(&[[1.0, 2.0]], share, 99, &key()), None);
        assert_eq!(bca(&[[1.0, 1.0]; 30], share, 99, &key()), None);
        assert_eq!(bca(&[[0.0, 0.0]; 30], share, 99, &key()), None);
    }
}
