//! Properties of what stands beside the gaps: all groups together, distributions, effect sizes.

use super::*;
use crate::suite::Direction;

fn analysed(rows: &[Record], reference: Option<&str>) -> Tables {
    analyze(rows, &plan(rows, reference, Some(0.05))).unwrap()
}

fn renamed(rows: &[Record], names: &[(&str, &str)]) -> Vec<Record> {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        row.group = names.iter().find(|(old, _)| *row.group == **old).unwrap().1.into();
    }
    rows
}

/// As files have it: what is left to the last bits is rounding.
fn rounded(value: Option<f64>) -> Option<String> {
    value.map(|value| format!("{value:.9e}"))
}

#[test]
fn groups_that_say_the_same_are_zero_apart_with_a_p_of_one() {
    for (clusters, terms, paired) in [(12, 1, false), (60, 1, false), (60, 4, true)] {
        let tables = analysed(&placebo(clusters, &["a", "b", "c", "d"], terms, paired), Some("a"));
        let [row] = tables.omnibus.as_slice() else { panic!("one row an axis and scorer") };
        assert_eq!((row.p, row.range_p, row.max_min, row.debiased), (Some(1.0), Some(1.0), Some(0.0), Some(0.0)));
        assert_eq!((row.null_mean, row.low, row.ratio, row.four_fifths), (Some(0.0), Some(0.0), Some(1.0), Some(true)));
        assert_eq!((row.status, &*row.highest, &*row.lowest), (Status::ZeroVariance, "", ""));
        assert_eq!((row.f, row.friedman, row.clusters), (None, None, clusters));
        for row in &tables.distributions {
            assert!(row.w1.unwrap() < 1e-12 && row.quantiles.iter().all(|gap| *gap == Some(0.0)), "{row:?}");
            assert_eq!((row.p, row.clusters), (Some(1.0), clusters));
        }
        for row in &tables.gaps {
            assert_eq!((row.cliffs_delta, row.paired_delta, row.logit_gap), (Some(0.0), Some(0.0), Some(0.0)));
            assert_eq!((row.hedges_g, row.log_odds_ratio, row.discordant_above), (None, None, None));
        }
    }
}

#[test]
fn renaming_the_groups_changes_no_number_of_all_groups_together() {
    for (clusters, terms) in [(3, 1), (40, 1), (40, 4)] {
        let rows = records(21, clusters, &["a", "b", "c"], terms, false);
        let other = renamed(&rows, &[("a", "z"), ("b", "y"), ("c", "x")]);
        let (one, other) = (analysed(&rows, None), analysed(&other, None));
        let (one, other) = (&one.omnibus[0], &other.omnibus[0]);
        assert_eq!((one.p, one.range_p, one.is_exact), (other.p, other.range_p, other.is_exact));
        let numbers = |row: &OmnibusRow| {
            [row.f, row.friedman, row.max_min, row.debiased, row.low, row.high, row.ratio, row.null_mean].map(rounded)
        };
        assert_eq!(numbers(one), numbers(other));
        let name = |name: &str| ["z", "y", "x"]["abc".find(name).unwrap()].to_owned();
        assert_eq!((name(&one.highest), name(&one.lowest)), (other.highest.clone(), other.lowest.clone()));
        assert_eq!(one.highest_share, other.highest_share);
    }
}

#[test]
fn swapping_group_and_reference_flips_effects_and_keeps_distances() {
    for (clusters, terms) in [(5, 1), (40, 4)] {
        let rows = records(22, clusters, &["a", "b"], terms, false);
        let (forth, back) = (analysed(&rows, Some("a")), analysed(&rows, Some("b")));
        let (one, other) = (&forth.gaps[0], &back.gaps[0]);
        let effects = |row: &GapRow| [row.hedges_g, row.d_av, row.cliffs_delta, row.paired_delta, row.logit_gap];
        let minus = effects(other).map(|value| rounded(value.map(|value| -value)));
        assert_eq!(effects(one).map(rounded), minus);
        let (one, other) = (&forth.distributions[0], &back.distributions[0]);
        assert_eq!((one.p, rounded(one.w1), rounded(one.ks)), (other.p, rounded(other.w1), rounded(other.ks)));
        assert_eq!(one.quantiles, other.quantiles.map(|gap| gap.map(|gap| -gap)));
        assert_eq!(forth.omnibus, back.omnibus);
    }
}

