//! Properties that hold whatever the data: placebo, swap, scale, order, missing, threads.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

mod together;

/// Clusters × groups × terms, two samples a cell, scores at random; the term ids are the group's own unless `paired`.
fn records(seed: u64, clusters: usize, groups: &[&str], terms: usize, paired: bool) -> Vec<Record> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut rows = Vec::new();
    for cluster in 0..clusters {
        for group in groups {
            for term in 0..terms {
                for sample in 0..2 {
                    rows.push(Record {
                        suite: "letters".into(),
                        model: "m".into(),
                        template: format!("t{}", cluster % 5).into(),
                        context: format!("c{cluster}").into(),
                        axis: "axis".into(),
                        group: (*group).into(),
                        term: if paired { format!("x{term}") } else { format!("{group}{term}") }.into(),
                        sample,
                        scorer: "warmth".into(),
                        score: Some(f64::from(random.next_u32() % 10_001) / 10_000.0),
                    });
                }
            }
        }
    }
    rows
}

/// Every group says what the first one says.
fn placebo(clusters: usize, groups: &[&str], terms: usize, paired: bool) -> Vec<Record> {
    let mut rows = records(1, clusters, groups, terms, paired);
    let scores: Vec<Option<f64>> = rows.iter().map(|row| row.score).collect();
    let (cell, set) = (terms * 2, terms * 2 * groups.len());
    for (index, row) in rows.iter_mut().enumerate() {
        row.score = scores[index / set * set + index % cell];
    }
    rows
}

fn plan(records: &[Record], reference: Option<&str>, margin: Option<f64>) -> Plan {
    let mut plan = Plan::of_records(records.iter(), 0);
    plan.axes[0].reference = reference.map(str::to_owned);
    plan.scorers[0].margin = margin;
    plan.resamples = 999;
    plan
}

fn gap<'a>(tables: &'a Tables, group: &str) -> &'a GapRow {
    tables.gaps.iter().find(|row| *row.group == *group).unwrap()
}

/// Adds to every score of a group, inside 0 to 1.
fn shift(records: &mut [Record], group: &str, by: f64) {
    for row in records.iter_mut() {
        row.score = row.score.map(|score| 0.25 + 0.5 * score + if *row.group == *group { by } else { 0.0 });
    }
}

#[test]
fn groups_that_say_the_same_have_a_gap_of_exactly_zero_and_are_equivalent_from_59_clusters() {
    for (clusters, verdict) in [(58, Verdict::Inconclusive), (59, Verdict::Equivalent)] {
        for (terms, paired) in [(1, false), (1, true), (4, true)] {
            for (groups, reference) in [(&["a", "b"][..], Some("a")), (&["a", "b", "c", "d"], None)] {
                let rows = placebo(clusters, groups, terms, paired);
                let tables = analyze(&rows, &plan(&rows, reference, Some(0.05))).unwrap();
                for row in &tables.gaps {
                    assert_eq!(row.gap.map(f64::abs), Some(0.0), "{row:?}");
                    assert_eq!((row.status, row.p, row.se), (Status::ZeroVariance, Some(1.0), Some(0.0)), "{row:?}");
                    assert_eq!((row.verdict, row.clusters_needed.unwrap_or(59)), (Some(verdict), 59), "{row:?}");
                }
            }
        }
    }
}

#[test]
fn swapping_group_and_reference_flips_the_sign_and_keeps_p_and_width() {
    for (clusters, terms) in [(12, 1), (40, 1), (40, 4)] {
        let rows = records(2, clusters, &["a", "b"], terms, false);
        let forth = analyze(&rows, &plan(&rows, Some("a"), Some(0.05))).unwrap();
        let back = analyze(&rows, &plan(&rows, Some("b"), Some(0.05))).unwrap();
        let (forth, back) = (gap(&forth, "b"), gap(&back, "a"));
        assert_eq!(forth.gap, back.gap.map(|gap| -gap));
        assert_eq!((forth.low, forth.high), (back.high.map(|x| -x), back.low.map(|x| -x)));
        assert_eq!((forth.low90, forth.high90), (back.high90.map(|x| -x), back.low90.map(|x| -x)));
        assert_eq!((forth.p, forth.p_adjusted, forth.verdict), (back.p, back.p_adjusted, back.verdict));
    }
}

