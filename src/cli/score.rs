//! `tiltmeter score`: puts scores beside the texts of a file, or scores the stored answers of a run again.

mod again;
mod columns;
mod csv_record;
pub(super) mod rows;
mod sheet;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use self::again::Stored;
use self::columns::Columns;
use self::rows::{Cells, Row, Rows};
use self::sheet::{Format, Sheet};
use super::engine::EngineArgs;
use super::progress::say_truncated;
use super::{named, output};
use crate::model::files::Access;
use crate::scorer::encoder::TextEncoder;
use crate::scorer::{self, Scorer, Setting};
use crate::suite::ScorerSpec;
use crate::suite::scorer::Labels;

/// Put scores beside the texts of a file
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A .csv or .jsonl file with a text a row, or the folder of a finished run
    #[arg(value_name = "FILE|RUN")]
    input: PathBuf,

    /// A scorer by name, a head.safetensors, or a classifier: a folder, a name of `tiltmeter model list` or a hub id. Repeatable
    #[arg(long = "scorer", value_name = "NAME|DIR|HEAD", required = true)]
    scorers: Vec<String>,

    /// The column or key that holds the texts
    #[arg(long, value_name = "COLUMN", default_value = "text")]
    text: String,

    /// Of a classifier with several labels: the label whose probability is the score. Repeated, their sum
    #[arg(long = "label", value_name = "LABEL", conflicts_with = "all_labels")]
    labels: Vec<String>,

    /// One column a label, with its probability, in place of one score
    #[arg(long)]
    all_labels: bool,

    /// Of a run: its suite, where that is none of the program's own
    #[arg(long, value_name = "SUITE")]
    suite: Option<String>,

    /// Write into this file instead of stdout; of a run: the folder for the new run folder
    #[arg(short, long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,

    /// What to write; as the file that is read, or as the ending of --out says
    #[arg(long, value_enum)]
    format: Option<Format>,

    #[command(flatten)]
    engine: EngineArgs,
}

pub const EXAMPLES: &str = "\
Examples:
  tiltmeter score answers.csv --scorer sentiment -o scored.csv
  tiltmeter score answers.jsonl --scorer vader --scorer toxicity --text reply
  tiltmeter score answers.csv --scorer ./classifier --all-labels
  tiltmeter score answers.csv --scorer head.safetensors --format table
  tiltmeter score results/first-look@1/MODEL@DIGEST --scorer vader -o rescored

Adds the column NAME, and NAME_reason, which says why a text has no score. The other columns stay byte for byte.";

/// Rows and bytes that are read before they are scored: enough to sort by length, few enough for any machine.
const ROWS: usize = 2048;
const BYTES: usize = 8 << 20;

pub fn run(args: &Args) -> Result<()> {
    args.engine.start_threads()?;
    if args.input.is_dir() {
        return of_run(args);
    }
    ensure!(args.suite.is_none(), "--suite goes with the folder of a run; {} is a file", args.input.display());
    let mut rows = Rows::open(&args.input, &args.text)?;
    let format = format(args, rows.is_csv());
    let specs = args.scorers.iter().map(|name| spec(name, args)).collect::<Result<Vec<_>>>()?;
    let (scorers, _) = build(&specs, 1, args)?;
    let columns = Columns::new(&scorers, args.all_labels)?;
    for name in columns.names() {
        if rows.header().is_some_and(|header| header.contains(name)) {
            bail!("{} has a column {name:?} already; rename it, or take it out", args.input.display());
        }
    }
    match &args.out {
        Some(path) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let file = tempfile::NamedTempFile::new_in(folder).with_context(|| {
                format!("cannot write in {}; create the folder, or give another -o", folder.display())
            })?;
            let out = BufWriter::new(file.as_file().try_clone().context("cannot write")?);
            let sheet = Sheet::new(out, format, &rows, columns.names().to_vec());
            score(&mut rows, &columns, sheet, args)?;
            file.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => {
            let out = BufWriter::new(io::stdout().lock());
            let sheet = Sheet::new(out, format, &rows, columns.names().to_vec());
            if let Err(error) = score(&mut rows, &columns, sheet, args) {
                let closed = |error: &anyhow::Error| {
                    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
                };
                // A reader that closes the pipe early is no error.
                return if closed(&error) { Ok(()) } else { Err(error) };
            }
        }
    }
    say_truncated(args.engine.quiet, &scorers);
    Ok(())
}

