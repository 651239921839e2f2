//! Draws noisy estimates of many cells towards their mean, by as much as their noise explains of their spread.

use super::means::sum;

/// Steps of [`paule_mandel`]: each halves the bracket, so that no digit is left to find.
const STEPS: usize = 200;

/// Estimates seen as draws from one normal distribution, each with noise of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Shrunken {
    /// μ, weighted by 1/(v + τ²).
    pub mean: f64,
    /// √(1 / Σ 1/(v + τ²))
    pub se: f64,
    /// One an estimate, in their order.
    pub cells: Vec<ShrunkenCell>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShrunkenCell {
    /// μ + (1 − B)(y − μ) with B = v/(v + τ²); μ where τ² is 0 (full pooling).
    pub value: f64,
    /// √((1 − B) v), given μ and τ². 0 where τ² is 0: there it says that the cells were pooled, not that they are known.
    pub sd: f64,
}

/// How much estimates differ beyond their noise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heterogeneity {
    /// Cochran's Q = Σ w (y − ȳ_w)², w = 1/v; about k − 1 when the cells differ by noise alone.
    pub q: f64,
    /// max(0, 1 − (k − 1)/Q): the share of the spread that is no noise.
    pub i2: f64,
    /// τ² of DerSimonian & Laird 1986, the variance between cells: max(0, (Q − (k − 1)) / (Σw − Σw²/Σw)).
    pub tau2: f64,
}

/// Cochran's Q and the moment estimate of τ²; unreliable below five cells. `None` below two cells, and when a variance is not above 0 or
/// anything is not finite.
///
/// Source: Cochran 1954; DerSimonian & Laird 1986; Higgins & Thompson 2002 for I².
pub fn heterogeneity(estimates: &[f64], variances: &[f64]) -> Option<Heterogeneity> {
    if estimates.len() < 2 || !is_usable(estimates, variances) {
        return None;
    }
    let free = (estimates.len() - 1) as f64;
    let q = weighted_spread(estimates, variances, 0.0);
    let total = sum(variances.iter().map(|v| 1.0 / v));
    let squares = sum(variances.iter().map(|v| 1.0 / (v * v)));
    let tau2 = ((q - free) / (total - squares / total)).max(0.0);
    let i2 = if q > 0.0 { (1.0 - free / q).max(0.0) } else { 0.0 };
    (q.is_finite() && tau2.is_finite()).then_some(Heterogeneity { q, i2, tau2 })
}

