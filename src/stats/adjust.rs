//! Adjusts a family of p-values for being looked at together; results in the order of the input.

/// Holm's step-down: max over smaller p of (m − rank + 1) · p, at most 1. Keeps the chance of any false rejection
/// below alpha under any dependence (Holm 1979).
pub fn holm(p: &[f64]) -> Vec<f64> {
    let m = p.len();
    let mut adjusted = vec![0.0; m];
    let mut largest = 0.0_f64;
    for (rank, index) in ascending(p).into_iter().enumerate() {
        largest = largest.max(((m - rank) as f64 * p[index]).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

/// Benjamini & Hochberg 1995: min over larger p of m / rank · p. Expected share of false rejections, under independence
/// or positive regression dependence; for screening only.
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    step_up(p, 1.0)
}

/// Benjamini & Yekutieli 2001: Benjamini-Hochberg times Σ 1/i, valid under any dependence.
pub fn benjamini_yekutieli(p: &[f64]) -> Vec<f64> {
    step_up(p, (1..=p.len()).map(|i| 1.0 / i as f64).sum())
}

/// Bonferroni: m · p, at most 1.
pub fn bonferroni(p: &[f64]) -> Vec<f64> {
    p.iter().map(|one| (one * p.len() as f64).min(1.0)).collect()
}

fn step_up(p: &[f64], factor: f64) -> Vec<f64> {
    let m = p.len();
    let mut adjusted = vec![0.0; m];
    let mut smallest = 1.0_f64;
    for (rank, index) in ascending(p).into_iter().enumerate().rev() {
        smallest = smallest.min(factor * m as f64 / (rank + 1) as f64 * p[index]);
        adjusted[index] = smallest;
    }
    adjusted
}

/// Indices by ascending p; equal ones keep their order.
fn ascending(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_test_needs_no_adjustment_and_none_gives_none() {
        for adjust in [holm, benjamini_hochberg, benjamini_yekutieli, bonferroni] {
            assert_eq!(adjust(&[0.03]), [0.03]);
            assert!(adjust(&[]).is_empty());
        }
    }
}
