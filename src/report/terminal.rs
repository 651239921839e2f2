//! Prints a run for reading: what was asked, group means, gaps, and the findings in sentences.

use super::sentence::{self, findings, p_value, plain, signed};
use super::{Analysis, Run};
use crate::analysis::benchmark::Row;
use crate::analysis::{FloorRow, FloorStatus, GapRow, GroupRow, IntersectionRow, OmnibusRow, Tables, Verdict};

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
    format!("{groups}\n{gaps}{}{}", beside(tables), combinations(tables))
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

const BESIDE_COLUMNS: [Column; 6] = [
    ("axis", false),
    ("group − reference", false),
    ("score", false),
    ("offset", true),
    ("corrected", true),
    ("tipping", true),
];

const REFUSED_COLUMN: Column = ("unrefused", true);

const FLOOR_COLUMNS: [Column; 7] = [
    ("axis", false),
    ("group − reference", false),
    ("1 − similarity", false),
    ("between", true),
    ("floor", true),
    ("excess", true),
    ("p", true),
];

/// What stands beside the gaps: the scorers' own offsets, gaps without refusals, distances of texts, other scorers of a construct.
fn beside(tables: &Tables) -> String {
    let Tables { gaps, floors, agreements, .. } = tables;
    let mut out = String::new();
    let any_refused = gaps.iter().any(|row| row.refused.is_some());
    let rows: Vec<&GapRow> = gaps.iter().filter(|row| row.scorer_offset.is_some() || row.refused.is_some()).collect();
    if !rows.is_empty() {
        let columns: Vec<Column> = BESIDE_COLUMNS.into_iter().chain(any_refused.then_some(REFUSED_COLUMN)).collect();
        let cells = |row: &&GapRow| {
            let size = |value: Option<f64>| value.map_or("–".into(), |value| signed(value, row.width));
            let mut cells = vec![
                row.axis.clone(),
                format!("{} − {}", row.group, row.reference),
                row.scorer.clone(),
                size(row.scorer_offset),
                size(row.gap_corrected),
                size(row.tipping_offset),
            ];
            cells.extend(any_refused.then(|| size(row.gap_unrefused)));
            cells
        };
        out += "\nWhat the scorers add by themselves on equal neutral texts, unmasked, and the gaps\nwithout it; an offset of the size under tipping would take the finding away:\n";
        out += &table(&columns, rows.iter().map(cells).collect());
        if any_refused {
            out += "unrefused: the gap over answers that are no refusals.\n";
        }
    }
    let texts: Vec<&FloorRow> = floors.iter().filter(|row| row.of_texts).collect();
    if !texts.is_empty() {
        let cells = |row: &&FloorRow| {
            let size = |value: Option<f64>| value.map_or("–".into(), |value| plain(value, row.width));
            let excess = match row.excess {
                Some(excess) => signed(excess, row.width),
                None => row.status.as_str().replace('_', " "),
            };
            vec![
                row.axis.clone(),
                format!("{} − {}", row.group, row.reference),
                row.scorer.clone(),
                size(row.between),
                size(row.floor),
                excess,
                row.p.map_or("–".into(), p_value),
            ]
        };
        out += "\nHow far answers about two groups are apart, and how far those about one group\nare anyway (floor); only the excess is evidence:\n";
        out += &table(&FLOOR_COLUMNS, texts.iter().map(cells).collect());
        if texts.iter().any(|row| row.status == FloorStatus::NoFloor) {
            out += "no floor: add samples >= 2, or meet two terms a cell (terms: { rotate: 2 }).\n";
        }
    }
    out += &all_groups(&tables.omnibus);
    if !agreements.is_empty() {
        out += "\nScorers of one construct, gaps as shares of their ranges:\n";
    }
    for row in agreements {
        let [first, second] = row.shares.map(|share| signed(share, 1.0));
        let verdict =
            if row.same_sign() { "agree in sign" } else { "DISAGREE in sign: the finding hangs on the scorer" };
        let ratio = row
            .size_ratio()
            .map_or(String::new(), |ratio| format!(", the smaller {:.0} % of the larger", ratio * 100.0));
        let [one, other] = &row.scorers;
        out += &format!("{} − {}: {one} {first}, {other} {second}: {verdict}{ratio}\n", row.group, row.reference);
    }
    out
}

/// Interactions that the terminal shows.
const SHOWN_INTERACTIONS: usize = 5;

/// Up to this expected share of false ones, a screened row is worth a look (stats.md §10).
const WORTH_A_LOOK: f64 = 0.10;

const COMBINATION_COLUMNS: [Column; 7] = [
    ("combination", false),
    ("score", false),
    ("gap", true),
    ("additive", true),
    ("interaction", true),
    ("shrunken", true),
    ("q", true),
];

/// The largest interactions that noise does not explain, as shares of their ranges; with fewer than five combinations, those of a q that is
/// worth a look.
fn combinations(tables: &Tables) -> String {
    let all = &tables.intersections;
    if all.iter().all(|row| row.shrunk.is_none()) {
        return String::new();
    }
    let is_pooled = |row: &IntersectionRow| row.tau2 == Some(0.0);
    let stands_out = |row: &&IntersectionRow| match is_pooled(row) {
        true => row.q.is_some_and(|q| q <= WORTH_A_LOOK),
        false => row.shrunk.is_some(),
    };
    let size = |row: &IntersectionRow| {
        let value = if is_pooled(row) { row.interaction } else { row.shrunk };
        value.map_or(0.0, |value| value.abs() / row.width)
    };
    let mut rows: Vec<&IntersectionRow> = all.iter().filter(stands_out).collect();
    // Equal ones keep the order of their names.
    rows.sort_by(|a, b| size(b).total_cmp(&size(a)));
    rows.truncate(SHOWN_INTERACTIONS);
    let title = "\nCombinations (screening, not gated): ";
    if rows.is_empty() {
        return format!("{title}noise explains all interactions.\n");
    }
    let cells = |row: &&IntersectionRow| {
        let size = |value: Option<f64>| value.map_or("–".into(), |value| signed(value, row.width));
        vec![
            row.group.clone(),
            row.scorer.clone(),
            size(row.gap),
            size(row.additive),
            size(row.interaction),
            size(row.shrunk),
            row.q.map_or("–".into(), p_value),
        ]
    };
    let rows_of = table(&COMBINATION_COLUMNS, rows.iter().map(cells).collect());
    format!(
        "{title}the largest interactions,\nwhat the axes by themselves do not add up to; all are in intersections.csv:\n{rows_of}\
         shrunken: drawn to their mean by their share of noise; q: Benjamini-Hochberg.\n"
    )
}

