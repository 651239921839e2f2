//! Prints results on stdout in the format asked for.

use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::report::{self, Run};

/// What stdout gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables and sentences, for reading
    Text,
    /// One JSON document
    Json,
}

/// What stdout gets of a command that has rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// Tables and sentences, for reading
    Text,
    /// One JSON document
    Json,
    /// The rows of the command's CSV file
    Csv,
}

/// The runs as text, a blank line between two, or as one JSON document.
pub fn render(runs: &[Run], format: Format) -> String {
    match format {
        Format::Text => runs.iter().map(report::terminal::text).collect::<Vec<_>>().join("\n"),
        Format::Json => report::json::document(runs),
    }
}

/// Prints on stdout. A reader that closes the pipe early is no error.
pub fn print(text: &str) -> Result<()> {
    print_bytes(text.as_bytes())
}

/// As [`print()`].
pub fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("stdout cannot be written"),
    }
}
