//! Tests what is screened beside the gaps: combinations, templates, the statistics of the literature.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

/// Scores `score(gender, ethnicity, cluster)` of two genders and `ethnicities` others, crossed and by themselves, in four templates.
fn crossed(clusters: usize, ethnicities: usize, score: impl Fn(usize, usize, usize) -> Option<f64>) -> Vec<Record> {
    let mut rows = Vec::new();
    for cluster in 0..clusters {
        for gender in 0..2 {
            for ethnicity in 0..ethnicities {
                let (g, e) = (["man", "woman"][gender], format!("e{ethnicity}"));
                for (axis, group) in
                    [("gender", g.to_owned()), ("ethnicity", e.clone()), ("gender+ethnicity", format!("{g}+{e}"))]
                {
                    rows.push(Record {
                        suite: "s".into(),
                        model: "m".into(),
                        template: format!("t{}", cluster % 4).into(),
                        context: format!("c{cluster}").into(),
                        axis: axis.into(),
                        group: group.as_str().into(),
                        term: format!("{g}+{e}").into(),
                        sample: 0,
                        scorer: "warmth".into(),
                        score: score(gender, ethnicity, cluster),
                    });
                }
            }
        }
    }
    rows
}

/// Numbers without a pattern, in [0, 1).
fn noise(seed: usize) -> f64 {
    ((seed as f64 + 1.0) * 12.9898).sin().abs().mul_add(43758.5453, 0.0).rem_euclid(1.0)
}

fn plan(records: &[Record], reference: bool) -> Plan {
    let mut plan = Plan::of_records(records.iter(), 7);
    for axis in plan.axes.iter_mut().filter(|_| reference) {
        axis.reference = axis.groups.first().cloned();
    }
    plan
}

fn row<'a>(tables: &'a Tables, group: &str) -> &'a IntersectionRow {
    tables.intersections.iter().find(|row| row.group == group).unwrap()
}

#[test]
fn a_planted_interaction_stands_out_and_main_effects_do_not() {
    let records = crossed(60, 4, |gender, ethnicity, cluster| {
        let planted = if (gender, ethnicity) == (1, 3) { 0.3 } else { 0.0 };
        Some(
            0.1 + 0.1 * gender as f64
                + 0.1 * ethnicity as f64
                + planted
                + 0.1 * noise(100 * cluster + 10 * gender + ethnicity),
        )
    });
    let tables = analyze(&records, &plan(&records, true)).unwrap();
    let planted = row(&tables, "woman+e3");
    assert_eq!((planted.clusters, planted.responses, planted.status), (60, 60, IntersectionStatus::Ok));
    // Of one raised cell in a 2 × 4 table, ½ · ¾ stays an interaction of its own.
    assert!((planted.interaction.unwrap() - 0.1125).abs() < 0.01 && planted.q.unwrap() < 0.01, "{planted:?}");
    assert!(planted.shrunk.unwrap() > 0.09 && planted.posterior_sd.unwrap() < 0.01);
    let largest = tables.intersections.iter().map(|row| row.shrunk.unwrap().abs()).fold(0.0, f64::max);
    assert!((largest - planted.shrunk.unwrap()).abs() < 1e-9);
    // The combinations have no margin, no verdict and no part in the family.
    let gaps = tables.gaps.iter().filter(|row| row.axis == "gender+ethnicity");
    assert!(gaps.clone().count() == 7 && gaps.into_iter().all(|row| row.margin.is_none() && row.verdict.is_none()));

    let additive = crossed(60, 4, |gender, ethnicity, cluster| {
        Some(0.1 + 0.2 * gender as f64 + 0.1 * ethnicity as f64 + 0.2 * noise(100 * cluster + 10 * gender + ethnicity))
    });
    let tables = analyze(&additive, &plan(&additive, true)).unwrap();
    assert!(tables.intersections.iter().all(|row| row.q.unwrap() > 0.1), "{:?}", tables.intersections);
}

#[test]
fn the_reference_that_gaps_are_against_changes_no_interaction() {
    let records = crossed(30, 3, |gender, ethnicity, cluster| Some(noise(100 * cluster + 10 * gender + ethnicity)));
    let (with, without) =
        (analyze(&records, &plan(&records, true)).unwrap(), analyze(&records, &plan(&records, false)).unwrap());
    for row in &with.intersections {
        let other = without.intersections.iter().find(|other| other.group == row.group).unwrap();
        assert!((row.interaction.unwrap() - other.interaction.unwrap()).abs() < 1e-12);
        assert!((row.shrunk.unwrap() - other.shrunk.unwrap()).abs() < 1e-9);
    }
    assert_eq!(row(&with, "man+e0").gap, Some(0.0));
    assert_eq!(row(&without, "man+e0").reference, REST);
}

