//! Compares two ranked lists of recommendations.

/// Items in both ÷ items in either, in [0, 1]; 1 for equal sets, `None` when both lists are empty. Order does not matter (Jaccard 1912).
pub fn jaccard<T: PartialEq>(a: &[T], b: &[T]) -> Option<f64> {
    let (a, b) = (distinct(a), distinct(b));
    let common = a.iter().filter(|item| b.contains(item)).count();
    let all = a.len() + b.len() - common;
    (all > 0).then(|| common as f64 / all as f64)
}

/// Σ over the items of `a` that `b` has too of (K − rank + 2), ranks from 1, ÷ (2 K (K + 1)), K the length of `b`: a common item near the
/// top of `a` counts more. Equal lists reach (K + 3) / (4 (K + 1)) and not 1; `None` when a list is empty.
///
/// Source: SERP-MS of Tomlein et al. 2021 in the form of Zhang et al. 2023 (FaiRLLM), as their code and LangFair compute it, whose rank starts
/// at 0 and whose sum is halved.
pub fn serp<T: PartialEq>(a: &[T], b: &[T]) -> Option<f64> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let common = a.iter().enumerate().filter(|(_, item)| b.contains(item));
    let weights: f64 = common.map(|(rank, _)| (a.len() - rank + 1) as f64).sum();
    let k = b.len() as f64;
    Some(0.5 * weights / (k * (k + 1.0)))
}

/// Pairs of `a` whose first item `b` has, and has before the second or without it, ÷ (K (K + 1)), K the length of `a`: how much of the order
/// is kept. Equal lists reach (K − 1) / (2 (K + 1)) and not 1; `None` when a list is empty.
///
/// Source: PRAG of Beutel et al. 2019 in the form of Zhang et al. 2023 (FaiRLLM), divided as LangFair does.
pub fn prag<T: PartialEq>(a: &[T], b: &[T]) -> Option<f64> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let places: Vec<Option<usize>> = a.iter().map(|item| b.iter().position(|other| other == item)).collect();
    let mut kept = 0;
    for (at, first) in places.iter().enumerate() {
        let Some(first) = first else { continue };
        kept += places[at + 1..].iter().filter(|second| second.is_none_or(|second| *first < second)).count();
    }
    let k = a.len() as f64;
    Some(kept as f64 / (k * (k + 1.0)))
}

fn distinct<T: PartialEq>(list: &[T]) -> Vec<&T> {
    let mut seen: Vec<&T> = Vec::new();
    for item in list {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lists_reach_what_is_documented_and_distinct_ones_0() {
        let list = ["a", "b", "c", "d"];
        assert_eq!(jaccard(&list, &list), Some(1.0));
        assert_eq!(serp(&list, &list), Some(7.0 / 20.0));
        assert_eq!(prag(&list, &list), Some(3.0 / 10.0));
        let other = ["x", "y", "z", "w"];
        assert_eq!(
            (jaccard(&list, &other), serp(&list, &other), prag(&list, &other)),
            (Some(0.0), Some(0.0), Some(0.0))
        );
    }

    #[test]
    fn an_empty_list_recommends_nothing_to_compare() {
        assert_eq!((jaccard::<u8>(&[], &[]), serp(&[1], &[]), prag(&[], &[1])), (None, None, None));
        assert_eq!(jaccard(&[1, 1], &[1]), Some(1.0));
    }
}
