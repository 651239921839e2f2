//! Prints the JSON Schema of suite files.

use anyhow::Result;

use super::output;
use crate::suite::schema::suite_schema;

/// Print the JSON Schema of suite files, for editors that complete and check YAML
#[derive(Debug, clap::Args)]
pub struct Args {}

pub const EXAMPLES: &str = "\
Examples:
  tiltmeter schema > tiltmeter.schema.json

An editor with the YAML language server reads it from the first line of a suite:
  # yaml-language-server: $schema=tiltmeter.schema.json";

/// Prints the schema.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(_: &Args) -> Result<()> {
    output::print(&format!("{:#}\n", suite_schema()))
}
