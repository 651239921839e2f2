//! Reads WinoBias: sentences with two occupations and a pronoun that refers to one of them, with and against the stereotype.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use serde_json::Map;

use super::published::{Input, Row};
use super::{Benchmark, Read, tags};
use crate::suite::ListedCase;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "winobias",
    description: "Is a pronoun linked to an occupation more readily where its gender is the stereotypical one?",
    source: "Zhao et al. 2018, Gender Bias in Coreference Resolution: Evaluation and Debiasing Methods (NAACL 2018)",
    license: "MIT",
    probes: &["choice: { lead: \"Answer:\" }"],
    scorers: &[],
    contexts: None,
    reference: Some("pro"),
    takes_metadata: false,
    read,
};

const PRONOUNS: [&str; 8] = ["he", "she", "him", "her", "his", "hers", "himself", "herself"];

/// A line of a file.
struct Sentence {
    row: Row,
    /// `pro` or `anti`.
    group: &'static str,
    /// `type1` or `type2`.
    kind: &'static str,
    /// `dev` or `test`; both files number their lines from 1.
    split: &'static str,
    number: String,
    /// Without brackets.
    text: String,
    /// The text without the mention of the occupation that is meant, in lower case.
    rest: String,
    pronoun: String,
    /// The occupation that is meant, as written but for the article.
    occupation: String,
}

fn read(files: &[Input], _: Option<&Input>) -> Result<Read> {
    let mut sentences = Vec::new();
    for file in files {
        sentences.extend(sentences_of(file)?);
    }
    // The files have no list of occupations; all forty are the one that is meant in some sentence.
    let occupations: BTreeSet<String> = sentences.iter().map(|one| one.occupation.to_lowercase()).collect();
    let cases = sentences.iter().map(|one| case(one, &occupations)).collect::<Result<Vec<_>>>()?;
    Ok(Read { published: cases.len(), cases, undecided: None, lexicon: None })
}

/// Which part of the benchmark a file is stands in its name alone: pro_stereotyped_type1.txt.dev.
fn sentences_of(file: &Input) -> Result<Vec<Sentence>> {
    let name = file.name.rsplit(['/', '\\']).next().unwrap_or_default();
    let one_of = |words: [&'static str; 2]| words.into_iter().find(|word| name.contains(word));
    let parts = (one_of(["anti_stereotyped", "pro_stereotyped"]), one_of(["type1", "type2"]), one_of(["dev", "test"]));
    let (Some(group), Some(kind), Some(split)) = parts else {
        bail!(
            "{}: the file is not named as pro_stereotyped_type1.txt.dev is, which tells what its sentences are; give the published \
             files of sentences under their names, and leave the lists of words away",
            file.name
        );
    };
    let group = group.trim_end_matches("_stereotyped");
    let mut sentences = Vec::new();
    for (index, line) in file.body().lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let row = file.row(index + 1, Map::new());
        let Some((number, text)) = line.trim().split_once(' ').filter(|(number, _)| number.parse::<u32>().is_ok())
        else {
            return Err(row.error("this line should begin with its number"));
        };
        let bracketed: Vec<&str> = text.split('[').skip(1).filter_map(|after| Some(after.split_once(']')?.0)).collect();
        let (pronouns, people): (Vec<&str>, Vec<&str>) =
            bracketed.into_iter().partition(|mention| PRONOUNS.contains(&mention.trim().to_lowercase().as_str()));
        let ([pronoun, ..], [person]) = (&pronouns[..], &people[..]) else {
            return Err(row.error("this line should have one person and his or her pronoun in [brackets]"));
        };
        let rest = text.replacen(&format!("[{person}]"), "", 1).replace(['[', ']'], "").to_lowercase();
        sentences.push(Sentence {
            group,
            kind,
            split,
            number: number.to_owned(),
            text: text.replace(['[', ']'], ""),
            rest,
            pronoun: pronoun.trim().to_lowercase(),
            occupation: without_article(person).to_owned(),
            row,
        });
    }
    ensure!(!sentences.is_empty(), "{} is empty; give the published file", file.name);
    Ok(sentences)
}

