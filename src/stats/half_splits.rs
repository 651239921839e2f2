//! Shows what gap the choice of terms alone makes: one group's terms in two halves, against each other.

use super::matrix::Matrix;
use super::means;
use super::random::Key;

/// Terms below which no halves are made.
pub const MIN_TERMS: usize = 4;

/// At most this many splits are looked at; up to ten terms these are all.
const SPLITS: usize = 200;

/// The central 95 % of the pseudo-gaps between two halves of the group's terms ("A/A band"; stats.md §8), each taken with both signs;
/// `None` with fewer than [`MIN_TERMS`] terms.
///
/// A pseudo-gap is the mean, over the clusters that have terms of both halves, of the difference of the halves' means. Of an odd number of
/// terms one half has one more. All splits where they are at most 200, else 200 random ones. Descriptive: half as many terms a side
/// make it about √2 wider than names alone would make a gap; the two-way standard error is the inferential version.
pub fn half_splits(matrix: &Matrix, group: usize, key: &Key) -> Option<(f64, f64)> {
    let cells: Vec<&[(usize, f64)]> =
        (0..matrix.clusters.len()).filter_map(|cluster| Some(matrix.cell(cluster, group)?.terms.as_slice())).collect();
    let mut terms: Vec<usize> = cells.iter().flat_map(|cell| cell.iter().map(|&(term, _)| term)).collect();
    terms.sort_unstable();
    terms.dedup();
    if terms.len() < MIN_TERMS {
        return None;
    }
    let mut in_half = vec![false; matrix.terms.len()];
    let mut gaps = Vec::new();
    for half in halves(&terms, key) {
        in_half.fill(false);
        half.iter().for_each(|&term| in_half[term] = true);
        let difference = |cell: &&[(usize, f64)]| {
            let side = |own: bool| {
                let scores = cell.iter().filter(|(term, _)| in_half[*term] == own).map(|&(_, score)| score);
                means::mean(&scores.collect::<Vec<_>>())
            };
            Some(side(true)? - side(false)?)
        };
        if let Some(gap) = means::mean(&cells.iter().filter_map(difference).collect::<Vec<_>>()) {
            gaps.extend([gap, -gap]);
        }
    }
    // Both signs are there: the lower end is the upper one's mirror.
    let high = means::quantile(&gaps, 0.975)?;
    Some((-high, high))
}

/// Halves of the terms, of which each stands for itself and the rest.
fn halves(terms: &[usize], key: &Key) -> Vec<Vec<usize>> {
    let size = terms.len() / 2;
    // Of an even number of terms, the halves without the first term are the rests of those with it.
    let choices =
        if terms.len().is_multiple_of(2) { choose(terms.len() - 1, size - 1) } else { choose(terms.len(), size) };
    if choices <= SPLITS as f64 {
        let mut all = combinations(terms, size);
        if terms.len().is_multiple_of(2) {
            all.retain(|half| half[0] == terms[0]);
        }
        return all;
    }
    let random = |split: u64| {
        let mut random = key.stream(split);
        let mut shuffled = terms.to_vec();
        for at in 0..size {
            let left = (terms.len() - at) as u64;
            let draw = u64::from(rand_core::Rng::next_u32(&mut random));
            shuffled.swap(at, at + ((draw * left) >> 32) as usize);
        }
        shuffled.truncate(size);
        shuffled
    };
    (0..SPLITS as u64).map(random).collect()
}

fn choose(n: usize, k: usize) -> f64 {
    (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product()
}

fn combinations(of: &[usize], size: usize) -> Vec<Vec<usize>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, &first) in of.iter().enumerate() {
        let rest = combinations(&of[at + 1..], size - 1);
        all.extend(rest.into_iter().map(|rest| [vec![first], rest].concat()));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::matrix::Sample;
    use crate::stats::random::Address;

    fn key() -> Key {
        Address { seed: 0, suite: "s", axis: "a", pair: ["g", ""], scorer: "x" }.key("half-splits")
    }

    fn matrix(terms: usize, score: impl Fn(usize) -> f64) -> Matrix {
        let names: Vec<String> = (0..terms).map(|term| format!("n{term:02}")).collect();
        let of = |context| {
            let score = &score;
            names.iter().enumerate().map(move |(n, term)| Sample {
                template: "t",
                context,
                group: "g",
                term,
                score: score(n),
            })
        };
        Matrix::of(["a", "b"].into_iter().flat_map(of).collect())
    }

    #[test]
    fn halves_are_all_there_is_up_to_ten_terms_and_two_hundred_beyond() {
        for (terms, count) in [(4, 3), (5, 10), (6, 10), (8, 35), (10, 126), (12, 200)] {
            let all = halves(&(0..terms).collect::<Vec<_>>(), &key());
            assert_eq!(all.len(), count);
            assert!(all.iter().all(|half| half.len() == terms / 2));
        }
    }

    #[test]
    fn equal_terms_have_no_band_around_zero_and_three_terms_none_at_all() {
        assert_eq!(half_splits(&matrix(6, |_| 0.4), 0, &key()), Some((-0.0, 0.0)));
        assert_eq!(half_splits(&matrix(3, |n| n as f64), 0, &key()), None);
    }

    #[test]
    fn the_band_is_that_of_the_pseudo_gaps_and_symmetric() {
        // Halves of 0, 0, 0, 1 differ by 1/2 either way.
        let (low, high) = half_splits(&matrix(4, |n| f64::from(u8::from(n == 3))), 0, &key()).unwrap();
        assert_eq!((low, high), (-0.5, 0.5));
    }
}
