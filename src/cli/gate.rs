//! `tiltmeter gate`, and `--gate` of the commands that measure: ends with a code that says whether all is within limits.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use super::declared::{Declared, DeclaredArgs};
use super::output::{self, RowFormat};
use super::report;
use crate::analysis::compare::{ChangeVerdict, ComparisonRow};
use crate::analysis::{self, Beside, GapRow, Plan};
use crate::date::Date;
use crate::gate::{self, Entry, Family, Finding, Judgement, OnInconclusive, Policy, change};
use crate::record::manifest::Manifest;
use crate::record::{Record, folder, records};
use crate::report::{comparison, gate as shown, sentence};

/// Say by the exit code whether finished runs are within the limits that were declared
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run folders, folders that hold exactly the runs meant, or files of records (to which the options from --reference on apply)
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    #[command(flatten)]
    rules: Rules,

    #[command(flatten)]
    declared: DeclaredArgs,

    /// What p-values are adjusted over: each suite's outcomes by themselves, or all; all when the policy does not say
    #[arg(long, value_enum)]
    family: Option<FamilyArg>,

    /// Folder that gate.csv is written into
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// What to print
    #[arg(long, value_enum, default_value_t = RowFormat::Text)]
    format: RowFormat,
}

/// What a gate goes by.
#[derive(Debug, Default, clap::Args)]
pub struct Rules {
    /// A YAML file that says what counts and what is waived, in place of all that the suites declare
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// The day by which waivers expire; today in UTC when left out
    #[arg(long, value_name = "YYYY-MM-DD")]
    today: Option<Date>,

    /// Whether an inconclusive outcome keeps the gate from passing; in place of what policy and suites say
    #[arg(long, value_enum)]
    on_inconclusive: Option<OnInconclusiveArg>,
}

/// `--gate` of a command that measures.
#[derive(Debug, Default, clap::Args)]
pub struct GateArgs {
    /// End with 0 within limits, 1 on a disparity or regression, 3 where it cannot be told
    #[arg(long)]
    gate: bool,

    #[command(flatten)]
    rules: Rules,
}

pub const EXAMPLES: &str = "\
Examples:
  tiltmeter gate results/first-look@1
  tiltmeter gate results/letters@2/model@0123456 --policy gate.yaml -o out
  tiltmeter gate results --on-inconclusive warn --format json

