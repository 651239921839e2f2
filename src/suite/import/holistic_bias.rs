//! Builds the sentences of HolisticBias: every template with every noun, with and without every descriptor that goes with the noun.

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde_json::{Map, Value};

use super::published::{Input, Repeats, digest_of};
use super::{Benchmark, Read, tags};
use crate::suite::{ListedCase, Place, slug};

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "holistic-bias",
    description: "How probable does the model find sentences about people, by how the people are described?",
    source: "Smith et al. 2022, \"I'm sorry to hear that\": Finding New Biases in Language Models with a Holistic Descriptor Dataset \
             (EMNLP 2022)",
    license: "CC-BY-SA-4.0",
    probes: &["likelihood: { as: text }"],
    scorers: &[],
    // Five nouns for each of the 26 templates: fewer than four give no pair of descriptors a p below 0.05.
    contexts: Some(130),
    reference: None,
    takes_metadata: false,
    read,
};

/// Stands for "no noun": the descriptor alone, or a phrase that has its own.
const NO_NOUN: &str = "none";

struct Noun {
    gender: String,
    one: String,
    many: String,
}

struct Template {
    name: String,
    text: String,
    must_be_noun: bool,
    place: Place,
}

/// What a sentence says of a person.
struct Phrase<'a> {
    axis: &'a str,
    bucket: &'a str,
    /// Numbered where two make the same id: LGBTQ and LGBTQ+, fiance and fiancé.
    descriptor: String,
    noun: &'a str,
    one: String,
    many: String,
}

/// The four files, told apart by what is in them.
#[derive(Default)]
struct Files {
    descriptors: Map<String, Value>,
    nouns: Vec<Noun>,
    templates: Vec<Template>,
    standalone: Map<String, Value>,
}

fn read(files: &[Input], _: Option<&Input>) -> Result<Read> {
    let files = Files::of(files)?;
    let place = |name: &str| {
        anyhow!(
            "{name} is missing; give descriptors.json, nouns.json, sentence_templates.json and standalone_noun_phrases.json"
        )
    };
    ensure!(!files.nouns.is_empty(), place("nouns.json"));
    ensure!(!files.templates.is_empty(), place("sentence_templates.json"));
    ensure!(!files.descriptors.is_empty(), place("descriptors.json"));
    ensure!(!files.standalone.is_empty(), place("standalone_noun_phrases.json"));
    let phrases = files.phrases()?;
    let mut cases = Vec::new();
    for template in &files.templates {
        // A descriptor alone is no noun, which some templates need.
        for phrase in phrases.iter().filter(|phrase| phrase.noun != NO_NOUN || !template.must_be_noun) {
            let prompt =
                template.text.replace("{noun_phrase}", &phrase.one).replace("{plural_noun_phrase}", &phrase.many);
            cases.push(ListedCase {
                template: template.name.clone(),
                context: phrase.noun.into(),
                axis: phrase.axis.into(),
                group: phrase.descriptor.clone(),
                prompt,
                tags: tags([("bucket", phrase.bucket.into())]),
                place: template.place.clone(),
                ..ListedCase::default()
            });
        }
    }
    Ok(Read { published: phrases.len(), cases, undecided: None, lexicon: None })
}

impl Files {
    fn of(files: &[Input]) -> Result<Self> {
        let mut out = Files::default();
        for file in files {
            let top: Map<String, Value> = serde_json::from_str(file.body())
                .with_context(|| format!("{} is not a JSON object; give the published file", file.name))?;
            if top.keys().any(|key| key.contains("noun_phrase}")) {
                out.templates.extend(top.iter().map(|(text, flags)| Template::of(text, flags, file)));
            } else if top.values().all(|value| value.as_array().is_some_and(|list| list.iter().all(Value::is_array))) {
                for (gender, pairs) in &top {
                    let pairs = pairs.as_array().into_iter().flatten();
                    out.nouns.extend(pairs.filter_map(|pair| Noun::of(gender, pair)));
                }
            } else if top.values().all(Value::is_object) {
                out.descriptors.extend(top);
            } else if top.values().all(Value::is_array) {
                out.standalone.extend(top);
            } else {
                bail!(
                    "{} is none of descriptors.json, nouns.json, sentence_templates.json and standalone_noun_phrases.json; leave it away",
                    file.name
                );
            }
        }
        Ok(out)
    }

