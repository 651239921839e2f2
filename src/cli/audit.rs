//! `tiltmeter audit`: how far scorers themselves tilt, on texts that differ in nothing but the group.

mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::engine::start_threads;
use super::named;
use super::output::{self, RowFormat};
use super::progress::Progress;
use crate::model::OpenOptions;
use crate::model::files::Access;
use crate::model::precision::Precision;
use crate::scorer::audit::carriers::Carriers;
use crate::scorer::audit::{Row, ScoredText, audit, labelled};
use crate::scorer::head::embedded;
use crate::scorer::{self, Scorer, Setting};
use crate::suite::load::{Outside, load_axes, load_named_or_path};
use crate::suite::{Axis, MaskList, ScorerSpec, Suite};

/// Measure the scorers' own tilt: equal texts, another group
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scorers: names, a head's file, a classifier's folder, catalog name or hub id; those of the suite, or the heads that the program carries, when left out
    #[arg(value_name = "SCORER")]
    scorers: Vec<String>,

    /// Fill in the groups of this suite (a file, or the name of one that the program carries) instead of the lists in prompts/axes
    #[arg(long, value_name = "SUITE")]
    suite: Option<String>,

    /// Only this axis; repeatable
    #[arg(long = "axis", value_name = "AXIS")]
    axes: Vec<String>,

    /// A file of carriers like prompts/audit/carriers.yaml in place of the program's own
    #[arg(long, value_name = "FILE")]
    carriers: Option<PathBuf>,

    /// Audit on your own labelled texts (CSV: text, label 1 or 0, group) instead of carriers; 1 is what the score should be high for
    #[arg(long, value_name = "FILE", conflicts_with_all = ["carriers", "texts"])]
    data: Option<PathBuf>,

    /// Also write every text with its raw and masked score into this CSV file
    #[arg(long, value_name = "FILE")]
    texts: Option<PathBuf>,

    /// What to print
    #[arg(long, value_enum, default_value_t = RowFormat::Text)]
    format: RowFormat,

    /// Write into this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Let the suite use files outside its folder and the one above it
    #[arg(long)]
    allow_outside: bool,

    /// Threads to compute with; all cores when left out. Changes no result
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Use only files that are here already
    #[arg(long)]
    offline: bool,

    /// Show no progress
    #[arg(long)]
    quiet: bool,
}

pub const EXAMPLES: &str = "\
Examples:
  tiltmeter audit --suite first-look            the scorers of a suite on its groups
  tiltmeter audit toxicity --axis religion
  tiltmeter audit toxicity --data labelled.csv  subgroup, BPSN and BNSP AUC on your own texts
  tiltmeter audit sentiment --format csv --texts texts.csv -o audit.csv";

pub fn run(args: &Args) -> Result<()> {
    start_threads(args.threads)?;
    let outside = if args.allow_outside { Outside::Allowed } else { Outside::Refused };
    let suite = args.suite.as_deref().map(|name| load_named_or_path(name, outside)).transpose()?;
    let axes = axes(suite.as_ref(), &args.axes)?;
    let texts = args.data.as_deref().map(labelled::read).transpose()?;
    let carriers = carriers(args.carriers.as_deref())?;
    let scorers = scorers(args, suite.as_ref())?;
    let tags: Vec<&str> = axes.iter().map(|axis| axis.name.as_str()).collect();
    let (mut rows, mut scored): (Vec<Row>, Vec<ScoredText>) = (Vec::new(), Vec::new());
    if let (Some(path), Some(texts)) = (&args.data, &texts) {
        let mask = MaskList::of(&axes.iter().collect::<Vec<_>>(), &tags);
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        for scorer in &scorers {
            rows.extend(labelled::audit(scorer.as_ref(), &name, texts, &mask)?);
        }
    } else {
        let mut progress = Progress::new(args.quiet, "axes", 0, axes.len() * scorers.len());
        for scorer in &scorers {
            for axis in &axes {
                let (of_axis, texts) = audit(scorer.as_ref(), axis, &tags, carriers.as_ref())?;
                rows.extend(of_axis);
                if args.texts.is_some() {
                    scored.extend(texts);
                }
                progress.add(1);
            }
        }
    }
    if let Some(path) = &args.texts {
        write(path, &table::texts(&scored))?;
    }
    let printed = match args.format {
        RowFormat::Text => table::text(&rows).into_bytes(),
        RowFormat::Json => table::json(&rows).into_bytes(),
        RowFormat::Csv => table::csv(&rows),
    };
    match &args.out {
        Some(path) => write(path, &printed),
        None => output::print_bytes(&printed),
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("{} cannot be written", path.display()))
}

