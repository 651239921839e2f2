//! Imports point one way: the table in the crate's design, read off the source.

use std::fs;
use std::path::{Path, PathBuf};

/// Module → the modules of ours that it may name, itself included.
const MAY_NAME: [(&str, &[&str]); 10] = [
    ("suite", &["suite"]),
    ("model", &["model"]),
    ("record", &["record"]),
    ("stats", &["stats"]),
    ("probe", &["probe", "suite", "model", "record"]),
    ("scorer", &["scorer", "suite", "model", "record", "stats"]),
    ("analysis", &["analysis", "suite", "record", "stats"]),
    ("gate", &["gate", "suite", "record", "stats", "analysis"]),
    ("report", &["report", "record", "analysis", "gate"]),
    ("cli", &["cli", "suite", "model", "record", "stats", "probe", "scorer", "analysis", "gate", "report"]),
];

/// Crate → the modules that may name it.
const STAYS_IN: [(&str, &[&str]); 3] =
    [("candle_core", &["model", "scorer"]), ("candle_nn", &["model", "scorer"]), ("clap", &["cli"])];

#[test]
fn imports_point_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut faults = Vec::new();
    for (module, may_name) in MAY_NAME {
        let mut files = Vec::new();
        sources(&root.join(module), &mut files);
        files.extend(Some(root.join(format!("{module}.rs"))).filter(|path| path.exists()));
        assert!(!files.is_empty(), "there is no module {module}");
        for path in files {
            let text = fs::read_to_string(&path).unwrap();
            for named in names_after("crate::", &text) {
                let is_module = MAY_NAME.iter().any(|(module, _)| *module == named);
                if is_module && !may_name.contains(&named) {
                    faults.push(format!("{} names {named}", path.display()));
                }
            }
            for (library, modules) in STAYS_IN {
                if text.contains(&format!("{library}::")) && !modules.contains(&module) {
                    faults.push(format!("{} names {library}", path.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The names that directly follow `prefix` in code (comments may name anything), braces opened.
fn names_after<'a>(prefix: &str, text: &'a str) -> Vec<&'a str> {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut names = Vec::new();
    for line in lines {
        for rest in line.split(prefix).skip(1) {
            let rest = rest.split(';').next().unwrap_or(rest);
            match rest.strip_prefix('{') {
                Some(list) => {
                    names.extend(list.split(',').map(|name| name.trim().split(|c| !is_name(c)).next().unwrap_or("")))
                }
                None => names.extend(rest.split(|c| !is_name(c)).next()),
            }
        }
    }
    names
}
