//! `ask` and `model inspect` on the tiny checkpoints of tests/fixtures/parity.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::workdir::Workdir;

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(path)
}

fn expected(model: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixture(model).join("expected.json")).unwrap()).unwrap()
}

/// `ask` on a checkpoint with these requests, one a line.
fn ask(model: &str, requests: &[Value], more: &[&str]) -> Output {
    let workdir = Workdir::new();
    let lines: Vec<String> = requests.iter().map(Value::to_string).collect();
    workdir.write("requests.jsonl", &lines.join("\n"));
    let model = fixture(model);
    let args = [&["ask", "requests.jsonl", "--offline", "--model", model.to_str().unwrap()], more].concat();
    workdir.output(&args)
}

fn answers(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn statistics(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_str(text.lines().last().unwrap()).unwrap_or_else(|_| panic!("{text}"))
}

/// All that expected.json asks of a model: (request, expected answer).
fn everything(expected: &Value) -> Vec<(Value, Value)> {
    let mut asked = Vec::new();
    for kind in ["generate", "chat"] {
        for (number, case) in expected[kind].as_array().unwrap().iter().enumerate() {
            let key = if kind == "chat" { "messages" } else { "prompt" };
            let id = format!("{kind} {number}");
            let request = json!({"id": id, key: case[key], "max_new_tokens": case["max_new_tokens"]});
            let prompt_tokens = case["prompt_ids"].as_array().unwrap().len();
            let answer = json!({
                "id": id,
                "text": case["text"],
                "token_ids": case["ids"],
                "finish": case["finish"],
                "prompt_tokens": prompt_tokens,
            });
            asked.push((request, answer));
        }
    }
    asked
}

#[test]
fn prompts_and_messages_are_answered_as_transformers_answers_them() {
    for model in ["lm/llama", "lm/llama-smollm"] {
        let asked = everything(&expected(model));
        let requests: Vec<Value> = asked.iter().map(|(request, _)| request.clone()).collect();
        let output = ask(model, &requests, &["--precision", "f32"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let wanted: Vec<Value> = asked.into_iter().map(|(_, answer)| answer).collect();
        assert_eq!(answers(&output), wanted, "{model}");
        let statistics = statistics(&output);
        let total = |key: &str| wanted.iter().map(|answer| answer[key].as_u64().unwrap()).sum::<u64>();
        assert_eq!(statistics["prompts"], wanted.len());
        assert_eq!(statistics["prompt_tokens"], total("prompt_tokens"));
        let new: usize = wanted.iter().map(|answer| answer["token_ids"].as_array().unwrap().len()).sum();
        assert_eq!(statistics["new_tokens"], new);
        assert!(statistics["prefilled_tokens"].as_u64().unwrap() <= total("prompt_tokens"));
        assert!(["load_s", "seconds", "new_tok_per_s"].iter().all(|key| statistics[key].is_number()), "{statistics}");
    }
}

#[test]
fn continuations_have_their_likelihood() {
    let expected = expected("lm/llama");
    let cases = expected["log_likelihood"].as_array().unwrap();
    let requests: Vec<Value> = cases
        .iter()
        .map(|case| json!({"id": case["id"], "context": case["context"], "continuation": case["continuation"]}))
        .collect();
    let output = ask("lm/llama", &requests, &[]);
    for (case, answer) in cases.iter().zip(answers(&output)) {
        assert_eq!(answer["id"], case["id"]);
        assert!((answer["nats"].as_f64().unwrap() - case["sum"].as_f64().unwrap()).abs() < 1e-4, "{answer}");
        assert_eq!(answer["tokens"], case["token_log_probs"].as_array().unwrap().len());
        assert_eq!(answer["per_token"].as_array().unwrap().len(), answer["tokens"]);
        assert_eq!(answer.get("boundary_merges").is_some(), case["boundary_merges"].as_bool().unwrap());
    }
}

#[test]
fn order_batch_and_threads_change_no_byte() {
    let words = ["The nurse", "The nurse said that", "A", "The doctor was late", "The nurse said"];
    let mut requests: Vec<Value> = words
        .iter()
        .enumerate()
        .map(|(i, prompt)| json!({"id": i, "prompt": prompt, "temperature": 0.9, "top_p": 0.9, "seed": i / 2, "max_new_tokens": 12}))
        .collect();
    requests.push(json!({"id": "likelihood", "context": "The nurse said", "continuation": " that she"}));
    let run = |requests: &[Value], more: &[&str]| {
        let output = ask("lm/llama", requests, more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let whole = run(&requests, &[]);
    for more in [["--batch-tokens", "1", "--threads", "1"], ["--batch-tokens", "7", "--threads", "2"]] {
        assert_eq!(run(&requests, &more), whole);
    }
    let lines = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    let mut reversed = requests.clone();
    reversed.reverse();
    let mut back = lines(run(&reversed, &[]));
    back.reverse();
    assert_eq!(back, lines(whole));
}

#[test]
fn a_request_that_cannot_be_answered_leaves_the_others_their_answers() {
    let good = json!({"id": "good", "prompt": "The nurse", "max_new_tokens": 4});
    let requests = [
        json!({"id": "long", "prompt": "word ".repeat(600)}),
        json!({"id": "beyond", "prompt": "a", "max_new_tokens": 4000}),
        json!({"id": "empty", "prompt": ""}),
        good.clone(),
        json!({"id": "key", "prompt": "a", "top_k": 1}),
        json!({"id": "good", "prompt": "b"}),
        json!({"id": "nothing", "context": "a", "continuation": ""}),
    ];
    let output = ask("lm/llama", &requests, &[]);
    assert_eq!(output.status.code(), Some(2));
    let all = answers(&output);
    for (at, word) in [
        (0, "shorten the prompt"),
        (1, "lower max_new_tokens"),
        (2, "the prompt is empty"),
        (4, "line 5: \"top_k\" is no key"),
        (5, "id \"good\" stands in line 4 already"),
        (6, "give a longer one"),
    ] {
        assert_eq!(all[at]["id"], requests[at]["id"]);
        assert!(all[at]["error"].as_str().unwrap().contains(word), "{}", all[at]);
    }
    assert_eq!(vec![all[3].clone()], answers(&ask("lm/llama", &[good], &[])));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("error: 6 of 7 requests could not be answered: request \"long\""), "{stderr}");
    assert_eq!(statistics(&output)["prompts"], 1);
}

#[test]
fn messages_to_a_template_that_refuses_them_have_its_own_words() {
    let requests = [json!({"id": 1, "messages": [{"role": "wizard", "content": "x"}]})];
    let folder = Workdir::new();
    for entry in std::fs::read_dir(fixture("lm/llama")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path(path.file_name().unwrap().to_str().unwrap())).unwrap();
    }
    folder.write("chat_template.jinja", "{{ raise_exception('roles must be user or assistant') }}");
    let output = ask(folder.path("").to_str().unwrap(), &requests, &[]);
    let error = answers(&output)[0]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("refuses these messages: roles must be user or assistant"), "{error}");
    folder.write("chat_template.jinja", "{{ strftime_now('%A %d %B %Y') }}");
    let count = |more: &[&str]| answers(&ask(folder.path("").to_str().unwrap(), &requests, more))[0].clone();
    assert_ne!(count(&[])["prompt_tokens"], count(&["--template-date", "2024-09-11"])["prompt_tokens"]);
}

#[test]
fn a_tokenizer_larger_than_the_model_is_refused() {
    let folder = Workdir::new();
    for entry in std::fs::read_dir(fixture("lm/llama")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path(path.file_name().unwrap().to_str().unwrap())).unwrap();
    }
    let config = folder.read("config.json").replace("\"vocab_size\": 512", "\"vocab_size\": 500");
    folder.write("config.json", &config);
    folder.write("requests.jsonl", "{\"id\": 1, \"prompt\": \"a\"}");
    let message = folder.error(&["ask", "requests.jsonl", "--model", ".", "-o", "out.jsonl"]);
    assert!(message.contains("the tokenizer has 512 tokens, but the model only 500"), "{message}");
    assert!(!folder.path("out.jsonl.partial").exists());
}

#[test]
fn stop_strings_end_an_answer_wherever_tokens_end() {
    let prompt = json!({"id": 0, "prompt": "The nurse said that", "max_new_tokens": 24});
    let whole = answers(&ask("lm/llama", std::slice::from_ref(&prompt), &[]))[0]["text"].as_str().unwrap().to_owned();
    let letters: Vec<char> = whole.chars().collect();
    let mut requests = Vec::new();
    for (from, to) in [(3, 5), (5, 12), (letters.len() - 2, letters.len())] {
        let stop: String = letters[from..to].iter().collect();
        let mut request = prompt.clone();
        request["id"] = requests.len().into();
        request["stop"] = json!(["never said", stop]);
        requests.push(request);
    }
    for (request, answer) in requests.iter().zip(answers(&ask("lm/llama", &requests, &[]))) {
        let stop = request["stop"][1].as_str().unwrap();
        assert_eq!(answer["text"], whole[..whole.find(stop).unwrap()], "{stop:?}");
        assert_eq!(answer["finish"], "stop");
    }
}

#[test]
fn ending_tokens_are_ignored_where_that_is_asked_for() {
    let asked = everything(&expected("lm/llama"));
    let stopped: Vec<Value> =
        asked.iter().filter(|(_, answer)| answer["finish"] == "stop").map(|(request, _)| request.clone()).collect();
    assert!(!stopped.is_empty());
    for (request, answer) in stopped.iter().zip(answers(&ask("lm/llama", &stopped, &["--ignore-eos"]))) {
        assert_eq!(answer["token_ids"].as_array().unwrap().len(), request["max_new_tokens"]);
        assert_eq!(answer["finish"], "length");
    }
}

#[test]
fn requests_come_from_stdin_and_answers_go_into_a_file() {
    let workdir = Workdir::new();
    let model = fixture("lm/llama");
    let model = model.to_str().unwrap();
    for file in [&[][..], &["-"]] {
        let args = [&["ask", "--model", model, "--offline", "--format", "csv", "-o", "out.csv"], file].concat();
        let mut child = workdir.command(&args).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"{\"id\": \"a\", \"prompt\": \"I\", \"max_new_tokens\": 2}\n").unwrap();
        assert!(child.wait().unwrap().success());
        let csv = workdir.read("out.csv");
        assert!(csv.starts_with("id,text,token_ids,finish,prompt_tokens,nats,tokens,per_token,error\na,"), "{csv}");
        assert!(!workdir.path("out.csv.partial").exists());
    }
    workdir.write("requests.jsonl", "");
    assert!(workdir.error(&["ask", "missing.jsonl", "--model", model]).contains("missing.jsonl"));
    assert!(workdir.error(&["ask", "requests.jsonl", "--model", model, "-o", "no/out"]).contains("no/out"));
}

