//! Turns records into tables: group means, gaps with intervals and p, verdicts.
//!
//! `plan` says what was declared before the run, `contrast` computes one gap, `beside` adds what the scorer and refusals do to it,
//! `decide` adjusts the family and gives verdicts. Beside the gaps: `floor` compares unsigned distances with their noise floor, `omnibus`
//! looks at all groups at once, `distribution` at whole distributions, `effect` expresses a gap in other units, `slices` and
//! `intersections` screen templates and combinations, `literature` has statistics as published. `compare` sets two versions against each
//! other, `pilot` reads a variance off a run. The arithmetic is in [`crate::stats`]. Rows come out sorted and do not depend on the order
//! of the records nor on the number of threads.

pub mod benchmark;
mod beside;
pub mod compare;
mod contrast;
mod decide;
mod distribution;
mod effect;
mod floor;
mod intersections;
mod literature;
mod omnibus;
pub mod pilot;
mod plan;
mod slices;

#[cfg(test)]
mod calibration;
#[cfg(test)]
mod screening_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use rayon::prelude::*;

pub use self::beside::Agreement;
pub use self::decide::{adjust, conclude, decide, suite_verdict};
pub use self::distribution::{DistributionRow, QUANTILES};
pub use self::floor::{FloorRow, FloorStatus};
pub use self::intersections::{IntersectionRow, IntersectionStatus};
pub use self::literature::LiteratureRow;
pub use self::omnibus::OmnibusRow;
pub use self::plan::{AxisPlan, Plan, ScorerPlan, without};
pub use self::slices::SliceRow;
pub use crate::record::REST;
use crate::record::{Name, OffsetRow, PairRow, Record};
use crate::stats::matrix::{Matrix, Sample};
use crate::stats::means;

pub use crate::stats::equivalence::Verdict;
pub use crate::suite::Unit;

/// Everything that one suite's records show about one model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tables {
    /// Sorted by (suite, axis, group, scorer), by name.
    pub groups: Vec<GroupRow>,
    /// Sorted by (suite, axis, group, scorer), by name; no row for the reference.
    pub gaps: Vec<GapRow>,
    /// Unsigned distances; sorted as `gaps`, by name.
    pub floors: Vec<FloorRow>,
    /// All groups of an axis together; sorted by (axis, scorer), by name.
    pub omnibus: Vec<OmnibusRow>,
    /// Whole distributions; sorted as `gaps`, by name.
    pub distributions: Vec<DistributionRow>,
    /// Several scorers of one construct, by axis and group.
    pub agreements: Vec<Agreement>,
    /// Combinations of crossed axes, by axis, group and scorer.
    pub intersections: Vec<IntersectionRow>,
    /// Gaps by template, by axis, group, scorer and template.
    pub slices: Vec<SliceRow>,
    /// Statistics as published, by axis, group, scorer and statistic.
    pub literature: Vec<LiteratureRow>,
}

/// What was measured beside the records.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Beside {
    /// What the scorers themselves add.
    pub offsets: Vec<OffsetRow>,
    /// Distances of pairs of texts.
    pub pairs: Vec<PairRow>,
    /// Sample s of a set had the same random numbers in every group, as in runs of ours.
    pub shared_draws: bool,
}

/// A row of groups.csv.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GroupRow {
    pub suite: String,
    pub axis: String,
    pub group: String,
    pub scorer: String,
    /// Clusters with at least one scored answer of the group.
    pub clusters: usize,
    pub responses: usize,
    pub unscored: usize,
    /// Mean over clusters of the cell means; `None` without a scored answer.
    pub mean: Option<f64>,
    /// t interval over clusters at level 1 − alpha, inside the score's range; descriptive, since contexts differ from one another.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Width of the score's range.
    pub width: f64,
}

