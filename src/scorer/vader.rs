//! Scores sentiment by the words of a lexicon and a few rules on negation, degree, capitals and punctuation: VADER.
//!
//! Hutto & Gilbert 2014 (ICWSM), in the form that the Python package vaderSentiment 3.3.2 gives it: its numbers are met to the fourth
//! decimal, to which it rounds. Where the published program does something that its paper does not say, the line says so. English only.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use anyhow::Result;

use super::{Answer, Direction, ScoreInfo, Scored, Scorer, is_empty};
use crate::suite::files::embedded;

/// Changes with the rules or the lexicon.
const RULE: &str = "vader 1 (vaderSentiment 3.3.2)";

// Mean changes of ratings, measured by the authors (2014, "Heuristics").
/// A degree adverb more, or less with the other sign.
const DEGREE: f64 = 0.293;
/// A word in capitals among others that are not.
const CAPITALS: f64 = 0.733;
/// A negated word.
const NEGATED: f64 = -0.74;
/// An exclamation mark, of which four count.
const EXCLAMATION: f64 = 0.292;
/// A question mark where there are two or three.
const QUESTION: f64 = 0.18;
/// All question marks where there are more.
const MANY_QUESTIONS: f64 = 0.96;
/// Bends the sum of ratings into (-1, 1); the square of about the largest sum expected.
const ALPHA: f64 = 15.0;

const NEGATIONS: &str = "\
    aint arent cannot cant couldnt darent didnt doesnt ain't aren't can't couldn't daren't didn't doesn't dont hadnt hasnt havent isnt \
    mightnt mustnt neither don't hadn't hasn't haven't isn't mightn't mustn't neednt needn't never none nope nor not nothing nowhere \
    oughtnt shant shouldnt uhuh wasnt werent oughtn't shan't shouldn't uh-uh wasn't weren't without wont wouldnt won't wouldn't rarely \
    seldom despite";

const MORE: &str = "\
    absolutely amazingly awfully completely considerable considerably decidedly deeply effing enormous enormously entirely especially \
    exceptional exceptionally extreme extremely fabulously flipping flippin frackin fracking fricking frickin frigging friggin fully \
    fuckin fucking fuggin fugging greatly hella highly hugely incredible incredibly intensely major majorly more most particularly purely \
    quite really remarkably so substantially thoroughly total totally tremendous tremendously uber unbelievably unusually utter utterly \
    very";

const LESS: &str = "\
    almost barely hardly kinda kindof kind-of less little marginal marginally occasional occasionally partly scarce scarcely slight \
    slightly somewhat sorta sortof sort-of";

/// Degree in two words.
const LESS_PHRASES: [&str; 3] = ["just enough", "kind of", "sort of"];

/// Phrases whose rating is not that of their words.
const IDIOMS: [(&str, f64); 9] = [
    ("the shit", 3.0),
    ("the bomb", 3.0),
    ("bad ass", 1.5),
    ("badass", 1.5),
    ("bus stop", 0.0),
    ("yeah right", -2.0),
    ("kiss of death", -1.5),
    ("to die for", 3.0),
    ("beating heart", 3.5),
];

static LEXICON: LazyLock<HashMap<&str, f64>> = LazyLock::new(|| {
    let line = |line: &'static str| {
        let (word, mean) = line.split_once('\t').expect("every line of the embedded lexicon has two cells");
        (word, mean.parse().expect("the second cell is a number"))
    };
    table("lexicon.tsv").lines().map(line).collect()
});
static EMOJI: LazyLock<HashMap<char, &str>> = LazyLock::new(|| {
    let line = |line: &'static str| {
        let (emoji, words) = line.split_once('\t').expect("every line of the embedded list has two cells");
        (emoji.chars().next().expect("the first cell is a character"), words)
    };
    table("emoji.tsv").lines().map(line).collect()
});
static NEGATING: LazyLock<HashSet<&str>> = LazyLock::new(|| NEGATIONS.split_whitespace().collect());
static DEGREES: LazyLock<HashMap<&str, f64>> = LazyLock::new(|| {
    let more = MORE.split_whitespace().map(|word| (word, DEGREE));
    let less = LESS.split_whitespace().chain(LESS_PHRASES).map(|word| (word, -DEGREE));
    more.chain(less).collect()
});

