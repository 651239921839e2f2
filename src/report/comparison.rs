//! Shows how versions of a model compare: comparison.csv and versions.csv, the terminal's tables and sentences, JSON.

mod sentence;

use serde_json::{Value, json};

use self::sentence::findings;
pub use self::sentence::{finding, why_not};
use super::columns::{Cell, Cells, of_gap, write};
use super::json::object;
use super::sentence::{plain, signed};
use super::terminal::{Column, NONE, interval, table};
use crate::analysis::GapRow;
use crate::analysis::compare::{ChangeVerdict, ComparisonRow, Level, suite_change, verdicts};

/// Columns that text on a terminal may take.
const WIDTH: usize = 80;

/// One base and its candidates, on one or several suites.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// What the versions are called, the base first.
    pub names: Vec<String>,
    /// Sorted by suite, axis, group and scorer, then in the order of the candidates.
    pub rows: Vec<ComparisonRow>,
    /// Sorted likewise, the base first.
    pub versions: Vec<VersionRow>,
    pub differences: Vec<Differences>,
}

/// A row of versions.csv: one gap of one version by itself, over all of its own cells.
#[derive(Debug, Clone, Default)]
pub struct VersionRow {
    pub version: String,
    pub gap: GapRow,
}

/// What else is different between the base and a candidate, one thing a line.
#[derive(Debug, Clone, Default)]
pub struct Differences {
    pub candidate: String,
    pub suite: String,
    pub lines: Vec<String>,
}

/// The columns of comparison.csv with a row's values.
fn comparison(row: &ComparisonRow) -> Cells<'_> {
    let yes_or_no = |flag: Option<bool>| Cell::Text(flag.map_or("", |flag| if flag { "yes" } else { "no" }));
    let [mean, refusal, unscored] = [row.mean, row.refusal, row.unscored];
    of_gap(
        [&row.suite, &row.axis, &row.group, &row.reference, &row.scorer],
        [
            ("clusters", Cell::Count(Some(row.clusters))),
            ("gap_base", Cell::Number(row.gap_base)),
            ("gap_candidate", Cell::Number(row.gap_candidate)),
            ("did", Cell::Number(row.did)),
            ("low", Cell::Number(row.low)),
            ("high", Cell::Number(row.high)),
            ("se", Cell::Number(row.se)),
            ("df", Cell::Number(row.df)),
            ("p", Cell::Number(row.p)),
            ("p_regression", Cell::Number(row.p_regression)),
            ("p_improvement", Cell::Number(row.p_improvement)),
            ("change_upper", Cell::Number(row.change_upper)),
            ("margin", Cell::Number(row.margin)),
            ("verdict", Cell::Text(row.verdict.map_or("", ChangeVerdict::as_str))),
            ("sign_change", yes_or_no(row.sign_change)),
            ("status", Cell::Text(row.status.as_str())),
            ("candidate", Cell::Text(&row.candidate)),
            ("p_adjusted", Cell::Number(row.p_adjusted)),
            ("p_regression_adjusted", Cell::Number(row.p_regression_adjusted)),
            ("p_improvement_adjusted", Cell::Number(row.p_improvement_adjusted)),
            ("size_change", Cell::Number(row.size_change)),
            ("verdict_base", Cell::Text(row.verdict_base.map_or("", |verdict| verdict.as_str()))),
            ("verdict_candidate", Cell::Text(row.verdict_candidate.map_or("", |verdict| verdict.as_str()))),
            ("mean_base", Cell::Number(row.mean_base)),
            ("mean_candidate", Cell::Number(row.mean_candidate)),
            ("reference_mean_base", Cell::Number(row.reference_mean_base)),
            ("reference_mean_candidate", Cell::Number(row.reference_mean_candidate)),
            ("mean_change", Cell::Number(mean.change)),
            ("mean_change_low", Cell::Number(mean.low)),
            ("mean_change_high", Cell::Number(mean.high)),
            ("refusal_base", Cell::Number(refusal.base)),
            ("refusal_candidate", Cell::Number(refusal.candidate)),
            ("refusal_change", Cell::Number(refusal.change)),
            ("refusal_change_low", Cell::Number(refusal.low)),
            ("refusal_change_high", Cell::Number(refusal.high)),
            ("unscored_base", Cell::Number(unscored.base)),
            ("unscored_candidate", Cell::Number(unscored.candidate)),
            ("unscored_change_p", Cell::Number(row.unscored_p)),
            ("unscored_did", Cell::Number(row.unscored_did)),
            ("unscored_did_p", Cell::Number(row.unscored_did_p)),
            ("sd", Cell::Number(row.sd)),
            ("se_terms", Cell::Number(row.se_terms)),
            ("correlation", Cell::Number(row.correlation)),
            ("se_unpaired", Cell::Number(row.se_unpaired)),
            ("clusters_needed", Cell::Count(row.clusters_needed)),
            ("control", Cell::Flag(row.control)),
        ],
    )
}

