//! `tiltmeter weat` on a small encoder of the fixtures.

use std::path::Path;

use crate::workdir::Workdir;

const TEST: &str = "\
targets:
  X: { name: weather, words: [rain, snow, wind] }
  Y: { name: music, words: [song, tune, choir, drum] }
attributes:
  A: { name: outdoors, words: [field, hill] }
  B: { name: indoors, words: [room, hall] }
";

fn encoder() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/heads/sentence-encoder").display().to_string()
}

#[test]
fn a_test_prints_its_size_interval_and_exact_p_in_every_format() {
    let workdir = Workdir::new();
    workdir.write("test.yaml", TEST);
    let encoder = encoder();
    let of = |format: &str| workdir.ok(&["weat", "test.yaml", "--encoder", &encoder, "--format", format]);
    let json: serde_json::Value = serde_json::from_str(&of("json")).unwrap();
    assert_eq!((json["partitions"].as_u64(), json["exact"].as_bool()), (Some(35), Some(true)));
    let (size, p) = (json["effect_size"].as_f64().unwrap(), json["p"].as_f64().unwrap());
    assert!(size.abs() <= 2.0 && p * 35.0 >= 1.0 && (p * 35.0 - (p * 35.0).round()).abs() < 1e-9);
    // The effect size is that of the words' associations.
    let words = |set: &str| -> Vec<f64> {
        json[set]["words"].as_array().unwrap().iter().map(|word| word["association"].as_f64().unwrap()).collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (x, y) = (words("x"), words("y"));
    let all = [x.as_slice(), &y].concat();
    let sd = (all.iter().map(|s| (s - mean(&all)).powi(2)).sum::<f64>() / 6.0).sqrt();
    assert!((size - (mean(&x) - mean(&y)) / sd).abs() < 1e-9);
    let csv = of("csv");
    assert!(csv.starts_with(
        "test,encoder,x,y,a,b,n_x,n_y,n_a,n_b,effect_size,low,high,statistic,p,p_two_sided,partitions,exact\n"
    ));
    assert!(csv.lines().nth(1).unwrap().ends_with(",35,yes"), "{csv}");
    let text = of("text");
    assert!(text.contains("no gate reads it") && text.contains("of all 35 partitions"), "{text}");
    assert!(text.lines().skip(1).all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn exchanging_the_targets_changes_the_sign_alone() {
    let workdir = Workdir::new();
    workdir.write("test.yaml", TEST);
    workdir.write("swapped.yaml", &TEST.replace("X:", "Z:").replace("Y:", "X:").replace("Z:", "Y:"));
    let encoder = encoder();
    let of = |test: &str| -> serde_json::Value {
        serde_json::from_str(&workdir.ok(&["weat", test, "--encoder", &encoder, "--format", "json"])).unwrap()
    };
    let (forth, back) = (of("test.yaml"), of("swapped.yaml"));
    let size = |of: &serde_json::Value| of["effect_size"].as_f64().unwrap();
    assert!((size(&forth) + size(&back)).abs() < 1e-9);
    assert_eq!(forth["p_two_sided"], back["p_two_sided"]);
}

#[test]
fn the_shipped_tests_are_read_and_a_word_in_both_sets_is_refused() {
    let workdir = Workdir::new();
    let encoder = encoder();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("prompts/weat");
    let mut seen = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path().display().to_string();
        let csv = workdir.ok(&["weat", &path, "--encoder", &encoder, "--format", "csv"]);
        assert!(csv.lines().nth(1).unwrap().ends_with(",12870,yes"), "{csv}");
        seen += 1;
    }
    assert_eq!(seen, 2);
    workdir.write("twice.yaml", &TEST.replace("tune", "rain"));
    let error = workdir.error(&["weat", "twice.yaml", "--encoder", &encoder]);
    assert!(error.contains("twice.yaml: X and Y have \"rain\" twice"), "{error}");
    workdir.write("slot.yaml", &format!("{TEST}templates: ['This is {{{{ job }}}}.']\n"));
    let error = workdir.error(&["weat", "slot.yaml", "--encoder", &encoder]);
    assert!(error.contains("another slot"), "{error}");
}
