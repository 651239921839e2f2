//! Holds what is declared before any score is seen: groups, references, ranges, margins.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail, ensure};

use crate::record::Record;
use crate::suite::{Direction, ProbeKind, Suite, Unit};

/// How one suite's records are to be analysed.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub suite: String,
    pub axes: Vec<AxisPlan>,
    /// Every scorer that the records may name.
    pub scorers: Vec<ScorerPlan>,
    /// Error rate of the family, in (0, 0.5).
    pub alpha: f64,
    pub seed: u64,
    /// Random sign flips and cluster resamples a gap.
    pub resamples: usize,
    pub generalise_to: Unit,
}

/// With fewer templates than this nothing can be said about templates in general.
const MIN_TEMPLATES: usize = 10;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AxisPlan {
    pub name: String,
    /// Declared groups; each gets a row even without records.
    pub groups: Vec<String>,
    /// `None`: each group against the mean of the rest.
    pub reference: Option<String>,
    /// Groups that are negative controls; they are no part of the rest.
    pub controls: Vec<String>,
    /// Term ids are shared by groups as matched pairs. Also taken as such when all groups have the same ids.
    pub paired: bool,
    /// The groups are combinations of other axes' groups: screened, without margin, outside the family.
    pub crossed: bool,
    /// Declared outcomes that nothing on this axis can have, since their probe does not put it.
    pub without: Vec<String>,
}

