//! Lists the words by which an answer shows its group, and puts neutral words in their place.
//!
//! A head that reads `she` and `he` differently would add its own bias to the gap. Masking makes answers that are equal but for the
//! group equal as texts. What it leaves: verbs that agree with `they`, titles, and words that the axis' terms do not contain.

mod letters;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::LazyLock;

use self::letters::{Letter, letters, plain};
use super::words::embedded_words;
use super::{Axis, MaskList, Term};

/// The neutral word for names.
const NAME: &str = "XYZ";

/// Form, words and their neutral word. English `her` is both object and possessive and `his` both determiner and pronoun, so that
/// only one neutral word for all of these keeps two answers equal.
const PRONOUNS: &[(&[&str], &[&str], &str)] = &[
    (&["they"], &["she", "he", "they"], "they"),
    (&["them", "their", "theirs"], &["her", "hers", "him", "his", "them", "their", "theirs"], "their"),
    (&["themself", "themselves"], &["herself", "himself", "themself", "themselves"], "themself"),
];

/// Names that are English words too: in lower case they are those words.
static WORDS_TOO: LazyLock<HashSet<String>> =
    LazyLock::new(|| embedded_words("prompts/words/names-that-are-words.yaml").into_iter().collect());

/// The neutral word for a form: `name` → XYZ, pronouns → one word a class, any other → person.
fn neutral(form: &str) -> &'static str {
    PRONOUNS
        .iter()
        .find(|(forms, ..)| forms.contains(&form))
        .map_or(if form == "name" { NAME } else { "person" }, |(.., neutral)| neutral)
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
                    let parts = text
                        .split(|c: char| c.is_whitespace() || c == '-')
                        .filter(is_name)
                        .filter(|part| *part != text);
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

    /// The text with every listed word replaced: whole words, longest first, in any case, with either kind of apostrophe, with a hyphen or
    /// a blank, and with an accent as one code point or two. Names are found without their accents, too, and a name that is an
    /// English word only with a capital. A possessive `'s` stays, the bare apostrophe of `James'` becomes one, and `an` before a
    /// replaced word becomes `a`: neutral words begin alike, whatever they stand for.
    pub fn apply(&self, text: &str) -> String {
        if self.words.is_empty() {
            return text.to_owned();
        }
        let letters = letters(text);
        let byte = |at: usize| letters.get(at).map_or(text.len(), |letter| letter.start);
        let entries = Entries::of(&self.words);
        let mut out = String::with_capacity(text.len());
        let mut quoted = false;
        let mut at = 0;
        while at < letters.len() {
            if let Some((end, to)) = entries.at(text, &letters, at) {
                article(&mut out);
                out.push_str(to);
                let ends_hissing = matches!(letters[end - 1].folded, 's' | 'z' | 'x');
                let is_apostrophe = |at: usize| letters.get(at).is_some_and(|letter| letter.folded == '\'');
                let is_word = |at: usize| letters.get(at).is_some_and(|letter| letter.is_wordlike());
                if ends_hissing && !quoted && is_apostrophe(end) && !is_word(end + 1) {
                    out.push_str(&text[byte(end)..byte(end + 1)]);
                    out.push('s');
                    at = end + 1;
                } else {
                    at = end;
                }
                continue;
            }
            if letters[at].folded == '\'' {
                // One that opens stands before a word and after none; the next that stands before no word closes it.
                let before = at > 0 && letters[at - 1].is_wordlike();
                let after = letters.get(at + 1).is_some_and(|letter| letter.is_wordlike());
                quoted = if before == after { quoted } else { after };
            }
            let next = cluster_end(&letters, at);
            out.push_str(&text[byte(at)..byte(next)]);
            at = next;
        }
        out
    }
}

/// `an` at the end of the text before a replaced word becomes `a`.
fn article(out: &mut String) {
    let before = out.trim_end_matches(char::is_whitespace);
    let blank = before.len();
    let is_article = blank < out.len()
        && ["an", "An", "AN"].iter().any(|article| {
            before.strip_suffix(article).is_some_and(|rest| !rest.ends_with(|c: char| c.is_alphanumeric()))
        });
    if is_article {
        out.remove(blank - 1);
    }
}

/// The first letter after the cluster that `at` belongs to.
fn cluster_end(letters: &[Letter], at: usize) -> usize {
    (at + 1..letters.len()).find(|next| !letters[*next].inside).unwrap_or(letters.len())
}

