//! Holds the decoder, tokenizers and chat templates against what Hugging Face transformers makes of the same files.
//!
//! The fixtures and their tolerances are described in tests/fixtures/parity/README.md.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tiltmeter::model::decoder::Row;
use tiltmeter::model::decoder::backend::{SeqId, Sequences};
use tiltmeter::model::local::LocalModel;
use tiltmeter::model::precision::Precision;
use tiltmeter::model::{
    GenerateRequest, Generation, LanguageModel, LikelihoodRequest, Message, OpenOptions, Prompt, Sampling, open,
};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity")
}

fn load(path: &str, batch_tokens: usize) -> LocalModel {
    load_in(Precision::F32, path, batch_tokens)
}

fn load_in(precision: Precision, path: &str, batch_tokens: usize) -> LocalModel {
    let batch_tokens = Some(batch_tokens);
    let options = OpenOptions { precision, batch_tokens, offline: true, quiet: true, ..OpenOptions::default() };
    open(fixtures().join(path).to_str().unwrap(), &options).unwrap()
}

fn json(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixtures().join(path)).unwrap()).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn cases<'a>(expected: &'a Value, key: &str) -> &'a [Value] {
    expected[key].as_array().map_or(&[], Vec::as_slice)
}

fn messages(case: &Value) -> Vec<Message> {
    let message = |m: &Value| Message { role: text(&m["role"]), content: text(&m["content"]) };
    case["messages"].as_array().unwrap().iter().map(message).collect()
}

fn request(prompt: Prompt, sampling: Sampling, seed: u8) -> GenerateRequest {
    GenerateRequest { label: "test".into(), prompt, sampling, seed: [seed; 32] }
}

fn greedy(max_new_tokens: usize) -> Sampling {
    Sampling { temperature: 0.0, top_p: 1.0, max_new_tokens, stop: Vec::new(), ignore_eos: false }
}

fn generate(model: &LocalModel, requests: &[GenerateRequest]) -> Vec<Generation> {
    let mut answers: Vec<Option<Generation>> = vec![None; requests.len()];
    model
        .generate(requests, &mut |i, answer| {
            assert!(answers[i].replace(answer).is_none(), "a request is answered once");
            Ok(())
        })
        .unwrap();
    answers.into_iter().map(|answer| answer.expect("every request is answered")).collect()
}

/// Equal up to the first step whose margin is below `floor`.
fn assert_ids(case: &Value, got: &Generation, floor: f64) {
    let (want, margins) = (ids(&case["ids"]), case["margins"].as_array().unwrap());
    let certain = margins.iter().position(|m| m.as_f64().unwrap() < floor).unwrap_or(want.len());
    assert_eq!(got.token_ids[..certain.min(got.token_ids.len())], want[..certain], "{}", case["id"]);
    if certain == want.len() {
        assert_eq!(got.token_ids, want, "{}", case["id"]);
        assert_eq!(got.text, text(&case["text"]), "{}", case["id"]);
        assert_eq!(got.finish.as_str(), text(&case["finish"]), "{}", case["id"]);
    }
}