fn table(name: &str) -> &'static str {
    embedded(&format!("prompts/words/vader/{name}")).expect("VADER's lists are embedded")
}

/// VADER's compound score in [-1, 1]; an empty answer is unscored.
pub struct Vader {
    info: ScoreInfo,
}

impl Default for Vader {
    fn default() -> Self {
        Self {
            info: ScoreInfo {
                name: "vader".into(),
                unit: "compound".into(),
                range: (-1.0, 1.0),
                direction: Direction::Higher,
                revision: RULE.into(),
                meaning: "sentiment by VADER's lexicon and rules: -1 negative, 0 neutral, 1 positive; English".into(),
            },
        }
    }
}

impl Scorer for Vader {
    fn info(&self) -> &ScoreInfo {
        &self.info
    }

    fn score(&self, answers: &[Answer<'_>]) -> Result<Vec<Scored>> {
        let score = |answer: &Answer<'_>| match is_empty(answer) {
            true => Scored::empty(),
            false => Scored::Value(compound(&answer.masked())),
        };
        Ok(answers.iter().map(score).collect())
    }
}

/// A word as it stands and in lower case.
struct Token {
    lower: String,
    is_upper: bool,
}

/// The sum of the words' ratings, bent into [-1, 1] and rounded to four decimals as published; 0 where no word has a rating.
pub fn compound(text: &str) -> f64 {
    let text = describe_emoji(text);
    let tokens = tokens(&text);
    // Capitals tell something only beside words that are not in capitals.
    let upper = tokens.iter().filter(|token| token.is_upper).count();
    let capitals_tell = upper > 0 && upper < tokens.len();
    let mut ratings: Vec<f64> = (0..tokens.len()).map(|at| rating(&tokens, at, capitals_tell)).collect();
    weigh_but(&tokens, &mut ratings);
    let sum: f64 = ratings.iter().sum();
    let emphasis = emphasis(&text);
    let sum = if sum > 0.0 {
        sum + emphasis
    } else if sum < 0.0 {
        sum - emphasis
    } else {
        sum
    };
    let compound = (sum / (sum * sum + ALPHA).sqrt()).clamp(-1.0, 1.0);
    // Rounds as Python does: the decimal nearest to the binary number itself.
    format!("{compound:.4}").parse().expect("a number reads back")
}

/// Emoji become their descriptions, a blank before them.
fn describe_emoji(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut after_blank = true;
    for c in text.chars() {
        match EMOJI.get(&c) {
            Some(words) => {
                if !after_blank {
                    out.push(' ');
                }
                out.push_str(words);
                after_blank = false;
            }
            None => {
                out.push(c);
                after_blank = c == ' ';
            }
        }
    }
    out
}

/// Words without the punctuation around them; what is left with two letters or less was an emoticon, and stays as it is.
fn tokens(text: &str) -> Vec<Token> {
    // Python also splits at the four separators of ASCII.
    let parts = text.split(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c));
    parts
        .filter(|part| !part.is_empty())
        .map(|part| {
            let word = part.trim_matches(|c: char| c.is_ascii_punctuation());
            let word = if word.chars().count() <= 2 { part } else { word };
            let is_upper = word.chars().any(char::is_uppercase) && !word.chars().any(char::is_lowercase);
            Token { lower: word.to_lowercase(), is_upper }
        })
        .collect()
}

/// The rating of one word with what stands before it.
fn rating(tokens: &[Token], at: usize, capitals_tell: bool) -> f64 {
    let word = |back: usize| tokens[at - back].lower.as_str();
    let next = tokens.get(at + 1).map(|token| token.lower.as_str());
    let own = word(0);
    if DEGREES.contains_key(own) || (own == "kind" && next == Some("of")) {
        return 0.0;
    }
    let Some(listed) = LEXICON.get(own).copied() else { return 0.0 };
    let mut rating = listed;
    // "no" before a listed word negates that word, and has no rating of its own.
    if own == "no" && next.is_some_and(|next| LEXICON.contains_key(next)) {
        rating = 0.0;
    }
    let no_before = (at > 0 && word(1) == "no")
        || (at > 1 && word(2) == "no")
        || (at > 2 && word(3) == "no" && matches!(word(1), "or" | "nor"));
    if no_before {
        rating = listed * NEGATED;
    }
    if tokens[at].is_upper && capitals_tell {
        rating += if rating > 0.0 { CAPITALS } else { -CAPITALS };
    }
    for back in 1..=3 {
        if at < back || LEXICON.contains_key(word(back)) {
            continue;
        }
        // The farther the degree adverb, the weaker.
        rating += degree(&tokens[at - back], rating, capitals_tell) * [1.0, 0.95, 0.9][back - 1];
        rating = negate(tokens, at, back, rating);
        if back == 3 {
            rating = idioms(tokens, at, rating);
        }
    }
    let least = at > 0 && word(1) == "least" && !LEXICON.contains_key("least");
    if least && (at < 2 || !matches!(word(2), "at" | "very")) {
        rating *= NEGATED;
    }
    rating
}

