//! Splits answers into words and finds listed words and phrases among them.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::encoder::hex;

/// The words of a text in lower case: letters and digits with the apostrophes and hyphens inside them; a possessive `'s` goes.
pub fn words(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '\'' || c == '-' || ('\u{300}'..='\u{36f}').contains(&c);
    let lower = text.replace(['’', 'ʼ'], "'").replace(['‐', '‑'], "-").to_lowercase();
    let words = lower.split(|c: char| !is_part(c)).map(|word| word.trim_matches(['\'', '-']));
    let bare = words.map(|word| word.strip_suffix("'s").unwrap_or(word));
    bare.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Words and phrases to look for; whole words in any case, as they are written: nothing is reduced to a stem.
#[derive(Debug, Clone)]
pub struct WordList {
    /// First word → entries that begin with it, the longest first.
    entries: HashMap<String, Vec<Vec<String>>>,
    digest: String,
}

/// Where an entry stands among the words of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub at: usize,
    pub words: usize,
}

impl WordList {
    pub fn new<S: AsRef<str>>(list: &[S]) -> Self {
        let mut entries: HashMap<String, Vec<Vec<String>>> = HashMap::new();
        let mut digest = Sha256::new();
        for entry in list {
            digest.update(entry.as_ref());
            digest.update("\n");
            let entry = words(entry.as_ref());
            if let Some(first) = entry.first().cloned() {
                entries.entry(first).or_default().push(entry);
            }
        }
        for entries in entries.values_mut() {
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.len()));
        }
        Self { entries, digest: hex(&digest.finalize())[..12].to_owned() }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// First 12 digits of a digest of the entries in their order.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The entries in `words`, from left to right, the longest at each place; no word counts for two.
    pub fn find(&self, words: &[String]) -> Vec<Found> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < words.len() {
            let entries = self.entries.get(&words[at]).map_or(&[][..], Vec::as_slice);
            let entry = entries.iter().find(|entry| words[at..].starts_with(entry));
            if let Some(entry) = entry {
                found.push(Found { at, words: entry.len() });
            }
            at += entry.map_or(1, Vec::len);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_what_stands_inside_them() {
        assert_eq!(
            words("“Don’t,” she said: the well-known nurse's 2 books — É, 'fine' -"),
            ["don't", "she", "said", "the", "well-known", "nurse", "2", "books", "é", "fine"]
        );
    }

    #[test]
    fn the_longest_entry_is_found_and_no_word_twice() {
        let list = WordList::new(&["child", "child care", "Care home"]);
        let found = list.find(&words("Child care home, child; a childlike care-home"));
        assert_eq!(found, [Found { at: 0, words: 2 }, Found { at: 3, words: 1 }]);
    }
}
