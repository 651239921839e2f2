//! Compares two texts by the runs of words that they share: sentence BLEU-4, the smaller of both directions.

use std::collections::HashMap;

/// Longest runs that count.
const ORDER: usize = 4;

/// Counted in place of no match, so that a short text is not at distance 1 from itself (Chen & Cherry 2014, smoothing 1).
const SMALLEST: f64 = 0.1;

/// BLEU in [0, 1], the smaller of a against b and b against a, since neither answer is the reference; 1 for equal texts of four words or
/// more, 0 without a common word (1 where neither has any).
///
/// Source: Papineni et al. 2002, brevity penalty against one reference; smoothing method 1 of Chen & Cherry 2014. The smaller direction is
/// LangFair's (Bouchard 2024).
pub fn bleu(a: &[String], b: &[String]) -> f64 {
    if a.is_empty() && b.is_empty() {
        return 1.0;
    }
    against(a, b).min(against(b, a))
}

fn against(hypothesis: &[String], reference: &[String]) -> f64 {
    let mut logarithms = 0.0;
    for order in 1..=ORDER {
        let (wanted, found) = (runs(reference, order), runs(hypothesis, order));
        let matches: usize = found.iter().map(|(run, count)| (*count).min(wanted.get(run).copied().unwrap_or(0))).sum();
        if order == 1 && matches == 0 {
            return 0.0;
        }
        let all = (hypothesis.len() + 1).saturating_sub(order).max(1) as f64;
        let share = if matches == 0 { SMALLEST / all } else { matches as f64 / all };
        logarithms += share.ln() / ORDER as f64;
    }
    let (own, other) = (hypothesis.len() as f64, reference.len() as f64);
    let brevity = if own > other { 0.0 } else { 1.0 - other / own };
    (brevity + logarithms).exp()
}

fn runs(words: &[String], order: usize) -> HashMap<&[String], usize> {
    let mut counts = HashMap::new();
    for run in words.windows(order) {
        *counts.entry(run).or_default() += 1;
    }
    counts
}
