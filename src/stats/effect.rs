//! Expresses a gap in units of its own spread, in ranks, and in log odds.
//!
//! Printed next to the gap, never decided by: each depends on how noisy the answers are and on how many are averaged in a cell.

use statrs::function::gamma::ln_gamma;

use super::means;
use super::student::{normal_cdf, normal_quantile, t_quantile};

/// Probabilities are kept this far from 0 and 1 before their log odds are taken (stats.md §7).
pub const CLIP: f64 = 1e-6;

/// Cohen's d_z = mean D / sd D of the paired differences; 0 means parity. `None` below two differences or without
/// spread.
///
/// It grows with the correlation of the pair and with the number of samples averaged in a cell: never compare it across
/// suites, never decide by it (Lakens 2013).
pub fn d_z(differences: &[f64]) -> Option<f64> {
    let sd = means::sd(differences)?;
    let centre = means::mean(differences)?;
    let is_constant = differences.iter().all(|d| (d - centre).abs() <= super::gap::NO_SPREAD);
    (!is_constant).then(|| centre / sd)
}

/// Hedges' correction of a standardised mean for small samples, J = Γ(df/2) / (√(df/2) Γ((df−1)/2)), exact (Hedges 1981); below 1,
/// towards 1 with more data. `None` at one degree of freedom and below, where no correction exists.
pub fn hedges_j(df: f64) -> Option<f64> {
    (df > 1.0).then(|| (ln_gamma(0.5 * df) - 0.5 * (0.5 * df).ln() - ln_gamma(0.5 * (df - 1.0))).exp())
}

/// Hedges' g of paired differences, J · d_z with n − 1 degrees of freedom; 0 means parity. `None` as [`d_z`], and below three differences.
pub fn hedges_g(differences: &[f64]) -> Option<f64> {
    Some(hedges_j(differences.len() as f64 - 1.0)? * d_z(differences)?)
}

/// Cohen's d_av = (x̄ − ȳ) / √((var x + var y) / 2), free of the pairs' correlation (Lakens 2013); 0 means parity. `None` below two values
/// on a side or without spread.
pub fn d_av(x: &[f64], y: &[f64]) -> Option<f64> {
    let spread = f64::midpoint(means::variance(x)?, means::variance(y)?).sqrt();
    (spread > super::gap::NO_SPREAD).then(|| (means::mean(x).zip(means::mean(y))).map(|(x, y)| (x - y) / spread))?
}

/// Cohen's d of two independent samples, (x̄ − ȳ) / √(((n−1) var x + (m−1) var y) / (n + m − 2)); 0 means parity. `None` as [`d_av`].
pub fn cohen_d(x: &[f64], y: &[f64]) -> Option<f64> {
    let (a, b) = (x.len() as f64 - 1.0, y.len() as f64 - 1.0);
    let spread = ((a * means::variance(x)? + b * means::variance(y)?) / (a + b)).sqrt();
    (spread > super::gap::NO_SPREAD).then(|| (means::mean(x).zip(means::mean(y))).map(|(x, y)| (x - y) / spread))?
}

/// Cliff's delta = P(x > y) − P(x < y) over all pairs; 0 means parity, ±1 that the samples do not overlap (Cliff 1993). Values that differ
/// by at most `tie` are equal. `None` without values on a side.
pub fn cliffs_delta(x: &[f64], y: &[f64], tie: f64) -> Option<f64> {
    if x.is_empty() || y.is_empty() {
        return None;
    }
    let mut sorted = y.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let balance = |x: f64| {
        let below = sorted.partition_point(|y| *y < x - tie) as f64;
        let above = (sorted.len() - sorted.partition_point(|y| *y <= x + tie)) as f64;
        below - above
    };
    Some(means::sum(x.iter().map(|&x| balance(x))) / (x.len() as f64 * y.len() as f64))
}

