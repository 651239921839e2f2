//! Measures a head on rows that its fit never saw: accuracy, macro-F1, AUROC, calibration, with bootstrap intervals.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::scorer::linear_head::Quality;

/// Resamples of an interval.
const RESAMPLES: usize = 1000;

/// Measures scores in [0, 1] against binary truths; intervals are 95 % percentiles of 1,000 resamples of rows.
///
/// Macro-F1 and AUROC are none where only one class is there. A score of exactly 0.5 counts as 1.
pub fn measure(on: &str, scores: &[f64], truths: &[bool], seed: u64) -> Option<Quality> {
    let n = scores.len();
    if n == 0 {
        return None;
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let sorted: Vec<(f64, bool)> = order.into_iter().map(|i| (scores[i], truths[i])).collect();

    let plain = figures(&sorted, &vec![1; n]);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut draws: [Vec<f64>; 3] = Default::default();
    for _ in 0..RESAMPLES {
        let mut counts = vec![0_u32; n];
        for _ in 0..n {
            // The product's upper half: even to 2^-32 of n, and the same on every machine.
            counts[((u64::from(random.next_u32()) * n as u64) >> 32) as usize] += 1;
        }
        for (draws, figure) in draws.iter_mut().zip(figures(&sorted, &counts)) {
            draws.extend(figure);
        }
    }
    let mut with_interval = plain.into_iter().zip(draws).map(|(value, mut draws)| {
        draws.sort_by(f64::total_cmp);
        let at = |share: f64| draws.get((share * (draws.len() as f64 - 1.0)).round() as usize).copied();
        Some([round(value?), round(at(0.025)?), round(at(0.975)?)])
    });
    Some(Quality {
        on: on.to_string(),
        n,
        accuracy: with_interval.next()??,
        macro_f1: with_interval.next()?,
        auroc: with_interval.next()?,
        calibration_error: round(calibration_error(scores, truths)),
    })
}

/// Accuracy, macro-F1 and AUROC of rows sorted by score, each counted as often as `counts` says.
fn figures(sorted: &[(f64, bool)], counts: &[u32]) -> [Option<f64>; 3] {
    let (mut right, mut total) = (0.0, 0.0);
    let mut hits = [[0.0_f64; 2]; 2]; // [truth][prediction]
    let (mut below, mut wins) = (0.0, 0.0);
    let mut i = 0;
    while i < sorted.len() {
        // Equal scores go together: a tie counts half (Mann and Whitney 1947).
        let (mut negatives, mut positives) = (0.0, 0.0);
        let score = sorted[i].0;
        while i < sorted.len() && sorted[i].0 == score {
            let (truth, count) = (sorted[i].1, f64::from(counts[i]));
            let predicted = score >= 0.5;
            hits[usize::from(truth)][usize::from(predicted)] += count;
            right += if truth == predicted { count } else { 0.0 };
            total += count;
            *(if truth { &mut positives } else { &mut negatives }) += count;
            i += 1;
        }
        wins += positives * (below + negatives / 2.0);
        below += negatives;
    }
    let positives = hits[1][0] + hits[1][1];
    let both = below > 0.0 && positives > 0.0;
    let f1 = |k: usize| 2.0 * hits[k][k] / (2.0 * hits[k][k] + hits[k][1 - k] + hits[1 - k][k]);
    [Some(right / total), both.then(|| f64::midpoint(f1(0), f1(1))), both.then(|| wins / (below * positives))]
}

fn calibration_error(scores: &[f64], truths: &[bool]) -> f64 {
    let mut bins = [(0.0, 0.0); 10];
    for (score, truth) in scores.iter().zip(truths) {
        let bin = &mut bins[((score * 10.0) as usize).min(9)];
        bin.0 += score;
        bin.1 += f64::from(*truth);
    }
    bins.iter().map(|(scores, truths): &(f64, f64)| (scores - truths).abs()).sum::<f64>() / scores.len() as f64
}

/// Four decimals: more than the intervals leave.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Mann and Whitney's estimate of the probability that a positive row scores above a negative one, ties half; none
/// without rows of both classes.
pub fn auroc(scores: &[f64], truths: &[bool]) -> Option<f64> {
    let mut sorted: Vec<(f64, bool)> = scores.iter().copied().zip(truths.iter().copied()).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    figures(&sorted, &vec![1; sorted.len()])[2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auroc_counts_the_pairs_in_the_right_order_and_ties_half() {
        assert_eq!(auroc(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]), Some(0.75));
        assert_eq!(auroc(&[0.5, 0.5], &[false, true]), Some(0.5));
        assert_eq!(auroc(&[0.5, 0.6], &[true, true]), None);
    }

    #[test]
    fn macro_f1_and_accuracy_follow_a_worked_table() {
        // Two of three positives and one of two negatives are right: F1 are 2/3 and 1/2.
        let q = measure("x", &[0.9, 0.7, 0.2, 0.6, 0.1], &[true, true, true, false, false], 0).unwrap();
        assert_eq!(q.accuracy[0], 0.6);
        assert_eq!(q.macro_f1.unwrap()[0], 0.5833);
        assert!(q.accuracy[1] < 0.6 && q.accuracy[2] > 0.6);
    }

    #[test]
    fn rows_of_one_class_have_accuracy_and_nothing_that_needs_two() {
        let q = measure("x", &[0.1, 0.2, 0.9], &[false; 3], 0).unwrap();
        assert_eq!((q.accuracy[0], q.macro_f1, q.auroc), (0.6667, None, None));
        assert!(measure("x", &[], &[], 0).is_none());
    }
}
