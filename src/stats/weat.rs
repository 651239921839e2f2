//! Tells how much nearer one set of words lies to an attribute than another set does, in an embedding.
//!
//! An association of vectors, not a harm of any output: it never enters a gate.

use rand_core::Rng;

use super::bootstrap::bca;
use super::means;
use super::random::Key;

/// Up to this many partitions of the targets are enumerated: two lists of ten have 184,756.
const EXACT_UP_TO: f64 = 200_000.0;

/// Statistics that differ by less than this share of Σ|s| are ties.
const TIE: f64 = 1e-12;

/// Associations that deviate by no more than this from their mean have no spread; cosines are of the size of one.
const NO_SPREAD: f64 = 1e-12;

/// s(w, A, B) = mean cos(w, a) − mean cos(w, b), in [−2, 2]: above 0, the word lies nearer to A. `None` for an empty set, vectors of unequal
/// length, or a vector of zeros.
pub fn association(word: &[f64], a: &[Vec<f64>], b: &[Vec<f64>]) -> Option<f64> {
    let mean = |set: &[Vec<f64>]| {
        let cosines: Option<Vec<f64>> = set.iter().map(|other| cosine(word, other)).collect();
        means::mean(&cosines?)
    };
    Some(mean(a)? - mean(b)?)
}

fn cosine(a: &[f64], b: &[f64]) -> Option<f64> {
    let dot = |a: &[f64], b: &[f64]| means::sum(a.iter().zip(b).map(|(x, y)| x * y));
    let length = dot(a, a).sqrt() * dot(b, b).sqrt();
    (a.len() == b.len() && length > 0.0 && length.is_finite()).then(|| dot(a, b) / length)
}

/// The Word Embedding Association Test of two sets of target words.
#[derive(Debug, Clone, PartialEq)]
pub struct Weat {
    /// Σ_X s − Σ_Y s; 0 is parity.
    pub statistic: f64,
    /// (mean_X s − mean_Y s) / sd of s over X ∪ Y; 0 is parity. `None` where the associations do not differ.
    pub effect_size: Option<f64>,
    /// 95 % BCa interval of the effect size.
    pub interval: Option<(f64, f64)>,
    /// Share of the partitions of X ∪ Y into sets of these sizes, the observed one included, whose difference of means is at least the
    /// observed one.
    pub p: f64,
    /// The same of the difference without its sign.
    pub p_two_sided: f64,
    /// Partitions that were counted.
    pub partitions: usize,
    /// All partitions were counted; otherwise p = (b + 1)/(m + 1) of m random ones.
    pub is_exact: bool,
}

/// WEAT from the [`association`] of each target word; `None` unless both sets have a word and all is finite.
///
/// Source: Caliskan, Bryson & Narayanan 2017. The sd divides by n − 1, as the code of May et al. 2019 (SEAT) does; the paper's formula leaves
/// it open. Sets of unequal size are partitioned into their own sizes, ordered by the difference of means, which for equal sizes is the
/// published order. The interval resamples the target words of both sets, so that the sizes of the sets vary with it: it is about words like
/// these, given the attributes, and approximate below 50 of them.
pub fn weat(x: &[f64], y: &[f64], resamples: usize, key: impl Fn(&str) -> Key) -> Option<Weat> {
    let all: Vec<f64> = x.iter().chain(y).copied().collect();
    if x.is_empty() || y.is_empty() || all.iter().any(|s| !s.is_finite()) {
        return None;
    }
    let centre = means::mean(&all)?;
    let has_spread = all.iter().any(|s| (s - centre).abs() > NO_SPREAD);
    let mut words: Vec<[f64; 5]> = Vec::with_capacity(all.len());
    // Centred, so that the sd from sums of squares loses no digits.
    words.extend(x.iter().map(|s| s - centre).map(|s| [1.0, s, 0.0, 0.0, s * s]));
    words.extend(y.iter().map(|s| s - centre).map(|s| [0.0, 0.0, 1.0, s, s * s]));
    let size = has_spread.then(|| effect_size(&super::bootstrap::sum(words.iter()))).flatten();
    let interval = size.and_then(|_| bca(&words, effect_size, resamples, &key("bca")));
    let permuted = permute(&all, x.len(), resamples, &key("partitions"));
    Some(Weat {
        statistic: means::sum(x.iter().copied()) - means::sum(y.iter().copied()),
        effect_size: size,
        interval,
        p: permuted.one_sided,
        p_two_sided: permuted.two_sided,
        partitions: permuted.count,
        is_exact: permuted.is_exact,
    })
}

/// From the sums of (1, s) over X, of (1, s) over Y, and of s² over both.
fn effect_size([of_x, x, of_y, y, squares]: &[f64; 5]) -> Option<f64> {
    let n = of_x + of_y;
    let variance = (squares - (x + y) * (x + y) / n) / (n - 1.0);
    (*of_x > 0.0 && *of_y > 0.0 && variance > NO_SPREAD * NO_SPREAD).then(|| (x / of_x - y / of_y) / variance.sqrt())
}

struct Permuted {
    one_sided: f64,
    two_sided: f64,
    count: usize,
    is_exact: bool,
}

