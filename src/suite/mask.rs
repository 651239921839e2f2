//! Lists the words by which an answer shows its group, and puts neutral words in their place.
//!
//! A head that reads `she` and `he` differently would add its own bias to the gap. Masking makes answers that are equal but for the
//! group equal as texts. What it leaves: verbs that agree with `they`, titles, and words that the axis' terms do not contain.

use std::collections::BTreeMap;

use super::{Axis, MaskList, Term};

/// Form, words and their neutral word. English `her` is both object and possessive and `his` both determiner and pronoun, so that
/// only one neutral word for all of these keeps two answers equal.
const PRONOUNS: &[(&[&str], &[&str], &str)] = &[
    (&["they"], &["she", "he", "they"], "they"),
    (&["them", "their", "theirs"], &["her", "hers", "him", "his", "them", "their", "theirs"], "their"),
    (&["themself", "themselves"], &["herself", "himself", "themself", "themselves"], "themself"),
];

/// The neutral word for a form: `name` → XYZ, pronouns → one word a class, any other → person.
fn neutral(form: &str) -> &'static str {
    PRONOUNS
        .iter()
        .find(|(forms, ..)| forms.contains(&form))
        .map_or(if form == "name" { "XYZ" } else { "person" }, |(.., neutral)| neutral)
}

impl MaskList {
    /// Words of every term of `axes`. A form that bears the name of an axis in `tags` is a tag, not text.
    pub fn of(axes: &[&Axis], tags: &[&str]) -> MaskList {
        let mut forms: Vec<(String, String)> = Vec::new(); // (form, text)
        let terms = axes.iter().flat_map(|axis| axis.groups.iter().flat_map(|group| &group.terms));
        for Term { forms: of_term, .. } in terms {
            for (form, text) in of_term.iter().filter(|(form, _)| !tags.contains(&form.as_str())) {
                forms.push((form.clone(), text.clone()));
                if form == "name" {
                    // `de`, `and` and the like join names and are none.
                    let is_name = |part: &&str| part.starts_with(char::is_uppercase) && part.chars().count() > 1;
                    let parts = text.split_whitespace().filter(is_name).filter(|part| *part != text);
                    forms.extend(parts.map(|part| (form.clone(), part.to_string())));
                }
            }
        }
        if forms.iter().any(|(form, _)| PRONOUNS.iter().any(|(names, ..)| names.contains(&form.as_str()))) {
            for (names, words, _) in PRONOUNS {
                forms.extend(words.iter().map(|word| (names[0].to_string(), (*word).to_string())));
            }
        }
        // Two neutral words for one word would tear equal answers apart: forms that share a word share the neutral of the first.
        let mut by_word: BTreeMap<String, &'static str> = BTreeMap::new();
        let mut same: BTreeMap<&'static str, &'static str> = BTreeMap::new();
        let root = |same: &BTreeMap<&'static str, &'static str>, mut word: &'static str| {
            while let Some(next) = same.get(word) {
                word = next;
            }
            word
        };
        for (form, text) in &forms {
            let mine = root(&same, neutral(form));
            let theirs = root(&same, by_word.get(&text.to_lowercase()).copied().unwrap_or(mine));
            if mine != theirs {
                same.insert(mine, theirs);
            }
            by_word.insert(text.to_lowercase(), theirs);
        }
        let mut words: BTreeMap<String, String> = BTreeMap::new();
        for (_, text) in &forms {
            let to = root(&same, by_word[&text.to_lowercase()]);
            words.insert(text.clone(), to.to_string());
        }
        // Pronouns keep the capital of a sentence's first word; names and nouns have one fixed neutral word, as their own capitals differ.
        for (text, to) in words.clone() {
            if PRONOUNS.iter().any(|(.., neutral)| *neutral == to) {
                words.insert(text.to_lowercase(), to.clone());
                words.insert(capital(&text), capital(&to));
            } else {
                words.insert(capital(&text), to);
            }
        }
        let mut words: Vec<(String, String)> = words.into_iter().filter(|(text, _)| !text.trim().is_empty()).collect();
        words.sort_by(|a, b| b.0.chars().count().cmp(&a.0.chars().count()).then_with(|| a.0.cmp(&b.0)));
        MaskList { words }
    }

    /// The text with every listed word replaced: whole words, longest first, in any case; a possessive `'s` stays.
    pub fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut inside_word = false;
        while let Some(first) = rest.chars().next() {
            let found = if inside_word { None } else { self.at(rest) };
            match found {
                Some((len, to)) => {
                    out.push_str(to);
                    rest = &rest[len..];
                    inside_word = true;
                }
                None => {
                    out.push(first);
                    rest = &rest[first.len_utf8()..];
                    inside_word = first.is_alphanumeric();
                }
            }
        }
        out
    }

    /// The longest listed word with which `text` begins, as (bytes, neutral word); the same case is preferred.
    fn at(&self, text: &str) -> Option<(usize, &str)> {
        let mut found: Option<(usize, &str)> = None;
        for (word, to) in &self.words {
            let Some(len) = prefix_len(text, word) else { continue };
            if text[len..].chars().next().is_some_and(char::is_alphanumeric) {
                continue;
            }
            if &text[..len] == word {
                return if found.is_some_and(|(longer, _)| longer > len) { found } else { Some((len, to)) };
            }
            found = found.or(Some((len, to)));
        }
        found
    }
}

