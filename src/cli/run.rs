//! `tiltmeter run`: suites → cases → answers → scores → tables, kept in one folder a run.
//!
//! Everything that can be refused is refused before a model is asked: suites, scorers, prompts that do
//! not fit, folders that hold another run. What a run does is in `job`, where answers come from in `source`.

mod job;
pub(super) mod measure;
mod source;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, ensure};

use self::job::Job;
use self::measure::Instruments;
use self::source::Source;
use super::engine::EngineArgs;
use super::gate::{self, GateArgs};
use super::output::{self, Format};
use crate::model::files::Access;
use crate::model::precision::Precision;
use crate::report::gate as gate_text;
use crate::scorer::encoder::TextEncoder;
use crate::scorer::{self, Setting};
use crate::suite::expand::expand;
use crate::suite::load::{Outside, load_named_or_path};
use crate::suite::{Case, Probe, Similarity, Suite};

/// Ask a model the cases of suites, score its answers, and say where they tilt
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Suite files, or names of suites that the program carries
    #[arg(value_name = "SUITE", default_value = "first-look")]
    suites: Vec<String>,

    /// A name from `tiltmeter model list`, a folder, a .gguf file, a hub id, or scripted:FILE (answers from a table)
    #[arg(long, value_name = "MODEL", default_value = "smollm2-135m-instruct")]
    model: String,

    /// Score the answers of this CSV file (case, sample, text) and ask no model
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    responses: Option<PathBuf>,

    /// Only the first N contexts, each with all its counterfactual sets
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    /// Seed of sampling and of the statistics
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Folder for the run folders
    #[arg(short, long, value_name = "DIR", default_value = "results")]
    out: PathBuf,

    /// Added to the run folder's name, to keep runs of one suite and model apart
    #[arg(long, value_parser = label)]
    label: Option<String>,

    /// Move a run that is there already aside, and start over
    #[arg(long)]
    fresh: bool,

    /// Let suites use files outside their folder and the one above it
    #[arg(long)]
    allow_outside: bool,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    #[command(flatten)]
    gate: GateArgs,

    #[command(flatten)]
    engine: EngineArgs,
}

pub const EXAMPLES: &str = "\
Examples:
  tiltmeter run                                        first-look on smollm2-135m-instruct
  tiltmeter run --limit 4                              a first try
  tiltmeter run my-suite.yaml --model ./model.gguf
  tiltmeter run my-suite.yaml --responses answers.csv  answers that were made elsewhere

The same command again continues a run that was cut off; on a finished run it prints the stored table.";

fn label(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !text.is_empty() && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("it becomes part of a folder's name: use letters, digits, '.', '_' and '-'".into())
    }
}

pub fn run(args: &Args) -> Result<ExitCode> {
    args.engine.start_threads()?;
    let gate = args.gate.open()?;
    let suites = args.suites.iter().map(|name| load(name, args)).collect::<Result<Vec<_>>>()?;
    if let Some(gate) = &gate {
        suites.iter().try_for_each(|(suite, _)| gate.check(suite))?;
    }
    let encoder = encoder(&suites, args)?;
    let instruments = instruments(&suites, encoder.as_ref(), args)?;
    let source = Source::open(args)?;
    for (suite, _) in &suites {
        source.check(suite, args)?;
    }
    let jobs = suites
        .into_iter()
        .zip(instruments)
        .map(|((suite, cases), instruments)| Job::prepare(suite, cases, instruments, &source, args))
        .collect::<Result<Vec<_>>>()?;
    let mut folders = BTreeSet::new();
    for job in &jobs {
        ensure!(
            folders.insert(job.measure.folder.path()),
            "two of the suites go by the name {}; name each suite once",
            job.measure.suite.name
        );
    }
    let mut runs = Vec::new();
    for job in &jobs {
        runs.push(job.finish(&source, args)?);
        if args.format == Format::Text {
            let gap = if runs.len() > 1 { "\n" } else { "" };
            output::print(&format!("{gap}{}", output::render(&runs[runs.len() - 1..], args.format)))?;
        }
    }
    let Some(gate) = gate else {
        if args.format == Format::Json {
            output::print(&output::render(&runs, args.format))?;
        }
        return Ok(ExitCode::SUCCESS);
    };
    let sources: Vec<gate::Source<'_>> = folders.iter().map(|folder| gate::Source::Folder(folder)).collect();
    let judgement = gate.judge(&sources)?;
    output::print(&match args.format {
        Format::Text => format!("\n{}", gate_text::text(&judgement)),
        Format::Json => gate_text::beside(&output::render(&runs, args.format), &judgement),
    })?;
    Ok(ExitCode::from(judgement.exit_code()))
}

fn load(name: &str, args: &Args) -> Result<(Suite, Vec<Case>)> {
    let outside = if args.allow_outside { Outside::Allowed } else { Outside::Refused };
    let suite = load_named_or_path(name, outside)?;
    let cases = expand(&suite, args.limit.map(|limit| limit as usize))?;
    ensure!(!cases.is_empty(), "suite {} makes no cases; `tiltmeter expand {name}` shows what it makes", suite.name);
    Ok((suite, cases))
}

/// The sentence encoder, opened once if a head or `similarity: [cosine]` of any suite needs it.
fn encoder(suites: &[(Suite, Vec<Case>)], args: &Args) -> Result<Option<Arc<TextEncoder>>> {
    let needs_it =
        |suite: &Suite| scorer::needs_encoder(&suite.scorers) || suite.similarity.contains(&Similarity::Cosine);
    if !suites.iter().any(|(suite, _)| needs_it(suite)) {
        return Ok(None);
    }
    let access = Access::new(args.engine.offline, args.engine.quiet);
    scorer::open_encoder(scorer::ENCODER, Precision::F32, &access).map(Some)
}

/// What measures the answers of each suite.
fn instruments(
    suites: &[(Suite, Vec<Case>)],
    encoder: Option<&Arc<TextEncoder>>,
    args: &Args,
) -> Result<Vec<Instruments>> {
    let of_suite = |(suite, _): &(Suite, Vec<Case>)| {
        let max_new_tokens = max_new_tokens(suite);
        let setting = Setting { encoder: encoder.cloned(), max_new_tokens, open: args.engine.options() };
        Ok(Instruments {
            scorers: scorer::build(&suite.scorers, &setting)?,
            judges: scorer::build_pair_judges(&suite.scorers, &setting)?,
            encoder: encoder.cloned(),
        })
    };
    suites.iter().map(of_suite).collect()
}

fn max_new_tokens(suite: &Suite) -> usize {
    let limits = suite.probes.iter().map(|probe| match probe {
        Probe::Generate(spec) => spec.max_new_tokens,
        Probe::Choice(_) | Probe::Likelihood(_) => 0,
    });
    limits.max().unwrap_or(0).max(1)
}