Exit codes: 0 within limits; 1 a disparity; 3 inconclusive (a missing group, fewer than 2 clusters and a failed control
included); 2 error. docs/gating.md has the policy file.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FamilyArg {
    Suite,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnInconclusiveArg {
    /// It does not pass: exit code 3
    Fail,
    /// It passes, and is said
    Warn,
}

/// Judges the runs, prints what the gate says, and ends with its code.
///
/// # Errors
/// On a policy with problems, a run that cannot be read, and runs of which nothing was declared.
pub fn run(args: &Args) -> Result<ExitCode> {
    let family = args.family.map(|family| match family {
        FamilyArg::Suite => Family::Suite,
        FamilyArg::All => Family::All,
    });
    let gate = Gate { family, ..args.rules.gate()? };
    let mut folders = BTreeSet::new();
    let mut files = Vec::new();
    for path in &args.runs {
        if path.is_file() {
            files.extend(args.declared.read(path)?);
        } else {
            folders.extend(folder::runs_in(path)?);
        }
    }
    let of_files =
        files.iter().map(|Declared { plan, model, records }| Source::Records { plan, model, records, gaps: None });
    let sources: Vec<Source<'_>> = folders.iter().map(|folder| Source::Folder(folder)).chain(of_files).collect();
    let judgement = gate.judge(&sources)?;
    if let Some(out) = &args.out {
        std::fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
        let path = out.join("gate.csv");
        std::fs::write(&path, shown::csv(&judgement))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    match args.format {
        RowFormat::Text => output::print(&shown::text(&judgement))?,
        RowFormat::Json => output::print(&format!("{:#}\n", shown::json(&judgement)))?,
        RowFormat::Csv => output::print_bytes(&shown::csv(&judgement))?,
    }
    Ok(ExitCode::from(judgement.exit_code()))
}

impl Rules {
    /// # Errors
    /// On a policy with problems, all of which are told.
    fn gate(&self) -> Result<Gate> {
        let policy = self.policy.as_deref().map(gate::load).transpose()?.unwrap_or_default();
        let on_inconclusive = self.on_inconclusive.map(|word| match word {
            OnInconclusiveArg::Fail => OnInconclusive::Fail,
            OnInconclusiveArg::Warn => OnInconclusive::Warn,
        });
        Ok(Gate { policy, family: None, on_inconclusive, today: self.today.unwrap_or_else(Date::today) })
    }
}

impl GateArgs {
    /// The gate that was asked for, its policy read; `None` without `--gate`.
    ///
    /// # Errors
    /// On a policy with problems, and when there are rules without a gate.
    pub fn open(&self) -> Result<Option<Gate>> {
        ensure!(
            self.gate || (self.rules.policy.is_none() && self.rules.today.is_none()),
            "--policy and --today say what a gate goes by; give --gate with them"
        );
        self.gate.then(|| self.rules.gate()).transpose()
    }
}

/// Prints what a command shows, with what a gate says of it, and gives the exit code.
pub fn end(mut shown: String, judgement: Option<&Judgement>, format: RowFormat) -> Result<ExitCode> {
    if let Some(judgement) = judgement {
        match format {
            RowFormat::Text => shown += &format!("\n{}", self::shown::text(judgement)),
            RowFormat::Json => shown = self::shown::beside(&shown, judgement),
            RowFormat::Csv => {}
        }
    }
    output::print(&shown)?;
    Ok(judgement.map_or(ExitCode::SUCCESS, |judgement| ExitCode::from(judgement.exit_code())))
}

/// What a gated run comes from.
pub enum Source<'a> {
    /// A finished run's folder.
    Folder(&'a Path),
    /// With their gaps, where these were computed already.
    Records { plan: &'a Plan, model: &'a str, records: &'a [Record], gaps: Option<&'a [GapRow]> },
}

/// A gate with everything that it goes by.
pub struct Gate {
    policy: Policy,
    family: Option<Family>,
    on_inconclusive: Option<OnInconclusive>,
    today: Date,
}

impl Gate {
    fn family(&self) -> Family {
        self.family.or(self.policy.family).unwrap_or_default()
    }

    /// Errs on a suite of which nothing could pass, before a model is asked.
    pub fn check(&self, suite: &crate::suite::Suite) -> Result<()> {
        let outcomes: Vec<String> = suite.outcomes.iter().map(|outcome| outcome.score.clone()).collect();
        gate::check_declared(&suite.name, &outcomes, &self.policy)
    }

    /// # Errors
    /// When a run cannot be read or analysed, and as [`gate::settle`].
    pub fn judge(&self, sources: &[Source<'_>]) -> Result<Judgement> {
        let family = self.family();
        let sizes = match family {
            Family::All if sources.len() > 1 => sources.iter().map(Source::family_size).collect::<Result<_>>()?,
            _ => vec![0; sources.len()],
        };
        let all: usize = sizes.iter().sum();
        let mut notes = Vec::new();
        let mut entries = Vec::new();
        for (source, own) in sources.iter().zip(&sizes) {
            let (entry, note) = source.entry(all - own)?;
            entries.push(entry);
            notes.extend(note);
        }
        gate::settle(&mut entries, &self.policy, family)?;
        let finding = |entry: &Entry, gap: &GapRow| {
            Finding::of_gap(gap, &entry.model, entry.warns, sentence::finding(gap), sentence::why(gap))
        };
        let findings = entries.iter().flat_map(|entry| entry.gaps.iter().filter_map(|gap| finding(entry, gap)));
        let mut judgement = self.judge_findings(findings.collect(), family);
        judgement.warnings.extend(notes);
        Ok(judgement)
    }

    /// Changes between versions; `warns` says of a row whether its suite lets an inconclusive outcome pass.
    ///
    /// # Errors
    /// As [`change::counted`].
    pub fn judge_changes(&self, rows: &[ComparisonRow], warns: impl Fn(&ComparisonRow) -> bool) -> Result<Judgement> {
        let finding = |row: &ComparisonRow| {
            let why = match row.verdict {
                Some(ChangeVerdict::Inconclusive) => comparison::why_not(row),
                _ => String::new(),
            };
            Finding::of_change(row, warns(row), comparison::finding(row), why)
        };
        let rows = change::counted(rows, &self.policy)?;
        Ok(self.judge_findings(rows.into_iter().filter_map(finding).collect(), Family::Suite))
    }

    fn judge_findings(&self, findings: Vec<Finding>, family: Family) -> Judgement {
        gate::judge(findings, &self.policy, family, self.on_inconclusive, self.today)
    }
}

impl Source<'_> {
    fn family_size(&self) -> Result<usize> {
        match self {
            Source::Folder(path) => {
                let manifest = Manifest::read(&path.join("manifest.yaml"))?;
                analysis::family_size(&read(path)?, &report::plan(&manifest))
            }
            Source::Records { plan, records, .. } => analysis::family_size(records, plan),
        }
    }

    /// The gaps, in a family that has `elsewhere` more, and what is odd about the run.
    fn entry(&self, elsewhere: usize) -> Result<(Entry, Option<String>)> {
        let of = |plan: &Plan, gaps, model| Entry {
            suite: plan.suite.clone(),
            model,
            gaps,
            screened: plan.axes.iter().filter(|axis| axis.crossed).map(|axis| axis.name.clone()).collect(),
            outcomes: plan.scorers.iter().filter(|s| s.margin.is_some()).map(|s| s.name.clone()).collect(),
            warns: false,
            alpha: plan.alpha,
        };
        match self {
            Source::Folder(path) => {
                let manifest = Manifest::read(&path.join("manifest.yaml"))?;
                let plan = report::plan(&manifest);
                let beside = report::beside(&manifest, &|name: &str| path.join(name))?;
                let gaps = analysis::gaps(&read(path)?, &plan, &beside, elsewhere)
                    .with_context(|| format!("{} cannot be analysed", path.join(RECORDS).display()))?;
                // With what tells runs of one model apart: limit and label.
                let name = manifest.folder_name();
                let model = name.split_once('/').map_or(name.as_str(), |(_, model)| model).to_owned();
                let warns = manifest.gate.on_inconclusive.as_deref() == Some("warn");
                let note = manifest.limit.map(|limit| {
                    format!("{name} is limited to {limit} contexts: this is no verdict on the whole suite")
                });
                Ok((Entry { warns, ..of(&plan, gaps, model) }, note))
            }
            Source::Records { plan, model, records, gaps } => {
                let gaps = match gaps {
                    Some(gaps) if elsewhere == 0 => gaps.to_vec(),
                    _ => analysis::gaps(records, plan, &Beside::default(), elsewhere)?,
                };
                Ok((of(plan, gaps, (*model).to_owned()), None))
            }
        }
    }
}

const RECORDS: &str = "records.csv";

fn read(folder: &Path) -> Result<Vec<Record>> {
    records::read_records(&folder.join(RECORDS))
}
