//! Holds the scorer `vader` to the numbers of the Python package vaderSentiment 3.3.2 (tests/fixtures/make_vader.py).

use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tiltmeter::scorer::vader::compound;

fn reference() -> Value {
    serde_json::from_str(include_str!("fixtures/vader.json")).unwrap()
}

#[test]
fn the_compound_of_every_text_is_that_of_the_published_program() {
    for case in reference()["texts"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        assert_eq!(compound(text), case["compound"].as_f64().unwrap(), "{text:?}");
    }
}

#[test]
fn every_published_rated_sentence_gets_the_published_programs_compound() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/vader");
    if !data.exists() {
        eprintln!("skipped: no public data in {}", data.display());
        return;
    }
    let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for (name, file) in reference()["files"].as_object().unwrap() {
        let raw = std::fs::read(data.join(format!("{name}.tsv"))).unwrap();
        if hex(&raw) != file["sha256"].as_str().unwrap() {
            eprintln!("skipped: {name} is another version of the file");
            continue;
        }
        let text = String::from_utf8(raw).unwrap();
        let rows = text.split('\n').skip(1).filter(|row| !row.is_empty());
        let scores: Vec<f64> = rows.map(|row| compound(row.splitn(3, '\t').nth(2).unwrap())).collect();
        assert_eq!(scores.len() as u64, file["rows"].as_u64().unwrap(), "{name}");
        let lines: String = scores.iter().map(|score| format!("{:.4}\n", score + 0.0)).collect();
        assert_eq!(hex(lines.as_bytes()), file["compounds_sha256"].as_str().unwrap(), "{name}");
    }
}

#[test]
fn no_text_leaves_the_declared_range() {
    let long = "wonderful!!!! ".repeat(70_000);
    for text in [long.as_str(), &"horrible ".repeat(9_000), "", "!!!!", "\u{0}", "but ".repeat(20_000).as_str()] {
        let compound = compound(text);
        assert!((-1.0..=1.0).contains(&compound), "{compound}");
    }
}