impl AxisPlan {
    /// What a group is compared with: the reference, or the rest of `groups` but for controls and groups without any score, which would
    /// leave no complete cluster to anyone.
    pub(super) fn others<'a>(
        &'a self,
        group: &str,
        groups: impl Iterator<Item = &'a str>,
        has_score: impl Fn(&str) -> bool,
    ) -> Vec<&'a str> {
        match &self.reference {
            Some(reference) => vec![reference],
            None => groups
                .filter(|other| *other != group && !self.controls.iter().any(|control| control == other))
                .filter(|other| has_score(other))
                .collect(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ScorerPlan {
    pub name: String,
    /// The low end may be −∞: then no number of clusters shows equivalence.
    pub range: (f64, f64),
    /// In the score's unit. `None`: not a declared outcome; reported without verdict, outside the Holm family.
    pub margin: Option<f64>,
    /// Which side is the better one, where it is said; only the worst group's name hangs on it.
    pub direction: Option<Direction>,
}

impl Plan {
    pub const ALPHA: f64 = 0.05;
    pub const RESAMPLES: usize = 9_999;

    /// What a suite declares; `ranges` has the name and range of every scorer that records may name.
    ///
    /// An outcome that no range is given for is kept without one, so that [`crate::analysis::analyze`] refuses the plan
    /// instead of forgetting an outcome.
    pub fn of(suite: &Suite, ranges: &[(String, (f64, f64))], seed: u64) -> Plan {
        let axes = suite.tested_axes().into_iter().map(|axis| AxisPlan {
            name: axis.name,
            groups: axis.groups,
            reference: axis.reference,
            controls: axis.controls,
            paired: axis.paired,
            crossed: axis.crossed,
            without: without(suite.outcomes.iter().map(|outcome| outcome.score.as_str()), |score| {
                axis.probes.contains(&ProbeKind::of_score(score))
            }),
        });
        let scorers = ranges.iter().map(|(name, range)| {
            let outcome = suite.outcomes.iter().find(|outcome| outcome.score == *name);
            ScorerPlan {
                name: name.clone(),
                range: *range,
                margin: outcome.map(|outcome| outcome.margin),
                direction: outcome.and_then(|outcome| outcome.direction),
            }
        });
        let is_ranged = |score: &str| ranges.iter().any(|(name, _)| name == score);
        let unranged = suite.outcomes.iter().filter(|outcome| !is_ranged(&outcome.score)).map(|outcome| ScorerPlan {
            name: outcome.score.clone(),
            range: (f64::NAN, f64::NAN),
            margin: Some(outcome.margin),
            direction: outcome.direction,
        });
        Plan {
            suite: suite.name.clone(),
            axes: axes.collect(),
            scorers: scorers.chain(unranged).collect(),
            alpha: Plan::ALPHA,
            seed,
            resamples: Plan::RESAMPLES,
            generalise_to: suite.design.generalise_to,
        }
    }

    /// What can be read off records that come without a suite: their axes and groups, and their scorers with range 0 to
    /// 1 and no margin. References, ranges and margins are for the caller to fill in.
    pub fn of_records<'r>(records: impl Iterator<Item = &'r Record>, seed: u64) -> Plan {
        let mut axes: BTreeMap<&str, [BTreeSet<&str>; 2]> = BTreeMap::new();
        let (mut scorers, mut suite) = (BTreeSet::new(), "");
        for record in records {
            let [groups, own] = axes.entry(&record.axis).or_default();
            groups.insert(&record.group);
            own.insert(&*record.scorer);
            scorers.insert(&*record.scorer);
            suite = &record.suite;
        }
        let axes = axes.into_iter().map(|(name, [groups, own])| AxisPlan {
            name: name.to_owned(),
            crossed: is_crossed(name, &groups),
            groups: groups.into_iter().map(str::to_owned).collect(),
            without: without(scorers.iter().copied(), |scorer| own.contains(scorer)),
            ..AxisPlan::default()
        });
        let ranges = scorers.iter().map(|&name| ScorerPlan {
            name: name.to_owned(),
            range: (0.0, 1.0),
            margin: None,
            direction: None,
        });
        Plan {
            suite: suite.to_owned(),
            axes: axes.collect(),
            scorers: ranges.collect(),
            alpha: Plan::ALPHA,
            seed,
            resamples: Plan::RESAMPLES,
            generalise_to: Unit::default(),
        }
    }

    pub fn scorer(&self, name: &str) -> Option<&ScorerPlan> {
        self.scorers.iter().find(|scorer| scorer.name == name)
    }

    /// The declared axis, or one without declarations.
    pub(super) fn axis(&self, name: &str) -> AxisPlan {
        let declared = self.axes.iter().find(|axis| axis.name == name).cloned();
        declared.unwrap_or_else(|| AxisPlan { name: name.to_owned(), ..AxisPlan::default() })
    }

    /// Errs on a score outside its range and on a scorer that is not declared, in words that go behind the record's place.
    pub fn check_score(&self, record: &Record) -> Result<()> {
        let Some(scorer) = self.scorer(&record.scorer) else {
            bail!("scorer {:?} has no declared range; add it to the plan", record.scorer);
        };
        let (low, high) = scorer.range;
        if let Some(score) = record.score.filter(|score| !(low..=high).contains(score)) {
            bail!(
                "{} is {score}, outside its range {low} to {high}; correct the score or declare the range",
                record.scorer
            );
        }
        Ok(())
    }

    /// Errs where templates are to be generalised to and are too few for it.
    pub(super) fn check_templates(&self, records: &[Record]) -> Result<()> {
        if self.generalise_to == Unit::Templates {
            let templates: BTreeSet<&str> = records.iter().map(|record| &*record.template).collect();
            ensure!(
                templates.len() >= MIN_TEMPLATES,
                "suite {:?} has {} templates; to generalise to templates at least {MIN_TEMPLATES} are needed: write more, or \
                 generalise to contexts",
                self.suite,
                templates.len()
            );
        }
        Ok(())
    }

    /// Errs on numbers that no analysis can use.
    pub fn check(&self) -> Result<()> {
        if !(self.alpha > 0.0 && self.alpha < 0.5) {
            bail!("alpha is {}; it must lie between 0 and 0.5, usually 0.05", self.alpha);
        }
        if self.resamples == 0 {
            bail!("resamples is 0; at least 1 is needed, usually {}", Plan::RESAMPLES);
        }
        for axis in &self.axes {
            let Some(reference) = &axis.reference else { continue };
            if !axis.groups.is_empty() && !axis.groups.contains(reference) {
                bail!(
                    "axis {:?}: its reference is {reference:?}, which is none of its groups; choose one of {}",
                    axis.name,
                    axis.groups.join(", ")
                );
            }
        }
        for scorer in &self.scorers {
            let (low, high) = scorer.range;
            if low.is_nan() && high.is_nan() {
                bail!(
                    "outcome {:?} has no scorer that gives its range; add the scorer, or correct the name",
                    scorer.name
                );
            }
            let has_low = low.is_finite() || low == f64::NEG_INFINITY;
            if !(has_low && high.is_finite() && low < high) {
                bail!(
                    "scorer {:?}: its range is {low} to {high}; give two finite numbers, low first (only the low one may be \
                     missing, as of log-probabilities)",
                    scorer.name
                );
            }
            if let Some(margin) = scorer.margin.filter(|margin| !(*margin > 0.0 && *margin < high - low)) {
                bail!(
                    "scorer {:?}: its margin is {margin}; give a number above 0 and below the width of its range, {}",
                    scorer.name,
                    high - low
                );
            }
        }
        Ok(())
    }
}

/// `gender+ethnicity` with groups such as `woman+black`: how records name combinations.
fn is_crossed(axis: &str, groups: &BTreeSet<&str>) -> bool {
    let parts = |name: &str| name.split('+').filter(|part| !part.is_empty()).count();
    parts(axis) > 1 && groups.iter().all(|group| parts(group) == parts(axis))
}

/// The outcomes that an axis cannot have.
pub fn without<'s>(outcomes: impl Iterator<Item = &'s str>, can_have: impl Fn(&str) -> bool) -> Vec<String> {
    outcomes.filter(|score| !can_have(score)).map(str::to_owned).collect()
}

impl ScorerPlan {
    /// Width of the range: the largest gap there can be.
    pub fn width(&self) -> f64 {
        self.range.1 - self.range.0
    }
}
