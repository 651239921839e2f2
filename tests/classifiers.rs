//! Holds sequence classifiers of every family against stored values of Hugging Face transformers, each text alone and
//! all together, and their errors to what they promise.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tiltmeter::model::files::{Access, resolve_classifier};
use tiltmeter::model::precision::Precision;
use tiltmeter::scorer::encoder::sequence::SequenceClassifier;

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
fn a_text_has_the_same_bits_alone_among_others_and_on_one_thread() {
    let texts: Vec<String> = (0..260).map(|i| "the nurse reads ".repeat(i % 23) + &"a word ".repeat(i % 7)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let backwards: Vec<&str> = texts.iter().rev().copied().collect();
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    for name in CLASSIFIERS {
        for precision in [Precision::F32, Precision::Int8] {
            let classifier = open(&fixture(name), precision).unwrap();
            let together = classifier.logits(&texts).unwrap();
            let reversed = one_thread.install(|| classifier.logits(&backwards)).unwrap();
            let bits = |row: &[f32]| row.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            for i in (0..texts.len()).step_by(3) {
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
