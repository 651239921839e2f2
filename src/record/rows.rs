//! Puts rows into the CSV files of a run folder and reads them back; rows are sorted before they are written.

use std::borrow::Cow;
use std::path::Path;

use anyhow::Result;

use super::table::{Line, Sheet, Table, count, number, text};
use super::{CaseRow, OffsetRow, PairRow, ResponseRow, ScoreRow};

pub const CASES: [&str; 14] = [
    "case",
    "set",
    "probe",
    "template",
    "context",
    "axis",
    "group",
    "term",
    "prompt",
    "system",
    "turns",
    "continuation",
    "options",
    "tags",
];
pub const RESPONSES: [&str; 7] = ["case", "sample", "finish", "prompt_tokens", "tokens", "text", "values"];
pub const SCORES: [&str; 5] = ["case", "sample", "scorer", "score", "reason"];

pub const OFFSETS: [&str; 14] = [
    "axis",
    "group",
    "reference",
    "scorer",
    "carriers",
    "terms",
    "offset",
    "low",
    "high",
    "se",
    "df",
    "masked_offset",
    "masked_low",
    "masked_high",
];

pub const PAIRS: [&str; 8] = ["template", "context", "axis", "group", "reference", "metric", "between", "floor"];

/// cases.csv, sorted by case.
pub fn write_cases(rows: &[CaseRow]) -> Vec<u8> {
    let mut rows: Vec<&CaseRow> = rows.iter().collect();
    rows.sort_by(|a, b| a.case.cmp(&b.case));
    let mut table = Table::new(&CASES);
    for row in rows {
        table.push(row.cells());
    }
    table.into_bytes()
}

impl CaseRow {
    /// In the order of [`CASES`].
    pub fn cells(&self) -> [Cow<'_, str>; 14] {
        let row = self;
        [
            text(&row.case),
            text(&row.set),
            text(&row.probe),
            text(&row.template),
            text(&row.context),
            text(&row.axis),
            text(&row.group),
            text(&row.term),
            text(&row.prompt),
            text(&row.system),
            text(&row.turns),
            text(&row.continuation),
            text(&row.options),
            text(&row.tags),
        ]
    }
}

/// Reads a cases.csv; only the columns that name a case and its place are needed.
pub fn read_cases(path: &Path) -> Result<Vec<CaseRow>> {
    let sheet = Sheet::read(path)?;
    sheet.require(&CASES[..9])?;
    let row = |line: Line<'_>| CaseRow {
        case: line.text("case"),
        set: line.text("set"),
        probe: line.text("probe"),
        template: line.text("template"),
        context: line.text("context"),
        axis: line.text("axis"),
        group: line.text("group"),
        term: line.text("term"),
        prompt: line.text("prompt"),
        system: line.text("system"),
        turns: line.text("turns"),
        continuation: line.text("continuation"),
        options: line.text("options"),
        tags: line.text("tags"),
    };
    Ok(sheet.rows().map(row).collect())
}

/// responses.csv, sorted by case and sample.
pub fn write_responses(rows: &[ResponseRow]) -> Vec<u8> {
    let mut rows: Vec<&ResponseRow> = rows.iter().collect();
    rows.sort_by(|a, b| (&a.case, a.sample).cmp(&(&b.case, b.sample)));
    let mut table = Table::new(&RESPONSES);
    for row in rows {
        table.push([
            text(&row.case),
            sample(row.sample),
            text(&row.finish),
            count(row.prompt_tokens),
            count(row.tokens),
            text(&row.text),
            text(&row.values),
        ]);
    }
    table.into_bytes()
}

pub fn read_responses(path: &Path) -> Result<Vec<ResponseRow>> {
    let sheet = Sheet::read(path)?;
    sheet.require(&["case", "sample", "text"])?;
    sheet
        .rows()
        .map(|line| {
            Ok(ResponseRow {
                case: line.text("case"),
                sample: line.needed("sample")?,
                finish: line.text("finish"),
                prompt_tokens: line.number("prompt_tokens")?,
                tokens: line.number("tokens")?,
                text: line.text("text"),
                values: line.text("values"),
            })
        })
        .collect()
}

