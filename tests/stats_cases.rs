//! Checks the default path of the statistics against values computed elsewhere (tests/fixtures/stats-cases/README.md).

use serde_json::Value;
use tiltmeter::analysis::{AxisPlan, GapRow, Plan, ScorerPlan, Tables, Unit, Verdict, analyze};
use tiltmeter::record::Record;
use tiltmeter::stats::equivalence::{Evidence, min_clusters, tost, verdict};
use tiltmeter::stats::gap::{Contrast, Gap, paired_gap};
use tiltmeter::stats::interval::clipped;
use tiltmeter::stats::matrix::{Matrix, Sample};
use tiltmeter::stats::permutation::sign_flip;
use tiltmeter::stats::random::Address;
use tiltmeter::stats::student::{t_quantile, t_two_sided_p};
use tiltmeter::stats::{adjust, effect, means};

const DEFAULT: f64 = 1e-9;

/// A case file's cases.
fn cases(topic: &str) -> Vec<Value> {
    let path = format!("{}/tests/fixtures/stats-cases/{topic}.json", FIXTURES);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut file: Value = serde_json::from_str(&text).expect("a case file is JSON");
    match file["cases"].take() {
        Value::Array(cases) => cases,
        _ => panic!("{path}: no cases"),
    }
}

const FIXTURES: &str = env!("CARGO_MANIFEST_DIR");

/// Passes when |got − want| ≤ max(abs, rel · |want|); null means `None`.
fn check(place: &str, got: Option<f64>, want: &Value, abs: f64) {
    match (got, want) {
        (None, Value::Null) => {}
        (Some(got), Value::Number(want)) => {
            let want = want.as_f64().unwrap();
            let allowed = abs.max(DEFAULT * want.abs());
            assert!((got - want).abs() <= allowed, "{place}: got {got}, want {want} within {allowed}");
        }
        _ => panic!("{place}: got {got:?}, want {want}"),
    }
}

fn check_pair(place: &str, got: (f64, f64), want: &Value, abs: f64) {
    check(&format!("{place} low"), Some(got.0), &want[0], abs);
    check(&format!("{place} high"), Some(got.1), &want[1], abs);
}

