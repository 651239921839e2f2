//! Checks the statistics about scorers against values computed elsewhere (tests/fixtures/stats-cases/README.md).

use std::collections::BTreeMap;

use serde_json::Value;
use tiltmeter::scorer::similarity::bleu::bleu;
use tiltmeter::scorer::similarity::cosine;
use tiltmeter::scorer::similarity::rouge::{rouge_l, stems};
use tiltmeter::stats::noise_floor::{Apart, Draw, noise_floor};
use tiltmeter::stats::permutation::sign_flip;
use tiltmeter::stats::random::{Address, Key};
use tiltmeter::stats::scorer_offset::{Offset, corrected, tipping_offset};
use tiltmeter::stats::student::t_two_sided_p;
use tiltmeter::stats::subgroup_auc::{Labelled, SubgroupAuc};
use tiltmeter::stats::{means, student};

fn cases(topic: &str) -> Vec<Value> {
    let path = format!("{}/tests/fixtures/stats-cases/{topic}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut file: Value = serde_json::from_str(&text).expect("a case file is JSON");
    file["cases"].as_array_mut().unwrap().drain(..).collect()
}

fn check(place: &str, got: Option<f64>, want: &Value) {
    let (Some(got), Some(want)) = (got, want.as_f64()) else { panic!("{place}: got {got:?}, want {want}") };
    assert!((got - want).abs() <= 1e-9_f64.max(1e-9 * want.abs()), "{place}: got {got}, want {want}");
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn key() -> Key {
    Address { seed: 0, suite: "cases", axis: "axis", pair: ["a", "b"], scorer: "score" }.key("sign flip of excess")
}

#[test]
fn excess_over_the_noise_floor_agrees_with_the_reference() {
    let mut seen = 0;
    for case in cases("noise_floor") {
        let Some(rows) = case["input"]["records"]["rows"].as_array() else { continue };
        let (place, want) = (case["name"].as_str().unwrap(), &case["expected"]);
        let groups: Vec<&str> =
            case["input"]["groups"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let scores: Vec<f64> = rows.iter().map(|row| row[5].as_f64().unwrap()).collect();
        let mut clusters: BTreeMap<(&str, &str), [Vec<Draw<'_>>; 2]> = BTreeMap::new();
        for (item, row) in rows.iter().enumerate() {
            let text = |index: usize| row[index].as_str().unwrap();
            let side = groups.iter().position(|group| *group == text(2)).unwrap();
            let draw = Draw { term: text(3), sample: row[4].as_u64().unwrap() as u32, item };
            clusters.entry((text(0), text(1))).or_default()[side].push(draw);
        }
        let apart: Vec<Apart> = clusters
            .values()
            .map(|[a, b]| Apart::of(a, &[b], false, &|i, j| (scores[i] - scores[j]).abs()).unwrap())
            .collect();
        let got = noise_floor(&apart, 1.0, 0.95, 9_999, &key());
        check(&format!("{place} between"), got.between, &want["between"]);
        check(&format!("{place} floor"), got.floor, &want["floor"]);
        check(&format!("{place} excess"), got.excess, &want["excess"]);
        check(&format!("{place} se"), got.se, &want["se"]);
        let (low, high) = got.interval.unwrap();
        check(&format!("{place} low"), Some(low), &want["ci95"][0]);
        check(&format!("{place} high"), Some(high), &want["ci95"][1]);
        check(&format!("{place} p"), got.p, &want["p_signflip_exact"]);
        let t = got.excess.unwrap() / got.se.unwrap();
        check(&format!("{place} p of t"), Some(t_two_sided_p(t, got.df.unwrap())), &want["p_t"]);
        seen += 1;
    }
    assert_eq!(seen, 5);
}

/// For yes and no, the sign-flip test on one pair a cluster is McNemar's exact test.
#[test]
fn discordant_pairs_give_the_exact_p_of_mcnemar() {
    for case in cases("noise_floor").iter().filter(|case| case["input"].get("table").is_some()) {
        let (place, want) = (case["name"].as_str().unwrap(), &case["expected"]);
        let count = |row: usize, column: usize| case["input"]["table"][row][column].as_u64().unwrap() as usize;
        // Pairs that agree are ties in every pattern; leaving them out keeps the enumeration exact.
        let differences = [vec![1.0; count(0, 1)], vec![-1.0; count(1, 0)]].concat();
        let all = (count(0, 0) + count(0, 1) + count(1, 0) + count(1, 1)) as f64;
        check(place, Some(differences.len() as f64 / all), &want["flip_rate"]);
        check(place, Some(differences.iter().sum::<f64>() / all), &want["net_flip"]);
        check(place, Some(sign_flip(&differences, 9_999, &key()).unwrap_or(1.0)), &want["p_exact"]);
    }
}

#[test]
fn the_gap_without_the_scorers_offset_agrees_with_welch() {
    let cases = cases("scorer_error");
    let case = cases.iter().find(|case| case["name"] == "identity_offset_subtraction").unwrap();
    let (differences, want) = (numbers(&case["input"]["D"]), &case["expected"]);
    let offset = Offset::of(&numbers(&case["input"]["scorer_offset"]), 1.0, 0.95).unwrap();
    let (gap, count) = (means::mean(&differences).unwrap(), differences.len() as f64);
    let se = means::sd(&differences).unwrap() / count.sqrt();
    let left = corrected(gap, se, count - 1.0, &offset, 1.0, 0.95).unwrap();
    let half = student::t_quantile(0.975, count - 1.0) * se;
    for (got, key) in [
        (Some(gap), "gap_raw"),
        (Some(offset.offset), "offset"),
        (Some(left.gap), "gap_corrected"),
        (Some(left.se), "se"),
        (Some(left.df), "df"),
        (Some(left.p), "p"),
        (tipping_offset(gap - half, gap + half), "tipping_offset_lower"),
    ] {
        check(key, got, &want[key]);
    }
    check("low", Some(left.interval.0), &want["ci95"][0]);
    check("high", Some(left.interval.1), &want["ci95"][1]);
    assert!(Offset::explains(offset.offset, gap));
}

#[test]
fn subgroup_aucs_agree_with_scikit_learn() {
    let cases = cases("generalised_fairness");
    let case = cases.iter().find(|case| case["name"] == "nuanced_metrics").unwrap();
    let (input, want) = (&case["input"], &case["expected"]);
    let (labels, members) = (numbers(&input["label"]), numbers(&input["in_subgroup"]));
    let texts: Vec<Labelled> = numbers(&input["score"])
        .into_iter()
        .zip(labels.iter().zip(&members))
        .map(|(score, (label, member))| Labelled { score, positive: *label == 1.0, in_subgroup: *member == 1.0 })
        .collect();
    let got = SubgroupAuc::of(&texts, input["threshold"].as_f64().unwrap());
    let difference = |a: Option<f64>, b: Option<f64>| Some((a? - b?).abs());
    for (value, key) in [
        (got.overall, "overall_auc"),
        (got.subgroup, "subgroup_auc"),
        (got.bpsn, "bpsn_auc"),
        (got.bnsp, "bnsp_auc"),
        (got.positive_aeg, "positive_aeg"),
        (got.negative_aeg, "negative_aeg"),
        (got.fpr, "fpr_subgroup"),
        (got.fpr_overall, "fpr_all"),
        (difference(got.fnr, got.fnr_overall), "fned_term"),
        (difference(got.fpr, got.fpr_overall), "fped_term"),
        (got.generalised(), "generalised_mean_p_minus5"),
    ] {
        check(key, value, &want[key]);
    }
}

fn tokens(list: &Value) -> Vec<Vec<String>> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|words| words.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect())
        .collect()
}

#[test]
fn similarities_of_texts_agree_with_langfair() {
    let mut seen = 0;
    for case in cases("langfair") {
        let (place, input) = (case["name"].as_str().unwrap(), &case["input"]);
        let texts = |key: &str| -> Vec<String> {
            input[key].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
        };
        let got: Vec<Option<f64>> = match place {
            "cosine_similarity" => {
                let vectors =
                    |key: &str| -> Vec<Vec<f64>> { input[key].as_array().unwrap().iter().map(numbers).collect() };
                let single = |vector: &Vec<f64>| vector.iter().map(|x| *x as f32).collect::<Vec<f32>>();
                let (a, b) = (vectors("embeddings1"), vectors("embeddings2"));
                a.iter().zip(&b).map(|(a, b)| cosine(&single(a), &single(b))).collect()
            }
            "bleu_min_direction_method1" => {
                let (a, b) = (tokens(&input["tokens1"]), tokens(&input["tokens2"]));
                a.iter().zip(&b).map(|(a, b)| Some(bleu(a, b))).collect()
            }
            name if name.starts_with("rouge_l") => {
                let (a, b) = (texts("texts1"), texts("texts2"));
                a.iter().zip(&b).map(|(a, b)| Some(rouge_l(&stems(a), &stems(b)))).collect()
            }
            _ => continue,
        };
        let want = numbers(&case["expected"]["pairwise"]);
        assert_eq!(got.len(), want.len(), "{place}");
        for (got, want) in got.iter().zip(&want) {
            // Vectors are f32 here, as an encoder gives them.
            let allowed = if place == "cosine_similarity" { 1e-6 } else { 1e-9 };
            assert!((got.unwrap() - want).abs() <= allowed, "{place}: got {got:?}, want {want}");
        }
        seen += 1;
    }
    assert_eq!(seen, 4);
}
