//! Holds tokenizers, chat templates and ending tokens against what Hugging Face transformers makes of the same files.
//!
//! No weights are read: tests/lm_parity.rs does that.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tiltmeter::model::files::{Access, resolve_model};
use tiltmeter::model::gguf::Gguf;
use tiltmeter::model::local::{Interface, read_json};
use tiltmeter::model::tokenizer::Tokenizer;
use tiltmeter::model::{Message, OpenOptions, Prompt};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity")
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn cases<'a>(expected: &'a Value, key: &str) -> &'a [Value] {
    expected[key].as_array().map_or(&[], Vec::as_slice)
}

fn check(name: &str, interface: &Interface, expected: &Value) {
    for case in cases(expected, "encode") {
        let (text, want) = (case["text"].as_str().unwrap(), ids(&case["ids"]));
        assert_eq!(interface.tokenizer.encode(text, true).unwrap(), want, "{name}: {text:?}");
        if !case["ids_without_special"].is_null() {
            let got = interface.tokenizer.encode(text, false).unwrap();
            assert_eq!(got, ids(&case["ids_without_special"]), "{name}: {text:?}");
        }
        if let Some(decoded) = case["decoded"].as_str() {
            assert_eq!(interface.tokenizer.decode(&want).unwrap(), decoded, "{name}");
        }
    }
    for case in cases(expected, "chat") {
        let message = |m: &Value| Message {
            role: m["role"].as_str().unwrap().into(),
            content: m["content"].as_str().unwrap().into(),
        };
        let prompt = Prompt::Chat(case["messages"].as_array().unwrap().iter().map(message).collect());
        assert_eq!(interface.render(&prompt).unwrap(), case["rendered"].as_str().unwrap(), "{name}");
        assert_eq!(interface.encode(&prompt).unwrap(), ids(&case["prompt_ids"]), "{name}");
    }
    // What was generated, decoded alone.
    for case in cases(expected, "generate").iter().chain(cases(expected, "chat")) {
        let (mut tokens, finish) = (ids(&case["ids"]), case["finish"].as_str().unwrap());
        if finish == "stop" {
            tokens.pop();
        }
        assert_eq!(interface.tokenizer.decode(&tokens).unwrap(), case["text"].as_str().unwrap(), "{name}");
    }
    let ends =
        if expected["eos_token_ids"].is_null() { &expected["stop_token_ids"] } else { &expected["eos_token_ids"] };
    assert_eq!(interface.ends.iter().copied().collect::<Vec<_>>(), ids(ends), "{name}");
}

#[test]
fn tokenizers_rebuilt_from_gguf_agree_with_transformers() {
    let mut checked = 0;
    for entry in fs::read_dir(fixtures().join("gguf")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "gguf") {
            let expected = read_json(&path.with_extension("expected.json")).unwrap();
            let gguf = Gguf::open(&path).unwrap();
            let interface = Interface::from_gguf(gguf.metadata(), &OpenOptions::default()).unwrap();
            check(&path.display().to_string(), &interface, &expected);
            checked += 1;
        }
    }
    assert_eq!(checked, 9);
}

#[test]
fn tokenizers_and_templates_of_checkpoints_agree_with_transformers() {
    for entry in fs::read_dir(fixtures().join("lm")).unwrap() {
        let path = entry.unwrap().path();
        let expected = read_json(&path.join("expected.json")).unwrap();
        let files = resolve_model(path.to_str().unwrap(), &Access { offline: true, quiet: true }).unwrap();
        let config = read_json(&path.join("config.json")).unwrap();
        let interface = Interface::from_folder(&files, &config, &OpenOptions::default()).unwrap();
        check(&path.display().to_string(), &interface, &expected);
    }
}

#[test]
fn a_tokenizer_json_stands_in_for_that_of_a_gguf_file_only_where_every_id_agrees() {
    let gguf = Gguf::open(&fixtures().join("gguf/llama-smollm-f32.gguf")).unwrap();
    let own = fixtures().join("lm/llama-smollm/tokenizer.json");
    let tokenizer = Tokenizer::from_file_for(&own, gguf.metadata()).unwrap();
    let rebuilt = Tokenizer::from_gguf(gguf.metadata()).unwrap();
    assert_eq!(tokenizer.encode("The nurse 12", true).unwrap(), rebuilt.encode("The nurse 12", true).unwrap());
    let other = fixtures().join("lm/llama/tokenizer.json");
    let error = Tokenizer::from_file_for(&other, gguf.metadata()).err().expect("refused").to_string();
    assert!(error.contains("token 0 is \"<|endoftext|>\", but") && error.contains("has \"!\" there"), "{error}");
}
