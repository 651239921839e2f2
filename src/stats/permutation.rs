//! Tests a mean of paired differences by flipping their signs.

use rand_core::Rng;

use super::random::Key;

/// Up to this many differences all 2^C sign patterns are enumerated.
pub const EXACT_UP_TO: usize = 16;

/// Differences whose sums are tabulated together: 2⁸ patterns a block, one random byte each.
const BLOCK: usize = 8;

/// Sums that differ by less than this share of Σ|D| are ties (rounding must not break a tie).
const TIE: f64 = 1e-12;

/// p of the sign-flip test on the differences, statistic |Σ s_c D_c|; `None` without differences.
///
/// Exact up to [`EXACT_UP_TO`] differences: share of all 2^C patterns, the identity included, that reach the observed
/// sum. Above, `resamples` random patterns and p = (b + 1) / (m + 1) (Phipson & Smyth 2010), never 0. Exact under the
/// hypothesis that swapping the groups inside a cluster changes nothing; asymptotically valid for mean 0. The statistic
/// orders patterns as the studentised one does, since Σ D² stays the same. The smallest p is 2^(1−C).
pub fn sign_flip(differences: &[f64], resamples: usize, key: &Key) -> Option<f64> {
    if differences.is_empty() {
        return None;
    }
    let sums = BlockSums::of(differences);
    Some(if differences.len() <= EXACT_UP_TO { sums.exact() } else { sums.monte_carlo(resamples, key) })
}

/// Smallest p that the test can give, so that an impossible rejection can be told beforehand.
pub fn smallest_p(differences: usize, resamples: usize) -> f64 {
    if differences <= EXACT_UP_TO {
        0.5_f64.powi(differences as i32 - 1).min(1.0)
    } else {
        1.0 / (resamples as f64 + 1.0)
    }
}

/// Signed sums of every pattern of each block of eight differences: a random pattern costs one look-up a block.
struct BlockSums {
    tables: Vec<[f64; 1 << BLOCK]>,
    clusters: usize,
    threshold: f64,
}

impl BlockSums {
    fn of(differences: &[f64]) -> BlockSums {
        let tables: Vec<[f64; 1 << BLOCK]> = differences
            .chunks(BLOCK)
            .map(|block| {
                std::array::from_fn(|pattern| {
                    block.iter().enumerate().map(|(bit, d)| if (pattern >> bit) & 1 == 1 { *d } else { -d }).sum()
                })
            })
            .collect();
        let observed: f64 = tables.iter().map(|table| table[(1 << BLOCK) - 1]).sum();
        let size: f64 = differences.iter().map(|d| d.abs()).sum();
        BlockSums { tables, clusters: differences.len(), threshold: observed.abs() - TIE * size }
    }

    fn exact(&self) -> f64 {
        let patterns = 1_usize << self.clusters;
        let reached = (0..patterns)
            .filter(|pattern| {
                let sum: f64 = self
                    .tables
                    .iter()
                    .enumerate()
                    .map(|(block, table)| table[(pattern >> (BLOCK * block)) & 0xff])
                    .sum();
                sum.abs() >= self.threshold
            })
            .count();
        reached as f64 / patterns as f64
    }

    fn monte_carlo(&self, resamples: usize, key: &Key) -> f64 {
        let mut pattern = vec![0_u8; self.tables.len()];
        let mut reached = 0_usize;
        for replicate in 0..resamples {
            key.stream(replicate as u64).fill_bytes(&mut pattern);
            let mut sum = 0.0;
            for (table, &byte) in self.tables.iter().zip(&pattern) {
                sum += table[usize::from(byte)];
            }
            reached += usize::from(sum.abs() >= self.threshold);
        }
        (reached + 1) as f64 / (resamples + 1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Address;

    fn key() -> Key {
        Address { seed: 0, suite: "s", axis: "a", pair: ["g", "r"], scorer: "x" }.key("test")
    }

    #[test]
    fn three_equal_differences_reach_the_sum_in_two_of_eight_patterns() {
        assert_eq!(sign_flip(&[0.1, 0.1, 0.1], 99, &key()), Some(0.25));
        assert_eq!(smallest_p(3, 99), 0.25);
    }

    #[test]
    fn differences_of_zero_are_all_ties() {
        assert_eq!(sign_flip(&[0.0; 12], 99, &key()), Some(1.0));
        assert_eq!(sign_flip(&[0.0; 40], 99, &key()), Some(1.0));
        assert_eq!(sign_flip(&[], 99, &key()), None);
    }

    #[test]
    fn the_random_p_is_never_zero_and_keeps_under_a_change_of_sign() {
        let up: Vec<f64> = (0..50).map(|i| 0.2 + 0.001 * f64::from(i)).collect();
        let down: Vec<f64> = up.iter().map(|d| -d).collect();
        assert_eq!(sign_flip(&up, 999, &key()), Some(0.001));
        assert_eq!(sign_flip(&up, 999, &key()), sign_flip(&down, 999, &key()));
    }
}
