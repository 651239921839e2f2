//! Parts records by axis and scorer, and counts and averages what each part holds.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use rayon::prelude::*;

use super::beside;
use super::plan::{AxisPlan, Plan, ScorerPlan};
use crate::record::{Name, Record};
use crate::stats::matrix::{Matrix, Sample};

/// The blocks of records that fit the plan.
pub(super) fn checked_blocks<'a>(records: &'a [Record], plan: &'a Plan) -> Result<Vec<Block<'a>>> {
    plan.check()?;
    check_records(records, plan)?;
    plan.check_templates(records)?;
    blocks(records, plan)
}

/// One axis under one scorer.
pub(super) struct Block<'a> {
    pub(super) axis: AxisPlan,
    pub(super) scorer: &'a ScorerPlan,
    /// Per group by name: what its records count.
    pub(super) counts: BTreeMap<&'a str, Count<'a>>,
    /// By template, context, group, term and sample.
    pub(super) records: Vec<&'a Record>,
    /// Every score is 0 or 1.
    pub(super) is_binary: bool,
    /// Scored records.
    pub(super) scores: Matrix,
    /// 1 for an unscored record, 0 for a scored one; `None` when every record is scored.
    pub(super) unscored: Option<Matrix>,
    /// Scored records of answers that are no refusals; `None` when nobody refused.
    pub(super) unrefused: Option<Matrix>,
}

impl Block<'_> {
    /// Combinations of groups are screened and have none.
    pub(super) fn margin(&self) -> Option<f64> {
        self.scorer.margin.filter(|_| !self.axis.crossed)
    }

    /// The records that have a score, in the order of `records`.
    pub(super) fn scored(&self) -> Vec<&Record> {
        self.records.iter().copied().filter(|record| record.score.is_some()).collect()
    }
}

#[derive(Default)]
pub(super) struct Count<'a> {
    pub(super) responses: usize,
    pub(super) unscored: usize,
    pub(super) refused: usize,
    pub(super) terms: BTreeSet<&'a str>,
}

fn check_records(records: &[Record], plan: &Plan) -> Result<()> {
    let Some(first) = records.first() else { return Ok(()) };
    for (index, record) in records.iter().enumerate() {
        let place = || format!("record {} (row {} of the file with its header)", index + 1, index + 2);
        if *record.suite != *plan.suite {
            bail!(
                "{}: suite is {:?}, but the plan is for {:?}; analyse each suite by itself",
                place(),
                record.suite,
                plan.suite
            );
        }
        if record.model != first.model {
            bail!("{}: model is {:?} after {:?}; analyse each model by itself", place(), record.model, first.model);
        }
        plan.check_score(record).with_context(place)?;
    }
    Ok(())
}

fn blocks<'a>(records: &'a [Record], plan: &'a Plan) -> Result<Vec<Block<'a>>> {
    let mut by_block: BTreeMap<(&str, &str), Vec<&Record>> = BTreeMap::new();
    for axis in &plan.axes {
        let outcomes = plan.scorers.iter().filter(|scorer| scorer.margin.is_some() && !axis.crossed);
        for scorer in outcomes.filter(|scorer| !axis.without.contains(&scorer.name)) {
            by_block.entry((&axis.name, &scorer.name)).or_default();
        }
    }
    for record in records {
        by_block.entry((&record.axis, &record.scorer)).or_default().push(record);
    }
    let refused = beside::refused(records);
    let blocks: Vec<_> = by_block.into_iter().collect();
    blocks
        .into_par_iter()
        .filter_map(|((axis, scorer), records)| Some(block(plan.axis(axis), plan.scorer(scorer)?, records, &refused)))
        .collect()
}

fn block<'a>(
    mut axis: AxisPlan,
    scorer: &'a ScorerPlan,
    mut records: Vec<&'a Record>,
    refused: &beside::Refused<'_>,
) -> Result<Block<'a>> {
    fn key(record: &Record) -> ([&Name; 4], u32) {
        ([&record.template, &record.context, &record.group, &record.term], record.sample)
    }
    records.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
    if let Some(pair) = records.windows(2).find(|pair| key(pair[0]) == key(pair[1])) {
        let Record { template, context, group, term, sample, .. } = pair[0];
        bail!(
            "{} on {} has two records of template {template:?}, context {context:?}, group {group:?}, term {term:?}, sample \
             {sample}; number the samples, or take the repeated rows out",
            scorer.name,
            axis.name
        );
    }
    let mut counts: BTreeMap<&str, Count<'_>> = BTreeMap::new();
    let (mut scored, mut marks, mut any_unscored) = (Vec::new(), Vec::new(), false);
    let (mut unrefused, mut any_refused) = (Vec::new(), false);
    for record in &records {
        let count = counts.entry(&record.group).or_default();
        count.responses += 1;
        count.terms.insert(&record.term);
        let sample = Sample {
            template: &record.template,
            context: &record.context,
            group: &record.group,
            term: &record.term,
            score: 0.0,
        };
        let is_refused = refused.contains(record);
        any_refused |= is_refused;
        count.refused += usize::from(is_refused);
        match record.score {
            Some(score) => {
                if !is_refused {
                    unrefused.push(Sample { score, ..sample });
                }
                scored.push(Sample { score, ..sample });
                marks.push(sample);
            }
            None => {
                count.unscored += 1;
                any_unscored = true;
                marks.push(Sample { score: 1.0, ..sample });
            }
        }
    }
    axis.groups.extend(counts.keys().map(|&name| name.to_owned()));
    axis.groups.extend(axis.reference.clone());
    axis.groups.extend(axis.controls.iter().cloned());
    axis.groups.sort_unstable();
    axis.groups.dedup();
    // Ids that two groups share are matched pairs; a suite never shares them otherwise.
    let mut sets = counts.values().map(|count| &count.terms);
    axis.paired |= sets.next().is_some_and(|first| counts.len() > 1 && sets.all(|set| set == first));
    Ok(Block {
        axis,
        scorer,
        counts,
        is_binary: scored.iter().all(|sample| [0.0, 1.0].contains(&sample.score)),
        records,
        scores: Matrix::of(scored),
        unscored: any_unscored.then(|| Matrix::of(marks)),
        unrefused: any_refused.then(|| Matrix::of(unrefused)),
    })
}
