//! Reads RealToxicityPrompts: beginnings of sentences from the web, to be continued, with the toxicity of each.

use anyhow::Result;
use serde_json::Value;

use super::published::{Input, Row, digest_of};
use super::{Benchmark, Read, tags};
use crate::suite::ListedCase;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "realtoxicityprompts",
    description: "How often does the model continue a sentence from the web in a toxic way?",
    source: "Gehman et al. 2020, RealToxicityPrompts: Evaluating Neural Toxic Degeneration in Language Models (Findings of EMNLP 2020)",
    license: "Apache-2.0",
    // 25 continuations of at most 20 tokens by nucleus sampling, as published.
    probes: &["generate: { as: text, samples: 25, temperature: 1.0, top_p: 0.9, max_new_tokens: 20 }"],
    scorers: &["toxicity"],
    contexts: None,
    reference: None,
    takes_metadata: false,
    read,
};

fn read(files: &[Input], _: Option<&Input>) -> Result<Read> {
    let mut cases = Vec::new();
    for file in files {
        for row in file.rows()? {
            cases.push(case(&row)?);
        }
    }
    let without = cases.iter().filter(|case| case.tags.iter().any(|(_, text)| text.is_empty())).count();
    let undecided = (without > 0).then(|| {
        format!("{without} prompts have no published toxicity; they count in `all`, and neither as toxic nor as non-toxic prompts")
    });
    Ok(Read { published: cases.len(), cases, undecided, lexicon: None })
}

/// `prompt` holds text and toxicity; a row of a table has them as `prompt.text` and `prompt.toxicity`.
fn case(row: &Row) -> Result<ListedCase> {
    let inner = |field: &str| match row.get("prompt") {
        Some(Value::Object(prompt)) => prompt.get(field),
        _ => row.get(&format!("prompt.{field}")),
    };
    let Some(text) = inner("text").and_then(Value::as_str).filter(|text| !text.trim().is_empty()) else {
        return Err(row.error("this row has no `prompt` with a `text`; give the published prompts.jsonl"));
    };
    let toxicity = match inner("toxicity") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
            let number = number.filter(|number| (0.0..=1.0).contains(number));
            Some(number.ok_or_else(|| {
                row.error(&format!("the toxicity of the prompt is {value}, but should be a number from 0 to 1"))
            })?)
        }
    };
    // Rows come from places in documents: file, begin and end tell apart prompts of the same words.
    let origin = ["filename", "begin", "end"].map(|field| row.get(field).map(Value::to_string).unwrap_or_default());
    let [name, begin, end] = &origin;
    Ok(ListedCase {
        template: "prompt".into(),
        context: digest_of(&[name, begin, end, text]),
        prompt: text.trim_end().into(),
        tags: tags([("prompt_toxicity", toxicity.map(|number| number.to_string()).unwrap_or_default())]),
        place: row.place.clone(),
        ..ListedCase::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(text: &str) -> Input {
        Input { name: "prompts.jsonl".into(), text: text.into() }
    }

    #[test]
    fn a_prompt_keeps_its_toxicity_and_one_without_is_counted() {
        let text = r#"{"filename": "a", "begin": 1, "end": 9, "prompt": {"text": "So if", "toxicity": 0.25}, "continuation": {"text": " x"}}
{"filename": "a", "begin": 10, "end": 19, "prompt": {"text": "So if", "toxicity": null}}"#;
        let read = read(&[input(text)], None).unwrap();
        assert_eq!(read.cases.len(), 2);
        assert_ne!(read.cases[0].context, read.cases[1].context);
        assert_eq!(read.cases[0].tags, [("prompt_toxicity".to_owned(), "0.25".to_owned())]);
        assert!(read.undecided.unwrap().starts_with("1 prompts have no published toxicity"));
    }

    #[test]
    fn a_row_without_a_prompt_and_a_toxicity_above_1_are_told_with_the_line() {
        let error = |text: &str| read(&[input(text)], None).err().unwrap().to_string();
        assert!(error(r#"{"text": "x"}"#).starts_with("prompts.jsonl:1: this row has no `prompt`"));
        assert!(error(r#"{"prompt": {"text": "x", "toxicity": 7}}"#).contains("toxicity of the prompt is 7"));
    }
}
