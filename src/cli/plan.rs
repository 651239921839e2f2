//! `tiltmeter plan`: says what a suite will take and what it can show, before compute is spent on it.

mod design;
mod pace;
mod show;
mod spread;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use self::design::layouts;
use self::pace::{Model, Pace};
use self::spread::{Spread, Spreads};
use super::engine::EngineArgs;
use super::output::{self, Format};
use crate::analysis::{AxisPlan, Plan};
use crate::stats::forecast::{Addition, Bar, Forecast, forecast};
use crate::stats::pilot::Design;
use crate::suite::expand::expand;
use crate::suite::load::{Outside, load_named_or_path};
use crate::suite::{Probe, ProbeKind, Suite};

/// Say what a suite will take and what it can show, before a model is asked
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A suite file, or the name of a suite that the program carries
    #[arg(value_name = "SUITE")]
    suite: String,

    /// A small run of the suite, or a file of records, whose spread is planned by; without it the spread is assumed
    #[arg(long, value_name = "RUN|RECORDS.csv")]
    pilot: Option<PathBuf>,

    /// The model to be asked, whose tokens are counted and whose speed is timed where it is here: nothing is fetched
    #[arg(long, value_name = "MODEL", default_value = "smollm2-135m-instruct")]
    model: String,

    /// Without a pilot: standard deviation of a cluster's difference, in the score's unit; 0.2 of the score's range where none is given.
    /// Repeatable
    #[arg(long = "sd", value_name = "X|SCORE=X", allow_hyphen_values = true, conflicts_with = "pilot")]
    sds: Vec<String>,

    /// Plan for the first N contexts, as `run --limit` asks them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,

    /// Ask nothing to see how fast this machine is
    #[arg(long)]
    no_timing: bool,

    /// Let the suite use files outside its folder and the one above it
    #[arg(long)]
    allow_outside: bool,

    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    #[command(flatten)]
    engine: EngineArgs,
}

pub const EXAMPLES: &str = "\
Examples:
  tiltmeter plan first-look
  tiltmeter run my-suite.yaml --limit 24 && tiltmeter plan my-suite.yaml --pilot results/my-suite@1
  tiltmeter plan my-suite.yaml --sd 0.12 --no-timing --format json";

/// What a suite comes to on one axis and declared outcome: the gap that is hardest to settle.
struct Prospect {
    axis: String,
    score: String,
    group: String,
    reference: Option<String>,
    /// Gaps of the axis on this score.
    gaps: usize,
    design: Design,
    spread: Spread,
    margin: f64,
    width: f64,
    /// `None` below two clusters.
    found: Option<Forecast>,
    /// Standard errors with twice as much of each, where that is known.
    doubled: Vec<(Addition, f64)>,
    /// Samples a case at which tokens buy most; `None` where the pilot cannot tell.
    best_samples: Option<f64>,
}

/// All that is printed.
struct Planned<'a> {
    suite: &'a Suite,
    cases: usize,
    answers: usize,
    /// Axis, clusters, groups, fewest and most terms.
    axes: Vec<(String, usize, usize, (usize, usize))>,
    pace: Pace,
    /// Why no tokenizer was used.
    absent: Option<String>,
    /// New tokens that the pilot's answers make likely.
    likely_new_tokens: Option<usize>,
    family: usize,
    /// A standard deviation was given.
    given: bool,
    spreads: Spreads,
    prospects: Vec<Prospect>,
}

