//! Reads a suite file with everything that it uses, and reports all of its problems at once.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use minijinja::Value;
use sha2::{Digest as _, Sha256};

use super::axes::{PlacedAxis, PlacedFactor};
use super::files::{self, Found, Places};
use super::problem::{Mark, Problems, SuiteProblems, and_list};
use super::template::{environment, forms, render, slots};
use super::yaml::{Key, Kind, Node, parse};
use super::{Suite, Template, slug};

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
    let mut reader = Reader { places, problems: Problems::default(), digest: Sha256::new() };
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
            suite.digest = reader.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
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

/// Walks the tree of a suite and notes what is wrong.
pub(super) struct Reader<'a> {
    places: &'a Places,
    pub problems: Problems,
    digest: Sha256,
}

/// A map whose keys are all known.
#[derive(Clone, Copy)]
pub(super) struct Fields<'n> {
    at: Mark,
    map: &'n [(Key, Node)],
}

impl<'n> Fields<'n> {
    pub fn get(&self, name: &str) -> Option<&'n Node> {
        self.map.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
    }
}

impl Reader<'_> {
    fn digest(&mut self, text: &str) {
        self.digest.update((text.len() as u64).to_le_bytes());
        self.digest.update(text.as_bytes());
    }

    /// Reads a file that the suite names, and counts it into the digest.
    pub fn open(&mut self, file: &str, path: &Node) -> Option<Found> {
        let name = self.text(file, path, "the path of a file")?;
        match self.places.read(&name) {
            Ok(found) => {
                self.digest(&found.text);
                Some(found)
            }
            Err(words) => {
                let words = format!("{words}; paths are relative to the suite's folder or to the folder above it");
                self.problems.add(file, path.at, words);
                None
            }
        }
    }

    /// A map with none but these keys; `later` are keys that a later version knows, with what to do instead.
    pub fn fields<'n>(
        &mut self,
        file: &str,
        node: &'n Node,
        what: &str,
        known: &[&str],
        later: &[(&str, &str)],
    ) -> Option<Fields<'n>> {
        let Kind::Map(map) = &node.kind else {
            let message = format!("{what} is {}, but should be a map with {}", node.describe(), and_list(known));
            self.problems.add(file, node.at, message);
            return None;
        };
        for (key, _) in map {
            if let Some((_, instead)) = later.iter().find(|(name, _)| *name == key.text) {
                self.problems.add(file, key.at, format!("`{}` is not possible yet: {instead}", key.text));
            } else if !known.contains(&key.text.as_str()) {
                let message = format!("{what} has no key `{}`; it can have {}", key.text, and_list(known));
                self.problems.add(file, key.at, message);
            }
        }
        Some(Fields { at: node.at, map })
    }

    /// A field that must be there.
    pub fn required<'n>(
        &mut self,
        file: &str,
        fields: Fields<'n>,
        what: &str,
        name: &str,
        how: &str,
    ) -> Option<&'n Node> {
        let found = fields.get(name);
        if found.is_none() {
            self.problems.add(file, fields.at, format!("{what} has no `{name}`; add {how}"));
        }
        found
    }

    /// Text that is not empty; a number or true and false count as what they spell.
    pub fn text(&mut self, file: &str, node: &Node, what: &str) -> Option<String> {
        let text = match &node.kind {
            Kind::Text(text) => text.clone(),
            Kind::Integer(value) => value.to_string(),
            Kind::Bool(value) => value.to_string(),
            _ => {
                let message = format!("{what} should be text, but is {}; put quotes around it", node.describe());
                self.problems.add(file, node.at, message);
                return None;
            }
        };
        if text.trim().is_empty() {
            self.problems.add(file, node.at, format!("{what} is empty; write its text or take it out"));
            return None;
        }
        Some(text)
    }

    /// A whole number of at least `least`.
    pub fn count(&mut self, file: &str, node: &Node, what: &str, least: u64) -> Option<u64> {
        match node.kind {
            Kind::Integer(value) if value >= i128::from(least) && value <= i128::from(u32::MAX) => Some(value as u64),
            _ => {
                let message =
                    format!("{what} is {}, but should be a whole number of at least {least}", node.describe());
                self.problems.add(file, node.at, message);
                None
            }
        }
    }

    pub fn number(
        &mut self,
        file: &str,
        node: &Node,
        what: &str,
        rule: &str,
        holds: impl Fn(f64) -> bool,
    ) -> Option<f64> {
        let value = match node.kind {
            Kind::Integer(value) => Some(value as f64),
            Kind::Float(value) => Some(value),
            _ => None,
        };
        let good = value.filter(|value| value.is_finite() && holds(*value));
        if good.is_none() {
            self.problems.add(file, node.at, format!("{what} is {}, but should be {rule}", node.describe()));
        }
        good
    }

    /// A list, or none and a problem.
    pub fn list<'n>(&mut self, file: &str, node: &'n Node, what: &str) -> Option<&'n [Node]> {
        match &node.kind {
            Kind::List(items) => Some(items),
            _ => {
                self.problems.add(file, node.at, format!("{what} should be a list, but is {}", node.describe()));
                None
            }
        }
    }

    /// A map from names of the user's own, each with a slug of its own.
    pub fn named<'n>(&mut self, file: &str, node: &'n Node, what: &str) -> Option<&'n [(Key, Node)]> {
        let Kind::Map(map) = &node.kind else {
            self.problems.add(file, node.at, format!("{what} should be a map of names, but is {}", node.describe()));
            return None;
        };
        for (i, (key, _)) in map.iter().enumerate() {
            let id = slug(&key.text);
            if id.is_empty() {
                self.problems.add(
                    file,
                    key.at,
                    format!("the name \"{}\" has neither letters nor digits; give another", key.text),
                );
            } else if let Some((other, _)) = map[..i].iter().find(|(other, _)| slug(&other.text) == id) {
                let message =
                    format!("\"{}\" and \"{}\" are both `{id}` in case ids; rename one", other.text, key.text);
                self.problems.add(file, key.at, message);
            }
        }
        Some(map)
    }

    /// Axes and factors become variables of templates.
    pub fn variable(&mut self, file: &str, key: &Key, what: &str) {
        let mut chars = key.text.chars();
        let good = chars.next().is_some_and(|c| c.is_ascii_lowercase())
            && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !good {
            let message = format!(
                "the {what} name \"{}\" cannot be a slot; use a-z, 0-9 and _, beginning with a letter",
                key.text
            );
            self.problems.add(file, key.at, message);
        }
    }

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
            digest: String::new(),
        })
    }

    fn templates(
        &mut self,
        file: &str,
        source: &str,
        node: &Node,
        axes: &[PlacedAxis],
        factors: &[PlacedFactor],
    ) -> Vec<Template> {
        let mut templates = Vec::new();
        let mut used: Vec<String> = Vec::new();
        let Some(map) = self.named(file, node, "templates") else { return templates };
        if map.is_empty() {
            self.problems.add(
                file,
                node.at,
                "there is no template; add one with a slot of an axis, as `letter: Write about {{ gender.name }}.`",
            );
        }
        for (key, node) in map {
            let what = format!("template \"{}\"", key.text);
            let mut system = None;
            // (text, file, source text of that file, where the text begins, whether the file is the template itself)
            let found = match &node.kind {
                Kind::Map(_) => {
                    let Some(fields) = self.fields(file, node, &what, &["text", "file", "system"], &[]) else {
                        continue;
                    };
                    system = fields.get("system").and_then(|node| self.system(file, node, &what));
                    match (fields.get("text"), fields.get("file")) {
                        (Some(text), None) => self
                            .text(file, text, &what)
                            .map(|t| (t, file.to_string(), source.to_string(), text.at, false)),
                        (None, Some(path)) => self
                            .open(file, path)
                            .map(|Found { label, text }| (text.clone(), label, text, Mark::START, true)),
                        _ => {
                            self.problems.add(file, node.at, format!("{what} needs either `text` or `file`"));
                            None
                        }
                    }
                }
                _ => self
                    .text(file, node, &what)
                    .map(|text| (text, file.to_string(), source.to_string(), node.at, false)),
            };
            let Some((text, file, source, at, own_file)) = found else { continue };
            match slots(&text) {
                Err((line, words)) => {
                    let at = if own_file { Mark { line, column: 1 } } else { at };
                    self.problems.add(&file, at, format!("{what}: {words}"));
                }
                Ok(found) => {
                    used.extend(found.iter().map(|slot| slot.name.clone()));
                    let before = self.problems.0.len();
                    if !found.iter().any(|slot| axes.iter().any(|axis| axis.axis.name == slot.name)) {
                        let axes: Vec<_> = axes.iter().map(PlacedAxis::example).collect();
                        self.problems.add(
                            &file,
                            at,
                            format!("{what} uses no axis, so that nothing varies in it; add {}", axes.join(" or ")),
                        );
                    }
                    for slot in &found {
                        let at = position(&source, at, &slot.written());
                        self.slot(&file, at, &what, slot, axes, factors);
                    }
                    if self.problems.0.len() == before {
                        self.try_to_fill(&file, at, &what, &text, axes, factors);
                    }
                }
            }
            templates.push(Template { name: key.text.clone(), text, system });
        }
        for axis in axes.iter().filter(|axis| !used.contains(&axis.axis.name)) {
            let message = format!(
                "no template uses the axis \"{}\"; use {} in one or take the axis out",
                axis.axis.name,
                axis.example()
            );
            self.problems.add(file, axis.at, message);
        }
        for PlacedFactor { factor, at } in factors.iter().filter(|factor| !used.contains(&factor.factor.name)) {
            let message = format!(
                "no template uses the factor \"{0}\"; use {{{{ {0} }}}} in one or take the factor out",
                factor.name
            );
            self.problems.add(file, *at, message);
        }
        templates
    }

    /// A system prompt: a path that ends in .txt, or the text itself.
    fn system(&mut self, file: &str, node: &Node, what: &str) -> Option<String> {
        let text = self.text(file, node, &format!("the system prompt of {what}"))?;
        let text = if text.ends_with(".txt") && !text.contains('\n') { self.open(file, node)?.text } else { text };
        if text.contains("{{") || text.contains("{%") {
            self.problems.add(
                file,
                node.at,
                format!("the system prompt of {what} has a slot; this version fills slots in the template only"),
            );
        }
        Some(text.trim().to_string())
    }

    fn slot(
        &mut self,
        file: &str,
        at: Mark,
        what: &str,
        slot: &super::template::Slot,
        axes: &[PlacedAxis],
        factors: &[PlacedFactor],
    ) {
        let written = slot.written();
        if let Some(axis) = axes.iter().find(|axis| axis.axis.name == slot.name) {
            let forms = axis.forms(axes);
            match &slot.form {
                None => {
                    let message =
                        format!("{what} uses {{{{ {written} }}}}, but an axis needs a form; write {}", axis.example());
                    self.problems.add(file, at, message);
                }
                Some(form) if !forms.contains(form) && !forms.is_empty() => {
                    let message = format!(
                        "{what} uses {{{{ {written} }}}}, but no term of \"{}\" has the form `{form}`; it has {}",
                        slot.name,
                        and_list(&forms)
                    );
                    self.problems.add(file, at, message);
                }
                Some(form) => {
                    let lacking: Vec<_> =
                        axis.terms().filter(|(_, term, ..)| !term.forms.iter().any(|(name, _)| name == form)).collect();
                    if let Some((group, term, file, at)) = lacking.first() {
                        let others = match lacking.len() {
                            1 => String::new(),
                            n => format!(" (nor have {} other terms)", n - 1),
                        };
                        let message = format!(
                            "the term \"{}\" of group \"{group}\" has no form `{form}`{others}, but {what} uses {{{{ {written} }}}}; add `{form}:` to it",
                            term.id
                        );
                        self.problems.add(file, *at, message);
                    }
                }
            }
        } else if factors.iter().any(|factor| factor.factor.name == slot.name) {
            if slot.form.is_some() {
                let message = format!(
                    "{what} uses {{{{ {written} }}}}, but a factor has no forms; write {{{{ {} }}}}",
                    slot.name
                );
                self.problems.add(file, at, message);
            }
        } else {
            let mut exist: Vec<String> = axes.iter().map(PlacedAxis::example).collect();
            exist.extend(factors.iter().map(|factor| format!("{{{{ {} }}}}", factor.factor.name)));
            let message = format!(
                "{what} uses {{{{ {written} }}}}, but no axis or factor is named \"{}\"; add it under factors:, or write {}",
                slot.name,
                exist.join(", ")
            );
            self.problems.add(file, at, message);
        }
    }

    /// Fills the template once with the first of everything, so that an unknown filter shows before a run.
    fn try_to_fill(
        &mut self,
        file: &str,
        at: Mark,
        what: &str,
        text: &str,
        axes: &[PlacedAxis],
        factors: &[PlacedFactor],
    ) {
        let mut values: BTreeMap<String, Value> = BTreeMap::new();
        for axis in axes {
            let Some((_, term, ..)) = axis.terms().next() else { return };
            values.insert(axis.axis.name.clone(), forms(&term.forms));
        }
        for PlacedFactor { factor, .. } in factors {
            let Some(level) = factor.levels.first() else { return };
            values.insert(factor.name.clone(), Value::from(level.as_str()));
        }
        let environment = environment();
        let Ok(template) = environment.template_from_str(text) else { return };
        match render(&template, &values) {
            Err((_, words)) => self.problems.add(file, at, format!("{what} cannot be filled: {words}")),
            Ok(prompt) if prompt.is_empty() => {
                self.problems.add(file, at, format!("{what} fills to an empty prompt; write its text"))
            }
            Ok(_) => {}
        }
    }
}

/// Where `written` first stands as a slot at or after `at`; `at` itself when it is spelled another way.
fn position(source: &str, at: Mark, written: &str) -> Mark {
    for (i, line) in source.lines().enumerate().skip(at.line - 1) {
        let from = if i + 1 == at.line {
            line.char_indices().nth(at.column - 1).map_or(line.len(), |(byte, _)| byte)
        } else {
            0
        };
        let mut start = from;
        while let Some(found) = line[start..].find(written).map(|found| found + start) {
            let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.');
            let slot = line[..found].rfind('{').is_some_and(|open| !line[open..found].contains('}'));
            let end = found + written.len();
            let next = line[end..].chars().next();
            if slot && !word(line[..found].chars().next_back()) && !word(next) {
                return Mark { line: i + 1, column: line[..found].chars().count() + 1 };
            }
            start = end;
        }
    }
    at
}
