//! Reads BBQ: questions with three options, one of them "unknown", about two groups in a short context.

use std::collections::HashMap;

use anyhow::{Result, bail};
use serde_json::Value;

use super::published::{Input, Row};
use super::{Benchmark, Read, tags};
use crate::suite::ListedCase;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "bbq",
    description: "Does the model answer questions about people by stereotype, where the context tells and where it does not?",
    source: "Parrish et al. 2022, BBQ: A Hand-Built Bias Benchmark for Question Answering (Findings of ACL 2022)",
    license: "CC-BY-4.0",
    probes: &["choice: { style: letters, lead: \"Answer:\" }"],
    scorers: &[],
    contexts: None,
    reference: None,
    takes_metadata: true,
    read,
};

const OPTIONS: [&str; 3] = ["ans0", "ans1", "ans2"];

fn read(files: &[Input], metadata: Option<&Input>) -> Result<Read> {
    let metadata = metadata.map(Metadata::read).transpose()?;
    let mut cases = Vec::new();
    let mut undecided = 0;
    for file in files {
        for row in file.rows()? {
            let case = case(&row, metadata.as_ref())?;
            undecided += usize::from(case.tags.iter().any(|(name, text)| name == "target_loc" && text.is_empty()));
            cases.push(case);
        }
    }
    let undecided = (undecided > 0).then(|| {
        let how = if metadata.is_some() { "" } else { " (the published metadata may: --metadata)" };
        format!("which option is the biased one is not decided in {undecided} cases{how}; they count for accuracy only")
    });
    Ok(Read { published: cases.len(), cases, undecided, lexicon: None })
}

fn case(row: &Row, metadata: Option<&Metadata>) -> Result<ListedCase> {
    let (category, example) = (row.text("category")?, row.text("example_id")?);
    let index = row.text("question_index")?;
    let polarity = row.word("question_polarity", &["neg", "nonneg"])?;
    let condition = row.word("context_condition", &["ambig", "disambig"])?;
    let mut options = Vec::new();
    for id in OPTIONS {
        options.push((id.to_owned(), row.text(id)?));
    }
    let names = column(row, 0)?;
    let groups = column(row, 1)?;
    let label = row.word("label", &["0", "1", "2"])?;
    let unknown: Vec<usize> = (0..3).filter(|option| plain(&groups[*option]) == "unknown").collect();
    let [unknown] = unknown[..] else {
        return Err(row.error("`answer_info` should have the group \"unknown\" for exactly one option"));
    };
    let (target, label_type) = match metadata {
        Some(metadata) => metadata.of(row, &category, &example)?,
        None => (target(row, &names, &groups, unknown, &polarity), String::new()),
    };
    let [group0, group1, group2] = groups;
    Ok(ListedCase {
        template: format!("{category}-{index}"),
        context: example,
        prompt: format!("{}\n{}", row.text("context")?, row.text("question")?),
        options,
        tags: tags([
            ("category", category),
            ("question_index", index),
            ("polarity", polarity),
            ("condition", condition),
            ("label", label),
            ("target_loc", target.map(|target| target.to_string()).unwrap_or_default()),
            ("unknown", unknown.to_string()),
            ("label_type", label_type),
            ("group0", group0),
            ("group1", group1),
            ("group2", group2),
        ]),
        place: row.place.clone(),
        ..ListedCase::default()
    })
}

/// What `answer_info` says of each option: its name (0) or its group (1).
fn column(row: &Row, index: usize) -> Result<[String; 3]> {
    let info = row.get("answer_info").ok_or_else(|| row.lacks("answer_info"))?;
    let cell = |id: &str| info.get(id).and_then(|info| info.get(index)).and_then(Value::as_str).map(str::to_owned);
    match OPTIONS.map(cell) {
        [Some(first), Some(second), Some(third)] => Ok([first, second, third]),
        _ => Err(row.error("`answer_info` should have [name, group] for ans0, ans1 and ans2")),
    }
}

/// The option that expresses the bias: of the two people, the one of a stereotyped group where the question is negative, the other one
/// where it is not (Parrish et al. 2022, §3). None where both or neither are of a stereotyped group: there the template decides, which
/// the published rows do not carry.
fn target(row: &Row, names: &[String; 3], groups: &[String; 3], unknown: usize, polarity: &str) -> Option<usize> {
    let stereotyped = row.get("additional_metadata")?.get("stereotyped_groups")?.as_array()?;
    let stereotyped: Vec<String> = stereotyped.iter().filter_map(Value::as_str).map(plain).collect();
    let people: Vec<usize> = (0..3).filter(|option| *option != unknown).collect();
    let (are, are_not): (Vec<usize>, Vec<usize>) =
        people.into_iter().partition(|option| is_of(&names[*option], &groups[*option], &stereotyped));
    match (&are[..], &are_not[..], polarity) {
        ([one], [_], "neg") => Some(*one),
        ([_], [other], _) => Some(*other),
        _ => None,
    }
}

/// The stereotyped groups are given as groups or as names (a nation). A group is a word, or `gender-race` and the like, of which the last
/// part is meant.
fn is_of(name: &str, group: &str, stereotyped: &[String]) -> bool {
    let last = plain(group.rsplit('-').next().unwrap_or(group));
    let gender = match last.as_str() {
        "woman" | "girl" => "f",
        "man" | "boy" => "m",
        last if last.starts_with("trans") => "trans",
        _ => "",
    };
    [&plain(name), &plain(group), &last, gender].iter().any(|name| stereotyped.iter().any(|other| other == *name))
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// (category, example) → target and label type, as in the published `additional_metadata.csv`.
struct Metadata {
    name: String,
    rows: HashMap<(String, String), (Option<usize>, String)>,
}

impl Metadata {
    fn read(file: &Input) -> Result<Self> {
        let mut rows = HashMap::new();
        for row in file.rows()? {
            let target = match row.get("target_loc").and_then(Value::as_str).map(str::trim) {
                None | Some("NA") => None,
                Some("0" | "0.0") => Some(0),
                Some("1" | "1.0") => Some(1),
                Some("2" | "2.0") => Some(2),
                Some(other) => return Err(row.error(&format!("`target_loc` is \"{other}\", but should be 0, 1 or 2"))),
            };
            let label_type = row.get("label_type").and_then(Value::as_str).unwrap_or_default().to_owned();
            rows.insert((row.text("category")?, row.text("example_id")?), (target, label_type));
        }
        if rows.is_empty() {
            bail!("{} has no rows; give the published metadata", file.name);
        }
        Ok(Self { name: file.name.clone(), rows })
    }

    fn of(&self, row: &Row, category: &str, example: &str) -> Result<(Option<usize>, String)> {
        let found = self.rows.get(&(category.to_owned(), example.to_owned()));
        found.cloned().ok_or_else(|| {
            row.error(&format!(
                "{} has no row of category {category} and example_id {example}; give the metadata of these files, or none",
                self.name
            ))
        })
    }
}
