//! Reads axes with their groups and terms, from the suite or from files that it uses.

use std::collections::HashMap;

use super::grammar::{AXIS, AXIS_LIST, GROUP, GROUP_LIST};
use super::problem::{Mark, Place, and_list};
use super::reader::Reader;
use super::yaml::{Key, Kind, Node};
use super::{Axis, Group, Term, slug};

impl Axis {
    /// Group by group, every term.
    pub(super) fn terms(&self) -> impl Iterator<Item = (&Group, &Term)> {
        self.groups.iter().flat_map(|group| group.terms.iter().map(move |term| (group, term)))
    }

    /// Forms that some term has, without the values of other axes that terms carry.
    pub(super) fn forms(&self, axes: &[Axis]) -> Vec<&str> {
        let mut forms: Vec<&str> = Vec::new();
        for (name, _) in self.terms().flat_map(|(_, term)| &term.forms) {
            if !forms.contains(&name.as_str()) && !axes.iter().any(|axis| axis.name == *name) {
                forms.push(name);
            }
        }
        forms
    }

    /// A slot as a template may write it.
    pub(super) fn example(&self) -> String {
        let first = self.terms().next().and_then(|(_, term)| term.forms.first()).map_or("name", |(form, _)| form);
        format!("{{{{ {}.{first} }}}}", self.name)
    }
}