/// The columns of versions.csv with a row's values.
fn version(row: &VersionRow) -> Cells<'_> {
    let gap = &row.gap;
    of_gap(
        [&gap.suite, &gap.axis, &gap.group, &gap.reference, &gap.scorer],
        [
            ("version", Cell::Text(&row.version)),
            ("gap", Cell::Number(gap.gap)),
            ("low", Cell::Number(gap.low)),
            ("high", Cell::Number(gap.high)),
            ("verdict", Cell::Text(gap.verdict.map_or("", |verdict| verdict.as_str()))),
            ("mean", Cell::Number(gap.group_mean)),
            ("reference_mean", Cell::Number(gap.reference_mean)),
            ("status", Cell::Text(gap.status.as_str())),
        ],
    )
}

/// comparison.csv
pub fn write_rows(rows: &[ComparisonRow]) -> Vec<u8> {
    write(&comparison(&ComparisonRow::default()), rows.iter().map(comparison))
}

/// versions.csv
pub fn write_versions(rows: &[VersionRow]) -> Vec<u8> {
    write(&version(&VersionRow::default()), rows.iter().map(version))
}

/// `{"base", "candidates", "verdict", "comparisons": [{candidate, suite, verdict, differences, findings, rows}], "versions"}` and a line
/// end.
pub fn document(found: &Comparison) -> String {
    let one = |part: &Part<'_>| {
        json!({
            "candidate": part.candidate,
            "suite": part.suite,
            "verdict": part.verdict.map(ChangeVerdict::as_str),
            "differences": part.differences,
            "findings": findings(&part.rows),
            "rows": part.rows.iter().map(|row| object(comparison(row))).collect::<Vec<_>>(),
        })
    };
    let parts: Vec<Value> = parts(found).iter().map(one).collect();
    let document = json!({
        "base": found.names.first(),
        "candidates": found.names.get(1..),
        "verdict": suite_change(&found.rows).map(ChangeVerdict::as_str),
        "comparisons": parts,
        "versions": found.versions.iter().map(|row| object(version(row))).collect::<Vec<_>>(),
    });
    serde_json::to_string_pretty(&document).expect("a JSON value can be written") + "\n"
}

/// One candidate on one suite.
struct Part<'c> {
    candidate: String,
    suite: String,
    verdict: Option<ChangeVerdict>,
    differences: &'c [String],
    rows: Vec<&'c ComparisonRow>,
}

fn parts(found: &Comparison) -> Vec<Part<'_>> {
    let part = |one: crate::analysis::compare::SuiteChange| {
        let is_own = |candidate: &str, suite: &str| candidate == one.candidate && suite == one.suite;
        let own = found.differences.iter().find(|other| is_own(&other.candidate, &other.suite));
        Part {
            differences: own.map_or(&[], |own| &own.lines),
            rows: found.rows.iter().filter(|row| is_own(&row.candidate, &row.suite)).collect(),
            candidate: one.candidate,
            suite: one.suite,
            verdict: one.verdict,
        }
    };
    verdicts(&found.rows).into_iter().map(part).collect()
}

/// The whole text, ending with a line end.
pub fn text(found: &Comparison) -> String {
    let parts = parts(found);
    let base = found.names.first().map_or("", |name| name);
    let mut out = String::new();
    for part in &parts {
        out += &format!("{}: {base} → {}\n", part.suite, part.candidate);
        if !part.differences.is_empty() {
            out += "What differs beside the answers:\n";
            out += &part.differences.iter().map(|line| wrapped(line, "  ", "    ")).collect::<String>();
        }
        for of_axis in part.rows.chunk_by(|a, b| a.axis == b.axis) {
            out += &format!("\nGaps by {}:\n{}", of_axis[0].axis, gaps(of_axis));
            out += &format!("\nMeans of both sides:\n{}", levels(of_axis));
        }
        let findings = findings(&part.rows);
        if !findings.is_empty() {
            out.push('\n');
        }
        for finding in findings {
            let mut lines = finding.lines();
            out += &lines.next().map_or(String::new(), |line| wrapped(line, "", "  "));
            out += &lines.map(|line| wrapped(line, "  ", "    ")).collect::<String>();
        }
        out.push('\n');
    }
    if found.names.len() > 2 {
        out += &format!("Every version by itself:\n{}\n", versions(&found.versions));
    }
    for part in &parts {
        let name =
            if found.names.len() > 2 { format!("{} ({})", part.suite, part.candidate) } else { part.suite.clone() };
        out += &format!("{name}: {}\n", said(part.verdict));
    }
    if parts.len() > 1 {
        out += &format!("overall: {}\n", said(suite_change(&found.rows)));
    }
    out
}

