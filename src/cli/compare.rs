//! `tiltmeter compare`: how the gaps of a model changed from one version to others, on the same prompts.

mod differences;
mod versions;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use self::versions::{Input, OfSuite, names};
use super::declared::DeclaredArgs;
use super::engine::start_threads;
use super::gate::{self, GateArgs};
use super::output::RowFormat;
use super::progress::say;
use crate::analysis::Plan;
use crate::analysis::compare::{ComparisonRow, Version, check_same_design, compare};
use crate::report::comparison::{self, Comparison, Differences, VersionRow};

/// Say whether a candidate tilts more than the version before it, on the same prompts
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The version to compare with: a run folder, a folder that holds exactly the runs meant, or a file of records
    #[arg(value_name = "BASE")]
    base: PathBuf,

    /// The versions to judge, each against the base
    #[arg(required = true, value_name = "CANDIDATE")]
    candidates: Vec<PathBuf>,

    /// Folder for comparison.csv, and versions.csv of more than two
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,

    #[command(flatten)]
    declared: DeclaredArgs,

    #[command(flatten)]
    gate: GateArgs,

    /// What to print; csv is comparison.csv
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
  tiltmeter compare results/letters@1/model@1111111 results/letters@1/model@2222222
  tiltmeter compare before after -o compared                 folders that hold runs of the same suites
  tiltmeter compare old.csv new.csv --reference man          records from elsewhere
  tiltmeter compare v1.csv v2.csv v3.csv -o compared         each against the first, and a table over all";

const ROWS: &str = "comparison.csv";
const VERSIONS: &str = "versions.csv";

pub fn run(args: &Args) -> Result<ExitCode> {
    start_threads(args.threads)?;
    let gate = args.gate.open()?;
    if let Some(out) = &args.out {
        ensure!(!out.join("manifest.yaml").exists(), "{} is the folder of a run; give another -o", out.display());
    }
    let (found, warning) = compared(args)?;
    let warns = |row: &ComparisonRow| warning.contains(&(row.candidate.clone(), row.suite.clone()));
    let judgement = gate.as_ref().map(|gate| gate.judge_changes(&found.rows, warns)).transpose()?;
    if let Some(out) = &args.out {
        write(&found, out, args.quiet)?;
    }
    let shown = match args.format {
        RowFormat::Text => comparison::text(&found),
        RowFormat::Json => comparison::document(&found),
        RowFormat::Csv => String::from_utf8(comparison::write_rows(&found.rows))?,
    };
    gate::end(shown, judgement.as_ref(), args.format)
}

/// Two versions of one suite that may be compared.
struct Pair<'a> {
    base: &'a OfSuite,
    candidate: &'a OfSuite,
    name: &'a str,
    plan: Plan,
    differences: Vec<String>,
}

/// Candidates with those of their suites that let an inconclusive outcome pass a gate.
type Warning = BTreeSet<(String, String)>;

/// Everything is read and everything that can be refused is refused before anything is computed.
fn compared(args: &Args) -> Result<(Comparison, Warning)> {
    let paths: Vec<&Path> = [&args.base].into_iter().chain(&args.candidates).map(PathBuf::as_path).collect();
    let names = names(&paths);
    let base = Input::read(&args.base, names[0].clone(), &args.declared)?;
    let mut candidates = args
        .candidates
        .iter()
        .zip(&names[1..])
        .map(|(path, name)| Input::read(path, name.clone(), &args.declared))
        .collect::<Result<Vec<_>>>()?;
    let mut pairs = Vec::new();
    for (candidate, name) in candidates.iter_mut().zip(&names[1..]) {
        for (one, other) in base.matched(candidate)? {
            let called = [names[0].as_str(), name.as_str()];
            check_same_design(&one.records, &other.records, called)
                .with_context(|| format!("suite {} cannot be compared", one.suite))?;
            let differences = differences::between(one, other, called)
                .with_context(|| format!("suite {} cannot be compared", one.suite))?;
            pairs.push(Pair { base: one, candidate: other, name, plan: one.plan_with(other), differences });
        }
    }
    let mut found = Comparison { names: names.clone(), ..Comparison::default() };
    let mut warning = Warning::new();
    for pair in pairs {
        let manifest = pair.candidate.run.as_ref().map(|(_, manifest)| manifest);
        if manifest.is_some_and(|manifest| manifest.gate.on_inconclusive.is_some()) {
            warning.insert((pair.name.to_owned(), pair.plan.suite.clone()));
        }
        add(&mut found, pair)?;
    }
    let order = |name: &str| names.iter().position(|other| other == name);
    found.rows.sort_by(|a, b| (of_row(a), order(&a.candidate)).cmp(&(of_row(b), order(&b.candidate))));
    found.versions.sort_by(|a, b| (of_gap(a), order(&a.version)).cmp(&(of_gap(b), order(&b.version))));
    Ok((found, warning))
}

fn of_row(row: &ComparisonRow) -> [&str; 4] {
    [&row.suite, &row.axis, &row.group, &row.scorer]
}

fn of_gap(VersionRow { gap, .. }: &VersionRow) -> [&str; 4] {
    [&gap.suite, &gap.axis, &gap.group, &gap.scorer]
}

fn add(found: &mut Comparison, pair: Pair<'_>) -> Result<()> {
    let Pair { base, candidate, name, plan, differences } = pair;
    let base = version(base, &plan, &found.names[0])?;
    let candidate = version(candidate, &plan, name)?;
    let rows = compare(&base, &candidate, &plan);
    found.rows.extend(rows.into_iter().map(|row| ComparisonRow { candidate: name.to_owned(), ..row }));
    let is_first = name == found.names[1];
    let gaps =
        is_first.then(|| (found.names[0].clone(), base.gaps)).into_iter().chain([(name.to_owned(), candidate.gaps)]);
    let rows =
        gaps.flat_map(|(version, gaps)| gaps.into_iter().map(move |gap| VersionRow { version: version.clone(), gap }));
    found.versions.extend(rows);
    found.differences.push(Differences { candidate: name.to_owned(), suite: plan.suite.clone(), lines: differences });
    Ok(())
}

fn version<'a>(of: &'a OfSuite, plan: &'a Plan, name: &str) -> Result<Version<'a>> {
    Version::of(&of.records, plan, &of.offsets).with_context(|| format!("{name} cannot be analysed"))
}

fn write(found: &Comparison, out: &Path, quiet: bool) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let mut files = vec![(ROWS, comparison::write_rows(&found.rows))];
    if found.names.len() > 2 {
        files.push((VERSIONS, comparison::write_versions(&found.versions)));
    } else if out.join(VERSIONS).exists() {
        // Of an earlier comparison of more than two.
        fs::remove_file(out.join(VERSIONS))
            .with_context(|| format!("{} cannot be removed", out.join(VERSIONS).display()))?;
    }
    for (name, bytes) in &files {
        let path = out.join(name);
        fs::write(&path, bytes).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    say(quiet, &format!("wrote {}: {}", out.display(), names.join(", ")));
    Ok(())
}
