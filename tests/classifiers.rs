//! Holds sequence classifiers of every family against stored values of Hugging Face transformers, each text alone and
//! all together, and their errors to what they promise.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tiltmeter::model::files::{Access, resolve_classifier};
use tiltmeter::model::precision::Precision;
use tiltmeter::scorer::encoder::sequence::{Output, SequenceClassifier};
use tiltmeter::scorer::sequence_classifier::{Classifier, ClassifierScorer, LabelMap, ScoreOptions};
use tiltmeter::scorer::{Answer, Direction, Scored, Scorer};
use tiltmeter::suite::MaskList;

/// As in the stored files' own note, absolute.
const PROBABILITY: f64 = 1e-5;
const LOGIT: f64 = 1e-4;

/// Every folder of fixtures/heads that classifies.
const CLASSIFIERS: [&str; 9] = [
    "bert",
    "bert-regression",
    "deberta-v2",
    "distilbert",
    "modernbert",
    "modernbert-cls",
    "roberta",
    "roberta-single-output",
    "xlm-roberta",
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/heads").join(name)
}

fn open(folder: &Path, precision: Precision) -> anyhow::Result<SequenceClassifier> {
    let files = resolve_classifier(folder.to_str().unwrap(), &Access::new(true, true))?;
    SequenceClassifier::load(&files, precision)
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Compares a folder with its expected.json; returns the largest difference of a logit.
fn check(folder: &Path) -> f64 {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let expected = read(&folder.join("expected.json"));
    let classifier = open(folder, Precision::F32).unwrap();
    assert_eq!(classifier.max_tokens() as u64, expected["max_length"].as_u64().unwrap(), "{name}");
    assert_eq!(classifier.output().as_str(), expected["activation"].as_str().unwrap(), "{name}");
    assert_eq!(json!(classifier.labels()), expected["labels"], "{name}");
    let cases = expected["texts"].as_array().unwrap();
    let texts: Vec<&str> = cases.iter().map(|case| case["text"].as_str().unwrap()).collect();
    let logits = classifier.logits(&texts).unwrap();
    let mut worst = 0.0_f64;
    for (i, case) in cases.iter().enumerate() {
        let (ids, truncated) = classifier.tokens(texts[i]).unwrap();
        assert_eq!(json!(ids), case["ids"], "{name}: token ids of {}", case["id"]);
        assert_eq!(truncated, case["truncated"].as_bool().unwrap_or(false), "{name}: {}", case["id"]);
        assert_eq!(truncated, logits.truncated[i], "{name}: {}", case["id"]);
        for (got, want) in logits.row(i).iter().zip(numbers(&case["logits"])) {
            worst = worst.max((f64::from(*got) - want).abs());
        }
        let field = if expected["activation"] == "none" { "values" } else { "probabilities" };
        for (got, want) in classifier.output().apply(logits.row(i)).iter().zip(numbers(&case[field])) {
            assert!((got - want).abs() < PROBABILITY, "{name}: {} is {got}, not {want}", case["id"]);
        }
    }
    eprintln!("{name}: largest difference of a logit {worst:e}");
    assert!(worst < LOGIT, "{name}: {worst:e}");
    worst
}

#[test]
fn every_family_gives_the_stored_ids_logits_and_probabilities() {
    for name in CLASSIFIERS {
        check(&fixture(name));
    }
}

#[test]
fn other_spellings_and_options_of_the_families_give_the_stored_values_too() {
    let mut folders: Vec<PathBuf> = fs::read_dir(fixture("variants")).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 10);
    for folder in folders {
        check(&folder);
    }
}

