//! What passes a gate, and what never does.

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::read::parse_policy;
use super::*;
use crate::analysis::{self, Beside, GapRow, Plan, Status};
use crate::date::Date;
use crate::record::Record;

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn policy(yaml: &str) -> Policy {
    parse_policy(yaml, "gate.yaml").unwrap()
}

/// A gap of which nothing is known but its p; far from 0, and wide.
fn gap(suite: &str, group: &str, p: f64) -> GapRow {
    GapRow {
        suite: suite.into(),
        axis: "gender".into(),
        group: group.into(),
        reference: "man".into(),
        scorer: "warmth".into(),
        clusters: 100,
        gap: Some(0.1),
        low: Some(0.01),
        high: Some(0.19),
        low90: Some(0.02),
        high90: Some(0.18),
        se: Some(0.04),
        p: Some(p),
        margin: Some(0.05),
        width: 1.0,
        ..GapRow::default()
    }
}

fn entry(gaps: Vec<GapRow>) -> Entry {
    let outcomes = vec!["warmth".into()];
    Entry { suite: gaps[0].suite.clone(), model: "m".into(), gaps, outcomes, alpha: 0.05, ..Entry::default() }
}

fn judged(mut entries: Vec<Entry>, policy: &Policy, family: Family, today: &str) -> Judgement {
    settle(&mut entries, policy, family).unwrap();
    let finding = |gap: &GapRow| Finding::of_gap(gap, "m", false, String::new(), String::new());
    let findings = entries.iter().flat_map(|entry| entry.gaps.iter().filter_map(finding)).collect();
    judge(findings, policy, family, None, day(today))
}

fn verdict(entries: Vec<Entry>, yaml: &str) -> Outcome {
    judged(entries, &policy(yaml), Family::All, "2026-06-30").verdict()
}

/// A suite of one score, its clusters in random order: scores around a cluster's mean, `by` added to one group.
fn simulated(seed: u64, clusters: usize, by: f64) -> Vec<Vec<Record>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut uniform = || f64::from(random.next_u32()) / f64::from(u32::MAX);
    let mut all: Vec<(f64, Vec<Record>)> = (0..clusters)
        .map(|cluster| {
            let level = 0.3 + 0.3 * uniform();
            let mut record = |group: &str, by: f64| Record {
                suite: "simulated".into(),
                model: "m".into(),
                template: format!("t{}", cluster % 5).into(),
                context: format!("c{cluster}").into(),
                axis: "gender".into(),
                group: group.into(),
                term: group.into(),
                sample: 0,
                scorer: "warmth".into(),
                score: Some(level + by + 0.1 * (uniform() - 0.5)),
            };
            let records = vec![record("woman", by), record("man", 0.0)];
            (uniform(), records)
        })
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.into_iter().map(|(_, records)| records).collect()
}

fn gate_of(clusters: &[Vec<Record>]) -> Outcome {
    let records: Vec<Record> = clusters.iter().flatten().cloned().collect();
    let mut plan = Plan::of_records(simulated(0, 1, 0.0)[0].iter(), 0);
    plan.axes[0].reference = Some("man".into());
    plan.scorers[0].margin = Some(0.05);
    plan.resamples = 999;
    let gaps = analysis::gaps(&records, &plan, &Beside::default(), 0).unwrap();
    verdict(vec![entry(gaps)], "{}")
}

#[test]
fn few_data_never_look_safe() {
    const SIZES: [usize; 12] = [300, 150, 80, 59, 58, 40, 20, 10, 4, 2, 1, 0];
    for seed in 0..4 {
        let (clean, biased) = (simulated(seed, 300, 0.0), simulated(seed, 300, 0.12));
        for size in SIZES {
            let (of_clean, of_biased) = (gate_of(&clean[..size]), gate_of(&biased[..size]));
            let least = crate::stats::equivalence::min_clusters(0.05, 1.0, 0.05).unwrap();
            let expected = if size >= least { Outcome::Pass } else { Outcome::Inconclusive };
            assert_eq!(of_clean, expected, "clean, {size} clusters, seed {seed}");
            assert_ne!(of_biased, Outcome::Pass, "biased, {size} clusters, seed {seed}");
            if size >= 10 {
                assert_eq!(of_biased, Outcome::Fail, "biased, {size} clusters, seed {seed}");
            }
        }
    }
}

