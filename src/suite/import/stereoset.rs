//! Reads StereoSet: a stereotype, an anti-stereotype and an unrelated text about a target, in the nested published file or flattened.

use anyhow::{Context as _, Result};
use serde_json::{Map, Value};

use super::published::{Input, Row, digest_of};
use super::{Benchmark, Read, tags};
use crate::suite::ListedCase;

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "stereoset",
    description: "Does the model find a stereotype more likely than its opposite, and either more likely than an unrelated text?",
    source: "Nadeem et al. 2021, StereoSet: Measuring stereotypical bias in pretrained language models (ACL 2021)",
    license: "CC-BY-SA-4.0",
    probes: &["likelihood: { as: text }"],
    scorers: &[],
    contexts: None,
    reference: Some("anti-stereotype"),
    takes_metadata: false,
    read,
};

const GROUPS: [&str; 3] = ["stereotype", "anti-stereotype", "unrelated"];
const TASKS: [&str; 2] = ["intrasentence", "intersentence"];

fn read(files: &[Input], _: Option<&Input>) -> Result<Read> {
    let mut cases = Vec::new();
    let mut published = 0;
    for file in files {
        let rows = match nested(file) {
            Some(data) => flat(file, &data)?,
            None => file.rows()?,
        };
        published += rows.len();
        for row in rows {
            cases.extend(item(&row)?);
        }
    }
    Ok(Read { published, cases, undecided: None, lexicon: None })
}

/// The `data` of the published file, which is one JSON object.
fn nested(file: &Input) -> Option<Map<String, Value>> {
    let mut whole: Map<String, Value> = serde_json::from_str(file.body()).ok()?;
    match whole.remove("data")? {
        Value::Object(data) => Some(data),
        _ => None,
    }
}

/// The nested items as flat rows; their line is the item's number in its task.
fn flat(file: &Input, data: &Map<String, Value>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for task in TASKS {
        let items = data.get(task).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        for (index, item) in items.iter().enumerate() {
            let place = || format!("{}: data.{task}[{index}] should be an item with `sentences`", file.name);
            let mut fields = item.as_object().cloned().with_context(place)?;
            fields.insert("type".into(), task.into());
            let sentences = fields.remove("sentences").with_context(place)?;
            for sentence in sentences.as_array().with_context(place)? {
                let label = sentence.get("gold_label").and_then(Value::as_str).with_context(place)?;
                fields.insert(label.into(), sentence.get("sentence").cloned().unwrap_or_default());
            }
            rows.push(file.row(index + 1, fields));
        }
    }
    Ok(rows)
}

fn item(row: &Row) -> Result<[ListedCase; 3]> {
    let task = row.word("type", &TASKS)?;
    let (axis, target, context) = (row.text("bias_type")?, row.text("target")?, row.text("context")?);
    let [stereotype, opposite, unrelated] = GROUPS.map(|group| row.text(group));
    let texts = [stereotype?, opposite?, unrelated?];
    let id = match row.get("id") {
        Some(_) => row.text("id")?,
        None => digest_of(&[&task, &context, &texts[0], &texts[1], &texts[2]]),
    };
    let case = |(group, text): (&str, String)| {
        // Within a sentence the text is the context with its blank filled; between sentences it follows the context.
        let (prompt, continuation) = if task == TASKS[0] { (text, None) } else { (context.clone(), Some(text)) };
        ListedCase {
            template: task.clone(),
            context: id.clone(),
            axis: axis.clone(),
            group: group.into(),
            prompt,
            continuation,
            tags: tags([("target", target.clone())]),
            place: row.place.clone(),
            ..ListedCase::default()
        }
    };
    let [first, second, third] = texts;
    Ok([(GROUPS[0], first), (GROUPS[1], second), (GROUPS[2], third)].map(case))
}
