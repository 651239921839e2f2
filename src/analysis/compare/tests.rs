//! Properties of comparisons that hold whatever the data: identity, swap, order, threads, missing.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::analysis::{Unit, analyze};

/// Clusters × groups × 3 terms × 2 samples, scores at random, shifted for group `b`.
fn records(seed: u64, clusters: usize, groups: &[&str], shift: f64) -> Vec<Record> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut rows = Vec::new();
    for cluster in 0..clusters {
        for group in groups {
            for term in 0..3 {
                for sample in 0..2 {
                    let by = if *group == "b" { shift } else { 0.0 };
                    rows.push(Record {
                        suite: "letters".into(),
                        model: "m".into(),
                        template: format!("t{}", cluster % 12).into(),
                        context: format!("c{cluster}").into(),
                        axis: "axis".into(),
                        group: (*group).into(),
                        term: format!("{group}{term}").into(),
                        sample,
                        scorer: "warmth".into(),
                        score: Some(0.4 + by + f64::from(random.next_u32() % 1_001) / 10_000.0),
                    });
                }
            }
        }
    }
    rows
}

fn plan(records: &[Record], reference: Option<&str>) -> Plan {
    let mut plan = Plan::of_records(records.iter(), 0);
    plan.axes[0].reference = reference.map(str::to_owned);
    plan.scorers.iter_mut().for_each(|scorer| scorer.margin = Some(0.05));
    plan.resamples = 499;
    plan
}

fn rows(base: &[Record], candidate: &[Record], plan: &Plan) -> Vec<ComparisonRow> {
    let [base, candidate] = [base, candidate].map(|records| Version::of(records, plan, &[]).unwrap());
    compare(&base, &candidate, plan)
}

#[test]
fn a_version_compared_with_itself_changed_by_exactly_nothing() {
    for clusters in [1, 2, 60] {
        for reference in [Some("a"), None] {
            let a = records(1, clusters, &["a", "b", "c"], 0.2);
            let plan = plan(&a, reference);
            for row in rows(&a, &a, &plan) {
                assert_eq!((row.did, row.low, row.high), (Some(0.0), Some(0.0), Some(0.0)), "{row:?}");
                assert_eq!((row.size_change, row.change_upper), (Some(0.0), Some(0.0)));
                assert_eq!((row.p, row.p_regression, row.p_improvement), (Some(1.0), Some(1.0), Some(1.0)));
                assert_eq!((row.sign_change, row.mean.change), (Some(false), Some(0.0)));
                assert_eq!((row.mean.low, row.mean.high), (Some(0.0), Some(0.0)));
                let (verdict, status) = match clusters {
                    1 => (ChangeVerdict::Inconclusive, ChangeStatus::Insufficient),
                    _ => (ChangeVerdict::NoRegression, ChangeStatus::Identical),
                };
                assert_eq!((row.verdict, row.status), (Some(verdict), status));
            }
        }
    }
}

#[test]
fn another_model_with_the_same_scores_is_as_sure_as_its_clusters_allow() {
    let a = records(1, 60, &["a", "b"], 0.2);
    let mut b = a.clone();
    b.iter_mut().for_each(|record| record.model = "other".into());
    let row = &rows(&a, &b, &plan(&a, Some("a")))[0];
    assert_eq!((row.did, row.status), (Some(0.0), ChangeStatus::ZeroVariance));
    assert!(row.low < Some(0.0) && row.high > Some(0.0) && row.change_upper > Some(0.05));
    assert_eq!(row.verdict, Some(ChangeVerdict::Inconclusive));
}

#[test]
fn a_grown_gap_is_a_regression_a_shrunk_one_improved_and_the_swap_of_versions_swaps_them() {
    let (small, large) = (records(2, 60, &["a", "b"], 0.02), records(3, 60, &["a", "b"], 0.2));
    let plan = plan(&small, Some("a"));
    let (grown, shrunk) = (&rows(&small, &large, &plan)[0], &rows(&large, &small, &plan)[0]);
    assert_eq!(grown.verdict, Some(ChangeVerdict::Regression));
    assert_eq!(shrunk.verdict, Some(ChangeVerdict::Improved));
    assert_eq!((grown.did, grown.gap_base), (shrunk.did.map(|did| -did), shrunk.gap_candidate));
    assert_eq!((grown.p, grown.p_regression), (shrunk.p, shrunk.p_improvement));
    // The gaps are those of each version by itself.
    assert_eq!(grown.gap_candidate, analyze(&large, &plan).unwrap().gaps[0].gap);
    assert!(grown.se_terms.is_some() && grown.se_unpaired.is_some());
}

