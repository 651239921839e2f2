//! Screens the combinations of crossed axes for what the axes by themselves do not explain.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{Block, Plan, REST, Unit};
use crate::stats::adjust::benjamini_hochberg;
use crate::stats::interaction::{Combination, Crossed, Interaction, interactions};
use crate::stats::permutation::sign_flip;
use crate::stats::random::Address;
use crate::stats::shrinkage::{heterogeneity, shrink};
use crate::stats::student::t_two_sided_p;

/// Below this many clusters a combination shows its shrunken interaction alone (stats.md §14).
pub const MIN_CLUSTERS: usize = 10;

/// Below this many combinations τ² is unreliable, and all are pooled (stats.md §14).
const MIN_CELLS: usize = 5;

/// A row of intersections.csv: one combination of groups on one scorer. Screening: no margin, no verdict, no part of any gate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IntersectionRow {
    pub suite: String,
    /// `gender+ethnicity`
    pub axis: String,
    /// `woman+black`; the reference combination has a row too.
    pub group: String,
    /// The combination compared with, or [`REST`]: then gaps are against the mean of all combinations.
    pub reference: String,
    pub scorer: String,
    pub clusters: usize,
    pub responses: usize,
    pub gap: Option<f64>,
    /// What the main effects of the axes together say the gap is.
    pub additive: Option<f64>,
    /// gap − additive; 0 says that the axes add up.
    pub interaction: Option<f64>,
    pub se: Option<f64>,
    pub df: Option<f64>,
    /// Sign-flip p of the interaction; with random terms the larger of that and the two-way t p.
    pub p: Option<f64>,
    /// Benjamini-Hochberg over every row of the suite that has a p; at most .10 is worth a look.
    pub q: Option<f64>,
    /// The interaction drawn towards the mean of the axis' interactions by the share of noise in its variance.
    pub shrunk: Option<f64>,
    /// `None` where all were pooled: the formula's 0 would claim certainty.
    pub posterior_sd: Option<f64>,
    /// DerSimonian-Laird variance between the axis' interactions beyond their noise; 0 with fewer than five.
    pub tau2: Option<f64>,
    pub status: IntersectionStatus,
    /// Width of the score's range.
    pub width: f64,
}

/// What an interaction rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum IntersectionStatus {
    #[default]
    Ok,
    /// τ² is 0, or there are fewer than five combinations: the shrunken value is the mean of all.
    FullPooling,
    /// Fewer than ten clusters: only the shrunken value is shown.
    FewClusters,
    /// Every cluster shows the same interaction, so that there is no noise to shrink by.
    ZeroVariance,
    /// The other combinations leave this one to a main effect of its own.
    NotEstimable,
    /// Fewer than two clusters.
    Insufficient,
    /// The combination, or what it is compared with, has no score.
    MissingGroup,
}

impl IntersectionStatus {
    /// The word in files.
    pub fn as_str(self) -> &'static str {
        match self {
            IntersectionStatus::Ok => "ok",
            IntersectionStatus::FullPooling => "full_pooling",
            IntersectionStatus::FewClusters => "few_clusters",
            IntersectionStatus::ZeroVariance => "zero_variance",
            IntersectionStatus::NotEstimable => "not_estimable",
            IntersectionStatus::Insufficient => "insufficient",
            IntersectionStatus::MissingGroup => "missing_group",
        }
    }
}

/// A row for every combination on every scorer, sorted by axis, group and scorer.
pub(super) fn rows(blocks: &[Block<'_>], plan: &Plan) -> Vec<IntersectionRow> {
    let crossed: Vec<&Block<'_>> = blocks.iter().filter(|block| block.axis.crossed).collect();
    let mut rows: Vec<IntersectionRow> = crossed.into_par_iter().flat_map_iter(|block| of_block(block, plan)).collect();
    let tested: Vec<(usize, f64)> = rows.iter().enumerate().filter_map(|(at, row)| Some((at, row.p?))).collect();
    let q = benjamini_hochberg(&tested.iter().map(|(_, p)| *p).collect::<Vec<_>>());
    tested.iter().zip(q).for_each(|((at, _), q)| rows[*at].q = Some(q));
    rows.sort_by(|a, b| (&a.axis, &a.group, &a.scorer).cmp(&(&b.axis, &b.group, &b.scorer)));
    rows
}

fn of_block(block: &Block<'_>, plan: &Plan) -> Vec<IntersectionRow> {
    let axis = &block.axis;
    let groups: Vec<&String> = axis.groups.iter().filter(|group| !axis.controls.contains(group)).collect();
    let cells = cells(block, &groups);
    let reference = axis.reference.as_ref().map(|name| cells.iter().position(|(group, _)| *group == name));
    // Without the reference combination nothing can be compared.
    let parts = match reference {
        Some(None) => Vec::new(),
        reference => {
            let crossed = Crossed {
                cells: cells.iter().map(|(_, cell)| cell.clone()).collect(),
                reference: reference.flatten(),
                paired: axis.paired,
            };
            let width = block.scorer.width();
            match plan.generalise_to {
                Unit::Contexts => interactions(&block.scores, &crossed, width),
                Unit::Templates => {
                    let groups: Vec<usize> = crossed.cells.iter().map(|cell| cell.group).collect();
                    interactions(&block.scores.by_template(&groups), &crossed, width)
                }
            }
        }
    };
    let by_group: BTreeMap<&String, &Interaction> = cells.iter().map(|(group, _)| *group).zip(&parts).collect();
    let mut rows: Vec<IntersectionRow> =
        groups.iter().map(|group| row(block, plan, group, by_group.get(group).copied())).collect();
    fill_shrunken(&mut rows);
    rows
}

/// The combinations that have scores and whose names have a group for each axis.
fn cells<'a>(block: &Block<'_>, groups: &[&'a String]) -> Vec<(&'a String, Combination)> {
    let axes = block.axis.name.split('+').count();
    let parts = |group: &'a String| group.split('+').collect::<Vec<&str>>();
    let mut levels: Vec<Vec<&str>> = vec![Vec::new(); axes];
    for group in groups.iter().map(|group| parts(group)).filter(|parts| parts.len() == axes) {
        levels.iter_mut().zip(group).for_each(|(levels, level)| levels.push(level));
    }
    for levels in &mut levels {
        levels.sort_unstable();
        levels.dedup();
    }
    let cell = |group: &&'a String| {
        let own = parts(group);
        let places = own.iter().zip(&levels).map(|(level, levels)| levels.binary_search(level).ok());
        let levels: Vec<usize> = places.collect::<Option<_>>()?;
        let found = block.scores.group(group).filter(|_| own.len() == axes)?;
        Some((*group, Combination { group: found, levels }))
    };
    groups.iter().filter_map(cell).collect()
}