#[test]
fn tiny_missing_and_constant_data_do_not_panic() {
    let ranges = [(0.0, 1.0), (-1e300, 1e300), (f64::NEG_INFINITY, 0.0)];
    for (clusters, groups) in [(1, &["a", "b", "c"][..]), (9, &["a"]), (2, &["a", "b"]), (20, &["a", "b", "c"])] {
        for (range, scale) in ranges.into_iter().flat_map(|range| [0.0, 1.0, 1e-300, 1e300].map(|scale| (range, scale)))
        {
            let mut rows = records(23, clusters, groups, 4, false);
            for row in &mut rows {
                row.score = row.score.map(|score| (score * scale).clamp(range.0, range.1));
            }
            let mut declared = plan(&rows, None, None);
            (declared.scorers[0].range, declared.resamples) = (range, 99);
            let tables = analyze(&rows, &declared).unwrap();
            assert_eq!(tables.omnibus.len(), usize::from(groups.len() > 1));
            for row in &tables.omnibus {
                assert!(row.p.is_some_and(|p| p > 0.0 && p <= 1.0), "{row:?}");
            }
        }
    }
    let mut rows = records(24, 9, &["a", "b", "c"], 1, false);
    rows.iter_mut().for_each(|row| row.score = None);
    let tables = analysed(&rows, Some("a"));
    assert_eq!((tables.omnibus[0].status, tables.omnibus[0].p), (Status::MissingGroup, None));
    assert_eq!((tables.distributions[0].status, tables.distributions[0].w1), (Status::MissingGroup, None));
}

#[test]
fn a_missing_group_leaves_the_others_compared_and_says_so() {
    let mut rows = records(25, 30, &["a", "b", "c"], 1, false);
    rows.iter_mut().filter(|row| *row.group == *"c").for_each(|row| row.score = None);
    let tables = analysed(&rows, Some("a"));
    let row = &tables.omnibus[0];
    assert_eq!((row.status, row.groups, row.clusters), (Status::MissingGroup, 2, 30));
    assert!(row.p.is_some());
}

#[test]
fn a_control_is_none_of_the_groups_together() {
    let mut rows = records(26, 30, &["a", "b", "c"], 1, false);
    shift(&mut rows, "c", 0.25);
    let mut declared = plan(&rows, Some("a"), Some(0.05));
    declared.axes[0].controls = vec!["c".into()];
    let tables = analyze(&rows, &declared).unwrap();
    assert_eq!(tables.omnibus[0].groups, 2);
    assert_ne!(tables.omnibus[0].highest, "c");
}

#[test]
fn the_worst_group_follows_the_direction_and_none_is_named_without_one() {
    let mut rows = records(27, 60, &["a", "b", "c"], 1, false);
    shift(&mut rows, "b", 0.25);
    for (direction, worst) in
        [(None, ""), (Some(Direction::LowerIsBetter), "b"), (Some(Direction::HigherIsBetter), "lowest")]
    {
        let mut declared = plan(&rows, Some("a"), Some(0.05));
        declared.scorers[0].direction = direction;
        let tables = analyze(&rows, &declared).unwrap();
        let row = &tables.omnibus[0];
        assert_eq!(row.highest, "b");
        assert_eq!(row.worst_group, if worst == "lowest" { row.lowest.as_str() } else { worst });
        assert_eq!(row.is_stable().is_some(), direction.is_some());
        assert_eq!(row.four_fifths.is_some(), direction != Some(Direction::LowerIsBetter));
    }
}

#[test]
fn an_axis_of_two_groups_has_the_p_of_its_gap() {
    let rows = records(28, 14, &["a", "b"], 1, false);
    let tables = analysed(&rows, Some("a"));
    assert_eq!(tables.omnibus[0].p, tables.gaps[0].p);
    assert_eq!(rounded(tables.omnibus[0].max_min), rounded(tables.gaps[0].gap.map(f64::abs)));
}

