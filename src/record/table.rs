//! Writes and reads CSV tables in the one form that all result files share.
//!
//! Lines end with LF, numbers have 12 significant digits, an undefined number is an empty cell. A text
//! cell that a spreadsheet could take for a formula gets one leading `'`, which reading removes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};

/// A table on its way into a CSV file: a header, then rows of as many cells.
pub struct Table<W: Write = Vec<u8>> {
    writer: csv::Writer<W>,
}

impl<W: Write> Table<W> {
    /// A table whose rows go to `out` as they come.
    pub fn over(out: W, header: &[&str]) -> io::Result<Self> {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(out);
        writer.write_record(header)?;
        Ok(Self { writer })
    }

    /// Adds a row of as many cells as the header; text cells must have gone through [`text`], numbers through [`number`].
    pub fn write<'a>(&mut self, cells: impl IntoIterator<Item = Cow<'a, str>>) -> io::Result<()> {
        for cell in cells {
            self.writer.write_field(cell.as_bytes())?;
        }
        Ok(self.writer.write_record(None::<&[u8]>)?)
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Table {
    pub fn new(header: &[&str]) -> Self {
        Self::over(Vec::new(), header).expect("a header fits into memory")
    }

    /// As [`Table::write`], into memory.
    pub fn push<'a>(&mut self, cells: impl IntoIterator<Item = Cow<'a, str>>) {
        self.write(cells).expect("the rows of a table have as many cells as its header");
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.writer.into_inner().expect("memory can be flushed")
    }
}

pub use crate::cell::{protect as text, unprotect as untext};

/// A number rounded to 12 significant digits, in its shortest form; undefined or not finite is empty.
pub fn number(value: Option<f64>) -> Cow<'static, str> {
    let Some(value) = value.filter(|value| value.is_finite()) else { return Cow::Borrowed("") };
    let rounded: f64 = format!("{value:.11e}").parse().expect("a formatted number parses");
    if rounded == 0.0 {
        return Cow::Borrowed("0"); // also for -0
    }
    let size = rounded.abs();
    Cow::Owned(if (1e-5..1e15).contains(&size) { format!("{rounded}") } else { format!("{rounded:e}") })
}

/// A count, or an empty cell where it is undefined.
pub fn count(value: Option<usize>) -> Cow<'static, str> {
    value.map_or(Cow::Borrowed(""), |value| Cow::Owned(value.to_string()))
}

/// A CSV file as read: cells by column name, whatever the columns' order.
pub struct Sheet {
    /// For messages.
    name: String,
    columns: BTreeMap<String, usize>,
    /// (line in the file, cells)
    rows: Vec<(u64, csv::StringRecord)>,
}

impl Sheet {
    /// Reads a file; an error names it, and the line where there is one.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Self::parse(&path.display().to_string(), &bytes)
    }

    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let mut reader = csv::Reader::from_reader(bytes);
        let header = reader.headers().map_err(|error| anyhow!("{name} is not a CSV file: {error}"))?.clone();
        let mut columns = BTreeMap::new();
        for (index, column) in header.iter().enumerate() {
            if columns.insert(column.to_owned(), index).is_some() {
                bail!("{name}: column {column:?} stands there twice; keep one of them");
            }
        }
        let mut rows = Vec::new();
        for row in reader.records() {
            let row = row.map_err(|error| anyhow!("{name} is not a CSV file: {error}"))?;
            rows.push((row.position().map_or(0, csv::Position::line), row));
        }
        Ok(Self { name: name.to_owned(), columns, rows })
    }

    pub fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    pub fn rows(&self) -> impl Iterator<Item = Line<'_>> {
        self.rows.iter().map(|(line, cells)| Line { sheet: self, line: *line, cells })
    }

    /// Errs unless every column named is there.
    pub fn require(&self, columns: &[&str]) -> Result<()> {
        let missing: Vec<&str> = columns.iter().copied().filter(|column| !self.has(column)).collect();
        if !missing.is_empty() {
            let there: Vec<&str> = self.columns.keys().map(String::as_str).collect();
            bail!("{} lacks the column {}; it has {}", self.name, missing.join(", "), there.join(", "));
        }
        Ok(())
    }
}

/// One row of a [`Sheet`].
pub struct Line<'a> {
    sheet: &'a Sheet,
    line: u64,
    cells: &'a csv::StringRecord,
}

impl Line<'_> {
    fn cell(&self, column: &str) -> &str {
        self.sheet.columns.get(column).and_then(|index| self.cells.get(*index)).unwrap_or("")
    }

    /// A text cell without the guard that [`text`] put there; empty where the column is missing.
    pub fn text(&self, column: &str) -> String {
        untext(self.cell(column)).to_owned()
    }

    /// A number or count; None for an empty cell, an error naming the place for anything else.
    pub fn number<T: FromStr>(&self, column: &str) -> Result<Option<T>> {
        let cell = self.cell(column);
        if cell.is_empty() {
            return Ok(None);
        }
        match cell.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => bail!("{}: {column} is {cell:?}, which is not a number that fits there", self.place()),
        }
    }

    /// As [`Line::number`], where an empty cell is an error too.
    pub fn needed<T: FromStr>(&self, column: &str) -> Result<T> {
        self.number(column)?.ok_or_else(|| anyhow!("{}: {column} is empty", self.place()))
    }

    /// `FILE line N`, for messages.
    pub fn place(&self) -> String {
        format!("{} line {}", self.sheet.name, self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_formula_is_guarded_and_read_back_unchanged() {
        for value in ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'quoted'", "''", "plain", "", "a\nb, \"c\"", "'=1"] {
            let mut table = Table::new(&["text", "other"]);
            table.push([text(value), Cow::Borrowed("x")]);
            let bytes = table.into_bytes();
            let sheet = Sheet::parse("t.csv", &bytes).unwrap();
            assert_eq!(sheet.rows().next().unwrap().text("text"), value);
        }
        assert_eq!(text("=1+1"), "'=1+1");
        assert_eq!(text("a\0b"), "a\u{FFFD}b");
    }

    #[test]
    fn numbers_have_twelve_significant_digits_and_no_sign_on_zero() {
        assert_eq!(number(Some(1.0 / 3.0)), "0.333333333333");
        assert_eq!(number(Some(2.0)), "2");
        assert_eq!(number(Some(-0.0)), "0");
        assert_eq!(number(Some(123456.7890123456)), "123456.789012");
        assert_eq!(number(Some(1.5e-9)), "1.5e-9");
        assert_eq!(number(Some(f64::NAN)), "");
        assert_eq!(number(None), "");
    }

    #[test]
    fn a_cell_that_is_no_number_is_refused_with_its_place() {
        let sheet = Sheet::parse("t.csv", b"a,b\n1,x\n").unwrap();
        let message = sheet.rows().next().unwrap().number::<f64>("b").unwrap_err().to_string();
        assert!(message.contains("t.csv line 2") && message.contains("\"x\""), "{message}");
    }
}