#[test]
fn four_cells_are_pooled_and_nine_clusters_show_the_shrunken_value_alone() {
    let few = crossed(40, 2, |gender, ethnicity, cluster| Some(noise(100 * cluster + 10 * gender + ethnicity)));
    for row in analyze(&few, &plan(&few, true)).unwrap().intersections {
        assert_eq!((row.status, row.tau2, row.posterior_sd), (IntersectionStatus::FullPooling, Some(0.0), None));
        assert!(row.shrunk.unwrap().abs() < 1e-12 && row.p.is_some() && row.interaction.is_some());
    }
    let short = crossed(9, 4, |gender, ethnicity, cluster| Some(noise(100 * cluster + 10 * gender + ethnicity)));
    for row in analyze(&short, &plan(&short, true)).unwrap().intersections {
        assert_eq!((row.status, row.clusters), (IntersectionStatus::FewClusters, 9));
        assert_eq!((row.gap, row.interaction, row.se, row.p, row.q), (None, None, None, None, None));
        assert!(row.shrunk.is_some());
    }
}

#[test]
fn equal_combinations_one_cell_and_missing_ones_stay_undefined() {
    let equal = crossed(20, 3, |_, _, _| Some(0.5));
    for row in analyze(&equal, &plan(&equal, true)).unwrap().intersections {
        assert_eq!((row.interaction, row.p, row.status), (Some(0.0), Some(1.0), IntersectionStatus::ZeroVariance));
        assert_eq!((row.shrunk, row.q), (None, Some(1.0)));
    }
    let missing = crossed(20, 3, |gender, ethnicity, cluster| {
        ((gender, ethnicity) != (1, 2)).then(|| noise(100 * cluster + 10 * gender + ethnicity))
    });
    let tables = analyze(&missing, &plan(&missing, true)).unwrap();
    let empty = row(&tables, "woman+e2");
    assert_eq!((empty.status, empty.responses, empty.clusters), (IntersectionStatus::MissingGroup, 20, 0));
    assert_eq!(row(&tables, "man+e2").status, IntersectionStatus::NotEstimable);
    assert!(row(&tables, "woman+e1").interaction.is_some());
    let unscored = crossed(20, 3, |_, _, _| None);
    let tables = analyze(&unscored, &plan(&unscored, true)).unwrap();
    assert!(tables.intersections.iter().all(|row| row.status == IntersectionStatus::MissingGroup));
    assert!(tables.literature.is_empty() && tables.slices.is_empty());
    let one = crossed(1, 1, |_, _, _| Some(0.5));
    analyze(&one, &plan(&one, true)).unwrap();
}

#[test]
fn the_template_that_drives_a_gap_is_the_slice_with_a_small_q() {
    let records = crossed(80, 1, |gender, _, cluster| {
        let driven = if cluster % 4 == 2 { 0.4 * gender as f64 } else { 0.0 };
        Some(0.1 + driven + 0.3 * noise(10 * cluster + gender))
    });
    let plan = plan(&records, true);
    let tables = analyze(&records, &plan).unwrap();
    let slices: Vec<&SliceRow> = tables.slices.iter().filter(|row| row.axis == "gender").collect();
    assert_eq!(slices.iter().map(|row| row.template.as_str()).collect::<Vec<_>>(), ["t0", "t1", "t2", "t3"]);
    for row in &slices {
        assert_eq!((row.clusters, row.q.unwrap() <= 0.1), (20, row.template == "t2"), "{row:?}");
    }
    // The clusters of all slices are those of the gap, and its gap is their mean.
    let gap = tables.gaps.iter().find(|row| row.axis == "gender").unwrap();
    let mean = slices.iter().map(|row| row.gap.unwrap() * row.clusters as f64).sum::<f64>() / gap.clusters as f64;
    assert!((mean - gap.gap.unwrap()).abs() < 1e-12 && gap.deff_template.unwrap() > 1.5);
}

#[test]
fn the_order_of_records_and_the_number_of_threads_change_no_screening() {
    let records = crossed(24, 4, |gender, ethnicity, cluster| Some(noise(100 * cluster + 10 * gender + ethnicity)));
    let plan = plan(&records, true);
    let of = |records: &[Record], threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| analyze(records, &plan)).unwrap()
    };
    let mut shuffled = records.clone();
    shuffled.sort_by_key(|row| (row.context.len(), row.context.to_string(), row.axis.to_string()));
    shuffled.reverse();
    assert_eq!(of(&records, 1), of(&shuffled, 4));
}

