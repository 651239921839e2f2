//! `tiltmeter model`: lists the catalog, and fetches a model ahead of a run.

use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::Format;
use crate::model::catalog::{self, Entry};
use crate::model::files::{self, Access, ModelFiles, Places, megabytes};

/// List and fetch models
#[derive(Debug, Args)]
pub struct ModelArgs {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// List the models that have a name: kind, size, licence, whether they are in the cache
    List(ListArgs),
    /// Fetch a model, verify it, and print its files and digest
    Fetch(FetchArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Args)]
struct FetchArgs {
    /// A name from `tiltmeter model list`, a hub id (org/name[@revision][:file.gguf]), a folder or a .gguf file
    name: String,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Only look into the caches
    #[arg(long)]
    offline: bool,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
}

/// Runs the subcommand; prints on stdout.
pub fn run(args: ModelArgs) -> Result<()> {
    let places = Places::from_env()?;
    let output = match args.command {
        ModelCommand::List(args) => list(&places, args.format)?,
        ModelCommand::Fetch(args) => {
            let access = Access::new(args.offline, args.quiet);
            let found = files::resolve_in(&args.name, None, &places, &access)?;
            fetched(&found, args.format)?
        }
    };
    io::stdout().write_all(output.as_bytes()).context("cannot write to stdout")
}

fn list(places: &Places, format: Format) -> Result<String> {
    if format == Format::Json {
        let entries: Vec<Value> = catalog::entries().iter().map(|entry| entry_json(entry, places)).collect();
        return Ok(serde_json::to_string_pretty(&entries)? + "\n");
    }
    let header = ["name", "kind", "size", "license", "cached", "summary"].map(str::to_string);
    let rows = catalog::entries().iter().map(|entry| {
        let cached = if files::is_cached(entry, places) { "yes" } else { "no" };
        [
            entry.name.clone(),
            entry.kind.as_str().to_string(),
            megabytes(entry.bytes()),
            entry.license.clone(),
            cached.to_string(),
            entry.summary.clone(),
        ]
    });
    let rows: Vec<[String; 6]> = std::iter::once(header).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_string() + "\n"
    };
    Ok(rows.iter().map(line).collect())
}

fn entry_json(entry: &Entry, places: &Places) -> Value {
    json!({
        "name": entry.name,
        "kind": entry.kind.as_str(),
        "bytes": entry.bytes(),
        "license": entry.license,
        "cached": files::is_cached(entry, places),
        "summary": entry.summary,
        "source": entry.source,
    })
}

fn fetched(found: &ModelFiles, format: Format) -> Result<String> {
    let paths: Vec<String> = found.paths().into_iter().map(|path| path.display().to_string()).collect();
    if format == Format::Json {
        let value = json!({
            "label": found.label(),
            "format": match found {
                ModelFiles::Gguf { .. } => "gguf",
                ModelFiles::Folder { .. } => "safetensors",
            },
            "sha256": found.digest(),
            "commit": found.commit(),
            "files": paths,
        });
        return Ok(serde_json::to_string_pretty(&value)? + "\n");
    }
    let commit = found.commit().map_or(String::new(), |commit| format!("commit  {commit}\n"));
    Ok(format!("label   {}\nsha256  {}\n{commit}{}\n", found.label(), found.digest(), paths.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_every_entry_with_size_and_licence() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places {
            cache: folder.path().join("own"),
            hub_cache: folder.path().join("hub"),
            ..Places::from_env().unwrap()
        };
        let text = list(&places, Format::Text).unwrap();
        assert_eq!(text.lines().count(), catalog::entries().len() + 1);
        let line = text.lines().find(|line| line.starts_with("smollm2-135m-instruct")).unwrap();
        assert!(line.contains("98.4 MB  Apache-2.0  no"), "{line}");
        let values: Vec<Value> = serde_json::from_str(&list(&places, Format::Json).unwrap()).unwrap();
        assert_eq!(values[0]["cached"], json!(false));
    }
}
