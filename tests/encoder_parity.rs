//! Holds the sentence encoder against stored values of Hugging Face transformers, and a batch against its texts alone.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tiltmeter::model::files::{Access, resolve_encoder};
use tiltmeter::scorer::encoder::TextEncoder;

/// As in the stored files' own note: embeddings and cosines, absolute.
const TOLERANCE: f64 = 1e-5;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// all-MiniLM-L6-v2 from the caches, or a message and nothing.
fn minilm() -> Option<TextEncoder> {
    match resolve_encoder("minilm-l6", &Access::new(false, true)) {
        Ok(files) => Some(TextEncoder::from_files(&files).unwrap()),
        Err(error) => {
            eprintln!("skipped: the encoder cannot be had here: {error:#}");
            None
        }
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn check(encoder: &TextEncoder, expected: &Value, field: &str) {
    let texts: Vec<&str> = expected["texts"].as_array().unwrap().iter().map(|t| t["text"].as_str().unwrap()).collect();
    let encoded = encoder.encode(&texts).unwrap();
    assert_eq!(encoder.max_tokens() as u64, expected["max_length"].as_u64().unwrap());
    let mut worst = 0.0_f64;
    for (i, want) in expected["texts"].as_array().unwrap().iter().enumerate() {
        let ids: Vec<f64> = encoder.tokens(texts[i]).unwrap().0.into_iter().map(f64::from).collect();
        assert_eq!(ids, numbers(&want["ids"]), "token ids of {:?}", want["id"]);
        if let Some(truncated) = want["truncated"].as_bool() {
            assert_eq!(encoded.truncated[i], truncated, "{:?}", want["id"]);
        }
        for (got, want) in encoded.row(i).iter().zip(numbers(&want[field])) {
            worst = worst.max((f64::from(*got) - want).abs());
        }
        for (j, want) in numbers(&expected["cosine"][i]).into_iter().enumerate() {
            let dot: f64 = encoded.row(i).iter().zip(encoded.row(j)).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            worst = worst.max((dot - want).abs());
        }
    }
    eprintln!("largest difference: {worst:e}");
    assert!(worst < TOLERANCE, "largest difference {worst:e}");
}

#[test]
fn the_tiny_encoder_gives_the_stored_vectors() {
    let folder = fixtures().join("heads/sentence-encoder");
    check(&TextEncoder::from_folder(&folder).unwrap(), &read(&folder.join("expected.json")), "embedding");
}

#[test]
fn all_minilm_l6_v2_gives_the_stored_vectors() {
    let Some(encoder) = minilm() else { return };
    check(&encoder, &read(&fixtures().join("real/expected_minilm.json")), "embedding_first");
}

#[test]
fn a_batch_gives_each_text_the_bits_that_it_has_alone() {
    let encoder = TextEncoder::from_folder(&fixtures().join("heads/sentence-encoder")).unwrap();
    let texts: Vec<String> = (0..300).map(|i| "the nurse reads ".repeat(i % 23) + &"a word ".repeat(i % 7)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = encoder.encode(&texts).unwrap();
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let reversed: Vec<&str> = texts.iter().rev().copied().collect();
    let backwards = one_thread.install(|| encoder.encode(&reversed)).unwrap();
    for i in 0..texts.len() {
        let alone = encoder.encode(&texts[i..=i]).unwrap();
        let bits = |row: &[f32]| row.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(together.row(i)), bits(alone.row(0)), "text {i}");
        assert_eq!(bits(together.row(i)), bits(backwards.row(texts.len() - 1 - i)), "text {i}");
    }
}

#[test]
fn a_text_beyond_the_limit_is_cut_and_counted() {
    let encoder = TextEncoder::from_folder(&fixtures().join("heads/sentence-encoder")).unwrap();
    let long = "bread ".repeat(200);
    let encoded = encoder.encode(&["bread", &long, ""]).unwrap();
    assert_eq!(encoded.truncated, [false, true, false]);
    assert_eq!(encoder.tokens(&long).unwrap().0.len(), 48);
}

#[test]
fn another_architecture_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "model.safetensors", "sentence_bert_config.json"] {
        std::fs::copy(fixtures().join("heads/sentence-encoder").join(name), folder.path().join(name)).unwrap();
    }
    std::fs::write(folder.path().join("config.json"), r#"{"model_type": "mpnet"}"#).unwrap();
    let Err(error) = TextEncoder::from_folder(folder.path()) else { panic!("loaded") };
    assert!(error.to_string().contains("\"mpnet\""), "{error}");
}
