//! Reads listed cases, one a row, from a CSV or JSONL file.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::grammar::CASES_FROM;
use super::problem::{Mark, Place};
use super::reader::{Reader, hex};
use super::yaml::{Kind, Node};
use super::{Axis, Case, ChoiceOption, Group, Listed, ListedCase, MaskList, Probe, Suite, Term, Turn, choices, slug};
use crate::cell::unprotect;

/// Bytes of a file of listed cases that are read at most; BBQ whole is a tenth of it.
const MOST_LISTED: u64 = 512 << 20;

/// Columns with a meaning of their own; any other is kept as a tag.
pub(super) const MEANINGS: [&str; 10] =
    ["template", "context", "axis", "group", "term", "prompt", "system", "turns", "continuation", "options"];

/// A row before it is understood: column → text, and where it stands.
struct Row {
    cells: Vec<(String, String)>,
    at: Mark,
}

impl Reader<'_> {
    /// The cases with the axes that they speak of.
    pub(super) fn listed(&mut self, file: &str, node: &Node) -> Option<(Arc<Listed>, Vec<Axis>)> {
        let (path, digest, references) = match &node.kind {
            Kind::Map(_) => {
                let fields = self.fields(file, node, "cases_from", &CASES_FROM)?;
                let how = "`file:` with a .csv or .jsonl file";
                let path = self.required(file, fields, "cases_from", "file", how)?;
                (path, fields.get("digest"), fields.get("reference"))
            }
            _ => (node, None, None),
        };
        let found = self.open(file, path, MOST_LISTED)?;
        if let Some(node) = digest {
            let wanted = self.text(file, node, "the digest of the listed cases")?;
            let has = hex(&Sha256::digest(&found.text));
            if wanted != has {
                let message = format!(
                    "{} has the digest {has}, not the one that stands here: it has changed; import it anew, or write its \
                     digest here if that was meant",
                    found.label
                );
                self.problems.add(file, node.at, message);
            }
        }
        let rows = if found.label.ends_with(".jsonl") { json_rows(&found.text) } else { csv_rows(&found.text) };
        let rows = rows.map_err(|(at, words)| self.problems.add(&found.label, at, words)).ok()?;
        let label: Arc<str> = found.label.as_str().into();
        let mut cases = Vec::with_capacity(rows.len());
        let mut seen: HashMap<[String; 5], usize> = HashMap::with_capacity(rows.len());
        for row in rows {
            let at = row.at;
            match case(row, &label) {
                Ok(case) => {
                    let id = [
                        slug(&case.template),
                        place(&case.context),
                        slug(&case.axis),
                        slug(&case.group),
                        slug(&case.term),
                    ];
                    if let Some(line) = seen.insert(id, at.line) {
                        let message = format!(
                            "this row has the template, context, axis, group and term of line {line}; number the contexts, so that each case has its own id"
                        );
                        self.problems.add(&found.label, at, message);
                    }
                    cases.push(case);
                }
                Err(words) => self.problems.add(&found.label, at, words),
            }
        }
        if cases.is_empty() {
            self.problems.add(&found.label, Mark::START, "this file lists no cases; add a row a case under its header");
        }
        let mut axes = axes(&cases, &label);
        if let Some(node) = references {
            for (key, node) in self.named(file, node, "the references of cases_from").unwrap_or_default() {
                let Some(axis) = axes.iter_mut().find(|axis| axis.name == key.text) else {
                    let message = format!("the listed cases have no axis \"{}\"; correct its name", key.text);
                    self.problems.add(file, key.at, message);
                    continue;
                };
                axis.reference = self.reference(file, node, axis);
            }
        }
        Some((Arc::new(Listed { rows: cases }), axes))
    }
}

fn csv_rows(text: &str) -> Result<Vec<Row>, (Mark, String)> {
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let place =
        |error: &csv::Error| Mark { line: error.position().map_or(1, |position| position.line() as usize), column: 1 };
    let explain = |error: csv::Error| {
        let words = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!(
                    "this row has {len} cells, but the header has {expected_len}; put quotes around cells with commas"
                )
            }
            _ => format!("this is not CSV that can be read: {error}"),
        };
        (place(&error), words)
    };
    let header: Vec<String> = reader.headers().map_err(explain)?.iter().map(str::to_owned).collect();
    for (i, name) in header.iter().enumerate() {
        if header[..i].contains(name) {
            return Err((Mark::START, format!("the column \"{name}\" stands twice in the header; rename one")));
        }
    }
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(explain)? {
        let at = Mark { line: record.position().map_or(1, |position| position.line() as usize), column: 1 };
        let cells = header.iter().cloned().zip(record.iter().map(|cell| unprotect(cell).to_string())).collect();
        rows.push(Row { cells, at });
    }
    Ok(rows)
}