/// Everything that an expected.json of lm/ or gguf/ states.
fn check(model_path: &str, expected_path: &str) {
    let (model, expected) = (load(model_path, 64), json(expected_path));
    for case in cases(&expected, "encode") {
        let source = text(&case["text"]);
        assert_eq!(model.tokenizer().encode(&source, true).unwrap(), ids(&case["ids"]), "{source:?}");
        if !case["ids_without_special"].is_null() {
            assert_eq!(
                model.tokenizer().encode(&source, false).unwrap(),
                ids(&case["ids_without_special"]),
                "{source:?}"
            );
        }
        if !case["decoded"].is_null() {
            assert_eq!(model.tokenizer().decode(&ids(&case["ids"])).unwrap(), text(&case["decoded"]));
        }
    }
    let mut requests = Vec::new();
    for case in cases(&expected, "generate") {
        let prompt = Prompt::Text(text(&case["prompt"]));
        assert_eq!(model.encode(&prompt).unwrap(), ids(&case["prompt_ids"]));
        requests.push((case, request(prompt, greedy(case["max_new_tokens"].as_u64().unwrap() as usize), 0)));
    }
    for case in cases(&expected, "chat") {
        let prompt = Prompt::Chat(messages(case));
        assert_eq!(model.render(&prompt).unwrap(), text(&case["rendered"]));
        assert_eq!(model.encode(&prompt).unwrap(), ids(&case["prompt_ids"]));
        requests.push((case, request(prompt, greedy(case["max_new_tokens"].as_u64().unwrap() as usize), 0)));
    }
    let asked: Vec<GenerateRequest> = requests.iter().map(|(_, request)| request.clone()).collect();
    for ((case, _), answer) in requests.iter().zip(generate(&model, &asked)) {
        assert_ids(case, &answer, 1e-3);
    }
    check_likelihoods(&model, &expected, 1e-4);
    if let Some(want) = expected.get("logits") {
        let tokens = model.encode(&Prompt::Text(text(&want["prompt"]))).unwrap();
        let got = last_logits(&model, &tokens);
        for (got, want) in got.iter().zip(want["first"].as_array().unwrap()) {
            assert!((f64::from(*got) - want.as_f64().unwrap()).abs() < 1e-4, "logits of {model_path}");
        }
        let logsumexp = got.iter().map(|&l| f64::from(l).exp()).sum::<f64>().ln();
        assert!((logsumexp - want["logsumexp"].as_f64().unwrap()).abs() < 1e-4);
    }
}

fn check_likelihoods(model: &LocalModel, expected: &Value, tolerance: f64) {
    let cases = cases(expected, "log_likelihood");
    let requests: Vec<LikelihoodRequest> = cases
        .iter()
        .map(|case| LikelihoodRequest {
            label: text(&case["id"]),
            context: Prompt::Text(text(&case["context"])),
            lead: String::new(),
            continuation: text(&case["continuation"]),
        })
        .collect();
    let mut answered = 0;
    model
        .log_likelihood(&requests, &mut |i, got| {
            answered += 1;
            let case = &cases[i];
            let want: Vec<f64> =
                case["token_log_probs"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            assert_eq!(got.per_token.len(), want.len());
            for (got, want) in got.per_token.iter().zip(&want) {
                assert!((got - want).abs() < tolerance, "{}: {got} for {want}", case["id"]);
            }
            assert!((got.nats - case["sum"].as_f64().unwrap()).abs() < tolerance);
            assert_eq!(got.boundary_merges, case["boundary_merges"].as_bool().unwrap());
            Ok(())
        })
        .unwrap();
    assert_eq!(answered, cases.len());
}

fn last_logits(model: &LocalModel, tokens: &[u32]) -> Vec<f32> {
    let decoder = model.decoder().unwrap();
    let mut kv = decoder.new_store();
    let seq = kv.root();
    let row = Row { seq, tokens, want_from: tokens.len() - 1, long: decoder.config().is_long(tokens.len()) };
    let hidden = decoder.step(&mut kv, &[row]).unwrap().unwrap();
    decoder.logits(&hidden, 0, 1, <[f32]>::to_vec).unwrap()
}

/// One test a family, so that a failure names it.
macro_rules! families_agree_with_transformers {
    ($($test:ident: $folder:literal,)*) => { $(
        #[test]
        fn $test() {
            check(concat!("lm/", $folder), concat!("lm/", $folder, "/expected.json"));
        }
    )* };
}

families_agree_with_transformers! {
    llama_checkpoints_agree_with_transformers: "llama",
    llama3_rope_checkpoints_agree_with_transformers: "llama3-rope",
    llama_smollm_checkpoints_agree_with_transformers: "llama-smollm",
    llama_spm_checkpoints_agree_with_transformers: "llama-spm",
    mistral_checkpoints_agree_with_transformers: "mistral",
    qwen2_checkpoints_agree_with_transformers: "qwen2",
    qwen3_checkpoints_agree_with_transformers: "qwen3",
    gemma2_checkpoints_agree_with_transformers: "gemma2",
    gemma3_text_checkpoints_agree_with_transformers: "gemma3_text",
    phi3_checkpoints_agree_with_transformers: "phi3",
    phi3_partial_checkpoints_agree_with_transformers: "phi3-partial",
    olmo2_checkpoints_agree_with_transformers: "olmo2",
    granite_checkpoints_agree_with_transformers: "granite",
    smollm3_checkpoints_agree_with_transformers: "smollm3",
    gpt2_checkpoints_agree_with_transformers: "gpt2",
    gpt_neox_checkpoints_agree_with_transformers: "gpt_neox",
    gpt_neox_serial_checkpoints_agree_with_transformers: "gpt_neox-serial",
}

/// Variants that published checkpoints use and the families above leave at their defaults: OPT in both forms, LongRoPE on
/// both sides of its border, YaRN, windows, biases, half-precision and sharded weights.
#[test]
fn variants_of_the_families_agree_with_transformers() {
    let folder = fixtures().join("../checkpoints");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let expected = format!("../checkpoints/{name}/expected.json");
        if fixtures().join(&expected).exists() {
            println!("{name}");
            check(&format!("../checkpoints/{name}"), &expected);
            checked += 1;
        }
    }
    assert!(checked >= 20, "{checked} checkpoints");
}