fn permute(all: &[f64], of_x: usize, resamples: usize, key: &Key) -> Permuted {
    let total = means::sum(all.iter().copied());
    let (n, k) = (all.len() as f64, of_x as f64);
    // The difference of means is a rising line in the sum over X, so that the sum orders partitions; without its sign it is centred first.
    let expected = total * k / n;
    let observed = means::sum(all[..of_x].iter().copied());
    let tie = TIE * all.iter().map(|s| s.abs()).sum::<f64>();
    let reaches = |sum: f64| (sum >= observed - tie, (sum - expected).abs() >= (observed - expected).abs() - tie);
    let mut counts = [0_usize; 2];
    let mut tell = |sum: f64| {
        let (one, two) = reaches(sum);
        counts[0] += usize::from(one);
        counts[1] += usize::from(two);
    };
    let is_exact = partitions(all.len(), of_x) <= EXACT_UP_TO;
    let count = if is_exact {
        let mut chosen: Vec<usize> = (0..of_x).collect();
        let mut count = 0;
        loop {
            tell(chosen.iter().map(|word| all[*word]).sum());
            count += 1;
            if !next_combination(&mut chosen, all.len()) {
                break;
            }
        }
        count
    } else {
        let mut words: Vec<f64> = Vec::with_capacity(all.len());
        for replicate in 0..resamples {
            let mut random = key.stream(replicate as u64);
            words.clear();
            words.extend_from_slice(all);
            for at in 0..of_x {
                let left = (words.len() - at) as u64;
                words.swap(at, at + ((u64::from(random.next_u32()) * left) >> 32) as usize);
            }
            tell(words[..of_x].iter().sum());
        }
        resamples
    };
    let share = |reached: usize| {
        if is_exact { reached as f64 / count as f64 } else { (reached + 1) as f64 / (count + 1) as f64 }
    };
    Permuted { one_sided: share(counts[0]), two_sided: share(counts[1]), count, is_exact }
}

/// n over k, as a float: it may be larger than any integer.
fn partitions(n: usize, k: usize) -> f64 {
    (0..k.min(n - k)).fold(1.0, |ways, i| ways * (n - i) as f64 / (i + 1) as f64)
}

/// The next choice in lexicographic order; false after the last one.
fn next_combination(chosen: &mut [usize], n: usize) -> bool {
    let k = chosen.len();
    let Some(at) = (0..k).rev().find(|&i| chosen[i] < n - k + i) else { return false };
    chosen[at] += 1;
    for i in at + 1..k {
        chosen[i] = chosen[i - 1] + 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::random::Address;

    fn key(purpose: &str) -> Key {
        Address { seed: 0, suite: "s", axis: "", pair: ["x", "y"], scorer: "weat" }.key(purpose)
    }

    #[test]
    fn swapping_the_targets_changes_the_sign_and_keeps_the_two_sided_p() {
        let (x, y) = ([0.3, 0.1, 0.2, 0.25], [0.05, 0.15, -0.1]);
        let (forth, back) = (weat(&x, &y, 999, key).unwrap(), weat(&y, &x, 999, key).unwrap());
        assert!((forth.effect_size.unwrap() + back.effect_size.unwrap()).abs() < 1e-12);
        assert_eq!((forth.p_two_sided, forth.partitions, forth.is_exact), (back.p_two_sided, 35, true));
    }

    #[test]
    fn equal_associations_have_no_effect_size_and_p_1() {
        let got = weat(&[0.2; 4], &[0.2; 4], 99, key).unwrap();
        assert_eq!((got.effect_size, got.interval, got.p, got.p_two_sided), (None, None, 1.0, 1.0));
        let one = weat(&[0.2], &[0.1], 99, key).unwrap();
        assert_eq!((one.p, one.p_two_sided, one.partitions), (0.5, 1.0, 2));
    }

    #[test]
    fn many_words_are_partitioned_at_random_and_p_is_never_0() {
        let x: Vec<f64> = (0..40).map(|i| 0.5 + 0.001 * f64::from(i)).collect();
        let y: Vec<f64> = x.iter().map(|s| s - 0.5).collect();
        let got = weat(&x, &y, 999, key).unwrap();
        assert_eq!((got.p, got.partitions, got.is_exact), (0.001, 999, false));
        assert_eq!(weat(&x, &y, 999, key).unwrap(), got);
    }

    #[test]
    fn what_has_no_direction_is_undefined() {
        let (unit, zero) = ([1.0, 0.0], [0.0, 0.0]);
        let along = [unit.to_vec()];
        assert_eq!(association(&zero, &along, &along), None);
        assert_eq!(association(&unit, &[], &along), None);
        assert_eq!(association(&[1e300, 0.0], &along, &along), None);
        assert_eq!(association(&unit, &along, &[vec![0.0, 1.0]]), Some(1.0));
        assert_eq!(weat(&[], &[0.1], 9, key), None);
        assert_eq!(weat(&[f64::NAN], &[0.1], 9, key), None);
        assert!(weat(&[1e300, -1e300], &[1e300], 9, key).is_some());
    }
}