fn row(block: &Block<'_>, plan: &Plan, group: &str, parts: Option<&Interaction>) -> IntersectionRow {
    let axis = &block.axis;
    let mut row = IntersectionRow {
        suite: plan.suite.clone(),
        axis: axis.name.clone(),
        group: group.to_owned(),
        reference: axis.reference.clone().unwrap_or_else(|| REST.to_owned()),
        scorer: block.scorer.name.clone(),
        responses: block.counts.get(group).map_or(0, |count| count.responses),
        status: IntersectionStatus::MissingGroup,
        width: block.scorer.width(),
        ..IntersectionRow::default()
    };
    let Some(parts) = parts.filter(|parts| parts.gap.is_some()) else { return row };
    row.clusters = parts.clusters;
    row.gap = parts.gap;
    row.additive = parts.additive;
    row.interaction = parts.interaction;
    row.status = match (parts.interaction, parts.error) {
        (None, _) => IntersectionStatus::NotEstimable,
        (_, None) => IntersectionStatus::Insufficient,
        (_, Some(error)) if error.se == 0.0 => IntersectionStatus::ZeroVariance,
        _ => IntersectionStatus::Ok,
    };
    let (Some(interaction), Some(error)) = (parts.interaction, parts.error) else { return row };
    let address = Address {
        seed: plan.seed,
        suite: &plan.suite,
        axis: &axis.name,
        pair: [group, &row.reference],
        scorer: &block.scorer.name,
    };
    let flip = sign_flip(&parts.differences, plan.resamples, &address.key("sign flip of interaction"));
    let of_terms = if error.has_terms { t_two_sided_p(interaction / error.se, error.df) } else { 0.0 };
    row.p = flip.map(|flip| flip.max(of_terms));
    (row.se, row.df) = (Some(error.se), Some(error.df));
    row
}

/// Shrinks what has noise, then hides what too few clusters show.
fn fill_shrunken(rows: &mut [IntersectionRow]) {
    let noisy: Vec<usize> = (0..rows.len()).filter(|&at| rows[at].status == IntersectionStatus::Ok).collect();
    let estimates: Vec<f64> = noisy.iter().filter_map(|&at| rows[at].interaction).collect();
    let variances: Vec<f64> = noisy.iter().filter_map(|&at| rows[at].se.map(|se| se * se)).collect();
    let tau2 = match heterogeneity(&estimates, &variances) {
        Some(spread) if noisy.len() >= MIN_CELLS => Some(spread.tau2),
        Some(_) => Some(0.0),
        None => None,
    };
    if let Some((tau2, shrunken)) = tau2.and_then(|tau2| Some((tau2, shrink(&estimates, &variances, tau2)?))) {
        for (&at, cell) in noisy.iter().zip(&shrunken.cells) {
            rows[at].shrunk = Some(cell.value);
            rows[at].posterior_sd = (tau2 > 0.0).then_some(cell.sd);
            rows[at].tau2 = Some(tau2);
            if tau2 == 0.0 {
                rows[at].status = IntersectionStatus::FullPooling;
            }
        }
    }
    let is_small = |row: &&mut IntersectionRow| row.se.is_some() && row.clusters < MIN_CLUSTERS;
    for row in rows.iter_mut().filter(is_small) {
        (row.gap, row.additive, row.interaction) = (None, None, None);
        (row.se, row.df, row.p) = (None, None, None);
        row.status = IntersectionStatus::FewClusters;
    }
}