#[test]
fn gguf_files_agree_with_transformers() {
    for name in [
        "llama-f32",
        "llama-q8_0",
        "llama-q4_0",
        "llama-smollm-f32",
        "llama3-rope-f32",
        "qwen2-f32",
        "qwen3-f32",
        "gemma3-f32",
        "llama-spm-f32",
    ] {
        check(&format!("gguf/{name}.gguf"), &format!("gguf/{name}.expected.json"));
    }
}

/// Models that differ in what could break it: plain, windows and softcaps, partial rotation and parallel blocks, learned
/// positions; int8 where rows are whole groups of 32.
const INVARIANT: [(Precision, &str); 8] = [
    (Precision::F32, "lm/llama"),
    (Precision::F32, "lm/gemma2"),
    (Precision::F32, "lm/gpt_neox"),
    (Precision::F32, "lm/gpt2"),
    (Precision::F32, "../checkpoints/phi3-longrope"),
    (Precision::Int8, "lm/llama"),
    (Precision::Int8, "lm/qwen3"),
    (Precision::Int8, "gguf/llama-q8_0.gguf"),
];

#[test]
fn an_answer_has_the_same_tokens_alone_and_in_any_batch() {
    let sampling = Sampling { temperature: 0.9, top_p: 0.95, ..greedy(20) };
    let prompts =
        ["I", "The nurse said that", "The nurse said that he", "The doctor", "The nurse", "The nurse said that"];
    let requests: Vec<GenerateRequest> = prompts
        .iter()
        .enumerate()
        .map(|(i, p)| request(Prompt::Text((*p).into()), sampling.clone(), i as u8 % 5))
        .collect();
    let ids = |answers: Vec<Generation>| answers.into_iter().map(|a| a.token_ids).collect::<Vec<_>>();
    for (precision, path) in INVARIANT {
        let together = ids(generate(&load_in(precision, path, 384), &requests));
        for batch_tokens in [1, 2, 7, 24] {
            let answers = generate(&load_in(precision, path, batch_tokens), &requests);
            assert_eq!(ids(answers), together, "{path}: batch of {batch_tokens}");
        }
        let model = load_in(precision, path, 384);
        for (request, want) in requests.iter().zip(&together) {
            assert_eq!(&ids(generate(&model, std::slice::from_ref(request)))[0], want, "{path}: alone");
        }
    }
}