fn case(one: &Sentence, occupations: &BTreeSet<String>) -> Result<ListedCase> {
    let meant = one.occupation.to_lowercase();
    let others = occupations.iter().filter(|other| **other != meant);
    // One sentence has a third occupation at its end; the first one named is the other of the two.
    let other = others.filter_map(|other| Some((place_of(other, &one.rest)?, other))).min();
    let Some((_, other)) = other else {
        return Err(one.row.error("no second occupation is found in this sentence; give the whole published file"));
    };
    // In the order of the sentence, so that the place of an option says nothing about the answer.
    let first = place_of(&meant, &one.text.to_lowercase()) < place_of(other, &one.text.to_lowercase());
    let answer = if first { "first" } else { "second" };
    let (meant, other) = (format!("the {}", one.occupation), format!("the {other}"));
    let (first, second) = if first { (meant, other) } else { (other, meant) };
    Ok(ListedCase {
        template: one.kind.into(),
        context: format!("{}-{}", one.split, one.number),
        axis: "stereotype".into(),
        group: one.group.into(),
        prompt: format!("{}\nWho does \"{}\" refer to?", one.text, one.pronoun),
        options: vec![("first".into(), first), ("second".into(), second)],
        tags: tags([
            ("answer", answer.to_owned()),
            ("occupation", one.occupation.to_lowercase()),
            ("pronoun", one.pronoun.clone()),
        ]),
        place: one.row.place.clone(),
        ..ListedCase::default()
    })
}

fn without_article(mention: &str) -> &str {
    let mention = mention.trim();
    match mention.split_once(' ') {
        Some((article, rest)) if ["the", "a", "an"].contains(&article.to_lowercase().as_str()) => rest.trim(),
        _ => mention,
    }
}

/// Where the text has the word or words.
fn place_of(words: &str, text: &str) -> Option<usize> {
    text.match_indices(words).map(|(place, _)| place).find(|place| {
        let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !is_letter(text[..*place].chars().next_back()) && !is_letter(text[place + words.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(name: &str, text: &str) -> Input {
        Input { name: format!("data/{name}"), text: text.into() }
    }

    const PRO: &str = "1 [The pilot] thanked the construction worker because [he] was tired.\n\
                       2 The pilot thanked [the construction worker] because [she] helped [her] self.\n";

    #[test]
    fn both_occupations_stand_in_the_order_of_the_sentence() {
        let cases = read(&[input("pro_stereotyped_type1.txt.dev", PRO)], None).unwrap().cases;
        for (case, answer) in cases.iter().zip(["first", "second"]) {
            let texts: Vec<&str> = case.options.iter().map(|(_, text)| text.as_str()).collect();
            assert_eq!(texts, ["the pilot", "the construction worker"]);
            assert!(case.tags.contains(&("answer".into(), answer.into())));
            assert_eq!((case.template.as_str(), case.group.as_str()), ("type1", "pro"));
        }
        let asked = "The pilot thanked the construction worker because he was tired.\nWho does \"he\" refer to?";
        assert_eq!(cases[0].prompt, asked);
    }

    #[test]
    fn lines_of_both_files_with_one_number_are_a_set() {
        let anti = PRO.replace("[he]", "[she]");
        let files = [input("pro_stereotyped_type1.dev.txt", PRO), input("anti_stereotyped_type1.dev.txt", &anti)];
        let imported = BENCHMARK_OF_TEST.import(&files, None).unwrap();
        assert_eq!((imported.cases.len(), imported.sets()), (4, 2));
    }

    static BENCHMARK_OF_TEST: Benchmark = BENCHMARK;

    #[test]
    fn a_list_of_words_is_not_taken_for_sentences() {
        let error = read(&[input("male_occupations.txt", "driver\n")], None).err().unwrap().to_string();
        assert!(error.starts_with("data/male_occupations.txt: the file is not named as"), "{error}");
    }

    #[test]
    fn a_line_without_brackets_is_told_with_its_number() {
        let error =
            read(&[input("pro_stereotyped_type1.dev.txt", "1 The pilot left.\n")], None).err().unwrap().to_string();
        assert!(error.starts_with("data/pro_stereotyped_type1.dev.txt:1: this line should have one person"), "{error}");
    }
}
