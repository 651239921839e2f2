//! Writes a commented suite to start from.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use super::progress::say;
use crate::suite::slug;

/// Write a commented suite to start from
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The suite's name: lower case, digits and hyphens
    name: String,

    /// Where to write it
    #[arg(short, long, value_name = "FILE", default_value = "<NAME>.yaml")]
    out: PathBuf,
}

pub const EXAMPLES: &str = "\
Examples:
  tiltmeter new reply-tone
  tiltmeter check reply-tone.yaml
  tiltmeter run reply-tone.yaml --limit 4";

/// The starter, whose name is put in.
const STARTER: &str = include_str!("new/starter.yaml");

/// Writes the file; one that is there already is kept.
///
/// # Errors
/// On a name that cannot name a suite, and when the file exists or cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let name = &args.name;
    ensure!(!name.is_empty() && slug(name) == *name, "the name {name:?} becomes a folder; write `{}`", slug(name));
    let is_default = args.out.as_os_str() == "<NAME>.yaml";
    let path = if is_default { PathBuf::from(format!("{name}.yaml")) } else { args.out.clone() };
    let file = OpenOptions::new().write(true).create_new(true).open(&path);
    let mut file =
        file.with_context(|| format!("{} cannot be written anew; give another name or --out", path.display()))?;
    file.write_all(STARTER.replace("{NAME}", name).as_bytes())
        .with_context(|| format!("{} cannot be written", path.display()))?;
    let path = path.display();
    say(
        false,
        &format!(
            "wrote {path}; next: `tiltmeter check {path}`, `tiltmeter expand {path} --sample 3`, `tiltmeter run {path} --limit 4`"
        ),
    );
    Ok(())
}