#[test]
fn a_text_has_the_same_bits_alone_among_others_and_on_one_thread() {
    let texts: Vec<String> = (0..64).map(|i| "the nurse reads ".repeat(i % 23) + &"a word ".repeat(i % 7)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let backwards: Vec<&str> = texts.iter().rev().copied().collect();
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for name in CLASSIFIERS {
        for precision in [Precision::F32, Precision::Int8] {
            let classifier = open(&fixture(name), precision).unwrap();
            let together = classifier.logits(&texts).unwrap();
            let reversed = one_thread.install(|| classifier.logits(&backwards)).unwrap();
            let bits = |row: &[f32]| row.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            for i in (0..texts.len()).step_by(13) {
                let alone = classifier.logits(&texts[i..=i]).unwrap();
                assert_eq!(bits(together.row(i)), bits(alone.row(0)), "{name}, text {i}");
                assert_eq!(bits(together.row(i)), bits(reversed.row(texts.len() - 1 - i)), "{name}, text {i}");
            }
        }
    }
}

#[test]
fn int8_stays_near_f32() {
    let mut moved = false;
    for name in CLASSIFIERS {
        let texts = ["The letter was late.", "She thanked the doctor for a kind answer.", "No."];
        let [exact, rounded] = [Precision::F32, Precision::Int8].map(|precision| {
            let classifier = open(&fixture(name), precision).unwrap();
            let logits = classifier.logits(&texts).unwrap();
            (classifier.digest().to_owned(), (0..3).flat_map(|i| logits.row(i).to_vec()).collect::<Vec<f32>>())
        });
        assert_ne!(exact.0, rounded.0, "{name}: the digest tells the precision");
        let worst = exact.1.iter().zip(&rounded.1).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        moved |= worst > 0.0;
        // Random weights with sharp attention are far more sensitive than trained ones.
        assert!(worst < 0.5, "{name}: {worst}");
    }
    assert!(moved);
}

fn scorer(folder: &Path, options: &ScoreOptions) -> anyhow::Result<ClassifierScorer> {
    let classifier = Classifier::open(folder.to_str().unwrap(), Precision::F32, &Access::new(true, true))?;
    ClassifierScorer::new(Arc::new(classifier), options)
}

fn score(scorer: &dyn Scorer, texts: &[&str], mask: &MaskList) -> Vec<Scored> {
    let answers: Vec<Answer<'_>> = texts.iter().map(|text| Answer::of(text, mask)).collect();
    scorer.score(&answers).unwrap()
}

fn label(name: &str) -> ScoreOptions {
    ScoreOptions { labels: Some(LabelMap::Sum(vec![name.into()])), ..ScoreOptions::default() }
}

#[test]
fn a_score_is_a_labels_probability_or_the_expected_value_of_all() {
    let expected = read(&fixture("bert").join("expected.json"));
    let case = &expected["texts"][3];
    let (text, p) = (case["text"].as_str().unwrap(), numbers(&case["probabilities"]));
    let values = vec![("negative".into(), 0.0), ("neutral".into(), 0.5), ("positive".into(), 1.0)];
    let sum = LabelMap::Sum(vec!["neutral".into(), "positive".into()]);
    for (map, want) in [
        (LabelMap::Sum(vec!["positive".into()]), p[2]),
        (sum, p[1] + p[2]),
        (LabelMap::Values(values), 0.5 * p[1] + p[2]),
    ] {
        let options = ScoreOptions { labels: Some(map), direction: Some(Direction::Higher), ..ScoreOptions::default() };
        let scorer = scorer(&fixture("bert"), &options).unwrap();
        assert_eq!((scorer.info().range, scorer.info().direction), ((0.0, 1.0), Direction::Higher));
        let scored = score(&scorer, &[text, " \n", "", text], &MaskList::default());
        let Scored::Value(value) = scored[0] else { panic!("unscored") };
        assert!((value - want).abs() < PROBABILITY, "{value} {want}");
        assert_eq!(scored[1..3], [Scored::Unscored("empty".into()), Scored::Unscored("empty".into())]);
        assert_eq!(scored[3], scored[0]);
    }
}

#[test]
fn hidden_group_words_make_texts_equal_to_a_classifier() {
    let scorer = scorer(&fixture("bert"), &label("negative")).unwrap();
    let mask = MaskList { words: vec![("Emily".into(), "Alex".into()), ("Lakisha".into(), "Alex".into())] };
    let texts = ["Emily was late.", "Lakisha was late."];
    let masked = score(&scorer, &texts, &mask);
    assert_eq!(masked[0], masked[1]);
    let raw = score(&scorer, &texts, &MaskList::default());
    assert_ne!(raw[0], raw[1]);
}

#[test]
fn a_regression_keeps_to_the_range_that_it_is_given() {
    let open = |range| scorer(&fixture("bert-regression"), &ScoreOptions { range, ..ScoreOptions::default() }).unwrap();
    let value = &read(&fixture("bert-regression").join("expected.json"))["texts"][2];
    let (text, want) = (value["text"].as_str().unwrap(), value["values"][0].as_f64().unwrap());
    for range in [None, Some((-9.0, 9.0))] {
        let Scored::Value(got) = score(&open(range), &[text], &MaskList::default())[0] else { panic!("unscored") };
        assert!((got - want).abs() < LOGIT);
    }
    let scored = &score(&open(Some((want + 1.0, want + 2.0))), &[text], &MaskList::default())[0];
    assert!(matches!(scored, Scored::Unscored(reason) if reason.contains("outside the range")), "{scored:?}");
}

#[test]
fn another_activation_stands_in_for_the_files_own() {
    let options = ScoreOptions { output: Some(Output::Sigmoid), ..label("positive") };
    let case = &read(&fixture("bert").join("expected.json"))["texts"][3];
    let scored =
        score(&scorer(&fixture("bert"), &options).unwrap(), &[case["text"].as_str().unwrap()], &MaskList::default());
    let Scored::Value(got) = scored[0] else { panic!("unscored") };
    let logit = numbers(&case["logits"])[2];
    assert!((got - 1.0 / (1.0 + (-logit).exp())).abs() < PROBABILITY);
}

#[test]
fn cut_texts_are_counted() {
    let scorer = scorer(&fixture("bert"), &label("neutral")).unwrap();
    let long = "bread ".repeat(200);
    score(&scorer, &["bread", &long, &long], &MaskList::default());
    assert_eq!(scorer.truncated(), 2);
}

#[test]
fn a_map_that_gives_no_score_is_refused_with_the_labels_that_there_are() {
    let values = |list: &[(&str, f64)]| ScoreOptions {
        labels: Some(LabelMap::Values(list.iter().map(|(label, value)| (label.to_string(), *value)).collect())),
        ..ScoreOptions::default()
    };
    let two = ScoreOptions { labels: Some(LabelMap::Sum(vec!["threat".into(), "insult".into()])), ..label("") };
    for (folder, options, message) in [
        ("bert", ScoreOptions::default(), "--all-labels"),
        ("bert", label("toxic"), "the labels are \"negative\", \"neutral\", \"positive\""),
        ("bert", values(&[("negative", 0.0), ("positive", 1.0)]), "\"neutral\" has no value"),
        ("bert", values(&[("negative", -1.0), ("neutral", 0.0), ("positive", 1.0)]), "values go from 0 to 1"),
        ("roberta", two, "their sum is no probability"),
        ("roberta", values(&[("toxicity", 1.0)]), "no mean value"),
        ("bert-regression", label("LABEL_0"), "gives values, not probabilities"),
    ] {
        let Err(error) = scorer(&fixture(folder), &options) else { panic!("{folder}: {options:?}") };
        let text = format!("{error:#}");
        assert!(text.contains(message), "{text}");
    }
}

/// A copy of a fixture that a test may damage.
fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(fixture(name)).unwrap() {
        let path = file.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn set(folder: &Path, key: &str, value: Value) {
    let mut config = read(&folder.join("config.json"));
    config[key] = value;
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

#[test]
fn a_config_that_cannot_be_computed_is_refused_by_name() {
    for (name, key, value, message) in [
        ("bert", "model_type", json!("albert"), "\"albert\""),
        ("bert", "model_type", Value::Null, "model_type is missing"),
        ("bert", "hidden_act", json!("mish"), "hidden_act is \"mish\""),
        ("bert", "position_embedding_type", json!("relative_key"), "\"relative_key\""),
        ("bert", "num_attention_heads", json!(5), "not a multiple of"),
        ("bert", "hidden_size", json!(48), "has shape [420, 32], but config.json asks for [420, 48]"),
        ("bert", "num_hidden_layers", json!(3), "no tensor \"bert.encoder.layer.2."),
        ("bert", "id2label", json!({"0": "a", "1": "b"}), "id2label must name the labels 0 to 2"),
        ("bert", "problem_type", json!("ranking"), "problem_type is \"ranking\""),
        ("bert", "is_decoder", json!(true), "is_decoder"),
        ("deberta-v2", "pos_att_type", json!("c2p|p2p"), "pos_att_type"),
        ("modernbert", "classifier_pooling", json!("max"), "classifier_pooling"),
        ("modernbert", "layer_types", json!(["full_attention"]), "layer_types"),
    ] {
        let folder = copy(name);
        set(folder.path(), key, value);
        let Err(error) = open(folder.path(), Precision::F32) else { panic!("{name}: {key}") };
        let text = format!("{error:#}");
        assert!(text.contains(message), "{text}");
    }
}

#[test]
fn files_that_are_no_classifier_are_refused_by_name() {
    let folder = copy("bert");
    fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    let without_tokenizer = format!("{:#}", open(folder.path(), Precision::F32).err().unwrap());
    assert!(without_tokenizer.contains("tokenizer.json is missing"), "{without_tokenizer}");

    let encoder = format!("{:#}", open(&fixture("sentence-encoder"), Precision::F32).err().unwrap());
    assert!(encoder.contains("no classification head") && encoder.contains("\"classifier.weight\""), "{encoder}");

    let folder = copy("bert");
    fs::rename(folder.path().join("model.safetensors"), folder.path().join("pytorch_model.bin")).unwrap();
    let pickle = format!("{:#}", open(folder.path(), Precision::F32).err().unwrap());
    assert!(pickle.contains("pytorch_model.bin"), "{pickle}");

    let other = copy("bert");
    fs::copy(fixture("distilbert").join("tokenizer.json"), other.path().join("tokenizer.json")).unwrap();
    let classifier = open(other.path(), Precision::F32).unwrap();
    let stranger = classifier.logits(&["letters of another vocabulary, engineer, secretary, manager"]);
    assert!(stranger.is_ok() || format!("{:#}", stranger.unwrap_err()).contains("do not belong together"));
}

/// Overwrites the first number of a tensor.
fn damage(folder: &Path, tensor: &str, value: f32) {
    let path = folder.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let start = 8 + length + header[tensor]["data_offsets"][0].as_u64().unwrap() as usize;
    bytes[start..start + 4].copy_from_slice(&value.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn weights_that_are_not_numbers_are_an_error_and_never_a_score() {
    let folder = copy("roberta");
    damage(folder.path(), "roberta.encoder.layer.1.output.dense.weight", f32::NAN);
    let error = format!("{:#}", open(folder.path(), Precision::F32).err().unwrap());
    assert!(error.contains("roberta.encoder.layer.1.output.dense.weight") && error.contains("NaN"), "{error}");

    let folder = copy("roberta");
    damage(folder.path(), "classifier.out_proj.bias", 3.0e38);
    damage(folder.path(), "classifier.out_proj.weight", 3.0e38);
    if let Err(error) = open(folder.path(), Precision::F32).unwrap().logits(&["a letter"]) {
        assert!(error.to_string().contains("the logit of \"toxicity\""), "{error}");
    }
}

#[test]
fn a_tokenizer_with_more_tokens_than_embeddings_is_told_where_it_matters() {
    let folder = copy("bert");
    let path = folder.path().join("tokenizer.json");
    let mut tokenizer = read(&path);
    let added = json!({"id": 9999, "content": "zebra", "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": false});
    tokenizer["added_tokens"].as_array_mut().unwrap().push(added);
    fs::write(&path, tokenizer.to_string()).unwrap();
    let classifier = open(folder.path(), Precision::F32).unwrap();
    assert!(classifier.logits(&["the letter"]).is_ok());
    let error = classifier.logits(&["a zebra"]).unwrap_err().to_string();
    assert!(error.contains("(\"zebra\")") && error.contains("do not belong together"), "{error}");
}

#[test]
fn the_docs_name_every_classifier_of_the_catalog_with_its_repository_and_licence() {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/classifiers.md")).unwrap();
    for entry in tiltmeter::model::catalog::entries().iter().filter(|entry| entry.preset.is_some()) {
        let start = format!("| {} | {} | {} |", entry.name, entry.hub.as_ref().unwrap().repo, entry.license);
        assert!(docs.contains(&start), "{start}");
    }
}