#[test]
fn scaling_scores_scales_gaps_and_keeps_p() {
    let rows = records(3, 30, &["a", "b", "c"], 3, false);
    let mut scaled = rows.clone();
    scaled.iter_mut().for_each(|row| row.score = row.score.map(|score| 64.0 * score));
    let mut wide = plan(&scaled, Some("a"), Some(64.0 * 0.05));
    wide.scorers[0].range = (0.0, 64.0);
    let (one, many) = (analyze(&rows, &plan(&rows, Some("a"), Some(0.05))).unwrap(), analyze(&scaled, &wide).unwrap());
    for (one, many) in one.gaps.iter().zip(&many.gaps) {
        assert_eq!((one.p, one.verdict, one.d_z), (many.p, many.verdict, many.d_z));
        assert_eq!(one.gap.map(|x| 64.0 * x), many.gap);
        assert_eq!((one.low.map(|x| 64.0 * x), one.high.map(|x| 64.0 * x)), (many.low, many.high));
    }
}

#[test]
fn the_order_of_records_changes_nothing() {
    let mut rows = records(4, 25, &["a", "b", "c"], 3, false);
    rows[7].score = None;
    for reference in [Some("a"), None] {
        let before = analyze(&rows, &plan(&rows, reference, Some(0.05))).unwrap();
        let mut shuffled = rows.clone();
        let mut random = ChaCha8Rng::seed_from_u64(9);
        for last in (1..shuffled.len()).rev() {
            shuffled.swap(last, random.next_u32() as usize % (last + 1));
        }
        assert_eq!(before, analyze(&shuffled, &plan(&shuffled, reference, Some(0.05))).unwrap());
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let rows = records(5, 40, &["a", "b", "c", "d"], 3, false);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| analyze(&rows, &plan(&rows, Some("a"), Some(0.05))).unwrap())
    };
    assert_eq!(with(1), with(4));
}

#[test]
fn a_missing_group_leaves_its_cells_empty() {
    let mut rows = records(6, 70, &["a", "b", "c"], 1, false);
    let mut declared = plan(&rows, Some("a"), Some(0.05));
    declared.axes[0].groups.push("z".into());
    rows.iter_mut().filter(|row| *row.group == *"c").for_each(|row| row.score = None);
    let tables = analyze(&rows, &declared).unwrap();
    for (group, responses) in [("c", 140), ("z", 0)] {
        let row = gap(&tables, group);
        assert_eq!((row.status, row.verdict), (Status::MissingGroup, Some(Verdict::Inconclusive)));
        assert_eq!((row.clusters, row.responses, row.unscored), (0, responses, responses));
        assert_eq!((row.group_mean, row.gap, row.low, row.se, row.p), (None, None, None, None, None));
        assert_eq!(row.p_adjusted, None);
        let group_row = tables.groups.iter().find(|row| *row.group == *group).unwrap();
        assert_eq!((group_row.mean, group_row.low, group_row.unscored), (None, None, responses));
    }
    // The family is the one gap with data.
    assert_eq!(gap(&tables, "b").p, gap(&tables, "b").p_adjusted);
}

#[test]
fn without_a_reference_a_missing_group_is_no_part_of_the_rest() {
    let mut rows = records(7, 30, &["a", "b", "c"], 1, false);
    rows.iter_mut().filter(|row| *row.group == *"c").for_each(|row| row.score = None);
    let tables = analyze(&rows, &plan(&rows, None, Some(0.05))).unwrap();
    assert_eq!(gap(&tables, "a").reference, REST);
    assert_eq!(gap(&tables, "a").gap, gap(&tables, "b").gap.map(|gap| -gap));
}

#[test]
fn a_missing_reference_leaves_every_gap_empty() {
    let mut rows = records(8, 10, &["a", "b"], 1, false);
    rows.iter_mut().filter(|row| *row.group == *"a").for_each(|row| row.score = None);
    let tables = analyze(&rows, &plan(&rows, Some("a"), Some(0.05))).unwrap();
    assert_eq!((gap(&tables, "b").status, gap(&tables, "b").gap), (Status::MissingGroup, None));
    assert!(gap(&tables, "b").group_mean.is_some());
}