/// The words of a list, found by their first letter.
struct Entries<'m>(HashMap<char, Vec<Entry<'m>>>);

struct Entry<'m> {
    word: &'m str,
    to: &'m str,
    folded: Vec<char>,
    is_name: bool,
    /// In lower case it is another word.
    needs_capital: bool,
}

impl<'m> Entries<'m> {
    fn of(words: &'m [(String, String)]) -> Self {
        let mut entries: HashMap<char, Vec<Entry<'m>>> = HashMap::new();
        for (word, to) in words {
            let is_name = to == NAME;
            let folded: Vec<char> = if is_name {
                letters(word).iter().filter(|letter| !letter.is_accent()).map(|letter| plain(letter.folded)).collect()
            } else {
                letters(word).iter().map(|letter| letter.folded).collect()
            };
            let needs_capital = is_name && WORDS_TOO.contains(&folded.iter().collect::<String>());
            if let Some(first) = folded.first() {
                entries.entry(plain(*first)).or_default().push(Entry { word, to, folded, is_name, needs_capital });
            }
        }
        Entries(entries)
    }

    /// The longest listed word that stands at letter `at`, as (letter after it, neutral word); the same case is preferred.
    fn at(&self, text: &str, letters: &[Letter], at: usize) -> Option<(usize, &'m str)> {
        let entries = self.0.get(&plain(letters[at].folded))?;
        if !starts_word(letters, at) {
            return None;
        }
        let mut found: Option<(usize, &str)> = None;
        for entry in entries {
            let Some(end) = entry.end(letters, at).filter(|end| ends_word(letters, *end)) else { continue };
            let spelt = &text[letters[at].start..letters.get(end).map_or(text.len(), |letter| letter.start)];
            if entry.needs_capital && spelt.starts_with(char::is_lowercase) {
                continue;
            }
            let same_case = spelt.starts_with(char::is_uppercase) == entry.word.starts_with(char::is_uppercase);
            if found.is_none_or(|(longest, _)| end > longest || (end == longest && same_case)) {
                found = Some((end, entry.to));
            }
        }
        found
    }
}

impl Entry<'_> {
    /// The letter after the word, if it stands at letter `at`.
    fn end(&self, letters: &[Letter], mut at: usize) -> Option<usize> {
        for wanted in &self.folded {
            let letter = letters.get(at)?;
            let same = if self.is_name { plain(letter.folded) == *wanted } else { letter.folded == *wanted };
            if !same {
                return None;
            }
            at += 1;
            // Any run of white space is one blank; a name's accents are passed over.
            let passed =
                |letter: &Letter| (*wanted == ' ' && letter.folded == ' ') || (self.is_name && letter.is_accent());
            at += letters[at..].iter().take_while(|letter| passed(letter)).count();
        }
        letters.get(at).is_none_or(|letter| !letter.inside).then_some(at)
    }
}

/// No word goes on before: `Ann` begins none in `Joann`, nor `Brien` in `O'Brien`.
fn starts_word(letters: &[Letter], at: usize) -> bool {
    if letters[at].inside {
        return false;
    }
    let before: Vec<Letter> = letters[..at].iter().rev().filter(|letter| !letter.inside).take(3).copied().collect();
    match before.as_slice() {
        [] => true,
        [apostrophe, o, rest @ ..] if apostrophe.folded == '\'' && o.folded == 'o' => {
            rest.first().is_some_and(|letter| letter.is_wordlike())
        }
        [last, ..] => !last.is_wordlike() || last.is_unspaced(),
    }
}

/// Endings after an apostrophe that make another word of what stands before: `Don't`, `Ma'am`.
const OTHER_WORDS: [&str; 2] = ["t", "am"];

