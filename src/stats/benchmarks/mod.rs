//! Computes the statistics that published benchmarks define for themselves, one file a benchmark.
//!
//! An answer that could not be read is counted in a row of its own and enters nothing else; undefined is `None` beside its n.

pub mod bbq;
pub mod bold;
pub mod crows_pairs;
pub mod discrim_eval;
pub mod holistic_bias;
pub mod honest;
pub mod real_toxicity_prompts;
pub mod stereoset;
pub mod winobias;
pub mod winogender;

use super::bootstrap::{bca, sum};
use super::random::Address;

/// A row of benchmark.csv.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    pub statistic: String,
    /// Which answers: `all`, a category, a group.
    pub subset: String,
    /// What the value is a share or mean of.
    pub n: usize,
    pub value: Option<f64>,
    /// 95 % interval.
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Clustered standard error and two-sided t p, of the statistics that have one; the others are resampled.
    pub se: Option<f64>,
    pub p: Option<f64>,
}

/// What the intervals' randomness hangs on.
#[derive(Debug, Clone, Copy)]
pub struct Draws<'a> {
    pub suite: &'a str,
    pub seed: u64,
    pub resamples: usize,
}

impl Draws<'_> {
    /// A statistic of summed counts with its BCa interval over clusters.
    fn row<const K: usize>(
        &self,
        statistic: &str,
        subset: &str,
        n: usize,
        clusters: &[[f64; K]],
        value: impl Fn(&[f64; K]) -> Option<f64> + Sync,
    ) -> Row {
        let total = sum(clusters.iter());
        let address = Address { seed: self.seed, suite: self.suite, axis: subset, pair: ["", ""], scorer: statistic };
        let interval = bca(clusters, &value, self.resamples, &address.key("benchmark"));
        Row {
            statistic: statistic.into(),
            subset: subset.into(),
            n,
            value: value(&total),
            low: interval.map(|(low, _)| low),
            high: interval.map(|(_, high)| high),
            ..Row::default()
        }
    }
}

/// 100 · part ÷ whole; undefined for an empty whole.
fn percent(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| 100.0 * part / whole)
}

/// A count as a percentage of what was asked, without interval.
fn counted(statistic: &str, subset: &str, count: usize, n: usize) -> Row {
    let value = percent(count as f64, n as f64);
    Row { statistic: statistic.into(), subset: subset.into(), n, value, ..Row::default() }
}
