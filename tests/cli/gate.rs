//! `tiltmeter gate` and `--gate`: what is within limits, by exit code.

use crate::workdir::{SUITE, Workdir};

/// 80 clusters of one name a group, so that answers of equal length are equivalent.
fn suite() -> String {
    let jobs: Vec<String> = (1..=40).map(|number| format!("job{number}")).collect();
    SUITE
        .replace("[Emily, Laura, Anna]", "[Emily]")
        .replace("[Paul, Jacob, Henry]", "[Paul]")
        .replace("[nurse, lawyer, cook]", &format!("[{}]", jobs.join(", ")))
        .replace("{{ job | a }}", "{{ job }}")
        .replace("samples: 2, temperature: 0.8", "samples: 1, temperature: 0")
}

const CLEAN: &str = "label: clean\nanswers:\n  - { say: [One two three four five.] }\n";
const BIASED: &str = "label: biased\nanswers:\n  - { when: Emily, say: [One two three four five six seven eight nine ten.] }\n  - { \
                      say: [One two three.] }\n";

fn workdir() -> Workdir {
    let workdir = Workdir::new();
    workdir.write("letters.yaml", &suite());
    workdir.write("clean.yaml", CLEAN);
    workdir.write("biased.yaml", BIASED);
    workdir
}

/// A run of the suite on one of the scripts, into a folder of that name.
fn run(workdir: &Workdir, script: &str, more: &[&str]) -> (Option<i32>, String) {
    let model = format!("scripted:{script}.yaml");
    let args = ["run", "letters.yaml", "--model", &model, "-o", script, "--quiet"];
    ended(workdir, &[&args[..], more].concat())
}

