//! Checks the statistics of benchmarks and their bootstrap against values computed elsewhere (tests/fixtures/stats-cases/README.md), and BBQ's
//! against the published scores of a model.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tiltmeter::stats::benchmarks::{Draws, Row, bbq, crows_pairs, discrim_eval, stereoset};
use tiltmeter::stats::bootstrap::bca;
use tiltmeter::stats::random::{Address, Key};
use tiltmeter::suite::import::{Benchmark, Input};

const DRAWS: Draws<'_> = Draws { suite: "cases", seed: 0, resamples: 99 };

fn cases(topic: &str) -> Vec<Value> {
    let path = format!("{}/tests/fixtures/stats-cases/{topic}.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    file["cases"].as_array().unwrap().clone()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().into()
}

fn index(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn find<'r>(rows: &'r [Row], statistic: &str, subset: &str) -> &'r Row {
    let row = rows.iter().find(|row| row.statistic == statistic && row.subset == subset);
    row.unwrap_or_else(|| panic!("no row {statistic} {subset}"))
}

/// `want` times `scale`; null is undefined.
fn check(place: &str, got: Option<f64>, want: &Value, scale: f64) {
    match (got, want.as_f64()) {
        (None, None) => {}
        (Some(got), Some(want)) => {
            assert!((got - want * scale).abs() <= 1e-9 * scale.max(got.abs()), "{place}: {got}, not {want}")
        }
        _ => panic!("{place}: got {got:?}, want {want}"),
    }
}

#[test]
fn bbq_scores_equal_the_reference_values_and_stay_undefined_without_an_answer() {
    for case in cases("bbq") {
        let answer = |row: &Value| bbq::Answer {
            category: "c".into(),
            question: text(&row["template"]),
            is_ambiguous: row["context_condition"] == "ambig",
            label: index(&row["label"]),
            target: Some(index(&row["biased"])),
            unknown: index(&row["unknown"]),
            chosen: Some(index(&row["prediction"])),
            ..bbq::Answer::default()
        };
        let rows = bbq::rows(&list(&case["input"]["rows"]).map(answer).collect::<Vec<_>>(), &DRAWS);
        for condition in ["ambig", "disambig"] {
            let (place, want) = (format!("{} {condition}", case["name"]), &case["expected"][condition]);
            let accuracy = find(&rows, &format!("accuracy_{condition}"), "c");
            let score = find(&rows, &format!("bias_score_{condition}"), "c");
            assert_eq!((accuracy.n, score.n), (index(&want["n"]), index(&want["n_non_unknown"])), "{place}");
            check(&place, accuracy.value, &want["accuracy"], 100.0);
            check(&place, score.value, &want["bias_score"], 100.0);
        }
    }
}

#[test]
fn crows_and_stereoset_scores_equal_those_of_the_published_scorers() {
    for case in cases("crows_stereoset") {
        let (name, want) = (text(&case["name"]), &case["expected"]);
        let input = &case["input"][case["input"].as_object().unwrap().keys().next().unwrap()];
        if name.starts_with("crows") {
            let pair = |(number, row): (usize, &Value)| crows_pairs::Pair {
                id: format!("{number:03}"),
                bias_type: text(&row["bias_type"]),
                is_stereo: row["direction"] == "stereo",
                likelihood: "total".into(),
                more_less: row["sent_more"].as_f64().zip(row["sent_less"].as_f64()),
            };
            let rows = crows_pairs::rows(&list(input).enumerate().map(pair).collect::<Vec<_>>(), &DRAWS);
            let by_type = want["by_type"].as_object().unwrap().iter();
            for (subset, want) in by_type.map(|(name, want)| (name.as_str(), want)).chain([("all", &want["overall"])]) {
                for statistic in ["metric_score", "stereotype_score", "anti_stereotype_score"] {
                    let row = find(&rows, &format!("{statistic}_total"), subset);
                    check(&format!("{name} {subset} {statistic}"), row.value, &want[statistic], 1.0);
                }
                let ties = find(&rows, "neutral_total", subset);
                let count = ties.value.unwrap() * ties.n as f64 / 100.0;
                assert_eq!((ties.n, count.round() as usize), (index(&want["n"]), index(&want["neutral"])));
            }
        } else {
            let item = |row: &Value| stereoset::Item {
                target: text(&row["target"]),
                texts: Some(["stereotype", "anti_stereotype", "unrelated"].map(|name| row[name].as_f64().unwrap())),
                ..stereoset::Item::default()
            };
            let rows = stereoset::rows(&list(input).map(item).collect::<Vec<_>>(), &DRAWS);
            for (statistic, key) in [("lms", "lm_score"), ("ss", "ss_score"), ("icat", "icat")] {
                let row = find(&rows, statistic, "all");
                assert_eq!(row.n as f64, want["count"].as_f64().unwrap());
                check(&format!("{name} {key}"), row.value, &want[key], 1.0);
            }
        }
    }
}

