//! Reads templates and checks that every slot in them can be filled.

use std::collections::BTreeMap;

use minijinja::Value;

use super::files::Found;
use super::fill::MOST_TURNS;
use super::grammar::{TEMPLATE, TURN};
use super::problem::{Mark, Place, and_list};
use super::reader::{Fields, MOST_YAML, Reader};
use super::template::{OPTIONS, Slot, environment, forms, render, slots};
use super::yaml::{Key, Kind, Node};
use super::{Axis, Factor, ProbeKind, Template, Turn};

/// One text of a template, as it is checked.
struct Text<'a> {
    /// What messages call it: `template "letter"`, `the system prompt of template "letter"`.
    what: String,
    text: &'a str,
    file: &'a str,
    /// The whole file that it stands in, to find the place of a slot.
    source: &'a str,
    at: Mark,
    /// The file is the text itself, so that lines count from its first.
    own_file: bool,
}

/// What templates can be filled with.
pub(super) struct Fillings<'a> {
    pub axes: &'a [Axis],
    pub factors: &'a [Factor],
    /// A choice probe offers `{{ options }}`.
    pub options: bool,
}

impl Reader<'_> {
    pub(super) fn templates(
        &mut self,
        file: &str,
        source: &str,
        node: &Node,
        fillings: &Fillings<'_>,
    ) -> Vec<Template> {
        let Some(map) = self.named(file, node, "templates") else { return Vec::new() };
        if map.is_empty() {
            self.problems.add(
                file,
                node.at,
                "there is no template; add one with a slot of an axis, as `letter: Write about {{ gender.name }}.`",
            );
        }
        let mut used: Vec<String> = Vec::new();
        let templates =
            map.iter().filter_map(|(key, node)| self.template(file, source, key, node, fillings, &mut used)).collect();
        for axis in
            fillings.axes.iter().filter(|axis| !used.contains(&axis.name) && !is_carried(axis, &used, fillings.axes))
        {
            let message = format!(
                "no template uses the axis \"{}\"; use {} in one or take the axis out",
                axis.name,
                axis.example()
            );
            self.problems.add(&axis.place.file, axis.place.at, message);
        }
        for factor in fillings.factors.iter().filter(|factor| !used.contains(&factor.name)) {
            let message = format!(
                "no template uses the factor \"{0}\"; use {{{{ {0} }}}} in one or take the factor out",
                factor.name
            );
            self.problems.add(&factor.place.file, factor.place.at, message);
        }
        templates
    }

    fn template(
        &mut self,
        file: &str,
        source: &str,
        key: &Key,
        node: &Node,
        fillings: &Fillings<'_>,
        used: &mut Vec<String>,
    ) -> Option<Template> {
        let what = format!("template \"{}\"", key.text);
        let mut template = Template { name: key.text.clone(), ..Template::default() };
        let mut found = None;
        let mut text_at = node.at;
        if let Kind::Map(_) = node.kind {
            let fields = self.fields(file, node, &what, &TEMPLATE)?;
            match (fields.get("text"), fields.get("file")) {
                (Some(node), None) => {
                    text_at = node.at;
                    template.text = self.text(file, node, &what)?;
                }
                (None, Some(path)) => {
                    let file = self.open(file, path, MOST_YAML)?;
                    template.text.clone_from(&file.text);
                    found = Some(file);
                }
                _ => {
                    self.problems.add(file, node.at, format!("{what} needs either `text` or `file`"));
                    return None;
                }
            }
            self.around(file, fields, &what, &mut template);
        } else {
            template.text = self.text(file, node, &what)?;
        }
        let (text_file, text_source, text_at, own_file) = match &found {
            Some(Found { label, text }) => (label.as_str(), text.as_str(), Mark::START, true),
            None => (file, source, text_at, false),
        };
        template.place = Place::new(text_file, text_at);
        let before = self.problems.0.len();
        let mut slots = Vec::new();
        let inside = |what: String, text| Text { what, text, file, source, at: node.at, own_file: false };
        let mut texts = vec![Text {
            what: what.clone(),
            text: &template.text,
            file: text_file,
            source: text_source,
            at: text_at,
            own_file,
        }];
        texts.extend(template.system.iter().map(|text| inside(format!("the system prompt of {what}"), text)));
        texts.extend(template.turns.iter().map(|turn| inside(format!("an earlier turn of {what}"), &turn.content)));
        texts.extend(template.continuation.iter().map(|text| inside(format!("the continuation of {what}"), text)));
        for text in &texts {
            slots.extend(self.slots(text, fillings));
        }
        used.extend(slots.iter().map(|slot| slot.name.clone()));
        if self.problems.0.len() == before
            && !slots.iter().any(|slot| fillings.axes.iter().any(|axis| axis.name == slot.name))
        {
            let axes: Vec<_> = fillings.axes.iter().map(Axis::example).collect();
            let message = format!("{what} uses no axis, so that nothing varies in it; add {}", axes.join(" or "));
            self.problems.add(text_file, text_at, message);
        }
        if self.problems.0.len() == before {
            for text in &texts {
                self.try_to_fill(text, fillings);
            }
        }
        Some(template)
    }

    /// What a template has around its text: system prompt, earlier turns, continuation, its kinds of probes.
    fn around(&mut self, file: &str, fields: Fields<'_>, what: &str, template: &mut Template) {
        template.system = fields.get("system").and_then(|node| {
            let text = self.text(file, node, &format!("the system prompt of {what}"))?;
            let path = text.ends_with(".txt") && !text.contains('\n');
            let text = if path { self.open(file, node, MOST_YAML)?.text } else { text };
            Some(text.trim().to_string())
        });
        if let Some(node) = fields.get("turns") {
            let items = self.list(file, node, &format!("`turns` of {what}")).unwrap_or_default();
            if items.len() > MOST_TURNS {
                let message = format!("{what} has {} earlier turns; it can have {MOST_TURNS}", items.len());
                self.problems.add(file, node.at, message);
            }
            template.turns = items.iter().filter_map(|item| self.turn(file, item, what)).collect();
        }
        template.continuation =
            fields.get("continuation").and_then(|node| self.text(file, node, &format!("the continuation of {what}")));
        if let Some(node) = fields.get("probes") {
            let items = self.list(file, node, &format!("`probes` of {what}")).unwrap_or_default();
            let words = ProbeKind::ALL.map(ProbeKind::as_str);
            for item in items {
                let Some(word) = self.word(file, item, &format!("a probe of {what}"), &words) else { continue };
                template.probes.extend(ProbeKind::ALL.into_iter().find(|kind| kind.as_str() == word));
            }
        }
    }

    fn turn(&mut self, file: &str, node: &Node, what: &str) -> Option<Turn> {
        let what = format!("an earlier turn of {what}");
        self.fields(file, node, &what, &TURN)?;
        match &node.kind {
            Kind::Map(map) if map.len() == 1 => {
                let (key, node) = &map[0];
                Some(Turn { role: key.text.clone(), content: self.text(file, node, &what)? })
            }
            _ => {
                let message = format!("{what} should be one of `- user: …` and `- assistant: …`");
                self.problems.add(file, node.at, message);
                None
            }
        }
    }

    /// The slots of a text, each checked.
    fn slots(&mut self, text: &Text<'_>, fillings: &Fillings<'_>) -> Vec<Slot> {
        match slots(text.text) {
            Err((line, words)) => {
                let at = if text.own_file { Mark { line, column: 1 } } else { text.at };
                self.problems.add(text.file, at, format!("{}: {words}", text.what));
                Vec::new()
            }
            Ok(found) => {
                for slot in &found {
                    let at = position(text.source, text.at, &slot.written());
                    self.slot(text, at, slot, fillings);
                }
                found
            }
        }
    }

    fn slot(&mut self, text: &Text<'_>, at: Mark, slot: &Slot, fillings: &Fillings<'_>) {
        let (what, file, written) = (&text.what, text.file, slot.written());
        if let Some(axis) = fillings.axes.iter().find(|axis| axis.name == slot.name) {
            let forms = axis.forms(fillings.axes);
            match &slot.form {
                None => {
                    let message =
                        format!("{what} uses {{{{ {written} }}}}, but an axis needs a form; write {}", axis.example());
                    self.problems.add(file, at, message);
                }
                Some(form) if !forms.contains(&form.as_str()) && !forms.is_empty() => {
                    let message = format!(
                        "{what} uses {{{{ {written} }}}}, but no term of \"{}\" has the form `{form}`; it has {}",
                        slot.name,
                        and_list(&forms)
                    );
                    self.problems.add(file, at, message);
                }
                Some(form) => {
                    let mut lacking = axis.terms().filter(|(_, term)| !term.forms.iter().any(|(name, _)| name == form));
                    let Some((group, term)) = lacking.next() else { return };
                    let others = match lacking.count() {
                        0 => String::new(),
                        n => format!(" (nor have {n} other terms)"),
                    };
                    let message = format!(
                        "the term \"{}\" of group \"{}\" has no form `{form}`{others}, but {what} uses {{{{ {written} }}}}; add `{form}:` to it",
                        term.id, group.name
                    );
                    self.problems.add(&term.place.file, term.place.at, message);
                }
            }
        } else if fillings.factors.iter().any(|factor| factor.name == slot.name) {
            if slot.form.is_some() {
                let message = format!(
                    "{what} uses {{{{ {written} }}}}, but a factor has no forms; write {{{{ {} }}}}",
                    slot.name
                );
                self.problems.add(file, at, message);
            }
        } else if slot.name == OPTIONS && fillings.options && slot.form.is_none() {
        } else {
            let mut exist: Vec<String> = fillings.axes.iter().map(Axis::example).collect();
            exist.extend(fillings.factors.iter().map(|factor| format!("{{{{ {} }}}}", factor.name)));
            let message = format!(
                "{what} uses {{{{ {written} }}}}, but no axis or factor is named \"{}\"; add it under factors:, or write {}",
                slot.name,
                exist.join(", ")
            );
            self.problems.add(file, at, message);
        }
    }

    /// Fills the text once with the first of everything, so that an unknown filter shows before a run.
    fn try_to_fill(&mut self, text: &Text<'_>, fillings: &Fillings<'_>) {
        let mut values: BTreeMap<&str, Value> = BTreeMap::new();
        values.insert(OPTIONS, Value::from("A"));
        for axis in fillings.axes {
            let Some((_, term)) = axis.terms().next() else { return };
            values.insert(&axis.name, forms(&term.forms));
        }
        for factor in fillings.factors {
            let Some(level) = factor.levels.first() else { return };
            values.insert(&factor.name, Value::from(level.as_str()));
        }
        let environment = environment();
        let Ok(template) = environment.template_from_str(text.text) else { return };
        let words = match render(&template, &values) {
            Err((_, words)) => format!("{} cannot be filled: {words}", text.what),
            Ok(filled) if filled.is_empty() => format!("{} fills to an empty text; write its text", text.what),
            Ok(_) => return,
        };
        self.problems.add(text.file, text.at, words);
    }
}

/// The terms of an axis that is used carry values of this one.
fn is_carried(axis: &Axis, used: &[String], axes: &[Axis]) -> bool {
    let mut carriers = axes.iter().filter(|other| used.contains(&other.name) && other.name != axis.name);
    carriers.any(|other| other.terms().any(|(_, term)| term.forms.iter().any(|(form, _)| *form == axis.name)))
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
