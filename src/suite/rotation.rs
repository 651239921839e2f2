//! Orders contexts and rotates terms so that both stay balanced however few of them are used.
//!
//! Every draw is seeded by names, never by positions in the file, and every sequence is used from its start: a smaller sample is the
//! beginning of a larger one, and what stands beside a template or a group in the file changes neither.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

/// Above this number of combinations the order is a plain shuffle: greedy balance costs its square, and a sample of so many balances by itself.
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
    if total > GREEDY_LIMIT {
        let shuffle = Shuffle::new(total, rng);
        return (0..take.min(total)).map(|place| shuffle.at(place)).collect();
    }
    let mut rest: Vec<usize> = (0..total).collect();
    for i in (1..total).rev() {
        rest.swap(i, (rng.next_u64() % (i as u64 + 1)) as usize);
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

/// A seeded order of `0..total` that is computed place by place, so that a few of very many cost only themselves: a Feistel network of four
/// rounds over the next power of four, walked until it falls inside.
struct Shuffle {
    total: usize,
    half_bits: u32,
    keys: [u64; 4],
}

impl Shuffle {
    fn new(total: usize, rng: &mut ChaCha8Rng) -> Shuffle {
        let bits = usize::BITS - (total.max(2) - 1).leading_zeros();
        Shuffle { total, half_bits: bits.div_ceil(2), keys: std::array::from_fn(|_| rng.next_u64()) }
    }

    fn at(&self, place: usize) -> usize {
        let mut index = place;
        loop {
            index = self.network(index);
            if index < self.total {
                return index;
            }
        }
    }

    fn network(&self, index: usize) -> usize {
        let mask = (1u64 << self.half_bits) - 1;
        let (mut left, mut right) = (index as u64 >> self.half_bits, index as u64 & mask);
        for key in self.keys {
            // A finaliser of splitmix64: every bit of the half reaches every bit of the round's word.
            let mut word = (right ^ key).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (left, right) = (right, left ^ ((word ^ (word >> 32)) & mask));
        }
        ((left << self.half_bits) | right) as usize
    }
}

/// For each context (how many are wanted, its factor levels), in order, that many of `items`, at most all, each item about equally often
/// in all and at each factor level.
pub fn rotate(items: usize, contexts: &[(usize, &[usize])], rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let mut used = vec![0u32; items];
    let factors = contexts.iter().map(|(_, levels)| levels.len()).max().unwrap_or(0);
    let most = contexts.iter().flat_map(|(_, levels)| levels.iter()).max().map_or(0, |level| level + 1);
    // met[(item · factors + factor) · most + level]
    let mut met: Vec<u32> = vec![0; items * factors * most];
    let cell_of = |item: usize, factor: usize, level: usize| (item * factors + factor) * most + level;
    contexts
        .iter()
        .map(|(k, levels)| {
            let mut cell: Vec<usize> = Vec::new();
            let draws: Vec<u64> = (0..items).map(|_| rng.next_u64()).collect();
            for _ in 0..(*k).min(items) {
                let at_levels = |item: usize| -> u32 {
                    levels.iter().enumerate().map(|(factor, level)| met[cell_of(item, factor, *level)]).sum()
                };
                let best = (0..items)
                    .filter(|item| !cell.contains(item))
                    .min_by_key(|item| (used[*item], at_levels(*item), draws[*item]))
                    .expect("k is at most items, so that one is left");
                used[best] += 1;
                for (factor, level) in levels.iter().enumerate() {
                    met[cell_of(best, factor, *level)] += 1;
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
    fn the_order_of_very_many_combinations_meets_each_once() {
        let order = balanced_order(&[123, 91], usize::MAX, &mut stream(1, &["t"]));
        assert_ne!(order[..3], [0, 1, 2]);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..123 * 91).collect::<Vec<_>>());
        assert_eq!(balanced_order(&[123, 91], 50, &mut stream(1, &["t"])), order[..50]);
        let mut met = [0u32; 91];
        order[..910].iter().for_each(|index| met[levels_of(*index, &[123, 91])[1]] += 1);
        assert!(met.iter().all(|met| (1..=25).contains(met)), "{met:?}");
        assert_eq!(balanced_order(&[1 << 20, 1 << 20], 5, &mut stream(1, &["t"])).len(), 5);
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