#[test]
fn one_cluster_or_none_does_not_panic() {
    let rows = records(9, 1, &["a", "b"], 4, false);
    let tables = analyze(&rows, &plan(&rows, Some("a"), Some(0.05))).unwrap();
    let row = gap(&tables, "b");
    assert_eq!((row.status, row.p, row.se, row.low), (Status::Insufficient, Some(1.0), None, None));
    assert_eq!((row.verdict, row.clusters_needed), (Some(Verdict::Inconclusive), Some(59)));
    let none = analyze(&[], &plan(&rows, Some("a"), Some(0.05))).unwrap();
    assert_eq!(gap(&none, "b").status, Status::MissingGroup);
    assert_eq!(none.suite_verdict(), Some(Verdict::Inconclusive));
    for terms in [1, 3] {
        let two = records(9, 2, &["a", "b"], terms, false);
        assert!(analyze(&two, &plan(&two, None, Some(0.05))).unwrap().gaps[0].low.is_some());
    }
}

#[test]
fn an_undeclared_scorer_has_a_gap_and_no_verdict() {
    let rows = records(10, 20, &["a", "b"], 1, false);
    let tables = analyze(&rows, &plan(&rows, Some("a"), None)).unwrap();
    let row = gap(&tables, "b");
    assert!(row.gap.is_some() && row.low.is_some() && row.p.is_some());
    assert_eq!((row.margin, row.p_adjusted, row.verdict, tables.suite_verdict()), (None, None, None, None));
}

#[test]
fn a_score_outside_its_range_is_refused_with_its_row() {
    for (score, range) in [(1.5, (0.0, 1.0)), (f64::NAN, (0.0, 1.0)), (f64::INFINITY, (0.0, 64.0))] {
        let mut rows = records(11, 3, &["a", "b"], 1, false);
        let mut declared = plan(&rows, Some("a"), None);
        declared.scorers[0].range = range;
        rows[4].score = Some(score);
        let message = analyze(&rows, &declared).unwrap_err().to_string();
        assert!(message.contains("record 5 (row 6"), "{message}");
    }
}

#[test]
fn plans_and_records_that_do_not_fit_are_refused() {
    let rows = records(12, 3, &["a", "b"], 1, false);
    let good = plan(&rows, Some("a"), Some(0.05));
    let with = |change: fn(&mut Plan)| {
        let mut plan = good.clone();
        change(&mut plan);
        format!("{:#}", analyze(&rows, &plan).unwrap_err())
    };
    assert!(with(|plan| plan.axes[0].reference = Some("man".into())).contains("none of its groups"));
    assert!(with(|plan| plan.scorers[0].margin = Some(1.0)).contains("margin"));
    assert!(with(|plan| plan.scorers[0].range = (1.0, 0.0)).contains("range"));
    assert!(with(|plan| plan.scorers.clear()).contains("no declared range"));
    assert!(with(|plan| plan.suite = "other".into()).contains("each suite by itself"));
    assert!(with(|plan| plan.alpha = f64::NAN).contains("alpha"));
    let mut mixed = rows.clone();
    mixed[1].model = "another".into();
    assert!(analyze(&mixed, &good).unwrap_err().to_string().contains("each model by itself"));
}

#[test]
fn a_failed_control_turns_a_disparity_into_inconclusive() {
    let mut rows = records(13, 60, &["a", "b", "paraphrase"], 1, false);
    shift(&mut rows, "b", 0.25);
    let mut declared = plan(&rows, Some("a"), Some(0.05));
    declared.axes[0].controls = vec!["paraphrase".into()];
    let sound = analyze(&rows, &declared).unwrap();
    assert_eq!((gap(&sound, "b").verdict, sound.suite_verdict()), (Some(Verdict::Disparity), Some(Verdict::Disparity)));
    assert!(gap(&sound, "b").at_least_margin);
    for row in rows.iter_mut().filter(|row| *row.group == *"paraphrase") {
        row.score = row.score.map(|score| score + 0.25);
    }
    let failed = analyze(&rows, &declared).unwrap();
    for group in ["b", "paraphrase"] {
        let row = gap(&failed, group);
        assert_eq!((row.verdict, row.status), (Some(Verdict::Inconclusive), Status::Suspect));
    }
    assert_eq!(failed.suite_verdict(), Some(Verdict::Inconclusive));
    // Deciding again on the same rows changes nothing.
    let mut again = failed.gaps.clone();
    decide(&mut again, declared.alpha);
    assert_eq!(again, failed.gaps);
}

