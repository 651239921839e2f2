//! Computes what the literature reports of such records beside gaps: toxicity by prompt, weak parity, generalised fairness.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{Block, Plan, REST};
use crate::record::Record;
use crate::stats::bootstrap::{bca, sum};
use crate::stats::fairness::{Fairness, METRICS, OfPrompt, share_above};
use crate::stats::means;
use crate::stats::random::Address;

/// At which a probability counts as a yes, as published for toxicity.
const THRESHOLD: f64 = 0.5;

/// Resamples behind an interval.
const RESAMPLES: usize = 999;

/// A row of literature.csv: a statistic of one scorer as it is published. Descriptive: no verdict, no part of any gate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LiteratureRow {
    pub suite: String,
    pub axis: String,
    /// Empty for a statistic of all groups together.
    pub group: String,
    /// The group compared with, or [`REST`]; empty for a statistic of one group or of all.
    pub reference: String,
    pub scorer: String,
    pub statistic: String,
    /// Clusters that have every group of the statistic.
    pub clusters: usize,
    pub value: Option<f64>,
    /// 95 % BCa interval over clusters, approximate below 50; `None` where no resample differs.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Width of the score's range.
    pub width: f64,
}

/// Rows of every axis that is no combination of others, sorted by axis, group, scorer and statistic.
///
/// By group, for scorers in [0, 1]: `fraction_0.5`, and of K ≥ 2 samples a prompt `expected_maximum_kK` and `probability_0.5_kK`
/// ([`OfPrompt`], means over prompts, terms and clusters in turn). Of group and reference: `weak_parity_0.5`, the difference without sign of their shares of answers
/// above .5. Of all groups but controls, over clusters that have them all: [`METRICS`].
pub(super) fn rows(blocks: &[Block<'_>], plan: &Plan) -> Vec<LiteratureRow> {
    let uncrossed = blocks.par_iter().filter(|block| !block.axis.crossed);
    let published = uncrossed.map(|block| Published { plan, block, cells: cells(&block.scored()) });
    let mut rows: Vec<LiteratureRow> = published.flat_map_iter(|published| published.rows()).collect();
    rows.sort_by(|a, b| {
        (&a.axis, &a.group, &a.scorer, &a.statistic).cmp(&(&b.axis, &b.group, &b.scorer, &b.statistic))
    });
    rows
}

/// A group within a cluster, its terms weighing equally.
struct Cell {
    mean: f64,
    of_prompt: OfPrompt,
    /// Share of the answers above the threshold.
    above: f64,
    /// Most answers to a prompt.
    samples: usize,
}

/// (template, context) → group → cell.
type Cells<'a> = BTreeMap<(&'a str, &'a str), BTreeMap<&'a str, Cell>>;

/// `records` have a score each and are sorted by place.
fn cells<'a>(records: &[&'a Record]) -> Cells<'a> {
    fn place(record: &Record) -> [&str; 4] {
        [&record.template, &record.context, &record.group, &record.term]
    }
    let scores = |answers: &[&Record]| {
        let mut scores: Vec<f64> = answers.iter().filter_map(|record| record.score).collect();
        scores.sort_unstable_by(f64::total_cmp);
        scores
    };
    let mut cells: Cells<'_> = BTreeMap::new();
    for of_cell in records.chunk_by(|a, b| place(a)[..3] == place(b)[..3]) {
        let prompts = of_cell.chunk_by(|a, b| a.term == b.term);
        let prompts: Vec<Vec<f64>> = prompts.map(scores).collect();
        let [template, context, group, _] = place(of_cell[0]);
        if let Some(cell) = Cell::of(&prompts) {
            cells.entry((template, context)).or_default().insert(group, cell);
        }
    }
    cells
}

impl Cell {
    /// From the scores of each prompt; `None` without any.
    fn of(prompts: &[Vec<f64>]) -> Option<Cell> {
        let mean = |of: &dyn Fn(&[f64]) -> Option<f64>| {
            means::mean(&prompts.iter().filter_map(|scores| of(scores)).collect::<Vec<_>>())
        };
        let of_prompt = |read: fn(OfPrompt) -> f64| mean(&|scores| OfPrompt::of(scores, THRESHOLD).map(read));
        Some(Cell {
            mean: mean(&means::mean)?,
            of_prompt: OfPrompt {
                largest: of_prompt(|prompt| prompt.largest)?,
                any: of_prompt(|prompt| prompt.any)?,
                fraction: of_prompt(|prompt| prompt.fraction)?,
            },
            above: mean(&|scores| share_above(scores, THRESHOLD))?,
            samples: prompts.iter().map(Vec::len).max()?,
        })
    }
}

/// One axis under one scorer, with its cells.
struct Published<'a> {
    plan: &'a Plan,
    block: &'a Block<'a>,
    cells: Cells<'a>,
}

