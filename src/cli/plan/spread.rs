//! Says what a suite's gaps will vary by: as its pilot's did, or as is assumed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use crate::analysis::Plan;
use crate::analysis::pilot::pilot;
use crate::model::OpenOptions;
use crate::probe;
use crate::record::manifest::Manifest;
use crate::record::{Record, folder, records, rows};
use crate::scorer::{self, Setting};
use crate::stats::means;
use crate::stats::pilot::Components;
use crate::suite::scorer::Activation;
use crate::suite::{Case, Probe, ScorerKind, ScorerSpec, Suite};

/// Assumed standard deviation of a cluster's difference, as a share of the score's range: first-look on its default model has 0.33 in
/// sentiment, 0.11 in toxicity and 0.23 in length.
pub const SD: f64 = 0.2;

/// Assumed standard deviation of a name's own effect, as a share of the score's range: audit studies and simulations of
/// names have 0 to 0.05.
pub const NAME_SD: f64 = 0.02;

/// What one gap varies by, and the pilot's clusters that say so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    pub parts: Components,
    /// `None` where it is assumed.
    pub clusters: Option<usize>,
}

/// (axis, group, score) → spread; a group that is not there has the axis's of the empty name.
pub struct Spreads {
    of: BTreeMap<[String; 3], Spread>,
    /// Mean new tokens of the pilot's written answers; `None` where it has none.
    pub new_tokens: Option<f64>,
    pub is_assumed: bool,
}

impl Spreads {
    pub fn of(&self, axis: &str, group: &str, score: &str) -> Option<&Spread> {
        let key = |group: &str| [axis, group, score].map(str::to_owned);
        self.of.get(&key(group)).or_else(|| self.of.get(&key("")))
    }

    /// # Errors
    /// On a standard deviation that is no number above 0 or of no declared outcome, and where a score's range has no end and none is
    /// given.
    pub fn assumed(sds: &[String], plan: &Plan) -> Result<Spreads> {
        let outcomes: Vec<_> = plan.scorers.iter().filter(|scorer| scorer.margin.is_some()).collect();
        let names: Vec<&str> = outcomes.iter().map(|scorer| scorer.name.as_str()).collect();
        let given = sds.iter().map(|text| sd(text, &names)).collect::<Result<Vec<_>>>()?;
        let mut of = BTreeMap::new();
        for scorer in outcomes {
            let own = given.iter().rev().find(|(name, _)| *name == Some(scorer.name.as_str()));
            let sd = own.or_else(|| given.iter().rev().find(|(name, _)| name.is_none())).map(|(_, sd)| *sd);
            let width = scorer.width();
            ensure!(
                sd.is_some() || width.is_finite(),
                "the range of {} has no end to take a share of; say what its differences vary by with --sd {}=X, or give \
                 a --pilot",
                scorer.name,
                scorer.name
            );
            let sd = sd.unwrap_or(SD * width);
            for axis in &plan.axes {
                // Matched terms are the same on both sides: their effects cancel.
                let term = (width.is_finite() && !axis.paired).then(|| (NAME_SD * width).powi(2));
                let parts = Components { cluster: sd * sd, within: None, term };
                of.insert([axis.name.clone(), String::new(), scorer.name.clone()], Spread { parts, clusters: None });
            }
        }
        Ok(Spreads { of, new_tokens: None, is_assumed: true })
    }

    /// From a run's folder, or a file of records.
    ///
    /// # Errors
    /// When it cannot be read, is of another suite or of several models, or has nothing on any declared outcome.
    pub fn measured(path: &Path, suite: &Suite, plan: &Plan) -> Result<Spreads> {
        let (all, new_tokens, shared_draws) = if path.is_file() {
            (records::read_records(path)?, None, false)
        } else {
            let (folder, manifest) = run_of(path, suite)?;
            let shared_draws = manifest.probes.iter().all(|probe| probe.asked_as != "given");
            (records::read_records(&folder.join("records.csv"))?, new_tokens(&folder)?, shared_draws)
        };
        let all = of_suite(all, suite, plan)?;
        let plan = Plan { suite: all.first().map_or(String::new(), |record| record.suite.to_string()), ..plan.clone() };
        let mut of = BTreeMap::new();
        for row in pilot(&all, &plan, shared_draws)? {
            let spread = Spread { parts: row.parts, clusters: Some(row.clusters) };
            of.insert([row.axis, row.group, row.scorer], spread);
        }
        ensure!(!of.is_empty(), "it has no gap of a declared outcome with two clusters");
        Ok(Spreads { of, new_tokens, is_assumed: false })
    }
}

fn sd<'t>(text: &'t str, names: &[&str]) -> Result<(Option<&'t str>, f64)> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (Some(name), value),
        None => (None, text),
    };
    let value = value.trim().parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0);
    match (name, value) {
        (Some(name), _) if !names.contains(&name) => {
            bail!("--sd {text}: {name:?} is no declared outcome of the suite; these are {}", names.join(", "))
        }
        (_, None) => bail!("--sd {text}: give a number above 0, in the score's unit, or SCORE=X"),
        (name, Some(value)) => Ok((name, value)),
    }
}