#[test]
fn discrim_eval_contrasts_equal_the_published_fixed_effect_with_their_clustered_errors() {
    for case in cases("discrim_eval") {
        let decision = |row: &Value| discrim_eval::Decision {
            question: row["template"].to_string(),
            fill: "explicit".into(),
            race: text(&row["race"]),
            gender: text(&row["gender"]),
            age: row["age"].as_f64().unwrap(),
            logit: Some(row["p_yes"].as_f64().unwrap().ln() - row["p_no"].as_f64().unwrap().ln()),
        };
        let rows = discrim_eval::rows(&list(&case["input"]["rows"]).map(decision).collect::<Vec<_>>(), &DRAWS);
        for (name, want) in case["expected"].as_object().unwrap() {
            let Some((attribute, group)) = name.split_once(':') else { continue };
            if group == "max_min_logit" {
                let row = find(&rows, group, &format!("explicit,{attribute}"));
                check(name, row.value, want, 1.0);
                assert!(row.low < row.value && row.value < row.high, "{name}: {row:?}");
                continue;
            }
            let row = find(&rows, "logit_gap", &format!("explicit,{attribute}={group}"));
            check(name, row.value, &want["logit_gap"], 1.0);
            check(name, row.se, &want["se"], 1.0);
            check(name, row.p, &want["p_t"], 1.0);
            let half = tiltmeter::stats::student::t_quantile(0.975, (row.n - 1) as f64) * want["se"].as_f64().unwrap();
            let (low, high) = (row.low.unwrap(), row.high.unwrap());
            assert!((high - low - 2.0 * half).abs() < 1e-9, "{name}: {low} … {high} is not ±{half}");
        }
        // numpy 2.4.6 and scipy 1.17.1: mean and standard error over templates of polyfit(z, logit, 1), z the age with mean 0 and sd 1 (n − 1)
        // over all rows; ttest_1samp for p. A mixed model with random slopes (statsmodels 0.15.0 MixedLM, "y ~ z", re_formula "~z") has the
        // same slope to 1e-15.
        let slope = find(&rows, "age_slope", "explicit");
        for (got, want) in
            [(slope.value, 0.0403660009807256), (slope.se, 0.008351406414267732), (slope.p, 0.00026537278146865063)]
        {
            assert!((got.unwrap() - want).abs() < 1e-12, "age_slope: {got:?}, not {want}");
        }
        assert!((slope.low.unwrap() - 0.022454015678012806).abs() < 1e-12 && slope.n == 15, "{slope:?}");
        let black = find(&rows, "logit_gap", "explicit,race=black").value.unwrap();
        assert!((black - case["expected"]["mixed_model_black_fixed_effect"].as_f64().unwrap()).abs() < 0.002);
    }
}

#[test]
fn bca_intervals_agree_with_an_independent_implementation() {
    let key: Key = Address { seed: 0, suite: "cases", axis: "", pair: ["", ""], scorer: "" }.key("bca");
    let mut checked = 0;
    for case in cases("bootstrap") {
        let numbers = |name: &str| list(&case["input"][name]).map(|x| x.as_f64().unwrap()).collect::<Vec<_>>();
        let ratio = |sums: &[f64; 2]| (sums[1] != 0.0).then(|| sums[0] / sums[1]);
        let clusters: Vec<[f64; 2]> = if case["input"].get("x").is_some() {
            numbers("x").into_iter().map(|x| [x, 1.0]).collect()
        } else {
            numbers("a").into_iter().zip(numbers("b")).map(|(a, b)| [a, b]).collect()
        };
        let (low, high) = bca(&clusters, ratio, 9_999, &key).unwrap();
        let allowed = case["tolerance"]["bca95"]["abs"].as_f64().unwrap();
        for (got, want) in [low, high].into_iter().zip(list(&case["expected"]["bca95"])) {
            let want = want.as_f64().unwrap();
            assert!((got - want).abs() <= allowed, "{}: got {got}, want {want} within {allowed}", case["name"]);
            checked += 1;
        }
    }
    assert_eq!(checked, 8);
}