#[test]
fn a_gap_that_turns_over_is_a_sign_change_and_no_regression() {
    let (base, turned) = (records(2, 120, &["a", "b"], 0.1), records(3, 120, &["a", "b"], -0.1));
    let row = &rows(&base, &turned, &plan(&base, Some("a")))[0];
    assert_eq!((row.sign_change, row.verdict), (Some(true), Some(ChangeVerdict::NoRegression)));
    assert!(row.did < Some(-0.19) && row.size_change.unwrap().abs() < 0.01);
}

#[test]
fn swapping_group_and_reference_flips_the_sign_and_keeps_p() {
    let (a, b) = (records(4, 30, &["a", "b"], 0.0), records(5, 30, &["a", "b"], 0.05));
    let (forth, back) = (rows(&a, &b, &plan(&a, Some("a"))), rows(&a, &b, &plan(&a, Some("b"))));
    let (forth, back) = (&forth[0], &back[0]);
    assert_eq!(forth.did, back.did.map(|did| -did));
    assert_eq!((forth.low, forth.high), (back.high.map(|x| -x), back.low.map(|x| -x)));
    assert_eq!((forth.p, forth.p_regression, forth.change_upper), (back.p, back.p_regression, back.change_upper));
}

#[test]
fn neither_the_order_of_records_nor_the_number_of_threads_changes_anything() {
    let (a, mut b) = (records(4, 30, &["a", "b", "c"], 0.0), records(5, 30, &["a", "b", "c"], 0.05));
    b[7].score = None;
    let plan = plan(&a, None);
    let with = |threads, a: &[Record], b: &[Record]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| rows(a, b, &plan))
    };
    let before = with(1, &a, &b);
    let turned = |records: &[Record]| records.iter().rev().cloned().collect::<Vec<_>>();
    assert_eq!(before, with(4, &turned(&a), &turned(&b)));
}

#[test]
fn versions_that_leave_different_answers_unscored_show_no_regression_to_nobody() {
    let a = records(6, 80, &["a", "b"], 0.0);
    let mut b = records(7, 80, &["a", "b"], 0.0);
    let plan = plan(&a, Some("a"));
    assert_eq!(rows(&a, &b, &plan)[0].verdict, Some(ChangeVerdict::NoRegression));
    // Of every third cluster one answer of each group, so that within the candidate nothing differs.
    for record in b.iter_mut().filter(|record| record.sample == 0 && record.context.ends_with(['0', '3', '6'])) {
        record.score = None;
    }
    let row = &rows(&a, &b, &plan)[0];
    assert_eq!((row.status, row.verdict), (ChangeStatus::DifferentialMissingness, Some(ChangeVerdict::Inconclusive)));
    assert_eq!((row.verdict_candidate, row.unscored.base), (Some(Verdict::Equivalent), Some(0.0)));
    assert!(row.unscored.change > Some(0.1) && row.unscored_did == Some(0.0));
}

#[test]
fn a_group_without_a_score_in_one_version_is_missing() {
    let a = records(8, 20, &["a", "b", "c"], 0.0);
    let mut b = records(9, 20, &["a", "b", "c"], 0.0);
    b.iter_mut().filter(|record| *record.group == *"c").for_each(|record| record.score = None);
    let found = rows(&a, &b, &plan(&a, Some("a")));
    let [other, missing] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((missing.status, missing.verdict), (ChangeStatus::MissingGroup, Some(ChangeVerdict::Inconclusive)));
    assert_eq!((missing.did, missing.p, missing.p_adjusted, missing.sign_change), (None, None, None, None));
    // The family is the one change with data.
    assert_eq!(other.p, other.p_adjusted);
}

#[test]
fn strange_numbers_do_not_panic() {
    for scores in [[0.0, 0.0], [1e-300, 1e300], [-1e300, 1e300], [5e-324, 0.0]] {
        for clusters in [1, 2, 20] {
            let mut a = records(10, clusters, &["a", "b"], 0.0);
            let mut b = a.clone();
            for (index, (x, y)) in a.iter_mut().zip(&mut b).enumerate() {
                x.score = Some(scores[index % 2]);
                y.score = if index % 3 == 0 { None } else { Some(scores[(index + 1) % 2]) };
            }
            let mut plan = plan(&a, Some("a"));
            plan.scorers[0].range = (-1e300, 1e300);
            rows(&a, &b, &plan);
        }
    }
    let none: Vec<Record> = Vec::new();
    let a = records(10, 3, &["a", "b"], 0.0);
    let plan = plan(&a, Some("a"));
    assert_eq!(rows(&none, &none, &plan)[0].status, ChangeStatus::MissingGroup);
    assert_eq!(rows(&a, &none, &plan)[0].status, ChangeStatus::MissingGroup);
}

