//! Measures a head on rows that its fit never saw: accuracy, macro-F1, AUROC, calibration, with bootstrap intervals.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::scorer::head::Quality;

/// Resamples of an interval.
const RESAMPLES: usize = 1000;

/// Measures `probabilities` (one a label for each row) against the rows' true labels; intervals are 95 % percentiles of
/// 1,000 resamples of rows.
///
/// Macro-F1 and AUROC are none where a label has no row. Of two labels with probability 0.5 the second counts.
pub fn measure(on: &str, probabilities: &[Vec<f64>], truths: &[usize], labels: usize, seed: u64) -> Option<Quality> {
    let n = truths.len();
    if n == 0 {
        return None;
    }
    let predicted: Vec<usize> = probabilities.iter().map(|p| likeliest(p)).collect();
    // With two labels, one against the rest is the same question twice.
    let asked: Vec<usize> = if labels == 2 { vec![1] } else { (0..labels).collect() };
    let orders: Vec<Order> = asked
        .iter()
        .map(|&label| {
            let scores: Vec<f64> = probabilities.iter().map(|p| p[label]).collect();
            Order::of(&scores, &truths.iter().map(|&truth| truth == label).collect::<Vec<_>>())
        })
        .collect();
    let figures = |counts: &[u32]| -> [Option<f64>; 3] {
        let mut hits = vec![vec![0.0_f64; labels]; labels]; // [truth][prediction]
        for ((&truth, &predicted), &count) in truths.iter().zip(&predicted).zip(counts) {
            hits[truth][predicted] += f64::from(count);
        }
        let right: f64 = (0..labels).map(|k| hits[k][k]).sum();
        let total: f64 = hits.iter().flatten().sum();
        let aurocs: Option<Vec<f64>> = orders.iter().map(|order| order.auroc(counts)).collect();
        let auroc = aurocs.map(|values| values.iter().sum::<f64>() / values.len() as f64);
        [Some(right / total), macro_f1(&hits), auroc]
    };
    let plain = figures(&vec![1; n]);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut draws: [Vec<f64>; 3] = Default::default();
    for _ in 0..RESAMPLES {
        let mut counts = vec![0_u32; n];
        for _ in 0..n {
            // The product's upper half: even to 2^-32 of n, and the same on every machine.
            counts[((u64::from(random.next_u32()) * n as u64) >> 32) as usize] += 1;
        }
        for (draws, figure) in draws.iter_mut().zip(figures(&counts)) {
            draws.extend(figure);
        }
    }
    let mut with_interval = plain.into_iter().zip(draws).map(|(value, mut draws)| {
        draws.sort_by(f64::total_cmp);
        let at = |share: f64| draws.get((share * (draws.len() as f64 - 1.0)).round() as usize).copied();
        Some([round(value?), round(at(0.025)?), round(at(0.975)?)])
    });
    let calibration =
        asked.iter().map(|&label| calibration_error(probabilities, truths, label)).sum::<f64>() / asked.len() as f64;
    Some(Quality {
        on: on.to_string(),
        n,
        accuracy: with_interval.next()??,
        macro_f1: with_interval.next()?,
        auroc: with_interval.next()?,
        calibration_error: round(calibration),
    })
}

/// The label of the largest probability, the later of equal ones.
fn likeliest(probabilities: &[f64]) -> usize {
    let mut best = 0;
    for (label, p) in probabilities.iter().enumerate() {
        if *p >= probabilities[best] {
            best = label;
        }
    }
    best
}

/// The mean over labels of 2·hits / (2·hits + misses + false alarms); none if a label has no row.
fn macro_f1(hits: &[Vec<f64>]) -> Option<f64> {
    let labels = hits.len();
    let mut sum = 0.0;
    for k in 0..labels {
        let truly: f64 = hits[k].iter().sum();
        let said: f64 = hits.iter().map(|row| row[k]).sum();
        if truly == 0.0 {
            return None;
        }
        sum += 2.0 * hits[k][k] / (truly + said);
    }
    Some(sum / labels as f64)
}

/// Rows in the order of their scores.
struct Order {
    /// (row, positive), by score.
    rows: Vec<(usize, bool)>,
    /// Ends of the runs of equal scores in `rows`.
    ends: Vec<usize>,
}

