//! `tiltmeter analyze`: the statistics on scored records from anywhere, without a suite and without a model.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use super::declared::{Declared, DeclaredArgs};
use super::engine::start_threads;
use super::gate::{self, GateArgs};
use super::output::RowFormat;
use super::progress::say;
use crate::analysis::analyze;
use crate::report::{Analysis, columns, json, terminal};

/// Compute gaps, intervals and verdicts from scored records of any origin
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A CSV file with a row a scored answer: group, context, score; where there are several: suite, model, template, axis, term, sample,
    /// scorer. An empty score is an answer without one
    #[arg(value_name = "RECORDS.csv")]
    records: PathBuf,

    /// Folder for groups.csv, disparity.csv and the other tables
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,

    #[command(flatten)]
    declared: DeclaredArgs,

    #[command(flatten)]
    gate: GateArgs,

    /// What to print; csv is disparity.csv
    #[arg(long, value_enum, default_value_t = RowFormat::Text)]
    format: RowFormat,

    /// Threads; they change no result
    #[arg(long, value_name = "N")]
    threads: Option<u16>,

    /// Say nothing on stderr but errors
    #[arg(short, long)]
    quiet: bool,
}

pub const EXAMPLES: &str = "\
Examples:
  tiltmeter analyze records.csv -o tables --reference man
  tiltmeter analyze records.csv -o tables --reference gender=man --reference ethnicity=white
  tiltmeter analyze records.csv -o tables --range length=0,512 --margin length=20 --margin 0.05

with records.csv:
  template,context,group,term,sample,score
  letter,nurse,woman,Emily,0,0.71
  letter,nurse,man,Paul,0,0.68";

/// A file that only the folder of a run has.
const MANIFEST: &str = "manifest.yaml";

pub fn run(args: &Args) -> Result<ExitCode> {
    start_threads(args.threads)?;
    let gate = args.gate.open()?;
    ensure!(
        !args.out.join(MANIFEST).exists(),
        "{} is the folder of a run, which has its tables; give another -o",
        args.out.display()
    );
    let parts = args.declared.read(&args.records)?;
    let analyses = parts.iter().map(|part| analysed(part, &args.records)).collect::<Result<Vec<_>>>()?;
    let files = write(&analyses, &args.out)?;
    say(args.quiet, &format!("wrote {}: {}", args.out.display(), files.join(", ")));
    let sources = parts.iter().zip(&analyses).map(|(Declared { plan, model, records }, analysis)| {
        gate::Source::Records { plan, model, records, gaps: Some(&analysis.tables.gaps) }
    });
    let sources: Vec<gate::Source<'_>> = sources.collect();
    let judgement = gate.as_ref().map(|gate| gate.judge(&sources)).transpose()?;
    let shown = match args.format {
        RowFormat::Text => analyses.iter().map(terminal::analysis).collect::<Vec<_>>().join("\n"),
        RowFormat::Json => json::analyses(&analyses),
        RowFormat::Csv => {
            fs::read_to_string(args.out.join("disparity.csv")).context("disparity.csv cannot be read again")?
        }
    };
    gate::end(shown, judgement.as_ref(), args.format)
}

fn analysed(declared: &Declared, path: &Path) -> Result<Analysis> {
    let Declared { model, plan, records } = declared;
    let tables = analyze(records, plan).with_context(|| format!("{} cannot be analysed", path.display()))?;
    let judged = plan.scorers.iter().filter(|scorer| scorer.margin.is_some());
    Ok(Analysis {
        suite: plan.suite.clone(),
        model: model.clone(),
        records: records.len(),
        outcomes: judged.map(|scorer| scorer.name.clone()).collect(),
        axes: plan.axes.iter().map(|axis| axis.name.clone()).collect(),
        tables,
    })
}

/// Writes every table that applies, and takes away those of an earlier analysis that no longer do.
fn write(analyses: &[Analysis], out: &Path) -> Result<Vec<&'static str>> {
    fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let of: Vec<_> = analyses.iter().map(|analysis| (analysis.model.as_str(), &analysis.tables)).collect();
    let mut written = Vec::new();
    for (name, bytes) in columns::files(&of) {
        let path = out.join(name);
        match bytes {
            Some(bytes) => {
                fs::write(&path, bytes).with_context(|| format!("{} cannot be written", path.display()))?;
                written.push(name);
            }
            None if path.exists() => {
                fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))?;
            }
            None => {}
        }
    }
    Ok(written)
}