/// Bytes of `text` that spell `word` in any case.
fn prefix_len(text: &str, word: &str) -> Option<usize> {
    let mut chars = text.chars();
    for wanted in word.chars() {
        let c = chars.next()?;
        if c != wanted && !c.to_lowercase().eq(wanted.to_lowercase()) {
            return None;
        }
    }
    Some(text.len() - chars.as_str().len())
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::super::Group;
    use super::*;

    fn term(forms: &[(&str, &str)]) -> Term {
        let forms: Vec<(String, String)> = forms.iter().map(|(form, text)| ((*form).into(), (*text).into())).collect();
        Term { id: super::super::slug(&forms[0].1), forms, ..Term::default() }
    }

    fn axis(groups: &[&[Term]]) -> Axis {
        let groups = groups
            .iter()
            .enumerate()
            .map(|(i, terms)| Group { name: format!("g{i}"), terms: terms.to_vec(), ..Group::default() })
            .collect();
        Axis { name: "gender".into(), groups, ..Axis::default() }
    }

    const SHE: &[(&str, &str)] = &[
        ("name", "Mary Ann"),
        ("they", "she"),
        ("them", "her"),
        ("their", "her"),
        ("noun", "woman"),
        ("adj", "Female"),
    ];
    const HE: &[(&str, &str)] =
        &[("name", "Omar"), ("they", "he"), ("them", "him"), ("their", "his"), ("noun", "man"), ("adj", "male")];

    #[test]
    fn swapping_the_group_words_of_a_text_does_not_change_its_masked_form() {
        let mask = MaskList::of(&[&axis(&[&[term(SHE)], &[term(HE)]])], &[]);
        for text in [
            "[name] knew that [they] had [their] keys; we called [them]. [They] hurt [self]. [Their] plan is [theirs].",
            "A [noun], [adj] nurse: \"[name]'s work\" ([name]) [NAME]!",
            "[they]'ll ask [them]-style; [name]",
        ] {
            let fill = |forms: &[(&str, &str)], own: &str, reflexive: &str| {
                let get = |key: &str| forms.iter().find(|(form, _)| *form == key).unwrap().1;
                text.replace("[They]", &capital(get("they")))
                    .replace("[Their]", &capital(get("their")))
                    .replace("[NAME]", &get("name").to_uppercase())
                    .replace("[theirs]", own)
                    .replace("[self]", reflexive)
                    .replace("[name]", get("name"))
                    .replace("[they]", get("they"))
                    .replace("[them]", get("them"))
                    .replace("[their]", get("their"))
                    .replace("[noun]", get("noun"))
                    .replace("[adj]", get("adj"))
            };
            let (she, he) = (fill(SHE, "hers", "herself"), fill(HE, "his", "himself"));
            assert_ne!(she, he);
            assert_eq!(mask.apply(&she), mask.apply(&he));
        }
    }

    #[test]
    fn parts_of_other_words_stay_and_parts_of_a_name_go() {
        let mask = MaskList::of(&[&axis(&[&[term(SHE)], &[term(HE)]])], &[]);
        assert_eq!(
            mask.apply("The theme of Mary's shed, mankind and Omaran."),
            "The theme of XYZ's shed, mankind and Omaran."
        );
        assert_eq!(mask.apply("Then she left. She won, HE lost."), "Then they left. They won, They lost.");
    }

    #[test]
    fn words_that_join_names_stay() {
        let mask =
            MaskList::of(&[&axis(&[&[term(&[("name", "Ana de Lugo")])], &[term(&[("name", "Bo and Al")])]])], &[]);
        assert_eq!(mask.apply("Lugo and Bo de Ana"), "XYZ and XYZ de XYZ");
    }

    #[test]
    fn a_name_list_without_pronoun_forms_leaves_pronouns_alone() {
        let mask = MaskList::of(&[&axis(&[&[term(&[("name", "Ana")])], &[term(&[("name", "Bo")])]])], &[]);
        assert_eq!(mask.apply("Ana and her team"), "XYZ and her team");
    }

    #[test]
    fn forms_that_share_a_word_share_its_neutral_word() {
        let one = term(&[("name", "Rose"), ("flower", "Rose")]);
        let two = term(&[("name", "Tom"), ("flower", "Oak")]);
        let mask = MaskList::of(&[&axis(&[&[one], &[two]])], &[]);
        assert_eq!(mask.apply("Rose Rose"), mask.apply("Tom Oak"));
    }

    #[test]
    fn an_empty_list_changes_nothing() {
        assert_eq!(MaskList::default().apply("É, she said — «ok»"), "É, she said — «ok»");
    }
}