fn ended(workdir: &Workdir, args: &[&str]) -> (Option<i32>, String) {
    let output = workdir.output(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
    (output.status.code(), format!("{}{stderr}", String::from_utf8_lossy(&output.stdout)))
}

fn last_line(text: &str) -> &str {
    text.trim_end().lines().last().unwrap()
}

#[test]
fn the_exit_code_tells_a_clean_run_from_a_biased_and_from_a_small_one() {
    let workdir = workdir();
    for (script, more, code, word) in
        [("clean", &[][..], 0, "pass"), ("biased", &[], 1, "fail"), ("clean", &["--limit", "4"], 3, "inconclusive")]
    {
        let (plain, _) = run(&workdir, script, &[&["--fresh"], more].concat());
        assert_eq!(plain, Some(0), "without a gate the verdict sets no code");
        let (gated, text) = run(&workdir, script, &[&["--gate"], more].concat());
        assert_eq!(gated, Some(code), "{text}");
        assert!(last_line(&text).starts_with(&format!("gate: {word}: ")), "{text}");
        let (alone, _) = ended(&workdir, &["gate", script]);
        assert_eq!(alone, Some(code));
        std::fs::remove_dir_all(workdir.path(script)).unwrap();
    }
}

#[test]
fn what_cannot_be_told_passes_only_where_that_is_said() {
    let workdir = workdir();
    run(&workdir, "clean", &["--limit", "4"]);
    assert_eq!(ended(&workdir, &["gate", "clean"]).0, Some(3));
    let (code, text) = ended(&workdir, &["gate", "clean", "--on-inconclusive", "warn"]);
    assert_eq!((code, last_line(&text)), (Some(0), "gate: pass: 2 inconclusive (a warning only)"), "{text}");
    assert!(text.contains("limited to 4 contexts"), "{text}");
    workdir.write("letters.yaml", &(suite() + "gate: { on_inconclusive: warn }\n"));
    assert_eq!(run(&workdir, "clean", &["--limit", "4", "--gate", "--fresh"]).0, Some(0));
    assert_eq!(ended(&workdir, &["gate", "clean"]).0, Some(0), "the manifest keeps it");
    assert_eq!(ended(&workdir, &["gate", "clean", "--on-inconclusive", "fail"]).0, Some(3));
}

const POLICY: &str = "\
waivers:
  - suite: letters
    axis: gender
    score: length
    owner: ana
    reason: known since March
    expires: 2026-06-30
";

#[test]
fn a_waiver_passes_by_name_until_it_expires() {
    let workdir = workdir();
    run(&workdir, "biased", &[]);
    workdir.write("gate.yaml", POLICY);
    let gate = |today: &str, out: &str| {
        ended(&workdir, &["gate", "biased", "--policy", "gate.yaml", "--today", today, "-o", out])
    };
    let (code, text) = gate("2026-06-30", "one");
    assert_eq!((code, last_line(&text)), (Some(0), "gate: pass: 1 waived, 1 pass"), "{text}");
    assert!(text.contains("Waived by ana until 2026-06-30: known since March"), "{text}");
    gate("2026-01-01", "two");
    assert_eq!(workdir.files("one"), workdir.files("two"), "no day is written into results");
    let (code, text) = gate("2026-07-01", "three");
    assert_eq!(code, Some(1));
    assert!(text.contains("The waiver of ana (known since March) expired on 2026-06-30."), "{text}");
    workdir.write("gate.yaml", &POLICY.replace("axis: gender", "axis: age"));
    let (code, text) = gate("2026-01-01", "four");
    assert_eq!(code, Some(1));
    assert!(text.contains("warning: gate.yaml:2:5: the waiver for suite letters, axis age"), "{text}");
}

#[test]
fn the_file_has_a_row_a_gated_gap_with_what_became_of_it() {
    let workdir = workdir();
    run(&workdir, "biased", &[]);
    run(&workdir, "clean", &[]);
    workdir.write("gate.yaml", POLICY);
    let args = ["gate", "clean", "biased", "--policy", "gate.yaml", "--today", "2026-01-01", "--format", "csv"];
    let (_, csv) = ended(&workdir, &args);
    let mut lines = csv.lines();
    let columns = "suite,model,axis,group,reference,scorer,gap,low,high,p,p_adjusted,margin,verdict,status,outcome,\
                   waiver_owner,waiver_expired,why";
    assert_eq!(lines.next().unwrap(), columns);
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let of = |name: &str| columns.split(',').position(|column| column == name).unwrap();
    let cells = |row: &Vec<&str>| {
        [row[of("model")].split('@').next().unwrap(), row[of("scorer")], row[of("outcome")]].join(" ")
    };
    assert_eq!(
        rows.iter().map(cells).collect::<Vec<_>>(),
        ["biased length waived", "biased refusal pass", "clean length pass", "clean refusal pass"]
    );
    assert_eq!((rows[0][of("waiver_owner")], rows[0][of("why")]), ("ana", "known since March"));
    assert_eq!(rows[1][of("waiver_owner")], "");
    // Holm over the four gaps of both runs, and over the two of each.
    let p = |row: &Vec<&str>, name: &str| row[of(name)].parse::<f64>().unwrap();
    assert!((p(&rows[0], "p_adjusted") / p(&rows[0], "p") - 4.0).abs() < 1e-9);
    let by_suite = ended(&workdir, &[&args[..], &["--family", "suite"]].concat()).1;
    let row: Vec<&str> = by_suite.lines().nth(1).unwrap().split(',').collect();
    assert!((p(&row, "p_adjusted") / p(&row, "p") - 2.0).abs() < 1e-9);
}

#[test]
fn json_holds_the_gate_beside_the_runs() {
    let workdir = workdir();
    let (code, text) = run(&workdir, "biased", &["--gate", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, document["runs"].as_array().unwrap().len()), (Some(1), 1));
    assert_eq!(document["gate"]["verdict"], "fail");
    let alone: serde_json::Value =
        serde_json::from_str(&ended(&workdir, &["gate", "biased", "--format", "json"]).1).unwrap();
    assert_eq!(alone, document["gate"]);
    assert_eq!((alone["exit_code"].as_u64(), alone["outcomes"][0]["outcome"].as_str()), (Some(1), Some("fail")));
}

#[test]
fn records_of_any_origin_are_gated() {
    let workdir = workdir();
    let rows = |by: f64| {
        let row = |cluster: usize| {
            let score = 0.3 + 0.004 * (cluster % 50) as f64;
            format!("c{cluster},woman,{:.3}\nc{cluster},man,{:.3}\n", score + by, score + 0.002 * (cluster % 3) as f64)
        };
        format!("context,group,score\n{}", (0..80).map(row).collect::<String>())
    };
    workdir.write("clean.csv", &rows(0.0));
    workdir.write("biased.csv", &rows(0.2));
    let gate = |file: &str| ended(&workdir, &["gate", file, "--reference", "man", "--margin", "0.05"]);
    assert_eq!((gate("clean.csv").0, gate("biased.csv").0), (Some(0), Some(1)));
    let analyze = |more: &[&str]| {
        let args = ["analyze", "biased.csv", "-o", "tables", "--reference", "man", "--quiet"];
        ended(&workdir, &[&args[..], more].concat())
    };
    assert_eq!(analyze(&[]).0, Some(0));
    let (code, text) = analyze(&["--gate"]);
    assert_eq!((code, last_line(&text)), (Some(1), "gate: fail: 1 fail"), "{text}");
    // A group that was declared and is missing can never pass.
    let missing = ["gate", "clean.csv", "--reference", "man", "--groups", "woman,man,nonbinary"];
    let (code, text) = ended(&workdir, &missing);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("missing group") || text.contains("no scored answer"), "{text}");
}

