//! Holds tokenizers, chat templates and ending tokens against what Hugging Face transformers makes of the same files.
//!
//! No weights are read: tests/lm_parity.rs does that.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tiltmeter::model::chat::{ChatTemplate, SpecialTokens};
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

fn messages(list: &Value) -> Vec<Message> {
    let message = |m: &Value| Message {
        role: m["role"].as_str().unwrap().into(),
        content: m["content"].as_str().unwrap().into(),
    };
    list.as_array().unwrap().iter().map(message).collect()
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
        let prompt = Prompt::Chat(messages(&case["messages"]));
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

#[test]
fn templates_render_as_in_transformers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/chat/renderings.json");
    let all = read_json(&path).unwrap();
    let date = all["date"].as_str().unwrap().parse().unwrap();
    let mut differences = Vec::new();
    for case in cases(&all, "cases") {
        let (name, chat) = (case["template"].as_str().unwrap(), case["chat"].as_str().unwrap());
        let source = all["templates"][name].as_str().unwrap();
        let tokens = SpecialTokens::from_json(&[&all["tokens"]]);
        let rendered =
            ChatTemplate::new(source, tokens, date).and_then(|t| t.render(&messages(&all["chats"][chat]), true));
        let agrees = match (&rendered, case["rendered"].as_str(), case["error"].as_str()) {
            (Ok(text), Some(want), None) => text == want,
            (Err(error), None, Some(want)) => format!("{error:#}").contains(want),
            _ => false,
        };
        if !agrees {
            differences.push(format!("{name}, {chat}: {rendered:?}\n  for {case}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Checkpoint, its architecture, its kind of tokenizer and llama.cpp's word for its pre-tokenizer.
const TWINS: [(&str, &str, &str, &str); 12] = [
    ("llama", "llama", "gpt2", "llama-bpe"),
    ("llama-smollm", "llama", "gpt2", "smollm"),
    ("granite", "granite", "gpt2", "refact"),
    ("qwen2", "qwen2", "gpt2", "qwen2"),
    ("gpt2", "gpt2", "gpt2", "gpt-2"),
    ("gpt_neox", "gptneox", "gpt2", "olmo"),
    ("olmo2", "olmo2", "gpt2", "dbrx"),
    ("smollm3", "smollm3", "gpt2", "smaug-bpe"),
    ("mistral", "llama", "llama", "default"),
    ("llama-spm", "llama", "llama", "default"),
    ("phi3", "phi3", "llama", "default"),
    ("gemma2", "gemma2", "llama", "default"),
];

#[test]
fn every_kind_of_tokenizer_is_the_same_from_tokenizer_json_and_from_gguf() {
    let folder = tempfile::tempdir().unwrap();
    let mut checked = 0;
    for (name, architecture, model, pre) in TWINS {
        let twin = fixtures().join("lm").join(name);
        if !twin.exists() {
            continue;
        }
        let path = folder.path().join(format!("{name}.gguf"));
        fs::write(&path, gguf_of(&read_json(&twin.join("tokenizer.json")).unwrap(), architecture, model, pre)).unwrap();
        let tokenizer = Tokenizer::from_gguf(Gguf::open(&path).unwrap().metadata()).unwrap();
        for case in cases(&read_json(&twin.join("expected.json")).unwrap(), "encode") {
            let (text, want) = (case["text"].as_str().unwrap(), ids(&case["ids_without_special"]));
            // The published Phi-3 strips the white space behind `</s>` as well, the fixture does not.
            if name == "phi3" && text.contains("</s>") {
                continue;
            }
            assert_eq!(tokenizer.encode(text, false).unwrap(), want, "{name}: {text:?}");
            assert_eq!(tokenizer.decode(&ids(&case["ids"])).unwrap(), case["decoded"].as_str().unwrap(), "{name}");
        }
        checked += 1;
    }
    assert!(checked >= 2);
}

/// A GGUF file without tensors that says of a tokenizer what llama.cpp's converter would say.
fn gguf_of(tokenizer: &Value, architecture: &str, model: &str, pre: &str) -> Vec<u8> {
    let mut tokens: BTreeMap<u64, (String, u64)> = BTreeMap::new();
    for (token, id) in tokenizer["model"]["vocab"].as_object().unwrap() {
        let kind = if model == "llama" && token.len() == 6 && token.starts_with("<0x") { 6 } else { 1 };
        tokens.insert(id.as_u64().unwrap(), (token.clone(), kind));
    }
    for added in tokenizer["added_tokens"].as_array().unwrap() {
        let text = added["content"].as_str().unwrap().to_owned();
        let kind = if model == "llama" && text == "<unk>" { 2 } else { 3 };
        tokens.insert(added["id"].as_u64().unwrap(), (text, kind));
    }
    let pair = |merge: &Value| match merge {
        Value::String(merge) => merge.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap(),
        pair => (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned()),
    };
    let merges: Vec<(String, String)> = tokenizer["model"]["merges"].as_array().unwrap().iter().map(pair).collect();
    let mut pairs = vec![
        ("general.architecture", json!(architecture)),
        ("tokenizer.ggml.model", json!(model)),
        ("tokenizer.ggml.pre", json!(pre)),
        ("tokenizer.ggml.tokens", tokens.values().map(|(text, _)| json!(text)).collect()),
        ("tokenizer.ggml.token_type", tokens.values().map(|(_, kind)| json!(kind)).collect()),
        ("tokenizer.ggml.add_bos_token", json!(false)),
    ];
    if model == "llama" {
        // A piece is better the sooner it is merged.
        let score =
            |text: &str| merges.iter().position(|(a, b)| format!("{a}{b}") == text).map_or(-1e6, |at| -(at as f64));
        let prefixed = tokenizer["normalizer"]["type"] == "Sequence";
        pairs.push(("tokenizer.ggml.scores", tokens.values().map(|(text, _)| json!(score(text))).collect()));
        pairs.push(("tokenizer.ggml.add_space_prefix", json!(prefixed)));
    } else {
        pairs.push(("tokenizer.ggml.merges", merges.iter().map(|(a, b)| json!(format!("{a} {b}"))).collect()));
    }
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend(0u64.to_le_bytes());
    bytes.extend((pairs.len() as u64).to_le_bytes());
    for (key, value) in pairs {
        write_text(key, &mut bytes);
        bytes.extend(kind_of(&value).to_le_bytes());
        write_value(&value, &mut bytes);
    }
    bytes.extend([0; 64]);
    bytes
}

/// GGUF's number for a value's type: bool, u32, f64, text, list.
fn kind_of(value: &Value) -> u32 {
    match value {
        Value::Bool(_) => 7,
        Value::Number(number) if number.is_u64() => 4,
        Value::Number(_) => 12,
        Value::String(_) => 8,
        _ => 9,
    }
}

fn write_text(text: &str, bytes: &mut Vec<u8>) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn write_value(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Bool(flag) => bytes.push(u8::from(*flag)),
        Value::Number(number) if number.is_u64() => bytes.extend((number.as_u64().unwrap() as u32).to_le_bytes()),
        Value::Number(number) => bytes.extend(number.as_f64().unwrap().to_le_bytes()),
        Value::String(text) => write_text(text, bytes),
        Value::Array(values) => {
            bytes.extend(kind_of(&values[0]).to_le_bytes());
            bytes.extend((values.len() as u64).to_le_bytes());
            values.iter().for_each(|value| write_value(value, bytes));
        }
        other => panic!("GGUF has no {other}"),
    }
}
