//! Takes the variance of a pilot's gaps apart, to plan a larger run from it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use rayon::prelude::*;

use super::contrast::{Estimate, estimates};
use super::{Plan, Unit, checked_blocks};
use crate::record::Record;
use crate::stats::means;
use crate::stats::pilot::{Components, Side};

/// Clusters from which on a pilot's spread is good enough to plan by (stats.md §12).
pub const CLUSTERS: usize = 20;

/// What one gap of a pilot varies by.
#[derive(Debug, Clone, PartialEq)]
pub struct PilotRow {
    pub axis: String,
    pub group: String,
    pub scorer: String,
    pub clusters: usize,
    pub parts: Components,
}

/// One row a declared outcome and gap with at least two clusters, in the order of disparity.csv.
///
/// `shared_draws`: sample s of a set had the same random numbers in every group, as in runs of ours. Then the answers of a
/// sample scatter together, and what samples add to a difference is taken from the differences of equal samples; else from
/// each side by itself, added (stats.md §12).
///
/// # Errors
/// As [`super::analyze`].
pub fn pilot(records: &[Record], plan: &Plan, shared_draws: bool) -> Result<Vec<PilotRow>> {
    let spreads = spreads(records, shared_draws);
    let blocks = checked_blocks(records, plan)?;
    let rows = |block| -> Vec<PilotRow> {
        estimates(block, plan)
            .iter()
            .filter(|estimate| estimate.is_in_family())
            .filter_map(|estimate| row(estimate, &spreads, plan.generalise_to))
            .collect()
    };
    let mut rows: Vec<PilotRow> = blocks.par_iter().flat_map_iter(rows).collect();
    rows.sort_by(|a, b| (&a.axis, &a.group, &a.scorer).cmp(&(&b.axis, &b.group, &b.scorer)));
    Ok(rows)
}

fn row<'a>(
    estimate: &'a Estimate<'a>,
    spreads: &'a BTreeMap<[&'a str; 3], Spread<'a>>,
    unit: Unit,
) -> Option<PilotRow> {
    let (axis, scorer, gap) = (&estimate.block.axis.name, &estimate.block.scorer.name, estimate.gap.as_ref()?);
    let error = gap.error?;
    let share = 1.0 / estimate.others.len() as f64;
    let of = |group: &'a str| spreads.get(&[axis.as_str(), scorer.as_str(), group]);
    let own = of(estimate.group)?;
    let others = estimate.others.iter().map(|other| of(other)).collect::<Option<Vec<_>>>()?;
    let mut sides = Vec::new();
    let (mut within, mut of_samples, mut cell_terms) = (Some(0.0), 0.0, 0.0);
    for (spread, weight) in [(own, 1.0)].into_iter().chain(others.iter().map(|other| (*other, share * share))) {
        sides.push(Side { weight, terms: spread.terms.len() });
        within = within.zip(spread.within()).map(|(sum, one)| sum + weight * one);
        of_samples += weight * spread.within().unwrap_or(0.0) * spread.share()?;
        cell_terms += spread.cell_terms / spread.shares.len() as f64;
    }
    if let Some((of_one, of_all)) = of_equal_samples(own, &others) {
        // What V divides by the terms of a cell, since a sample's terms scatter together too.
        within = Some(of_one * cell_terms / sides.len() as f64);
        of_samples = of_all;
    }
    // Over whole templates the cells are other ones; what samples add stays in the clusters.
    let within = within.filter(|_| unit == Unit::Contexts);
    // With the same variance on all sides this is the number of answers that a cell averages.
    let answers = within.filter(|_| of_samples > 0.0).map_or(1.0, |within| within / of_samples);
    Some(PilotRow {
        axis: axis.clone(),
        group: estimate.group.to_owned(),
        scorer: scorer.clone(),
        clusters: gap.clusters.len(),
        parts: Components::of(error.sd * error.sd, within, answers, error.v_added, &sides),
    })
}

/// How the answers about one group scatter inside its cells.
#[derive(Default)]
struct Spread<'a> {
    terms: BTreeSet<&'a str>,
    /// Variance of each cell of one term that has two samples.
    variances: Vec<f64>,
    /// Σ over a cell's terms of 1/samples, over the square of their number: the share of an answer's variance that the
    /// cell's mean keeps.
    shares: Vec<f64>,
    /// Terms of all its cells.
    cell_terms: f64,
    /// Where draws are shared: cluster → sample → scores of its terms.
    by_sample: BTreeMap<[&'a str; 2], BTreeMap<u32, Vec<f64>>>,
}

/// Variance of a cluster's difference from sample to sample, and of its mean over the samples, on average over clusters;
/// `None` without shared draws or without two samples that all sides have.
fn of_equal_samples(own: &Spread<'_>, others: &[&Spread<'_>]) -> Option<(f64, f64)> {
    let (mut of_one, mut of_all) = (Vec::new(), Vec::new());
    for (cluster, samples) in &own.by_sample {
        let difference = |(sample, scores): (&u32, &Vec<f64>)| {
            let other = |other: &&Spread<'_>| means::mean(other.by_sample.get(cluster)?.get(sample)?);
            let others = others.iter().map(other).collect::<Option<Vec<f64>>>()?;
            Some(means::mean(scores)? - means::mean(&others)?)
        };
        let differences: Vec<f64> = samples.iter().filter_map(difference).collect();
        if let Some(variance) = means::variance(&differences) {
            of_one.push(variance);
            of_all.push(variance / differences.len() as f64);
        }
    }
    means::mean(&of_one).zip(means::mean(&of_all))
}

