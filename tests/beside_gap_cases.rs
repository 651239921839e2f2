//! Checks what stands beside the gaps against values computed elsewhere: all groups at once, effect sizes, distributions, ratios
//! (tests/fixtures/stats-cases/README.md).

use serde_json::Value;
use tiltmeter::stats::blocked_permutation::shuffle_labels;
use tiltmeter::stats::complete::Complete;
use tiltmeter::stats::distribution::{self, Distance};
use tiltmeter::stats::matrix::{Matrix, Sample};
use tiltmeter::stats::max_min::max_min;
use tiltmeter::stats::omnibus::{friedman, repeated_measures};
use tiltmeter::stats::random::{Address, Key};
use tiltmeter::stats::{effect, ratio};

const DEFAULT: f64 = 1e-9;

/// Differences of decimals are ties within this.
const TIE: f64 = 1e-12;

/// A case file's cases.
fn cases(topic: &str) -> Vec<Value> {
    let path = format!("{}/tests/fixtures/stats-cases/{topic}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut file: Value = serde_json::from_str(&text).expect("a case file is JSON");
    match file["cases"].take() {
        Value::Array(cases) => cases,
        _ => panic!("{path}: no cases"),
    }
}

/// A case's expected value, within the tolerance that it gives for it or the default.
fn check(case: &Value, key: &str, got: Option<f64>) {
    let (want, tolerance) = (&case["expected"][key], &case["tolerance"][key]);
    let share = |kind: &str| tolerance[kind].as_f64();
    let (abs, rel) = match (share("abs"), share("rel")) {
        (None, None) => (DEFAULT, DEFAULT),
        (abs, rel) => (abs.unwrap_or(0.0), rel.unwrap_or(0.0)),
    };
    check_value(&format!("{} {key}", case["name"]), got, want, abs, rel);
}

fn check_value(place: &str, got: Option<f64>, want: &Value, abs: f64, rel: f64) {
    match (got, want) {
        (None, Value::Null) => {}
        (Some(got), Value::Number(want)) => {
            let want = want.as_f64().unwrap();
            let allowed = abs.max(rel * want.abs());
            assert!((got - want).abs() <= allowed, "{place}: got {got}, want {want} within {allowed}");
        }
        _ => panic!("{place}: got {got:?}, want {want}"),
    }
}

fn check_list(case: &Value, key: &str, got: &[f64]) {
    let want = case["expected"][key].as_array().unwrap();
    assert_eq!(got.len(), want.len(), "{} {key}", case["name"]);
    for (got, want) in got.iter().zip(want) {
        check_value(&format!("{} {key}", case["name"]), Some(*got), want, DEFAULT, DEFAULT);
    }
}

/// Every expected key of the case is in `known`, so that none stays unchecked.
fn check_keys(case: &Value, known: &[&str]) {
    for key in case["expected"].as_object().unwrap().keys() {
        assert!(known.contains(&key.as_str()), "{}: {key} is checked by nothing", case["name"]);
    }
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn key(purpose: &str) -> Key {
    Address { seed: 0, suite: "cases", axis: "axis", pair: ["", ""], scorer: "score" }.key(purpose)
}

fn matrix(rows: &[Vec<f64>], groups: &[&str]) -> Matrix {
    let contexts: Vec<String> = (0..rows.len()).map(|c| format!("c{c:03}")).collect();
    let mut samples = Vec::new();
    for (context, row) in contexts.iter().zip(rows) {
        let of_row = groups.iter().zip(row);
        samples.extend(of_row.map(|(&group, &score)| Sample { template: "t", context, group, term: group, score }));
    }
    Matrix::of(samples)
}

#[test]
fn all_groups_at_once_agree_with_scipy_and_statsmodels() {
    for case in &cases("omnibus") {
        let rows: Vec<Vec<f64>> = case["input"]["Y"].as_array().unwrap().iter().map(numbers).collect();
        let groups: Vec<&str> =
            case["input"]["groups"].as_array().unwrap().iter().map(|group| group.as_str().unwrap()).collect();
        let matrix = matrix(&rows, &groups);
        let cells = Complete::of(&matrix, &(0..groups.len()).collect::<Vec<_>>());
        let centred = cells.centred(1.0);
        let analysis = repeated_measures(&centred);
        check(case, "rm_anova_F", analysis.map(|found| found.f));
        check(case, "rm_anova_p", analysis.map(|found| found.p));
        check_list(case, "df", &analysis.map(|found| [found.df, found.df_error]).unwrap());
        let ranks = friedman(&cells, 1.0);
        check(case, "friedman_chi2", ranks.map(|found| found.chi_squared));
        check(case, "friedman_p", ranks.map(|found| found.p));
        check(case, "kendall_w", ranks.map(|found| found.kendall_w));
        let range = max_min(&matrix, &cells, false, 1.0, 0.95, 9_999, &key("max-min"));
        check(case, "max_min", range.map(|found| found.observed));
        check(case, "max_min_debiased", range.map(|found| found.debiased));
        let shuffled = shuffle_labels(&centred, 9_999, &key("labels")).unwrap();
        let expects = |key: &str| case["expected"].get(key).is_some();
        for (key, got) in [
            ("p_perm_ss_exact", shuffled.p),
            ("p_perm_range_exact", shuffled.range_p),
            ("null_mean_range_exact", shuffled.range_mean),
            ("n_enumerated", shuffled.labellings as f64),
            ("p_perm_ss_mc", shuffled.p),
            ("p_perm_range_mc", shuffled.range_p),
            ("null_mean_range", shuffled.range_mean),
            ("null_q95_range", shuffled.range_p95),
        ] {
            if expects(key) {
                check(case, key, Some(got));
            }
        }
        assert!(!expects("n_enumerated") || shuffled.is_exact, "{}", case["name"]);
        check_keys(
            case,
            &[
                "n_enumerated",
                "p_perm_ss_exact",
                "p_perm_range_exact",
                "null_mean_range_exact",
                "p_perm_ss_mc",
                "p_perm_range_mc",
                "null_mean_range",
                "null_q95_range",
                "friedman_chi2",
                "friedman_p",
                "kendall_w",
                "rm_anova_F",
                "rm_anova_p",
                "df",
                "max_min",
                "max_min_debiased",
            ],
        );
    }
}

#[test]
fn effect_sizes_agree_with_scipy() {
    for case in &cases("effect_sizes") {
        let input = &case["input"];
        let mut known = Vec::new();
        let mut expect = |key: &'static str, got: Option<f64>| {
            known.push(key);
            if case["expected"].get(key).is_some() {
                check(case, key, got);
            }
        };
        if input.get("x").is_some() {
            let (x, y) = (numbers(&input["x"]), numbers(&input["y"]));
            let delta = effect::cliffs_delta(&x, &y, TIE);
            expect("cliffs_delta", delta);
            expect("a12", delta.map(effect::a12));
            expect("cohen_d_pooled", effect::cohen_d(&x, &y));
            expect("d_av", effect::d_av(&x, &y));
        }
        if input.get("D").is_some() {
            let differences = numbers(&input["D"]);
            expect("d_z", effect::d_z(&differences));
            expect("hedges_J", effect::hedges_j(differences.len() as f64 - 1.0));
            expect("hedges_g_z", effect::hedges_g(&differences));
            expect("p_positive_minus_p_negative", effect::paired_delta(&differences, TIE));
            let ranks = effect::wilcoxon(&differences, TIE);
            expect("wilcoxon_statistic", ranks.map(|ranks| ranks.statistic));
            expect("wilcoxon_p_normal_approx", ranks.map(|ranks| ranks.p));
        }
        let log_odds = if input.get("k1").is_some() {
            let count = |key: &str| input[key].as_f64().unwrap();
            let [k1, n1, k0, n0] = ["k1", "n1", "k0", "n0"].map(count);
            let found = effect::log_odds_ratio([k1, n1], [k0, n0], 0.95);
            expect("log_odds_ratio_haldane", found.map(|found| found.value));
            expect("smoothed_logit_1", Some(effect::smoothed_logit(k1, n1)));
            expect("smoothed_logit_0", Some(effect::smoothed_logit(k0, n0)));
            found
        } else if input.get("p1").is_some() {
            let pairs: Vec<(f64, f64)> = numbers(&input["p1"]).into_iter().zip(numbers(&input["p0"])).collect();
            let found = effect::logit_gap(&pairs, 0.95);
            expect("logit_gap", found.map(|found| found.value));
            expect("odds_ratio", found.map(|found| found.value.exp()));
            found
        } else {
            None
        };
        if let Some(found) = log_odds {
            expect("se", found.se);
            let (low, high) = found.interval.unwrap();
            check_list(case, "ci95", &[low, high]);
            known.push("ci95");
        }
        check_keys(case, &known);
    }
}

#[test]
fn distances_of_distributions_agree_with_scipy() {
    const AT: [&str; 7] = ["0.05", "0.1", "0.25", "0.5", "0.75", "0.9", "0.95"];
    for case in &cases("distributions") {
        let input = &case["input"];
        if input.get("p").is_some() {
            let (p, q) = (numbers(&input["p"]), numbers(&input["q"]));
            let divergence = distribution::jensen_shannon(&p, &q);
            check(case, "jsd_nats", divergence);
            check(case, "jsd_bits", divergence.map(|nats| nats / std::f64::consts::LN_2));
            check(case, "total_variation", distribution::total_variation(&p, &q));
            check(case, "kl_pq", distribution::kullback_leibler(&p, &q));
            check(case, "hellinger", distribution::hellinger(&p, &q));
            check_keys(case, &["jsd_nats", "jsd_bits", "total_variation", "kl_pq", "hellinger"]);
            continue;
        }
        let (x, y) = (numbers(&input["x"]), numbers(&input["y"]));
        let found = Distance::of(&x, &y);
        check(case, "wasserstein1", found.map(|found| found.wasserstein));
        check(case, "energy_squared", found.map(|found| found.energy_squared));
        check(case, "energy_distance_scipy", found.map(|found| found.energy()));
        check(case, "ks", found.map(|found| found.ks));
        check(case, "quantile_disparity_mean_abs_19", distribution::quantile_disparity(&x, &y));
        if case["expected"].get("langfair_w1_sorted").is_some() {
            check(case, "langfair_w1_sorted", found.map(|found| found.wasserstein));
        }
        let gaps = distribution::quantile_gaps(&x, &y, &AT.map(|q| q.parse().unwrap())).unwrap();
        assert_eq!(case["expected"]["quantile_gap"].as_object().unwrap().len(), AT.len());
        for (q, got) in AT.iter().zip(gaps) {
            let want = &case["expected"]["quantile_gap"][q];
            check_value(&format!("{} quantile {q}", case["name"]), Some(got), want, DEFAULT, DEFAULT);
        }
        check_keys(
            case,
            &[
                "wasserstein1",
                "energy_squared",
                "energy_distance_scipy",
                "ks",
                "quantile_gap",
                "quantile_disparity_mean_abs_19",
                "langfair_w1_sorted",
            ],
        );
    }
}

#[test]
fn ratios_of_rates_agree_with_fairlearn() {
    for case in &cases("four_fifths") {
        let (k, n) = (numbers(&case["input"]["k"]), numbers(&case["input"]["n"]));
        let rates: Vec<f64> = k.iter().zip(&n).map(|(k, n)| k / n).collect();
        check_list(case, "rates", &rates);
        let found = ratio::rate_ratio(&rates).unwrap();
        check(case, "ratio", Some(found.ratio));
        check(case, "difference", Some(found.difference));
        check(case, "worst_group_index", Some(found.lowest as f64));
        check(case, "best_group_index", Some(found.highest as f64));
        assert_eq!(Some(found.passes_four_fifths()), case["expected"]["passes_four_fifths"].as_bool());
        let side = |group: usize| [k[group], n[group]];
        let interval = ratio::katz(side(found.lowest), side(found.highest), 0.95);
        assert_eq!(interval.is_some(), case["expected"].get("ratio_ci95_katz_log").is_some(), "{}", case["name"]);
        if let Some((low, high)) = interval {
            check_list(case, "ratio_ci95_katz_log", &[low, high]);
        }
        check_keys(
            case,
            &[
                "rates",
                "ratio",
                "difference",
                "worst_group_index",
                "best_group_index",
                "passes_four_fifths",
                "ratio_ci95_katz_log",
            ],
        );
    }
}
