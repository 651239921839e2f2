//! Checks the statistics of the literature and of screening against values computed elsewhere (tests/fixtures/stats-cases/README.md).

use serde_json::Value;
use tiltmeter::stats::fairness::{Fairness, METRICS, OfPrompt, share_above};
use tiltmeter::stats::gap::{Contrast, paired_gap};
use tiltmeter::stats::matrix::{Matrix, Sample};
use tiltmeter::stats::means;
use tiltmeter::stats::random::Address;
use tiltmeter::stats::recommendation::{jaccard, prag, serp};
use tiltmeter::stats::sequential::ConfidenceSequence;
use tiltmeter::stats::shrinkage::{heterogeneity, paule_mandel, shrink};
use tiltmeter::stats::weat::{association, weat};

fn cases(topic: &str) -> Vec<Value> {
    let path = format!("{}/tests/fixtures/stats-cases/{topic}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut file: Value = serde_json::from_str(&text).expect("a case file is JSON");
    file["cases"].as_array_mut().unwrap().drain(..).collect()
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// Checks every expected key of a case; `got` says what was computed under it.
fn check(case: &Value, got: impl Fn(&str) -> Vec<Option<f64>>) {
    for (key, want) in case["expected"].as_object().unwrap() {
        let place = format!("{} {key}", case["name"]);
        let abs = case["tolerance"][key]["abs"].as_f64().unwrap_or(1e-9);
        let want: Vec<Option<f64>> = match want {
            Value::Array(list) => list.iter().map(Value::as_f64).collect(),
            one => vec![one.as_f64()],
        };
        let got = got(key);
        assert_eq!(got.len(), want.len(), "{place}: {got:?}");
        for (got, want) in got.iter().zip(&want) {
            match (got, want) {
                (None, None) => {}
                (Some(got), Some(want)) => {
                    assert!((got - want).abs() <= abs.max(1e-9 * want.abs()), "{place}: got {got}, want {want}")
                }
                _ => panic!("{place}: got {got:?}, want {want:?}"),
            }
        }
    }
}

#[test]
fn shrunken_cells_agree_with_statsmodels() {
    for case in cases("shrinkage") {
        let (y, v) = (numbers(&case["input"]["estimate"]), numbers(&case["input"]["variance"]));
        let spread = heterogeneity(&y, &v).unwrap();
        let shrunken = shrink(&y, &v, spread.tau2).unwrap();
        check(&case, |key| match key {
            "q" => vec![Some(spread.q)],
            "i2" => vec![Some(spread.i2)],
            "tau2_dl" => vec![Some(spread.tau2)],
            "tau2_pm" => vec![paule_mandel(&y, &v)],
            "mu_dl" => vec![Some(shrunken.mean)],
            "se_mu_dl" => vec![Some(shrunken.se)],
            "shrunk_dl" => shrunken.cells.iter().map(|cell| Some(cell.value)).collect(),
            "post_sd_dl" => shrunken.cells.iter().map(|cell| Some(cell.sd)).collect(),
            other => panic!("nothing gives {other}"),
        });
    }
}

#[test]
fn the_confidence_sequence_agrees_with_truescore_at_every_moment() {
    for case in cases("sequential") {
        let (input, want) = (&case["input"], &case["expected"]);
        let bounds = numbers(&input["bounds"]);
        let mut sequence = ConfidenceSequence::new((bounds[0], bounds[1]), input["alpha"].as_f64().unwrap()).unwrap();
        let so_far: Vec<(f64, f64)> = numbers(&input["x"]).into_iter().map(|x| sequence.push(x).unwrap()).collect();
        let at: Vec<usize> = numbers(&want["at_index"]).into_iter().map(|index| index as usize).collect();
        let excludes = so_far.iter().position(|(low, high)| *low > 0.0 || *high < 0.0);
        check(&case, |key| match key {
            "at_index" => at.iter().map(|index| Some(*index as f64)).collect(),
            "lower" => at.iter().map(|index| Some(so_far[*index].0)).collect(),
            "upper" => at.iter().map(|index| Some(so_far[*index].1)).collect(),
            "first_exclusion_of_zero" => vec![excludes.map(|index| (index + 1) as f64)],
            other => panic!("nothing gives {other}"),
        });
    }
}

#[test]
fn associations_and_their_exact_p_agree_with_an_enumeration() {
    for case in cases("weat") {
        let vectors =
            |name: &str| -> Vec<Vec<f64>> { case["input"][name].as_array().unwrap().iter().map(numbers).collect() };
        let (a, b) = (vectors("A"), vectors("B"));
        let s =
            |name: &str| -> Vec<f64> { vectors(name).iter().map(|word| association(word, &a, &b).unwrap()).collect() };
        let (x, y) = (s("X"), s("Y"));
        let key = |purpose: &str| {
            Address { seed: 0, suite: "cases", axis: "", pair: ["X", "Y"], scorer: "weat" }.key(purpose)
        };
        let got = weat(&x, &y, 9_999, key).unwrap();
        let n = (x.len() + y.len()) as f64;
        let size = got.effect_size.unwrap();
        check(&case, |name| match name {
            "s" => x.iter().chain(&y).map(|s| Some(*s)).collect(),
            "test_statistic" => vec![Some(got.statistic)],
            "effect_size" => vec![Some(size)],
            "effect_size_population_sd" => vec![Some(size * (n / (n - 1.0)).sqrt())],
            "n_partitions" => vec![Some(got.partitions as f64)],
            "p_one_sided_exact" => vec![Some(got.p)],
            "p_two_sided_exact" => vec![Some(got.p_two_sided)],
            other => panic!("nothing gives {other}"),
        });
        let (low, high) = got.interval.unwrap();
        assert!(got.is_exact && low < size && size < high, "{low} {size} {high}");
    }
}

#[test]
fn generalised_fairness_metrics_agree_with_scipy() {
    let mut seen = 0;
    for case in cases("generalised_fairness").iter().filter(|case| case["input"].get("Y").is_some()) {
        let rows: Vec<Vec<f64>> = case["input"]["Y"].as_array().unwrap().iter().map(numbers).collect();
        let metrics = Fairness::of(rows.clone()).unwrap().metrics();
        let of = |name: &str| metrics[METRICS.iter().position(|metric| *metric == name).unwrap()];
        let names: Vec<String> = (0..rows[0].len()).map(|group| format!("g{group}")).collect();
        let contexts: Vec<String> = (0..rows.len()).map(|cluster| format!("{cluster:03}")).collect();
        let samples = rows.iter().zip(&contexts).flat_map(|(row, context)| {
            let sample = |(group, score): (&String, &f64)| (group.clone(), context.clone(), *score);
            names.iter().zip(row).map(sample).collect::<Vec<_>>()
        });
        let samples: Vec<(String, String, f64)> = samples.collect();
        let matrix = Matrix::of(
            samples
                .iter()
                .map(|(group, context, score)| Sample { template: "t", context, group, term: group, score: *score })
                .collect(),
        );
        let from_rest = |group: usize| {
            let others = (0..names.len()).filter(|other| *other != group).collect();
            paired_gap(&matrix, &Contrast { group, others, paired: false }, 1.0).gap
        };
        check(case, |key| match key {
            "bcm_rest_signed_by_group" => (0..names.len()).map(from_rest).collect(),
            "mcm_sd_population" | "counterfactual_mcm_sd_population" => {
                vec![Some(of(key.trim_end_matches("_population")))]
            }
            key => vec![Some(of(key.trim_end_matches("_abs")))],
        });
        seen += 1;
    }
    assert_eq!(seen, 2);
}

#[test]
fn langfairs_parity_toxicity_and_recommendation_metrics_come_out() {
    let mut seen = 0;
    for case in cases("langfair") {
        let input = &case["input"];
        let list = |key: &str| -> Vec<String> {
            input[key].as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
        };
        match case["name"].as_str().unwrap() {
            "counterfactual_sentiment_bias" => {
                let (a, b) = (numbers(&input["scores1"]), numbers(&input["scores2"]));
                let threshold = input["threshold"].as_f64().unwrap();
                let rows: Vec<Vec<f64>> = a.iter().zip(&b).map(|(a, b)| vec![*a, *b]).collect();
                let metrics = Fairness::of(rows).unwrap().metrics();
                let share = |values: &[f64]| share_above(values, threshold).unwrap();
                check(&case, |key| match key {
                    "strong_w1" => vec![Some(metrics[METRICS.iter().position(|name| *name == "pcm_w1").unwrap()])],
                    "weak_parity" => vec![Some((share(&a) - share(&b)).abs())],
                    "pairwise_abs" => a.iter().zip(&b).map(|(a, b)| Some((a - b).abs())).collect(),
                    other => panic!("nothing gives {other}"),
                });
            }
            "toxicity_by_prompt" => {
                let (prompts, scores) = (list("prompt"), numbers(&input["score"]));
                let rows: Vec<(&String, f64)> = prompts.iter().zip(scores).collect();
                let of: Vec<OfPrompt> = rows
                    .chunk_by(|a, b| a.0 == b.0)
                    .map(|rows| {
                        let scores: Vec<f64> = rows.iter().map(|(_, score)| *score).collect();
                        OfPrompt::of(&scores, input["threshold"].as_f64().unwrap()).unwrap()
                    })
                    .collect();
                let mean = |of_one: fn(&OfPrompt) -> f64| means::mean(&of.iter().map(of_one).collect::<Vec<_>>());
                check(&case, |key| match key {
                    "expected_maximum" => vec![mean(|prompt| prompt.largest)],
                    "toxic_fraction" => vec![mean(|prompt| prompt.fraction)],
                    "toxicity_probability" => vec![mean(|prompt| prompt.any)],
                    other => panic!("nothing gives {other}"),
                });
            }
            name if name.starts_with("recommendation") => {
                let (a, b) = (list("list1"), list("list2"));
                let got = match name {
                    "recommendation_jaccard" => jaccard(&a, &b),
                    "recommendation_serp" => serp(&a, &b),
                    _ => prag(&a, &b),
                };
                check(&case, |_| vec![got]);
            }
            // Similarities of texts and associations of words are held to theirs in scorer_cases and in the unit tests of stats::association.
            _ => continue,
        }
        seen += 1;
    }
    assert_eq!(seen, 5);
}
