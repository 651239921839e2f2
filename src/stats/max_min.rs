//! Measures how far apart the extreme groups are, without what chance alone puts between the extremes of many.

use rand_core::Rng;
use rayon::prelude::*;

use super::complete::{Centred, Complete};
use super::gap::{Contrast, Error, paired_gap};
use super::interval::{critical_value, rule_of_three};
use super::matrix::Matrix;
use super::means;
use super::random::Key;

/// A group that is the worst in fewer resamples than this is named as unstable (stats.md §2).
pub const STABLE: f64 = 0.8;

/// The bootstrap quantile may widen the critical value to this many t; beyond, sign flips are degenerate.
const WIDEST: f64 = 4.0;

/// Totals that differ by less than this share of the clusters are ties.
const TIE: f64 = 1e-12;

/// The max-min disparity over complete clusters; parity is 0, and it is above 0 without any disparity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaxMin {
    /// max_g μ_g − min_g μ_g
    pub observed: f64,
    /// F = S² / (mean over pairs of V_pair / 2), S² the variance of the groups' means: the repeated-measures F, with names as a
    /// random factor where they are one. `None` without any error.
    pub f: Option<f64>,
    /// √max(0, 1 − 1/F) · observed
    pub debiased: f64,
    pub low: f64,
    pub high: f64,
}

/// Max-min with its debiased value and an interval at `level` (stats.md §9); `None` below two clusters or groups.
///
/// E[max − min] > 0 for equal groups; Lum, Zhang & Bower 2022 show the bias of such meta-metrics, and that taking the null mean away
/// over-corrects. Interval: [max over pairs (|gap| − c SE)₊, max over pairs (|gap| + c SE)], clipped to ±`width`; c is the larger of
/// Student's quantile at the pair's df and the quantile of max over pairs |t| when the signs of whole clusters' residuals are flipped `flips`
/// times, at most 4 t. A pair without spread has the rule of three for c SE.
pub fn max_min(
    matrix: &Matrix,
    cells: &Complete,
    paired: bool,
    width: f64,
    level: f64,
    flips: usize,
    key: &Key,
) -> Option<MaxMin> {
    let clusters = cells.clusters.len();
    if clusters < 2 || cells.groups.len() < 2 {
        return None;
    }
    let centred = cells.centred(width);
    let means = centred.means();
    let observed = range(&means) * centred.unit;
    let complete = matrix.only(&cells.clusters);
    let pairs = pairs(&complete, &cells.groups, paired, width)?;
    // In shares of the largest deviation, as the means are.
    let noise = means::mean(
        &pairs
            .iter()
            .map(|(_, error)| 0.5 * (error.se / centred.unit.max(f64::MIN_POSITIVE)).powi(2))
            .collect::<Vec<_>>(),
    )?;
    let f = (noise > 0.0 && centred.unit > 0.0).then(|| means::variance(&means).map(|s2| s2 / noise)).flatten();
    let shrink = f.map_or(1.0, |f| (1.0 - 1.0 / f).max(0.0).sqrt());
    let flipped = flipped_quantile(&centred, &means, level, flips, key);
    let half = |error: &Error| {
        if error.se > 0.0 {
            let t = critical_value(error.df, level, None);
            t.max(flipped.unwrap_or(0.0).min(WIDEST * t)) * error.se
        } else {
            rule_of_three(width, clusters, level).unwrap_or(0.0)
        }
    };
    let most = |end: &dyn Fn(f64, f64) -> f64| {
        pairs.iter().map(|(gap, error)| end(gap.abs(), half(error))).fold(0.0_f64, f64::max).min(width)
    };
    Some(MaxMin {
        observed,
        f,
        debiased: shrink * observed,
        low: most(&|gap, half| gap - half),
        high: most(&|gap, half| gap + half),
    })
}

/// Gap and error of every pair of groups.
fn pairs(matrix: &Matrix, groups: &[usize], paired: bool, width: f64) -> Option<Vec<(f64, Error)>> {
    let mut found = Vec::new();
    for (slot, &group) in groups.iter().enumerate() {
        for &other in &groups[slot + 1..] {
            let gap = paired_gap(matrix, &Contrast { group, others: vec![other], paired }, width);
            found.push((gap.gap?, gap.error?));
        }
    }
    Some(found)
}