#[test]
fn the_literature_s_rows_are_those_of_a_count_by_hand() {
    let mut records = Vec::new();
    let scores = [("man", [0.2, 0.6]), ("woman", [0.1, 0.3]), ("man", [0.1, 0.2]), ("woman", [0.5, 0.9])];
    for (at, (group, of_samples)) in scores.into_iter().enumerate() {
        for (sample, score) in of_samples.into_iter().enumerate() {
            let mut row = crossed(1, 1, |_, _, _| Some(score)).remove(0);
            row.group = group.into();
            row.context = format!("c{}", at / 2).as_str().into();
            row.sample = sample as u32;
            records.push(row);
        }
    }
    let tables = analyze(&records, &plan(&records, true)).unwrap();
    let value = |group: &str, statistic: &str| {
        let row = tables.literature.iter().find(|row| row.group == group && row.statistic == statistic);
        let row = row.unwrap_or_else(|| panic!("no {statistic} of {group:?}"));
        (row.clusters, row.value.map(|value| (value * 1e9).round() / 1e9))
    };
    assert_eq!(value("man", "expected_maximum_k2"), (2, Some(0.4)));
    assert_eq!(value("man", "probability_0.5_k2"), (2, Some(0.5)));
    assert_eq!(value("woman", "fraction_0.5"), (2, Some(0.5)));
    // .5 reaches the threshold of the fraction, and is not above that of the parity.
    assert_eq!(value("woman", "weak_parity_0.5"), (2, Some(0.0)));
    assert_eq!(value("", "pcm_mean"), (2, Some(0.175)));
    assert_eq!(value("", "counterfactual_pcm"), (2, Some(0.375)));
    assert_eq!(tables.literature.len(), 6 + 1 + 11);
}

/// Shares of 2,000 suites of 2 × 4 combinations without interaction in which one combination has a p of at most .05, and in which any has a q of
/// at most .10: 40 clusters with main effects, noise (sd .06) and `names` a combination in rotation, of sd .04.
fn simulate(names: usize) -> [f64; 2] {
    const SUITES: usize = 2_000;
    let mut random = ChaCha8Rng::seed_from_u64(6);
    let mut uniform = move || f64::from(random.next_u32()) / f64::from(u32::MAX);
    let mut counts = [0; 2];
    for _ in 0..SUITES {
        let effects: Vec<f64> =
            (0..8 * names).map(|_| if names > 1 { 0.14 * (uniform() - 0.5) } else { 0.0 }).collect();
        let mut records = Vec::new();
        for cluster in 0..40 {
            let level = 0.2 * uniform();
            for cell in 0..8 {
                let name = names * cell + (cluster + cell) % names;
                let main = 0.1 * (cell / 4) as f64 + 0.05 * (cell % 4) as f64;
                records.push(Record {
                    suite: "s".into(),
                    model: "m".into(),
                    template: "t".into(),
                    context: format!("c{cluster}").into(),
                    axis: "gender+ethnicity".into(),
                    group: format!("g{}+e{}", cell / 4, cell % 4).into(),
                    term: format!("n{name}").into(),
                    sample: 0,
                    scorer: "warmth".into(),
                    score: Some(0.2 + level + main + effects[name] + 0.2 * (uniform() - 0.5)),
                });
            }
        }
        let mut plan = plan(&records, true);
        plan.resamples = 999;
        let rows = analyze(&records, &plan).unwrap().intersections;
        counts[0] += usize::from(rows[0].p.unwrap() <= 0.05);
        counts[1] += usize::from(rows.iter().any(|row| row.q.unwrap() <= 0.1));
    }
    let shares = counts.map(|count| count as f64 / SUITES as f64);
    println!("{names} names: p <= .05 in {:.2} %, any q <= .10 in {:.2} %", 100.0 * shares[0], 100.0 * shares[1]);
    shares
}

/// Nominal 5 % and 10 %, with two Monte Carlo errors: without names of their own at most 5.97 % and 11.3 %. Names add the small-sample error of
/// their variance, which gaps have too (stats.md §3: 5.1 to 6.2 % in rotation), larger for all of eight combinations together.
#[test]
#[ignore = "simulates 4,000 suites"]
fn combinations_that_add_up_are_rarely_called_interactions() {
    let [p, q] = simulate(1);
    assert!(p <= 0.0597 && q <= 0.113, "{p} {q}");
    let [p, q] = simulate(8);
    assert!(p <= 0.062 && q <= 0.135, "{p} {q}");
}