#[test]
fn a_rows_logits_have_the_same_bits_fresh_forked_in_company_token_by_token_and_on_any_number_of_threads() {
    for (precision, path) in INVARIANT {
        let model = load_in(precision, path, 384);
        let decoder = model.decoder().unwrap();
        let mut tokens = model.encode(&Prompt::Text("The nurse said that the doctor was late again".into())).unwrap();
        tokens.truncate(30);
        let fresh = last_logits(&model, &tokens);
        fn row(seq: SeqId, tokens: &[u32], want_from: usize) -> Row<'_> {
            Row { seq, tokens, want_from, long: false }
        }
        let mut kv = decoder.new_store();
        let root = kv.root();
        decoder.step(&mut kv, &[row(root, &tokens[..6], 6)]).unwrap();
        let others: Vec<_> = (0..40).map(|i| kv.fork(root, i % 7)).collect();
        let fork = kv.fork(root, 4);
        let mut rows: Vec<Row<'_>> = others.iter().map(|&seq| row(seq, &tokens[3..9], 5)).collect();
        rows.insert(17, row(fork, &tokens[4..], tokens.len() - 5));
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut kv = decoder.new_store();
            let seq = kv.root();
            let alone = pool.install(|| {
                let hidden = decoder.step(&mut kv, &[row(seq, &tokens, tokens.len() - 1)]).unwrap().unwrap();
                decoder.logits(&hidden, 0, 1, <[f32]>::to_vec).unwrap()
            });
            assert_eq!(alone, fresh, "{path}: {threads} threads");
        }
        let hidden = decoder.step(&mut kv, &rows).unwrap().unwrap();
        assert_eq!(decoder.logits(&hidden, 17, 18, <[f32]>::to_vec).unwrap(), fresh, "{path}: forked, in company");
        let mut kv = decoder.new_store();
        let seq = kv.root();
        let mut hidden = None;
        for token in tokens.chunks(1) {
            hidden = decoder.step(&mut kv, &[row(seq, token, 0)]).unwrap();
        }
        let logits = decoder.logits(&hidden.unwrap(), 0, 1, <[f32]>::to_vec).unwrap();
        assert_eq!(logits, fresh, "{path}: token by token");
        kv.truncate(seq, 9);
        let hidden = decoder.step(&mut kv, &[row(seq, &tokens[9..], tokens.len() - 10)]).unwrap().unwrap();
        let logits = decoder.logits(&hidden, 0, 1, <[f32]>::to_vec).unwrap();
        assert_eq!(logits, fresh, "{path}: cut back and computed again");
    }
}

/// Against the dequantised weights in f32; 8-bit activations move a small random model this far (parity/README.md).
#[test]
fn int8_stays_within_the_stated_distance_of_f32() {
    for name in ["llama-q8_0", "llama-q4_0"] {
        let (model, expected) =
            (load_in(Precision::Int8, &format!("gguf/{name}.gguf"), 64), json(&format!("gguf/{name}.expected.json")));
        let want = &expected["logits"];
        let tokens = model.encode(&Prompt::Text(text(&want["prompt"]))).unwrap();
        for (got, want) in last_logits(&model, &tokens).iter().zip(want["first"].as_array().unwrap()) {
            assert!((f64::from(*got) - want.as_f64().unwrap()).abs() < 0.5, "{name}");
        }
        let cases = cases(&expected, "generate");
        let requests: Vec<GenerateRequest> = cases
            .iter()
            .map(|case| request(Prompt::Text(text(&case["prompt"])), greedy(case["ids"].as_array().unwrap().len()), 0))
            .collect();
        for (case, answer) in cases.iter().zip(generate(&model, &requests)) {
            let margins = case["margins"].as_array().unwrap();
            let certain = margins.iter().position(|m| m.as_f64().unwrap() < 0.3).unwrap_or(margins.len());
            assert_eq!(answer.token_ids[..certain], ids(&case["ids"])[..certain], "{name}: {}", case["id"]);
        }
    }
}

