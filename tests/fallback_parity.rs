//! Holds the fallback models against what Hugging Face transformers makes of the same files
//! (tests/fixtures/checkpoints/fallback, written by tests/fixtures/make_checkpoints.py).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use candle_core::{Device, Tensor};
use serde_json::{Value, json};
use tiltmeter::model::fallback::FallbackModel;
use tiltmeter::model::plan::{Consumer, Job, Limits};
use tiltmeter::model::precision::Precision;
use tiltmeter::model::{GenerateRequest, LanguageModel, OpenOptions, Prompt, Sampling, open};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoints/fallback").join(name)
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn load(name: &str) -> FallbackModel {
    let folder = folder(name);
    let config = read(&folder.join("config.json"));
    FallbackModel::load(&config, "config.json", &[folder.join("model.safetensors")]).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn job(tokens: Vec<u32>, want_from: usize) -> Job {
    Job { want_from, length: tokens.len(), max_length: tokens.len() + 24, tokens }
}

fn limits(batch_tokens: usize) -> Limits {
    Limits { batch_tokens, kv_bytes: usize::MAX }
}

/// Keeps every row of logits and answers greedily, `new` times.
struct Greedy {
    prompt_tokens: usize,
    new: usize,
    ids: Vec<u32>,
    logits: Vec<(usize, Vec<f32>)>,
}

impl Greedy {
    fn new(job: &Job, new: usize) -> Self {
        Self { prompt_tokens: job.tokens.len(), new, ids: Vec::new(), logits: Vec::new() }
    }
}

impl Consumer for Greedy {
    fn consume(&mut self, position: usize, logits: &[f32]) -> Result<Option<u32>> {
        self.logits.push((position, logits.to_vec()));
        if position + 1 < self.prompt_tokens || self.ids.len() == self.new {
            return Ok(None);
        }
        self.ids.push(argmax(logits));
        Ok(self.ids.last().copied().filter(|_| self.ids.len() < self.new))
    }
}

fn argmax(logits: &[f32]) -> u32 {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]).then(b.cmp(&a))).unwrap() as u32
}

fn logsumexp(logits: &[f32]) -> f64 {
    logits.iter().map(|&logit| f64::from(logit).exp()).sum::<f64>().ln()
}

fn run(model: &FallbackModel, jobs: &[Job], new: usize, batch_tokens: usize) -> Vec<Greedy> {
    let mut consumers: Vec<Greedy> = jobs.iter().map(|job| Greedy::new(job, new)).collect();
    let mut ended = vec![false; jobs.len()];
    model
        .run(jobs, &mut consumers, limits(batch_tokens), &mut |job, _| {
            assert!(!std::mem::replace(&mut ended[job], true), "a job ends once");
            Ok(())
        })
        .unwrap();
    assert!(!ended.contains(&false), "every job ends");
    consumers
}

/// The greatest difference to expected.json: greedy answers, likelihoods, the logits at every length of a prompt.
fn gap(name: &str) -> f64 {
    let (model, expected) = (load(name), read(&folder(name).join("expected.json")));
    let mut gap = 0.0f64;
    let mut compare = |got: f64, want: f64| gap = gap.max((got - want).abs());
    for batch_tokens in [1, 4096] {
        // Twins and shifted copies share batches with the prompts that are checked.
        let generations = expected["generate"].as_array().unwrap();
        let mut jobs = Vec::new();
        for case in generations.iter().chain(generations) {
            let tokens = ids(&case["prompt_ids"]);
            jobs.push(job(tokens.clone(), tokens.len() - 1));
            jobs.push(job(tokens.iter().map(|id| (id * 7 + 5) % 288).collect(), tokens.len() - 1));
        }
        let answers = run(&model, &jobs, 24, batch_tokens);
        for (case, answer) in generations.iter().chain(generations).zip(answers.iter().step_by(2)) {
            assert_eq!(answer.ids, ids(&case["ids"]), "{name}, {} at {batch_tokens}", case["id"]);
        }
        let (first, twins) = answers.split_at(answers.len() / 2);
        for (answer, twin) in first.iter().zip(twins) {
            assert!(answer.logits == twin.logits, "{name}: identical prompts got different logits");
        }
    }
    for case in expected["log_likelihood"].as_array().unwrap() {
        let joint = ids(&case["joint_ids"]);
        let context = case["context_tokens"].as_u64().unwrap() as usize;
        let asked = job(joint[..joint.len() - 1].to_vec(), context - 1);
        let read = run(&model, &[asked], 0, 384).remove(0);
        let wanted = numbers(&case["token_log_probs"]);
        assert_eq!(read.logits.len(), wanted.len());
        for ((position, logits), want) in read.logits.iter().zip(wanted) {
            compare(f64::from(logits[joint[position + 1] as usize]) - logsumexp(logits), want);
        }
    }
    let tokens = ids(&expected["logits"]["prompt_ids"]);
    let read = run(&model, &[job(tokens.clone(), tokens.len() - 1)], 1, 384).remove(0);
    for (got, want) in read.logits[0].1.iter().zip(numbers(&expected["logits"]["first"])) {
        compare(f64::from(*got), want);
    }
    // Every beginning of a prompt by itself, and the prompt token by token.
    let positions = &expected["positions"];
    let tokens = ids(&positions["prompt_ids"]);
    let (largest, sums) = (numbers(&positions["max"]), numbers(&positions["logsumexp"]));
    let mut jobs: Vec<Job> = (0..tokens.len()).map(|last| job(tokens[..=last].to_vec(), last)).collect();
    jobs.push(job(tokens.clone(), 0));
    for (position, logits) in run(&model, &jobs, 1, 384).iter().flat_map(|read| &read.logits) {
        compare(f64::from(logits[argmax(logits) as usize]), largest[*position]);
        compare(logsumexp(logits), sums[*position]);
    }
    gap
}