/// The axes of the suite, or of prompts/axes; of these the ones that are named.
fn axes(suite: Option<&Suite>, wanted: &[String]) -> Result<Vec<Axis>> {
    const LISTS: &str = "prompts/audit/axes.yaml";
    let mut axes = match suite {
        Some(suite) => suite.axes.clone(),
        None => {
            let text = crate::suite::files::embedded(LISTS).context("the program carries no lists of axes")?;
            load_axes(text, LISTS)?
        }
    };
    for name in wanted {
        if !axes.iter().any(|axis| axis.name == *name) {
            let names: Vec<&str> = axes.iter().map(|axis| axis.name.as_str()).collect();
            bail!("--axis {name}: there is no such axis; the axes are {}", names.join(", "));
        }
    }
    axes.retain(|axis| wanted.is_empty() || wanted.contains(&axis.name));
    axes.retain(|axis| axis.groups.iter().flat_map(|group| &group.terms).any(|term| !term.forms.is_empty()));
    ensure!(
        !axes.is_empty(),
        "the suite has no terms to fill in; name another suite, or leave --suite out for the lists in prompts/axes"
    );
    Ok(axes)
}

/// What is audited when nobody names any: the heads that the program carries.
fn heads() -> Vec<ScorerSpec> {
    scorer::NAMES.into_iter().filter(|name| embedded(name).is_some()).map(ScorerSpec::named).collect()
}

fn carriers(path: Option<&Path>) -> Result<std::borrow::Cow<'static, Carriers>> {
    let Some(path) = path else { return Ok(std::borrow::Cow::Borrowed(Carriers::shipped())) };
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(std::borrow::Cow::Owned(Carriers::parse(&text).with_context(|| path.display().to_string())?))
}

fn scorers(args: &Args, suite: Option<&Suite>) -> Result<Vec<Box<dyn Scorer>>> {
    let specs: Vec<ScorerSpec> = match suite {
        Some(suite) if args.scorers.is_empty() => suite.scorers.clone(),
        _ if args.scorers.is_empty() => heads(),
        // The suite's own scorer of that name, with its options, before the program's.
        _ => {
            let own = |name: &String| suite?.scorers.iter().find(|spec| spec.name == *name).cloned();
            args.scorers.iter().map(|name| own(name).map_or_else(|| named::scorer(name), Ok)).collect::<Result<_>>()?
        }
    };
    let encoder = if scorer::needs_encoder(&specs) {
        Some(scorer::open_encoder(scorer::ENCODER, Precision::F32, &Access::new(args.offline, args.quiet))?)
    } else {
        None
    };
    let open = OpenOptions { offline: args.offline, quiet: args.quiet, ..OpenOptions::default() };
    let all = scorer::build(&specs, &Setting { encoder, max_new_tokens: 1, open })?;
    let (audited, exempt): (Vec<_>, Vec<_>) = all.into_iter().partition(|scorer| scorer.has_offset());
    if let Some(scorer) = exempt.first().filter(|_| audited.is_empty() || !args.scorers.is_empty()) {
        bail!(
            "scorer {:?} cannot be audited: its score is not read off the text, or a text costs too much; name another",
            scorer.info().name
        );
    }
    Ok(audited)
}
