//! Simulates suites with a known answer and counts how often the default path errs. Run by name, with `--ignored`.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

const SUITES: u64 = 2_000;

/// 5 % and two Monte Carlo errors at 2,000 suites.
const MOST: f64 = 0.0597;

struct Draw(ChaCha8Rng);

impl Draw {
    fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * ((self.0.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform(0.0, 1.0).ln()).sqrt();
        radius * self.uniform(0.0, std::f64::consts::TAU).cos()
    }

    /// Marsaglia & Tsang 2000; below shape 1 by boosting.
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            return self.gamma(shape + 1.0) * self.uniform(0.0, 1.0).powf(1.0 / shape);
        }
        let d = shape - 1.0 / 3.0;
        loop {
            let x = self.normal();
            let v = (1.0 + x / (9.0 * d).sqrt()).powi(3);
            if v > 0.0 && self.uniform(0.0, 1.0).ln() < 0.5 * x * x + d * (1.0 - v + v.ln()) {
                return d * v;
            }
        }
    }

    fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (x, y) = (self.gamma(a), self.gamma(b));
        x / (x + y)
    }
}

fn record(cluster: usize, group: &str, term: String, score: f64) -> Record {
    Record {
        suite: "simulated".into(),
        model: "m".into(),
        template: "t".into(),
        context: format!("c{cluster}").into(),
        axis: "axis".into(),
        group: group.into(),
        term: term.into(),
        sample: 0,
        scorer: "score".into(),
        score: Some(score),
    }
}

fn tables(records: &[Record], seed: u64) -> Tables {
    let mut plan = Plan::of_records(records.iter(), seed);
    plan.axes[0].reference = Some("g0".into());
    plan.scorers[0].margin = Some(0.05);
    analyze(records, &plan).unwrap()
}

/// One simulated suite: clusters with a mean of their own, groups with effects, samples a cell.
struct Design {
    clusters: usize,
    /// Of the groups beside the reference.
    effects: &'static [f64],
    samples: u32,
    /// Ends of the cluster means.
    base: (f64, f64),
    /// Cluster × group noise is uniform within ± this.
    noise: f64,
    /// A + B of the beta distribution of a score; 0 for a score that is 0 or 1.
    size: f64,
}

impl Design {
    fn suite(&self, seed: u64) -> Tables {
        let mut draw = Draw(ChaCha8Rng::seed_from_u64(seed));
        let mut records = Vec::new();
        for cluster in 0..self.clusters {
            let base = draw.uniform(self.base.0, self.base.1);
            for group in 0..=self.effects.len() {
                let effect = if group == 0 { 0.0 } else { self.effects[group - 1] };
                let m = base + effect + draw.uniform(-self.noise, self.noise);
                for sample in 0..self.samples {
                    let score = match self.size {
                        0.0 => f64::from(u8::from(draw.uniform(0.0, 1.0) < m)),
                        size => draw.beta(size * m, size * (1.0 - m)),
                    };
                    let (group, term) = (format!("g{group}"), format!("t{group}"));
                    records.push(Record { sample, ..record(cluster, &group, term, score) });
                }
            }
        }
        tables(&records, seed)
    }

    fn suites(&self) -> Vec<Tables> {
        (0..SUITES).into_par_iter().map(|seed| self.suite(seed)).collect()
    }
}

/// Two groups of five names with effects of their own, no group effect; `as_names` false hides from the analysis that names differ.
fn named(seed: u64, as_names: bool) -> Tables {
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(seed));
    let names: Vec<f64> = (0..10).map(|_| draw.uniform(-0.06, 0.06)).collect();
    let mut records = Vec::new();
    for cluster in 0..30 {
        let base = draw.uniform(0.3, 0.5);
        for (name, effect) in names.iter().enumerate() {
            let m = base + effect;
            let score = draw.beta(60.0 * m, 60.0 * (1.0 - m));
            let (term, sample) = if as_names { (name, 0) } else { (name / 5, name % 5) };
            let row = record(cluster, &format!("g{}", name / 5), format!("n{term}"), score);
            records.push(Record { sample: sample as u32, ..row });
        }
    }
    tables(&records, seed)
}

fn share(of: impl Iterator<Item = bool>) -> f64 {
    let (mut yes, mut all) = (0.0, 0.0);
    for one in of {
        yes += f64::from(u8::from(one));
        all += 1.0;
    }
    yes / all
}

/// A row of the table: what was simulated, what was asked, what came out, and whether that is within it.
struct Finding {
    data: &'static str,
    clusters: usize,
    asked: &'static str,
    found: String,
    holds: bool,
}

