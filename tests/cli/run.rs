//! What `tiltmeter run` writes and prints.

use crate::workdir::{RUN, SUITE, Workdir, run};

#[test]
fn the_same_command_in_two_places_writes_the_same_bytes() {
    let workdir = Workdir::new();
    let one = workdir.ok(&run(&["--out", "one"]));
    let two = workdir.ok(&run(&["--out", "two"]));
    assert_eq!(one, two);
    assert!(one.contains("woman − man") && one.contains("length by gender: "), "{one}");
    assert_eq!(workdir.files("one"), workdir.files("two"));
    let names: Vec<String> =
        workdir.files("one").keys().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    let expected = "cases.csv disparity.csv distribution.csv groups.csv literature.csv manifest.yaml noise_floor.csv offsets.csv \
                    omnibus.csv records.csv responses.csv scores.csv slices.csv";
    assert_eq!(names.join(" "), expected);
}

#[test]
fn threads_and_batch_change_no_byte() {
    let workdir = Workdir::new();
    workdir.ok(&run(&["--out", "one", "--threads", "1", "--batch-tokens", "1"]));
    workdir.ok(&run(&["--out", "two", "--threads", "3", "--batch-tokens", "4096", "--quiet"]));
    assert_eq!(workdir.files("one"), workdir.files("two"));
}

#[test]
fn another_seed_draws_other_answers() {
    let workdir = Workdir::new();
    workdir.ok(&run(&["--out", "one"]));
    workdir.ok(&run(&["--out", "two", "--seed", "1"]));
    assert_ne!(workdir.files("one"), workdir.files("two"));
}

#[test]
fn a_finished_run_prints_its_stored_table_and_asks_nothing() {
    let workdir = Workdir::new();
    let first = workdir.ok(&RUN);
    let before = workdir.files("results");
    // The digest of a script leaves this out: asking anything now would fail.
    workdir.write("script.yaml", &format!("{}fail_after: 0\n", crate::workdir::SCRIPT));
    let output = workdir.output(&RUN);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), first);
    assert!(String::from_utf8(output.stderr).unwrap().contains("is finished"));
    assert_eq!(workdir.files("results"), before);
}