fn json_rows(text: &str) -> Result<Vec<Row>, (Mark, String)> {
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = Mark { line: number + 1, column: 1 };
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line)
            .map_err(|error| (at, format!("this line is not a JSON object: {error}; write one object a line")))?;
        let cell = |value: serde_json::Value| match value {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        rows.push(Row { cells: object.into_iter().map(|(name, value)| (name, cell(value))).collect(), at });
    }
    Ok(rows)
}

fn case(row: Row, file: &Arc<str>) -> Result<ListedCase, String> {
    let mut cells = row.cells;
    let mut take = |name: &str| {
        let index = cells.iter().position(|(column, _)| column == name);
        index.map(|index| cells.swap_remove(index).1).filter(|text| !text.trim().is_empty())
    };
    let prompt = take("prompt").ok_or("this row has no prompt; every case needs one")?;
    let mut case = ListedCase {
        template: take("template").unwrap_or_else(|| "case".into()),
        context: take("context").unwrap_or_default(),
        axis: take("axis").unwrap_or_default(),
        group: take("group").unwrap_or_default(),
        term: take("term").unwrap_or_default(),
        prompt,
        system: take("system"),
        continuation: take("continuation"),
        place: Place { file: Arc::clone(file), at: row.at },
        ..ListedCase::default()
    };
    if let Some(text) = take("turns") {
        case.turns = turns(&text).map_err(|words| format!("`turns` {words}"))?;
    }
    if let Some(text) = take("options") {
        case.options = options(&text).map_err(|words| format!("`options` {words}"))?;
    }
    if case.axis.is_empty() != case.group.is_empty() {
        return Err(
            "this row has only one of `axis` and `group`; give both, or none for a case that compares no groups".into(),
        );
    }
    for (name, text) in
        [("axis", &case.axis), ("group", &case.group), ("term", &case.term), ("template", &case.template)]
    {
        if !text.is_empty() && slug(text).is_empty() {
            return Err(format!("the {name} \"{text}\" has neither letters nor digits, so that it gives no id"));
        }
    }
    cells.sort();
    case.tags = cells;
    Ok(case)
}

/// `[{"user": "…"}, {"assistant": "…"}]`
fn turns(text: &str) -> Result<Vec<Turn>, String> {
    let how = "should be JSON as [{\"user\": \"…\"}, {\"assistant\": \"…\"}]";
    let list: Vec<BTreeMap<String, String>> = serde_json::from_str(text).map_err(|error| format!("{how}: {error}"))?;
    list.into_iter()
        .map(|turn| {
            let good = turn.len() == 1 && turn.keys().all(|role| role == "user" || role == "assistant");
            let first = turn.into_iter().next().filter(|_| good);
            first.map(|(role, content)| Turn { role, content }).ok_or_else(|| how.to_string())
        })
        .collect()
}

/// `{"yes": "…", "no": "…"}`, in its order.
fn options(text: &str) -> Result<Vec<(String, String)>, String> {
    let how = "should be JSON as {\"yes\": \"…\", \"no\": \"…\"}, with two options or more";
    let map: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| format!("{how}: {error}"))?;
    let options: Option<Vec<(String, String)>> = map
        .into_iter()
        .map(|(id, value)| {
            Some((slug(&id), value.as_str()?.to_string())).filter(|(id, text)| !id.is_empty() && !text.is_empty())
        })
        .collect();
    options.filter(|options| options.len() > 1).ok_or_else(|| how.to_string())
}

