//! Tests all groups at once by shuffling their labels inside each cluster.

use rand_core::Rng;
use rayon::prelude::*;

use super::complete::Centred;
use super::means;
use super::random::Key;

/// Up to this many ways to label all clusters, each is looked at.
pub const EXACT_UP_TO: f64 = 200_000.0;

/// Up to this many groups the k! orders of a cluster are tabulated, 720 at most.
const TABULATED: usize = 6;

/// Sums that differ by less than this share of Σ|e| are ties (rounding must not break a tie).
const TIE: f64 = 1e-12;

/// What shuffled labels give, beside what the groups' own labels give.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shuffled {
    /// p of SS = Σ_g (mean_c e_cg)², which orders labellings as the repeated-measures F does.
    pub p: f64,
    /// p of the range, max_g − min_g of the groups' means.
    pub range_p: f64,
    /// Mean and 95th percentile (type 7) of the range when labels mean nothing, in the score's unit.
    pub range_mean: f64,
    pub range_p95: f64,
    /// Labellings looked at.
    pub labellings: usize,
    /// Every labelling was looked at; p is then a share of them, else (b + 1) / (m + 1) (Phipson & Smyth 2010).
    pub is_exact: bool,
}

/// Shuffles the labels of all groups inside each complete cluster; `None` below two groups or without a cluster.
///
/// All (k!)^C labellings where they are at most [`EXACT_UP_TO`], else `resamples` random ones; one pass serves both
/// statistics. Exact under the hypothesis that the groups are exchangeable inside a cluster; with several names a group that
/// is about these names only (Good 2005; stats.md §6). The cells of a cluster are put in order before they are
/// shuffled, so that renaming groups changes no bit. Without any difference p is 1.
pub fn shuffle_labels(cells: &Centred, resamples: usize, key: &Key) -> Option<Shuffled> {
    if cells.groups < 2 || cells.clusters == 0 {
        return None;
    }
    let orders = (1..=cells.groups).map(|k| k as f64).product::<f64>();
    let is_exact = orders.powf(cells.clusters as f64) <= EXACT_UP_TO;
    let labellings = if is_exact { orders.powi(cells.clusters as i32) as usize } else { resamples };
    if cells.unit == 0.0 {
        return Some(Shuffled { p: 1.0, range_p: 1.0, range_mean: 0.0, range_p95: 0.0, labellings, is_exact });
    }
    let mut sorted = cells.values.clone();
    sorted.chunks_exact_mut(cells.groups).for_each(|row| row.sort_unstable_by(f64::total_cmp));
    let drawn = match cells.groups {
        groups if is_exact => every(&sorted, groups),
        2 => random::<2>(&sorted, resamples, key),
        3 => random::<3>(&sorted, resamples, key),
        4 => random::<4>(&sorted, resamples, key),
        5 => random::<5>(&sorted, resamples, key),
        TABULATED => random::<TABULATED>(&sorted, resamples, key),
        groups => random_of_many(&sorted, groups, resamples, key),
    };
    let mut totals: Vec<f64> = vec![0.0; cells.groups];
    cells.rows().for_each(|row| add(&mut totals, row));
    let observed = statistics(&mut totals);
    let tie = TIE * cells.values.iter().map(|value| value.abs()).sum::<f64>();
    let p = |which: usize| {
        let reached = drawn.iter().filter(|drawn| drawn[which] >= observed[which] - tie).count();
        if is_exact { reached as f64 / drawn.len() as f64 } else { (reached + 1) as f64 / (drawn.len() + 1) as f64 }
    };
    let ranges: Vec<f64> = drawn.iter().map(|drawn| drawn[1] / cells.clusters as f64 * cells.unit).collect();
    Some(Shuffled {
        p: p(0),
        range_p: p(1),
        range_mean: means::mean(&ranges)?,
        range_p95: means::quantile(&ranges, 0.95)?,
        labellings,
        is_exact,
    })
}