#[test]
fn a_run_that_differs_is_refused_with_the_line_and_fresh_moves_the_old_one_aside() {
    let workdir = Workdir::new();
    workdir.ok(&RUN);
    let message = workdir.error(&run(&["--seed", "5"]));
    assert!(message.contains("says seed: 0, this run would say seed: 5"), "{message}");
    workdir.ok(&run(&["--seed", "5", "--label", "other"]));
    workdir.ok(&run(&["--seed", "5", "--fresh"]));
    let folders: Vec<String> = std::fs::read_dir(workdir.path("results/letters@1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(folders.len(), 3, "{folders:?}");
    assert!(folders.iter().any(|name| name.ends_with("~1")) && folders.iter().any(|name| name.ends_with("+other")));
}

#[test]
fn a_suite_that_changed_under_its_version_is_refused() {
    let workdir = Workdir::new();
    workdir.ok(&RUN);
    workdir.write("letters.yaml", &SUITE.replace("Describe", "Sketch"));
    let message = workdir.error(&RUN);
    assert!(message.contains("has changed") && message.contains("raise it to 2"), "{message}");
    workdir.write("letters.yaml", &SUITE.replace("Describe", "Sketch").replace("version: 1", "version: 2"));
    workdir.ok(&RUN);
}

#[test]
fn a_limited_run_is_a_part_of_the_whole_and_says_so() {
    let workdir = Workdir::new();
    workdir.ok(&run(&["--out", "whole"]));
    let text = workdir.ok(&run(&["--limit", "2"]));
    assert!(text.contains("Limited to 2 contexts"), "{text}");
    let folder = workdir.run_folder();
    assert!(folder.ends_with("+limit2"), "{folder}");
    let whole: Vec<u8> =
        workdir.files("whole").into_iter().find(|(path, _)| path.ends_with("responses.csv")).unwrap().1;
    let whole = String::from_utf8(whole).unwrap();
    let part = workdir.read(&format!("{folder}/responses.csv"));
    assert!(part.lines().count() < whole.lines().count());
    assert!(part.lines().all(|line| whole.lines().any(|other| other == line)));
}

#[test]
fn groups_with_the_same_words_show_a_gap_of_exactly_zero() {
    let workdir = Workdir::new();
    let same = SUITE.replace("[Paul, Jacob, Henry]", "[Emily, Laura, Anna]").replace("terms: rotate", "terms: all");
    let same = ["Emily", "Laura", "Anna"]
        .iter()
        .fold(same, |text, name| text.replace(name, &format!("{{ name: {name}, pair: {} }}", name.to_lowercase())));
    workdir.write("letters.yaml", &same);
    workdir.ok(&RUN);
    let disparity = workdir.read(&format!("{}/disparity.csv", workdir.run_folder()));
    let column = disparity.lines().next().unwrap().split(',').position(|name| name == "gap").unwrap();
    let gaps: Vec<&str> = disparity.lines().skip(1).map(|line| line.split(',').nth(column).unwrap()).collect();
    assert_eq!(gaps, ["0", "0"]);
}

#[test]
fn an_answer_that_looks_like_a_formula_is_guarded_in_the_file() {
    let workdir = Workdir::new();
    workdir.ok(&RUN);
    let responses = workdir.read(&format!("{}/responses.csv", workdir.run_folder()));
    assert!(responses.contains(",'=1+1 is a formula.,\n") && !responses.contains(",=1+1"), "{responses}");
}

#[test]
fn an_empty_answer_is_unscored_with_a_reason_and_counted() {
    let workdir = Workdir::new();
    let text = workdir.ok(&RUN);
    let scores = workdir.read(&format!("{}/scores.csv", workdir.run_folder()));
    let unscored = scores.lines().filter(|line| line.ends_with(",length,,empty")).count();
    assert!(unscored > 0 && text.contains(&format!("{unscored} empty")), "{text}{scores}");
}

#[test]
fn answers_made_elsewhere_are_scored_as_if_they_were_made_here() {
    let workdir = Workdir::new();
    workdir.ok(&RUN);
    let folder = workdir.run_folder();
    std::fs::copy(workdir.path(&format!("{folder}/responses.csv")), workdir.path("answers.csv")).unwrap();
    let given = ["run", "letters.yaml", "--responses", "answers.csv", "--out", "given"];
    workdir.ok(&given);
    let scores = |files: std::collections::BTreeMap<std::path::PathBuf, Vec<u8>>| {
        files.into_iter().find(|(path, _)| path.ends_with("scores.csv")).unwrap().1
    };
    assert_eq!(scores(workdir.files("given")), scores(workdir.files("results")));

    let answers = workdir.read("answers.csv");
    let (rest, _) = answers.trim_end().rsplit_once('\n').unwrap();
    workdir.write("answers.csv", rest);
    let message = workdir.error(&given);
    assert!(message.contains("the first that it lacks is case"), "{message}");
}

#[test]
fn several_suites_run_after_one_another_and_share_one_json_document() {
    let workdir = Workdir::new();
    workdir.write("notes.yaml", &SUITE.replace("suite: letters", "suite: notes"));
    let args = ["run", "letters.yaml", "notes.yaml", "--model", "scripted:script.yaml", "--format", "json"];
    let document: serde_json::Value = serde_json::from_str(&workdir.ok(&args)).unwrap();
    let names: Vec<&str> =
        document["runs"].as_array().unwrap().iter().map(|run| run["suite"].as_str().unwrap()).collect();
    assert_eq!(names, ["letters", "notes"]);
    assert_eq!(document["runs"][0]["disparity"].as_array().unwrap().len(), 2);
}