/// Vargha & Delaney's A = P(x > y) + P(x = y)/2 = (delta + 1)/2 of a Cliff's delta; 0.5 means parity (Vargha & Delaney 2000).
pub fn a12(cliffs_delta: f64) -> f64 {
    0.5 * (cliffs_delta + 1.0)
}

/// P(D > 0) − P(D < 0) of paired differences: in how many more clusters the group is above than below; 0 means parity. Differences of at
/// most `tie` are neither. `None` without differences.
pub fn paired_delta(differences: &[f64], tie: f64) -> Option<f64> {
    let (above, below) = discordant(differences, tie);
    (!differences.is_empty()).then(|| (above as f64 - below as f64) / differences.len() as f64)
}

/// Differences above and below 0: for yes and no with one answer a cell the counts of McNemar's test, whose exact p the sign-flip test
/// then is.
pub fn discordant(differences: &[f64], tie: f64) -> (usize, usize) {
    let count = |is: &dyn Fn(f64) -> bool| differences.iter().filter(|d| is(**d)).count();
    (count(&|d| d > tie), count(&|d| d < -tie))
}

/// Wilcoxon's signed-rank test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wilcoxon {
    /// The smaller of the rank sums of positive and of negative differences.
    pub statistic: f64,
    /// Two-sided, of the normal approximation with tie correction, no correction for continuity.
    pub p: f64,
}

/// Ranks |D|, mean ranks for ties of at most `tie`; differences of 0 are left out (Wilcoxon 1945, as scipy's `wilcoxon`). `None` when
/// none is left. Approximate below about ten differences; no table prints it, since the sign-flip test is the test here.
pub fn wilcoxon(differences: &[f64], tie: f64) -> Option<Wilcoxon> {
    let mut left: Vec<f64> = differences.iter().copied().filter(|d| d.abs() > tie).collect();
    left.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    let (mut ranked, mut positive, mut tied) = (0.0, 0.0, 0.0);
    for equal in left.chunk_by(|a, b| b.abs() - a.abs() <= tie) {
        let size = equal.len() as f64;
        positive += equal.iter().filter(|d| **d > 0.0).count() as f64 * (ranked + 0.5 * (size + 1.0));
        ranked += size;
        tied += size * size * size - size;
    }
    let all = 0.5 * ranked * (ranked + 1.0);
    let variance = (ranked * (ranked + 1.0) * (2.0 * ranked + 1.0) - 0.5 * tied) / 24.0;
    let statistic = f64::min(positive, all - positive);
    (ranked > 0.0)
        .then(|| Wilcoxon { statistic, p: (2.0 * normal_cdf((statistic - 0.5 * all) / variance.sqrt())).min(1.0) })
}

/// A log odds ratio or log odds gap with its error; parity is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogOdds {
    pub value: f64,
    /// `None` below two pairs.
    pub se: Option<f64>,
    pub interval: Option<(f64, f64)>,
}

/// ln((k + ½) / (n − k + ½)), the log odds of a count after Haldane 1956 and Anscombe 1956: finite for none and for all.
pub fn smoothed_logit(k: f64, n: f64) -> f64 {
    ((k + 0.5) / (n - k + 0.5)).ln()
}

/// Log odds ratio of `k1` in `n1` against `k0` in `n0` with ½ added to each cell, se = √Σ 1/(cell + ½), normal interval (Woolf 1955 with
/// Haldane's and Anscombe's correction). Takes the answers as independent: a check beside the gap. `None` when a side has no answer or
/// more of a kind than answers.
pub fn log_odds_ratio([k1, n1]: [f64; 2], [k0, n0]: [f64; 2], level: f64) -> Option<LogOdds> {
    if !(n1 > 0.0 && n0 > 0.0 && (0.0..=n1).contains(&k1) && (0.0..=n0).contains(&k0)) {
        return None;
    }
    let value = smoothed_logit(k1, n1) - smoothed_logit(k0, n0);
    let se = [k1, n1 - k1, k0, n0 - k0].iter().map(|cell| 1.0 / (cell + 0.5)).sum::<f64>().sqrt();
    let half = normal_quantile(0.5 + 0.5 * level) * se;
    Some(LogOdds { value, se: Some(se), interval: Some((value - half, value + half)) })
}

