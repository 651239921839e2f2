//! Holds the decoder against candle-transformers' own Llama on prompts of every length: a second opinion beside the
//! stored values of tests/lm_parity.rs.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::llama::{Cache, Llama, LlamaConfig};
use tiltmeter::model::decoder::Row;
use tiltmeter::model::decoder::backend::Sequences;
use tiltmeter::model::{OpenOptions, open};

#[test]
fn every_prompt_length_gives_the_logits_of_candle_transformers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/lm/llama");
    let config: LlamaConfig =
        serde_json::from_str(&std::fs::read_to_string(folder.join("config.json")).unwrap()).unwrap();
    let config = config.into_config(false);
    let tensors = candle_core::safetensors::load(folder.join("model.safetensors"), &Device::Cpu).unwrap();
    let reference = Llama::load(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu), &config).unwrap();
    let options = OpenOptions { offline: true, quiet: true, ..OpenOptions::default() };
    let model = open(folder.to_str().unwrap(), &options).unwrap();
    let decoder = model.decoder().unwrap();
    let tokens: Vec<u32> = (0..40).map(|i| (i * 37 + 11) % 500).collect();
    for length in 1..=tokens.len() {
        let mut kv = decoder.new_store();
        let seq = kv.root();
        let row = Row { seq, tokens: &tokens[..length], want_from: length - 1, long: false };
        let hidden = decoder.step(&mut kv, &[row]).unwrap().unwrap();
        let ours = decoder.logits(&hidden, 0, 1, <[f32]>::to_vec).unwrap();
        let mut cache = Cache::new(false, DType::F32, &config, &Device::Cpu).unwrap();
        let input = Tensor::new(&tokens[..length], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let theirs = reference.forward(&input, 0, &mut cache).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let gap = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(gap < 1e-4, "{length} tokens: logits differ by {gap}");
    }
}