/// A row of disparity.csv: one group's gap on one scorer. Gaps and limits are in the score's unit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GapRow {
    pub suite: String,
    pub axis: String,
    pub group: String,
    /// The group compared with, or [`REST`].
    pub reference: String,
    pub scorer: String,
    /// Clusters that have every group of the contrast.
    pub clusters: usize,
    /// Distinct terms of the group among its records.
    pub terms: usize,
    /// Records of the group, and those without a score.
    pub responses: usize,
    pub unscored: usize,
    /// Over all clusters of that side, so that their difference need not be the gap; for the rest, the mean of its groups.
    pub group_mean: Option<f64>,
    pub reference_mean: Option<f64>,
    /// Mean paired difference over complete clusters; 0 is parity.
    pub gap: Option<f64>,
    /// Interval at level 1 − alpha.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Interval at level 1 − 2 alpha, which equivalence is judged by.
    pub low90: Option<f64>,
    pub high90: Option<f64>,
    pub se: Option<f64>,
    pub df: Option<f64>,
    /// Sign-flip p; with random terms the larger of that and the two-way t p. 1 below two clusters, `None` for a missing
    /// group.
    pub p: Option<f64>,
    /// Holm over the family; `None` outside it.
    pub p_adjusted: Option<f64>,
    /// `None` when the scorer is not a declared outcome; then there is no verdict either.
    pub margin: Option<f64>,
    pub verdict: Option<Verdict>,
    pub status: Status,
    /// Minimum detectable effect: the gap found with 80 % power at alpha / m by a t test (noncentral t), m the size of
    /// the family (1 outside it). `None` without spread, or when no data of this size could reach alpha / m.
    pub mde: Option<f64>,
    pub d_z: Option<f64>,
    /// Variance by templates over variance by clusters; above 1.5, few templates drive the gap.
    pub deff_template: Option<f64>,
    /// For an inconclusive gap: clusters at which a true gap of 0 would be called equivalent with 80 % power.
    pub clusters_needed: Option<usize>,
    /// For an inconclusive gap: no number of clusters settles it, more terms a group are needed.
    pub more_terms_needed: bool,
    /// The interval excludes every gap within ±margin: "at least the margin".
    pub at_least_margin: bool,
    /// Sample sd of the paired differences over clusters.
    pub sd: Option<f64>,
    /// The part of `se` that comes from terms being a sample of terms, √V_added; 0 with fewer than three terms in a
    /// group, when the gap is about these terms only.
    pub se_terms: Option<f64>,
    /// The group is a negative control.
    pub control: bool,
    /// Group minus reference in the share of unscored records, and its p; `None` when every record is scored.
    pub unscored_gap: Option<f64>,
    pub unscored_p: Option<f64>,
    /// Width of the score's range.
    pub width: f64,
    /// What the scorer itself adds for this group on raw text that differs in nothing else, with its interval; `None` where it was not
    /// measured.
    pub scorer_offset: Option<f64>,
    pub offset_low: Option<f64>,
    pub offset_high: Option<f64>,
    /// gap − offset, with the variances of both.
    pub gap_corrected: Option<f64>,
    pub corrected_low: Option<f64>,
    pub corrected_high: Option<f64>,
    pub corrected_p: Option<f64>,
    /// The offset that would take the finding away: the end of the interval nearer to 0; `None` where the interval holds 0.
    pub tipping_offset: Option<f64>,
    /// Refused answers of the group and of the others; `None` where nobody refused or refusals were not scored.
    pub refused: Option<usize>,
    pub reference_refused: Option<usize>,
    /// The gap over answers that are no refusals, with a t interval.
    pub gap_unrefused: Option<f64>,
    pub unrefused_low: Option<f64>,
    pub unrefused_high: Option<f64>,
    /// `d_z` without its bias in small samples.
    pub hedges_g: Option<f64>,
    /// mean D over the root of both sides' mean variance; against one reference only.
    pub d_av: Option<f64>,
    /// P(above) − P(below) over pairs of cells of any clusters; of several others the mean.
    pub cliffs_delta: Option<f64>,
    /// Share of clusters in which the group is above minus share in which it is below.
    pub paired_delta: Option<f64>,
    /// Mean difference of log odds of the cells, for scores from 0 to 1.
    pub logit_gap: Option<f64>,
    /// Log odds ratio of the cells' sums (Haldane), where every score is 0 or 1; against one reference only.
    pub log_odds_ratio: Option<f64>,
    /// Clusters with yes for the group and no for the reference, and the other way round; where every cell is 0 or 1.
    pub discordant_above: Option<usize>,
    pub discordant_below: Option<usize>,
    /// 95 % of the gaps between two halves of the reference's own terms; from four terms on.
    pub aa_low: Option<f64>,
    pub aa_high: Option<f64>,
}