/// Order statistic ⌈level (B + 1)⌉ of max over pairs |t*|, t* the studentised mean of the pair's residuals under B patterns of
/// flipped signs, one sign a cluster; `None` without spread.
fn flipped_quantile(cells: &Centred, means: &[f64], level: f64, flips: usize, key: &Key) -> Option<f64> {
    let count = cells.clusters as f64;
    let residuals: Vec<f64> =
        cells.rows().flat_map(|row| row.iter().zip(means).map(|(value, mean)| value - mean)).collect();
    let mut spreads = Vec::new();
    for one in 0..cells.groups {
        for other in one + 1..cells.groups {
            let squares: f64 = residuals.chunks_exact(cells.groups).map(|row| (row[one] - row[other]).powi(2)).sum();
            if squares > TIE * TIE * count {
                spreads.push((one, other, squares));
            }
        }
    }
    if spreads.is_empty() {
        return None;
    }
    let mut largest: Vec<f64> = (0..flips as u64)
        .into_par_iter()
        .map(|replicate| {
            let mut signs = vec![0_u8; cells.clusters.div_ceil(8)];
            key.stream(replicate).fill_bytes(&mut signs);
            let mut totals = vec![0.0; cells.groups];
            for (cluster, row) in residuals.chunks_exact(cells.groups).enumerate() {
                let is_flipped = (signs[cluster / 8] >> (cluster % 8)) & 1 == 1;
                let sign = if is_flipped { -1.0 } else { 1.0 };
                totals.iter_mut().zip(row).for_each(|(total, value)| *total += sign * value);
            }
            let t = |&(one, other, squares): &(usize, usize, f64)| {
                let total: f64 = totals[one] - totals[other];
                let left = squares - total * total / count;
                if left > 1e-12 * squares { total.abs() / (count * left / (count - 1.0)).sqrt() } else { f64::INFINITY }
            };
            spreads.iter().map(t).fold(0.0_f64, f64::max)
        })
        .collect();
    largest.sort_unstable_by(f64::total_cmp);
    let rank = (level * (largest.len() as f64 + 1.0) - 1e-9).ceil().max(1.0) as usize;
    largest.get(rank.min(largest.len()).checked_sub(1)?).copied()
}

fn range(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most - values.iter().copied().fold(f64::INFINITY, f64::min)
}

/// A group at one end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct End {
    /// Index of the group in the matrix.
    pub group: usize,
    /// Share of cluster resamples in which it is at that end, a tie counted in parts.
    pub share: f64,
}

/// The groups with the highest and the lowest mean.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Ends {
    /// `None` where two groups tie for it.
    pub highest: Option<End>,
    pub lowest: Option<End>,
}

