//! Checks the comparison of two versions against values computed elsewhere (tests/fixtures/stats-cases/README.md).

use serde_json::Value;
use tiltmeter::stats::compare::{Change, Versions, change};
use tiltmeter::stats::gap::Contrast;
use tiltmeter::stats::matrix::{Matrix, Sample};
use tiltmeter::stats::student::{t_quantile, t_two_sided_p};

/// |got − want| ≤ max(1e-9, 1e-9 · |want|), or the case's own tolerance.
fn check(place: &str, got: Option<f64>, want: &Value) {
    let (Some(got), Some(want)) = (got, want.as_f64()) else { panic!("{place}: got {got:?}, want {want}") };
    assert!((got - want).abs() <= 1e-9_f64.max(1e-9 * want.abs()), "{place}: got {got}, want {want}");
}

/// One score a cluster and group, the clusters as contexts of one template.
fn matrix(rows: &Value) -> Matrix {
    let rows = rows.as_array().unwrap();
    let contexts: Vec<String> = (0..rows.len()).map(|context| format!("{context:04}")).collect();
    let samples = rows.iter().zip(&contexts).flat_map(|(row, context)| {
        ["group", "reference"].into_iter().enumerate().map(move |(side, group)| Sample {
            template: "t",
            context,
            group,
            term: group,
            score: row[side].as_f64().unwrap(),
        })
    });
    Matrix::of(samples.collect())
}

fn compared(input: &Value) -> Change {
    let versions = Versions::of(&matrix(&input["A"]), &matrix(&input["B"]));
    change(&versions, &Contrast { group: 0, others: vec![1], paired: false }, 1.0)
}

#[test]
fn comparisons_of_two_versions_agree_with_scipy() {
    let text = include_str!("fixtures/stats-cases/model_compare.json");
    let file: Value = serde_json::from_str(text).unwrap();
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let change = compared(&case["input"]);
        let did = change.change.gap.unwrap();
        let error = change.change.error.unwrap();
        for (key, want) in case["expected"].as_object().unwrap() {
            let place = format!("{} {key}", case["name"]);
            let got = match key.as_str() {
                "p_regression" => change.p_regression(),
                "p_improvement" => change.p_improvement(),
                "gap_A" => change.base.gap,
                "gap_B" => change.candidate.gap,
                "did" => Some(did),
                "se" => Some(error.se),
                "p_t" => Some(t_two_sided_p(did / error.se, error.df)),
                "ci95" => {
                    let half = t_quantile(0.975, error.df) * error.se;
                    check(&place, Some(did - half), &want[0]);
                    check(&place, Some(did + half), &want[1]);
                    continue;
                }
                "abs_change" => change.in_size(),
                "abs_change_upper" => change.upper(0.95),
                "corr_DA_DB" => change.correlation(),
                "se_if_unpaired" => change.se_unpaired(),
                _ => panic!("{place}: no test for this key"),
            };
            check(&place, got, want);
        }
    }
}