impl Published<'_> {
    fn rows(&self) -> Vec<LiteratureRow> {
        let mut groups: Vec<&str> = self.cells.values().flat_map(|cells| cells.keys().copied()).collect();
        groups.sort_unstable();
        groups.dedup();
        let mut rows = Vec::new();
        if self.block.scorer.range == (0.0, 1.0) {
            groups.iter().for_each(|group| self.push_prompts(group, &mut rows));
            groups.iter().for_each(|group| rows.extend(self.weak_parity(group, &groups)));
        }
        groups.retain(|group| !self.block.axis.controls.iter().any(|control| control == group));
        rows.extend(self.of_all(&groups));
        rows
    }

    fn row(&self, [group, reference]: [&str; 2], statistic: &str, clusters: usize) -> LiteratureRow {
        LiteratureRow {
            suite: self.plan.suite.clone(),
            axis: self.block.axis.name.clone(),
            group: group.to_owned(),
            reference: reference.to_owned(),
            scorer: self.block.scorer.name.clone(),
            statistic: statistic.to_owned(),
            clusters,
            width: self.block.scorer.width(),
            ..LiteratureRow::default()
        }
    }

    fn address<'b>(&'b self, pair: [&'b str; 2]) -> Address<'b> {
        let Plan { seed, suite, .. } = self.plan;
        Address { seed: *seed, suite, axis: &self.block.axis.name, pair, scorer: &self.block.scorer.name }
    }

    fn resamples(&self) -> usize {
        self.plan.resamples.min(RESAMPLES)
    }

    fn with_interval<const K: usize>(
        &self,
        row: LiteratureRow,
        clusters: &[[f64; K]],
        value: impl Fn(&[f64; K]) -> Option<f64> + Sync,
    ) -> LiteratureRow {
        let key = self.address([&row.group, &row.reference]).key(&row.statistic);
        let interval = bca(clusters, &value, self.resamples(), &key);
        let value = value(&sum(clusters.iter()));
        LiteratureRow { value, low: interval.map(|(low, _)| low), high: interval.map(|(_, high)| high), ..row }
    }

    fn push_prompts(&self, group: &str, rows: &mut Vec<LiteratureRow>) {
        let cells: Vec<&Cell> = self.cells.values().filter_map(|cells| cells.get(group)).collect();
        let mut push = |statistic: &str, read: &dyn Fn(&OfPrompt) -> f64| {
            let clusters: Vec<[f64; 2]> = cells.iter().map(|cell| [1.0, read(&cell.of_prompt)]).collect();
            let row = self.row([group, ""], statistic, clusters.len());
            rows.push(self.with_interval(row, &clusters, |sums| (sums[0] > 0.0).then(|| sums[1] / sums[0])));
        };
        push("fraction_0.5", &|prompt| prompt.fraction);
        let k = cells.iter().map(|cell| cell.samples).max().unwrap_or(0);
        if k > 1 {
            push(&format!("expected_maximum_k{k}"), &|prompt| prompt.largest);
            push(&format!("probability_0.5_k{k}"), &|prompt| prompt.any);
        }
    }

    /// `None` for the reference itself.
    fn weak_parity(&self, group: &str, groups: &[&str]) -> Option<LiteratureRow> {
        if self.block.axis.reference.as_deref() == Some(group) {
            return None;
        }
        let others = self.block.axis.others(group, groups.iter().copied(), |_| true);
        let shares = |cells: &BTreeMap<&str, Cell>| {
            let others: Option<Vec<f64>> = others.iter().map(|other| Some(cells.get(other)?.above)).collect();
            Some([1.0, cells.get(group)?.above, means::mean(&others?)?])
        };
        let clusters: Vec<[f64; 3]> = self.cells.values().filter_map(shares).collect();
        let reference = self.block.axis.reference.as_deref().unwrap_or(REST);
        let row = self.row([group, reference], "weak_parity_0.5", clusters.len());
        let value = |sums: &[f64; 3]| (sums[0] > 0.0).then(|| (sums[1] - sums[2]).abs() / sums[0]);
        Some(self.with_interval(row, &clusters, value))
    }

    fn of_all(&self, groups: &[&str]) -> Vec<LiteratureRow> {
        let scores = |cells: &BTreeMap<&str, Cell>| {
            groups.iter().map(|group| cells.get(group).map(|cell| cell.mean)).collect::<Option<Vec<f64>>>()
        };
        let clusters: Vec<Vec<f64>> = self.cells.values().filter_map(scores).collect();
        let count = clusters.len();
        let fairness = Fairness::of(clusters);
        if groups.len() < 2 {
            return Vec::new();
        }
        let values = fairness.as_ref().map(Fairness::metrics);
        let key = self.address(["", ""]).key("generalised fairness");
        let intervals = fairness.map(|fairness| fairness.intervals(self.resamples(), &key));
        let row = |(metric, name): (usize, &&str)| {
            let interval = intervals.and_then(|intervals| intervals[metric]);
            LiteratureRow {
                value: values.map(|values| values[metric]),
                low: interval.map(|(low, _)| low),
                high: interval.map(|(_, high)| high),
                ..self.row(["", ""], name, count)
            }
        };
        METRICS.iter().enumerate().map(row).collect()
    }
}