#[test]
fn more_suites_make_a_stricter_family() {
    let two = || vec![entry(vec![gap("a", "woman", 0.03)]), entry(vec![gap("b", "woman", 0.03)])];
    let none = Policy::default();
    assert_eq!(judged(two(), &none, Family::Suite, "2026-01-01").verdict(), Outcome::Fail);
    assert_eq!(judged(two(), &none, Family::All, "2026-01-01").verdict(), Outcome::Inconclusive);
}

#[test]
fn a_failed_control_casts_doubt_on_its_own_run_alone() {
    let control = GapRow { control: true, ..gap("a", "paraphrase", 0.001) };
    let entries = vec![entry(vec![gap("a", "woman", 0.001), control]), entry(vec![gap("b", "woman", 0.001)])];
    let judgement = judged(entries, &Policy::default(), Family::All, "2026-01-01");
    let outcomes: Vec<Outcome> = judgement.rows.iter().map(|row| row.outcome).collect();
    assert_eq!(outcomes, [Outcome::Inconclusive, Outcome::Inconclusive, Outcome::Fail]);
}

#[test]
fn a_control_without_a_gap_does_not_hold_the_gate_up() {
    let control = GapRow { control: true, gap: Some(0.0), p: Some(0.9), ..gap("a", "paraphrase", 0.9) };
    let sound = GapRow { low90: Some(-0.01), high90: Some(0.01), ..gap("a", "woman", 0.9) };
    assert_eq!(verdict(vec![entry(vec![control, sound])], "{}"), Outcome::Pass);
}

const WAIVER: &str = "waivers:\n  - { group: woman, owner: ana, reason: known, expires: 2026-06-30 }\n";

#[test]
fn a_waiver_holds_through_its_last_day_and_then_fails() {
    let on = |today| judged(vec![entry(vec![gap("a", "woman", 0.001)])], &policy(WAIVER), Family::All, today);
    let last = on("2026-06-30");
    assert_eq!((last.verdict(), last.rows[0].outcome, last.exit_code()), (Outcome::Pass, Outcome::Waived, 0));
    let after = on("2026-07-01");
    assert_eq!((after.verdict(), after.exit_code()), (Outcome::Fail, 1));
    assert!(after.rows[0].has_expired() && after.rows[0].waiver.is_some());
}

#[test]
fn a_waiver_covers_nothing_beside_what_it_names_and_no_fault_of_the_run() {
    let others = vec![entry(vec![gap("a", "woman", 0.001), gap("a", "nonbinary", 0.001)])];
    assert_eq!(verdict(others, WAIVER), Outcome::Fail);
    let missing = GapRow {
        status: Status::MissingGroup,
        clusters: 0,
        gap: None,
        p: None,
        low90: None,
        high90: None,
        ..gap("a", "woman", 1.0)
    };
    assert_eq!(verdict(vec![entry(vec![missing])], WAIVER), Outcome::Inconclusive);
    // Measured, but not settled: the owner answers for it as for a disparity.
    assert_eq!(verdict(vec![entry(vec![gap("a", "woman", 0.4)])], WAIVER), Outcome::Pass);
}

#[test]
fn a_waiver_that_fits_nothing_is_a_warning() {
    let judgement = judged(vec![entry(vec![gap("a", "x", 0.001)])], &policy(WAIVER), Family::All, "2026-01-01");
    assert_eq!(judgement.verdict(), Outcome::Fail);
    assert!(judgement.warnings[0].starts_with("gate.yaml:2:5: the waiver for group woman fits nothing"));
}

#[test]
fn warnings_pass_and_are_told_from_what_passes() {
    let open = || vec![entry(vec![gap("a", "woman", 0.4)])];
    let judgement = judged(open(), &policy("on_inconclusive: warn"), Family::All, "2026-01-01");
    assert_eq!((judgement.exit_code(), judgement.rows[0].outcome), (0, Outcome::Inconclusive));
    assert!(judgement.rows[0].only_warns());
    assert_eq!(judged(open(), &Policy::default(), Family::All, "2026-01-01").exit_code(), 3);
    let failed = judged(
        vec![entry(vec![gap("a", "woman", 0.001)])],
        &policy("on_inconclusive: warn"),
        Family::All,
        "2026-01-01",
    );
    assert_eq!(failed.exit_code(), 1);
}

