//! Finds stop strings in an answer while its tokens come.
//!
//! A token is not a text: a character may be spread over several, and a stop string may begin in the middle of one and
//! end in another. Only the newest tokens are decoded, so that an answer costs time in proportion to its length.

use anyhow::Result;

use super::tokenizer::Tokenizer;

/// What a decoder writes for bytes that are not (yet) a character.
const INCOMPLETE: char = '\u{FFFD}';

pub struct StopSearch<'a> {
    stops: &'a [String],
    /// The newest text, as much of it as may hold the beginning of a stop string.
    tail: String,
    /// The window that is decoded begins here; a token with text, so that white space is kept as behind it.
    start: usize,
    /// The text of the tokens before this one is known.
    end: usize,
}

impl<'a> StopSearch<'a> {
    pub fn new(stops: &'a [String]) -> Self {
        Self { stops, tail: String::new(), start: 0, end: 0 }
    }

    /// Whether a stop string ends in the text that the last of `ids` completed; to be called as each token comes. Text
    /// that ends inside a character is held back until the rest is there.
    pub fn completes(&mut self, ids: &[u32], tokenizer: &Tokenizer) -> Result<bool> {
        let Some(longest) = self.stops.iter().map(String::len).max() else { return Ok(false) };
        let known = tokenizer.decode(&ids[self.start..self.end])?;
        let text = tokenizer.decode(&ids[self.start..])?;
        if text.ends_with(INCOMPLETE) {
            return Ok(false);
        }
        // A run of byte tokens may turn out to be no characters after all; then all of it is looked at again.
        let new = text.strip_prefix(known.as_str()).unwrap_or(&text);
        if !new.is_empty() {
            self.start = self.end;
        }
        self.end = ids.len();
        self.tail.push_str(new);
        let found = self.stops.iter().any(|stop| self.tail.contains(stop.as_str()));
        let mut cut = self.tail.len().saturating_sub(longest);
        while !self.tail.is_char_boundary(cut) {
            cut -= 1;
        }
        self.tail.drain(..cut);
        Ok(found)
    }

    /// `text` up to the first stop string in it; `None` where it has none.
    pub fn cut<'t>(&self, text: &'t str) -> Option<&'t str> {
        let at = self.stops.iter().filter_map(|stop| text.find(stop.as_str())).min()?;
        Some(&text[..at])
    }
}