/// What the numbers of a gap rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Status {
    #[default]
    Ok,
    /// Every cluster shows the same difference; the interval is the rule of three.
    ZeroVariance,
    /// Fewer than two complete clusters.
    Insufficient,
    /// The group or what it is compared with has no score at all.
    MissingGroup,
    /// The groups differ in how much is unscored; blocks `equivalent`.
    DifferentialMissingness,
    /// The scorer's own offset could explain more than half of the gap.
    ScorerOffset,
    /// A negative control shows a gap; blocks `disparity`.
    Suspect,
}

impl Status {
    /// The word in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::ZeroVariance => "zero_variance",
            Status::Insufficient => "insufficient",
            Status::MissingGroup => "missing_group",
            Status::DifferentialMissingness => "differential_missingness",
            Status::ScorerOffset => "scorer_offset",
            Status::Suspect => "suspect",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.as_str())
    }
}

impl Tables {
    /// The worst verdict of the suite's declared outcomes; see [`suite_verdict`].
    pub fn suite_verdict(&self) -> Option<Verdict> {
        suite_verdict(&self.gaps)
    }
}

/// Computes both tables from one model's records of one suite.
///
/// Declared groups and outcomes without records get their rows (`missing_group`); groups and axes that the records have
/// beyond the plan get theirs too, by name. Errs on a plan that makes no sense, on records of another suite or of two
/// models, on an undeclared scorer, and on a score outside its range, naming the row.
pub fn analyze(records: &[Record], plan: &Plan) -> Result<Tables> {
    analyze_beside(records, plan, &Beside::default())
}

/// As [`analyze`], with what was measured beside the records: a disparity that the scorer's own offset could explain more than half of
/// becomes inconclusive.
pub fn analyze_beside(records: &[Record], plan: &Plan, beside: &Beside) -> Result<Tables> {
    let blocks = checked_blocks(records, plan)?;
    let gaps = gap_rows(&blocks, plan, &beside.offsets, 0);
    let mut groups: Vec<GroupRow> = blocks.par_iter().flat_map_iter(|block| group_rows(block, plan)).collect();
    groups.sort_by(|a, b| (&a.suite, &a.axis, &a.group, &a.scorer).cmp(&(&b.suite, &b.axis, &b.group, &b.scorer)));
    Ok(Tables {
        groups,
        floors: floor::rows(records, plan, beside),
        omnibus: omnibus::rows(&blocks, plan),
        distributions: distribution::rows(&blocks, plan),
        agreements: beside::agreements(&gaps),
        intersections: intersections::rows(&blocks, plan),
        slices: slices::rows(&blocks, plan),
        literature: literature::rows(records, plan),
        gaps,
    })
}

/// The gaps of [`analyze_beside`] alone, in a family that has `elsewhere` further gaps in other records.
///
/// The family decides how many sign flips are drawn and what could be detected; [`adjust`] and [`conclude`] are for
/// whoever has all of its rows.
pub fn gaps(records: &[Record], plan: &Plan, beside: &Beside, elsewhere: usize) -> Result<Vec<GapRow>> {
    Ok(gap_rows(&checked_blocks(records, plan)?, plan, &beside.offsets, elsewhere))
}

/// How many gaps of these records are adjusted together: those of declared outcomes that have data.
pub fn family_size(records: &[Record], plan: &Plan) -> Result<usize> {
    let size =
        |block: &Block<'_>| contrast::estimates(block, plan).iter().filter(|estimate| estimate.is_in_family()).count();
    Ok(checked_blocks(records, plan)?.par_iter().map(size).sum())
}