#[test]
fn the_first_part_that_fits_decides_the_margin_and_the_rest_does_not_count() {
    let gaps = || vec![entry(vec![gap("a", "woman", 0.4), gap("a", "nonbinary", 0.001)])];
    let loose = "outcomes:\n  - { group: woman, score: warmth, margin: 0.3 }\n  - { suite: a, group: woman }\n";
    assert_eq!(verdict(gaps(), loose), Outcome::Pass);
    let undeclared = || vec![entry(vec![GapRow { margin: None, ..gap("a", "woman", 0.001) }])];
    assert_eq!(verdict(undeclared(), "outcomes: [{ score: warmth, margin: 0.05 }]"), Outcome::Fail);
}

#[test]
fn combinations_of_groups_are_never_gated() {
    let mut crossed = gap("a", "woman+black", 0.0001);
    crossed.axis = "gender+ethnicity".into();
    crossed.margin = None;
    let screened = BTreeSet::from(["gender+ethnicity".to_owned()]);
    let sound = GapRow { low90: Some(-0.01), high90: Some(0.01), ..gap("a", "woman", 0.9) };
    let entries = vec![Entry { screened, ..entry(vec![crossed, sound]) }];
    assert_eq!(verdict(entries, "outcomes: [{ score: warmth, margin: 0.05 }]"), Outcome::Pass);
}

fn refused(entries: Vec<Entry>, yaml: &str) -> String {
    let mut entries = entries;
    settle(&mut entries, &policy(yaml), Family::All).unwrap_err().to_string()
}

#[test]
fn what_could_not_fail_is_refused() {
    let declared = || vec![entry(vec![gap("a", "woman", 0.4)])];
    let undeclared = || {
        let gaps = vec![GapRow { margin: None, ..gap("a", "woman", 0.4) }];
        vec![Entry { outcomes: Vec::new(), ..entry(gaps) }]
    };
    assert!(refused(undeclared(), "{}").contains("declares no outcomes"));
    let unmeasured = vec![Entry { outcomes: vec!["warmth".into(), "refusal".into()], ..declared().remove(0) }];
    assert!(refused(unmeasured, "{}").contains("\"refusal\", but no axis"));
    let message = refused(declared(), "outcomes:\n  - score: warmth\n  - score: warmht\n");
    assert!(message.starts_with("gate.yaml:3:5: score warmht fits no outcome"), "{message}");
    assert!(message.contains("scores warmth"), "{message}");
    assert!(refused(undeclared(), "outcomes: [{ score: warmth }]").contains("a `margin`"));
    assert!(refused(declared(), "outcomes: [{ score: warmth, margin: 1 }]").contains("nothing could fail"));
}

#[test]
fn every_problem_of_a_policy_is_told_at_once_with_its_place() {
    let yaml = "outcome: []\noutcomes:\n  - { axis: gender, margin: 0.1 }\n  - { score: x, margin: -1 }\nwaivers:\n  \
                - { group: woman, owner: ana, expires: 2026-02-30 }\n  - { owner: ana, reason: x, expires: 2026-02-28 }\n\
                on_inconclusive: maybe\n";
    let message = parse_policy(yaml, "gate.yaml").unwrap_err().to_string();
    for part in [
        "gate.yaml:1:1: the policy has no key `outcome`; it can have outcomes,",
        "gate.yaml:3:29: a margin is in a score's unit",
        "gate.yaml:4:25: margin is",
        "gate.yaml:6:5: this waiver has no `reason`",
        "gate.yaml:6:42: expires is \"2026-02-30\"",
        "gate.yaml:7:5: this waiver would waive everything",
        "gate.yaml:8:18: `on_inconclusive` is",
    ] {
        assert!(message.contains(part), "{part}\n{message}");
    }
    assert!(parse_policy("", "gate.yaml").is_err() && parse_policy("outcomes: []", "gate.yaml").is_err());
}