/// The only run of the suite that the path means.
fn run_of(path: &Path, suite: &Suite) -> Result<(PathBuf, Manifest)> {
    let mut runs = Vec::new();
    for folder in folder::runs_in(path)? {
        let manifest = Manifest::read(&folder.join("manifest.yaml"))?;
        if manifest.suite.name == suite.name {
            runs.push((folder, manifest));
        }
    }
    match runs.len() {
        1 => Ok(runs.remove(0)),
        0 => bail!("it is no run of {}", suite.name),
        several => {
            bail!("it holds {several} runs of {}; name one of them, such as {}", suite.name, runs[0].0.display())
        }
    }
}

fn new_tokens(folder: &Path) -> Result<Option<f64>> {
    let rows = rows::read_responses(&folder.join("responses.csv"))?;
    let written = rows.iter().filter(|row| row.values.is_empty());
    Ok(means::mean(&written.filter_map(|row| Some(row.tokens? as f64)).collect::<Vec<_>>()))
}

/// Records of the suite's own scores. A file without columns for axis and scorer speaks of the suite's only one.
fn of_suite(all: Vec<Record>, suite: &Suite, plan: &Plan) -> Result<Vec<Record>> {
    let mut all = all;
    let outcomes: Vec<&str> = suite.outcomes.iter().map(|outcome| outcome.score.as_str()).collect();
    if let [only] = outcomes.as_slice() {
        all.iter_mut().filter(|record| &*record.scorer == "score").for_each(|record| record.scorer = (*only).into());
    }
    if let [only] = plan.axes.as_slice() {
        all.iter_mut()
            .filter(|record| &*record.axis == "axis")
            .for_each(|record| record.axis = only.name.as_str().into());
    }
    if all.iter().any(|record| *record.suite == *suite.name) {
        all.retain(|record| *record.suite == *suite.name);
    }
    let is_known = |record: &Record| {
        outcomes.contains(&&*record.scorer) && plan.axes.iter().any(|axis| *axis.name == *record.axis)
    };
    if !all.iter().any(is_known) {
        let list = |name: fn(&Record) -> &str| {
            all.iter().map(name).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
        };
        bail!(
            "its axes are {} and its scorers {}; the suite declares {} on {}",
            list(|record| &record.axis),
            list(|record| &record.scorer),
            outcomes.join(", "),
            plan.axes.iter().map(|axis| axis.name.as_str()).collect::<Vec<_>>().join(", ")
        );
    }
    all.retain(is_known);
    Ok(all)
}

/// The range of every score of the suite, as far as it can be told without opening a model.
///
/// # Errors
/// When a scorer cannot be made.
pub fn ranges(suite: &Suite, cases: &[Case]) -> Result<Vec<(String, (f64, f64))>> {
    let limits = suite.probes.iter().map(|probe| match probe {
        Probe::Generate(spec) => spec.max_new_tokens,
        Probe::Choice(_) | Probe::Likelihood(_) => 0,
    });
    let max_new_tokens = limits.max().unwrap_or(0).max(1);
    let mut ranges: Vec<(String, (f64, f64))> =
        probe::scores(cases).into_iter().map(|info| (info.name, info.range)).collect();
    for spec in &suite.scorers {
        let range = range(spec, max_new_tokens)?;
        ranges.extend(spec.scores().into_iter().map(|name| (name, range)));
        // A scorer of several scores names them `scorer.score`.
        let is_part = |score: &&String| score.split_once('.').is_some_and(|(name, _)| *name == *spec.name);
        let parts = suite.outcomes.iter().map(|outcome| &outcome.score).filter(is_part);
        ranges.extend(parts.map(|score| (score.clone(), range)));
    }
    Ok(ranges)
}

fn range(spec: &ScorerSpec, max_new_tokens: usize) -> Result<(f64, f64)> {
    let is_probability = match &spec.kind {
        ScorerKind::Head(_) | ScorerKind::Judge(_) => true,
        ScorerKind::Classifier(classifier) => {
            if classifier.activation == Some(Activation::None) {
                return Ok((f64::NEG_INFINITY, f64::MAX));
            }
            true
        }
        ScorerKind::Named => scorer::needs_encoder(std::slice::from_ref(spec)),
        ScorerKind::Hurtful(_) | ScorerKind::Words(_) => false,
    };
    if is_probability {
        return Ok((0.0, 1.0));
    }
    let setting = Setting { encoder: None, max_new_tokens, open: OpenOptions::default() };
    let built = scorer::build(std::slice::from_ref(spec), &setting)?;
    Ok(built.first().map_or((0.0, 1.0), |scorer| scorer.info().range))
}
