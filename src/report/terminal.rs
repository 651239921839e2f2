//! Prints a run for reading: what was asked, group means, gaps, and the findings in sentences.

mod beside;

use self::beside::beside;
use super::sentence::{self, findings, p_value, plain, signed};
use super::{Analysis, Run};
use crate::analysis::benchmark::Row;
use crate::analysis::{GapRow, GroupRow, Tables, Verdict};

/// The whole text, ending with a line end.
pub fn text(run: &Run) -> String {
    let manifest = &run.manifest;
    let mut out = heading(run);
    out.push('\n');
    out += &tables(&run.tables);
    if !run.benchmark.is_empty() {
        out += &format!("\nThe statistics of {}:\n", manifest.suite.benchmark.as_deref().unwrap_or("the benchmark"));
        out += &table(&BENCHMARK_COLUMNS, run.benchmark.iter().map(benchmark_cells).collect());
        out += "Intervals resample whole clusters (questions, pairs, targets) and are approximate below 50 of them.\n";
    }
    out += &sentences(findings(run));
    let is_open = |gap: &GapRow| gap.verdict == Some(Verdict::Inconclusive);
    if manifest.limit.is_none() && run.tables.gaps.iter().any(is_open) {
        out += "A suite gets more clusters by more templates, factor levels or contexts.\n";
    }
    if let Some(limit) = manifest.limit {
        let contexts = if limit == 1 { "1 context".into() } else { format!("{limit} contexts") };
        out += &format!("Limited to {contexts} (--limit): good for a try, not for a verdict on the model.\n");
    }
    out += "This measures these prompts and this model only.\n";
    out
}

/// Records that came without a run: their tables and findings.
pub fn analysis(analysis: &Analysis) -> String {
    let Analysis { suite, model, records, tables, .. } = analysis;
    let mut out = format!("{suite} on {model}: {records} records\n\n{}", self::tables(tables));
    out += &sentences(sentence::of_tables(tables, &analysis.outcomes, &analysis.axes));
    out
}

/// Group means, gaps, and what stands beside them.
fn tables(tables: &Tables) -> String {
    if tables.groups.is_empty() {
        return "The cases compare no groups, so that there is no table of gaps.\n".into();
    }
    let groups = table(&GROUP_COLUMNS, tables.groups.iter().map(group_cells).collect());
    let gaps = table(&GAP_COLUMNS, tables.gaps.iter().map(gap_cells).collect());
    format!("{groups}\n{gaps}{}", beside(tables))
}

/// An empty line and a line each; nothing without findings.
fn sentences(findings: Vec<String>) -> String {
    let lines: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

fn heading(run: &Run) -> String {
    let (manifest, answers) = (&run.manifest, &run.answers);
    let written = match manifest.probes.iter().find_map(|probe| probe.max_new_tokens) {
        Some(limit) => format!(", {} cut at {limit} tokens, {} empty", answers.truncated, answers.empty),
        None => String::new(),
    };
    let read = match answers.read {
        0 => String::new(),
        read if read == answers.responses => " read as probabilities".into(),
        read => format!(", {read} of them read as probabilities"),
    };
    format!(
        "{}@{} on {} ({}, {}), seed {}\n{} cases, {} answers{read}{written}\n",
        manifest.suite.name,
        manifest.suite.version,
        manifest.model_name(),
        manifest.model.dtype,
        manifest.model.device,
        manifest.seed,
        answers.cases,
        answers.responses,
    )
}

/// A column's heading, and whether its cells stand to the right.
pub type Column = (&'static str, bool);

const GROUP_COLUMNS: [Column; 8] = [
    ("axis", false),
    ("group", false),
    ("score", false),
    ("clusters", true),
    ("answers", true),
    ("unscored", true),
    ("mean", true),
    ("95 % interval", true),
];

fn group_cells(row: &GroupRow) -> Vec<String> {
    let width = row.width;
    vec![
        row.axis.clone(),
        row.group.clone(),
        row.scorer.clone(),
        row.clusters.to_string(),
        row.responses.to_string(),
        row.unscored.to_string(),
        row.mean.map_or(NONE.into(), |mean| plain(mean, width)),
        interval(row.low, row.high, |value| plain(value, width)),
    ]
}

const GAP_COLUMNS: [Column; 10] = [
    ("axis", false),
    ("group − reference", false),
    ("score", false),
    ("clusters", true),
    ("gap", true),
    ("95 % interval", true),
    ("p", true),
    ("adjusted p", true),
    ("margin", true),
    ("verdict", false),
];

fn gap_cells(row: &GapRow) -> Vec<String> {
    let status = match row.status.as_str() {
        "ok" => String::new(),
        status => format!(" ({})", status.replace('_', " ")),
    };
    vec![
        row.axis.clone(),
        format!("{} − {}", row.group, row.reference),
        row.scorer.clone(),
        row.clusters.to_string(),
        row.gap.map_or(NONE.into(), |gap| signed(gap, row.width)),
        interval(row.low, row.high, |value| signed(value, row.width)),
        row.p.map_or(NONE.into(), p_value),
        row.p_adjusted.map_or("–".into(), p_value),
        row.margin.map_or("–".into(), |margin| format!("±{margin}")),
        format!("{}{status}", row.verdict.map_or("–", |verdict| verdict.as_str())),
    ]
}

const BENCHMARK_COLUMNS: [Column; 5] =
    [("statistic", false), ("subset", false), ("n", true), ("value", true), ("95 % interval", true)];

fn benchmark_cells(row: &Row) -> Vec<String> {
    let show = |value: f64| format!("{value:.2}").replacen('-', "−", 1);
    vec![
        row.statistic.clone(),
        row.subset.clone(),
        row.n.to_string(),
        row.value.map_or(NONE.into(), show),
        interval(row.low, row.high, show),
    ]
}

/// What an undefined number reads as.
pub const NONE: &str = "n/a";

pub fn interval(low: Option<f64>, high: Option<f64>, show: impl Fn(f64) -> String) -> String {
    match (low, high) {
        (Some(low), Some(high)) => format!("{} … {}", show(low), show(high)),
        _ => NONE.into(),
    }
}

/// Columns as wide as their widest cell, two blanks between.
pub fn table(columns: &[Column], rows: Vec<Vec<String>>) -> String {
    let width = |index: usize| {
        let cells = rows.iter().map(|row| row[index].chars().count());
        cells.chain([columns[index].0.chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().zip(columns.iter().zip(&widths)).map(|(cell, ((_, to_the_right), width))| {
            if *to_the_right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    let header = line(columns.iter().map(|(name, _)| *name).collect());
    std::iter::once(header).chain(rows.iter().map(|row| line(row.iter().map(String::as_str).collect()))).collect()
}