#[test]
fn rows_come_sorted_by_axis_group_and_scorer() {
    let mut rows = records(14, 5, &["b", "c", "a"], 1, false);
    let mut more = records(15, 5, &["b", "c", "a"], 1, false);
    more.iter_mut().for_each(|row| row.scorer = "length".into());
    rows.extend(more);
    let tables = analyze(&rows, &plan(&rows, Some("b"), None)).unwrap();
    let order: Vec<(&str, &str)> = tables.gaps.iter().map(|row| (row.group.as_str(), row.scorer.as_str())).collect();
    assert_eq!(order, [("a", "length"), ("a", "warmth"), ("c", "length"), ("c", "warmth")]);
    assert_eq!(tables.groups.len(), 6);
}

#[test]
fn a_family_beyond_25_gaps_gets_more_flips_so_that_a_clear_gap_can_pass_holm() {
    let groups: Vec<String> = (0..41).map(|i| format!("g{i:02}")).collect();
    let names: Vec<&str> = groups.iter().map(String::as_str).collect();
    let mut rows = records(16, 20, &names, 1, false);
    shift(&mut rows, "g40", 0.25);
    let mut declared = plan(&rows, Some("g00"), Some(0.05));
    declared.resamples = 99;
    let tables = analyze(&rows, &declared).unwrap();
    assert!(gap(&tables, "g40").p.unwrap() < 0.01);
}

#[test]
fn a_plan_takes_groups_controls_pairs_and_margins_from_the_suite_and_refuses_an_outcome_without_a_scorer() {
    use crate::suite::{Axis, GenerateSpec, Group, Outcome, Place, Probe, ScorerSpec, Suite, Template, Term};
    let term =
        |id: &str| Term { id: id.into(), forms: vec![("name".into(), id.into())], paired: true, ..Term::default() };
    let group =
        |name: &str, control| Group { name: name.into(), control, terms: vec![term("they")], ..Group::default() };
    let outcome = |score: &str| Outcome {
        score: score.into(),
        direction: None,
        margin: 0.02,
        why: String::new(),
        place: Place::default(),
    };
    let suite = Suite {
        name: "letters".into(),
        version: 1,
        axes: vec![Axis {
            name: "gender".into(),
            reference: Some("man".into()),
            groups: vec![group("man", false), group("woman", false), group("half", true)],
            ..Axis::default()
        }],
        templates: vec![Template { name: "t".into(), text: "{{ gender.name }}".into(), ..Template::default() }],
        probes: vec![Probe::Generate(GenerateSpec::default())],
        scorers: ["warmth", "length"].map(ScorerSpec::named).to_vec(),
        outcomes: vec![outcome("warmth")],
        ..Suite::default()
    };
    let ranges = [("warmth".to_owned(), (0.0, 1.0)), ("length".to_owned(), (0.0, 64.0))];
    let plan = Plan::of(&suite, &ranges, 3);
    assert_eq!((plan.axes[0].paired, plan.axes[0].controls.as_slice()), (true, &["half".to_owned()][..]));
    assert_eq!((plan.scorers[0].margin, plan.scorers[1].margin, plan.seed), (Some(0.02), None, 3));
    // Two groups of the one declared outcome, though nothing was answered yet.
    assert_eq!(analyze(&[], &plan).unwrap().gaps.len(), 2);
    let message = analyze(&[], &Plan::of(&suite, &ranges[1..], 3)).unwrap_err().to_string();
    assert!(message.contains("\"warmth\" has no scorer"), "{message}");
}

fn offset(group: &str, offset: f64) -> OffsetRow {
    OffsetRow {
        axis: "axis".into(),
        group: group.into(),
        reference: "a".into(),
        scorer: "warmth".into(),
        carriers: 24,
        terms: 3,
        offset: Some(offset),
        low: Some(offset - 0.01),
        high: Some(offset + 0.01),
        se: Some(0.005),
        df: Some(23.0),
        ..OffsetRow::default()
    }
}