#[test]
fn nothing_declared_is_an_error_before_the_model_is_asked() {
    let workdir = workdir();
    let suite = suite();
    let undeclared = suite.split("outcomes:").next().unwrap();
    workdir.write("letters.yaml", undeclared);
    let message = workdir.error(&["run", "letters.yaml", "--model", "scripted:clean.yaml", "--gate"]);
    assert!(
        message.contains("declares no outcomes") && message.contains("{ score: sentiment, margin: 0.05 }"),
        "{message}"
    );
    assert!(!workdir.path("results").exists());
    run(&workdir, "clean", &[]);
    assert!(workdir.error(&["gate", "clean"]).contains("declares no outcomes"));
    workdir.write("gate.yaml", "outcomes: [{ score: length, margin: 3 }]\n");
    assert_eq!(ended(&workdir, &["gate", "clean", "--policy", "gate.yaml"]).0, Some(0));
}

#[test]
fn a_faulty_policy_is_an_error_that_names_every_place() {
    let workdir = workdir();
    run(&workdir, "clean", &[]);
    workdir.write("gate.yaml", "waiver: []\nwaivers:\n  - { owner: ana, reason: x, expires: soon }\n");
    let message = workdir.error(&["gate", "clean", "--policy", "gate.yaml"]);
    for part in ["gate.yaml:1:1: the policy has no key `waiver`", "would waive everything", "expires is \"soon\""] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(workdir.error(&["gate", "clean", "--policy", "missing.yaml"]).contains("missing.yaml"));
    assert!(workdir.error(&["run", "letters.yaml", "--policy", "gate.yaml"]).contains("--gate"));
    assert!(workdir.error(&["gate", "clean", "--today", "tomorrow"]).contains("2025-01-31"));
    workdir.write("gate.yaml", "outcomes: [{ score: lenght }]\n");
    assert!(workdir.error(&["gate", "clean", "--policy", "gate.yaml"]).contains("score lenght fits no outcome"));
}

#[test]
fn a_regression_fails_and_an_improvement_passes() {
    let workdir = workdir();
    run(&workdir, "clean", &[]);
    run(&workdir, "biased", &[]);
    let compared = |base: &str, candidate: &str, more: &[&str]| {
        ended(&workdir, &[&["compare", base, candidate, "--quiet"], more].concat())
    };
    assert_eq!(compared("clean", "biased", &[]).0, Some(0), "without a gate the verdict sets no code");
    let (code, text) = compared("clean", "biased", &["--gate"]);
    assert_eq!((code, last_line(&text)), (Some(1), "gate: fail: 1 fail, 1 pass"), "{text}");
    assert_eq!(compared("biased", "clean", &["--gate"]).0, Some(0));
    assert_eq!(compared("biased", "biased", &["--gate"]).0, Some(0));
    workdir.write("gate.yaml", POLICY);
    let waived = ["--gate", "--policy", "gate.yaml", "--today", "2026-01-01", "--format", "json"];
    let (code, text) = compared("clean", "biased", &waived);
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &document["gate"]["outcomes"][0]["outcome"]), (Some(0), &serde_json::json!("waived")));
    workdir.write("gate.yaml", "outcomes: [{ score: length, margin: 9 }]\n");
    let message = workdir.error(&["compare", "clean", "biased", "--gate", "--policy", "gate.yaml"]);
    assert!(message.contains("gate.yaml:1:12: a comparison has the margins"), "{message}");
}
