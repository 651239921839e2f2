//! Reads the user's file row by row, keeping each record as it was written.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

use super::csv_record::{self, Record};

/// Reads a file of texts.
pub struct Rows {
    path: PathBuf,
    input: BufReader<File>,
    layout: Layout,
    /// Lines read so far.
    line: u64,
    column: String,
}

enum Layout {
    /// A CSV file with its header and the index of the text column.
    Csv { header: Vec<String>, raw: Vec<u8>, line_end: Vec<u8>, text: usize },
    /// One JSON object a line.
    Jsonl,
}

/// One record of the file.
pub struct Row {
    /// Line on which it begins, from 1.
    pub line: u64,
    /// As written, without its line end.
    pub raw: Vec<u8>,
    /// `\n`, `\r\n`, or nothing at the end of the file.
    pub line_end: Vec<u8>,
    pub cells: Cells,
    /// The text to score, or why it cannot be scored.
    pub text: Result<String, &'static str>,
}

pub enum Cells {
    /// In the order of the header.
    Csv(Vec<Vec<u8>>),
    Json(Map<String, Value>),
    /// A line without anything, which is passed on as it is.
    Blank,
}

/// Bytes of a record that are read at most: a stray quote would else take the rest of a file of any size for one cell.
const MOST_RECORD: usize = 64 << 20;

const BOM: &[u8] = b"\xEF\xBB\xBF";

impl Rows {
    /// `column` holds the text.
    pub fn open(path: &Path, column: &str) -> Result<Self> {
        let name = path.display();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("").to_lowercase();
        let file = File::open(path).with_context(|| format!("{name} cannot be opened"))?;
        let mut rows = Self {
            path: path.to_owned(),
            input: BufReader::with_capacity(1 << 18, file),
            layout: Layout::Jsonl,
            line: 0,
            column: column.to_owned(),
        };
        match extension.as_str() {
            "jsonl" | "ndjson" => {}
            "csv" => {
                let has_bom = rows.input.fill_buf().with_context(|| format!("{name} cannot be read"))?.starts_with(BOM);
                rows.input.consume(if has_bom { BOM.len() } else { 0 });
                let Some(Record { raw, line_end, cells, .. }) = rows.csv_record()? else {
                    bail!("{name} is empty; the first line should name its columns");
                };
                let header: Vec<String> = cells
                    .into_iter()
                    .map(String::from_utf8)
                    .collect::<Result<_, _>>()
                    .with_context(|| format!("{name}: the header is not UTF-8; save the file as UTF-8"))?;
                let Some(text) = header.iter().position(|name| name == column) else {
                    bail!(
                        "{name} has no column {column:?}; it has {}; name the one with the texts by --text",
                        header.join(", ")
                    );
                };
                ensure!(
                    header.iter().filter(|name| *name == column).count() == 1,
                    "{name} has two columns {column:?}; rename one of them"
                );
                let raw = if has_bom { [BOM, &raw].concat() } else { raw };
                rows.layout = Layout::Csv { header, raw, line_end, text };
            }
            _ => bail!("{name} is neither .csv nor .jsonl; give a file of one of these kinds, or a run folder"),
        }
        Ok(rows)
    }

    pub fn is_csv(&self) -> bool {
        matches!(self.layout, Layout::Csv { .. })
    }

    /// Names of the columns of a CSV file; none for JSONL, whose rows have keys of their own.
    pub fn header(&self) -> Option<&[String]> {
        match &self.layout {
            Layout::Csv { header, .. } => Some(header),
            Layout::Jsonl => None,
        }
    }

    /// The header as written and its line end.
    pub fn raw_header(&self) -> Option<(&[u8], &[u8])> {
        match &self.layout {
            Layout::Csv { raw, line_end, .. } => Some((raw, line_end)),
            Layout::Jsonl => None,
        }
    }

    /// The next record; none at the end.
    ///
    /// # Errors
    /// A record that is not of the file's kind, with its line.
    pub fn next_row(&mut self) -> Result<Option<Row>> {
        let line = self.line + 1;
        match self.layout {
            Layout::Csv { .. } => {
                let Some(record) = self.csv_record()? else { return Ok(None) };
                self.csv_row(line, record).map(Some)
            }
            Layout::Jsonl => {
                let mut raw = Vec::new();
                let read = self.input.read_until(b'\n', &mut raw).context(self.at(line))?;
                self.line = line;
                if read == 0 {
                    return Ok(None);
                }
                self.json_row(line, raw).map(Some)
            }
        }
    }

