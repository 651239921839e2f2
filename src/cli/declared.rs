//! What is declared about records that come without a suite: references, groups, ranges, margins.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::ValueEnum;

use crate::analysis::{Plan, Unit};
use crate::record::Record;
use crate::record::records::{Name, read_records};

/// Share of a score's range that the margin is where none is given.
const MARGIN: f64 = 0.05;

/// Scores of this kind say whether a choice was read well, and are judged only where they are named.
const MASS: &str = ".mass";

#[derive(Debug, clap::Args)]
pub struct DeclaredArgs {
    /// The group that the others are compared with; without it, each is compared with the mean of the rest. Repeatable
    #[arg(long = "reference", value_name = "GROUP|AXIS=GROUP")]
    references: Vec<String>,

    /// Groups that must be there: one without records is inconclusive, and no group is forgotten. Repeatable
    #[arg(long = "groups", value_name = "A,B,…|AXIS=A,B,…")]
    groups: Vec<String>,

    /// The largest gap that does not matter, in the score's unit; 0.05 of the range where none is given. With SCORER=X alone, only the
    /// scorers named are judged. Repeatable
    #[arg(long = "margin", value_name = "X|SCORER=X")]
    margins: Vec<String>,

    /// Lowest and highest value of the scores; 0,1 where none is given. Repeatable
    #[arg(long = "range", value_name = "LOW,HIGH|SCORER=LOW,HIGH", allow_hyphen_values = true)]
    ranges: Vec<String>,

    /// Error rate of all gaps of a suite together
    #[arg(long, value_name = "X", default_value_t = Plan::ALPHA)]
    alpha: f64,

    /// What the clusters are a sample of, contexts where nothing is given; templates is stricter and needs ten of them
    #[arg(long, value_enum)]
    generalise_to: Option<GeneraliseTo>,

    /// Seed of sign flips and resamples; 0 where none is given
    #[arg(long)]
    seed: Option<u64>,

    /// Random sign flips and cluster resamples a gap
    #[arg(long, value_name = "N", default_value_t = Plan::RESAMPLES)]
    resamples: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GeneraliseTo {
    Contexts,
    Templates,
}

/// One suite's records of one model, and what is declared about them.
pub struct Declared {
    pub model: String,
    pub plan: Plan,
    pub records: Vec<Record>,
}

impl DeclaredArgs {
    /// Reads a file of records and parts it by model and suite, sorted.
    ///
    /// # Errors
    /// On a file that holds none, a score outside its range (with its row), and options that name what the records lack.
    pub fn read(&self, path: &Path) -> Result<Vec<Declared>> {
        let records = read_records(path)?;
        ensure!(!records.is_empty(), "{} has no rows below its header", path.display());
        let suites = self.plans(&records)?;
        for (index, record) in records.iter().enumerate() {
            let plan = &suites[&record.suite];
            plan.check_score(record).with_context(|| format!("{}, row {}", path.display(), index + 2))?;
        }
        let mut parts: BTreeMap<(Name, Name), Vec<Record>> = BTreeMap::new();
        for record in records {
            parts.entry((record.model.clone(), record.suite.clone())).or_default().push(record);
        }
        let part = |((model, suite), records): ((Name, Name), Vec<Record>)| {
            // One plan for all models: a group that only another model has is missing from this one.
            Declared { model: model.to_string(), plan: suites[&suite].clone(), records }
        };
        Ok(parts.into_iter().map(part).collect())
    }

    /// What a run declares, with the settings that are no declaration about the suite.
    ///
    /// # Errors
    /// On a reference, groups, a margin, a range or the kind of cluster: a run has its own.
    pub fn of_run(&self, mut plan: Plan, run: &Path) -> Result<Plan> {
        let given = [
            ("--reference", !self.references.is_empty()),
            ("--groups", !self.groups.is_empty()),
            ("--margin", !self.margins.is_empty()),
            ("--range", !self.ranges.is_empty()),
            ("--generalise-to", self.generalise_to.is_some()),
        ];
        if let Some((option, _)) = given.iter().find(|(_, is_given)| *is_given) {
            bail!(
                "{} is a run, whose suite declared groups, references, ranges, margins and clusters before it; leave {option} out, or \
                 give its records.csv",
                run.display()
            );
        }
        plan.alpha = self.alpha;
        plan.resamples = self.resamples;
        plan.seed = self.seed.unwrap_or(plan.seed);
        Ok(plan)
    }