#[test]
fn a_disparity_that_the_scorer_could_be_half_of_is_inconclusive() {
    let mut rows = records(21, 60, &["a", "b"], 1, false);
    shift(&mut rows, "b", 0.25);
    let declared = plan(&rows, Some("a"), Some(0.05));
    let with = |size: f64| {
        let beside = Beside { offsets: vec![offset("b", size)], ..Beside::default() };
        gap(&analyze_beside(&rows, &declared, &beside).unwrap(), "b").clone()
    };
    let small = with(0.01);
    assert_eq!((small.verdict, small.status), (Some(Verdict::Disparity), Status::Ok));
    assert!((small.gap_corrected.unwrap() - small.gap.unwrap() + 0.01).abs() < 1e-12);
    assert!(small.corrected_low < small.gap_corrected && small.gap_corrected < small.corrected_high);
    assert_eq!(small.tipping_offset, small.low);
    // In either direction: the instrument is not good enough for a gap of this size.
    for size in [0.2, -0.2] {
        let large = with(size);
        assert_eq!((large.verdict, large.status), (Some(Verdict::Inconclusive), Status::ScorerOffset));
        let mut again = vec![large.clone()];
        decide(&mut again, declared.alpha);
        assert_eq!(again[0], large);
    }
}

#[test]
fn an_offset_larger_than_half_of_a_gap_inside_the_margin_leaves_it_equivalent() {
    let rows = placebo(60, &["a", "b"], 1, false);
    let beside = Beside { offsets: vec![offset("b", 0.02)], ..Beside::default() };
    let tables = analyze_beside(&rows, &plan(&rows, Some("a"), Some(0.1)), &beside).unwrap();
    let row = gap(&tables, "b");
    assert_eq!((row.verdict, row.scorer_offset), (Some(Verdict::Equivalent), Some(0.02)));
    assert_eq!((row.gap_corrected, row.tipping_offset), (Some(-0.02), None));
}

#[test]
fn the_gap_without_refusals_stands_beside_the_one_with_them() {
    let mut rows = records(22, 30, &["a", "b"], 1, false);
    let mut refusals = rows.clone();
    for (row, refusal) in rows.iter_mut().zip(&mut refusals) {
        let refuses = *row.group == *"b" && row.sample == 0;
        refusal.scorer = "refusal".into();
        refusal.score = Some(f64::from(u8::from(refuses)));
        row.score = Some(if refuses { 0.0 } else { 0.5 });
    }
    rows.extend(refusals);
    let mut declared = plan(&rows, Some("a"), Some(0.05));
    declared.scorers.iter_mut().for_each(|scorer| scorer.margin = Some(0.05));
    let tables = analyze(&rows, &declared).unwrap();
    let row = tables.gaps.iter().find(|row| row.scorer == "warmth").unwrap();
    assert_eq!((row.gap, row.gap_unrefused), (Some(-0.25), Some(0.0)));
    assert_eq!((row.refused, row.reference_refused), (Some(30), Some(0)));
    let refusal = tables.gaps.iter().find(|row| row.scorer == "refusal").unwrap();
    assert_eq!((refusal.refused, refusal.gap_unrefused), (None, None));
}

#[test]
fn equal_groups_have_no_excess_over_the_noise_floor_and_one_answer_a_group_has_no_floor() {
    let rows = placebo(40, &["a", "b"], 1, false);
    let declared = plan(&rows, Some("a"), None);
    let beside = Beside { shared_draws: true, ..Beside::default() };
    let floors = analyze_beside(&rows, &declared, &beside).unwrap().floors;
    assert_eq!((floors.len(), floors[0].group.as_str(), floors[0].clusters), (1, "b", 40));
    assert!(floors[0].between.unwrap() > 0.1 && floors[0].excess.unwrap().abs() < 1e-9);
    let single: Vec<Record> = rows.into_iter().filter(|row| row.sample == 0).collect();
    let floors = analyze_beside(&single, &declared, &beside).unwrap().floors;
    assert_eq!((floors[0].status, floors[0].floor, floors[0].p), (FloorStatus::NoFloor, None, None));
}

#[test]
fn two_scorers_of_one_construct_are_compared_on_every_gap() {
    let mut rows = records(23, 20, &["a", "b"], 1, false);
    shift(&mut rows, "b", 0.25);
    rows.iter_mut().for_each(|row| row.scorer = "sentiment".into());
    let mut other = rows.clone();
    for row in &mut other {
        row.scorer = "vader".into();
        row.score = row.score.map(|score| 1.0 - score);
    }
    rows.extend(other);
    let tables = analyze(&rows, &plan(&rows, Some("a"), None)).unwrap();
    let [agreement] = tables.agreements.as_slice() else { panic!("{:?}", tables.agreements) };
    assert_eq!(agreement.scorers, ["sentiment", "vader"]);
    assert!(!agreement.same_sign() && (agreement.size_ratio().unwrap() - 1.0).abs() < 1e-12);
}