/// The cases of every probe, or of the first `limit` contexts of the file, sorted by id. Rows of equal template, context and axis are a set.
pub(super) fn cases(suite: &Suite, list: &Listed, limit: Option<usize>) -> Vec<Case> {
    let limit = limit.into_iter().chain(suite.design.contexts).min().unwrap_or(usize::MAX);
    let mut contexts: HashSet<(&str, &str)> = HashSet::new();
    let mut rows = Vec::new();
    for row in &list.rows {
        let context = (row.template.as_str(), row.context.as_str());
        if contexts.contains(&context) || contexts.len() < limit {
            contexts.insert(context);
            rows.push(row);
        }
    }
    let mut masks: HashMap<&str, Arc<MaskList>> = HashMap::new();
    for axis in &suite.axes {
        masks.insert(&axis.name, Arc::new(MaskList::of(&[axis], &[])));
    }
    let mut cases: Vec<Case> = Vec::with_capacity(rows.len() * suite.probes.len());
    for probe in &suite.probes {
        cases.extend(rows.iter().map(|row| row.case(probe, masks.get(row.axis.as_str()))));
    }
    cases.sort_by(|a, b| a.id.cmp(&b.id));
    cases
}

impl ListedCase {
    fn case(&self, probe: &Probe, mask: Option<&Arc<MaskList>>) -> Case {
        let kind = probe.kind();
        let parts = [kind.as_str().to_string(), slug(&self.template), place(&self.context)];
        let place = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
        let (set, id) = if self.axis.is_empty() {
            (place.clone(), place)
        } else {
            let set = format!("{place}/{}", slug(&self.axis));
            let id = format!("{set}={}/term={}", slug(&self.group), self.term_id());
            (set, id)
        };
        let mut case = Case {
            id,
            set,
            probe: kind,
            template: self.template.clone(),
            context: self.context.clone(),
            axis: self.axis.clone(),
            group: self.group.clone(),
            term: if self.axis.is_empty() { String::new() } else { self.term_id() },
            prompt: self.prompt.clone(),
            system: self.system.clone(),
            turns: self.turns.clone(),
            continuation: self.continuation.clone(),
            options: Vec::new(),
            tags: self.tags.clone(),
            mask: mask.cloned().unwrap_or_default(),
        };
        if let Probe::Choice(spec) = probe {
            let own = self.options.iter().map(|(id, text)| ChoiceOption {
                id: id.clone(),
                text: text.clone(),
                answers: vec![text.clone()],
            });
            let options = if self.options.is_empty() { spec.options.clone() } else { own.collect() };
            choices::in_order(options, spec).offer(&mut case, false);
        }
        case
    }

    /// The slug of the term, or of the group where the row names none.
    fn term_id(&self) -> String {
        slug(if self.term.is_empty() { &self.group } else { &self.term })
    }
}

/// A context as part of an id: what is not a letter, a digit or one of `=,._-` becomes a hyphen.
fn place(context: &str) -> String {
    let mut out = String::with_capacity(context.len());
    for c in context.chars() {
        if c.is_alphanumeric() || "=,._-".contains(c) {
            out.extend(c.to_lowercase());
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    out.trim_matches('-').to_string()
}

/// Axes, groups and terms in the order in which they are first listed.
fn axes(cases: &[ListedCase], file: &Arc<str>) -> Vec<Axis> {
    let mut axes: Vec<Axis> = Vec::new();
    let mut known: HashMap<(&str, &str, &str), ()> = HashMap::new();
    for case in cases.iter().filter(|case| !case.axis.is_empty()) {
        if known.insert((&case.axis, &case.group, &case.term), ()).is_some() {
            continue;
        }
        let place = case.place.clone();
        let axis = match axes.iter().position(|axis| axis.name == case.axis) {
            Some(index) => &mut axes[index],
            None => {
                let place = Place { file: Arc::clone(file), at: Mark::START };
                axes.push(Axis { name: case.axis.clone(), place, ..Axis::default() });
                axes.last_mut().expect("one was pushed")
            }
        };
        let group = match axis.groups.iter().position(|group| group.name == case.group) {
            Some(index) => &mut axis.groups[index],
            None => {
                axis.groups.push(Group { name: case.group.clone(), place: place.clone(), ..Group::default() });
                axis.groups.last_mut().expect("one was pushed")
            }
        };
        let forms = if case.term.is_empty() { Vec::new() } else { vec![("name".to_string(), case.term.clone())] };
        group.terms.push(Term { id: case.term_id(), forms, place, ..Term::default() });
    }
    axes
}