    /// A plan a suite, over all its models.
    fn plans(&self, records: &[Record]) -> Result<BTreeMap<Name, Plan>> {
        let mut by_suite: BTreeMap<Name, Vec<&Record>> = BTreeMap::new();
        for record in records {
            by_suite.entry(record.suite.clone()).or_default().push(record);
        }
        let mut plans: BTreeMap<Name, Plan> = by_suite
            .into_iter()
            .map(|(suite, records)| (suite, Plan::of_records(records.into_iter(), self.seed.unwrap_or_default())))
            .collect();
        let axes = names(plans.values().flat_map(|plan| plan.axes.iter().map(|axis| &axis.name)));
        let scorers = names(plans.values().flat_map(|plan| plan.scorers.iter().map(|scorer| &scorer.name)));
        let groups = self.groups.iter().map(|text| self.declared_groups(text, &axes)).collect::<Result<Vec<_>>>()?;
        let ranges = self.ranges.iter().map(|text| range(text, &scorers)).collect::<Result<Vec<_>>>()?;
        let margins = self.margins.iter().map(|text| margin(text, &scorers)).collect::<Result<Vec<_>>>()?;
        for plan in plans.values_mut() {
            plan.alpha = self.alpha;
            plan.resamples = self.resamples;
            plan.generalise_to = match self.generalise_to {
                None | Some(GeneraliseTo::Contexts) => Unit::Contexts,
                Some(GeneraliseTo::Templates) => Unit::Templates,
            };
            for axis in &mut plan.axes {
                axis.groups.extend(of(&groups, &axis.name).into_iter().flatten().cloned());
                axis.groups.sort_unstable();
                axis.groups.dedup();
            }
            for scorer in &mut plan.scorers {
                scorer.range = of(&ranges, &scorer.name).copied().unwrap_or(scorer.range);
                let by_default = || {
                    let width = scorer.width();
                    let is_judged = margins.is_empty() && width.is_finite() && !scorer.name.ends_with(MASS);
                    is_judged.then_some(MARGIN * width)
                };
                scorer.margin = of(&margins, &scorer.name).copied().or_else(by_default);
            }
        }
        for text in &self.references {
            self.refer(text, &axes, &mut plans)?;
        }
        plans.values().try_for_each(Plan::check)?;
        Ok(plans)
    }

    fn declared_groups(&self, text: &str, axes: &BTreeSet<String>) -> Result<(Option<String>, Vec<String>)> {
        let (axis, list) = part(text, axes);
        ensure!(
            axis.is_some() || axes.len() == 1,
            "--groups {text}: the records have the axes {}; write --groups AXIS={text}",
            list_of(axes)
        );
        let groups: Vec<String> = list.split(',').map(|group| group.trim().to_owned()).collect();
        ensure!(groups.iter().all(|group| !group.is_empty()), "--groups {text}: a name between two commas is empty");
        Ok((axis.map(str::to_owned), groups))
    }

    fn refer(&self, text: &str, axes: &BTreeSet<String>, plans: &mut BTreeMap<Name, Plan>) -> Result<()> {
        let (of_axis, group) = part(text, axes);
        for axis in plans.values_mut().flat_map(|plan| &mut plan.axes) {
            if of_axis.is_some_and(|name| name != axis.name) {
                continue;
            }
            if !axis.groups.iter().any(|known| known == group) {
                let hint = if axes.len() > 1 && of_axis.is_none() {
                    "; write AXIS=GROUP for a reference of one axis"
                } else {
                    ""
                };
                bail!(
                    "--reference {text}: axis {:?} has no group {group:?}, it has {}{hint}",
                    axis.name,
                    axis.groups.join(", ")
                );
            }
            axis.reference = Some(group.to_owned());
        }
        Ok(())
    }
}

/// `NAME=VALUE` of a known name, or a value for all.
fn part<'t>(text: &'t str, names: &BTreeSet<String>) -> (Option<&'t str>, &'t str) {
    match text.split_once('=') {
        Some((name, value)) if names.contains(name) => (Some(name), value),
        _ => (None, text),
    }
}

/// The value given for the name, else the one given for all; of several the last.
fn of<'v, T>(values: &'v [(Option<String>, T)], name: &str) -> Option<&'v T> {
    let last =
        |wanted: Option<&str>| values.iter().rev().find(|(of, _)| of.as_deref() == wanted).map(|(_, value)| value);
    last(Some(name)).or_else(|| last(None))
}

fn range(text: &str, scorers: &BTreeSet<String>) -> Result<(Option<String>, (f64, f64))> {
    let (scorer, value) = part(text, scorers);
    let ends = value.split_once(',').and_then(|(low, high)| Some((number(low)?, number(high)?)));
    let ends = ends.ok_or_else(|| unreadable("range", text, "LOW,HIGH", scorers))?;
    Ok((scorer.map(str::to_owned), ends))
}

fn margin(text: &str, scorers: &BTreeSet<String>) -> Result<(Option<String>, f64)> {
    let (scorer, value) = part(text, scorers);
    let value = number(value).ok_or_else(|| unreadable("margin", text, "X", scorers))?;
    Ok((scorer.map(str::to_owned), value))
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

fn unreadable(option: &str, text: &str, form: &str, scorers: &BTreeSet<String>) -> anyhow::Error {
    anyhow!(
        "--{option} {text}: give {form} in numbers, or SCORER={form} with a scorer of the records: {}",
        list_of(scorers)
    )
}

fn names<'n>(all: impl Iterator<Item = &'n String>) -> BTreeSet<String> {
    all.cloned().collect()
}

fn list_of(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
