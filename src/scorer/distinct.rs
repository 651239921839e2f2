//! Texts without their repetitions: one that comes again is computed once and has the same numbers by construction.

use std::collections::HashMap;

/// Some texts, each once, and where each of them went.
pub struct Distinct<'a> {
    /// In the order in which they first come.
    pub texts: Vec<&'a str>,
    /// For every text that came in, its index in `texts`.
    pub places: Vec<usize>,
}

impl<'a> Distinct<'a> {
    pub fn of(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut known: HashMap<&str, usize> = HashMap::new();
        let mut distinct = Self { texts: Vec::new(), places: Vec::new() };
        for text in texts {
            let next = distinct.texts.len();
            let place = *known.entry(text).or_insert(next);
            if place == next {
                distinct.texts.push(text);
            }
            distinct.places.push(place);
        }
        distinct
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_finds_itself_and_none_stands_twice() {
        let texts = ["b", "a", "b", "", "a"];
        let distinct = Distinct::of(texts);
        assert_eq!(distinct.texts, ["b", "a", ""]);
        assert_eq!(distinct.places, [0, 1, 0, 2, 1]);
    }
}
