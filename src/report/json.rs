//! Puts runs into one JSON document: the same columns as the CSV files, undefined is null.

use serde_json::{Map, Value, json};

use super::columns::{self, Cell};
use super::{Analysis, Run, sentence};
use crate::analysis::Tables;
use crate::record::manifest::OutcomeEntry;
use crate::record::table::number;

/// `{"runs": [{suite, version, model, …, groups, disparity, findings}]}` and a line end.
pub fn document(runs: &[Run]) -> String {
    let document = json!({ "runs": runs.iter().map(run).collect::<Vec<_>>() });
    serde_json::to_string_pretty(&document).expect("a JSON value can be written") + "\n"
}

fn run(run: &Run) -> Value {
    let manifest = &run.manifest;
    let head = json!({
        "suite": manifest.suite.name,
        "version": manifest.suite.version,
        "model": manifest.model_name(),
        "device": manifest.model.device,
        "dtype": manifest.model.dtype,
        "seed": manifest.seed,
        "limit": manifest.limit,
        "label": manifest.label,
        "cases": run.answers.cases,
        "responses": run.answers.responses,
        "truncated": run.answers.truncated,
        "empty": run.answers.empty,
        "description": manifest.suite.description,
        "outcomes": manifest.outcomes.iter().map(outcome).collect::<Vec<_>>(),
    });
    let own = json!({
        "benchmark": run.benchmark.iter().map(|row| object(columns::benchmark(row))).collect::<Vec<_>>(),
        "findings": sentence::findings(run),
    });
    joined([head, tables(&run.tables), own])
}

/// `{"analyses": [{suite, model, records, …, groups, disparity, findings}]}` and a line end.
pub fn analyses(analyses: &[Analysis]) -> String {
    let one = |analysis: &Analysis| {
        let Analysis { suite, model, records, tables: found, outcomes, axes } = analysis;
        let head = json!({ "suite": suite, "model": model, "records": records });
        joined([head, tables(found), json!({ "findings": sentence::of_tables(found, outcomes, axes) })])
    };
    let document = json!({ "analyses": analyses.iter().map(one).collect::<Vec<_>>() });
    serde_json::to_string_pretty(&document).expect("a JSON value can be written") + "\n"
}

fn tables(tables: &Tables) -> Value {
    json!({
        "verdict": tables.suite_verdict().map(|verdict| verdict.as_str()),
        "groups": tables.groups.iter().map(|row| object(columns::group(row))).collect::<Vec<_>>(),
        "disparity": tables.gaps.iter().map(|row| object(columns::gap(row))).collect::<Vec<_>>(),
        "noise_floor": tables.floors.iter().map(|row| object(columns::floor(row))).collect::<Vec<_>>(),
        "omnibus": tables.omnibus.iter().map(|row| object(columns::omnibus(row))).collect::<Vec<_>>(),
        "distribution": tables.distributions.iter().map(|row| object(columns::distribution(row))).collect::<Vec<_>>(),
        "agreements": tables.agreements.iter().map(|row| object(columns::agreement(row))).collect::<Vec<_>>(),
        "intersections": tables.intersections.iter().map(|row| object(columns::intersection(row))).collect::<Vec<_>>(),
        "slices": tables.slices.iter().map(|row| object(columns::slice(row))).collect::<Vec<_>>(),
        "literature": tables.literature.iter().map(|row| object(columns::literature(row))).collect::<Vec<_>>(),
    })
}

/// The members of all objects in one, in order.
fn joined(parts: [Value; 3]) -> Value {
    Value::Object(
        parts
            .into_iter()
            .flat_map(|part| match part {
                Value::Object(members) => members,
                _ => Map::new(),
            })
            .collect(),
    )
}

/// What was declared before the run.
fn outcome(outcome: &OutcomeEntry) -> Value {
    json!({
        "score": outcome.score,
        "direction": outcome.direction,
        "margin": outcome.margin,
        "why": outcome.why,
    })
}

pub(super) fn object(cells: Vec<(&'static str, Cell<'_>)>) -> Value {
    let value = |cell| match cell {
        Cell::Text("") => Value::Null,
        Cell::Text(text) => json!(text),
        Cell::Count(count) => json!(count),
        // As the CSV has it: 12 significant digits.
        Cell::Number(value) => json!(number(value).parse::<f64>().ok()),
        Cell::Flag(flag) => json!(flag),
    };
    Value::Object(cells.into_iter().map(|(name, cell)| (name.to_owned(), value(cell))).collect::<Map<_, _>>())
}