/// A run's stored answers: the new run folder is written under --out, and its table printed.
fn of_run(args: &Args) -> Result<()> {
    let Some(out) = &args.out else {
        bail!("say by -o where the new run folder goes; {} itself stays as it is", args.input.display())
    };
    ensure!(!args.all_labels, "a run has one number a scorer; name the label by --label in place of --all-labels");
    ensure!(args.format.is_none(), "a run is written as a run folder; leave --format out");
    let stored = Stored::open(&args.input, args.suite.as_deref())?;
    let specs = args.scorers.iter().map(|name| spec(name, args)).collect::<Result<Vec<_>>>()?;
    let (scorers, encoder) = build(&specs, stored.max_new_tokens(), args)?;
    let run = stored.score(scorers, encoder, out, args.engine.quiet)?;
    output::print(&output::render(&[run], output::Format::Text))
}

fn format(args: &Args, is_csv: bool) -> Format {
    let ending = args.out.as_deref().and_then(Path::extension).and_then(|ending| ending.to_str()).unwrap_or("");
    args.format.unwrap_or(match ending {
        "csv" => Format::Csv,
        "jsonl" => Format::Jsonl,
        _ if is_csv => Format::Csv,
        _ => Format::Jsonl,
    })
}

/// The scorer that a name, a file or a folder means.
fn spec(name: &str, args: &Args) -> Result<ScorerSpec> {
    let labels = match args.labels.as_slice() {
        [] if args.all_labels => Labels::All,
        [] => Labels::Declared,
        labels => Labels::Sum(labels.to_vec()),
    };
    if scorer::NAMES.contains(&name) {
        ensure!(
            name != "length" || args.input.is_dir(),
            "the scorer \"length\" counts a model's tokens, which a file of texts does not have; `tiltmeter run` counts them"
        );
        ensure!(
            labels == Labels::Declared,
            "the scorer {name:?} gives one number and has no labels; leave --label and --all-labels out"
        );
        return Ok(ScorerSpec::named(name));
    }
    named::outside(name, labels)
}

type Scorers = Vec<Box<dyn Scorer>>;

/// The scorers, and the sentence encoder where one of them needs it.
fn build(specs: &[ScorerSpec], max_new_tokens: usize, args: &Args) -> Result<(Scorers, Option<Arc<TextEncoder>>)> {
    let open = args.engine.options();
    let encoder = if scorer::needs_encoder(specs) {
        Some(scorer::open_encoder(scorer::ENCODER, open.precision, &Access::new(open.offline, open.quiet))?)
    } else {
        None
    };
    let scorers = scorer::build(specs, &Setting { encoder: encoder.clone(), max_new_tokens, open })?;
    Ok((scorers, encoder))
}

/// Reads, scores and writes chunk by chunk, so that a file of any length needs the memory of a chunk.
fn score<W: Write>(rows: &mut Rows, columns: &Columns<'_>, mut sheet: Sheet<W>, args: &Args) -> Result<()> {
    let mut chunk: Vec<Row> = Vec::new();
    let mut bytes = 0;
    loop {
        let row = rows.next_row()?;
        let is_end = row.is_none();
        if let Some(row) = row {
            if let Cells::Json(object) = &row.cells
                && let Some(name) = columns.names().iter().find(|name| object.contains_key(*name))
            {
                bail!(
                    "{} line {} has a key {name:?} already; rename it, or take it out",
                    args.input.display(),
                    row.line
                );
            }
            bytes += row.raw.len();
            chunk.push(row);
        }
        if is_end || chunk.len() == ROWS || bytes >= BYTES {
            let texts: Vec<Result<&str, &str>> =
                chunk.iter().map(|row| row.text.as_deref().map_err(|reason| *reason)).collect();
            for (row, cells) in chunk.iter().zip(columns.score(&texts)?) {
                sheet.write(row, &cells, rows.header())?;
            }
            chunk.clear();
            bytes = 0;
        }
        if is_end {
            sheet.finish()?;
            return Ok(());
        }
    }
}