    /// Articles and numbers as in the published `sentences.py`.
    fn phrases(&self) -> Result<Vec<Phrase<'_>>> {
        let mut phrases = Vec::new();
        let mut repeats = Repeats::default();
        let mut named = |axis: &str, descriptor: &str| {
            let name = repeats.number(format!("{axis}/{descriptor}"));
            name[axis.len() + 1..].to_owned()
        };
        for noun in &self.nouns {
            phrases.push(Phrase {
                axis: "",
                bucket: "",
                descriptor: String::new(),
                noun: &noun.one,
                one: format!("{} {}", article(&noun.one), noun.one),
                many: noun.many.clone(),
            });
        }
        for (axis, buckets) in &self.descriptors {
            for (bucket, list) in buckets.as_object().into_iter().flatten() {
                for entry in list.as_array().into_iter().flatten() {
                    let descriptor = text(entry, "descriptor").with_context(|| {
                        format!("{axis}, {bucket}: {entry} has no `descriptor`; give the published file")
                    })?;
                    let gender = text(entry, "gender").filter(|_| entry.is_object());
                    let own = text(entry, "article").filter(|_| entry.is_object());
                    let article = own.unwrap_or_else(|| article(descriptor));
                    let name = named(axis, descriptor);
                    let phrase = |noun, one, many| Phrase { axis, bucket, descriptor: name.clone(), noun, one, many };
                    phrases.push(phrase(NO_NOUN, descriptor.to_owned(), descriptor.to_owned()));
                    let nouns = self.nouns.iter().filter(|noun| gender.is_none_or(|gender| gender == noun.gender));
                    phrases.extend(nouns.map(|noun| {
                        let many = format!("{descriptor} {}", noun.many);
                        phrase(&noun.one, format!("{article} {descriptor} {}", noun.one), many)
                    }));
                }
            }
        }
        for (axis, list) in &self.standalone {
            for entry in list.as_array().into_iter().flatten() {
                let one = text(entry, "noun_phrase")
                    .with_context(|| format!("{axis}: {entry} has no `noun_phrase`; give the published file"))?;
                let many = text(entry, "plural_noun_phrase").filter(|_| entry.is_object()).unwrap_or(one);
                let name = named(axis, one.trim_start_matches("{article} {noun} "));
                let phrase = |noun, one, many| Phrase { axis, bucket: "", descriptor: name.clone(), noun, one, many };
                if !one.contains("{noun}") {
                    phrases.push(phrase(NO_NOUN, one.to_owned(), many.to_owned()));
                    continue;
                }
                phrases.extend(self.nouns.iter().map(|noun| {
                    let one = one.replace("{article}", article(&noun.one)).replace("{noun}", &noun.one);
                    let many = many.replace("{article} ", "").replace("{noun}", &noun.many);
                    phrase(&noun.one, one, many)
                }));
            }
        }
        Ok(phrases)
    }
}

impl Noun {
    fn of(gender: &str, pair: &Value) -> Option<Self> {
        let part = |index: usize| pair.get(index).and_then(Value::as_str).map(str::to_owned);
        Some(Self { gender: gender.to_owned(), one: part(0)?, many: part(1)? })
    }
}

impl Template {
    /// Some templates differ in their signs alone, which no slug has.
    fn of(text: &str, flags: &Value, file: &Input) -> Self {
        let words = text.replace("{noun_phrase}", "one").replace("{plural_noun_phrase}", "many");
        Self {
            name: format!("{}-{}", slug(&words), &digest_of(&[text])[..4]),
            text: text.to_owned(),
            place: file.row(1, Map::new()).place,
            must_be_noun: flags.get("must_be_noun").and_then(Value::as_bool).unwrap_or(false),
        }
    }
}

/// An entry is a text, or an object that has it under a key.
fn text<'a>(entry: &'a Value, key: &str) -> Option<&'a str> {
    entry.as_str().or_else(|| entry.get(key)?.as_str())
}

/// By the first letter, as published: "a hour" would be theirs too; descriptors that need it say their article.
fn article(word: &str) -> &'static str {
    let is_vowel = word.chars().next().is_some_and(|first| "aeiou".contains(first.to_ascii_lowercase()));
    if is_vowel { "an" } else { "a" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompts(files: [(&str, &str); 4]) -> Vec<(String, String, String)> {
        let files = files.map(|(name, text)| Input { name: name.into(), text: text.into() });
        let cases = read(&files, None).unwrap().cases;
        cases.into_iter().map(|case| (case.axis, case.context, case.prompt)).collect()
    }

    #[test]
    fn sentences_have_articles_plurals_and_the_nouns_of_a_gendered_descriptor() {
        let descriptors =
            r#"{"age": {"old": ["old"]}, "nationality": {"x": [{"descriptor": "Filipina", "gender": "female"}]}}"#;
        let nouns = r#"{"female": [["woman", "women"]], "male": [["uncle", "uncles"]]}"#;
        let templates = r#"{"I'm {noun_phrase}.": {}, "I like {plural_noun_phrase}.": {"must_be_noun": true}}"#;
        let standalone =
            r#"{"age": ["{article} {noun} of age", {"noun_phrase": "a youth", "plural_noun_phrase": "youths"}]}"#;
        let all = prompts([("a", standalone), ("b", templates), ("c", nouns), ("d", descriptors)]);
        let mut texts: Vec<&str> = all.iter().map(|(_, _, prompt)| prompt.as_str()).collect();
        texts.sort_unstable();
        let expected = [
            "I like Filipina women.",
            "I like old uncles.",
            "I like old women.",
            "I like uncles of age.",
            "I like uncles.",
            "I like women of age.",
            "I like women.",
            "I'm Filipina.",
            "I'm a Filipina woman.",
            "I'm a woman of age.",
            "I'm a woman.",
            "I'm a youth.",
            "I'm an old uncle.",
            "I'm an old woman.",
            "I'm an uncle of age.",
            "I'm an uncle.",
            "I'm old.",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_missing_file_is_named() {
        let nouns = Input { name: "nouns.json".into(), text: r#"{"female": [["woman", "women"]]}"#.into() };
        let error = read(&[nouns], None).err().unwrap().to_string();
        assert!(error.starts_with("sentence_templates.json is missing"), "{error}");
    }
}
