//! Cuts English words to their stems.
//!
//! Source: Porter 1980, "An algorithm for suffix stripping", with the departures of NLTK (its default mode), since published ROUGE-L values
//! are computed with it: a few irregular words, `ies` and `ied` of four letters, `y` after one letter, `alli`, `bli`, `fulli` and `logi`.

/// Words that the rules would get wrong.
const IRREGULAR: [(&str, &str); 15] = [
    ("sky", "sky"),
    ("skies", "sky"),
    ("dying", "die"),
    ("lying", "lie"),
    ("tying", "tie"),
    ("news", "news"),
    ("innings", "inning"),
    ("inning", "inning"),
    ("outings", "outing"),
    ("outing", "outing"),
    ("cannings", "canning"),
    ("canning", "canning"),
    ("howe", "howe"),
    ("proceed", "proceed"),
    ("exceed", "exceed"),
];

/// Ending, what takes its place; the first ending that a word has decides, and is replaced where something is left before it.
const STEP_2: [(&str, &str); 20] = [
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
];

const STEP_3: [(&str, &str); 7] =
    [("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")];

/// Endings that go where two syllables or more are left; `ion` only after s or t.
const STEP_4: [&str; 19] = [
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
];

/// The stem of a word in lower case; words of one or two letters, and all with other letters than a to z, stay.
pub fn stem(word: &str) -> String {
    if let Some((_, stem)) = IRREGULAR.iter().find(|(irregular, _)| *irregular == word) {
        return (*stem).to_owned();
    }
    if word == "succeed" || word.len() <= 2 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return word.to_owned();
    }
    let mut word = word.to_owned();
    for step in [plural, past, final_y, step_2, step_3, step_4, final_e, double_l] {
        word = step(&word);
    }
    word
}

fn is_consonant(word: &[u8], index: usize) -> bool {
    match word[index] {
        b'a' | b'e' | b'i' | b'o' | b'u' => false,
        b'y' => index == 0 || !is_consonant(word, index - 1),
        _ => true,
    }
}

/// Porter's m: how often a vowel is followed by a consonant.
fn measure(stem: &str) -> usize {
    let bytes = stem.as_bytes();
    let kinds: Vec<bool> = (0..bytes.len()).map(|index| is_consonant(bytes, index)).collect();
    kinds.windows(2).filter(|pair| !pair[0] && pair[1]).count()
}

fn has_vowel(stem: &str) -> bool {
    (0..stem.len()).any(|index| !is_consonant(stem.as_bytes(), index))
}

fn ends_double(word: &str) -> bool {
    let bytes = word.as_bytes();
    let n = bytes.len();
    n >= 2 && bytes[n - 1] == bytes[n - 2] && is_consonant(bytes, n - 1)
}

/// Porter's *o: consonant, vowel, consonant other than w, x, y; or a vowel and a consonant alone.
fn ends_short(word: &str) -> bool {
    let bytes = word.as_bytes();
    let kind = |index: usize| is_consonant(bytes, index);
    match bytes.len() {
        0 | 1 => false,
        2 => !kind(0) && kind(1),
        n => kind(n - 3) && !kind(n - 2) && kind(n - 1) && !matches!(bytes[n - 1], b'w' | b'x' | b'y'),
    }
}

fn plural(word: &str) -> String {
    match word {
        _ if word.len() == 4 && word.ends_with("ies") => word[..3].to_owned(),
        _ if word.ends_with("sses") || word.ends_with("ies") => word[..word.len() - 2].to_owned(),
        _ if word.ends_with('s') && !word.ends_with("ss") => word[..word.len() - 1].to_owned(),
        _ => word.to_owned(),
    }
}

fn past(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ied") {
        return format!("{stem}{}", if word.len() == 4 { "ie" } else { "i" });
    }
    if let Some(stem) = word.strip_suffix("eed") {
        return if measure(stem) > 0 { format!("{stem}ee") } else { word.to_owned() };
    }
    let cut = ["ed", "ing"].into_iter().find_map(|ending| word.strip_suffix(ending).filter(|stem| has_vowel(stem)));
    let Some(stem) = cut else { return word.to_owned() };
    if ["at", "bl", "iz"].iter().any(|ending| stem.ends_with(ending)) {
        return format!("{stem}e");
    }
    if ends_double(stem) {
        let keeps = stem.ends_with(['l', 's', 'z']);
        return if keeps { stem.to_owned() } else { stem[..stem.len() - 1].to_owned() };
    }
    if measure(stem) == 1 && ends_short(stem) { format!("{stem}e") } else { stem.to_owned() }
}

