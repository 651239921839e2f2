//! Computes every gap template by template, which shows the few templates that drive one.

use rayon::prelude::*;

use super::contrast::p;
use super::{Block, Plan, REST, Status};
use crate::stats::adjust::benjamini_hochberg;
use crate::stats::gap::{Contrast, paired_gap_over};
use crate::stats::interval::BootstrapT;
use crate::stats::random::Address;

/// Suites with more templates have no slices: nobody reads them.
const MAX_TEMPLATES: usize = 50;

/// Resamples behind a slice's interval; its p has as many random flips as any gap.
const RESAMPLES: usize = 999;

/// A row of slices.csv: a gap over the clusters of one template. Screening: no margin, no verdict, no part of any gate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SliceRow {
    pub suite: String,
    pub axis: String,
    pub group: String,
    /// The group compared with, or [`REST`].
    pub reference: String,
    pub scorer: String,
    pub template: String,
    /// Clusters of the template that have every group of the contrast.
    pub clusters: usize,
    pub gap: Option<f64>,
    /// Interval at level 1 − alpha.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// As that of a gap; `None` below two clusters.
    pub p: Option<f64>,
    /// Benjamini-Hochberg over every slice of the suite that has a p; at most .10 is worth a look.
    pub q: Option<f64>,
    /// `ok`, `zero_variance` or `insufficient`.
    pub status: Status,
    /// Width of the score's range.
    pub width: f64,
}

/// A row for every template of every gap, sorted by axis, group, scorer and template; its clusters are contexts, whatever the gap is to
/// generalise to. None for combinations of axes, which [`super::intersections`] screens.
pub(super) fn rows(blocks: &[Block<'_>], plan: &Plan) -> Vec<SliceRow> {
    let mut rows: Vec<SliceRow> = blocks.par_iter().flat_map_iter(|block| of_block(block, plan)).collect();
    let tested: Vec<(usize, f64)> = rows.iter().enumerate().filter_map(|(at, row)| Some((at, row.p?))).collect();
    let q = benjamini_hochberg(&tested.iter().map(|(_, p)| *p).collect::<Vec<_>>());
    tested.iter().zip(q).for_each(|((at, _), q)| rows[*at].q = Some(q));
    rows.sort_by(|a, b| (&a.axis, &a.group, &a.scorer, &a.template).cmp(&(&b.axis, &b.group, &b.scorer, &b.template)));
    rows
}

fn of_block(block: &Block<'_>, plan: &Plan) -> Vec<SliceRow> {
    let axis = &block.axis;
    let templates = block.scores.templates();
    if axis.crossed || templates.len() < 2 || templates.len() > MAX_TEMPLATES {
        return Vec::new();
    }
    let groups = || axis.groups.iter().map(String::as_str);
    let mut rows = Vec::new();
    for group in groups().filter(|group| axis.reference.as_deref() != Some(group)) {
        let others = axis.others(group, groups(), |other| block.scores.group(other).is_some());
        let Some(contrast) = Contrast::named(&block.scores, group, &others, axis.paired) else { continue };
        for (template, clusters) in &templates {
            rows.push(row(block, plan, group, &contrast, template, clusters.clone()));
        }
    }
    rows
}

fn row(
    block: &Block<'_>,
    plan: &Plan,
    group: &str,
    contrast: &Contrast,
    template: &str,
    clusters: std::ops::Range<usize>,
) -> SliceRow {
    let width = block.scorer.width();
    let gap = paired_gap_over(&block.scores, contrast, width, clusters);
    let mut row = SliceRow {
        suite: plan.suite.clone(),
        axis: block.axis.name.clone(),
        group: group.to_owned(),
        reference: block.axis.reference.clone().unwrap_or_else(|| REST.to_owned()),
        scorer: block.scorer.name.clone(),
        template: template.to_owned(),
        clusters: gap.clusters.len(),
        gap: gap.gap,
        status: Status::Insufficient,
        width,
        ..SliceRow::default()
    };
    let Some(error) = gap.error else { return row };
    let address = Address {
        seed: plan.seed,
        suite: &plan.suite,
        axis: &block.axis.name,
        pair: [group, &row.reference],
        scorer: &block.scorer.name,
    };
    row.p = p(&gap, plan.resamples, &address, &format!("sign flip of {template}"));
    let level = 1.0 - plan.alpha;
    row.status = Status::ZeroVariance;
    let mut bootstrap = None;
    if error.se > 0.0 {
        row.status = Status::Ok;
        let key = address.key(&format!("bootstrap-t of {template}"));
        bootstrap = BootstrapT::of(&gap.differences, plan.resamples.min(RESAMPLES), &key);
    }
    (row.low, row.high) = gap.interval(level, width, bootstrap.as_ref()).unzip();
    row
}
