//! Finds terms with a letter too few, too many or wrong: words that differ inside by one letter from another word of the suite, as "girfriend"
//! from "girlfriend". There is no dictionary; a slip that stands nowhere else in its right form is not seen.

use std::collections::{BTreeMap, BTreeSet};

use super::Findings;
use super::leaks::literal;
use crate::suite::{Place, Suite};

/// Letters of words that are compared: shorter words are often one letter apart.
const LONG: usize = 8;
/// Letters at either end that must be equal; endings are grammar.
const ENDS: usize = 2;

pub(super) fn check(suite: &Suite, findings: &mut Findings) {
    // (first letters, last letters) → words
    let mut words: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let mut terms: BTreeMap<String, &Place> = BTreeMap::new();
    for (_, term) in suite.axes.iter().flat_map(|axis| axis.terms()) {
        for word in term.forms.iter().flat_map(|(_, text)| long_words(text)) {
            terms.entry(word).or_insert(&term.place);
        }
    }
    let levels = suite.factors.iter().flat_map(|factor| &factor.levels).flat_map(|level| long_words(level));
    let others = levels.chain(suite.templates.iter().flat_map(|template| long_words(&literal(template))));
    for word in terms.keys().cloned().chain(others) {
        words.entry(ends(&word)).or_default().insert(word);
    }
    for (term, place) in terms {
        for other in words.get(&ends(&term)).into_iter().flatten() {
            if is_one_letter_off(&term, other) {
                let message = format!(
                    "\"{term}\" differs from \"{other}\", which stands in this suite too, by one letter; where one is a slip its group is asked about a word that does not exist"
                );
                findings.add("spelling", place, message);
            }
        }
    }
}

/// Words in small letters: names have variants.
fn long_words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphabetic());
    words
        .filter(|word| word.chars().count() >= LONG && word.chars().all(char::is_lowercase))
        .map(str::to_owned)
        .collect()
}

fn ends(word: &str) -> (String, String) {
    let letters: Vec<char> = word.chars().collect();
    (letters[..ENDS].iter().collect(), letters[letters.len() - ENDS..].iter().collect())
}

/// One letter more, less or other.
fn is_one_letter_off(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (short, long) = if a.len() <= b.len() { (&a, &b) } else { (&b, &a) };
    let begin = short.iter().zip(long.iter()).take_while(|(a, b)| a == b).count();
    let skip = usize::from(short.len() == long.len());
    a != b && long.len() - short.len() <= 1 && short[(begin + skip).min(short.len())..] == long[begin + 1..]
}