#[test]
fn a_file_without_one_good_request_loads_no_model() {
    let output = ask("lm/no-such-model", &[json!({"id": 1})], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(answers(&output)[0]["error"].as_str().unwrap().contains("asks nothing"));
}

#[test]
fn inspect_says_what_a_model_is_without_loading_it() {
    let workdir = Workdir::new();
    let inspect = |path: &str, more: &[&str]| {
        let path = fixture(path);
        workdir.ok(&[&["model", "inspect", path.to_str().unwrap(), "--offline"], more].concat())
    };
    let model: Value = serde_json::from_str(&inspect("lm/llama", &["--format", "json"])).unwrap();
    assert_eq!(model["path"], "own");
    assert_eq!(model["format"], "safetensors");
    assert_eq!(model["context_length"], 512);
    assert_eq!(model["tokenizer"]["kind"], "byte-level BPE");
    assert_eq!(model["tokenizer"]["around"], json!(["<|begin_of_text|>"]));
    let parameters = model["parameters"].as_u64().unwrap();
    assert_eq!(model["dtypes"], json!({"F32": parameters}));
    assert!(model["memory"]["kv_per_token"].as_u64().unwrap() == 2 * 2 * 2 * 16 * 4);
    let text = inspect("gguf/llama-q4_0.gguf", &[]);
    for word in ["own decoder", "gguf", "Q4_0", "512 tokens", "<|im_end|>", "chat template", "in int8"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    let other = fixture("lm/llama-smollm/tokenizer.json");
    let text = inspect("gguf/llama-f32.gguf", &["--tokenizer", other.to_str().unwrap()]);
    assert!(text.contains("refused") && text.contains("do not belong together"), "{text}");
}
