//! Reads a text as letters that can be compared: whatever the case, the code points of an accent, or the sign for an apostrophe or a hyphen.

use unicode_normalization_alignments::UnicodeNormalization as _;

/// A letter, or the accent of the letter before it.
#[derive(Debug, Clone, Copy)]
pub struct Letter {
    /// Lower case, decomposed; `'` for every apostrophe, a blank for white space and hyphens.
    pub folded: char,
    /// Byte at which its cluster (the letter as read, with its accents) begins in the text.
    pub start: usize,
    /// It belongs to the cluster of the letter before it.
    pub inside: bool,
}

impl Letter {
    pub fn is_accent(self) -> bool {
        is_accent(self.folded)
    }

    /// Part of a word.
    pub fn is_wordlike(self) -> bool {
        self.folded.is_alphanumeric()
    }

    /// Of a script that writes no blanks between words, or ties particles to them, so that words have no bounds to look for.
    pub fn is_unspaced(self) -> bool {
        matches!(self.folded, '\u{0e00}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
            | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{20000}'..='\u{3ffff}')
    }
}

/// The letters of a text in its order.
pub fn letters(text: &str) -> Vec<Letter> {
    let mut letters = Vec::with_capacity(text.len());
    let mut chars = text.char_indices().peekable();
    while let Some((start, first)) = chars.next() {
        if first.is_ascii() && chars.peek().is_none_or(|(_, next)| next.is_ascii()) {
            letters.push(Letter { folded: fold_sign(first).to_ascii_lowercase(), start, inside: false });
            continue;
        }
        let mut end = start + first.len_utf8();
        while let Some((_, accent)) = chars.next_if(|(_, next)| is_accent(*next)) {
            end += accent.len_utf8();
        }
        let mut inside = false;
        let mut push = |folded: char| {
            letters.push(Letter { folded, start, inside });
            inside = true;
        };
        for (part, _) in text[start..end].nfd() {
            // Syllables of Hangul stay whole: their parts are letters of their own, not accents.
            let part = if is_syllable(first) { first } else { part };
            fold_sign(part).to_lowercase().for_each(|c| push(if c == 'ς' { 'σ' } else { c }));
            if is_syllable(first) {
                break;
            }
        }
    }
    letters
}

fn is_accent(c: char) -> bool {
    ('\u{300}'..='\u{36f}').contains(&c)
}

fn is_syllable(c: char) -> bool {
    ('\u{ac00}'..='\u{d7a3}').contains(&c)
}

fn fold_sign(c: char) -> char {
    match c {
        '’' | '‘' | 'ʼ' | 'ʻ' | '´' | '`' | '＇' => '\'',
        '-' | '‐' | '‑' | '‒' | '–' => ' ',
        c if c.is_whitespace() => ' ',
        c => c,
    }
}

/// A letter without its accent where the accent is part of the code point itself.
pub fn plain(c: char) -> char {
    match c {
        'ø' => 'o',
        'ł' => 'l',
        'đ' => 'd',
        'ı' => 'i',
        c => c,
    }
}
