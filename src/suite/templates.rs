//! Reads templates and checks that every slot can be filled.

use std::collections::BTreeMap;

use minijinja::Value;

use super::Template;
use super::axes::{PlacedAxis, PlacedFactor};
use super::files::Found;
use super::problem::{Mark, Place, and_list};
use super::reader::Reader;
use super::template::{Slot, environment, forms, render, slots};
use super::yaml::{Kind, Node};

impl Reader<'_> {
    pub(super) fn templates(
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
            let place = Place::new(&file, at);
            templates.push(Template { name: key.text.clone(), text, system, place, ..Template::default() });
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

    fn slot(&mut self, file: &str, at: Mark, what: &str, slot: &Slot, axes: &[PlacedAxis], factors: &[PlacedFactor]) {
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
