//! Simulates pairs of versions with a known answer and counts how often the comparison errs. Run by name, with `--ignored`.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use super::*;

const SUITES: u64 = 1_000;
const CLUSTERS: usize = 80;

/// 5 % and two Monte Carlo errors at 1,000 suites.
const MOST: f64 = 0.0638;

struct Draw(ChaCha8Rng);

impl Draw {
    fn uniform(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// Cluster mean U(.35,.65), which both versions share; noise of each score N(0, .08); half of the gap on either side.
fn verdict(seed: u64, gaps: [f64; 2]) -> ChangeVerdict {
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(seed));
    let mut versions = [Vec::new(), Vec::new()];
    for cluster in 0..CLUSTERS {
        let base = 0.35 + 0.3 * draw.uniform();
        for (records, gap) in versions.iter_mut().zip(gaps) {
            for (group, side) in [("g", 0.5), ("r", -0.5)] {
                records.push(Record {
                    suite: "simulated".into(),
                    model: "m".into(),
                    template: "t".into(),
                    context: format!("c{cluster}").into(),
                    axis: "axis".into(),
                    group: group.into(),
                    term: group.into(),
                    sample: 0,
                    scorer: "score".into(),
                    score: Some((base + side * gap + 0.08 * draw.normal()).clamp(0.0, 1.0)),
                });
            }
        }
    }
    let mut plan = Plan::of_records(versions[0].iter(), seed);
    plan.axes[0].reference = Some("r".into());
    plan.scorers[0].margin = Some(0.05);
    plan.resamples = 1_999;
    let of = |records| Version::of(records, &plan, &[]).unwrap();
    compare(&of(&versions[0]), &of(&versions[1]), &plan)[0].verdict.unwrap()
}

#[test]
#[ignore = "simulates 1,000 pairs a row"]
fn equal_and_turned_gaps_are_rarely_called_regressions_or_improvements() {
    let words =
        [ChangeVerdict::Regression, ChangeVerdict::Improved, ChangeVerdict::NoRegression, ChangeVerdict::Inconclusive];
    eprintln!("gap of base, of candidate: {}", words.map(ChangeVerdict::as_str).join(", "));
    let mut faults = Vec::new();
    for gaps in [[0.08, 0.08], [0.08, -0.08], [0.0, 0.0], [0.02, 0.08], [0.08, 0.02]] {
        let found: Vec<ChangeVerdict> = (0..SUITES).into_par_iter().map(|seed| verdict(seed, gaps)).collect();
        let shares = words.map(|word| found.iter().filter(|verdict| **verdict == word).count() as f64 / SUITES as f64);
        eprintln!("{:+.2}, {:+.2}: {}", gaps[0], gaps[1], shares.map(|share| format!("{share:.3}")).join(", "));
        let is_equal = gaps[0].abs() == gaps[1].abs();
        if is_equal && (shares[0] > MOST || shares[1] > MOST) {
            faults.push(gaps);
        }
    }
    assert!(faults.is_empty(), "{faults:?}");
}