fn gap_rows(blocks: &[Block<'_>], plan: &Plan, offsets: &[OffsetRow], elsewhere: usize) -> Vec<GapRow> {
    let estimates: Vec<_> = blocks.par_iter().flat_map_iter(|block| contrast::estimates(block, plan)).collect();
    let family = estimates.iter().filter(|estimate| estimate.is_in_family()).count() + elsewhere;
    let mut rows: Vec<GapRow> = estimates.par_iter().map(|estimate| estimate.row(plan, family)).collect();
    rows.iter_mut().for_each(|row| beside::add_offset(row, offsets, plan.alpha));
    decide(&mut rows, plan.alpha);
    rows.sort_by(|a, b| (&a.suite, &a.axis, &a.group, &a.scorer).cmp(&(&b.suite, &b.axis, &b.group, &b.scorer)));
    rows
}

/// The blocks of records that fit the plan.
fn checked_blocks<'a>(records: &'a [Record], plan: &'a Plan) -> Result<Vec<Block<'a>>> {
    plan.check()?;
    check_records(records, plan)?;
    plan.check_templates(records)?;
    blocks(records, plan)
}

/// One axis under one scorer.
struct Block<'a> {
    axis: AxisPlan,
    scorer: &'a ScorerPlan,
    /// Per group by name: what its records count.
    counts: BTreeMap<&'a str, Count<'a>>,
    /// By template, context, group, term and sample.
    records: Vec<&'a Record>,
    /// Every score is 0 or 1.
    is_binary: bool,
    /// Scored records.
    scores: Matrix,
    /// 1 for an unscored record, 0 for a scored one; `None` when every record is scored.
    unscored: Option<Matrix>,
    /// Scored records of answers that are no refusals; `None` when nobody refused.
    unrefused: Option<Matrix>,
}

impl Block<'_> {
    /// Combinations of groups are screened and have none.
    fn margin(&self) -> Option<f64> {
        self.scorer.margin.filter(|_| !self.axis.crossed)
    }

    /// The records that have a score, in the order of `records`.
    fn scored(&self) -> Vec<&Record> {
        self.records.iter().copied().filter(|record| record.score.is_some()).collect()
    }
}

#[derive(Default)]
struct Count<'a> {
    responses: usize,
    unscored: usize,
    refused: usize,
    terms: BTreeSet<&'a str>,
}

fn check_records(records: &[Record], plan: &Plan) -> Result<()> {
    let Some(first) = records.first() else { return Ok(()) };
    for (index, record) in records.iter().enumerate() {
        let place = format!("record {} (row {} of the file with its header)", index + 1, index + 2);
        if *record.suite != *plan.suite {
            bail!(
                "{place}: suite is {:?}, but the plan is for {:?}; analyse each suite by itself",
                record.suite,
                plan.suite
            );
        }
        if record.model != first.model {
            bail!("{place}: model is {:?} after {:?}; analyse each model by itself", record.model, first.model);
        }
        plan.check_score(record).with_context(|| place)?;
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

fn group_rows(block: &Block<'_>, plan: &Plan) -> Vec<GroupRow> {
    let rows = block.axis.groups.iter().map(|name| {
        let values = block.scores.group(name).map(|group| block.scores.cell_means(group)).unwrap_or_default();
        let interval = means::t_interval(&values, 1.0 - plan.alpha);
        let count = block.counts.get(name.as_str());
        GroupRow {
            suite: plan.suite.clone(),
            axis: block.axis.name.clone(),
            group: name.clone(),
            scorer: block.scorer.name.clone(),
            clusters: values.len(),
            responses: count.map_or(0, |count| count.responses),
            unscored: count.map_or(0, |count| count.unscored),
            mean: means::mean(&values),
            low: interval.map(|(low, _)| low.max(block.scorer.range.0)),
            high: interval.map(|(_, high)| high.min(block.scorer.range.1)),
            width: block.scorer.width(),
        }
    });
    rows.collect()
}
