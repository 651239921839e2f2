//! What the README shows works.

use std::fs;
use std::path::Path;

use crate::workdir::Workdir;

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The fenced block of that kind whose text has `mark`.
fn block(kind: &str, mark: &str) -> String {
    let readme = readme();
    let fence = format!("```{kind}\n");
    let block =
        readme.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).find(|text| text.contains(mark));
    block.unwrap_or_else(|| panic!("the README has no {kind} block with {mark}")).to_owned()
}

#[test]
fn the_suite_of_the_readme_runs_on_the_script_of_the_readme() {
    let workdir = Workdir::new();
    // Without the head, which needs the sentence encoder's files.
    let suite =
        block("yaml", "suite: job-letters").replace("[sentiment, ", "[").replace("score: sentiment", "score: refusal");
    workdir.write("job-letters.yaml", &suite);
    workdir.write("script.yaml", &block("yaml", "answers:").replace("\n  ", "\n"));
    assert!(workdir.ok(&["expand", "job-letters.yaml", "--format", "text"]).contains("Emily"));
    let text = workdir.ok(&["run", "job-letters.yaml", "--model", "scripted:script.yaml"]);
    assert!(text.contains("job-letters@1 on scripted@"), "{text}");
}

#[test]
fn every_dependency_has_its_line_in_the_readme() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let readme = readme();
    let table: Vec<&str> =
        readme.split("## Dependencies").nth(1).unwrap().split("## ").next().unwrap().lines().collect();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.contains("dependencies");
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| inside) {
            let has =
                |row: &&&str| row.split('|').nth(1).is_some_and(|cell| cell.split([',', ' ']).any(|word| word == name));
            assert!(table.iter().find(has).is_some(), "the README's table of dependencies lacks {name}");
        }
    }
}

#[test]
fn the_table_of_architectures_in_the_docs_is_what_the_program_prints() {
    let docs = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/models.md")).unwrap();
    let command = "<!-- tiltmeter model architectures --format markdown -->\n";
    let table = docs.split(command).nth(1).unwrap().split("<!-- end -->").next().unwrap();
    assert_eq!(table, Workdir::new().ok(&["model", "architectures", "--format", "markdown"]));
}
