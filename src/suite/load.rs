//! Reads a suite file with everything that it uses, and reports all of its problems at once.

use std::path::Path;

use anyhow::{Result, bail};

use super::files::{self, Places};
use super::grammar::SUITE;
use super::import::BENCHMARKS;
use super::problem::{Place, SuiteProblems, and_list};
use super::reader::{MOST_YAML, Reader};
use super::templates::Fillings;
use super::yaml::{Node, parse};
use super::{Axis, Probe, ScorerSpec, Suite, slug};

/// Letters of a suite's name; a folder's name has 255 bytes at most, and more is put behind this one.
const MOST_NAME: usize = 80;

/// Whether a suite's paths may lead out of its folder and the one above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    Refused,
    Allowed,
}

/// A suite by path, or by the name of one that the binary carries (`first-look`).
///
/// # Errors
/// [`SuiteProblems`] for what is wrong inside; a sentence that lists the embedded suites when there is no such file or name.
pub fn load_named_or_path(suite: &str, outside: Outside) -> Result<Suite> {
    let path = Path::new(suite);
    if path.exists() {
        let text = files::read_text(path, MOST_YAML).map_err(anyhow::Error::msg)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let places = Places { folder: Some(folder), allow_outside: outside == Outside::Allowed };
        return Ok(load_text(&text, &path.display().to_string(), &places)?);
    }
    if let Some(text) = files::embedded(&format!("suites/{suite}.yaml")) {
        return Ok(load_text(text, &format!("suites/{suite}.yaml"), &Places::default())?);
    }
    bail!(
        "there is no suite \"{suite}\": it is neither a file nor an embedded suite ({}); give the path of a YAML file",
        and_list(&files::embedded_suites())
    )
}

/// A suite from its text; `file` is what messages call it.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_text(text: &str, file: &str, places: &Places) -> Result<Suite, SuiteProblems> {
    let mut reader = Reader::new(places);
    reader.digest(text);
    let suite = match parse(text) {
        Ok(root) => reader.suite(&root, text, file),
        Err((at, words)) => {
            reader.problems.add(file, at, words);
            None
        }
    };
    match suite {
        Some(mut suite) if reader.problems.0.is_empty() => {
            suite.digest = reader.digest_hex();
            Ok(suite)
        }
        _ => {
            let mut problems: Vec<_> = reader.problems.0.into_iter().collect();
            // The suite's own problems first, then those of the files it uses.
            problems.sort_by(|a, b| (a.file != file, a).cmp(&(b.file != file, b)));
            Err(SuiteProblems(problems))
        }
    }
}

/// Axes from a YAML map of axes as a suite has it, all its files among those that the binary carries; `file` is what messages call it.
///
/// # Errors
/// Everything that is wrong with them.
pub fn load_axes(text: &str, file: &str) -> Result<Vec<Axis>, SuiteProblems> {
    let places = Places::default();
    let mut reader = Reader::new(&places);
    let axes = match parse(text) {
        Ok(root) => reader.axes(file, &root),
        Err((at, words)) => {
            reader.problems.add(file, at, words);
            Vec::new()
        }
    };
    if reader.problems.0.is_empty() { Ok(axes) } else { Err(SuiteProblems(reader.problems.0.into_iter().collect())) }
}