    fn at(&self, line: u64) -> String {
        format!("{} line {line}", self.path.display())
    }

    fn csv_record(&mut self) -> Result<Option<Record>> {
        let at = self.at(self.line + 1);
        let record = csv_record::read(&mut self.input, MOST_RECORD).context(at)?;
        self.line += record.as_ref().map_or(0, |record| record.lines);
        Ok(record)
    }

    fn csv_row(&self, line: u64, record: Record) -> Result<Row> {
        let Record { raw, line_end, cells, .. } = record;
        let Layout::Csv { header, text, .. } = &self.layout else { unreachable!("only CSV files have such records") };
        if raw.is_empty() {
            return Ok(Row { line, raw, line_end, cells: Cells::Blank, text: Err("blank line") });
        }
        ensure!(
            cells.len() == header.len(),
            "{}: this row has {} cells, but the header has {}; put quotes around cells with a comma in them",
            self.at(line),
            cells.len(),
            header.len()
        );
        let text = String::from_utf8(cells[*text].clone()).map_err(|_| "not UTF-8");
        Ok(Row { line, raw, line_end, cells: Cells::Csv(cells), text })
    }

    fn json_row(&self, line: u64, mut raw: Vec<u8>) -> Result<Row> {
        let ends = raw.iter().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        let line_end = raw.split_off(raw.len() - ends);
        if raw.trim_ascii().is_empty() {
            return Ok(Row { line, raw, line_end, cells: Cells::Blank, text: Err("blank line") });
        }
        let body = if line == 1 { raw.strip_prefix(BOM).unwrap_or(&raw) } else { &raw };
        let at = || self.at(line);
        let readable = String::from_utf8_lossy(body);
        let (paired, is_broken) = pair_surrogates(&readable);
        let value: Value = serde_json::from_str(&paired).with_context(|| format!("{}: this is not JSON", at()))?;
        let Value::Object(object) = value else {
            bail!("{}: every line should be an object, as {{\"{}\": \"…\"}}", at(), self.column)
        };
        let text = match object.get(&self.column) {
            None => {
                bail!("{}: there is no {:?} in this object; name the key with the texts by --text", at(), self.column)
            }
            Some(Value::Null) => Err("empty"),
            Some(Value::String(text)) if text.contains('\u{fffd}') && matches!(readable, Cow::Owned(_)) => {
                Err("not UTF-8")
            }
            Some(Value::String(text)) if text.contains('\u{fffd}') && is_broken => Err("invalid surrogate"),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => bail!("{}: {:?} is {other}, but should be text", at(), self.column),
        };
        Ok(Row { line, raw, line_end, cells: Cells::Json(object), text })
    }
}

/// JSON in which every `\uD800`–`\uDFFF` that has no other half is U+FFFD, and whether there were any: JSON readers refuse these, and
/// some writers make them when they cut a text inside an emoji.
fn pair_surrogates(json: &str) -> (Cow<'_, str>, bool) {
    let unit = |at: usize| -> Option<u16> {
        let digits = json.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut lone = Vec::new();
    let mut at = 0;
    while let Some(next) = json[at..].find('\\') {
        at += next;
        match unit(at) {
            Some(0xd800..=0xdbff) if matches!(unit(at + 6), Some(0xdc00..=0xdfff)) => at += 12,
            Some(0xd800..=0xdfff) => {
                lone.push(at);
                at += 6;
            }
            Some(_) => at += 6,
            // Two bytes, or one before a letter of several bytes, which is no JSON anyway.
            None => at += if json.is_char_boundary(at + 2) && at + 2 <= json.len() { 2 } else { 1 },
        }
    }
    if lone.is_empty() {
        return (Cow::Borrowed(json), false);
    }
    let mut paired = json.to_owned();
    for at in lone {
        paired.replace_range(at..at + 6, "\\ufffd");
    }
    (Cow::Owned(paired), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_halves_of_pairs_are_replaced() {
        for (json, paired) in [
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83d!""#, r#""\ufffd!""#),
            (r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\\ud83d""#, r#""\\ud83d""#),
            (r#""\u00e9\""#, r#""\u00e9\""#),
            ("\"\\é", "\"\\é"),
        ] {
            assert_eq!(pair_surrogates(json).0, paired);
        }
    }
}
