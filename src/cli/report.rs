//! `tiltmeter report`: recomputes the tables of finished runs from their records and prints what `run` printed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::output::{self, Format};
use crate::analysis::benchmark::benchmark;
use crate::analysis::{AxisPlan, Beside, Plan, ScorerPlan, Unit, analyze_beside, without};
use crate::record::manifest::Manifest;
use crate::record::records::read_records;
use crate::record::{folder, rows};
use crate::report::{Answers, Run};
use crate::suite::{Direction, ProbeKind};

/// Print the tables of finished runs again, without asking a model
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run folder, or a folder that holds exactly the runs meant
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Write into this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub const EXAMPLES: &str = "\
Examples:
  tiltmeter report results/first-look@1
  tiltmeter report results/first-look@1 --format json > first-look.json";

pub fn run(args: &Args) -> Result<()> {
    let mut runs = Vec::new();
    for path in &args.runs {
        for folder in folder::runs_in(path)? {
            runs.push(read(&folder)?);
        }
    }
    let text = output::render(&runs, args.format);
    match &args.out {
        Some(path) => std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display())),
        None => output::print(&text),
    }
}

/// A finished run, its tables computed from its records.
pub fn read(folder: &Path) -> Result<Run> {
    let manifest = Manifest::read(&folder.join("manifest.yaml"))?;
    compute(manifest, |name| folder.join(name))
}

/// Computes the tables from the files as written, so that every later reader gets the same ones.
pub fn compute(manifest: Manifest, path: impl Fn(&str) -> PathBuf) -> Result<Run> {
    let answers = Answers::count(&rows::read_responses(&path("responses.csv"))?);
    let records = path("records.csv");
    let tables = analyze_beside(&read_records(&records)?, &plan(&manifest), &beside(&manifest, &path)?)
        .with_context(|| format!("{} cannot be analysed", records.display()))?;
    let benchmark = match &manifest.suite.benchmark {
        Some(name) => {
            let (cases, scores) = (rows::read_cases(&path("cases.csv"))?, rows::read_scores(&path("scores.csv"))?);
            benchmark(name, &manifest.suite.name, manifest.seed, &cases, &scores)?
        }
        None => Vec::new(),
    };
    Ok(Run { manifest, answers, tables, benchmark })
}

/// What was measured while the run was scored. These are files and not lines of the manifest: a run is recognised by its manifest before
/// anything is scored.
pub(super) fn beside(manifest: &Manifest, path: &impl Fn(&str) -> PathBuf) -> Result<Beside> {
    let (offsets, pairs) = (path("offsets.csv"), path("similarity.csv"));
    Ok(Beside {
        offsets: if offsets.exists() { rows::read_offsets(&offsets)? } else { Vec::new() },
        pairs: if pairs.exists() { rows::read_pairs(&pairs)? } else { Vec::new() },
        shared_draws: manifest.probes.iter().all(|probe| probe.asked_as != "given"),
    })
}

/// What the manifest declares; the same as `Plan::of` makes of the suite.
pub(super) fn plan(manifest: &Manifest) -> Plan {
    let margin =
        |scorer: &str| manifest.outcomes.iter().find(|outcome| outcome.score == scorer).map(|outcome| outcome.margin);
    let direction = |scorer: &str| {
        let outcome = manifest.outcomes.iter().find(|outcome| outcome.score == scorer)?;
        match outcome.direction.as_deref()? {
            "higher" => Some(Direction::HigherIsBetter),
            "lower" => Some(Direction::LowerIsBetter),
            _ => None,
        }
    };
    Plan {
        suite: manifest.suite.name.clone(),
        axes: manifest
            .axes
            .iter()
            .map(|axis| AxisPlan {
                name: axis.name.clone(),
                groups: axis.groups.clone(),
                reference: axis.reference.clone(),
                controls: axis.controls.clone(),
                paired: axis.paired,
                crossed: axis.crossed,
                without: without(manifest.outcomes.iter().map(|outcome| outcome.score.as_str()), |score| {
                    axis.probes.iter().any(|kind| kind == ProbeKind::of_score(score).as_str())
                }),
            })
            .collect(),
        scorers: manifest
            .scorers
            .iter()
            .map(|scorer| ScorerPlan {
                name: scorer.name.clone(),
                range: (scorer.low, scorer.high),
                margin: margin(&scorer.name),
                direction: direction(&scorer.name),
            })
            .collect(),
        alpha: Plan::ALPHA,
        seed: manifest.seed,
        resamples: Plan::RESAMPLES,
        generalise_to: match manifest.generalise_to.as_deref() {
            Some("templates") => Unit::Templates,
            _ => Unit::Contexts,
        },
    }
}
