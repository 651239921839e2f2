//! Orders contexts and rotates terms so that both stay balanced however few of them are used.
//!
//! Every draw is seeded by names, never by positions in the file, and every sequence is used from its start: a smaller sample is the
//! beginning of a larger one, and what stands beside a template or a group in the file changes neither.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

/// Above this number of contexts the order is a plain shuffle: greedy balance costs its square, and so many contexts balance by themselves.
const GREEDY_LIMIT: usize = 10_000;

/// A stream of its own for every (suite seed, names): ChaCha8 keyed by SHA-256.
pub fn stream(seed: u64, names: &[&str]) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    for name in names {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name.as_bytes());
    }
    ChaCha8Rng::from_seed(hash.finalize().into())
}

/// A context as one level index a factor; `sizes` are the numbers of levels.
pub fn levels_of(index: usize, sizes: &[usize]) -> Vec<usize> {
    let mut rest = index;
    let mut levels = vec![0; sizes.len()];
    for (level, size) in levels.iter_mut().zip(sizes).rev() {
        *level = rest % size;
        rest /= size;
    }
    levels
}

/// The first `take` of all combinations of levels, in a seeded order whose every beginning meets each level about equally often.
pub fn balanced_order(sizes: &[usize], take: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let total: usize = sizes.iter().product();
    let mut rest: Vec<usize> = (0..total).collect();
    for i in (1..total).rev() {
        rest.swap(i, (rng.next_u64() % (i as u64 + 1)) as usize);
    }
    if total > GREEDY_LIMIT {
        rest.truncate(take);
        return rest;
    }
    let mut rest: Vec<(usize, Vec<usize>)> = rest.into_iter().map(|index| (index, levels_of(index, sizes))).collect();
    let mut met: Vec<Vec<u32>> = sizes.iter().map(|size| vec![0; *size]).collect();
    let mut order = Vec::new();
    while order.len() < take.min(total) {
        let cost = |levels: &[usize]| levels.iter().zip(&met).map(|(level, met)| met[*level]).sum::<u32>();
        let best =
            (0..rest.len()).min_by_key(|i| cost(&rest[*i].1)).expect("take is at most total, so that some are left");
        let (index, levels) = rest.remove(best);
        for (level, met) in levels.iter().zip(&mut met) {
            met[*level] += 1;
        }
        order.push(index);
    }
    order
}

/// For each context (how many are wanted, its factor levels), in order, that many of `items`, at most all, each item about equally often
/// in all and at each factor level.
pub fn rotate(items: usize, contexts: &[(usize, &[usize])], rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let mut used = vec![0u32; items];
    let mut met: std::collections::HashMap<(usize, usize, usize), u32> = std::collections::HashMap::new();
    contexts
        .iter()
        .map(|(k, levels)| {
            let mut cell: Vec<usize> = Vec::new();
            let draws: Vec<u64> = (0..items).map(|_| rng.next_u64()).collect();
            for _ in 0..(*k).min(items) {
                let at_levels = |item: usize| -> u32 {
                    levels.iter().enumerate().map(|(f, level)| met.get(&(item, f, *level)).copied().unwrap_or(0)).sum()
                };
                let best = (0..items)
                    .filter(|item| !cell.contains(item))
                    .min_by_key(|item| (used[*item], at_levels(*item), draws[*item]))
                    .expect("k is at most items, so that one is left");
                used[best] += 1;
                for (f, level) in levels.iter().enumerate() {
                    *met.entry((best, f, *level)).or_default() += 1;
                }
                cell.push(best);
            }
            cell
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(counts: &[u32]) -> u32 {
        counts.iter().max().unwrap() - counts.iter().min().unwrap()
    }

    #[test]
    fn every_beginning_of_the_order_is_balanced_over_levels() {
        let sizes = [8, 5];
        let order = balanced_order(&sizes, 40, &mut stream(1, &["t"]));
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..40).collect::<Vec<_>>());
        let (mut a, mut b) = (vec![0; 8], vec![0; 5]);
        for index in order {
            let levels = levels_of(index, &sizes);
            a[levels[0]] += 1;
            b[levels[1]] += 1;
            assert!(spread(&a) <= 2 && spread(&b) <= 2, "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_smaller_sample_is_the_beginning_of_a_larger_one() {
        let long = balanced_order(&[6, 7], 42, &mut stream(3, &["t"]));
        for take in 0..=42 {
            assert_eq!(balanced_order(&[6, 7], take, &mut stream(3, &["t"])), long[..take]);
        }
    }

    #[test]
    fn each_term_meets_every_level_about_equally_often() {
        let contexts: Vec<_> = (0..64).map(|i| levels_of(i, &[8, 8])).collect();
        let wanted: Vec<_> = contexts.iter().map(|levels| (2, levels.as_slice())).collect();
        let cells = rotate(8, &wanted, &mut stream(0, &["t"]));
        let mut used = vec![0; 8];
        let mut met = vec![0; 64];
        for (cell, levels) in cells.iter().zip(&contexts) {
            assert_eq!(cell.len(), 2);
            assert_ne!(cell[0], cell[1]);
            for item in cell {
                used[*item] += 1;
                met[item * 8 + levels[0]] += 1;
            }
        }
        assert_eq!(spread(&used), 0);
        assert!(spread(&met) <= 3, "{met:?}");
    }
}