#[test]
fn whole_templates_are_the_unit_where_they_are_declared() {
    let mut rows = records(29, 60, &["a", "b", "c"], 1, false);
    for row in &mut rows {
        let cluster: usize = row.context[1..].parse().unwrap();
        row.template = format!("t{}", cluster % 12).into();
    }
    let mut declared = plan(&rows, Some("a"), Some(0.05));
    declared.generalise_to = Unit::Templates;
    let tables = analyze(&rows, &declared).unwrap();
    assert_eq!((tables.omnibus[0].clusters, tables.omnibus[0].df_error), (12, Some(22.0)));
    assert!(tables.distributions.iter().all(|row| row.clusters == 12 && row.answers == 120));
    // The gap of the omnibus and the gap itself are of the same cells.
    let means: Vec<f64> = tables.gaps.iter().map(|row| row.gap.unwrap()).chain([0.0]).collect();
    let range = means.iter().copied().fold(f64::MIN, f64::max) - means.iter().copied().fold(f64::MAX, f64::min);
    assert!((tables.omnibus[0].max_min.unwrap() - range).abs() < 1e-12);
}

#[test]
fn yes_and_no_have_discordant_counts_and_other_scores_none() {
    let mut rows = records(30, 50, &["a", "b"], 1, false);
    rows.retain(|row| row.sample == 0);
    let scores = analysed(&rows, Some("a"));
    assert_eq!((scores.gaps[0].discordant_above, scores.gaps[0].log_odds_ratio), (None, None));
    rows.iter_mut().for_each(|row| row.score = row.score.map(f64::round));
    let row = &analysed(&rows, Some("a")).gaps[0];
    let net = row.discordant_above.unwrap() as f64 - row.discordant_below.unwrap() as f64;
    assert_eq!(rounded(row.gap), rounded(Some(net / 50.0)));
    assert!(row.log_odds_ratio.unwrap() * row.gap.unwrap() >= 0.0);
}

#[test]
fn names_that_differ_make_a_band_and_three_names_none() {
    for (terms, has_band) in [(3, false), (4, true), (8, true)] {
        let row = &analysed(&records(31, 20, &["a", "b"], terms, false), Some("a")).gaps[0];
        assert_eq!(row.aa_low.is_some(), has_band);
        assert_eq!(row.aa_low.map(|low| -low), row.aa_high);
    }
    assert_eq!(analysed(&records(31, 20, &["a", "b"], 8, false), None).gaps[0].aa_low, None);
}

#[test]
#[ignore = "measures time on a million records; run it optimised"]
fn a_million_records_are_looked_at_together_in_seconds() {
    let groups = ["a", "b", "c", "d"];
    let mut rows: Vec<Record> = Vec::new();
    let mut names = crate::record::records::Names::default();
    let mut random = ChaCha8Rng::seed_from_u64(32);
    for scorer in 0..10 {
        for cluster in 0..2_500 {
            for group in groups {
                for term in 0..10 {
                    rows.push(Record {
                        suite: names.get("letters"),
                        model: names.get("m"),
                        template: names.get(&format!("t{}", cluster % 20)),
                        context: names.get(&format!("c{cluster}")),
                        axis: names.get("axis"),
                        group: names.get(group),
                        term: names.get(&format!("{group}{term}")),
                        sample: 0,
                        scorer: names.get(&format!("s{scorer}")),
                        score: Some(f64::from(random.next_u32()) / f64::from(u32::MAX)),
                    });
                }
            }
        }
    }
    let mut declared = plan(&rows, Some("a"), Some(0.05));
    declared.resamples = Plan::RESAMPLES;
    let blocks = checked_blocks(&rows, &declared).unwrap();
    let timed = |what: &str, work: &dyn Fn() -> usize| {
        let start = std::time::Instant::now();
        let count = work();
        eprintln!("{what}: {count} rows in {:.2} s", start.elapsed().as_secs_f64());
        start.elapsed().as_secs_f64()
    };
    let together = timed("omnibus", &|| omnibus::rows(&blocks, &declared).len());
    timed("distribution", &|| distribution::rows(&blocks, &declared).len());
    timed("bands", &|| blocks.iter().filter_map(|block| effect::band(block, &declared)).count());
    assert!(together < 5.0, "{together}");
}