/// τ² of Paule & Mandel 1982: the one at which Σ (y − μ)²/(v + τ²) = k − 1, or 0 when even τ² = 0 gives no more. `None` as
/// [`heterogeneity`].
pub fn paule_mandel(estimates: &[f64], variances: &[f64]) -> Option<f64> {
    if estimates.len() < 2 || !is_usable(estimates, variances) {
        return None;
    }
    let excess = |tau2: f64| weighted_spread(estimates, variances, tau2) - (estimates.len() - 1) as f64;
    if excess(0.0) <= 0.0 {
        return Some(0.0);
    }
    let (most, least) = estimates.iter().fold((f64::MIN, f64::MAX), |(most, least), y| (most.max(*y), least.min(*y)));
    // At τ² = range² the squares about the middle of the range are at most ¼ each, and about μ no more: k/4 ≤ k − 1 together.
    let (mut low, mut high) = (0.0, (most - least) * (most - least));
    for _ in 0..STEPS {
        let middle = 0.5 * (low + high);
        if excess(middle) > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    high.is_finite().then_some(0.5 * (low + high))
}

/// Normal-normal empirical Bayes with the given τ² ≥ 0: each estimate moves towards the mean of all by the share B = v/(v + τ²) that noise
/// has in its variance. `None` without cells, and when a variance is not above 0 or anything is not finite.
///
/// Source: Efron & Morris 1975. The posterior sd takes μ and τ² as known.
pub fn shrink(estimates: &[f64], variances: &[f64], tau2: f64) -> Option<Shrunken> {
    if estimates.is_empty() || !is_usable(estimates, variances) || !(tau2 >= 0.0 && tau2.is_finite()) {
        return None;
    }
    let mean = weighted_mean(estimates, variances, tau2);
    let se = (1.0 / sum(variances.iter().map(|v| 1.0 / (v + tau2)))).sqrt();
    let cells: Vec<ShrunkenCell> = estimates
        .iter()
        .zip(variances)
        .map(|(y, v)| {
            let kept = tau2 / (v + tau2);
            ShrunkenCell { value: mean + kept * (y - mean), sd: (kept * v).sqrt() }
        })
        .collect();
    let is_finite = mean.is_finite() && cells.iter().all(|cell| cell.value.is_finite() && cell.sd.is_finite());
    is_finite.then_some(Shrunken { mean, se, cells })
}

fn is_usable(estimates: &[f64], variances: &[f64]) -> bool {
    let has_noise = |v: &f64| *v > 0.0 && (1.0 / (v * v)).is_finite() && v.is_finite();
    estimates.len() == variances.len() && estimates.iter().all(|y| y.is_finite()) && variances.iter().all(has_noise)
}

fn weighted_mean(estimates: &[f64], variances: &[f64], tau2: f64) -> f64 {
    let weight = |v: &f64| 1.0 / (v + tau2);
    sum(estimates.iter().zip(variances).map(|(y, v)| weight(v) * y)) / sum(variances.iter().map(weight))
}

fn weighted_spread(estimates: &[f64], variances: &[f64], tau2: f64) -> f64 {
    let mean = weighted_mean(estimates, variances, tau2);
    sum(estimates.iter().zip(variances).map(|(y, v)| (y - mean) * (y - mean) / (v + tau2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_alone_is_pooled_and_spread_without_noise_is_kept() {
        let estimates = [0.1, -0.1, 0.05, -0.05, 0.0];
        let pooled = heterogeneity(&estimates, &[1.0; 5]).unwrap();
        assert_eq!((pooled.tau2, pooled.i2), (0.0, 0.0));
        let pooled = shrink(&estimates, &[1.0; 5], pooled.tau2).unwrap();
        assert!(pooled.cells.iter().all(|cell| cell.value == pooled.mean && cell.sd == 0.0));
        let tau2 = heterogeneity(&estimates, &[1e-9; 5]).unwrap().tau2;
        let kept = shrink(&estimates, &[1e-9; 5], tau2).unwrap();
        assert!(kept.cells.iter().zip(estimates).all(|(cell, y)| (cell.value - y).abs() < 1e-7));
    }

    #[test]
    fn the_order_of_cells_and_the_sign_of_all_change_nothing_else() {
        let (y, v) = ([0.3, -0.2, 0.1, 0.0, 0.4], [0.01, 0.02, 0.01, 0.03, 0.005]);
        let of = |y: &[f64], v: &[f64]| shrink(y, v, heterogeneity(y, v).unwrap().tau2).unwrap();
        let (forth, back) = (of(&y, &v), of(&y.map(|y| -y), &v));
        for (a, b) in forth.cells.iter().zip(&back.cells) {
            assert_eq!((a.value, a.sd), (-b.value, b.sd));
        }
        let (mut reversed_y, mut reversed_v) = (y, v);
        reversed_y.reverse();
        reversed_v.reverse();
        for (a, b) in forth.cells.iter().zip(of(&reversed_y, &reversed_v).cells.iter().rev()) {
            assert!((a.value - b.value).abs() < 1e-15 && (a.sd - b.sd).abs() < 1e-15);
        }
    }

    #[test]
    fn what_cannot_be_weighed_is_undefined() {
        assert_eq!(heterogeneity(&[], &[]), None);
        assert_eq!(heterogeneity(&[0.1], &[0.1]), None);
        for (y, v) in [([0.1, 0.2], [0.0, 0.1]), ([0.1, f64::NAN], [0.1, 0.1]), ([1e300, -1e300], [1e-300, 1e-300])] {
            assert_eq!(heterogeneity(&y, &v), None);
            assert_eq!(paule_mandel(&y, &v), None);
            assert_eq!(shrink(&y, &v, 0.0), None);
        }
        assert_eq!(heterogeneity(&[1e300, -1e300], &[1.0, 1.0]), None);
        assert_eq!(paule_mandel(&[1e300, -1e300], &[1.0, 1.0]), None);
        assert_eq!(shrink(&[0.1, 0.2], &[0.1, 0.1], f64::INFINITY), None);
        assert_eq!(paule_mandel(&[0.5; 4], &[0.1; 4]), Some(0.0));
    }
}