/// No word goes on after: `Mary` is none in `Maryland`, but one in `Mary's`.
fn ends_word(letters: &[Letter], end: usize) -> bool {
    let Some(next) = letters.get(end) else { return true };
    if next.folded == '\'' {
        let ending: String =
            letters[end + 1..].iter().take_while(|letter| letter.is_wordlike()).map(|letter| letter.folded).collect();
        return !OTHER_WORDS.contains(&ending.as_str());
    }
    !next.is_wordlike() || letters[end - 1].is_unspaced()
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

    /// A mask over these names, and pronouns where the first has some.
    fn names(names: &[&str]) -> MaskList {
        let terms: Vec<[Term; 1]> = names.iter().map(|name| [term(&[("name", name)])]).collect();
        let groups: Vec<&[Term]> = terms.iter().map(|terms| terms.as_slice()).collect();
        MaskList::of(&[&axis(&groups)], &[])
    }

    #[test]
    fn a_name_is_found_in_every_spelling_and_in_no_other_word() {
        let mask = names(&["Mary", "Zoë", "Jean-Luc", "O'Brien", "Søren", "Sofía", "İpek", "民秀"]);
        for (text, masked) in [
            ("Mary, MARY and mary", "XYZ, XYZ and XYZ"),
            ("Maryland, Rosemary, Mary2 and summary", "Maryland, Rosemary, Mary2 and summary"),
            ("Mary's, Mary’s, MARY'S and Mary'll", "XYZ's, XYZ’s, XYZ'S and XYZ'll"),
            ("_Mary_, *Mary*, (Mary), \"Mary\", Mary🙂 and 🙂Mary", "_XYZ_, *XYZ*, (XYZ), \"XYZ\", XYZ🙂 and 🙂XYZ"),
            ("Zoë, Zoe\u{308}, Zoe and ZOË", "XYZ, XYZ, XYZ and XYZ"),
            ("Zoës and Zoé", "Zoës and XYZ"),
            ("Jean-Luc, Jean‑Luc, Jean Luc, JEAN-LUC", "XYZ, XYZ, XYZ, XYZ"),
            ("O'Brien's, O’Brien and Brien, but no O'Clock", "XYZ's, XYZ and Brien, but no O'Clock"),
            ("Soren, SØREN; Sofia and Sofi\u{301}a", "XYZ, XYZ; XYZ and XYZ"),
            ("Ipek and İPEK", "XYZ and XYZ"),
            ("民秀的工作", "XYZ的工作"),
            ("Mary\u{301}n", "Mary\u{301}n"),
        ] {
            assert_eq!(mask.apply(text), masked);
        }
        assert_eq!(names(&["Brien"]).apply("O'Brien and 'Brien'"), "O'Brien and 'XYZ'");
    }

    #[test]
    fn an_accent_makes_another_word_of_a_pronoun_but_not_of_a_name() {
        let mask = MaskList::of(&[&axis(&[&[term(&[("they", "él")])], &[term(&[("they", "ella")])]])], &[]);
        assert_eq!(mask.apply("El plan: él y e\u{301}l, ella"), "El plan: they y they, they");
    }

    #[test]
    fn a_name_that_is_a_word_is_found_with_a_capital_only() {
        let mask = names(&["Grace", "Will", "Don"]);
        assert_eq!(
            mask.apply("Grace will go; Will has grace. Don't ask Don."),
            "XYZ will go; XYZ has grace. Don't ask XYZ."
        );
    }

    #[test]
    fn possessives_of_names_with_and_without_an_s_at_their_end_become_equal() {
        let mask = names(&["James", "Mary"]);
        for (james, mary) in [
            ("James' plan", "Mary's plan"),
            ("James’ plan and James's", "Mary’s plan and Mary's"),
            ("the plan was James'.", "the plan was Mary's."),
        ] {
            assert_eq!(mask.apply(james), mask.apply(mary));
        }
        assert_eq!(mask.apply("She said: 'I met James' and left."), "She said: 'I met XYZ' and left.");
    }

    #[test]
    fn the_article_before_a_hidden_word_does_not_tell_how_it_began() {
        let mask = MaskList::of(&[&axis(&[&[term(&[("adj", "Asian")])], &[term(&[("adj", "Black")])]])], &[]);
        assert_eq!(mask.apply("An Asian nurse, an Asian"), mask.apply("A Black nurse, a Black"));
        assert_eq!(mask.apply("Ryan Asian, an apple"), "Ryan person, an apple");
    }

    #[test]
    fn blanks_and_hyphens_in_a_phrase_are_one() {
        let mask =
            MaskList::of(&[&axis(&[&[term(&[("noun", "middle-aged man")])], &[term(&[("noun", "old man")])]])], &[]);
        assert_eq!(mask.apply("a middle aged man, a middle-aged\nman"), "a person, a person");
        assert_eq!(mask.apply("the middle of an aged manor"), "the middle of an aged manor");
    }

    #[test]
    fn an_empty_list_changes_nothing() {
        assert_eq!(MaskList::default().apply("É, she said — «ok»"), "É, she said — «ok»");
    }
}
