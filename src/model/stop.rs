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

    /// Whether a stop string ends in the text that the last of `ids` completed; to be called as each token comes. The
    /// beginning of a character is held back until the rest is there.
    pub fn completes(&mut self, ids: &[u32], tokenizer: &Tokenizer) -> Result<bool> {
        let Some(longest) = self.stops.iter().map(String::len).max() else { return Ok(false) };
        let known = tokenizer.decode(&ids[self.start..self.end])?;
        let text = tokenizer.decode(&ids[self.start..])?;
        let whole = text.trim_end_matches(INCOMPLETE);
        // A run of byte tokens may turn out to be no characters after all; then all of it is looked at again.
        let new = whole.strip_prefix(known.as_str()).unwrap_or(whole);
        let before = self.tail.len();
        self.tail.push_str(new);
        let found = self.stops.iter().any(|stop| self.tail.contains(stop.as_str()));
        if whole.len() < text.len() {
            self.tail.truncate(before);
            return Ok(found);
        }
        if !new.is_empty() {
            self.start = self.end;
        }
        self.end = ids.len();
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::gguf::Gguf;

    fn tokenizer(name: &str) -> Tokenizer {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/gguf").join(name);
        Tokenizer::from_gguf(Gguf::open(&path).unwrap().metadata()).unwrap()
    }

    /// Number of tokens at which a search first sees the stop string.
    fn seen(ids: &[u32], stop: &str, tokenizer: &Tokenizer) -> Option<usize> {
        let stops = [stop.to_owned()];
        let mut search = StopSearch::new(&stops);
        (1..=ids.len()).find(|&count| search.completes(&ids[..count], tokenizer).unwrap())
    }

    #[test]
    fn a_stop_string_is_seen_with_the_token_that_completes_it() {
        // Characters of several tokens, special tokens in between, spaces that a piece carries or the decoder strips.
        let text = "The café <|im_end|> was 価格 far  off 👍🏽 and late";
        for name in ["llama-spm-f32.gguf", "gemma3-f32.gguf", "llama-smollm-f32.gguf", "qwen2-f32.gguf"] {
            let tokenizer = tokenizer(name);
            let ids = tokenizer.encode(text, false).unwrap();
            let whole = tokenizer.decode(&ids).unwrap();
            let letters: Vec<usize> = whole.char_indices().map(|(at, _)| at).chain([whole.len()]).collect();
            for from in 0..letters.len() {
                for to in from + 1..letters.len().min(from + 9) {
                    let stop = &whole[letters[from]..letters[to]];
                    let complete = |count: &usize| tokenizer.decode(&ids[..*count]).unwrap().contains(stop);
                    let want = (1..=ids.len()).find(complete);
                    assert_eq!(seen(&ids, stop, &tokenizer), want, "{name}: {stop:?}");
                }
            }
            assert_eq!(seen(&ids, "never said", &tokenizer), None);
        }
    }

    #[test]
    fn bytes_that_never_become_a_character_stop_nothing_and_break_nothing() {
        let tokenizer = tokenizer("llama-spm-f32.gguf");
        let byte = |byte: u8| tokenizer.id(&format!("<0x{byte:02X}>")).unwrap();
        let a = tokenizer.id("a").unwrap();
        let ids = [byte(0xC3), byte(0xC3), byte(0xA9), a, byte(0xC3), byte(0xA9), a];
        assert_eq!(seen(&ids, "éa", &tokenizer), Some(7));
        assert_eq!(seen(&ids, "x", &tokenizer), None);
    }
}
