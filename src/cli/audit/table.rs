//! Shows an audit: CSV and JSON with every figure, and a table of the main ones that fits 80 columns.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::record::table::{Table, count, number, text as cell};
use crate::report::sentence::{plain, signed};
use crate::report::terminal::{Column, NONE, interval, table};
use crate::scorer::audit::{Row, ScoredText, View};
use crate::stats::scorer_offset::Offset;

/// A value under a column.
enum Cell<'a> {
    Text(&'a str),
    Count(usize),
    Number(Option<f64>),
}

fn columns(row: &Row) -> Vec<(String, Cell<'_>)> {
    let mut cells: Vec<(String, Cell<'_>)> = vec![
        ("scorer".into(), Cell::Text(&row.scorer)),
        ("axis".into(), Cell::Text(&row.axis)),
        ("group".into(), Cell::Text(row.group.as_deref().unwrap_or_default())),
        ("reference".into(), Cell::Text(&row.reference)),
        ("terms".into(), Cell::Count(row.terms)),
        ("carriers".into(), Cell::Count(row.carriers)),
        ("texts".into(), Cell::Count(row.texts)),
        ("unscored".into(), Cell::Count(row.unscored)),
    ];
    for (prefix, view) in [("", &row.raw), ("masked_", &row.masked)] {
        let figures = figures(view).into_iter();
        cells.extend(figures.map(|(name, value)| (format!("{prefix}{name}"), Cell::Number(value))));
    }
    let cues = of_offset(row.cues.as_ref()).into_iter();
    cells.extend(["cue_offset", "cue_low", "cue_high"].into_iter().zip(cues).map(|(n, v)| (n.into(), Cell::Number(v))));
    cells
}

fn of_offset(offset: Option<&Offset>) -> [Option<f64>; 3] {
    let ends = offset.and_then(|offset| offset.interval);
    [offset.map(|offset| offset.offset), ends.map(|ends| ends.0), ends.map(|ends| ends.1)]
}

fn figures(view: &View) -> Vec<(&'static str, Option<f64>)> {
    let [offset, low, high] = of_offset(view.offset.as_ref());
    vec![
        ("mean", view.mean),
        ("offset", offset),
        ("low", low),
        ("high", high),
        ("spread", view.spread),
        ("fpr", view.fpr),
        ("auc", view.auc.overall),
        ("subgroup_auc", view.auc.subgroup),
        ("bpsn_auc", view.auc.bpsn),
        ("bnsp_auc", view.auc.bnsp),
        ("generalised_auc", view.auc.generalised()),
        ("positive_aeg", view.auc.positive_aeg),
        ("negative_aeg", view.auc.negative_aeg),
    ]
}

/// A row a scorer, axis and group; the row of a whole axis has no group.
pub fn csv(rows: &[Row]) -> Vec<u8> {
    let blank = Row::default();
    let header = columns(&blank);
    let names: Vec<&str> = header.iter().map(|(name, _)| name.as_str()).collect();
    let mut out = Table::new(&names);
    for row in rows {
        out.push(columns(row).into_iter().map(|(_, value)| match value {
            Cell::Text(value) => cell(value),
            Cell::Count(value) => count(Some(value)),
            Cell::Number(value) => number(value),
        }));
    }
    out.into_bytes()
}

/// `{"audit": [rows]}` with the columns of the CSV; undefined is null.
pub fn json(rows: &[Row]) -> String {
    let object = |row: &Row| {
        let value = |value: Cell<'_>| match value {
            Cell::Text("") => Value::Null,
            Cell::Text(text) => json!(text),
            Cell::Count(count) => json!(count),
            Cell::Number(value) => json!(number(value).parse::<f64>().ok()),
        };
        Value::Object(columns(row).into_iter().map(|(name, cell)| (name, value(cell))).collect::<Map<_, _>>())
    };
    let document = json!({ "audit": rows.iter().map(object).collect::<Vec<_>>() });
    serde_json::to_string_pretty(&document).expect("a JSON value can be written") + "\n"
}