#[test]
fn an_answer_ends_before_a_stop_string() {
    let model = load("lm/llama", 64);
    let plain = generate(&model, &[request(Prompt::Text("The nurse said that".into()), greedy(24), 0)]);
    let stop: String = plain[0].text.chars().rev().skip(2).take(3).collect::<Vec<_>>().into_iter().rev().collect();
    let sampling = Sampling { stop: vec![stop.clone()], ..greedy(24) };
    let stopped = generate(&model, &[request(Prompt::Text("The nurse said that".into()), sampling, 0)]);
    assert_eq!(stopped[0].text, plain[0].text[..plain[0].text.find(&stop).unwrap()]);
    assert_eq!(stopped[0].finish.as_str(), "stop");
}

#[test]
fn a_prompt_over_the_context_is_an_error_that_names_it() {
    let model = load("lm/llama", 64);
    let long = request(Prompt::Text("word ".repeat(600)), greedy(8), 0);
    let error = model.generate(&[long], &mut |_, _| Ok(())).unwrap_err().to_string();
    assert!(error.starts_with("test: the prompt has"), "{error}");
}

#[test]
fn an_architecture_or_pre_tokenizer_that_is_not_known_is_refused_by_name() {
    let refuse = |path: PathBuf| {
        open(path.to_str().unwrap(), &OpenOptions { offline: true, quiet: true, ..OpenOptions::default() })
            .err()
            .expect("refused")
            .to_string()
    };
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(fixtures().join("lm/llama").join(file), folder.path().join(file)).unwrap();
    }
    std::fs::write(folder.path().join("config.json"), r#"{"model_type": "mamba"}"#).unwrap();
    let error = refuse(folder.path().to_owned());
    assert!(error.contains("\"mamba\"") && error.contains("gpt_neox"), "{error}");
    let bytes = std::fs::read(fixtures().join("gguf/llama-f32.gguf")).unwrap();
    let at = bytes.windows(9).position(|w| w == b"llama-bpe").unwrap();
    let mut changed = bytes.clone();
    changed[at..at + 9].copy_from_slice(b"llama-xyz");
    std::fs::write(folder.path().join("changed.gguf"), &changed).unwrap();
    let error = refuse(folder.path().join("changed.gguf"));
    assert!(error.contains("\"llama-xyz\"") && error.contains("tokenizer.json"), "{error}");
    std::fs::write(folder.path().join("short.gguf"), &bytes[..bytes.len() - 1000]).unwrap();
    let error = refuse(folder.path().join("short.gguf"));
    assert!(error.contains("truncated"), "{error}");
}

#[test]
fn the_default_model_agrees_with_transformers() {
    let options = OpenOptions { quiet: true, ..OpenOptions::default() };
    let model = match open("smollm2-135m-instruct", &options) {
        Ok(model) => model,
        Err(error) => return eprintln!("skipped: the default model cannot be had here: {error:#}"),
    };
    let expected = json("real/expected_smollm2.json");
    let chats = cases(&expected, "chat");
    let requests: Vec<GenerateRequest> = chats
        .iter()
        .map(|case| request(Prompt::Chat(messages(case)), greedy(case["max_new_tokens"].as_u64().unwrap() as usize), 0))
        .collect();
    for ((case, asked), answer) in chats.iter().zip(&requests).zip(generate(&model, &requests)) {
        assert_eq!(model.render(&asked.prompt).unwrap(), text(&case["rendered"]));
        assert_eq!(model.encode(&asked.prompt).unwrap(), ids(&case["prompt_ids"]));
        assert_ids(case, &answer, 1e-3);
    }
    check_likelihoods(&model, &expected, 1e-4);
}
