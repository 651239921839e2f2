//! `tiltmeter head`: fits the linear heads that score sentiment and toxicity, from public files.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};

use super::output::Format;
use crate::model::files::{Access, resolve_encoder};
use crate::scorer::encoder::TextEncoder;
use crate::scorer::linear_head::LinearHead;
use crate::scorer::train::{Task, train};

/// Fit classifier heads
#[derive(Debug, Args)]
pub struct HeadArgs {
    #[command(subcommand)]
    command: HeadCommand,
}

#[derive(Debug, Subcommand)]
enum HeadCommand {
    /// Fit a head on a sentence encoder and write it with its papers; prints its figures on held-out rows
    Train(TrainArgs),
}

#[derive(Debug, Args)]
struct TrainArgs {
    #[arg(long, value_enum)]
    task: TaskName,
    /// Folder that holds vader/*.tsv (both tasks), davidson/labeled_data.csv and toxigen/annotated.jsonl (toxicity)
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The head's file, JSON
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Decides which rows are held out, and the resamples of the intervals
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A sentence encoder from `tiltmeter model list`, or a folder with one
    #[arg(long, value_name = "NAME", default_value = "minilm-l6")]
    encoder: String,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Only look into the caches
    #[arg(long)]
    offline: bool,
    /// Show no progress
    #[arg(long)]
    quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TaskName {
    Sentiment,
    Toxicity,
}

/// Runs the subcommand; prints on stdout.
///
/// # Errors
/// Missing or malformed data, an encoder that cannot be had, a file that cannot be written.
pub fn run(args: HeadArgs) -> Result<()> {
    let HeadCommand::Train(args) = args.command;
    let task = match args.task {
        TaskName::Sentiment => Task::Sentiment,
        TaskName::Toxicity => Task::Toxicity,
    };
    // What can fail early does so before minutes of encoding: the data, the encoder, the place of the file.
    task.parts(&args.data, args.seed)?;
    let files = resolve_encoder(&args.encoder, &Access::new(args.offline, args.quiet))?;
    let encoder = TextEncoder::from_files(&files)?;
    let folder =
        args.out.parent().filter(|p| !p.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), PathBuf::from);
    let mut file = tempfile::NamedTempFile::new_in(&folder)
        .with_context(|| format!("cannot write in {}; create the folder, or give another -o", folder.display()))?;

    let show = !args.quiet && std::io::stderr().is_terminal();
    let head = train(task, &args.data, args.seed, &encoder, files.label(), &mut |done, all| {
        if show {
            eprint!("\rencoded {done} of {all} texts{}", if done == all { "\n" } else { "" });
        }
    })?;
    file.write_all(head.to_json().as_bytes()).context("cannot write the head")?;
    file.persist(&args.out).with_context(|| format!("cannot write {}", args.out.display()))?;

    let text = match args.format {
        Format::Text => table(&head),
        Format::Json => serde_json::to_string_pretty(&head.quality)? + "\n",
    };
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to stdout")
}

/// The figures as lines; undefined ones are n/a.
fn table(head: &LinearHead) -> String {
    let cell = |figure: Option<[f64; 3]>| match figure {
        Some([value, low, high]) => format!("{value:.3} [{low:.3}, {high:.3}]"),
        None => "n/a".to_string(),
    };
    let mut text = format!(
        "{}: fitted on {} rows; figures on held-out rows with 95 % intervals\n{:<38} {:>6}  {:<22} {:<22} {:<22} {}\n",
        head.name, head.fit.rows, "rows of", "n", "accuracy", "macro-F1", "AUROC", "calibration error"
    );
    for q in &head.quality {
        let (accuracy, f1, auroc) = (cell(Some(q.accuracy)), cell(q.macro_f1), cell(q.auroc));
        let _ =
            writeln!(text, "{:<38} {:>6}  {accuracy:<22} {f1:<22} {auroc:<22} {:.3}", q.on, q.n, q.calibration_error);
    }
    text
}
