//! Writes the user's rows with the new columns: in their own format byte for byte, or as CSV, JSON lines or a table.

use std::io::Write;

use anyhow::{Result, bail};
use serde_json::{Map, Value};

use super::rows::{Cells, Row, Rows};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Comma-separated values
    Csv,
    /// One JSON object a line
    Jsonl,
    /// Columns for reading: the scores, and how each text begins
    Table,
}

/// A new cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Score(Option<f64>),
    /// Why there is no score; empty where there is one.
    Reason(String),
}

/// Writes rows in one format.
pub struct Sheet<W: Write> {
    out: W,
    format: Format,
    /// Names of the new columns.
    added: Vec<String>,
    /// Keys of the first JSON object, which every other one must have when they become CSV.
    keys: Option<Vec<String>>,
    /// The header, until the first row is written: a file whose first rows cannot be scored leaves no output.
    header: Vec<u8>,
}

impl<W: Write> Sheet<W> {
    pub fn new(out: W, format: Format, rows: &Rows, added: Vec<String>) -> Self {
        let header = match (format, rows.raw_header()) {
            (Format::Csv, Some((raw, line_end))) => {
                let names: String = added.iter().map(|name| format!(",{}", quoted(name))).collect();
                [raw, names.as_bytes(), if line_end.is_empty() { b"\n" } else { line_end }].concat()
            }
            (Format::Table, _) => {
                let scores = added.iter().filter(|name| !name.ends_with("_reason"));
                let line: String = scores.map(|name| format!("{name:>WIDTH$}  ")).collect();
                format!("{line}text\n").into_bytes()
            }
            _ => Vec::new(),
        };
        Self { out, format, added, keys: None, header }
    }

    /// One row with its new cells.
    pub fn write(&mut self, row: &Row, cells: &[Cell], header: Option<&[String]>) -> Result<()> {
        self.out.write_all(&std::mem::take(&mut self.header))?;
        match (self.format, &row.cells) {
            (Format::Csv, Cells::Csv(_)) => {
                let added: String = cells.iter().map(|cell| format!(",{}", csv_cell(cell))).collect();
                self.splice(&row.raw, added.as_bytes(), &row.line_end)
            }
            (Format::Csv, Cells::Json(object)) => self.csv_of_json(row, object, cells),
            (Format::Jsonl, Cells::Json(object)) => {
                // The object's last brace makes way for the new keys.
                let end = row.raw.iter().rposition(|byte| *byte == b'}').expect("an object ends with a brace");
                let comma = if object.is_empty() { "" } else { "," };
                let added = format!("{comma}{}}}", self.members(cells));
                let (head, tail) = (row.raw[..end].trim_ascii_end(), [&row.raw[end + 1..], &row.line_end].concat());
                let added = added.into_bytes();
                self.splice(head, &added, &tail)
            }
            (Format::Jsonl, Cells::Csv(values)) => {
                let mut object = Map::new();
                for (name, value) in header.unwrap_or_default().iter().zip(values) {
                    let Ok(text) = std::str::from_utf8(value) else {
                        bail!("line {}: the cell {name:?} is not UTF-8, which JSON needs; take --format csv", row.line)
                    };
                    object.insert(name.clone(), text.into());
                }
                let object = Value::Object(object).to_string();
                let comma = if object == "{}" { "" } else { "," };
                let line = format!("{}{comma}{}}}\n", object.trim_end_matches('}'), self.members(cells));
                Ok(self.out.write_all(line.as_bytes())?)
            }
            (Format::Table, Cells::Blank) | (Format::Jsonl | Format::Csv, Cells::Blank) => {
                if self.format == Format::Table {
                    return Ok(());
                }
                self.splice(&row.raw, b"", &row.line_end)
            }
            (Format::Table, _) => {
                let line: String = cells.iter().filter_map(table_cell).collect();
                let text = row.text.as_deref().unwrap_or("");
                let shown: String = text.chars().take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
                let more = if text.chars().nth(SHOWN).is_some() { "…" } else { "" };
                Ok(writeln!(self.out, "{line}{shown}{more}")?)
            }
        }
    }

    pub fn finish(mut self) -> Result<W> {
        self.out.write_all(&std::mem::take(&mut self.header))?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// A record with something put in before its line end; the file's last line gets one, too.
    fn splice(&mut self, raw: &[u8], added: &[u8], line_end: &[u8]) -> Result<()> {
        self.out.write_all(raw)?;
        self.out.write_all(added)?;
        self.out.write_all(if line_end.is_empty() { b"\n" } else { line_end })?;
        Ok(())
    }

    fn csv_of_json(&mut self, row: &Row, object: &Map<String, Value>, cells: &[Cell]) -> Result<()> {
        let keys: Vec<String> = object.keys().cloned().collect();
        if self.keys.is_none() {
            let names: Vec<String> = keys.iter().chain(&self.added).map(|name| quoted(name)).collect();
            writeln!(self.out, "{}", names.join(","))?;
        }
        let known = self.keys.get_or_insert_with(|| keys.clone());
        if *known != keys {
            bail!(
                "line {}: this object has the keys {}, but the first has {}, which are the columns; take --format jsonl",
                row.line,
                keys.join(", "),
                known.join(", ")
            );
        }
        let own = object.values().map(|value| match value {
            Value::Null => String::new(),
            Value::String(text) => quoted(text),
            other => quoted(&other.to_string()),
        });
        let cells: Vec<String> = own.chain(cells.iter().map(csv_cell)).collect();
        Ok(writeln!(self.out, "{}", cells.join(","))?)
    }

    /// `"name":value` of every new cell.
    fn members(&self, cells: &[Cell]) -> String {
        let member = |(name, cell): (&String, &Cell)| {
            let value = match cell {
                Cell::Score(Some(score)) => decimal(*score),
                Cell::Score(None) => "null".into(),
                Cell::Reason(reason) if reason.is_empty() => "null".into(),
                Cell::Reason(reason) => Value::from(reason.as_str()).to_string(),
            };
            format!("{}:{value}", Value::from(name.as_str()))
        };
        self.added.iter().zip(cells).map(member).collect::<Vec<_>>().join(",")
    }
}

/// Width of a score in a table, and letters of a text that it shows.
const WIDTH: usize = 12;
const SHOWN: usize = 48;

/// A score, or the reason in place of the score that is not there.
fn table_cell(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Score(Some(score)) => Some(format!("{score:>WIDTH$.4}  ")),
        Cell::Score(None) => Some(format!("{:>WIDTH$}  ", "n/a")),
        Cell::Reason(_) => None,
    }
}

fn csv_cell(cell: &Cell) -> String {
    match cell {
        Cell::Score(score) => score.map_or_else(String::new, decimal),
        Cell::Reason(reason) => quoted(reason),
    }
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) || text.starts_with(' ') || text.ends_with(' ') {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// A number in plain decimals: 12 significant digits, and seven decimals at least.
pub fn decimal(value: f64) -> String {
    let rounded: f64 = format!("{value:.11e}").parse().expect("a formatted number parses");
    let shortest = format!("{}", rounded + 0.0);
    let decimals = shortest.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    format!("{:.*}", decimals.max(7), rounded + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_seven_decimals_at_least() {
        for (value, text) in [
            (0.5, "0.5000000"),
            (1.0 / 3.0, "0.333333333333"),
            (-0.0, "0.0000000"),
            (1e-9, "0.000000001"),
            (100.0 / 3.0, "33.3333333333"),
            (0.9999999999999, "1.0000000"),
        ] {
            assert_eq!(decimal(value), text);
        }
    }
}
