//! `tiltmeter model`: lists the catalog, fetches a model ahead of a run, and says what a model is.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::Format;
use crate::model::OpenOptions;
use crate::model::catalog::{self, Entry};
use crate::model::files::{self, Access, ModelFiles, Places, megabytes};
use crate::model::inspect::{EnginePath, Inspection, Token, inspect};
use crate::model::support;

/// List, fetch and inspect models
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
    /// List the architectures that can be run
    Architectures(ArchitecturesArgs),
    /// Say what a model is, whether it can be run, and what it needs, without loading it
    Inspect(InspectArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only models, encoders or classifiers
    #[arg(long, value_parser = ["model", "encoder", "classifier"])]
    kind: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Args)]
struct ArchitecturesArgs {
    #[arg(long, value_enum, default_value_t = TableFormat::Text)]
    format: TableFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum TableFormat {
    Text,
    Json,
    /// As docs/models.md has it
    Markdown,
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

#[derive(Debug, Args)]
struct InspectArgs {
    /// A name from `tiltmeter model list`, a hub id (org/name[@revision][:file.gguf]), a folder or a .gguf file
    name: String,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// A tokenizer.json in place of the model's own
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
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
        ModelCommand::List(args) => list(&places, args.kind.as_deref(), args.format)?,
        ModelCommand::Architectures(args) => architectures(args.format)?,
        ModelCommand::Fetch(args) => {
            let access = Access::new(args.offline, args.quiet);
            let found = files::resolve_in(&args.name, None, &places, &access)?;
            fetched(&found, args.format)?
        }
        ModelCommand::Inspect(args) => {
            let options = OpenOptions {
                tokenizer: args.tokenizer,
                offline: args.offline,
                quiet: args.quiet,
                ..OpenOptions::default()
            };
            inspected(&inspect(&args.name, &options)?, args.format)?
        }
    };
    io::stdout().write_all(output.as_bytes()).context("cannot write to stdout")
}

fn list(places: &Places, kind: Option<&str>, format: Format) -> Result<String> {
    let listed = || catalog::entries().iter().filter(|entry| kind.is_none_or(|kind| entry.kind.as_str() == kind));
    if format == Format::Json {
        let entries: Vec<Value> = listed().map(|entry| entry_json(entry, places)).collect();
        return Ok(serde_json::to_string_pretty(&entries)? + "\n");
    }
    let header = ["name", "kind", "size", "license", "cached", "summary"].map(str::to_string);
    let rows = listed().map(|entry| {
        let cached = if files::is_cached(entry, places) { "yes" } else { "no" };
        [
            entry.name.clone(),
            entry.kind.as_str().to_string(),
            if entry.files.is_empty() { "?".into() } else { megabytes(entry.bytes()) },
            entry.license.clone(),
            cached.to_string(),
            entry.summary.clone(),
        ]
    });
    Ok(columns(&std::iter::once(header).chain(rows).collect::<Vec<_>>()))
}

/// Rows with their columns below each other.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

fn architectures(format: TableFormat) -> Result<String> {
    let all = support::architectures();
    if format == TableFormat::Json {
        return Ok(serde_json::to_string_pretty(&all)? + "\n");
    }
    let header = ["model_type", "GGUF", "runs on", "models"].map(str::to_string);
    let rows = all.iter().map(|architecture| {
        let path = if architecture.batch_invariant { "own decoder" } else { "candle's model" };
        [architecture.model_type, architecture.gguf.unwrap_or("–"), path, architecture.models].map(str::to_string)
    });
    let rows: Vec<[String; 4]> = std::iter::once(header).chain(rows).collect();
    if format == TableFormat::Text {
        return Ok(columns(&rows));
    }
    let line = |cells: &[String; 4]| format!("| {} |\n", cells.join(" | "));
    let rule = "|---|---|---|---|\n".to_owned();
    Ok(std::iter::once(line(&rows[0])).chain([rule]).chain(rows[1..].iter().map(line)).collect())
}

fn entry_json(entry: &Entry, places: &Places) -> Value {
    json!({
        "name": entry.name,
        "kind": entry.kind.as_str(),
        "bytes": (!entry.files.is_empty()).then(|| entry.bytes()),
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

fn inspected(model: &Inspection, format: Format) -> Result<String> {
    if format == Format::Json {
        return Ok(serde_json::to_string_pretty(model)? + "\n");
    }
    let mut lines: Vec<(&str, String)> = vec![("label", model.label.clone())];
    let way = match model.path {
        EnginePath::Own => "own decoder",
        EnginePath::Fallback => "candle's model: f32 on the CPU, answers not batch-invariant",
        EnginePath::Refused => "refused: it cannot be run",
    };
    lines.push(("path", way.into()));
    lines.extend(model.reasons.iter().map(|reason| ("reason", reason.clone())));
    lines.push(("architecture", model.architecture.clone()));
    lines.push(("parameters", millions(model.parameters)));
    lines.push(("files", format!("{}, {}", model.format, megabytes(model.bytes))));
    lines.extend(model.commit.iter().map(|commit| ("commit", commit.clone())));
    let dtypes = model.dtypes.iter().map(|(dtype, count)| format!("{dtype} ({})", millions(*count)));
    lines.push(("stored as", dtypes.collect::<Vec<_>>().join(", ")));
    lines.extend(model.context_length.map(|tokens| ("context", format!("{tokens} tokens"))));
    if let Some(card) = &model.tokenizer {
        let around = match card.around.as_slice() {
            [] => "nothing added to a prompt".into(),
            around => format!("{} added to a prompt", around.join(" ")),
        };
        lines.push(("tokenizer", format!("{}, {} tokens, {around}", card.kind, card.tokens)));
        lines.push(("ends with", tokens(&card.ends)));
        if !card.chat_ends.is_empty() {
            lines.push(("chats also", tokens(&card.chat_ends)));
        }
        lines.push(("chat template", card.chat_template.clone().unwrap_or_else(|| "none".into())));
    }
    if let Some(memory) = &model.memory {
        let f32 = megabytes(memory.weights_f32);
        lines.push(match memory.weights_int8.map(megabytes) {
            Some(int8) => ("memory", format!("weights {f32} in f32, {int8} in int8 (auto takes {})", memory.auto)),
            None => ("memory", format!("weights {f32} in f32")),
        });
        let per_token = memory.kv_per_token;
        lines
            .push(("", format!("keys and values {per_token} bytes a token, {} for 1000", megabytes(1000 * per_token))));
    }
    Ok(lines.iter().map(|(name, value)| format!("{name:13}  {value}\n")).collect())
}

fn tokens(tokens: &[Token]) -> String {
    if tokens.is_empty() {
        return "nothing: every answer has its full length".into();
    }
    tokens.iter().map(|token| format!("{} ({})", token.text, token.id)).collect::<Vec<_>>().join(", ")
}

fn millions(count: u64) -> String {
    match count {
        0..1_000_000 => count.to_string(),
        1_000_000..1_000_000_000 => format!("{:.1} M", count as f64 / 1e6),
        _ => format!("{:.2} B", count as f64 / 1e9),
    }
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
        let text = list(&places, None, Format::Text).unwrap();
        assert_eq!(text.lines().count(), catalog::entries().len() + 1);
        let line = text.lines().find(|line| line.starts_with("smollm2-135m-instruct")).unwrap();
        assert!(line.contains("98.4 MB  Apache-2.0  no"), "{line}");
        let values: Vec<Value> = serde_json::from_str(&list(&places, None, Format::Json).unwrap()).unwrap();
        assert_eq!(values[0]["cached"], json!(false));
        let text = list(&places, Some("classifier"), Format::Text).unwrap();
        assert!(text.contains("toxic-bert") && !text.contains("smollm2"), "{text}");
    }
}
