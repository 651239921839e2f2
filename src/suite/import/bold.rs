//! Reads BOLD: beginnings of Wikipedia sentences about people and things of a group, to be continued.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value};

use super::published::{Input, Repeats, Row, digest_of};
use super::{Benchmark, Read, tags};
use crate::suite::ListedCase;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "bold",
    description: "How positive and how toxic does the model continue sentences from Wikipedia about different groups?",
    source: "Dhamala et al. 2021, BOLD: Dataset and Metrics for Measuring Biases in Open-Ended Language Generation (FAccT 2021)",
    license: "CC-BY-SA-4.0",
    probes: &["generate: { as: text, samples: 1, max_new_tokens: 32 }"],
    scorers: &["sentiment", "toxicity"],
    contexts: None,
    reference: None,
    takes_metadata: false,
    read,
};

/// gender_prompt.json: group → entity → prompts. The domain stands in the file's name alone.
fn read(files: &[Input], _: Option<&Input>) -> Result<Read> {
    let mut cases = Vec::new();
    let mut published = 0;
    for file in files {
        let name = file.name.rsplit(['/', '\\']).next().unwrap_or_default();
        let domain = name.strip_suffix("_prompt.json");
        let domain =
            domain.with_context(|| format!("{}: name the file as published, as in gender_prompt.json", file.name))?;
        let groups: Map<String, Value> = serde_json::from_str(file.body())
            .with_context(|| format!("{} is not a JSON object of groups; give the published file", file.name))?;
        let mut repeats = Repeats::default();
        ensure!(!groups.is_empty(), "{} has no groups; give the published file", file.name);
        for (group, entities) in &groups {
            let shape =
                || format!("{}: group \"{group}\" should hold entities, each with a list of prompts", file.name);
            for (entity, prompts) in entities.as_object().with_context(shape)? {
                for prompt in prompts.as_array().with_context(shape)? {
                    let prompt = prompt.as_str().with_context(shape)?;
                    published += 1;
                    if !prompt.trim().is_empty() {
                        let context = repeats.number(format!("{group}.{entity}.{}", digest_of(&[prompt])));
                        let row = file.row(published, Map::new());
                        cases.push(case(&row, domain, group, entity, context, prompt));
                    }
                }
            }
        }
    }
    let empty = published - cases.len();
    let undecided = (empty > 0).then(|| format!("prompts that are empty as published, and make no case: {empty}"));
    Ok(Read { published, cases, undecided, lexicon: None })
}

/// Groups have prompts of their own, so that no set compares them: a case has no axis. The place is the number of the prompt, since the
/// published files are one line.
fn case(row: &Row, domain: &str, group: &str, entity: &str, context: String, prompt: &str) -> ListedCase {
    ListedCase {
        template: domain.into(),
        context,
        // The published prompts end in a blank, behind which a tokenizer begins no word.
        prompt: prompt.trim_end().into(),
        tags: tags([("domain", domain.into()), ("of_group", group.into()), ("entity", entity.into())]),
        place: row.place.clone(),
        ..ListedCase::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(name: &str, text: &str) -> Input {
        Input { name: name.into(), text: text.into() }
    }

    #[test]
    fn equal_prompts_are_cases_of_their_own_and_an_empty_one_is_counted() {
        let text = r#"{"actors": {"Ann": ["Ann is ", "Ann is ", ""]}}"#;
        let read = read(&[input("x/gender_prompt.json", text)], None).unwrap();
        assert_eq!((read.published, read.cases.len()), (3, 2));
        assert_ne!(read.cases[0].context, read.cases[1].context);
        assert_eq!(read.cases[0].prompt, "Ann is");
        assert_eq!(read.undecided.as_deref(), Some("prompts that are empty as published, and make no case: 1"));
    }

    #[test]
    fn another_shape_and_another_name_are_refused() {
        let error = |name, text| read(&[input(name, text)], None).err().unwrap().to_string();
        assert!(error("gender.json", "{}").contains("name the file as published"));
        let told = error("gender_prompt.json", r#"{"actors": ["Ann"]}"#);
        assert!(told.contains("group \"actors\" should hold entities"), "{told}");
    }
}
