//! `tiltmeter head`: trained on a tiny encoder of random weights, so that what counts is bytes and messages, not quality.

use std::path::Path;

use crate::workdir::Workdir;

fn encoder() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/heads/sentence-encoder");
    folder.to_str().unwrap().to_owned()
}

/// Texts whose label is told by their words, so that any fit finds it.
fn labels() -> String {
    let line = |i: usize| match i % 2 {
        0 => format!("the nurse reads the letter number {i},calm\n"),
        _ => format!("a storm and thunder came {i},loud\n"),
    };
    format!("text,label\n{}", (0..80).map(line).collect::<String>())
}

#[test]
fn every_kind_of_head_trains_to_the_same_bytes_twice_and_scores_the_users_texts() {
    let encoder = encoder();
    for kind in ["linear", "mlp", "lora"] {
        let workdir = Workdir::new();
        workdir.write("labels.csv", &labels());
        let train = ["head", "train", "labels.csv", "--kind", kind, "--layers", "1", "--encoder", &encoder, "--quiet"];
        let printed = workdir.ok(&[&train[..], &["--threads", "1", "-o", "mine.safetensors"]].concat());
        assert!(printed.contains("mine: fitted on") && printed.contains("AUROC"), "{printed}");
        let first = std::fs::read(workdir.path("mine.safetensors")).unwrap();
        workdir.ok(&[&train[..], &["--threads", "2", "-o", "mine.safetensors"]].concat());
        assert!(first == std::fs::read(workdir.path("mine.safetensors")).unwrap(), "{kind}");

        let shown = workdir.ok(&["head", "show", "mine.safetensors"]);
        assert!(shown.contains("calm 0, loud 1") && shown.contains("licence     not stated"), "{shown}");
        workdir.write("in.csv", "text\na storm and thunder\n\n");
        let scored = workdir.ok(&["score", "in.csv", "--scorer", "mine.safetensors", "--all-labels", "--quiet"]);
        assert!(scored.starts_with("text,calm,loud,mine_reason\na storm and thunder,0."), "{scored}");
    }
}

#[test]
fn what_cannot_become_a_head_is_said_before_anything_is_encoded() {
    let workdir = Workdir::new();
    workdir.write("labels.csv", &labels());
    workdir.write("card.yaml", "labels: [calm, loud]\nvalues: [0, 0.5, 1]\n");
    workdir.write("one.csv", "text,label\na,calm\nb,calm\n");
    let encoder = encoder();
    for (more, message) in [
        (["labels.csv", "--card", "card.yaml"], "gives the values [0.0, 0.5, 1.0] to the labels"),
        (["one.csv", "--kind", "linear"], "two labels or more"),
        (["labels.csv", "--held-out", "1.5"], "between 0 and 1"),
    ] {
        let command = [&["head", "train"], &more[..], &["--encoder", &encoder, "-o", "mine.safetensors"]].concat();
        let error = workdir.error(&command);
        assert!(error.contains(message), "{error}");
        assert!(!workdir.path("mine.safetensors").exists());
    }
}
