//! What goes wrong is said in a paragraph, ends with exit code 2, and leaves nothing that looks like a result.

use crate::workdir::{RUN, SCRIPT, SUITE, Workdir, run};

#[test]
fn every_command_explains_itself() {
    let workdir = Workdir::new();
    for command in [
        &["run"][..],
        &["expand"],
        &["report"],
        &["score"],
        &["check"],
        &["new"],
        &["schema"],
        &["model"],
        &["model", "fetch"],
        &["model", "inspect"],
        &["ask"],
        &["gate"],
        &["plan"],
        &["head"],
        &["head", "train"],
    ] {
        let help = workdir.ok(&[command, &["--help"]].concat());
        assert!(help.contains("Usage: tiltmeter"), "{help}");
    }
    for command in
        ["run", "ask", "check", "expand", "new", "schema", "report", "score", "model", "head", "gate", "plan"]
    {
        let help = workdir.ok(&[command, "--help"]);
        assert!(help.contains("Examples:\n  tiltmeter"), "{help}");
    }
    assert!(workdir.ok(&["--version"]).starts_with("tiltmeter 0."));
    assert!(workdir.error(&["run", "--no-such-option"]).contains("--no-such-option"));
    assert!(workdir.error(&["run", "--limit", "0"]).contains("--limit"));
}

#[test]
fn a_suite_with_a_problem_is_refused_before_anything_is_written() {
    let workdir = Workdir::new();
    for (broken, word) in [
        (SUITE.replace("{{ job | a }}", "{{ work }}"), "work"),
        (SUITE.replace("scorers: [length", "scorers: [lenght"), "lenght"),
        (SUITE.replace("suite: letters", "suit: letters"), "suit"),
        (SUITE.replace("reference: man", "reference: men"), "men"),
        ("axes: [".to_owned(), "letters.yaml"),
        (String::new(), "letters.yaml"),
    ] {
        workdir.write("letters.yaml", &broken);
        let message = workdir.error(&RUN);
        assert!(message.contains(word), "{message}");
        assert!(!workdir.path("results").exists());
    }
    assert!(workdir.error(&["run", "no-such-suite"]).contains("no-such-suite"));
}

#[test]
fn a_model_that_cannot_be_had_is_refused_before_anything_is_written() {
    let workdir = Workdir::new();
    let ask = |model: &str| workdir.error(&["run", "letters.yaml", "--offline", "--model", model]);
    assert!(ask("no-such-model").contains("no-such-model"));
    assert!(ask("./missing.gguf").contains("missing.gguf"));
    assert!(ask("scripted:missing.yaml").contains("missing.yaml"));
    workdir.write("script.yaml", "answers: []\nanswer: x\n");
    assert!(workdir.error(&RUN).contains("script.yaml"));
    workdir.write("fake.gguf", "no weights");
    assert!(ask("fake.gguf").contains("fake.gguf"));
    assert!(!workdir.path("results").exists());
}

#[test]
fn a_prompt_that_does_not_fit_is_named_before_the_model_is_asked() {
    let workdir = Workdir::new();
    workdir.write("script.yaml", &format!("context_length: 35\n{SCRIPT}"));
    let message = workdir.error(&RUN);
    assert!(message.contains("generate/note/") && message.contains("holds 35"), "{message}");
    assert!(!workdir.path("results").exists());
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let workdir = Workdir::new();
    workdir.write("blocked", "a file");
    assert!(workdir.error(&run(&["--out", "blocked"])).contains("blocked"));
    assert!(workdir.error(&run(&["--label", "../up"])).contains("--label"));
}

#[test]
fn the_same_suite_twice_is_refused() {
    let workdir = Workdir::new();
    let message = workdir.error(&["run", "letters.yaml", "letters.yaml", "--model", "scripted:script.yaml"]);
    assert!(message.contains("name each suite once"), "{message}");
}
