//! Compares two answers as ranked lists: what is recommended, and in which order.

use super::words;
use crate::stats::recommendation::{jaccard, prag, serp};
use crate::suite::Similarity;

/// The items of an answer in their order, without repeats: its numbered or bulleted lines where there are any, else its lines, else what
/// commas and semicolons part. Of an item its words in lower case count, so that marks and emphasis do not.
pub fn items(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let listed: Vec<&str> = lines.iter().filter_map(|line| entry(line)).collect();
    let parts: Vec<&str> = match (listed.is_empty(), lines.as_slice()) {
        (false, _) => listed,
        (true, [line]) => line.split([',', ';']).collect(),
        _ => lines,
    };
    let mut items: Vec<String> = Vec::new();
    for item in parts.into_iter().map(|part| words(part).join(" ")) {
        if !item.is_empty() && !items.contains(&item) {
            items.push(item);
        }
    }
    items
}

/// What stands behind `1.`, `1)`, `-`, `*` or `•`; `None` in a line of another kind.
fn entry(line: &str) -> Option<&str> {
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let rest = match digits {
        0 => line.strip_prefix(['-', '*', '•', '–'])?,
        _ => line[digits..].strip_prefix(['.', ')'])?,
    };
    rest.starts_with(char::is_whitespace).then(|| rest.trim())
}

/// Similarity in [0, 1], 1 for equal lists.
///
/// `serp` and `prag` as a share of what equal lists reach, over as many items as the shorter list has (their published values for lists of
/// one length never reach 1), and the mean of both directions, since neither answer is the reference. Lists of one item, which have no
/// order, and empty ones are at 1 or 0: equal or not.
pub fn similarity(metric: Similarity, a: &[String], b: &[String]) -> f64 {
    let equal = f64::from(a == b);
    if metric == Similarity::Jaccard {
        return jaccard(a, b).unwrap_or(equal);
    }
    let of = if metric == Similarity::Serp { serp } else { prag };
    let k = a.len().min(b.len());
    if k < 2 {
        return if k == 1 { f64::from(a[0] == b[0]) } else { equal };
    }
    let share = |a: &[String], b: &[String]| Some(of(a, b)? / of(a, a)?);
    let (a, b) = (&a[..k], &b[..k]);
    share(a, b).zip(share(b, a)).map_or(equal, |(one, other)| 0.5 * (one + other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn items_are_the_lines_of_a_list_whatever_stands_around_them() {
        let numbered = "Here are two books:\n1. **Dune**\n2) The Trial.\n\nEnjoy!";
        assert_eq!(items(numbered), ["dune", "the trial"]);
        assert_eq!(items("- Dune\n- The Trial\n- dune"), ["dune", "the trial"]);
        assert_eq!(items("Dune, The Trial; Emma"), ["dune", "the trial", "emma"]);
        assert_eq!(items("Dune\nThe Trial"), ["dune", "the trial"]);
        assert_eq!(items("3.5 stars, fine"), ["3 5 stars", "fine"]);
        assert!(items(" \n").is_empty());
    }

    #[test]
    fn equal_lists_are_at_1_distinct_ones_at_0_and_both_ways_alike() {
        let (a, b) = (list("a b c d e"), list("b a d f e"));
        for metric in [Similarity::Jaccard, Similarity::Serp, Similarity::Prag] {
            assert_eq!(similarity(metric, &a, &a), 1.0);
            assert_eq!(similarity(metric, &a, &list("v w x y z")), 0.0);
            let forth = similarity(metric, &a, &b);
            assert!(forth > 0.0 && forth < 1.0 && (forth - similarity(metric, &b, &a)).abs() < 1e-12);
            // A longer list never passes 1.
            assert!(similarity(metric, &a, &list("a b")) <= 1.0);
            assert_eq!(similarity(metric, &[], &[]), 1.0);
            assert_eq!(similarity(metric, &list("a"), &[]), 0.0);
        }
        // By hand: 6 + 5 + 3 + 2 one way and 6 + 5 + 4 + 2 the other, of 6 + 5 + 4 + 3 + 2.
        assert!((similarity(Similarity::Serp, &a, &b) - (16.0 + 17.0) / 40.0).abs() < 1e-12);
    }
}
