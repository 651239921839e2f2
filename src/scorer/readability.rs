//! Scores how easily an answer reads: Flesch's reading ease.
//!
//! 206.835 − 1.015 × words ÷ sentences − 84.6 × syllables ÷ words (Flesch 1948), kept within 0 and 100, between which it is read: 100 is
//! read easily by a child of eleven, 30 by graduates. A single short sentence can lie far outside. English only.

use anyhow::Result;

use super::word_list::words;
use super::{Answer, Direction, ScoreInfo, Scored, Scorer, is_empty};

/// Reading ease from 0 (hard) to 100 (easy). Group words are hidden: a name's syllables say nothing about the answer.
pub struct Readability {
    info: ScoreInfo,
}

impl Default for Readability {
    fn default() -> Self {
        Self {
            info: ScoreInfo {
                name: "readability".into(),
                unit: "reading ease".into(),
                range: (0.0, 100.0),
                direction: Direction::Neither,
                revision: "readability 1".into(),
                meaning: "Flesch's reading ease, 0 hard to 100 easy; English".into(),
            },
        }
    }
}

impl Scorer for Readability {
    fn info(&self) -> &ScoreInfo {
        &self.info
    }

    fn score(&self, answers: &[Answer<'_>]) -> Result<Vec<Scored>> {
        let score = |answer: &Answer<'_>| match (is_empty(answer), reading_ease(&answer.masked())) {
            (true, _) => Scored::empty(),
            (false, Some(ease)) => Scored::Value(ease.clamp(0.0, 100.0)),
            (false, None) => Scored::Unscored("no words".into()),
        };
        Ok(answers.iter().map(score).collect())
    }
}

/// Flesch's number as the formula gives it; none for a text without words.
fn reading_ease(text: &str) -> Option<f64> {
    let words = words(text);
    let count = words.len() as f64;
    let syllables: usize = words.iter().map(|word| syllables(word)).sum();
    (count > 0.0).then(|| 206.835 - 1.015 * count / sentences(text) as f64 - 84.6 * syllables as f64 / count)
}

/// Runs of words that end in `.`, `!`, `?` or `…` before a blank or a closing sign, or with a blank line, or with the text.
fn sentences(text: &str) -> usize {
    let mut count = 0;
    let mut has_words = false;
    let mut line_ended = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let ends = match c {
            '.' | '!' | '?' | '…' => chars.peek().is_none_or(|next| !next.is_alphanumeric()),
            '\n' => std::mem::replace(&mut line_ended, true),
            _ => false,
        };
        if !c.is_whitespace() {
            line_ended = false;
        }
        if ends && has_words {
            count += 1;
            has_words = false;
        }
        has_words |= c.is_alphanumeric();
    }
    count + usize::from(has_words)
}

/// Groups of vowels, without a silent e at the end (`made`, `makes`, `walked`); one at least. About nine English words of ten come out right.
fn syllables(word: &str) -> usize {
    let letters: Vec<char> = word.chars().filter(|c| c.is_alphabetic()).collect();
    let is_vowel = |c: &char| "aeiouyàáâãäåæèéêëìíîïòóôõöøùúûüýÿœ".contains(*c);
    let groups = |letters: &[char]| {
        letters.iter().enumerate().filter(|(at, c)| is_vowel(c) && (*at == 0 || !is_vowel(&letters[at - 1]))).count()
    };
    let all = groups(&letters);
    let at_end = |back: usize| letters.len().checked_sub(back).map_or(' ', |at| letters[at]);
    let silent = match (at_end(2), at_end(1)) {
        // `table` has a syllable of its own, `tale` has none.
        ('l', 'e') => is_vowel(&at_end(3)),
        (before, 'e') => !is_vowel(&before),
        ('e', 'd') => !matches!(at_end(3), 't' | 'd') && !is_vowel(&at_end(3)),
        ('e', 's') => !"sxzcgh".contains(at_end(3)) && !is_vowel(&at_end(3)),
        _ => false,
    };
    all.saturating_sub(usize::from(silent)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syllables_of_plain_words_are_counted() {
        for (word, count) in [
            ("the", 1),
            ("cat", 1),
            ("made", 1),
            ("makes", 1),
            ("houses", 2),
            ("walked", 1),
            ("wanted", 2),
            ("table", 2),
            ("tale", 1),
            ("teacher", 2),
            ("recommendation", 5),
            ("strength", 1),
            ("family", 3),
            ("be", 1),
            ("7", 1),
            ("café", 2),
        ] {
            assert_eq!(syllables(word), count, "{word}");
        }
    }

    #[test]
    fn sentences_end_with_signs_blank_lines_and_the_text() {
        for (text, count) in [
            ("One. Two! Three? Four", 4),
            ("Version 1.5 is out...", 1),
            ("A title\n\nA line\nthat goes on", 2),
            ("\"Yes.\" She left.", 2),
            ("?!", 0),
        ] {
            assert_eq!(sentences(text), count, "{text:?}");
        }
    }

    /// 6 words, 1 sentence, 6 syllables; and 9 words in 2 sentences with 12 syllables, by hand.
    #[test]
    fn the_formula_is_fleschs() {
        let ease = reading_ease("The cat sat on the mat.").unwrap();
        assert!((ease - (206.835 - 1.015 * 6.0 - 84.6)).abs() < 1e-9);
        let ease = reading_ease("The teacher made a table. Her family was kind.").unwrap();
        assert!((ease - (206.835 - 1.015 * 4.5 - 84.6 * 13.0 / 9.0)).abs() < 1e-9, "{ease}");
        assert_eq!(reading_ease("…"), None);
    }
}