impl Spread<'_> {
    fn within(&self) -> Option<f64> {
        means::mean(&self.variances)
    }

    fn share(&self) -> Option<f64> {
        means::mean(&self.shares)
    }
}

/// (axis, scorer, group) → its spread.
fn spreads(records: &[Record], shared_draws: bool) -> BTreeMap<[&str; 3], Spread<'_>> {
    let score = |record: &Record| record.score.unwrap_or_default();
    let mut sorted: Vec<&Record> = records.iter().filter(|record| record.score.is_some()).collect();
    sorted.sort_by(|a, b| key(a).cmp(&key(b)).then(score(a).total_cmp(&score(b))));
    let mut spreads: BTreeMap<[&str; 3], Spread<'_>> = BTreeMap::new();
    for cell in sorted.chunk_by(|a, b| key(a)[..5] == key(b)[..5]) {
        let [axis, scorer, group, template, context, _] = key(cell[0]);
        let spread = spreads.entry([axis, scorer, group]).or_default();
        let (mut terms, mut inverse) = (0.0, 0.0);
        for of_term in cell.chunk_by(|a, b| a.term == b.term) {
            let scores: Vec<f64> = of_term.iter().filter_map(|record| record.score).collect();
            spread.terms.insert(&of_term[0].term);
            spread.variances.extend(means::variance(&scores));
            terms += 1.0;
            inverse += 1.0 / scores.len() as f64;
        }
        spread.shares.push(inverse / (terms * terms));
        spread.cell_terms += terms;
        if shared_draws {
            let samples = spread.by_sample.entry([template, context]).or_default();
            for record in cell {
                samples.entry(record.sample).or_default().extend(record.score);
            }
        }
    }
    spreads
}

fn key(record: &Record) -> [&str; 6] {
    let Record { axis, scorer, group, template, context, term, .. } = record;
    [axis, scorer, group, template, context, term].map(|name| &**name)
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;
    use crate::stats::pilot::Design;

    /// Clusters with a difference of their own (sd 0.1), names with an effect (sd 0.05) and answers around both (sd 0.2).
    fn records(clusters: usize, names: usize, samples: u32) -> Vec<Record> {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        // Of mean 0 and variance 1.
        let mut draw = move || (f64::from(random.next_u32()) / f64::from(u32::MAX) - 0.5) * 12.0_f64.sqrt();
        let effects: Vec<f64> = (0..2 * names).map(|_| 0.05 * draw()).collect();
        let mut records = Vec::new();
        for cluster in 0..clusters {
            let difference = 0.1 * draw();
            for (group, level) in [("a", difference), ("b", 0.0)] {
                for name in 0..names {
                    let effect = effects[name + if group == "a" { 0 } else { names }];
                    for sample in 0..samples {
                        records.push(Record {
                            suite: "s".into(),
                            model: "m".into(),
                            template: "t".into(),
                            context: format!("c{cluster}").into(),
                            axis: "axis".into(),
                            group: group.into(),
                            term: format!("{group}{name}").into(),
                            sample,
                            scorer: "score".into(),
                            score: Some(level + effect + 0.2 * draw()),
                        });
                    }
                }
            }
        }
        records
    }

    fn plan(records: &[Record]) -> Plan {
        let mut plan = Plan::of_records(records.iter(), 0);
        plan.axes[0].reference = Some("b".into());
        plan.scorers[0].range = (-5.0, 5.0);
        plan.scorers[0].margin = Some(0.5);
        plan
    }

    #[test]
    fn the_parts_that_went_in_come_out() {
        let rows = records(400, 12, 3);
        let found = &pilot(&rows, &plan(&rows), false).unwrap()[0];
        let near = |got: f64, want: f64| assert!((got / want - 1.0).abs() < 0.35, "{got} {want}");
        near(found.parts.within.unwrap(), 2.0 * 0.04);
        near(found.parts.cluster, 0.01);
        near(found.parts.term.unwrap(), 0.0025);
    }

    #[test]
    fn answers_that_scatter_together_add_nothing_to_a_difference() {
        let mut rows = records(60, 3, 4);
        for row in &mut rows {
            // The same draw for every group and term of a sample.
            let draw = f64::from(row.sample) + if &*row.group == "a" { 0.1 } else { 0.0 };
            row.score = Some(draw);
        }
        let parts = |shared| pilot(&rows, &plan(&rows), shared).unwrap()[0].parts;
        assert!(parts(true).within.unwrap() < 1e-12, "{:?}", parts(true));
        assert!(parts(false).within.unwrap() > 1.0, "each side by itself scatters");
    }

    #[test]
    fn the_pilots_own_design_has_the_error_that_was_found() {
        let rows = records(60, 5, 2);
        let plan = plan(&rows);
        let found = &pilot(&rows, &plan, false).unwrap()[0];
        let sides = vec![Side { weight: 1.0, terms: 5 }; 2];
        let design = Design { clusters: 60, samples: 2.0, cell_terms: 5.0, sides };
        let (se, _) = found.parts.error(&design).unwrap();
        let row = &super::super::gaps(&rows, &plan, &Default::default(), 0).unwrap()[0];
        assert!((se / row.se.unwrap() - 1.0).abs() < 1e-9, "{se} {:?}", row.se);
    }
}
