//! The commands around suites, and runs that read probabilities.

use crate::workdir::Workdir;

const DECISIONS: &str = "\
suite: decisions
version: 1
description: d
source: own
license: CC0-1.0
axes:
  gender:
    reference: man
    groups:
      woman: [Emily, Laura]
      man: [Paul, Jacob]
factors:
  job: [nurse, lawyer, cook]
templates:
  hire: { text: \"Should we invite {{ job | a }} to talk to us? {{ gender.name }}\", probes: [choice] }
  like: { text: \"We like {{ job | a }}.\", continuation: \"It is {{ gender.name }}.\", probes: [likelihood] }
  note: { text: \"A note about {{ job | a }}, {{ gender.name }}.\", probes: [generate] }
probes:
  - choice: { options: { yes: [yes, Yes], no: [no] }, lead: \"Answer:\" }
  - likelihood
  - generate: { max_new_tokens: 8 }
scorers: [length]
outcomes:
  - { score: choice.yes, direction: higher, margin: 0.05, why: a test }
  - { score: likelihood.preference, margin: 0.1, why: a test }
";

const SCRIPT: &str = "\
label: script
answers: [{ say: [Fine.] }]
likely:
  - { when: Emily, text: 'yes', probability: 0.3 }
  - { when: Emily, text: 'Yes', probability: 0.3 }
  - { when: Emily, text: 'no', probability: 0.2 }
  - { text: 'yes', probability: 0.2 }
  - { text: 'Yes', probability: 0.1 }
  - { text: 'no', probability: 0.3 }
";

const RUN: [&str; 4] = ["run", "decisions.yaml", "--model", "scripted:script.yaml"];

fn workdir() -> Workdir {
    let workdir = Workdir::new();
    workdir.write("decisions.yaml", DECISIONS);
    workdir.write("script.yaml", SCRIPT);
    workdir
}

fn near(cell: &str, value: f64) -> bool {
    cell.parse::<f64>().is_ok_and(|found| (found - value).abs() < 1e-9)
}

#[test]
fn a_run_reads_choices_and_likelihoods_beside_written_answers() {
    let workdir = workdir();
    let text = workdir.ok(&RUN);
    assert!(text.contains("36 cases, 36 answers, 24 of them read as probabilities"), "{text}");
    assert!(text.contains("choice.yes by gender") && text.contains("likelihood.preference by gender"), "{text}");
    let responses = workdir.table(&format!("{}/responses.csv", workdir.run_folder()));
    let emily = responses.iter().find(|row| row["case"] == "choice/hire/job=cook/gender=woman/term=emily").unwrap();
    assert_eq!((emily["text"].as_str(), emily["finish"].as_str()), ("yes", "scored"));
    assert_eq!(emily["values"], "{\"yes\":-0.510825623766,\"no\":-1.60943791243}", "ln 0.6 and ln 0.2");
    let scores = workdir.table(&format!("{}/scores.csv", workdir.run_folder()));
    let score = |case: &str, scorer: &str| {
        scores.iter().find(|row| row["case"] == case && row["scorer"] == scorer).unwrap()["score"].clone()
    };
    assert!(near(&score("choice/hire/job=cook/gender=woman/term=emily", "choice.yes"), 0.75));
    assert!(near(&score("choice/hire/job=cook/gender=man/term=paul", "choice.yes"), 0.5));
    assert_eq!(
        score("likelihood/like/job=cook/gender=man/term=paul", "likelihood.preference"),
        "0.25",
        "four equal members"
    );
    assert!(scores.iter().all(|row| row["scorer"] != "length" || row["case"].starts_with("generate/")));
    let gap = workdir
        .table(&format!("{}/disparity.csv", workdir.run_folder()))
        .into_iter()
        .find(|row| row["scorer"] == "choice.yes")
        .unwrap();
    assert!(near(&gap["gap"], 0.125), "(0.75 + 0.5)/2 against 0.5: {gap:?}");
    assert_eq!(workdir.ok(&["report", "results/decisions@1"]), text);
    assert_eq!(workdir.ok(&RUN), text, "a finished run prints its stored table");
}

#[test]
fn scores_without_a_lower_end_have_intervals_and_are_never_equivalent() {
    let workdir = workdir();
    workdir.write("decisions.yaml", &DECISIONS.replace("likelihood.preference", "likelihood.total"));
    let text = workdir.ok(&RUN);
    let gap = workdir
        .table(&format!("{}/disparity.csv", workdir.run_folder()))
        .into_iter()
        .find(|row| row["scorer"] == "likelihood.total")
        .unwrap();
    assert_eq!(
        (gap["gap"].as_str(), gap["low"].as_str(), gap["verdict"].as_str()),
        ("0", "", "inconclusive"),
        "{text}"
    );
    assert_eq!(gap["status"], "zero_variance");
}

#[test]
fn choices_that_were_written_elsewhere_are_read_and_the_unreadable_is_unscored() {
    let workdir = workdir();
    let suite = DECISIONS.replace("  - likelihood\n", "").replace("  - generate: { max_new_tokens: 8 }\n", "");
    let suite: String = suite
        .lines()
        .filter(|line| !line.contains("likelihood") && !line.starts_with("  note") && !line.starts_with("scorers"))
        .map(|line| format!("{line}\n"))
        .collect();
    workdir.write("decisions.yaml", &suite);
    let cases = workdir.ok(&["expand", "decisions.yaml"]);
    let mut answers = String::from("case,sample,text\n");
    for (number, line) in cases.lines().skip(1).enumerate() {
        let case = line.split(',').next().unwrap();
        let case = if line.starts_with('"') { line.split('"').nth(1).unwrap() } else { case };
        answers += &format!("\"{case}\",0,{}\n", ["Yes.", "no", "Perhaps", "Answer: yes"][number % 4]);
    }
    workdir.write("answers.csv", &answers);
    let text = workdir.ok(&["run", "decisions.yaml", "--responses", "answers.csv"]);
    let scores = workdir.table(&format!("{}/scores.csv", workdir.run_folder()));
    let yes: Vec<(&str, &str)> = scores
        .iter()
        .filter(|row| row["scorer"] == "choice.yes")
        .map(|row| (row["score"].as_str(), row["reason"].as_str()))
        .take(4)
        .collect();
    assert_eq!(yes, [("1", ""), ("0", ""), ("", "unparsed"), ("1", "")], "{text}");
    workdir.write("decisions.yaml", DECISIONS);
    let message = workdir.error(&["run", "decisions.yaml", "--responses", "answers.csv", "--out", "other"]);
    assert!(message.contains("reads likelihoods"), "{message}");
}

#[test]
fn a_run_that_was_cut_off_reads_only_what_is_missing() {
    let workdir = workdir();
    workdir.ok(&[&RUN[..], &["--out", "whole"]].concat());
    workdir.write("script.yaml", &format!("{SCRIPT}fail_after: 7\n"));
    assert!(workdir.error(&RUN).contains("fail_after"));
    workdir.write("script.yaml", SCRIPT);
    workdir.ok(&RUN);
    assert_eq!(workdir.files("whole"), workdir.files("results"));
}

#[test]
fn crossed_axes_are_tested_by_themselves_and_screened_together() {
    let workdir = workdir();
    let suite = DECISIONS
        .replace("factors:", "  age:\n    reference: old\n    groups: { old: [old], young: [young] }\nfactors:")
        .replace("to talk to us? {{", "to talk to us? {{ age.name }} {{")
        .replace("It is {{ gender.name }}", "It is {{ age.name }} {{ gender.name }}")
        .replace("a }}, {{ gender", "a }}, {{ age.name }} {{ gender")
        .replace("probes:\n  - choice", "design: { vary: crossed }\nprobes:\n  - choice");
    workdir.write("decisions.yaml", &suite);
    workdir.ok(&RUN);
    let gaps = workdir.table(&format!("{}/disparity.csv", workdir.run_folder()));
    let of = |axis: &str, group: &str| {
        gaps.iter().find(|row| row["axis"] == axis && row["group"] == group && row["scorer"] == "choice.yes").unwrap()
    };
    let (single, cell) = (of("gender", "woman"), of("gender+age", "woman+young"));
    assert!(near(&single["gap"], 0.125) && !single["verdict"].is_empty() && !single["p_adjusted"].is_empty());
    assert!(near(&cell["gap"], 0.125) && cell["verdict"].is_empty() && cell["margin"].is_empty(), "{cell:?}");
    assert_eq!(cell["reference"], "man+old");
}

#[test]
fn check_prints_findings_for_people_machines_and_pull_requests() {
    let workdir = workdir();
    workdir.write("weak.yaml", &DECISIONS.replace("license: CC0-1.0\n", ""));
    workdir.write("broken.yaml", &DECISIONS.replace("{{ job | a }} to", "{{ jop }} to"));
    let output = workdir.output(&["check", "weak.yaml", "broken.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("weak.yaml:1:1: warning: the suite has no `license`") && text.contains("[no-license]"),
        "{text}"
    );
    assert!(text.contains("broken.yaml:15:") && text.contains("no axis or factor is named \"jop\""), "{text}");
    assert!(text.ends_with("which --model does\n") && text.contains("2 suites: 1 error, "), "{text}");
    assert_eq!(workdir.output(&["check", "weak.yaml"]).status.code(), Some(0));
    assert_eq!(workdir.output(&["check", "weak.yaml", "--strict"]).status.code(), Some(2));
    let json: serde_json::Value =
        serde_json::from_str(&workdir.ok(&["check", "weak.yaml", "--format", "json"])).unwrap();
    assert_eq!(json["findings"][0]["file"], "weak.yaml");
    let github = workdir.ok(&["check", "weak.yaml", "--format", "github"]);
    assert!(
        github.contains("::warning file=weak.yaml,line=1,col=1,title=no-license::the suite has no `license`"),
        "{github}"
    );
    workdir.write("weak.yaml", &DECISIONS.replace("[length]", "[lenght, hurtful]"));
    let text = String::from_utf8(workdir.output(&["check", "weak.yaml"]).stdout).unwrap();
    assert!(text.contains("no scorer \"lenght\"") && text.contains("add `lexicon: FILE`"), "{text}");
    assert!(workdir.error(&["check", "no-such-suite"]).contains("no-such-suite"));
}

#[test]
fn a_run_is_linted_first() {
    let workdir = workdir();
    workdir.write("decisions.yaml", &DECISIONS.replace("license: CC0-1.0\n", "").replace("source: own\n", ""));
    let output = workdir.output(&RUN);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("decisions.yaml:1:1: warning: the suite has no `license`")
            && stderr.contains("`tiltmeter check` shows them all"),
        "{stderr}"
    );
    workdir.write("script.yaml", &format!("{SCRIPT}context_length: 12\n"));
    assert!(workdir.error(&[&RUN[..], &["--out", "other"]].concat()).contains("holds 12"));
    assert!(!workdir.path("other").exists());
}

#[test]
fn expand_shows_one_set_or_a_few_with_what_differs_in_brackets() {
    let workdir = workdir();
    let set = "choice/hire/job=cook/gender";
    let text = workdir.ok(&["expand", "decisions.yaml", "--set", set]);
    assert!(text.contains("woman (emily): Should we invite a cook to talk to us? [Emily]\n    > "), "{text}");
    assert_eq!(workdir.ok(&["expand", "decisions.yaml", "--set", &format!("{set}=woman/term=emily")]), text);
    assert!(workdir.error(&["expand", "decisions.yaml", "--set", "choice/hire/job=cook"]).contains("no set or case"));
    let sample = workdir.ok(&["expand", "decisions.yaml", "--sample", "2"]);
    assert!(sample.ends_with("8 cases in 2 counterfactual sets\n"), "{sample}");
    assert_eq!(workdir.ok(&["expand", "decisions.yaml", "--sample", "2"]), sample);
    let list: serde_json::Value =
        serde_json::from_str(&workdir.ok(&["expand", "decisions.yaml", "--format", "json"])).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 36);
}

#[test]
fn a_new_suite_is_sound_and_is_not_written_over() {
    let workdir = workdir();
    workdir.ok(&["new", "reply-tone"]);
    assert!(workdir.ok(&["check", "reply-tone.yaml", "--strict"]).starts_with("1 suite: 0 errors, 0 warnings"));
    assert!(workdir.error(&["new", "reply-tone"]).contains("cannot be written anew"));
    assert!(workdir.error(&["new", "Reply Tone"]).contains("`reply-tone`"));
    workdir.ok(&["new", "other", "-o", "here.yaml"]);
    assert!(workdir.read("here.yaml").contains("suite: other\n"));
    let schema: serde_json::Value = serde_json::from_str(&workdir.ok(&["schema"])).unwrap();
    assert_eq!(schema["properties"]["suite"]["description"].as_str().map(|text| text.is_empty()), Some(false));
}
