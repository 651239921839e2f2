//! Holds the decoder's loading against damaged checkpoints, and a run against the memory that it may use.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use tiltmeter::model::precision::Precision;
use tiltmeter::model::{GenerateRequest, LanguageModel, LikelihoodRequest, OpenOptions, Prompt, Sampling, open};

type Tensors = HashMap<String, Tensor>;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name)
}

fn options() -> OpenOptions {
    OpenOptions { offline: true, quiet: true, ..OpenOptions::default() }
}

/// The message that refuses lm/llama once its tensors were changed.
fn refused(change: impl FnOnce(&mut Tensors)) -> String {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(fixture("lm/llama").join(file), folder.path().join(file)).unwrap();
    }
    let mut tensors = candle_core::safetensors::load(fixture("lm/llama/model.safetensors"), &Device::Cpu).unwrap();
    change(&mut tensors);
    candle_core::safetensors::save(&tensors, folder.path().join("model.safetensors")).unwrap();
    format!("{:#}", open(folder.path().to_str().unwrap(), &options()).err().expect("refused"))
}

#[test]
fn missing_tensors_are_listed() {
    let error = refused(|tensors| {
        tensors.retain(|name, _| !name.contains("layers.1.mlp.up_proj") && name != "model.norm.weight");
    });
    assert!(error.contains("2 tensors are missing"), "{error}");
    assert!(error.contains("model.layers.1.mlp.up_proj.weight, model.norm.weight"), "{error}");
    assert!(error.contains("model.safetensors"), "{error}");
}

#[test]
fn tensors_that_nobody_asks_for_are_listed() {
    let error = refused(|tensors| {
        tensors.insert("model.layers.9.surprise".into(), Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap());
    });
    assert!(
        error.contains("1 tensors of the file are not part") && error.contains("model.layers.9.surprise"),
        "{error}"
    );
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    let error = refused(|tensors| {
        tensors.insert("model.norm.weight".into(), Tensor::zeros((2, 32), DType::F32, &Device::Cpu).unwrap());
    });
    assert!(error.contains("model.norm.weight has the shape [2, 32]") && error.contains("[64]"), "{error}");
}

#[test]
fn weights_that_are_not_numbers_are_named() {
    let name = "model.layers.0.self_attn.k_proj.weight";
    let error = refused(|tensors| {
        let shape = tensors[name].shape().clone();
        let mut values: Vec<f32> = tensors[name].flatten_all().unwrap().to_vec1().unwrap();
        values[77] = f32::NAN;
        tensors.insert(name.into(), Tensor::from_vec(values, shape, &Device::Cpu).unwrap());
    });
    assert!(error.contains(&format!("{name} holds NaN at element 77")), "{error}");
}

#[test]
fn sizes_that_no_model_has_are_refused_by_key() {
    let plain = std::fs::read_to_string(fixture("lm/llama/config.json")).unwrap();
    let plain: serde_json::Value = serde_json::from_str(&plain).unwrap();
    for (key, value) in [
        ("num_hidden_layers", serde_json::json!(1u64 << 60)),
        ("num_hidden_layers", serde_json::json!(0)),
        ("num_attention_heads", serde_json::json!(0)),
        ("num_attention_heads", serde_json::json!(3)),
        ("hidden_size", serde_json::json!(4_000_000_000u64)),
        ("vocab_size", serde_json::json!(-1)),
        ("rope_theta", serde_json::json!(0.0)),
        ("max_position_embeddings", serde_json::json!("many")),
        ("rope_scaling", serde_json::json!({"rope_type": "dynamic", "factor": 2.0})),
        ("hidden_act", serde_json::json!("swoosh")),
    ] {
        let mut config = plain.clone();
        config[key] = value.clone();
        let error = tiltmeter::model::decoder::families::from_json(&config, "config.json");
        let error = error.err().unwrap_or_else(|| panic!("{key}: {value} is refused")).to_string();
        assert!(error.starts_with("config.json: "), "{error}");
    }
}

#[test]
fn a_gguf_block_type_that_cannot_be_decoded_is_refused_by_its_name() {
    let mut bytes = std::fs::read(fixture("gguf/llama-f32.gguf")).unwrap();
    // A tensor's entry: its name, the number of dimensions, the dimensions, the type.
    let name = b"blk.0.ffn_down.weight";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len() + 4 + 16;
    assert_eq!(bytes[at..at + 4], [0; 4], "F32");
    bytes[at] = 20;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("changed.gguf");
    std::fs::write(&file, bytes).unwrap();
    let error = open(file.to_str().unwrap(), &options()).err().unwrap().to_string();
    assert!(error.contains("IQ4_NL") && error.contains("Q4_K"), "{error}");
}

fn requests() -> Vec<GenerateRequest> {
    let prompts = ["The nurse", "The nurse said that", "The doctor was late", "I", "The nurse said", "A letter came"];
    let sampling = Sampling { temperature: 0.0, top_p: 1.0, max_new_tokens: 24, stop: Vec::new(), ignore_eos: true };
    prompts
        .iter()
        .map(|prompt| GenerateRequest {
            label: (*prompt).into(),
            prompt: Prompt::Text((*prompt).into()),
            sampling: sampling.clone(),
            seed: [0; 32],
        })
        .collect()
}

fn answers(options: &OpenOptions) -> Vec<Vec<u32>> {
    let model = open(fixture("lm/llama").to_str().unwrap(), options).unwrap();
    let mut answers = vec![Vec::new(); 6];
    model
        .generate(&requests(), &mut |index, answer| {
            answers[index] = answer.token_ids;
            Ok(())
        })
        .unwrap();
    answers
}

#[test]
fn little_memory_changes_no_answer() {
    let plenty = answers(&options());
    // Weights and a step of 8 tokens take 696,400 bytes; what is left holds two of the sequences at a time.
    let tight = OpenOptions { max_memory: Some(730_000), batch_tokens: Some(8), ..options() };
    assert_eq!(answers(&tight), plenty);
}

#[test]
fn a_model_or_a_prompt_that_cannot_fit_is_refused_with_what_it_needs() {
    let open = |memory: u64| {
        let options = OpenOptions { max_memory: Some(memory), batch_tokens: Some(8), ..options() };
        open(fixture("lm/llama").to_str().unwrap(), &options)
    };
    let error = open(100_000).err().unwrap().to_string();
    assert!(error.contains("--max-memory") && error.contains("int8"), "{error}");
    let model = open(730_000).unwrap();
    let long = LikelihoodRequest {
        label: "long".into(),
        context: Prompt::Text("word ".repeat(80)),
        lead: String::new(),
        continuation: " end".into(),
    };
    let error = model.log_likelihood(&[long], &mut |_, _| Ok(())).unwrap_err().to_string();
    assert!(error.starts_with("long: ") && error.contains("--max-memory"), "{error}");
}

#[test]
fn int8_takes_part_of_the_memory_and_says_so_in_the_card() {
    let model =
        open(fixture("lm/llama").to_str().unwrap(), &OpenOptions { precision: Precision::Int8, ..options() }).unwrap();
    assert_eq!(model.card().dtype, "int8");
}