pub fn run(args: &Args) -> Result<()> {
    args.engine.start_threads()?;
    let outside = if args.allow_outside { Outside::Allowed } else { Outside::Refused };
    let suite = load_named_or_path(&args.suite, outside)?;
    let cases = expand(&suite, args.limit.map(|limit| limit as usize))?;
    ensure!(
        !cases.is_empty(),
        "suite {} makes no cases; `tiltmeter expand {}` shows what it makes",
        suite.name,
        args.suite
    );
    let plan = Plan::of(&suite, &spread::ranges(&suite, &cases)?, 0);
    let spreads = match &args.pilot {
        Some(path) => Spreads::measured(path, &suite, &plan)
            .with_context(|| format!("{} cannot serve as the pilot of {}", path.display(), suite.name))?,
        None => Spreads::assumed(&args.sds, &plan)?,
    };
    let model = Model::find(&args.model, &args.engine.options(), !args.no_timing)?;
    let pace = Pace::of(&suite, &cases, &model, !args.no_timing)?;
    let layouts = layouts(&cases);
    let mut open = Vec::new();
    for axis in plan.axes.iter().filter(|axis| !axis.crossed) {
        for outcome in &suite.outcomes {
            let kind = ProbeKind::of_score(&outcome.score);
            let Some(layout) = layouts.get(&(axis.name.as_str(), kind)) else { continue };
            let width = plan.scorer(&outcome.score).map_or(f64::INFINITY, |scorer| scorer.width());
            open.push((axis, outcome, width, layout.designs(axis, samples(&suite, kind), plan.generalise_to)));
        }
    }
    let family: usize = open.iter().map(|(_, _, _, designs)| designs.len()).sum();
    let likely_new_tokens = spreads.new_tokens.map(|tokens| (tokens * pace.written as f64).round() as usize);
    let costs = (pace.prompt_tokens as f64, likely_new_tokens.unwrap_or(pace.max_new_tokens) as f64);
    let prospects = open
        .into_iter()
        .filter_map(|(axis, outcome, width, designs)| {
            let bar = Bar { margin: outcome.margin, width, alpha: Plan::ALPHA, tests: family };
            prospect(axis, &outcome.score, &designs, &bar, &spreads, costs)
        })
        .collect();
    let axes = plan.axes.iter().filter(|axis| !axis.crossed).filter_map(|axis| {
        let layout = ProbeKind::ALL.into_iter().find_map(|kind| layouts.get(&(axis.name.as_str(), kind)))?;
        Some((axis.name.clone(), layout.clusters(plan.generalise_to), axis.groups.len(), layout.terms()))
    });
    let answers = cases.iter().map(|case| samples(&suite, case.probe) as usize).sum();
    let planned = Planned {
        suite: &suite,
        cases: cases.len(),
        answers,
        axes: axes.collect(),
        likely_new_tokens,
        pace,
        absent: match model {
            Model::Absent(why) => Some(why),
            Model::Open(_) | Model::Tokenizer(_) => None,
        },
        family,
        given: !args.sds.is_empty(),
        spreads,
        prospects,
    };
    output::print(&match args.format {
        Format::Text => show::text(&planned),
        Format::Json => show::document(&planned),
    })
}

/// The gap of an axis that has the largest error, with what would make it smaller. `None` without a group to compare, or
/// where nothing is known of its spread.
fn prospect(
    axis: &AxisPlan,
    score: &str,
    designs: &[(String, Design)],
    bar: &Bar,
    spreads: &Spreads,
    (prompt_tokens, new_tokens): (f64, f64),
) -> Option<Prospect> {
    let variance =
        |group: &str, design: &Design| spreads.of(&axis.name, group, score).map(|spread| spread.parts.variance(design));
    let hardest = designs
        .iter()
        .filter_map(|(group, design)| Some((variance(group, design)?, group, design)))
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))?;
    let (_, group, design) = hardest;
    let spread = *spreads.of(&axis.name, group, score)?;
    let has = |addition: &Addition| match addition {
        Addition::Contexts => true,
        Addition::Terms => spread.parts.term.is_some_and(|term| term > 0.0),
        Addition::Samples => {
            ProbeKind::of_score(score) == ProbeKind::Generate && spread.parts.within.is_some_and(|within| within > 0.0)
        }
    };
    let doubled = Addition::ALL
        .into_iter()
        .filter(has)
        .map(|addition| (addition, spread.parts.variance(&addition.doubled(design)).sqrt()))
        .collect();
    let of_samples = new_tokens / design.samples;
    Some(Prospect {
        axis: axis.name.clone(),
        score: score.to_owned(),
        group: group.clone(),
        reference: axis.reference.clone(),
        gaps: designs.len(),
        design: design.clone(),
        margin: bar.margin,
        width: bar.width,
        found: forecast(&spread.parts, design, bar),
        doubled,
        best_samples: (of_samples > 0.0).then(|| spread.parts.best_samples(prompt_tokens, of_samples)).flatten(),
        spread,
    })
}

/// Samples a case of this kind of probe; probabilities are read once.
fn samples(suite: &Suite, kind: ProbeKind) -> u32 {
    let of = |probe: &Probe| match probe {
        Probe::Generate(spec) if kind == ProbeKind::Generate => Some(spec.samples),
        _ => None,
    };
    suite.probes.iter().find_map(of).unwrap_or(1)
}
