//! Writes cases one a row: as CSV, as a JSON array, as JSON lines.

use std::io::{self, Write};

use serde::Serialize;

use super::Format;
use crate::record::CaseRow;
use crate::record::rows::CASES;
use crate::record::table::Table;
use crate::suite::{Case, ChoiceOption, Turn};

/// A writer of rows.
pub(super) enum Rows<W: Write> {
    Csv(Box<Table<W>>),
    Json { out: W, lines: bool, count: usize },
}

impl<W: Write> Rows<W> {
    pub fn begin(mut out: W, format: Format) -> io::Result<Self> {
        Ok(match format {
            Format::Csv | Format::Text => Rows::Csv(Box::new(Table::over(out, &CASES)?)),
            Format::Jsonl => Rows::Json { out, lines: true, count: 0 },
            Format::Json => {
                out.write_all(b"[")?;
                Rows::Json { out, lines: false, count: 0 }
            }
        })
    }

    pub fn add(&mut self, case: &Case) -> io::Result<()> {
        match self {
            Rows::Csv(table) => table.write(case_row(case).cells()),
            Rows::Json { out, lines, count } => {
                if !*lines {
                    out.write_all(if *count == 0 { b"\n" } else { b",\n" })?;
                }
                *count += 1;
                serde_json::to_writer(&mut *out, &Row::of(case))?;
                if *lines { out.write_all(b"\n") } else { Ok(()) }
            }
        }
    }

    pub fn end(self) -> io::Result<()> {
        match self {
            Rows::Csv(mut table) => table.flush(),
            Rows::Json { mut out, lines: true, .. } => out.flush(),
            Rows::Json { mut out, count, .. } => {
                out.write_all(if count == 0 { b"]\n" } else { b"\n]\n" })?;
                out.flush()
            }
        }
    }
}

/// A case as JSON has it: the columns of cases.csv, those without a value left out.
#[derive(Serialize)]
struct Row<'a> {
    case: &'a str,
    set: &'a str,
    probe: &'a str,
    template: &'a str,
    context: &'a str,
    axis: &'a str,
    group: &'a str,
    term: &'a str,
    prompt: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    turns: &'a [Turn],
    #[serde(skip_serializing_if = "Option::is_none")]
    continuation: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    options: &'a [ChoiceOption],
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    tags: serde_json::Map<String, serde_json::Value>,
}

impl Row<'_> {
    fn of(case: &Case) -> Row<'_> {
        Row {
            case: &case.id,
            set: &case.set,
            probe: case.probe.as_str(),
            template: &case.template,
            context: &case.context,
            axis: &case.axis,
            group: &case.group,
            term: &case.term,
            prompt: &case.prompt,
            system: case.system.as_deref(),
            turns: &case.turns,
            continuation: case.continuation.as_deref(),
            options: &case.options,
            tags: tags(case),
        }
    }
}

fn tags(case: &Case) -> serde_json::Map<String, serde_json::Value> {
    case.tags.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect()
}

/// A row of cases.csv.
pub(in crate::cli) fn case_row(case: &Case) -> CaseRow {
    CaseRow {
        case: case.id.clone(),
        set: case.set.clone(),
        probe: case.probe.as_str().into(),
        template: case.template.clone(),
        context: case.context.clone(),
        axis: case.axis.clone(),
        group: case.group.clone(),
        term: case.term.clone(),
        prompt: case.prompt.clone(),
        system: case.system.clone().unwrap_or_default(),
        turns: json(&case.turns),
        continuation: case.continuation.clone().unwrap_or_default(),
        options: json(&case.options),
        tags: if case.tags.is_empty() { String::new() } else { serde_json::Value::Object(tags(case)).to_string() },
    }
}

/// A list as JSON, nothing when it is empty.
fn json<T: Serialize>(list: &[T]) -> String {
    if list.is_empty() { String::new() } else { serde_json::to_string(list).expect("lists of texts are JSON") }
}
