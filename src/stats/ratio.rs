//! Compares selection rates by their ratio, the four-fifths rule; advisory, since at low rates it means nothing.

use super::bootstrap::bca;
use super::random::Key;
use super::student::normal_quantile;

/// The "four-fifths rule" of the Uniform Guidelines on Employee Selection Procedures (29 CFR 1607.4 D, 1978).
pub const FOUR_FIFTHS: f64 = 0.8;

/// A rate that is below four fifths by no more than rounding passes.
const TIE: f64 = 1e-12;

/// The lowest rate against the highest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateRatio {
    /// min / max; parity is 1.
    pub ratio: f64,
    /// max − min; parity is 0.
    pub difference: f64,
    /// Indices of the lowest and of the highest rate; of equal ones the first.
    pub lowest: usize,
    pub highest: usize,
}

impl RateRatio {
    /// The ratio reaches four fifths. Never decides anything here: 0.2 % against 0.1 % is a ratio of a half.
    pub fn passes_four_fifths(&self) -> bool {
        self.ratio >= FOUR_FIFTHS - TIE
    }
}

/// Ratio and difference of the rates of some groups (fairlearn's `demographic_parity_ratio` on rates); `None` below two groups, when
/// the highest rate is 0, and for rates below 0.
pub fn rate_ratio(rates: &[f64]) -> Option<RateRatio> {
    let index = |is_better: &dyn Fn(f64, f64) -> bool| {
        (1..rates.len()).fold(0, |best, index| if is_better(rates[index], rates[best]) { index } else { best })
    };
    if rates.len() < 2 || rates.iter().any(|rate| rate.is_nan() || *rate < 0.0) {
        return None;
    }
    let (lowest, highest) = (index(&|a, b| a < b), index(&|a, b| a > b));
    let (min, max) = (rates[lowest], rates[highest]);
    (max > 0.0).then(|| RateRatio { ratio: min / max, difference: max - min, lowest, highest })
}

/// Interval of the ratio of two proportions `k1`/`n1` and `k0`/`n0`: exp(ln ratio ± z √(1/k1 − 1/n1 + 1/k0 − 1/n0)) (Katz, Baptista, Azen
/// & Pike 1978). Takes the groups as independent samples: for paired clusters use [`interval`]. `None` when a count is 0 or above its n.
pub fn katz([k1, n1]: [f64; 2], [k0, n0]: [f64; 2], level: f64) -> Option<(f64, f64)> {
    if !(k1 > 0.0 && k0 > 0.0 && k1 <= n1 && k0 <= n0) {
        return None;
    }
    let centre = ((k1 / n1) / (k0 / n0)).ln();
    let half = normal_quantile(0.5 + 0.5 * level) * (1.0 / k1 - 1.0 / n1 + 1.0 / k0 - 1.0 / n0).sqrt();
    Some(((centre - half).exp(), (centre + half).exp()))
}

/// BCa 95 % interval of the ratio of two groups' mean rates, over resamples of whole clusters; approximate below 50 clusters. Each cluster
/// gives its two cells, the lowest group's first; which groups these are is taken as given. `None` as [`bca`].
pub fn interval(clusters: &[[f64; 2]], resamples: usize, key: &Key) -> Option<(f64, f64)> {
    bca(clusters, |[low, high]| (*high > 0.0).then(|| low / high), resamples, key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Address;

    #[test]
    fn equal_rates_have_a_ratio_of_one_and_no_rate_at_all_has_none() {
        let equal = rate_ratio(&[0.3, 0.3, 0.3]).unwrap();
        assert_eq!((equal.ratio, equal.difference, equal.passes_four_fifths()), (1.0, 0.0, true));
        assert_eq!((rate_ratio(&[0.0, 0.0]), rate_ratio(&[0.4]), rate_ratio(&[-0.1, 0.4])), (None, None, None));
        // 0.6 / 0.75 is 0.7999… in binary.
        assert!(rate_ratio(&[0.75, 0.6]).unwrap().passes_four_fifths());
    }

    #[test]
    fn pairing_makes_the_interval_narrower_than_independence_would() {
        // The same contexts are hard for both groups.
        let clusters: Vec<[f64; 2]> =
            (0..60).map(|c| if c % 2 == 0 { [f64::from(u8::from(c % 6 != 0)), 1.0] } else { [0.0; 2] }).collect();
        let key = Address { seed: 0, suite: "s", axis: "a", pair: ["", ""], scorer: "x" }.key("ratio");
        let (low, high) = interval(&clusters, 999, &key).unwrap();
        let (wide_low, wide_high) = katz([20.0, 60.0], [30.0, 60.0], 0.95).unwrap();
        assert!(low < 2.0 / 3.0 && high > 2.0 / 3.0 && high - low < wide_high - wide_low, "{low} {high}");
    }

    #[test]
    fn a_count_of_zero_has_no_log_interval() {
        assert_eq!(katz([0.0, 30.0], [9.0, 30.0], 0.95), None);
        assert_eq!(katz([31.0, 30.0], [9.0, 30.0], 0.95), None);
    }
}
