//! Reads a suite file with everything that it uses, and reports all of its problems at once.

use std::path::Path;

use anyhow::{Result, bail};

use super::axes::PlacedAxis;
use super::files::{self, Places};
use super::problem::{Place, SuiteProblems, and_list};
use super::reader::Reader;
use super::yaml::{Node, parse};
use super::{Suite, slug};

const TOP: &[&str] = &[
    "suite",
    "version",
    "description",
    "source",
    "license",
    "axes",
    "factors",
    "templates",
    "design",
    "probes",
    "scorers",
    "outcomes",
    "gate",
];
/// What the language has and this version does not do yet.
const LATER: &[(&str, &str)] = &[
    ("cases_from", "this version fills templates only and reads no listed cases; write the cases as templates:"),
    ("interventions", "this version runs one arm a suite; put a system prompt on the templates instead"),
];

/// A suite by path, or by the name of one that the binary carries (`first-look`).
///
/// # Errors
/// [`SuiteProblems`] for what is wrong inside; a sentence that lists the embedded suites when there is no such file or name.
pub fn load_named_or_path(suite: &str) -> Result<Suite> {
    if Path::new(suite).is_file() {
        return load(Path::new(suite));
    }
    if let Some(text) = files::embedded(&format!("suites/{suite}.yaml")) {
        return Ok(load_text(text, &format!("suites/{suite}.yaml"), &Places::default())?);
    }
    bail!(
        "there is no suite \"{suite}\": it is neither a file nor an embedded suite ({}); give the path of a YAML file",
        and_list(&files::embedded_suites())
    )
}

/// A suite from a file.
///
/// # Errors
/// [`SuiteProblems`], or a sentence when the file cannot be read.
pub fn load(path: &Path) -> Result<Suite> {
    let text = files::read_text(path).map_err(anyhow::Error::msg)?;
    let places = Places { folder: Some(path.parent().unwrap_or(Path::new("")).to_path_buf()) };
    Ok(load_text(&text, &path.display().to_string(), &places)?)
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
            let mut problems = reader.problems.0;
            // The suite's own problems first, then those of the files it uses.
            problems.sort_by(|a, b| (a.file != file, a).cmp(&(b.file != file, b)));
            Err(SuiteProblems(problems))
        }
    }
}

impl Reader<'_> {
    fn suite(&mut self, root: &Node, source: &str, file: &str) -> Option<Suite> {
        let top = self.fields(file, root, "the suite", TOP, LATER)?;
        let name = self.required(file, top, "the suite", "suite", "`suite: <name>`").and_then(|node| {
            let name = self.text(file, node, "the suite's name")?;
            if slug(&name) != name {
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

        let axes_node = self.required(file, top, "the suite", "axes", "`axes:` with at least one axis and its groups");
        let axes = axes_node.map_or_else(Vec::new, |node| self.axes(file, node));
        let factors = top.get("factors").map_or_else(Vec::new, |node| self.factors(file, node, &axes));
        let templates_node =
            self.required(file, top, "the suite", "templates", "`templates:` with at least one template");
        let templates =
            templates_node.map_or_else(Vec::new, |node| self.templates(file, source, node, &axes, &factors));
        let design = self.design(file, top.get("design"));
        let probes_node = self.required(file, top, "the suite", "probes", "`probes:` with `- generate: {}`");
        let probes = probes_node.map_or_else(Vec::new, |node| self.probes(file, node));
        let scorers_node = self.required(file, top, "the suite", "scorers", "`scorers: [sentiment, refusal]`");
        let scorers = scorers_node.map_or_else(Vec::new, |node| self.scorers(file, node));
        let outcomes = top.get("outcomes").map_or_else(Vec::new, |node| self.outcomes(file, node, &scorers));
        let gate = self.gate(file, top.get("gate"));
        Some(Suite {
            name: name?,
            version: version? as u32,
            description,
            source: origin,
            license,
            axes: axes.into_iter().map(PlacedAxis::plain).collect(),
            factors: factors.into_iter().map(|factor| factor.factor).collect(),
            templates,
            design,
            probes,
            scorers,
            outcomes,
            gate,
            place: Place::new(file, root.at),
            ..Suite::default()
        })
    }
}
