//! Holds the accelerators' operations against the CPU's kernels, on candle's own CPU device: the same code that runs on
//! CUDA and Metal, where nothing but the arithmetic's order may differ.

use std::path::{Path, PathBuf};

use candle_core::Device;
use tiltmeter::model::decoder::backend::{Backend, Sequences};
use tiltmeter::model::decoder::device::Accelerator;
use tiltmeter::model::decoder::host::Host;
use tiltmeter::model::decoder::weights::Weights;
use tiltmeter::model::decoder::{Decoder, Row, families};
use tiltmeter::model::precision::Precision;

fn checkpoints() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let folders = ["parity/lm", "checkpoints"].map(|folder| std::fs::read_dir(fixtures.join(folder)).unwrap());
    folders
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|p| p.join("config.json").exists())
        .collect()
}

fn decoder<B: Backend>(backend: B, folder: &Path) -> Decoder<B> {
    let json = serde_json::from_str(&std::fs::read_to_string(folder.join("config.json")).unwrap()).unwrap();
    let config = families::from_json(&json, "config.json").unwrap();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    files.sort();
    let weights = Weights::safetensors(&files, &config).unwrap();
    Decoder::load(backend, config, weights, Precision::F32).unwrap()
}

/// Logits of a prompt, of two forks that part from it at different tokens and go on together, and of one of them after
/// the other is gone and it was cut back.
fn logits<B: Backend>(decoder: &Decoder<B>) -> Vec<Vec<f32>> {
    let vocab = decoder.config().vocab as u32;
    let tokens: Vec<u32> = (0..72).map(|i| (i * 37 + 11) % vocab).collect();
    let mut store = decoder.new_store();
    let root = store.root();
    let step = |store: &mut B::Store, rows: &[Row<'_>], count: usize| {
        let hidden = decoder.step(store, rows).unwrap().unwrap();
        decoder.logits(&hidden, 0, count, <[f32]>::to_vec).unwrap()
    };
    let row = |seq, tokens, want_from| Row { seq, tokens, want_from, long: false };
    let mut all = vec![step(&mut store, &[row(root, &tokens[..30], 29)], 1)];
    let (a, b) = (store.fork(root, 7), store.fork(root, 25));
    all.push(step(&mut store, &[row(a, &tokens[40..72], 30), row(b, &tokens[30..31], 0)], 3));
    store.free(root);
    all.push(step(&mut store, &[row(b, &tokens[5..6], 0), row(a, &tokens[6..7], 0)], 2));
    store.free(b);
    store.truncate(a, 20);
    all.push(step(&mut store, &[row(a, &tokens[1..6], 2)], 3));
    all
}

#[test]
fn an_accelerators_operations_give_the_hosts_logits_for_every_family() {
    let mut checked = 0;
    for folder in checkpoints() {
        let host = logits(&decoder(Host, &folder));
        let device = logits(&decoder(Accelerator(Device::Cpu), &folder));
        for (host, device) in host.iter().flatten().zip(device.iter().flatten()) {
            assert!((host - device).abs() < 1e-4, "{}: {host} and {device}", folder.display());
        }
        checked += 1;
    }
    assert!(checked > 30, "{checked} checkpoints");
}