/// ln(p / (1 − p)) with p kept [`CLIP`] from 0 and 1.
pub fn logit(p: f64) -> f64 {
    let p = p.clamp(CLIP, 1.0 - CLIP);
    (p / (1.0 - p)).ln()
}

/// Mean difference of log odds over pairs of probabilities, with a t interval at `level` (the scale of discrim-eval, Tamkin et al. 2023).
/// Its exponential is an odds ratio. Near 0 and 1 it hangs on the clip; the gap of probabilities is the primary number. `None` without
/// pairs.
pub fn logit_gap(pairs: &[(f64, f64)], level: f64) -> Option<LogOdds> {
    let differences: Vec<f64> = pairs.iter().map(|&(p1, p0)| logit(p1) - logit(p0)).collect();
    let count = differences.len() as f64;
    let (value, se) = (means::mean(&differences)?, means::sd(&differences).map(|sd| sd / count.sqrt()));
    let half = se.map(|se| t_quantile(0.5 + 0.5 * level, count - 1.0) * se);
    Some(LogOdds { value, se, interval: half.map(|half| (value - half, value + half)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_without_spread_have_no_standardised_size() {
        assert_eq!(d_z(&[0.1, 0.1, 0.1]), None);
        assert_eq!(d_z(&[0.1]), None);
        assert_eq!(d_z(&[0.0, 0.2]).map(|d| (d * 1e9).round()), Some(707106781.0));
        assert_eq!((hedges_g(&[0.1; 5]), hedges_g(&[0.0, 0.2])), (None, None));
        assert_eq!((d_av(&[0.2; 4], &[0.1; 4]), cohen_d(&[0.2; 4], &[0.1; 4])), (None, None));
    }

    #[test]
    fn a_swap_of_the_sides_changes_the_sign_and_nothing_else() {
        let (x, y) = ([0.1, 0.5, 0.5, 0.9, 0.3], [0.2, 0.5, 0.1, 0.1, 0.3]);
        let differences: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x - y).collect();
        let negated: Vec<f64> = differences.iter().map(|d| -d).collect();
        let minus = |value: Option<f64>| value.map(|value| -value);
        assert_eq!(cliffs_delta(&x, &y, 1e-12), minus(cliffs_delta(&y, &x, 1e-12)));
        assert_eq!(d_av(&x, &y), minus(d_av(&y, &x)));
        assert_eq!(paired_delta(&differences, 1e-12), minus(paired_delta(&negated, 1e-12)));
        assert_eq!(wilcoxon(&differences, 1e-12), wilcoxon(&negated, 1e-12));
        assert_eq!(hedges_g(&differences), minus(hedges_g(&negated)));
    }

    #[test]
    fn equal_sides_are_at_parity_and_nothing_has_no_size() {
        let x = [0.1, 0.5, 0.9];
        assert_eq!(cliffs_delta(&x, &x, 1e-12).map(a12), Some(0.5));
        assert_eq!((paired_delta(&[0.0; 3], 1e-12), discordant(&[0.0; 3], 1e-12)), (Some(0.0), (0, 0)));
        assert_eq!((wilcoxon(&[0.0; 3], 1e-12), wilcoxon(&[], 1e-12)), (None, None));
        assert_eq!((cliffs_delta(&[], &x, 0.0), paired_delta(&[], 0.0), logit_gap(&[], 0.95)), (None, None, None));
        assert_eq!(log_odds_ratio([0.0, 0.0], [1.0, 2.0], 0.95), None);
    }

    #[test]
    fn certain_probabilities_have_finite_log_odds() {
        let gap = logit_gap(&[(1.0, 0.0)], 0.95).unwrap();
        assert!(gap.value.is_finite() && gap.se.is_none() && gap.interval.is_none());
        assert!((logit(0.0) + logit(1.0)).abs() < 1e-9);
    }
}