impl Reader<'_> {
    fn suite(&mut self, root: &Node, source: &str, file: &str) -> Option<Suite> {
        let top = self.fields(file, root, "the suite", &SUITE)?;
        let name = self.required(file, top, "the suite", "suite", "`suite: <name>`").and_then(|node| {
            let name = self.text(file, node, "the suite's name")?;
            if name.chars().count() > MOST_NAME {
                let message = format!("the suite's name becomes a folder; give it at most {MOST_NAME} letters");
                self.problems.add(file, node.at, message);
            } else if slug(&name) != name {
                let message = format!("the name \"{name}\" becomes a folder; write `{}`", slug(&name));
                self.problems.add(file, node.at, message);
            }
            Some(name)
        });
        let version = self
            .required(
                file,
                top,
                "the suite",
                "version",
                "`version: 1`, and raise it whenever the suite's content changes",
            )
            .and_then(|node| self.count(file, node, "version", 1));
        let mut note = |name: &str| top.get(name).and_then(|node| self.text(file, node, name)).unwrap_or_default();
        let (description, origin, license) = (note("description"), note("source"), note("license"));

        let private = top.get("private").is_some_and(|node| self.flag(file, node, "private"));
        let listed = top.get("cases_from");
        if listed.is_some() {
            for name in ["axes", "factors", "templates"] {
                if let Some(node) = top.get(name) {
                    let message = format!("a suite has either `cases_from` or `{name}`; take one out");
                    self.problems.add(file, node.at, message);
                }
            }
        }
        let how = "`probes:` with `- generate: {}`";
        let probes_node = self.required(file, top, "the suite", "probes", how);
        let probes = probes_node.map_or_else(Vec::new, |node| self.probes(file, node, listed.is_some()));
        let (listed, axes) = match listed {
            Some(node) => self.listed(file, node).map_or((None, Vec::new()), |(listed, axes)| (Some(listed), axes)),
            None => {
                let how = "`axes:` with at least one axis and its groups";
                let node = self.required(file, top, "the suite", "axes", how);
                (None, node.map_or_else(Vec::new, |node| self.axes(file, node)))
            }
        };
        if probes.iter().any(|probe| matches!(probe, Probe::Choice(spec) if spec.options.is_empty())) {
            for row in listed.iter().flat_map(|listed| &listed.rows).filter(|row| row.options.is_empty()) {
                let message = "this row has no `options`, nor has the choice probe; give the row or the probe some";
                self.problems.add(&row.place.file, row.place.at, message);
            }
        }
        let factors = top.get("factors").map_or_else(Vec::new, |node| self.factors(file, node, &axes));
        let mut templates = Vec::new();
        if top.get("cases_from").is_none() {
            let how = "`templates:` with at least one template";
            let node = self.required(file, top, "the suite", "templates", how);
            let options = probes.iter().any(|probe| matches!(probe, Probe::Choice(_)));
            let fillings = Fillings { axes: &axes, factors: &factors, options };
            templates = node.map_or_else(Vec::new, |node| self.templates(file, source, node, &fillings));
        }
        let design = self.design(file, top.get("design"));
        let writes = probes.iter().any(|probe| matches!(probe, Probe::Generate(_)));
        let lexicon = top.get("lexicon").map_or_else(Vec::new, |node| self.lexicon(file, node));
        let scorers = match top.get("scorers") {
            Some(node) => self.scorers(file, node, &lexicon),
            None if writes => {
                self.required(file, top, "the suite", "scorers", "`scorers: [sentiment, refusal]`");
                Vec::new()
            }
            None => Vec::new(),
        };
        let similarity = top.get("similarity").map_or_else(Vec::new, |node| self.similarity(file, node));
        if let Some(node) = top.get("similarity").filter(|_| !writes) {
            let message = "`similarity` compares written answers, but nothing is written; add `- generate: {}` to the probes, or take it out";
            self.problems.add(file, node.at, message);
        }
        let mut scores: Vec<String> = scorers.iter().flat_map(ScorerSpec::scores).collect();
        scores.extend(probes.iter().flat_map(Probe::scores));
        let outcomes = top.get("outcomes").map_or_else(Vec::new, |node| self.outcomes(file, node, &scores));
        let benchmark = top.get("benchmark").and_then(|node| {
            let names: Vec<&str> = BENCHMARKS.iter().map(|benchmark| benchmark.name).collect();
            self.word(file, node, "benchmark", &names).map(str::to_owned)
        });
        let gate = self.gate(file, top.get("gate"));
        Some(Suite {
            name: name?,
            version: version? as u32,
            description,
            source: origin,
            license,
            private,
            axes,
            factors,
            templates,
            listed,
            design,
            probes,
            scorers,
            similarity,
            outcomes,
            gate,
            benchmark,
            place: Place::new(file, root.at),
            digest: String::new(),
        })
    }
}
