//! Parses the command line and hands over to one file a subcommand.

use std::process::ExitCode;

/// Runs the command line; errors are printed once, here, and end with exit code 2.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