/// Who is at the ends, and how often when the clusters are drawn again; below [`STABLE`] the name depends on the contexts that
/// happened to be asked. Nothing below two clusters or groups.
pub fn ends(cells: &Complete, width: f64, resamples: usize, key: &Key) -> Ends {
    let count = cells.clusters.len();
    if count < 2 || cells.groups.len() < 2 {
        return Ends::default();
    }
    let centred = cells.centred(width);
    let drawn: Vec<Vec<f64>> = (0..resamples as u64)
        .into_par_iter()
        .map(|replicate| {
            let mut random = key.stream(replicate);
            let mut totals = vec![0.0; centred.groups];
            for _ in 0..count {
                // Scaling 32 bits favours no cluster by more than clusters / 2³².
                let cluster = ((u64::from(random.next_u32()) * count as u64) >> 32) as usize;
                let row = &centred.values[cluster * centred.groups..][..centred.groups];
                totals.iter_mut().zip(row).for_each(|(total, value)| *total += value);
            }
            totals
        })
        .collect();
    let observed: Vec<f64> = centred.means().iter().map(|mean| mean * count as f64).collect();
    let end = |sign: f64| {
        let at_end = |totals: &[f64]| {
            let most = totals.iter().map(|total| sign * total).fold(f64::NEG_INFINITY, f64::max);
            let is_there = move |total: &f64| sign * total >= most - TIE * count as f64;
            totals.iter().map(is_there).collect::<Vec<bool>>()
        };
        let ties = |there: &[bool]| there.iter().filter(|there| **there).count();
        let there = at_end(&observed);
        let slot = there.iter().position(|there| *there).filter(|_| ties(&there) == 1)?;
        let part = |totals: &Vec<f64>| {
            let there = at_end(totals);
            if there[slot] { 1.0 / ties(&there) as f64 } else { 0.0 }
        };
        let share = means::mean(&drawn.iter().map(part).collect::<Vec<_>>())?;
        Some(End { group: cells.groups[slot], share })
    };
    Ends { highest: end(1.0), lowest: end(-1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::matrix::Sample;
    use crate::stats::omnibus::repeated_measures;
    use crate::stats::random::Address;

    fn key() -> Key {
        Address { seed: 0, suite: "s", axis: "a", pair: ["", ""], scorer: "x" }.key("test")
    }

    /// `score(cluster, group, name)`; with one name a group, names are not random.
    fn matrix(clusters: usize, groups: usize, names: usize, score: impl Fn(usize, usize, usize) -> f64) -> Matrix {
        let text = |kind: &str, count: usize| (0..count).map(|i| format!("{kind}{i:03}")).collect::<Vec<_>>();
        let (contexts, of_group) = (text("c", clusters), text("g", groups));
        let terms: Vec<Vec<String>> = of_group.iter().map(|group| text(&format!("{group}n"), names)).collect();
        let mut samples = Vec::new();
        for (c, context) in contexts.iter().enumerate() {
            for (g, group) in of_group.iter().enumerate() {
                for (n, term) in terms[g].iter().enumerate() {
                    samples.push(Sample { template: "t", context, group, term, score: score(c, g, n) });
                }
            }
        }
        Matrix::of(samples)
    }

    fn noise(c: usize, g: usize, n: usize) -> f64 {
        let mut random = key().stream((c * 1_000 + g * 100 + n) as u64);
        f64::from(random.next_u32() % 10_001) / 10_000.0
    }

    fn of(matrix: &Matrix) -> Option<MaxMin> {
        let cells = Complete::of(matrix, &(0..matrix.groups.len()).collect::<Vec<_>>());
        max_min(matrix, &cells, false, 1.0, 0.95, 999, &key())
    }

    #[test]
    fn with_one_name_a_group_f_is_that_of_the_repeated_measures() {
        let matrix = matrix(30, 4, 1, noise);
        let cells = Complete::of(&matrix, &[0, 1, 2, 3]);
        let want = repeated_measures(&cells.centred(1.0)).unwrap().f;
        let got = of(&matrix).unwrap().f.unwrap();
        assert!((got - want).abs() < 1e-9 * want, "{got} {want}");
    }

    #[test]
    fn names_that_differ_lower_f_and_the_debiased_value() {
        let by_name = |c, g, n| 0.4 + 0.05 * noise(0, g, n) + 0.02 * noise(c, g, n);
        let of_names = of(&matrix(40, 3, 4, by_name)).unwrap();
        let taken_as_fixed = {
            let matrix = matrix(40, 3, 4, by_name);
            repeated_measures(&Complete::of(&matrix, &[0, 1, 2]).centred(1.0)).unwrap().f
        };
        assert!(of_names.f.unwrap() < 0.5 * taken_as_fixed);
        assert!(of_names.debiased < of_names.observed && of_names.low <= of_names.debiased);
    }

    #[test]
    fn groups_that_never_differ_are_zero_apart_within_the_rule_of_three() {
        let all = of(&matrix(60, 3, 1, |c, _, _| noise(c, 0, 0))).unwrap();
        assert_eq!((all.observed, all.debiased, all.f, all.low), (0.0, 0.0, None, 0.0));
        assert!((all.high - 0.0596).abs() < 1e-4);
    }

    #[test]
    fn a_constant_shift_is_the_whole_of_max_min() {
        let all = of(&matrix(60, 3, 1, |c, g, _| 0.5 * noise(c, 0, 0) + 0.25 * g as f64)).unwrap();
        assert!((all.observed - 0.5).abs() < 1e-12 && all.debiased == all.observed, "{all:?}");
    }

    #[test]
    fn the_interval_is_wider_than_the_one_of_a_single_pair_and_holds_the_observed_value() {
        let matrix = matrix(40, 5, 1, noise);
        let all = of(&matrix).unwrap();
        assert!(all.low <= all.observed && all.observed <= all.high);
        let cells = Complete::of(&matrix, &[0, 1, 2, 3, 4]).centred(1.0);
        let c = flipped_quantile(&cells, &cells.means(), 0.95, 999, &key()).unwrap();
        // Tukey's q(0.95; 5, ∞) / √2 is 2.73, of one pair 1.96.
        assert!((2.5..3.2).contains(&c), "{c}");
    }

    /// stats.md §9: with four groups and 40 clusters of sd .15 the observed value is .049 too large without any disparity, the debiased .016.
    #[test]
    fn the_debiased_value_has_a_third_of_the_bias_and_the_interval_covers() {
        for (truth, bias_observed, bias_debiased) in [(0.0, 0.049, 0.016), (0.1, 0.006, -0.011)] {
            let (mut observed, mut debiased, mut covered) = (0.0, 0.0, 0.0);
            for suite in 0..400 {
                let mut random = key().stream(suite);
                let mut uniform = move || (f64::from(random.next_u32()) + 0.5) / 4_294_967_296.0;
                let mut normal = || (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
                let scores: Vec<f64> = (0..160).map(|cell| 0.15 * normal() + (cell % 4) as f64 / 3.0 * truth).collect();
                let matrix = matrix(40, 4, 1, |c, g, _| scores[4 * c + g]);
                let cells = Complete::of(&matrix, &[0, 1, 2, 3]);
                let all = max_min(&matrix, &cells, false, 10.0, 0.95, 199, &key()).unwrap();
                observed += (all.observed - truth) / 400.0;
                debiased += (all.debiased - truth) / 400.0;
                covered += f64::from(u8::from(all.low <= truth && truth <= all.high)) / 400.0;
            }
            assert!((observed - bias_observed).abs() < 0.005, "{observed}");
            assert!((debiased - bias_debiased).abs() < 0.006, "{debiased}");
            assert!(covered >= 0.93, "{covered}");
        }
    }

    #[test]
    fn a_group_far_away_is_always_at_its_end_and_a_tie_names_nobody() {
        let matrix = matrix(30, 3, 1, |c, g, _| 0.1 * noise(c, g, 0) + if g == 1 { 0.5 } else { 0.0 });
        let all = ends(&Complete::of(&matrix, &[0, 1, 2]), 1.0, 199, &key());
        assert_eq!(all.highest, Some(End { group: 1, share: 1.0 }));
        assert!(all.lowest.unwrap().share < 1.0);
        let tied = super::tests::matrix(30, 3, 1, |c, g, _| noise(c, 0, 0) * if g == 2 { 0.5 } else { 1.0 });
        let all = ends(&Complete::of(&tied, &[0, 1, 2]), 1.0, 199, &key());
        assert_eq!((all.highest, all.lowest), (None, Some(End { group: 2, share: 1.0 })));
    }

    #[test]
    fn one_cluster_or_one_group_has_neither_range_nor_ends() {
        for (clusters, groups) in [(1, 3), (9, 1), (0, 2)] {
            let matrix = matrix(clusters, groups, 1, noise);
            let cells = Complete::of(&matrix, &(0..matrix.groups.len()).collect::<Vec<_>>());
            assert_eq!(max_min(&matrix, &cells, false, 1.0, 0.95, 99, &key()), None);
            assert_eq!(ends(&cells, 1.0, 99, &key()), Ends::default());
        }
    }
}