fn final_y(word: &str) -> String {
    match word.strip_suffix('y') {
        Some(stem) if stem.len() > 1 && is_consonant(stem.as_bytes(), stem.len() - 1) => format!("{stem}i"),
        _ => word.to_owned(),
    }
}

fn step_2(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("alli").filter(|stem| measure(stem) > 0) {
        return step_2(&format!("{stem}al"));
    }
    if let Some((ending, place)) = STEP_2.iter().find(|(ending, _)| word.ends_with(ending)) {
        return replaced(word, ending, place);
    }
    if word.ends_with("fulli") {
        return replaced(word, "fulli", "ful");
    }
    // The l counts to the stem, so that `geologi` is cut as `archaeologi` is.
    match word.strip_suffix("ogi") {
        Some(stem) if stem.ends_with('l') && measure(stem) > 0 => format!("{stem}og"),
        _ => word.to_owned(),
    }
}

fn step_3(word: &str) -> String {
    let found = STEP_3.iter().find(|(ending, _)| word.ends_with(ending));
    found.map_or_else(|| word.to_owned(), |(ending, place)| replaced(word, ending, place))
}

/// The ending replaced, where a syllable is left before it.
fn replaced(word: &str, ending: &str, place: &str) -> String {
    let stem = &word[..word.len() - ending.len()];
    if measure(stem) > 0 { format!("{stem}{place}") } else { word.to_owned() }
}

fn step_4(word: &str) -> String {
    let Some(ending) = STEP_4.iter().find(|ending| word.ends_with(**ending)) else { return word.to_owned() };
    let stem = &word[..word.len() - ending.len()];
    let fits = *ending != "ion" || stem.ends_with(['s', 't']);
    if measure(stem) > 1 && fits { stem.to_owned() } else { word.to_owned() }
}

fn final_e(word: &str) -> String {
    match word.strip_suffix('e') {
        Some(stem) if measure(stem) > 1 || (measure(stem) == 1 && !ends_short(stem)) => stem.to_owned(),
        _ => word.to_owned(),
    }
}

fn double_l(word: &str) -> String {
    match word.strip_suffix('l') {
        Some(stem) if stem.ends_with('l') && measure(stem) > 1 => stem.to_owned(),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of Porter's paper, and the words in which NLTK departs from it.
    #[test]
    fn words_of_the_paper_get_its_stems() {
        for (word, want) in [
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("ties", "tie"),
            ("cats", "cat"),
            ("feed", "feed"),
            ("agreed", "agre"),
            ("plastered", "plaster"),
            ("motoring", "motor"),
            ("sing", "sing"),
            ("conflated", "conflat"),
            ("troubled", "troubl"),
            ("sized", "size"),
            ("hopping", "hop"),
            ("falling", "fall"),
            ("hissing", "hiss"),
            ("filing", "file"),
            ("happy", "happi"),
            ("relational", "relat"),
            ("conditional", "condit"),
            ("digitizer", "digit"),
            ("vietnamization", "vietnam"),
            ("hopefulness", "hope"),
            ("formalize", "formal"),
            ("electrical", "electr"),
            ("goodness", "good"),
            ("replacement", "replac"),
            ("adoption", "adopt"),
            ("probate", "probat"),
            ("rate", "rate"),
            ("controll", "control"),
            ("roll", "roll"),
            ("died", "die"),
            ("dying", "die"),
            ("geology", "geolog"),
            ("nurses", "nurs"),
            ("quickly", "quickli"),
        ] {
            assert_eq!(stem(word), want, "{word}");
        }
    }

    #[test]
    fn a_word_with_other_letters_stays_as_it_is() {
        for word in ["naïvely", "b2bs", "is", ""] {
            assert_eq!(stem(word), word);
        }
    }
}
