//! Reads the lists of words that the binary carries, for masks and for scorers that count words.

use super::files;
use super::yaml::{Kind, parse};

/// The `words` of an embedded list.
///
/// # Panics
/// If there is no such list: the names are the program's own, and a test reads every list.
pub fn embedded_words(path: &str) -> Vec<String> {
    let text = files::embedded(path).unwrap_or_else(|| panic!("there is no embedded list {path}"));
    let Ok(Kind::Map(map)) = parse(text).map(|root| root.kind) else { panic!("{path} is not a list of words") };
    let words = map.into_iter().find(|(key, _)| key.text == "words").map(|(_, words)| words.kind);
    let Some(Kind::List(words)) = words else { panic!("{path} has no words") };
    let word = |word: super::yaml::Node| match word.kind {
        Kind::Text(word) => word,
        other => panic!("{path}: {other:?} is not text; put quotes around it"),
    };
    words.into_iter().map(word).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_embedded_list_has_words_and_none_twice() {
        for name in ["agentic", "communal", "first-person", "third-person"] {
            let words = embedded_words(&format!("prompts/words/{name}.yaml"));
            let distinct: HashSet<&String> = words.iter().collect();
            assert_eq!(distinct.len(), words.len(), "{name}");
            assert!(words.iter().all(|word| *word == word.to_lowercase()), "{name}");
        }
        assert!(!embedded_words("prompts/words/names-that-are-words.yaml").is_empty());
    }

    #[test]
    fn no_word_is_agentic_and_communal() {
        let agentic = embedded_words("prompts/words/agentic.yaml");
        let communal = embedded_words("prompts/words/communal.yaml");
        let both: Vec<&String> = agentic.iter().filter(|word| communal.contains(word)).collect();
        assert!(both.is_empty(), "{both:?}");
    }
}