/// scores.csv, sorted by case, sample and scorer.
pub fn write_scores(rows: &[ScoreRow]) -> Vec<u8> {
    let mut rows: Vec<&ScoreRow> = rows.iter().collect();
    rows.sort_by(|a, b| (&a.case, a.sample, &a.scorer).cmp(&(&b.case, b.sample, &b.scorer)));
    let mut table = Table::new(&SCORES);
    for row in rows {
        table.push([text(&row.case), sample(row.sample), text(&row.scorer), number(row.score), text(&row.reason)]);
    }
    table.into_bytes()
}

/// Reads a scores.csv.
pub fn read_scores(path: &Path) -> Result<Vec<ScoreRow>> {
    let sheet = Sheet::read(path)?;
    sheet.require(&SCORES)?;
    sheet
        .rows()
        .map(|line| {
            Ok(ScoreRow {
                case: line.text("case"),
                sample: line.needed("sample")?,
                scorer: line.text("scorer"),
                score: line.number("score")?,
                reason: line.text("reason"),
            })
        })
        .collect()
}

/// offsets.csv, sorted by axis, group and scorer.
pub fn write_offsets(rows: &[OffsetRow]) -> Vec<u8> {
    let mut rows: Vec<&OffsetRow> = rows.iter().collect();
    rows.sort_by(|a, b| (&a.axis, &a.group, &a.scorer).cmp(&(&b.axis, &b.group, &b.scorer)));
    let mut table = Table::new(&OFFSETS);
    for row in rows {
        table.push([
            text(&row.axis),
            text(&row.group),
            text(&row.reference),
            text(&row.scorer),
            count(Some(row.carriers)),
            count(Some(row.terms)),
            number(row.offset),
            number(row.low),
            number(row.high),
            number(row.se),
            number(row.df),
            number(row.masked_offset),
            number(row.masked_low),
            number(row.masked_high),
        ]);
    }
    table.into_bytes()
}

/// Reads an offsets.csv.
pub fn read_offsets(path: &Path) -> Result<Vec<OffsetRow>> {
    let sheet = Sheet::read(path)?;
    sheet.require(&OFFSETS)?;
    sheet
        .rows()
        .map(|line| {
            Ok(OffsetRow {
                axis: line.text("axis"),
                group: line.text("group"),
                reference: line.text("reference"),
                scorer: line.text("scorer"),
                carriers: line.needed("carriers")?,
                terms: line.needed("terms")?,
                offset: line.number("offset")?,
                low: line.number("low")?,
                high: line.number("high")?,
                se: line.number("se")?,
                df: line.number("df")?,
                masked_offset: line.number("masked_offset")?,
                masked_low: line.number("masked_low")?,
                masked_high: line.number("masked_high")?,
            })
        })
        .collect()
}

/// similarity.csv, sorted by every column but the values.
pub fn write_pairs(rows: &[PairRow]) -> Vec<u8> {
    fn key(row: &PairRow) -> [&str; 5] {
        [&row.axis, &row.group, &row.metric, &row.template, &row.context].map(String::as_str)
    }
    let mut rows: Vec<&PairRow> = rows.iter().collect();
    rows.sort_by(|a, b| key(a).cmp(&key(b)));
    let mut table = Table::new(&PAIRS);
    for row in rows {
        table.push([
            text(&row.template),
            text(&row.context),
            text(&row.axis),
            text(&row.group),
            text(&row.reference),
            text(&row.metric),
            number(Some(row.between)),
            number(row.floor),
        ]);
    }
    table.into_bytes()
}

/// Reads a similarity.csv.
pub fn read_pairs(path: &Path) -> Result<Vec<PairRow>> {
    let sheet = Sheet::read(path)?;
    sheet.require(&PAIRS)?;
    sheet
        .rows()
        .map(|line| {
            Ok(PairRow {
                template: line.text("template"),
                context: line.text("context"),
                axis: line.text("axis"),
                group: line.text("group"),
                reference: line.text("reference"),
                metric: line.text("metric"),
                between: line.needed("between")?,
                floor: line.number("floor")?,
            })
        })
        .collect()
}

fn sample(value: u32) -> Cow<'static, str> {
    Cow::Owned(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_its_columns_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.csv");
        std::fs::write(&path, "case,text\na,b\n").unwrap();
        let message = read_responses(&path).unwrap_err().to_string();
        assert!(message.contains("answers.csv") && message.contains("sample"), "{message}");
    }
}