/// Every text with its scores.
pub fn texts(rows: &[ScoredText]) -> Vec<u8> {
    let header = ["scorer", "axis", "group", "term", "carrier", "text", "masked_text", "score", "masked_score"];
    let mut out = Table::new(&header);
    for row in rows {
        let words = [&row.scorer, &row.axis, &row.group, &row.term, &row.carrier, &row.text, &row.masked_text];
        let scores = [number(row.score), number(row.masked_score)];
        out.push(words.into_iter().map(|text| cell(text)).chain(scores).collect::<Vec<Cow<'_, str>>>());
    }
    out.into_bytes()
}

const COLUMNS: [Column; 9] = [
    ("group", false),
    ("offset", true),
    ("95 % interval", true),
    ("masked", true),
    ("cues", true),
    ("FPR", true),
    ("AUC", true),
    ("BPSN", true),
    ("BNSP", true),
];

const OF_DATA: [Column; 8] = [
    ("group", false),
    ("texts", true),
    ("FPR", true),
    ("AUC", true),
    ("BPSN", true),
    ("BNSP", true),
    ("masked FPR", true),
    ("masked BPSN", true),
];

/// Letters of a group's name that fit beside the figures.
const MOST_NAME: usize = 15;

/// One table a scorer and axis, and a sentence under each.
pub fn text(rows: &[Row]) -> String {
    let mut out = String::new();
    let mut of_data = false;
    for block in rows.chunk_by(|a, b| (&a.scorer, &a.axis) == (&b.scorer, &b.axis)) {
        let [groups @ .., whole] = block else { continue };
        of_data = whole.carriers == 0;
        if !out.is_empty() {
            out.push('\n');
        }
        if of_data {
            out += &format!("{} on {}: {} texts{}\n", whole.scorer, whole.axis, whole.texts, unscored(whole));
            out += &table(&OF_DATA, groups.iter().map(data_cells).collect());
        } else {
            out += &heading(groups, whole);
            out += &table(&COLUMNS, groups.iter().map(cells).collect());
            let spread = |view: &View| view.spread.map_or(NONE.into(), |spread| plain(spread, whole.width));
            out += &format!("spread of the groups' means {}, masked {}; ", spread(&whole.raw), spread(&whole.masked));
        }
        let overall = [whole.raw.fpr, whole.raw.auc.overall].map(share);
        out += &format!("all texts: FPR {}, AUC {}\n", overall[0], overall[1]);
    }
    out += if of_data { ABOUT_DATA } else { ABOUT };
    out
}

const ABOUT: &str = "
offset: the scorer's own gap on neutral texts that differ in the group's term
alone, over carriers; masked: with the group's words hidden; cues: masked, on
texts with what tends to stand near the group. FPR: neutral texts (of sentiment
insults) at or above the middle of the scale. AUC within the group, BPSN and
BNSP against the other groups (Borkan et al. 2019); 1 is perfect.
";

const ABOUT_DATA: &str = "
FPR: texts with label 0 at or above the middle of the scale. AUC within the
group, BPSN and BNSP against all other texts (Borkan et al. 2019); 1 is perfect.
";

fn heading(groups: &[Row], whole: &Row) -> String {
    let terms = groups.iter().map(|row| row.terms);
    let (least, most) = (terms.clone().min().unwrap_or(0), terms.max().unwrap_or(0));
    let terms = if least == most { most.to_string() } else { format!("{least} to {most}") };
    let against = groups.iter().map(|row| row.reference.as_str()).find(|name| !name.is_empty()).unwrap_or("nothing");
    let against = if against == crate::record::REST { "the rest" } else { against };
    format!(
        "{} by {}, against {against}: {} carriers, {terms} terms a group{}\n",
        whole.scorer,
        whole.axis,
        whole.carriers,
        unscored(whole)
    )
}

fn unscored(whole: &Row) -> String {
    if whole.unscored > 0 { format!(", {} of {} texts unscored", whole.unscored, whole.texts) } else { String::new() }
}

fn cells(row: &Row) -> Vec<String> {
    let size = |offset: Option<&Offset>| offset.map_or("–".into(), |offset| signed(offset.offset, row.width));
    let ends = row.raw.offset.and_then(|offset| offset.interval);
    let interval = match row.raw.offset {
        None => "–".into(),
        Some(_) => interval(ends.map(|ends| ends.0), ends.map(|ends| ends.1), |end| signed(end, row.width)),
    };
    let view = &row.raw;
    vec![
        name(row),
        size(row.raw.offset.as_ref()),
        interval,
        size(row.masked.offset.as_ref()),
        size(row.cues.as_ref()),
        share(view.fpr),
        share(view.auc.subgroup),
        share(view.auc.bpsn),
        share(view.auc.bnsp),
    ]
}

fn data_cells(row: &Row) -> Vec<String> {
    let (raw, masked) = (&row.raw, &row.masked);
    vec![
        name(row),
        row.texts.to_string(),
        share(raw.fpr),
        share(raw.auc.subgroup),
        share(raw.auc.bpsn),
        share(raw.auc.bnsp),
        share(masked.fpr),
        share(masked.auc.bpsn),
    ]
}

fn name(row: &Row) -> String {
    let name = row.group.clone().unwrap_or_default();
    match name.char_indices().nth(MOST_NAME) {
        Some(_) => name.chars().take(MOST_NAME - 1).chain(['…']).collect(),
        None => name,
    }
}

fn share(value: Option<f64>) -> String {
    value.map_or(NONE.into(), |value| format!("{value:.2}"))
}