#[test]
fn every_family_agrees_with_transformers_alone_and_in_batches() {
    for (model_type, _) in FallbackModel::supported() {
        let gap = gap(model_type);
        assert!(gap < 1e-4, "{model_type}: differs by {gap}");
    }
}

#[test]
fn an_architecture_without_a_stored_check_is_refused_by_name() {
    assert!(FallbackModel::supports("gemma") && !FallbackModel::supports("falcon"));
    let error = FallbackModel::load(&json!({"model_type": "falcon"}), "config.json", &[]).err().unwrap().to_string();
    assert!(error.contains("\"falcon\"") && error.contains("gemma, starcoder2, "), "{error}");
}

/// What loading says of the olmo checkpoint with its tensors changed.
fn refused(change: impl FnOnce(&mut HashMap<String, Tensor>)) -> String {
    let original = folder("olmo");
    let mut tensors = candle_core::safetensors::load(original.join("model.safetensors"), &Device::Cpu).unwrap();
    change(&mut tensors);
    let changed = tempfile::tempdir().unwrap();
    let weights = changed.path().join("model.safetensors");
    candle_core::safetensors::save(&tensors, &weights).unwrap();
    format!("{:#}", FallbackModel::load(&read(&original.join("config.json")), "config.json", &[weights]).err().unwrap())
}

#[test]
fn tensors_that_are_missing_left_over_misshaped_or_not_finite_are_refused_by_name() {
    const NORM: &str = "model.layers.1.mlp.up_proj.weight";
    let row = |values: Vec<f32>| Tensor::from_vec(values, 2, &Device::Cpu).unwrap();
    let error = refused(|tensors| drop(tensors.remove(NORM)));
    assert!(error.contains(&format!("tensor {NORM} is missing")) && error.contains("model.safetensors"), "{error}");
    let error = refused(|tensors| drop(tensors.insert("model.layers.0.extra".into(), row(vec![1.0, 2.0]))));
    assert!(error.contains("1 tensors of the file are not part") && error.contains("model.layers.0.extra"), "{error}");
    let error = refused(|tensors| drop(tensors.insert(NORM.into(), row(vec![1.0, 2.0]))));
    assert!(error.contains(&format!("tensor {NORM} has the shape [2]")), "{error}");
    let error = refused(|tensors| drop(tensors.insert(NORM.into(), row(vec![1.0, f32::NAN]))));
    assert!(error.contains(&format!("tensor {NORM} holds values that are not finite")), "{error}");
}

#[test]
fn logits_that_are_not_numbers_end_the_run() {
    let original = folder("olmo");
    let mut tensors = candle_core::safetensors::load(original.join("model.safetensors"), &Device::Cpu).unwrap();
    for name in ["model.layers.1.mlp.up_proj.weight", "model.layers.1.mlp.down_proj.weight"] {
        tensors.insert(name.into(), tensors[name].affine(1e25, 0.0).unwrap());
    }
    let changed = tempfile::tempdir().unwrap();
    let weights = changed.path().join("model.safetensors");
    candle_core::safetensors::save(&tensors, &weights).unwrap();
    let model = FallbackModel::load(&read(&original.join("config.json")), "config.json", &[weights]).unwrap();
    let jobs = [job(vec![5, 6], 1)];
    let mut consumers = [Greedy::new(&jobs[0], 1)];
    let error = model.run(&jobs, &mut consumers, limits(384), &mut |_, _| Ok(())).unwrap_err().to_string();
    assert!(error.contains("are not numbers"), "{error}");
}

#[test]
fn a_whole_model_answers_with_the_texts_of_transformers() {
    let options = OpenOptions { offline: true, quiet: true, ..OpenOptions::default() };
    let model = open(folder("gemma").to_str().unwrap(), &options).unwrap();
    let expected = read(&folder("gemma").join("expected.json"));
    let cases = expected["generate"].as_array().unwrap();
    let requests: Vec<GenerateRequest> = cases
        .iter()
        .map(|case| GenerateRequest {
            label: "test".into(),
            prompt: Prompt::Text(case["prompt"].as_str().unwrap().into()),
            sampling: Sampling {
                temperature: 0.0,
                top_p: 1.0,
                max_new_tokens: 24,
                stop: Vec::new(),
                ignore_eos: false,
            },
            seed: [0; 32],
        })
        .collect();
    let mut answered = 0;
    model
        .generate(&requests, &mut |index, answer| {
            answered += 1;
            assert_eq!(answer.text, cases[index]["text"].as_str().unwrap());
            Ok(())
        })
        .unwrap();
    assert_eq!((answered, model.card().architecture.as_str()), (2, "gemma"));
    assert!(!model.card().batch_invariant);
    let int8 = open(folder("gemma").to_str().unwrap(), &OpenOptions { precision: Precision::Int8, ..options });
    assert!(int8.err().unwrap().to_string().contains("runs in f32 only"));
}