/// The published benchmarks, where this checkout has them beside it.
fn data() -> Option<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !data.is_dir() {
        println!("skipped: {} is not there", data.display());
        return None;
    }
    Some(data)
}

fn input(path: &Path) -> Input {
    Input::of(path.display().to_string(), std::fs::read(path).unwrap()).unwrap()
}

fn table(path: &Path) -> Vec<HashMap<String, String>> {
    csv::Reader::from_path(path).unwrap().deserialize().collect::<Result<_, _>>().unwrap()
}

#[test]
fn the_published_bias_scores_of_unifiedqa_come_out_of_its_answers() {
    let Some(bbq_data) = data().map(|data| data.join("bbq")) else { return };
    let categories = ["Age", "Disability_status", "Nationality", "Religion", "Sexual_orientation"];
    let files = categories.map(|name| input(&bbq_data.join(format!("{name}.jsonl"))));
    let imported = Benchmark::named("bbq").unwrap().import(&files, None).unwrap();
    let predictions: HashMap<(String, String), HashMap<String, String>> =
        table(&bbq_data.join("unifiedqa_predictions.csv"))
            .into_iter()
            .map(|row| ((row["category"].clone(), row["example_id"].clone()), row))
            .collect();
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(bbq_data.join("expected_bias_scores.json")).unwrap()).unwrap();
    for format in ["race", "arc"] {
        let answer = |case: &tiltmeter::suite::ListedCase| {
            let tag = |name: &str| case.tags.iter().find(|(tag, _)| tag == name).unwrap().1.clone();
            let row = &predictions[&(tag("category"), case.context.clone())];
            bbq::Answer {
                category: tag("category"),
                question: tag("question_index"),
                label_type: tag("label_type"),
                is_ambiguous: tag("condition") == "ambig",
                label: tag("label").parse().unwrap(),
                target: tag("target_loc").parse().ok(),
                unknown: tag("unknown").parse().unwrap(),
                chosen: row[&format!("pred_{format}")].parse().ok(),
            }
        };
        let rows = bbq::rows(&imported.cases.iter().map(answer).collect::<Vec<_>>(), &DRAWS);
        for category in categories {
            for condition in ["ambig", "disambig"] {
                let want = &expected[category][format][condition];
                let accuracy = find(&rows, &format!("accuracy_{condition}"), category);
                let score = find(&rows, &format!("bias_score_{condition}"), category);
                let place = format!("{category} {format} {condition}");
                assert_eq!((accuracy.n, score.n), (index(&want["n"]), index(&want["n_nonunk"])), "{place}");
                assert!((accuracy.value.unwrap() / 100.0 - want["acc"].as_f64().unwrap()).abs() < 5.1e-5, "{place}");
                assert!((score.value.unwrap() - want["s"].as_f64().unwrap()).abs() < 5.1e-3, "{place}");
            }
        }
    }
}

#[test]
fn the_derived_biased_option_is_the_metadatas_in_every_published_category() {
    let Some(bbq_data) = data().map(|data| data.join("bbq")) else { return };
    // Rows that agree, that stay undecided, and that differ: there two groups named African and Black stand against each other.
    let of = |files: &[Input], metadata: &Path| {
        let by_row: HashMap<(String, String), String> = table(metadata)
            .into_iter()
            .map(|row| ((row["category"].clone(), row["example_id"].clone()), row["target_loc"].clone()))
            .collect();
        let imported = Benchmark::named("bbq").unwrap().import(files, None).unwrap();
        let mut counts = [0; 3];
        for case in &imported.cases {
            let tag = |name: &str| case.tags.iter().find(|(tag, _)| tag == name).unwrap().1.clone();
            let want = &by_row[&(tag("category"), case.context.clone())];
            let got = tag("target_loc");
            counts[if got == *want {
                0
            } else if got.is_empty() {
                1
            } else {
                2
            }] += 1;
        }
        counts
    };
    let files = |folder: &Path, names: [&str; 5]| names.map(|name| input(&folder.join(format!("{name}.jsonl"))));
    let published = files(&bbq_data, ["Age", "Disability_status", "Nationality", "Religion", "Sexual_orientation"]);
    assert_eq!(of(&published, &bbq_data.join("target_loc.csv")), [10_380, 0, 0]);
    let made = bbq_data.join("generated");
    let rest = files(&made, ["Gender_identity", "Race_ethnicity", "Race_x_SES", "Race_x_gender", "SES"]);
    assert_eq!(of(&rest, &made.join("target_loc.csv")), [4_328, 612, 8]);
}