const OMNIBUS_COLUMNS: [Column; 7] = [
    ("axis", false),
    ("score", false),
    ("groups", true),
    ("p", true),
    ("max − min", true),
    ("debiased", true),
    ("worst", false),
];

/// A line for each declared outcome on an axis of three groups or more, where a gap does not say it all; and decisions below four fifths.
fn all_groups(rows: &[OmnibusRow]) -> String {
    let mut out = String::new();
    let many: Vec<&OmnibusRow> = rows.iter().filter(|row| row.is_outcome && row.groups > 2).collect();
    if !many.is_empty() {
        let cells = |row: &&OmnibusRow| {
            let size = |value: Option<f64>| value.map_or(NONE.into(), |value| plain(value, row.width));
            vec![
                row.axis.clone(),
                row.scorer.clone(),
                row.groups.to_string(),
                row.p.map_or(NONE.into(), p_value),
                size(row.max_min),
                size(row.debiased),
                worst(row),
            ]
        };
        out += "\nAll groups together; p: labels shuffled inside the clusters, debiased: without\nwhat chance alone puts between the extremes of several groups:\n";
        out += &table(&OMNIBUS_COLUMNS, many.iter().map(cells).collect());
        if many.iter().any(|row| row.has_random_terms) {
            out += "p is about these terms only; debiased is about others of the kind too.\n";
        }
        if many.iter().any(|row| row.is_stable() == Some(false)) {
            out += "(share): the worst in only this share of resamples of the clusters, unstable.\n";
        }
        if many.iter().any(|row| row.worst_group.is_empty() && !row.lowest.is_empty()) {
            out += "a … b: the lowest and the highest, where no direction is declared.\n";
        }
    }
    for row in rows.iter().filter(|row| row.is_outcome && row.is_decision && row.four_fifths == Some(false)) {
        let Some(ratio) = row.ratio else { continue };
        let range = match (row.ratio_low, row.ratio_high) {
            (Some(low), Some(high)) => format!(" ({low:.2} … {high:.2})"),
            _ => String::new(),
        };
        let pair = match (row.lowest.as_str(), row.highest.as_str()) {
            ("", _) | (_, "") => "lowest / highest group".into(),
            (lowest, highest) => format!("{lowest} / {highest}"),
        };
        out += &format!("\n{} by {}: {pair} = {ratio:.2}{range},\n", row.scorer, row.axis);
        out += "below four fifths; a ratio is advisory and never gated.\n";
    }
    out
}

fn worst(row: &OmnibusRow) -> String {
    match (row.worst_group.as_str(), row.worst_share) {
        ("", _) if row.lowest.is_empty() || row.highest.is_empty() => "–".into(),
        ("", _) => format!("{} … {}", row.lowest, row.highest),
        (group, Some(share)) if row.is_stable() == Some(false) => format!("{group} ({:.0} %)", 100.0 * share),
        (group, _) => group.to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> OmnibusRow {
        OmnibusRow {
            axis: "ethnicity".into(),
            scorer: "sentiment".into(),
            groups: 4,
            p: Some(0.012),
            max_min: Some(0.0312),
            debiased: Some(0.024),
            worst_group: "black".into(),
            worst_share: Some(0.62),
            lowest: "black".into(),
            highest: "white".into(),
            is_outcome: true,
            width: 1.0,
            ..OmnibusRow::default()
        }
    }

    #[test]
    fn three_groups_get_a_line_that_fits_and_two_groups_none() {
        let text = all_groups(&[row()]);
        assert!(text.contains("0.031") && text.contains("black (62 %)") && text.contains("unstable"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(all_groups(&[OmnibusRow { groups: 2, ..row() }]), "");
        assert_eq!(all_groups(&[OmnibusRow { is_outcome: false, ..row() }]), "");
    }

    #[test]
    fn without_a_direction_both_ends_are_named() {
        let text = all_groups(&[OmnibusRow { worst_group: String::new(), worst_share: None, ..row() }]);
        assert!(text.contains("black … white") && !text.contains("unstable"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn only_a_decision_below_four_fifths_has_its_ratio_told() {
        let decision = OmnibusRow {
            groups: 2,
            scorer: "choice.yes".into(),
            is_decision: true,
            ratio: Some(0.71),
            ratio_low: Some(0.6),
            ratio_high: Some(0.83),
            four_fifths: Some(false),
            ..row()
        };
        let text = all_groups(std::slice::from_ref(&decision));
        assert!(text.contains("black / white = 0.71 (0.60 … 0.83)") && text.contains("never gated"), "{text}");
        assert_eq!(all_groups(&[OmnibusRow { four_fifths: Some(true), ..decision.clone() }]), "");
        assert_eq!(all_groups(&[OmnibusRow { is_decision: false, ..decision }]), "");
    }
}