/// A verdict in words.
fn said(verdict: Option<ChangeVerdict>) -> String {
    match verdict {
        None => "no verdict, since no outcome was declared (--margin, or outcomes: in the suite)".into(),
        Some(verdict) => verdict.as_str().replace('_', " "),
    }
}

const COLUMNS: [Column; 6] = [
    ("score", false),
    ("group − reference", false),
    ("base", true),
    ("candidate", true),
    ("change", true),
    ("95 % interval", true),
];

fn gaps(rows: &[&ComparisonRow]) -> String {
    let cells = |row: &&ComparisonRow| {
        let size = |value: Option<f64>| value.map_or(NONE.into(), |value| signed(value, row.width));
        vec![
            row.scorer.clone(),
            pair(row),
            size(row.gap_base),
            size(row.gap_candidate),
            size(row.did),
            interval(row.low, row.high, |value| signed(value, row.width)),
        ]
    };
    table(&COLUMNS, rows.iter().map(cells).collect())
}

/// Means of the scores, and shares of unscored answers where there are any.
fn levels(rows: &[&ComparisonRow]) -> String {
    let cells = |name: String, row: &ComparisonRow, level: Level, width: f64| {
        let size = |value: Option<f64>| value.map_or(NONE.into(), |value| plain(value, width));
        let change = level.change.map_or(NONE.into(), |value| signed(value, width));
        let interval = interval(level.low, level.high, |value| signed(value, width));
        vec![name, pair(row), size(level.base), size(level.candidate), change, interval]
    };
    let mut out: Vec<Vec<String>> =
        rows.iter().map(|row| cells(row.scorer.clone(), row, row.mean, row.width)).collect();
    let is_there =
        |level: Level| level.base.is_some_and(|share| share > 0.0) || level.candidate.is_some_and(|share| share > 0.0);
    for row in rows.iter().filter(|row| is_there(row.unscored)) {
        out.push(cells(format!("({} unscored)", row.scorer), row, row.unscored, 1.0));
    }
    table(&COLUMNS, out)
}

fn pair(row: &ComparisonRow) -> String {
    format!("{} − {}", row.group, row.reference)
}

const VERSION_COLUMNS: [Column; 5] = [
    ("score: group − reference", false),
    ("version", false),
    ("gap", true),
    ("95 % interval", true),
    ("verdict", false),
];

fn versions(rows: &[VersionRow]) -> String {
    let cells = |row: &VersionRow| {
        let gap = &row.gap;
        vec![
            format!("{}: {} − {}", gap.scorer, gap.group, gap.reference),
            row.version.clone(),
            gap.gap.map_or(NONE.into(), |value| signed(value, gap.width)),
            interval(gap.low, gap.high, |value| signed(value, gap.width)),
            gap.verdict.map_or("–", |verdict| verdict.as_str()).to_owned(),
        ]
    };
    table(&VERSION_COLUMNS, rows.iter().map(cells).collect())
}

/// Lines of at most [`WIDTH`] columns, broken between words but not before a `%`; a word that is longer has its own.
fn wrapped(text: &str, first: &str, next: &str) -> String {
    let mut lines = vec![first.to_owned()];
    let mut is_empty = true;
    for word in text.replace(" %", "\u{a0}%").split(' ') {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if !is_empty && line + 1 + word.chars().count() > WIDTH {
            lines.push(next.to_owned());
            is_empty = true;
        }
        let line = lines.last_mut().expect("there is a first line");
        line.push_str(if is_empty { "" } else { " " });
        line.push_str(word);
        is_empty = false;
    }
    lines.join("\n").replace('\u{a0}', " ") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_the_contract_and_undefined_cells_are_empty() {
        let row = ComparisonRow { did: Some(-0.5), sign_change: Some(false), ..ComparisonRow::default() };
        let text = String::from_utf8(write_rows(&[row])).unwrap();
        assert!(text.starts_with(
            "suite,axis,group,reference,scorer,clusters,gap_base,gap_candidate,did,low,high,se,df,p,p_regression,\
             p_improvement,change_upper,margin,verdict,sign_change,status,"
        ));
        assert!(text.contains("\n,,,,,0,,,-0.5,,,,,,,,,,,no,ok,"), "{text}");
        let text = String::from_utf8(write_versions(&[])).unwrap();
        assert!(text.starts_with("suite,axis,group,reference,scorer,version,gap,low,high,verdict,mean"), "{text}");
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        let text = wrapped("word ".repeat(40).trim_end(), "", "  ");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH) && text.lines().count() == 3, "{text}");
        assert!(text.lines().nth(1).unwrap().starts_with("  word"));
        assert_eq!(
            wrapped(&format!("{} 95 % interval", "x".repeat(77)), "", "  "),
            format!("{}\n  95 % interval\n", "x".repeat(77))
        );
    }
}