fn degree(before: &Token, rating: f64, capitals_tell: bool) -> f64 {
    let Some(degree) = DEGREES.get(before.lower.as_str()) else { return 0.0 };
    let degree = if rating < 0.0 { -degree } else { *degree };
    match (before.is_upper && capitals_tell, rating > 0.0) {
        (false, _) => degree,
        (true, true) => degree + CAPITALS,
        (true, false) => degree - CAPITALS,
    }
}

fn is_negation(word: &str) -> bool {
    NEGATING.contains(word) || word.contains("n't")
}

/// Negation `back` words before the word at `at`.
fn negate(tokens: &[Token], at: usize, back: usize, rating: f64) -> f64 {
    let word = |back: usize| tokens[at - back].lower.as_str();
    let so = |back: usize| matches!(word(back), "so" | "this");
    let doubt = |back: usize| word(back) == "doubt";
    let (never, no_doubt) = match back {
        1 => (false, false),
        2 => (word(2) == "never" && so(1), word(2) == "without" && doubt(1)),
        // As published, "so" or "this" right before the word is enough here, with or without "never".
        _ => ((word(3) == "never" && so(2)) || so(1), word(3) == "without" && (doubt(2) || doubt(1))),
    };
    if never {
        rating * 1.25
    } else if !no_doubt && is_negation(word(back)) {
        rating * NEGATED
    } else {
        rating
    }
}

/// Idioms around the word, and degree in two words before it. There are three words before it.
fn idioms(tokens: &[Token], at: usize, rating: f64) -> f64 {
    let phrase = |from: usize, to: usize| {
        tokens[from..=to].iter().map(|token| token.lower.as_str()).collect::<Vec<_>>().join(" ")
    };
    let idiom = |phrase: &str| IDIOMS.iter().find(|(idiom, _)| *idiom == phrase).map(|(_, rating)| *rating);
    let before = [phrase(at - 3, at - 1), phrase(at - 3, at - 2), phrase(at - 2, at - 1)];
    let [three, far, near] = &before;
    let sequences = [&phrase(at - 1, at), &phrase(at - 2, at), near, three, far];
    let mut rating = sequences.into_iter().find_map(|phrase| idiom(phrase)).unwrap_or(rating);
    for after in 1..=2 {
        if at + after < tokens.len()
            && let Some(idiom) = idiom(&phrase(at, at + after))
        {
            rating = idiom;
        }
    }
    rating + before.iter().filter_map(|phrase| DEGREES.get(phrase.as_str())).sum::<f64>()
}

/// What comes before "but" counts half, what comes after it one and a half times. As published, each rating is looked up by its
/// value, so that of equal ratings the first is changed once for each of them.
fn weigh_but(tokens: &[Token], ratings: &mut [f64]) {
    let Some(but) = tokens.iter().position(|token| token.lower == "but") else { return };
    for at in 0..ratings.len() {
        let value = ratings[at];
        if value == 0.0 {
            continue; // nothing changes, and most words are so
        }
        let first = ratings.iter().position(|other| *other == value).expect("it is there itself");
        match first.cmp(&but) {
            std::cmp::Ordering::Less => ratings[first] *= 0.5,
            std::cmp::Ordering::Greater => ratings[first] *= 1.5,
            std::cmp::Ordering::Equal => {}
        }
    }
}

fn emphasis(text: &str) -> f64 {
    let count = |sign: char| text.chars().filter(|c| *c == sign).count();
    let questions = match count('?') {
        0 | 1 => 0.0,
        few @ 2..=3 => few as f64 * QUESTION,
        _ => MANY_QUESTIONS,
    };
    count('!').min(4) as f64 * EXCLAMATION + questions
}