impl Reader<'_> {
    pub(super) fn axes(&mut self, file: &str, node: &Node) -> Vec<Axis> {
        let Some(map) = self.named(file, node, "axes") else { return Vec::new() };
        if map.is_empty() {
            self.problems.add(file, node.at, "there is no axis; add one with its groups");
        }
        let names: Vec<&str> = map.iter().map(|(key, _)| key.text.as_str()).collect();
        let axes: Vec<Axis> = map.iter().filter_map(|(key, node)| self.axis(file, key, node, &names)).collect();
        self.carried_values(&axes);
        axes
    }

    /// Terms may carry values of other axes, which must be groups there.
    fn carried_values(&mut self, axes: &[Axis]) {
        for axis in axes {
            for (_, term) in axis.terms() {
                for (form, value) in &term.forms {
                    let Some(other) = axes.iter().find(|other| other.name == *form && form != &axis.name) else {
                        continue;
                    };
                    let groups: Vec<&str> = other.groups.iter().map(|group| group.name.as_str()).collect();
                    if !groups.contains(&value.as_str()) {
                        let message = format!(
                            "the term \"{}\" says `{form}: {value}`, but the groups of \"{form}\" are {}; use one of them",
                            term.id,
                            and_list(&groups)
                        );
                        self.problems.add(&term.place.file, term.place.at, message);
                    }
                }
            }
        }
    }

    fn axis(&mut self, file: &str, key: &Key, node: &Node, axes: &[&str]) -> Option<Axis> {
        self.variable(file, key, "axis");
        let what = format!("axis \"{}\"", key.text);
        let fields = self.fields(file, node, &what, &AXIS)?;
        let mut axis = Axis { name: key.text.clone(), place: Place::new(file, key.at), ..Axis::default() };
        let mut reference = fields.get("reference").map(|node| (file.to_string(), node));
        let used = match fields.get("use") {
            Some(path) => Some(self.open_yaml(file, path)?),
            None => None,
        };
        let mut listed_at = node.at;
        if let Some((label, list)) = self.open_list(&used, &what, &AXIS_LIST) {
            reference = reference.or_else(|| list.get("reference").map(|node| (label.to_string(), node)));
            if let Some(node) = list.get("groups") {
                listed_at = node.at;
                axis.groups = self.groups(label, node, &what, axes);
            }
        }
        if let Some(node) = fields.get("only") {
            let only = self.texts(file, node, &format!("`only` of {what}"));
            self.all_exist(file, &only, &axis.groups, |group| &group.name, &format!("`only` of {what}"));
            axis.groups.retain(|group| only.iter().any(|(name, _)| *name == group.name));
        }
        if let Some(node) = fields.get("groups") {
            for group in self.groups(file, node, &what, axes) {
                match axis.groups.iter_mut().find(|other| other.name == group.name) {
                    Some(other) => *other = group,
                    None => axis.groups.push(group),
                }
            }
        } else if used.is_none() {
            let message =
                format!("{what} has no groups; add `groups:` with at least two, or `use:` a file that has them");
            self.problems.add(file, node.at, message);
            return None;
        }
        if axis.groups.len() < 2 {
            let (file, at) = match (fields.get("groups"), &used) {
                (None, Some((label, _))) => (label.as_str(), listed_at),
                (groups, _) => (file, groups.map_or(node.at, |node| node.at)),
            };
            let message = format!("{what} has {} group, but a comparison needs two; add another", axis.groups.len());
            self.problems.add(file, at, message);
        }
        axis.reference = reference.and_then(|(file, node)| self.reference(&file, node, &axis));
        self.unique_terms(&axis, &what);
        Some(axis)
    }

    pub(super) fn reference(&mut self, file: &str, node: &Node, axis: &Axis) -> Option<String> {
        let what = format!("axis \"{}\"", axis.name);
        let name = self.text(file, node, &format!("the reference of {what}"))?;
        if !axis.groups.iter().any(|group| group.name == name) {
            let names: Vec<&str> = axis.groups.iter().map(|group| group.name.as_str()).collect();
            let message = format!(
                "the reference \"{name}\" is not a group of {what}, whose groups are {}; use one of them",
                and_list(&names)
            );
            self.problems.add(file, node.at, message);
        }
        Some(name)
    }

    fn groups(&mut self, file: &str, node: &Node, axis: &str, axes: &[&str]) -> Vec<Group> {
        let map = self.named(file, node, &format!("the groups of {axis}")).unwrap_or_default();
        map.iter().map(|(key, node)| self.group(file, key, node, axis, axes)).collect()
    }

    fn group(&mut self, file: &str, key: &Key, node: &Node, axis: &str, axes: &[&str]) -> Group {
        let what = format!("group \"{}\" of {axis}", key.text);
        let mut group = Group { name: key.text.clone(), place: Place::new(file, key.at), ..Group::default() };
        let before = self.problems.0.len();
        match &node.kind {
            Kind::Map(_) => {
                let Some(fields) = self.fields(file, node, &what, &GROUP) else { return group };
                group.control =
                    fields.get("control").is_some_and(|node| self.flag(file, node, &format!("`control` of {what}")));
                match (fields.get("terms"), fields.get("use")) {
                    (Some(node), None) => group.terms = self.terms(file, node, &what, axes),
                    (None, Some(path)) => {
                        let used = self.open_yaml(file, path);
                        if let Some((label, list)) = self.open_list(&used, &what, &GROUP_LIST)
                            && let Some(node) = list.get("terms")
                        {
                            group.terms = self.terms(label, node, &what, axes);
                        }
                        if let Some(node) = fields.get("drop") {
                            let drop = self.texts(file, node, &format!("`drop` of {what}"));
                            self.all_exist(file, &drop, &group.terms, |term| &term.id, &format!("`drop` of {what}"));
                            group.terms.retain(|term| !drop.iter().any(|(id, _)| *id == term.id));
                        }
                        if let Some(node) = fields.get("add") {
                            let add = self.terms(file, node, &what, axes);
                            group.terms.extend(add);
                        }
                    }
                    _ => self.problems.add(file, node.at, format!("{what} needs either `terms` or `use`")),
                }
            }
            Kind::Null => {}
            _ => group.terms = self.terms(file, node, &what, axes),
        }
        if group.terms.is_empty() && self.problems.0.len() == before {
            let message = format!("{what} has no terms; add names or nouns that stand for it");
            self.problems.add(file, key.at, message);
        }
        group
    }

    /// Errs for each wanted name that none of the things has.
    pub(super) fn all_exist<T>(
        &mut self,
        file: &str,
        wanted: &[(String, Mark)],
        things: &[T],
        name: impl Fn(&T) -> &String,
        what: &str,
    ) {
        for (wanted, at) in wanted.iter().filter(|(wanted, _)| !things.iter().any(|thing| name(thing) == wanted)) {
            let names: Vec<&str> = things.iter().map(|thing| name(thing).as_str()).collect();
            let message = format!("{what} names \"{wanted}\", but the file has {}; use these", and_list(&names));
            self.problems.add(file, *at, message);
        }
    }

    fn terms(&mut self, file: &str, node: &Node, group: &str, axes: &[&str]) -> Vec<Term> {
        let items = self.list(file, node, &format!("the terms of {group}")).unwrap_or_default();
        items.iter().filter_map(|item| self.term(file, item, group, axes)).collect()
    }

    fn term(&mut self, file: &str, node: &Node, group: &str, axes: &[&str]) -> Option<Term> {
        let what = format!("a term of {group}");
        let place = Place::new(file, node.at);
        let Kind::Map(map) = &node.kind else {
            let text = self.text(file, node, &what)?;
            let id = self.term_id(file, node.at, &text)?;
            return Some(Term { id, forms: vec![("name".into(), text)], paired: false, place });
        };
        let mut forms = Vec::new();
        let mut pair = None;
        for (key, node) in map {
            let text = self.text(file, node, &format!("`{}` of {what}", key.text))?;
            if key.text == "pair" {
                pair = Some(text);
            } else {
                self.variable(file, key, "form");
                forms.push((key.text.clone(), text));
            }
        }
        let Some((_, first)) = forms.iter().find(|(form, _)| !axes.contains(&form.as_str())) else {
            self.problems.add(file, node.at, format!("{what} has no form that is text; add `name:`"));
            return None;
        };
        let id = self.term_id(file, node.at, pair.as_ref().unwrap_or(first))?;
        Some(Term { id, forms, paired: pair.is_some(), place })
    }

    fn term_id(&mut self, file: &str, at: Mark, text: &str) -> Option<String> {
        let id = slug(text);
        if id.is_empty() {
            let message =
                format!("the term \"{text}\" has neither letters nor digits, so that it gives no id; add `pair:`");
            self.problems.add(file, at, message);
            return None;
        }
        Some(id)
    }

    /// An id stands once in an axis; only terms of different groups that are all declared as a pair share one.
    fn unique_terms(&mut self, axis: &Axis, what: &str) {
        let mut seen: HashMap<&str, (&Group, &Term)> = HashMap::new();
        for (group, term) in axis.terms() {
            let Some((other_group, other)) = seen.insert(&term.id, (group, term)) else { continue };
            if other_group.name != group.name && other.paired && term.paired {
                continue;
            }
            let message = if other_group.name == group.name {
                format!("the term id `{}` stands twice in group \"{}\" of {what}; take one out", term.id, group.name)
            } else {
                format!(
                    "the term id `{0}` stands in the groups \"{1}\" and \"{2}\" of {what}; take one out, or give both `pair: {0}` if they match",
                    term.id, other_group.name, group.name
                )
            };
            self.problems.add(&term.place.file, term.place.at, message);
        }
    }
}
