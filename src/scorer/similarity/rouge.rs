//! Compares two texts by their longest common subsequence of stems: ROUGE-L.

use super::porter::stem;
use super::words;

/// Shorter words are compared as they stand.
const LONGER_THAN: usize = 3;

/// The words of a text, longer ones stemmed.
pub fn stems(text: &str) -> Vec<String> {
    words(text).into_iter().map(|word| if word.chars().count() > LONGER_THAN { stem(&word) } else { word }).collect()
}

/// F1 of the longest common subsequence, 2 L / (|a| + |b|), in [0, 1]; 0 where a text has no word, unless neither has.
///
/// Source: Lin 2004, with the Porter stemming of the rouge-score package.
pub fn rouge_l(a: &[String], b: &[String]) -> f64 {
    match a.len() + b.len() {
        0 => 1.0,
        both => 2.0 * longest_common(a, b) as f64 / both as f64,
    }
}

fn longest_common(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for x in a {
        let mut above_left = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == y { above_left + 1 } else { above.max(row[j]) };
            above_left = above;
        }
    }
    row[b.len()]
}