#[test]
fn a_control_that_changes_makes_its_suite_inconclusive_and_deciding_again_changes_nothing() {
    let (a, mut b) = (records(11, 60, &["a", "b", "c"], 0.0), records(12, 60, &["a", "b", "c"], 0.2));
    let mut plan = plan(&a, Some("a"));
    plan.axes[0].controls = vec!["c".into()];
    assert_eq!(suite_change(&rows(&a, &b, &plan)), Some(ChangeVerdict::Regression));
    for record in b.iter_mut().filter(|record| *record.group == *"c") {
        record.score = record.score.map(|score| score + 0.2);
    }
    let failed = rows(&a, &b, &plan);
    assert!(failed.iter().all(|row| row.status == ChangeStatus::Suspect), "{failed:?}");
    assert_eq!(suite_change(&failed), Some(ChangeVerdict::Inconclusive));
    let mut again = failed.clone();
    decide(&mut again, plan.alpha);
    assert_eq!(again, failed);
}

#[test]
fn whole_templates_can_be_the_clusters() {
    let (a, b) = (records(13, 60, &["a", "b"], 0.0), records(14, 60, &["a", "b"], 0.1));
    let mut plan = plan(&a, Some("a"));
    let of_contexts = rows(&a, &b, &plan)[0].clone();
    plan.generalise_to = Unit::Templates;
    let of_templates = rows(&a, &b, &plan)[0].clone();
    assert_eq!((of_contexts.clusters, of_templates.clusters), (60, 12));
    assert!((of_contexts.did.unwrap() - of_templates.did.unwrap()).abs() < 1e-12);
}

#[test]
fn refusals_and_means_of_both_versions_stand_beside_the_gaps() {
    let with_refusals = |seed, every: usize| {
        let mut rows = records(seed, 40, &["a", "b"], 0.0);
        let mut refusals = rows.clone();
        for (index, record) in refusals.iter_mut().enumerate() {
            record.scorer = "refusal".into();
            record.score = Some(f64::from(u8::from(index / 12 % every == 0)));
        }
        rows.extend(refusals);
        rows
    };
    let (a, b) = (with_refusals(15, 40), with_refusals(16, 4));
    let found = rows(&a, &b, &plan(&a, Some("a")));
    let row = found.iter().find(|row| row.scorer == "warmth").unwrap();
    assert_eq!((row.refusal.base, row.refusal.candidate), (Some(0.025), Some(0.25)));
    assert!(row.refusal.low > Some(0.05) && row.refusal.high < Some(0.4), "{row:?}");
    assert!(row.mean.base.is_some() && row.mean_candidate.is_some() && row.reference_mean_base.is_some());
}

#[test]
fn versions_that_were_not_asked_the_same_are_refused_with_what_is_missing() {
    let a = records(17, 24, &["a", "b"], 0.0);
    let refusal = |b: &[Record]| check_same_design(&a, b, ["old", "new"]).unwrap_err().to_string();
    let without = |keep: fn(&Record) -> bool| refusal(&a.iter().filter(|r| keep(r)).cloned().collect::<Vec<_>>());
    assert_eq!(
        without(|record| !record.template.starts_with("t1")),
        "old and new were not asked the same, 3 templates only in old: t1; t10; t11; compare versions on the same templates, \
         terms and contexts"
    );
    assert!(without(|record| *record.context != *"c3").contains("1 context only in old: t3 / c3;"));
    assert!(without(|record| *record.group != *"b").contains("1 group only in old: b;"));
    assert!(without(|record| *record.term != *"b1").contains("1 term only in old: b / b1;"));
    assert!(
        without(|record| *record.term != *"b1" || *record.context != *"c0")
            .contains("1 case only in old: t0 / b / b1 / c0;")
    );
    let renamed = |record: &Record| Record { term: format!("{}x", record.term).into(), ..record.clone() };
    let message = refusal(&a.iter().map(renamed).collect::<Vec<_>>());
    assert!(
        message.contains("6 terms only in old: a / a0; a / a1; a / a2; …, 6 terms only in new: a / a0x;"),
        "{message}"
    );
    // Another number of samples, and other scores, are the same question.
    let once: Vec<Record> = a.iter().filter(|record| record.sample == 0).cloned().collect();
    check_same_design(&a, &once, ["old", "new"]).unwrap();
    let mut two = a.clone();
    two.extend(a.iter().take(6).map(|record| Record { scorer: "length".into(), ..record.clone() }));
    let mut other = a.clone();
    other.extend(a.iter().take(5).map(|record| Record { scorer: "length".into(), ..record.clone() }));
    check_same_design(&two, &other, ["old", "new"]).unwrap();
    other.truncate(other.len() - 3);
    let message = check_same_design(&two, &other, ["old", "new"]).unwrap_err().to_string();
    assert!(message.starts_with("score \"length\": old and new were not asked the same, 2 terms"), "{message}");
}
