//! Reads rows off the shapes in which benchmarks are published: JSON lines, a JSON list, CSV, TSV.
//!
//! A byte order mark, CRLF, a missing last line end and an unnamed first column are accepted.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Map, Value};

use crate::suite::reader::hex;
use crate::suite::{Mark, Place, slug};

/// A file as read.
pub struct Input {
    /// For messages.
    pub name: String,
    pub text: String,
}

/// A row of a published file.
pub(super) struct Row {
    pub place: Place,
    fields: Map<String, Value>,
}

impl Input {
    /// A file's bytes as text.
    ///
    /// # Errors
    /// On bytes that are not UTF-8, with the line.
    pub fn of(name: String, bytes: Vec<u8>) -> Result<Self> {
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { name, text }),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let line = 1 + error.as_bytes()[..good].iter().filter(|byte| **byte == b'\n').count();
                bail!("{name}:{line}: this is not UTF-8 text; give the published file, unpacked")
            }
        }
    }

    /// Without a byte order mark.
    pub(super) fn body(&self) -> &str {
        self.text.strip_prefix('\u{FEFF}').unwrap_or(&self.text)
    }

    /// The rows of the file, whichever shape it has.
    pub(super) fn rows(&self) -> Result<Vec<Row>> {
        match self.body().trim_start().chars().next() {
            None => bail!("{} is empty; give the published file", self.name),
            Some('{') => self.json_lines(),
            Some('[') => self.json_list(),
            Some(_) => self.table(),
        }
    }

    fn json_lines(&self) -> Result<Vec<Row>> {
        let lines = self.body().lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(index, line)| {
                let fields = serde_json::from_str(line).map_err(|error| {
                    let line = index + 1;
                    anyhow!("{}:{line}: this is not a JSON object: {error}; write one object a line", self.name)
                })?;
                Ok(self.row(index + 1, fields))
            })
            .collect()
    }

    /// The line is that of the list's row, counted from 1, where the file does not tell it.
    fn json_list(&self) -> Result<Vec<Row>> {
        let list: Vec<Map<String, Value>> = serde_json::from_str(self.body())
            .with_context(|| format!("{} is not a JSON list of objects", self.name))?;
        Ok(list.into_iter().enumerate().map(|(index, fields)| self.row(index + 1, fields)).collect())
    }

    fn table(&self) -> Result<Vec<Row>> {
        let body = self.body();
        let header = body.lines().next().unwrap_or_default();
        let delimiter = if header.contains('\t') { b'\t' } else { b',' };
        // The reader places a record before the line ends in front of it that it skips, as the LF of CRLF.
        let line = |position: &csv::Position| {
            let from = body.as_bytes().get(position.byte() as usize..).unwrap_or_default();
            let skipped = from.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
            position.line() as usize + skipped.filter(|byte| **byte == b'\n').count()
        };
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(body.as_bytes());
        let explain = |error: csv::Error| {
            let line = error.position().map_or(1, line);
            anyhow!("{}:{line}: this row cannot be read: {error}", self.name)
        };
        let header: Vec<String> = reader.headers().map_err(explain)?.iter().map(str::to_owned).collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(explain)?;
            let line = record.position().map_or(1, line);
            let cells = header.iter().cloned().zip(record.iter().map(Value::from)).collect();
            rows.push(self.row(line, cells));
        }
        Ok(rows)
    }

    pub(super) fn row(&self, line: usize, fields: Map<String, Value>) -> Row {
        let file: Arc<str> = self.name.as_str().into();
        Row { place: Place { file, at: Mark { line, column: 1 } }, fields }
    }
}

impl Row {
    /// What stands in a field; nothing, null and "" are alike.
    pub fn get(&self, field: &str) -> Option<&Value> {
        let value = self.fields.get(field)?;
        let is_blank = value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
        (!is_blank).then_some(value)
    }

    /// A text or number as text.
    pub fn text(&self, field: &str) -> Result<String> {
        match self.get(field) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(_) => Err(self.error(&format!("`{field}` should be text; give the published file as it is"))),
            None => Err(self.lacks(field)),
        }
    }

    /// As [`Row::text`], one of a few words.
    pub fn word(&self, field: &str, words: &[&str]) -> Result<String> {
        let text = self.text(field)?;
        if words.contains(&text.as_str()) {
            return Ok(text);
        }
        Err(self.error(&format!("`{field}` is \"{text}\", but should be one of {}", words.join(", "))))
    }

    pub fn number(&self, field: &str) -> Result<f64> {
        let text = self.text(field)?;
        let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| self.error(&format!("`{field}` is \"{text}\", but should be a number")))
    }

    /// Fails with the row's place before the words.
    pub fn error(&self, words: &str) -> anyhow::Error {
        anyhow!("{}:{}: {words}", self.place.file, self.place.at.line)
    }

    pub fn lacks(&self, field: &str) -> anyhow::Error {
        let has: Vec<&str> = self.fields.keys().map(String::as_str).collect();
        self.error(&format!("this row has no `{field}`; it has {}", has.join(", ")))
    }
}

/// A short name for a row that has no number of its own: it depends on its texts, not on its place in the file.
pub(super) fn digest_of(texts: &[&str]) -> String {
    use sha2::{Digest as _, Sha256};
    hex(&Sha256::digest(texts.join("\u{1F}"))[..6])
}

/// Tells apart rows of one file whose names make the same id, by counting; a file that is given twice stays an error.
#[derive(Default)]
pub(super) struct Repeats(HashMap<String, usize>);

impl Repeats {
    /// The name itself for the first row with its slug, then with the row's number.
    pub fn number(&mut self, name: String) -> String {
        let count = self.0.entry(slug(&name)).or_default();
        *count += 1;
        if *count == 1 { name } else { format!("{name}.{count}") }
    }
}