impl Order {
    fn of(scores: &[f64], positive: &[bool]) -> Self {
        let mut rows: Vec<(usize, bool)> = positive.iter().copied().enumerate().collect();
        rows.sort_by(|a, b| scores[a.0].total_cmp(&scores[b.0]));
        let ends =
            (1..=rows.len()).filter(|&i| i == rows.len() || scores[rows[i].0] != scores[rows[i - 1].0]).collect();
        Self { rows, ends }
    }

    /// Mann and Whitney's estimate of the probability that a positive row scores above a negative one, ties half, each
    /// row counted as often as `counts` says; none without rows of both kinds. For rows that count once there is
    /// [`crate::stats::subgroup_auc::auroc`]; here one sort serves all resamples.
    fn auroc(&self, counts: &[u32]) -> Option<f64> {
        let (mut below, mut wins, mut all_positives, mut start) = (0.0, 0.0, 0.0, 0);
        for &end in &self.ends {
            let (mut negatives, mut positives) = (0.0, 0.0);
            for &(row, positive) in &self.rows[start..end] {
                *(if positive { &mut positives } else { &mut negatives }) += f64::from(counts[row]);
            }
            wins += positives * (below + negatives / 2.0);
            below += negatives;
            all_positives += positives;
            start = end;
        }
        (below > 0.0 && all_positives > 0.0).then(|| wins / (below * all_positives))
    }
}

fn calibration_error(probabilities: &[Vec<f64>], truths: &[usize], label: usize) -> f64 {
    let mut bins = [(0.0, 0.0); 10];
    for (p, truth) in probabilities.iter().zip(truths) {
        let bin = &mut bins[((p[label] * 10.0) as usize).min(9)];
        bin.0 += p[label];
        bin.1 += f64::from(*truth == label);
    }
    bins.iter().map(|(scores, truths): &(f64, f64)| (scores - truths).abs()).sum::<f64>() / truths.len() as f64
}

/// Four decimals: more than the intervals leave.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row once.
    fn auroc(scores: &[f64], truths: &[bool]) -> Option<f64> {
        Order::of(scores, truths).auroc(&vec![1; scores.len()])
    }

    fn two(scores: &[f64]) -> Vec<Vec<f64>> {
        scores.iter().map(|&p| vec![1.0 - p, p]).collect()
    }

    #[test]
    fn auroc_counts_the_pairs_in_the_right_order_and_ties_half() {
        assert_eq!(auroc(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]), Some(0.75));
        assert_eq!(auroc(&[0.5, 0.5], &[false, true]), Some(0.5));
        assert_eq!(auroc(&[0.5, 0.6], &[true, true]), None);
    }

    #[test]
    fn macro_f1_and_accuracy_follow_a_worked_table() {
        // Two of three positives and one of two negatives are right: F1 are 2/3 and 1/2.
        let q = measure("x", &two(&[0.9, 0.7, 0.2, 0.6, 0.1]), &[1, 1, 1, 0, 0], 2, 0).unwrap();
        assert_eq!(q.accuracy[0], 0.6);
        assert_eq!(q.macro_f1.unwrap()[0], 0.5833);
        assert!(q.accuracy[1] < 0.6 && q.accuracy[2] > 0.6);
    }

    #[test]
    fn three_labels_are_judged_one_against_the_rest() {
        let p = vec![vec![0.8, 0.1, 0.1], vec![0.2, 0.5, 0.3], vec![0.1, 0.6, 0.3], vec![0.3, 0.3, 0.4]];
        let q = measure("x", &p, &[0, 1, 2, 2], 3, 0).unwrap();
        assert_eq!(q.accuracy[0], 0.75);
        // Label 0: all pairs right. Label 1: 2 of 3. Label 2: three of four, one of them by half twice.
        let want = (1.0 + 2.0 / 3.0 + 3.5 / 4.0) / 3.0;
        assert!((q.auroc.unwrap()[0] - want).abs() < 1e-4, "{:?} {want}", q.auroc);
    }

    #[test]
    fn rows_of_one_class_have_accuracy_and_nothing_that_needs_two() {
        let q = measure("x", &two(&[0.1, 0.2, 0.9]), &[0; 3], 2, 0).unwrap();
        assert_eq!((q.accuracy[0], q.macro_f1, q.auroc), (0.6667, None, None));
        assert!(measure("x", &[], &[], 2, 0).is_none());
    }
}