/// [√Σ_g T_g², max T − min T] of the groups' totals, whatever their order.
fn statistics(totals: &mut [f64]) -> [f64; 2] {
    totals.sort_unstable_by(f64::total_cmp);
    [totals.iter().map(|total| total * total).sum::<f64>().sqrt(), totals[totals.len() - 1] - totals[0]]
}

fn add(totals: &mut [f64], row: &[f64]) {
    totals.iter_mut().zip(row).for_each(|(total, value)| *total += value);
}

/// All orders of 0 … k − 1, k! of them.
fn orders(k: usize) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = vec![Vec::new()];
    for next in 0..k as u8 {
        let longer = |order: &Vec<u8>| {
            (0..=order.len()).map(|at| [&order[..at], &[next], &order[at..]].concat()).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

fn every(cells: &[f64], groups: usize) -> Vec<[f64; 2]> {
    let orders = orders(groups);
    let mut totals: Vec<Vec<f64>> = vec![vec![0.0; groups]];
    for row in cells.chunks_exact(groups) {
        let longer = |so_far: &Vec<f64>| {
            let with = |order: &Vec<u8>| {
                so_far.iter().zip(order).map(|(total, &from)| total + row[usize::from(from)]).collect::<Vec<f64>>()
            };
            orders.iter().map(with).collect::<Vec<_>>()
        };
        totals = totals.iter().flat_map(longer).collect();
    }
    totals.iter_mut().map(|totals| statistics(totals)).collect()
}

fn random<const K: usize>(cells: &[f64], resamples: usize, key: &Key) -> Vec<[f64; 2]> {
    let (rows, _) = cells.as_chunks::<K>();
    let orders: Vec<[u8; K]> = orders(K).iter().map(|order| std::array::from_fn(|slot| order[slot])).collect();
    (0..resamples as u64)
        .into_par_iter()
        .map_init(
            || vec![0_u8; 4 * rows.len()],
            |bytes, replicate| {
                key.stream(replicate).fill_bytes(bytes);
                let (draws, _) = bytes.as_chunks::<4>();
                let mut totals = [0.0; K];
                for (row, draw) in rows.iter().zip(draws) {
                    let order = &orders[below(orders.len(), u32::from_le_bytes(*draw))];
                    for (total, &from) in totals.iter_mut().zip(order) {
                        *total += row[usize::from(from)];
                    }
                }
                statistics(&mut totals)
            },
        )
        .collect()
}

/// By Fisher & Yates, a draw a group.
fn random_of_many(cells: &[f64], groups: usize, resamples: usize, key: &Key) -> Vec<[f64; 2]> {
    (0..resamples as u64)
        .into_par_iter()
        .map(|replicate| {
            let mut random = key.stream(replicate);
            let (mut totals, mut shuffled) = (vec![0.0; groups], vec![0.0; groups]);
            for row in cells.chunks_exact(groups) {
                shuffled.copy_from_slice(row);
                for last in (1..groups).rev() {
                    shuffled.swap(last, below(last + 1, random.next_u32()));
                }
                add(&mut totals, &shuffled);
            }
            statistics(&mut totals)
        })
        .collect()
}

/// A number below `count` of 32 random bits; none is favoured by more than count / 2³².
fn below(count: usize, draw: u32) -> usize {
    ((u64::from(draw) * count as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::complete::Complete;
    use crate::stats::matrix::{Matrix, Sample};
    use crate::stats::permutation::sign_flip;
    use crate::stats::random::Address;

    fn key() -> Key {
        Address { seed: 0, suite: "s", axis: "a", pair: ["", ""], scorer: "x" }.key("test")
    }

    fn centred(rows: &[Vec<f64>]) -> Centred {
        let contexts: Vec<String> = (0..rows.len()).map(|c| format!("c{c:04}")).collect();
        let names: Vec<String> = (0..rows.first().map_or(0, Vec::len)).map(|g| format!("g{g:02}")).collect();
        let mut samples = Vec::new();
        for (context, row) in contexts.iter().zip(rows) {
            let of_row = names.iter().zip(row);
            samples.extend(of_row.map(|(group, &score)| Sample { template: "t", context, group, term: "", score }));
        }
        let matrix = Matrix::of(samples);
        Complete::of(&matrix, &(0..names.len()).collect::<Vec<_>>()).centred(1.0)
    }

    fn noise(clusters: usize, groups: usize) -> Vec<Vec<f64>> {
        let mut random = key().stream(1);
        let mut row = || (0..groups).map(|_| f64::from(random.next_u32() % 10_001) / 10_000.0).collect();
        (0..clusters).map(|_| row()).collect()
    }

    #[test]
    fn there_are_k_factorial_orders_and_no_two_are_equal() {
        for (k, count) in [(1, 1), (2, 2), (3, 6), (4, 24), (6, 720)] {
            let mut all = orders(k);
            all.sort();
            all.dedup();
            assert_eq!(all.len(), count);
        }
    }

    #[test]
    fn renaming_the_groups_changes_no_bit() {
        for (clusters, groups) in [(3, 3), (40, 2), (40, 5), (25, 8)] {
            let mut rows = noise(clusters, groups);
            let before = shuffle_labels(&centred(&rows), 999, &key()).unwrap();
            rows.iter_mut().for_each(|row| row.rotate_left(1));
            assert_eq!(shuffle_labels(&centred(&rows), 999, &key()), Some(before));
        }
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let cells = centred(&noise(50, 4));
        let of = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| shuffle_labels(&cells, 999, &key()))
        };
        assert_eq!(of(1), of(4));
    }

    #[test]
    fn groups_that_never_differ_have_a_p_of_one_and_a_range_of_zero() {
        for clusters in [2, 60] {
            let rows: Vec<Vec<f64>> = noise(clusters, 1).into_iter().map(|row| vec![row[0]; 4]).collect();
            let all = shuffle_labels(&centred(&rows), 99, &key()).unwrap();
            assert_eq!((all.p, all.range_p, all.range_mean, all.range_p95), (1.0, 1.0, 0.0, 0.0));
        }
    }

    #[test]
    fn with_two_groups_the_test_is_the_sign_flip_test() {
        let rows = noise(12, 2);
        let differences: Vec<f64> = rows.iter().map(|row| row[0] - row[1]).collect();
        let all = shuffle_labels(&centred(&rows), 99, &key()).unwrap();
        assert!(all.is_exact && all.labellings == 4096);
        assert_eq!(Some(all.p), sign_flip(&differences, 99, &key()));
        assert_eq!(all.p, all.range_p);
    }

    #[test]
    fn many_groups_and_few_are_shuffled_by_the_same_law() {
        let (few, key) = (centred(&noise(30, 5)), key());
        let (a, b) = (random::<5>(&few.values, 4_000, &key), random_of_many(&few.values, 5, 4_000, &key));
        for which in 0..2 {
            let mean = |of: &[[f64; 2]]| of.iter().map(|one| one[which]).sum::<f64>() / 4_000.0;
            assert!((mean(&a) / mean(&b) - 1.0).abs() < 0.03, "{} {}", mean(&a), mean(&b));
        }
    }

    #[test]
    fn no_cluster_and_one_group_have_no_test() {
        assert_eq!(shuffle_labels(&centred(&[]), 99, &key()), None);
        assert_eq!(shuffle_labels(&centred(&noise(9, 1)), 99, &key()), None);
        assert_eq!(shuffle_labels(&centred(&noise(1, 3)), 99, &key()).map(|all| all.p), Some(1.0));
    }

    #[test]
    fn scores_of_any_size_keep_their_p() {
        let rows = noise(40, 3);
        let scaled = |by: f64| rows.iter().map(|row| row.iter().map(|x| x * by).collect()).collect::<Vec<Vec<f64>>>();
        let p = |rows: &[Vec<f64>]| shuffle_labels(&centred(rows), 999, &key()).unwrap().p;
        assert_eq!(p(&scaled(1e300)), p(&rows));
        assert_eq!(p(&scaled(1e-300)), 1.0);
    }
}
