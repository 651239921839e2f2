//! Summarises numbers: mean, spread, quantiles, and intervals of a mean or a proportion.

use super::student::{beta_quantile, normal_quantile, t_quantile};

/// Sum in the given order with Neumaier's compensation, so that the error does not grow with the length.
///
/// Source: Neumaier 1974. Odd: negating every number negates the sum exactly.
pub fn sum(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut total, mut lost) = (0.0_f64, 0.0_f64);
    for value in values {
        let next = total + value;
        lost += if total.abs() >= value.abs() { (total - next) + value } else { (value - next) + total };
        total = next;
    }
    total + lost
}

/// Arithmetic mean; `None` without values.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| sum(values.iter().copied()) / values.len() as f64)
}

/// Mean that does not depend on the order of the values, to the last bit: they are sorted first.
pub fn mean_in_any_order(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    mean(values)
}

/// Sample variance, Σ(x − x̄)² / (n − 1); `None` below two values.
pub fn variance(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let centre = mean(values)?;
    Some(sum(values.iter().map(|x| (x - centre) * (x - centre))) / (values.len() - 1) as f64)
}

/// Sample standard deviation, the root of [`variance`].
pub fn sd(values: &[f64]) -> Option<f64> {
    variance(values).map(f64::sqrt)
}

/// Student interval of a mean, x̄ ± t(n−1) · sd/√n, at `level` (0.95); `None` below two values.
pub fn t_interval(values: &[f64], level: f64) -> Option<(f64, f64)> {
    let n = values.len() as f64;
    let half = t_quantile(0.5 + 0.5 * level, n - 1.0) * sd(values)? / n.sqrt();
    let centre = mean(values)?;
    Some((centre - half, centre + half))
}

/// Quantile of type 7 (Hyndman & Fan 1996; the default of numpy and R): linear between the order statistics around
/// (n − 1)q. `None` without values or with `q` outside [0, 1].
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    quantile_of_sorted(&sorted, q)
}

/// As [`quantile`], of values in ascending order.
pub fn quantile_of_sorted(sorted: &[f64], q: f64) -> Option<f64> {
    if sorted.is_empty() || !(0.0..=1.0).contains(&q) {
        return None;
    }
    let position = q * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    Some(sorted[below] + (position - below as f64) * (sorted[above] - sorted[below]))
}

/// Wilson's score interval of the proportion `k` of `n` (Wilson 1927); `None` when `n` is 0 or `k` > `n`.
pub fn wilson(k: u64, n: u64, level: f64) -> Option<(f64, f64)> {
    if n == 0 || k > n {
        return None;
    }
    let (count, total) = (k as f64, n as f64);
    let z = normal_quantile(0.5 + 0.5 * level);
    let p = count / total;
    let scale = 1.0 + z * z / total;
    let centre = (p + z * z / (2.0 * total)) / scale;
    let half = z / scale * (p * (1.0 - p) / total + z * z / (4.0 * total * total)).sqrt();
    // At the ends the limit is exact; rounding would leave 1e-17 there.
    let low = if k == 0 { 0.0 } else { centre - half };
    let high = if k == n { 1.0 } else { centre + half };
    Some((low, high))
}

/// Exact interval of the proportion `k` of `n` (Clopper & Pearson 1934): beta quantiles B(a/2; k, n−k+1) and
/// B(1−a/2; k+1, n−k), with a = 1 − level. `None` when `n` is 0 or `k` > `n`.
pub fn clopper_pearson(k: u64, n: u64, level: f64) -> Option<(f64, f64)> {
    if n == 0 || k > n {
        return None;
    }
    let tail = 0.5 * (1.0 - level);
    let (count, rest) = (k as f64, (n - k) as f64);
    let low = if k == 0 { 0.0 } else { beta_quantile(tail, count, rest + 1.0) };
    let high = if k == n { 1.0 } else { beta_quantile(1.0 - tail, count + 1.0, rest) };
    Some((low, high))
}

/// A mean over records that come in clusters.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusteredMean {
    pub records: usize,
    pub clusters: usize,
    pub mean: f64,
    /// √(Σ_c (Σ_{i∈c} (x_i − x̄))²) / n
    pub se_uncorrected: f64,
    /// The same times √(G/(G−1)): CR1.
    pub se: f64,
    /// sd/√n, as if the records were independent.
    pub se_naive: f64,
    /// (se / se_naive)²; `None` when the records do not vary.
    pub design_effect: Option<f64>,
    /// t interval with G − 1 degrees of freedom.
    pub interval: (f64, f64),
}

/// Mean of all records with a cluster-robust standard error (CR1; Cameron & Miller 2015, Miller 2024).
///
/// `clusters` holds each cluster's records. `None` below two non-empty clusters.
pub fn clustered_mean(clusters: &[Vec<f64>], level: f64) -> Option<ClusteredMean> {
    let all: Vec<f64> = clusters.iter().flatten().copied().collect();
    let n = all.len() as f64;
    let filled = clusters.iter().filter(|records| !records.is_empty()).count();
    if filled < 2 {
        return None;
    }
    let (centre, g) = (mean(&all)?, filled as f64);
    let squares = sum(clusters.iter().map(|records| sum(records.iter().map(|x| x - centre)).powi(2)));
    let se_uncorrected = squares.sqrt() / n;
    let se = se_uncorrected * (g / (g - 1.0)).sqrt();
    let se_naive = sd(&all)? / n.sqrt();
    let half = t_quantile(0.5 + 0.5 * level, g - 1.0) * se;
    Some(ClusteredMean {
        records: all.len(),
        clusters: filled,
        mean: centre,
        se_uncorrected,
        se,
        se_naive,
        design_effect: (se_naive > 0.0).then(|| (se / se_naive).powi(2)),
        interval: (centre - half, centre + half),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_no_mean_and_one_number_no_spread() {
        assert_eq!(mean(&[]), None);
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!((mean(&[0.5]), sd(&[0.5]), t_interval(&[0.5], 0.95)), (Some(0.5), None, None));
        assert_eq!(wilson(0, 0, 0.95), None);
        assert_eq!(clopper_pearson(3, 2, 0.95), None);
        assert_eq!(clustered_mean(&[vec![0.1, 0.2], vec![]], 0.95), None);
    }

    #[test]
    fn the_order_of_values_does_not_change_the_last_bit() {
        let mut forth = vec![0.1, 0.7, 1e-9, 0.3, 0.3333333];
        let mut back: Vec<f64> = forth.iter().rev().copied().collect();
        let (a, b) = (mean_in_any_order(&mut forth), mean_in_any_order(&mut back));
        assert_eq!(a.map(f64::to_bits), b.map(f64::to_bits));
    }
}