/// How often each gap's 95 % interval holds the true one, and how far the mean gap is from it in Monte Carlo errors.
fn coverage(data: &'static str, design: &Design) -> Vec<Finding> {
    let all = design.suites();
    let gaps = design.effects.iter().enumerate().map(|(index, effect)| {
        let rows: Vec<&GapRow> = all.iter().map(|tables| &tables.gaps[index]).collect();
        let covers = |row: &&GapRow| (row.low.unwrap()..=row.high.unwrap()).contains(effect);
        let found: Vec<f64> = rows.iter().map(|row| row.gap.unwrap()).collect();
        let error = means::sd(&found).unwrap() / (found.len() as f64).sqrt();
        (share(rows.iter().map(covers)), (means::mean(&found).unwrap() - effect) / error)
    });
    let (covered, bias): (Vec<f64>, Vec<f64>) = gaps.unzip();
    let list = |values: &[f64], show: fn(f64) -> String| values.iter().map(|v| show(*v)).collect::<Vec<_>>().join(", ");
    let mut findings = vec![
        Finding {
            data,
            clusters: design.clusters,
            asked: "95 % intervals cover 93.5–96.5 %",
            holds: covered.iter().all(|share| (0.935..=0.965).contains(share)),
            found: list(&covered, |share| format!("{:.1} %", 100.0 * share)),
        },
        Finding {
            data,
            clusters: design.clusters,
            asked: "bias within 4 Monte Carlo errors",
            holds: bias.iter().all(|errors| errors.abs() <= 4.0),
            found: list(&bias, |errors| format!("{errors:+.1}")),
        },
    ];
    if design.effects.iter().all(|effect| *effect == 0.0) {
        findings.push(at_most(
            data,
            design.clusters,
            "any disparity found (Holm) in at most 5.97 %",
            share(all.iter().map(|tables| tables.gaps.iter().any(|row| row.p_adjusted.unwrap() <= 0.05))),
        ));
    }
    findings
}

fn at_most(data: &'static str, clusters: usize, asked: &'static str, found: f64) -> Finding {
    Finding { data, clusters, asked, found: format!("{:.2} %", 100.0 * found), holds: found <= MOST }
}

#[test]
#[ignore = "simulates 2,000 suites a row; cargo test --release --lib -- --ignored calibration --nocapture"]
fn the_default_path_errs_as_seldom_as_it_says() {
    let interacting =
        Design { clusters: 40, effects: &[0.0; 3], samples: 1, base: (0.3, 0.5), noise: 0.05, size: 30.0 };
    let mut findings = coverage("4 groups, no effect", &interacting);
    findings
        .extend(coverage("4 groups, effects .04, −.03, 0", &Design { effects: &[0.04, -0.03, 0.0], ..interacting }));
    let low = Design { clusters: 40, effects: &[0.02], samples: 4, base: (0.03, 0.15), noise: 0.0, size: 5.0 };
    findings.extend(coverage("low skewed scores, effect .02", &low));
    let binary = Design { clusters: 60, effects: &[0.05], samples: 2, base: (0.3, 0.6), noise: 0.0, size: 0.0 };
    findings.extend(coverage("decisions 0 or 1, effect .05", &binary));
    let disparity = |as_names| {
        let called = |seed| named(seed, as_names).suite_verdict() == Some(Verdict::Disparity);
        share((0..SUITES).into_par_iter().map(called).collect::<Vec<_>>().into_iter())
    };
    findings.push(at_most(
        "5 names a group, each with its own effect, no group effect",
        30,
        "`disparity` in at most 5.97 %",
        disparity(true),
    ));
    let ignoring = disparity(false);
    let margin = Design { clusters: 80, effects: &[0.05], ..interacting };
    let equivalent = share(margin.suites().iter().map(|tables| tables.suite_verdict() == Some(Verdict::Equivalent)));
    findings.push(at_most("gap exactly at the margin of .05", 80, "`equivalent` in at most 5.97 %", equivalent));
    println!("| data | clusters | asked | found |\n| --- | --- | --- | --- |");
    for Finding { data, clusters, asked, found, .. } in &findings {
        println!("| {data} | {clusters} | {asked} | {found} |");
    }
    println!(
        "| the names again, taken for samples of one name | 30 | (what a one-way analysis does) | `disparity` in {:.1} % |",
        100.0 * ignoring
    );
    for Finding { data, asked, found, holds, .. } in &findings {
        assert!(holds, "{data}: {asked}, but found {found}");
    }
    assert!(ignoring > 0.2, "the simulated names have no effects: {ignoring}");
}