fn width_of(interval: &Value) -> f64 {
    interval[1].as_f64().unwrap() - interval[0].as_f64().unwrap()
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn records(table: &Value) -> Vec<Record> {
    let text = |cell: &Value| cell.as_str().unwrap().into();
    let row = |row: &Value| Record {
        suite: "cases".into(),
        model: "m".into(),
        template: text(&row[0]),
        context: text(&row[1]),
        axis: "axis".into(),
        group: text(&row[2]),
        term: text(&row[3]),
        sample: row[4].as_u64().unwrap() as u32,
        scorer: "score".into(),
        score: row[5].as_f64(),
    };
    table["rows"].as_array().unwrap().iter().map(row).collect()
}

fn matrix(records: &[Record]) -> Matrix {
    let sample = |record: &Record| record.score;
    Matrix::of(
        records
            .iter()
            .filter_map(|record| {
                Some(Sample {
                    template: &record.template,
                    context: &record.context,
                    group: &record.group,
                    term: &record.term,
                    score: sample(record)?,
                })
            })
            .collect(),
    )
}

fn gap_of(matrix: &Matrix, group: &str, others: &[&str]) -> Gap {
    let index = |name: &str| matrix.group(name).unwrap();
    let others = others.iter().map(|name| index(name)).collect();
    paired_gap(matrix, &Contrast { group: index(group), others, paired: false }, 1.0)
}

fn flip_p(differences: &[f64]) -> Option<f64> {
    let address = Address { seed: 0, suite: "cases", axis: "axis", pair: ["a", "b"], scorer: "score" };
    sign_flip(differences, 9_999, &address.key("sign flip"))
}

fn t_limits(gap: f64, se: f64, df: f64, level: f64) -> (f64, f64) {
    clipped(gap, t_quantile(0.5 + 0.5 * level, df) * se, 1.0)
}

fn plan(case: &Value) -> Plan {
    let input = &case["input"];
    let groups = input["groups"].as_array().map(|names| names.iter().map(|n| n.as_str().unwrap().to_owned()).collect());
    Plan {
        suite: "cases".into(),
        axes: vec![AxisPlan {
            name: "axis".into(),
            groups: groups.unwrap_or_default(),
            reference: input["reference"].as_str().map(str::to_owned),
            ..AxisPlan::default()
        }],
        scorers: vec![ScorerPlan {
            name: "score".into(),
            range: (0.0, 1.0),
            margin: input["margin"].as_f64(),
            direction: None,
        }],
        alpha: input["alpha"].as_f64().unwrap(),
        seed: 0,
        resamples: 9_999,
        generalise_to: Unit::Contexts,
    }
}

fn check_gap_row(place: &str, row: &GapRow, want: &Value) {
    let status = want["status"].as_str().unwrap();
    assert_eq!(row.status.as_str(), status, "{place}");
    assert_eq!(row.verdict.map(Verdict::as_str), want["verdict"].as_str(), "{place}");
    assert_eq!(row.clusters as u64, want["n_clusters"].as_u64().unwrap(), "{place}");
    check(&format!("{place} p_holm"), row.p_adjusted, &want["p_holm"], if row.clusters > 16 { 0.04 } else { DEFAULT });
    let optional = |key: &str, got: Option<f64>, abs: f64| match want.get(key) {
        Some(want) => check(&format!("{place} {key}"), got, want, abs),
        None => assert_eq!(got, None, "{place} {key}"),
    };
    optional("gap", row.gap, DEFAULT);
    optional("p", row.p, if row.clusters > 16 { 0.02 } else { DEFAULT });
    optional("sd", row.sd, DEFAULT);
    optional("se", row.se, DEFAULT);
    optional("df", row.df, DEFAULT);
    optional("d_z", row.d_z, DEFAULT);
    optional("v_added", row.se_terms.map(|se| se * se), DEFAULT);
    for (key, low, high) in [("ci95", row.low, row.high), ("ci90", row.low90, row.high90)] {
        match want.get(key) {
            Some(want) => {
                let abs = if status == "zero_variance" { DEFAULT } else { 0.06 * width_of(want) };
                check_pair(&format!("{place} {key}"), (low.unwrap(), high.unwrap()), want, abs);
            }
            None => assert_eq!((low, high), (None, None), "{place} {key}"),
        }
    }
}

#[test]
fn the_default_path_gives_the_reference_tables_and_verdicts() {
    for case in cases("default_path") {
        let name = case["name"].as_str().unwrap();
        let tables: Tables = analyze(&records(&case["input"]["records"]), &plan(&case)).unwrap();
        let expected = &case["expected"];
        for (group, want) in expected["means"].as_object().unwrap() {
            let row = tables.groups.iter().find(|row| row.group == *group).unwrap();
            check(&format!("{name} mean {group}"), row.mean, want, DEFAULT);
        }
        let gaps = expected["gaps"].as_object().unwrap();
        assert_eq!(tables.gaps.len(), gaps.len(), "{name}");
        for (group, want) in gaps {
            let row = tables.gaps.iter().find(|row| row.group == *group).unwrap();
            check_gap_row(&format!("{name} {group}"), row, want);
        }
        let verdict = tables.suite_verdict().map(Verdict::as_str);
        assert_eq!(verdict, expected["suite_verdict"].as_str(), "{name}");
        for (group, want) in expected["missingness"].as_object().into_iter().flatten() {
            let row = tables.gaps.iter().find(|row| row.group == *group).unwrap();
            check(&format!("{name} unscored gap"), row.unscored_gap, &want["gap"], DEFAULT);
            check(&format!("{name} unscored p"), row.unscored_p, &want["p"], 0.02);
        }
    }
}

/// The parts that rows do not carry: variance components and the t interval.
#[test]
fn the_default_path_has_the_reference_variance_components() {
    for case in cases("default_path") {
        let name = case["name"].as_str().unwrap();
        let matrix = matrix(&records(&case["input"]["records"]));
        for (group, want) in case["expected"]["gaps"].as_object().unwrap() {
            if want.get("v_cell").is_none() {
                continue;
            }
            let others: Vec<&str> = match case["input"]["reference"].as_str() {
                Some(reference) => vec![reference],
                None => matrix.groups.iter().map(String::as_str).filter(|other| other != group).collect(),
            };
            let gap = gap_of(&matrix, group, &others);
            let (centre, error) = (gap.gap.unwrap(), gap.error.unwrap());
            let place = format!("{name} {group}");
            check(&place, Some(error.v_cluster.sqrt()), &want["se_cluster"], DEFAULT);
            if want["status"] == "zero_variance" {
                continue;
            }
            check(&place, Some(error.v_term), &want["v_realisation"], DEFAULT);
            check(&place, Some(error.v_cell), &want["v_cell"], DEFAULT);
            check(&place, Some(t_two_sided_p(centre / error.se, error.df)), &want["p_t"], DEFAULT);
            check_pair(&place, t_limits(centre, error.se, error.df, 0.95), &want["ci95_t"], DEFAULT);
            check_pair(&place, t_limits(centre, error.se, error.df, 0.90), &want["ci90_t"], DEFAULT);
            let tolerance = if gap.clusters.len() > 16 { 0.02 } else { DEFAULT };
            check(&place, flip_p(&gap.differences), &want["p_signflip"], tolerance);
        }
    }
}

#[test]
fn paired_gaps_agree_with_scipy() {
    for case in cases("paired_gap") {
        let name = case["name"].as_str().unwrap();
        let matrix = matrix(&records(&case["input"]["records"]));
        let expected = &case["expected"];
        let Some(group) = case["input"]["group"].as_str() else {
            check_one_against_rest(name, &matrix, expected);
            continue;
        };
        let gap = gap_of(&matrix, group, &[case["input"]["reference"].as_str().unwrap()]);
        let (centre, error) = (gap.gap.unwrap(), gap.error.unwrap());
        let se = error.v_cluster.sqrt();
        let df = (gap.clusters.len() - 1) as f64;
        for (key, want) in expected.as_object().unwrap() {
            let abs = case["tolerance"][key]["abs"].as_f64().unwrap_or(DEFAULT);
            let place = format!("{name} {key}");
            let of_group =
                |prefix: &str| key.strip_prefix(prefix).map(|name| matrix.cell_means(matrix.group(name).unwrap()));
            let got = match key.as_str() {
                "n_clusters" => Some(gap.clusters.len() as f64),
                "gap" => Some(centre),
                "se" => Some(se),
                "df" => Some(df),
                "t" => Some(centre / se),
                "p_t" => Some(t_two_sided_p(centre / se, df)),
                "d_z" => effect::d_z(&gap.differences),
                "p_signflip_exact" | "p_signflip_mc" => flip_p(&gap.differences),
                "ci95" | "ci90" => {
                    let level = if key == "ci95" { 0.95 } else { 0.90 };
                    check_pair(&place, t_limits(centre, se, df, level), want, abs);
                    continue;
                }
                key if key.starts_with("mean_") => means::mean(&of_group("mean_").unwrap()),
                key if key.starts_with("n_") => Some(of_group("n_").unwrap().len() as f64),
                other => panic!("{name}: nothing computes {other}"),
            };
            check(&place, got, want, abs);
        }
    }
}

fn check_one_against_rest(name: &str, matrix: &Matrix, expected: &Value) {
    for (group, want) in expected.as_object().unwrap() {
        let others: Vec<&str> = matrix.groups.iter().map(String::as_str).filter(|other| other != group).collect();
        let gap = gap_of(matrix, group, &others);
        let (centre, error) = (gap.gap.unwrap(), gap.error.unwrap());
        let groups = matrix.groups.len() as f64;
        let place = format!("{name} {group}");
        check(&place, Some(centre), &want["gap_vs_rest"], DEFAULT);
        check(&place, Some(centre * (groups - 1.0) / groups), &want["gap_vs_grand_mean"], DEFAULT);
        check(&place, Some(error.v_cluster.sqrt()), &want["se"], DEFAULT);
        let df = (gap.clusters.len() - 1) as f64;
        check(&place, Some(t_two_sided_p(centre / error.v_cluster.sqrt(), df)), &want["p_t"], DEFAULT);
        check(&place, flip_p(&gap.differences), &want["p_signflip_exact"], DEFAULT);
    }
}

#[test]
fn two_way_errors_agree_with_the_reference() {
    for case in cases("two_way_names") {
        let place = case["name"].as_str().unwrap();
        let matrix = matrix(&records(&case["input"]["records"]));
        let pick = |key: &str| case["input"][key].as_str().unwrap();
        let gap = gap_of(&matrix, pick("group"), &[pick("reference")]);
        let (centre, error, want) = (gap.gap.unwrap(), gap.error.unwrap(), &case["expected"]);
        let one_way = error.v_cluster.sqrt();
        for (got, key) in [
            (centre, "gap"),
            (error.v_cluster, "v_cluster"),
            (error.v_term, "v_realisation"),
            (error.v_cell, "v_cell"),
            (error.v_added, "v_added"),
            (one_way, "se_one_way"),
            (error.se, "se_two_way"),
            (error.df, "df"),
            (t_two_sided_p(centre / one_way, (gap.clusters.len() - 1) as f64), "p_one_way"),
            (t_two_sided_p(centre / error.se, error.df), "p_two_way"),
        ] {
            // Variances are near 1e-4: an absolute 1e-9 alone would test little.
            let abs = if key.starts_with("v_") { 1e-13 } else { DEFAULT };
            check(&format!("{place} {key}"), Some(got), &want[key], abs);
        }
        check_pair(place, t_limits(centre, error.se, error.df, 0.95), &want["ci95_two_way"], DEFAULT);
    }
}

#[test]
fn means_quantiles_and_proportions_agree_with_scipy() {
    for case in cases("means_ci") {
        let name = case["name"].as_str().unwrap();
        let (input, want) = (&case["input"], &case["expected"]);
        if input.get("x").is_some() {
            let x = numbers(&input["x"]);
            check(name, means::mean(&x), &want["mean"], DEFAULT);
            check(name, means::sd(&x), &want["sd"], DEFAULT);
            check(name, means::sd(&x).map(|sd| sd / (x.len() as f64).sqrt()), &want["se"], DEFAULT);
            check_pair(name, means::t_interval(&x, 0.95).unwrap(), &want["ci95"], DEFAULT);
            check_pair(name, means::t_interval(&x, 0.90).unwrap(), &want["ci90"], DEFAULT);
            for (key, q) in [("q05", 0.05), ("q25", 0.25), ("median", 0.5), ("q75", 0.75), ("q95", 0.95)] {
                check(&format!("{name} {key}"), means::quantile(&x, q), &want[key], DEFAULT);
            }
        } else if let Some(k) = input["k"].as_u64() {
            let n = input["n"].as_u64().unwrap();
            check(name, Some(k as f64 / n as f64), &want["p"], DEFAULT);
            check_pair(name, means::wilson(k, n, 0.95).unwrap(), &want["wilson95"], DEFAULT);
            check_pair(name, means::clopper_pearson(k, n, 0.95).unwrap(), &want["clopper_pearson95"], DEFAULT);
        } else {
            let records = records(&input["records"]);
            let mut clusters: std::collections::BTreeMap<(&str, &str), Vec<f64>> = Default::default();
            for record in &records {
                clusters.entry((&record.template, &record.context)).or_default().extend(record.score);
            }
            let clusters: Vec<Vec<f64>> = clusters.into_values().collect();
            let got = means::clustered_mean(&clusters, 0.95).unwrap();
            for (value, key) in [
                (Some(got.records as f64), "n_records"),
                (Some(got.clusters as f64), "n_clusters"),
                (Some(got.mean), "mean"),
                (Some(got.se_uncorrected), "se_uncorrected_cr0"),
                (Some(got.se), "se_cluster"),
                (Some(got.se_naive), "se_naive_iid"),
                (got.design_effect, "design_effect"),
            ] {
                check(&format!("{name} {key}"), value, &want[key], DEFAULT);
            }
            check_pair(name, got.interval, &want["ci95"], DEFAULT);
        }
    }
}

#[test]
fn adjusted_p_values_agree_with_statsmodels() {
    type Adjust = fn(&[f64]) -> Vec<f64>;
    let methods: [(&str, Adjust); 4] = [
        ("holm", adjust::holm),
        ("bh", adjust::benjamini_hochberg),
        ("by", adjust::benjamini_yekutieli),
        ("bonferroni", adjust::bonferroni),
    ];
    for case in cases("multiplicity") {
        let p = numbers(&case["input"]["p"]);
        let alpha = case["input"]["alpha"].as_f64().unwrap();
        for (method, adjust) in methods {
            let place = format!("{} {method}", case["name"]);
            let rejected = case["expected"][format!("{method}_reject_05")].as_array().unwrap();
            let want = case["expected"][method].as_array().unwrap();
            for ((got, want), rejected) in adjust(&p).into_iter().zip(want).zip(rejected) {
                check(&place, Some(got), want, DEFAULT);
                assert_eq!(got <= alpha, rejected.as_bool().unwrap(), "{place}");
            }
        }
    }
}

#[test]
fn equivalence_tests_agree_with_statsmodels() {
    for case in cases("tost") {
        let (name, want) = (case["name"].as_str().unwrap(), &case["expected"]);
        let (a, b) = (numbers(&case["input"]["a"]), numbers(&case["input"]["b"]));
        let margin = case["input"]["margin"].as_f64().unwrap();
        let alpha = case["input"]["alpha"].as_f64().unwrap();
        let differences: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
        let (n, gap) = (differences.len(), means::mean(&differences).unwrap());
        let se = means::sd(&differences).unwrap() / (n as f64).sqrt();
        let test = tost(&differences, margin).unwrap();
        let p = t_two_sided_p(gap / se, n as f64 - 1.0);
        for (got, key) in [
            (gap, "gap"),
            (test.p, "p_tost"),
            (test.t_lower, "t_lower"),
            (test.p_lower, "p_lower"),
            (test.t_upper, "t_upper"),
            (test.p_upper, "p_upper"),
            (p, "p_two_sided_t"),
        ] {
            check(&format!("{name} {key}"), Some(got), &want[key], DEFAULT);
        }
        let interval = t_limits(gap, se, n as f64 - 1.0, 1.0 - 2.0 * alpha);
        check_pair(name, interval, &want["ci90_t"], DEFAULT);
        let least = min_clusters(margin, 1.0, alpha).map(|least| least as f64);
        check(name, least, &want["min_clusters_for_equivalence"], 0.0);
        let evidence = Evidence { clusters: n, interval: Some(interval), p_adjusted: Some(p) };
        assert_eq!(verdict(&evidence, margin, 1.0, alpha).as_str(), want["verdict_t"].as_str().unwrap(), "{name}");
    }
}

#[test]
fn rows_of_gaps_have_the_equivalence_test_of_the_reference() {
    for case in cases("tost") {
        let (name, want) = (case["name"].as_str().unwrap(), &case["expected"]);
        let side = |group: &str, key: &str| -> Vec<Record> {
            let record = |(context, score): (usize, f64)| Record {
                suite: "cases".into(),
                model: "m".into(),
                template: "t".into(),
                context: format!("c{context:03}").into(),
                axis: "axis".into(),
                group: group.into(),
                term: "x".into(),
                sample: 0,
                scorer: "score".into(),
                score: Some(score),
            };
            numbers(&case["input"][key]).into_iter().enumerate().map(record).collect()
        };
        let records = [side("a", "a"), side("b", "b")].concat();
        let mut plan = Plan::of_records(records.iter(), 0);
        plan.axes[0].reference = Some("b".into());
        plan.scorers[0].range = (-1.0, 1.0);
        plan.scorers[0].margin = case["input"]["margin"].as_f64();
        let row = &analyze(&records, &plan).unwrap().gaps[0];
        check(name, row.gap, &want["gap"], DEFAULT);
        check(name, row.p_equivalence, &want["p_tost"], DEFAULT);
        let least = min_clusters(row.margin.unwrap(), 2.0, 0.05);
        assert_eq!(row.clusters_least, least, "{name}");
    }
}
