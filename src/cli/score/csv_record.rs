//! Reads one CSV record at a time, both as written and as cells: quotes, line ends and blanks of the user's file have to come out again as
//! they went in, which a reader of cells alone cannot promise.

use std::io::BufRead;

use anyhow::{Result, bail, ensure};

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub struct Record {
    /// Without the line end.
    pub raw: Vec<u8>,
    pub line_end: Vec<u8>,
    pub cells: Vec<Vec<u8>>,
    /// Lines that it takes in the file.
    pub lines: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    CellStart,
    Plain,
    Quoted,
    /// After a quote in a quoted cell: the end, or the first of two that stand for one.
    Quote,
}

/// The next record of a CSV file (RFC 4180; a quote inside an unquoted cell is a letter); none at the end.
///
/// # Errors
/// A quote that is not closed, or a record of more than `most` bytes.
pub fn read(input: &mut impl BufRead, most: usize) -> Result<Option<Record>> {
    let mut raw = Vec::new();
    let mut cells = vec![Vec::new()];
    let mut state = State::CellStart;
    let mut lines = 0;
    loop {
        let start = raw.len();
        if input.read_until(b'\n', &mut raw)? == 0 {
            ensure!(state != State::Quoted, "a quote is opened here that is closed nowhere; close it, or double it");
            if raw.is_empty() {
                return Ok(None);
            }
            break;
        }
        lines += 1;
        if raw.len() > most {
            bail!("this record is longer than {} MiB; is a quote open?", most >> 20);
        }
        for &byte in &raw[start..] {
            let cell = cells.last_mut().expect("there is one at least");
            state = match (state, byte) {
                (State::CellStart, b'"') => State::Quoted,
                (State::Quoted, b'"') => State::Quote,
                (State::Quote, b'"') => {
                    cell.push(b'"');
                    State::Quoted
                }
                (State::CellStart | State::Plain | State::Quote, b',') => {
                    cells.push(Vec::new());
                    State::CellStart
                }
                (State::Quoted, _) => {
                    cell.push(byte);
                    State::Quoted
                }
                (_, _) => {
                    cell.push(byte);
                    State::Plain
                }
            };
        }
        if state != State::Quoted {
            break;
        }
    }
    let ends = [&b"\r\n"[..], b"\n"].into_iter().find(|end| raw.ends_with(end)).map_or(0, <[u8]>::len);
    let line_end = raw.split_off(raw.len() - ends);
    // The line end went into the last cell, unless that was empty behind a quote.
    let last = cells.last_mut().expect("there is one at least");
    if last.ends_with(&line_end) {
        last.truncate(last.len() - line_end.len());
    }
    Ok(Some(Record { raw, line_end, cells, lines }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(record: &Record) -> Vec<&str> {
        record.cells.iter().map(|cell| std::str::from_utf8(cell).unwrap()).collect()
    }

    #[test]
    fn cells_are_read_and_the_record_stays_as_written() {
        for (file, wanted) in [
            ("a,b\n", vec!["a", "b"]),
            ("a,\"b, \"\"c\"\"\nd\"\r\n", vec!["a", "b, \"c\"\nd"]),
            ("\"a\",b\r\n", vec!["a", "b"]),
            (",\"\",\n", vec!["", "", ""]),
            ("a\"b, c ", vec!["a\"b", " c "]),
            ("\n", vec![""]),
            ("\"\"\n", vec![""]),
            ("é,🙂", vec!["é", "🙂"]),
        ] {
            let record = read(&mut file.as_bytes(), 100).unwrap().unwrap();
            assert_eq!(cells(&record), wanted, "{file:?}");
            assert_eq!([record.raw, record.line_end].concat(), file.as_bytes(), "{file:?}");
        }
    }

    #[test]
    fn a_file_is_read_record_by_record() {
        let mut file = &b"a,\"1\n2\"\nb,3\n"[..];
        let lines: Vec<u64> = std::iter::from_fn(|| read(&mut file, 100).unwrap()).map(|record| record.lines).collect();
        assert_eq!(lines, [2, 1]);
    }

    #[test]
    fn an_open_quote_is_an_error_and_not_the_rest_of_the_file() {
        assert!(read(&mut &b"a,\"b\nc,d\n"[..], 100).unwrap_err().to_string().contains("closed nowhere"));
        assert!(read(&mut &b"a,\"bbbbbbbbbbb\nc,d\n"[..], 10).unwrap_err().to_string().contains("longer than"));
    }
}
