//! Puts an interval around a mean of paired differences.

use rand_core::Rng;

use super::means;
use super::random::Key;
use super::student::t_quantile;

/// The bootstrap quantile may widen the critical value to this many t; beyond, the resamples are degenerate.
const WIDEST: f64 = 4.0;

/// Distribution of the studentised mean |m* − m| / se* over resamples of clusters.
///
/// Source: Hall 1988, symmetric bootstrap-t. Percentile and BCa intervals under-cover below about 80 clusters.
#[derive(Debug, Clone, PartialEq)]
pub struct BootstrapT {
    /// Ascending; infinite where a resample has no spread and another mean.
    ratios: Vec<f64>,
}

impl BootstrapT {
    /// Draws `resamples` times as many clusters as there are, with replacement. `None` below two differences.
    ///
    /// A resample without spread counts as 0 when its mean is the observed one, else as infinite.
    pub fn of(differences: &[f64], resamples: usize, key: &Key) -> Option<BootstrapT> {
        let centre = means::mean(differences)?;
        if differences.len() < 2 {
            return None;
        }
        let deviations: Vec<f64> = differences.iter().map(|d| d - centre).collect();
        let clusters = deviations.len() as u64;
        let n = deviations.len() as f64;
        let largest = deviations.iter().fold(0.0_f64, |a, d| a.max(d.abs()));
        let mut bytes = vec![0_u8; 4 * deviations.len()];
        let mut ratios = Vec::with_capacity(resamples);
        for replicate in 0..resamples {
            key.stream(replicate as u64).fill_bytes(&mut bytes);
            let (mut total, mut squares) = (0.0_f64, 0.0_f64);
            for draw in bytes.chunks_exact(4) {
                let draw = u32::from_le_bytes([draw[0], draw[1], draw[2], draw[3]]);
                // Scaling 32 bits favours no cluster by more than clusters / 2³².
                let deviation = deviations[((u64::from(draw) * clusters) >> 32) as usize];
                total += deviation;
                squares += deviation * deviation;
            }
            let shift = (total / n).abs();
            let spread = squares - total * total / n;
            ratios.push(if spread > 1e-12 * squares {
                shift / (spread / (n - 1.0) / n).sqrt()
            } else if shift <= 1e-12 * largest {
                0.0
            } else {
                f64::INFINITY
            });
        }
        ratios.sort_unstable_by(f64::total_cmp);
        Some(BootstrapT { ratios })
    }

    /// Order statistic ⌈level · (B + 1)⌉ of the B ratios; `None` without resamples.
    pub fn quantile(&self, level: f64) -> Option<f64> {
        // 1e-9: 0.95 · 10000 must be rank 9500 whatever its last bit.
        let rank = (level * (self.ratios.len() as f64 + 1.0) - 1e-9).ceil().max(1.0) as usize;
        self.ratios.get(rank.min(self.ratios.len()).checked_sub(1)?).copied()
    }
}

/// Critical value of the default interval: max(t, min(q, 4t)), t with `df` degrees of freedom at `level`, q the
/// bootstrap-t quantile. t is the interval in ordinary data; q widens it for ties, spikes and skew.
pub fn critical_value(df: f64, level: f64, bootstrap: Option<&BootstrapT>) -> f64 {
    let t = t_quantile(0.5 + 0.5 * level, df);
    bootstrap.and_then(|ratios| ratios.quantile(level)).map_or(t, |q| t.max(q.min(WIDEST * t)))
}

/// Half-width when no cluster differs from another: width · (1 − a^(1/C)), a = (1 − level)/2 at 95 % and in general.
///
/// A failure that touches a share p of the clusters stays unseen with probability (1 − p)^C; this is the largest p
/// that C equal clusters leave possible ("rule of three", Hanley & Lippman-Hand 1983). `width` is the score's range.
pub fn rule_of_three(width: f64, clusters: usize, level: f64) -> Option<f64> {
    let a = 0.5 * (1.0 - level);
    (clusters > 0 && width.is_finite()).then(|| width * (1.0 - a.powf(1.0 / clusters as f64)))
}

/// centre ± half, kept inside ±width: no difference of two scores lies outside.
pub fn clipped(centre: f64, half: f64, width: f64) -> (f64, f64) {
    ((centre - half).max(-width), (centre + half).min(width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Address;

    fn key() -> Key {
        Address { seed: 0, suite: "s", axis: "a", pair: ["g", "r"], scorer: "x" }.key("test")
    }

    #[test]
    fn ordinary_data_have_a_quantile_near_t_and_ties_a_larger_one() {
        let ordinary: Vec<f64> = (0..80).map(|i| f64::from(i * 37 % 80) / 80.0).collect();
        let q = BootstrapT::of(&ordinary, 9999, &key()).and_then(|b| b.quantile(0.95)).unwrap();
        assert!((q / t_quantile(0.975, 79.0) - 1.0).abs() < 0.03, "{q}");
        let mut spike = vec![0.0; 40];
        spike[0] = 1.0;
        let ratios = BootstrapT::of(&spike, 999, &key()).unwrap();
        let t = t_quantile(0.975, 39.0);
        assert_eq!(critical_value(39.0, 0.95, Some(&ratios)), 4.0 * t);
    }

    #[test]
    fn no_variance_still_has_a_width() {
        assert!((rule_of_three(1.0, 60, 0.95).unwrap() - 0.059629492286166874).abs() < 1e-12);
        assert_eq!(rule_of_three(1.0, 0, 0.95), None);
    }

    #[test]
    fn one_difference_has_no_bootstrap() {
        assert_eq!(BootstrapT::of(&[0.3], 99, &key()), None);
        assert_eq!(BootstrapT::of(&[], 99, &key()), None);
    }
}
