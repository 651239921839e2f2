//! Reads axes with their groups and terms, and factors with their levels, from the suite or from files that it uses.

use super::problem::{Mark, Place, and_list};
use super::reader::Reader;
use super::yaml::{Key, Kind, Node, parse};
use super::{Axis, Factor, Group, Term, slug};

/// An axis with the places of its terms, for problems found later.
#[derive(Debug)]
pub(super) struct PlacedAxis {
    pub axis: Axis,
    /// The axis' name in the suite file.
    pub at: Mark,
    /// Group by group, term by term.
    places: Vec<Vec<(String, Mark)>>,
}

#[derive(Debug)]
pub(super) struct PlacedFactor {
    pub factor: Factor,
    pub at: Mark,
}

impl PlacedAxis {
    pub fn plain(self) -> Axis {
        self.axis
    }

    /// Group name, term, file and place of every term.
    pub fn terms(&self) -> impl Iterator<Item = (&str, &Term, &str, Mark)> {
        self.axis.groups.iter().zip(&self.places).flat_map(|(group, places)| {
            group.terms.iter().zip(places).map(|(term, (file, at))| (group.name.as_str(), term, file.as_str(), *at))
        })
    }

    /// Forms that some term has, without the values of other axes that terms carry.
    pub fn forms(&self, axes: &[PlacedAxis]) -> Vec<String> {
        let mut forms: Vec<String> = Vec::new();
        for (name, _) in self.terms().flat_map(|(_, term, ..)| &term.forms) {
            if !forms.contains(name) && !axes.iter().any(|axis| axis.axis.name == *name) {
                forms.push(name.clone());
            }
        }
        forms
    }

    /// A slot as a template may write it.
    pub fn example(&self) -> String {
        let first =
            self.terms().next().and_then(|(_, term, ..)| term.forms.first()).map_or("name", |(form, _)| form.as_str());
        format!("{{{{ {}.{first} }}}}", self.axis.name)
    }
}

impl Reader<'_> {
    pub(super) fn axes(&mut self, file: &str, node: &Node) -> Vec<PlacedAxis> {
        let Some(map) = self.named(file, node, "axes") else { return Vec::new() };
        if map.is_empty() {
            self.problems.add(file, node.at, "there is no axis; add one with its groups");
        }
        let names: Vec<&str> = map.iter().map(|(key, _)| key.text.as_str()).collect();
        let axes: Vec<PlacedAxis> = map.iter().filter_map(|(key, node)| self.axis(file, key, node, &names)).collect();
        self.carried_values(&axes);
        axes
    }

    /// Terms may carry values of other axes, which must be groups there.
    fn carried_values(&mut self, axes: &[PlacedAxis]) {
        for axis in axes {
            for (_, term, file, at) in axis.terms() {
                for (form, value) in &term.forms {
                    let Some(other) = axes.iter().find(|other| other.axis.name == *form && form != &axis.axis.name)
                    else {
                        continue;
                    };
                    let groups: Vec<&str> = other.axis.groups.iter().map(|group| group.name.as_str()).collect();
                    if !groups.contains(&value.as_str()) {
                        let message = format!(
                            "the term \"{}\" says `{form}: {value}`, but the groups of \"{form}\" are {}; use one of them",
                            term.id,
                            and_list(&groups)
                        );
                        self.problems.add(file, at, message);
                    }
                }
            }
        }
    }

    fn axis(&mut self, file: &str, key: &Key, node: &Node, axes: &[&str]) -> Option<PlacedAxis> {
        self.variable(file, key, "axis");
        let what = format!("axis \"{}\"", key.text);
        let fields = self.fields(file, node, &what, &["reference", "groups", "use"], &[])?;
        let used = match fields.get("use") {
            Some(path) => Some(self.open_yaml(file, path)?),
            None => None,
        };
        let mut reference = fields.get("reference").map(|node| (file.to_string(), node));
        let mut inside = None;
        if let Some((label, root)) = &used {
            let known = ["description", "source", "license", "note", "reference", "groups"];
            let fields = self.fields(label, root, &format!("the list of {what}"), &known, &[])?;
            self.provenance(label, root, fields.get("source"), fields.get("license"));
            reference = reference.or_else(|| fields.get("reference").map(|node| (label.clone(), node)));
            inside = fields.get("groups").map(|node| (label.as_str(), node));
        }
        let groups = match (fields.get("groups"), inside) {
            (Some(node), Some(_)) => {
                self.problems.add(
                    file,
                    node.at,
                    format!("{what} has groups here and in the file that it uses; keep one of the two"),
                );
                return None;
            }
            (Some(groups), None) => Some((file, groups)),
            (None, inside) => inside,
        };
        let Some((groups_file, groups)) = groups else {
            self.problems.add(
                file,
                node.at,
                format!("{what} has no groups; add `groups:` with at least two, or `use:` a file that has them"),
            );
            return None;
        };
        let map = self.named(groups_file, groups, &format!("the groups of {what}"))?;
        let mut axis = Axis { name: key.text.clone(), place: Place::new(file, key.at), ..Axis::default() };
        let mut places = Vec::new();
        for (key, node) in map {
            let (group, at) = self.group(groups_file, key, node, &what, axes);
            axis.groups.push(group);
            places.push(at);
        }
        if axis.groups.len() < 2 {
            let message = format!("{what} has {} group, but a comparison needs two; add another", axis.groups.len());
            self.problems.add(groups_file, groups.at, message);
        }
        let names: Vec<&str> = axis.groups.iter().map(|group| group.name.as_str()).collect();
        axis.reference = reference.and_then(|(file, node)| {
            let name = self.text(&file, node, &format!("the reference of {what}"))?;
            if !names.contains(&name.as_str()) {
                let message = format!(
                    "the reference \"{name}\" is not a group of {what}, whose groups are {}; use one of them",
                    and_list(&names)
                );
                self.problems.add(&file, node.at, message);
            }
            Some(name)
        });
        let placed = PlacedAxis { axis, at: key.at, places };
        self.unique_terms(&placed, &what);
        Some(placed)
    }

    fn group(&mut self, file: &str, key: &Key, node: &Node, axis: &str, axes: &[&str]) -> (Group, Vec<(String, Mark)>) {
        let what = format!("group \"{}\" of {axis}", key.text);
        let mut group = Group { name: key.text.clone(), place: Place::new(file, key.at), ..Group::default() };
        let mut used = None;
        let mut terms = None;
        match &node.kind {
            Kind::Map(_) => {
                if let Some(fields) = self.fields(file, node, &what, &["terms", "use", "control"], &[]) {
                    match fields.get("control").map(|node| (&node.kind, node.at)) {
                        None => {}
                        Some((Kind::Bool(control), _)) => group.control = *control,
                        Some((_, at)) => {
                            self.problems.add(file, at, format!("`control` of {what} should be true or false"))
                        }
                    }
                    match (fields.get("terms"), fields.get("use")) {
                        (Some(node), None) => terms = Some((file, node)),
                        (None, Some(path)) => {
                            used = self.open_yaml(file, path);
                            if used.is_none() {
                                return (group, Vec::new());
                            }
                        }
                        _ => {
                            self.problems.add(file, node.at, format!("{what} needs either `terms` or `use`"));
                            return (group, Vec::new());
                        }
                    }
                }
            }
            Kind::Null => {}
            _ => terms = Some((file, node)),
        }
        if let Some((label, root)) = &used {
            let known = ["description", "source", "license", "note", "terms"];
            if let Some(fields) = self.fields(label, root, &format!("the list of {what}"), &known, &[]) {
                self.provenance(label, root, fields.get("source"), fields.get("license"));
                terms = fields.get("terms").map(|node| (label.as_str(), node));
            }
        }
        let mut places = Vec::new();
        if let Some((file, node)) = terms {
            let Some(items) = self.list(file, node, &format!("the terms of {what}")) else { return (group, places) };
            for item in items {
                if let Some(term) = self.term(file, item, &what, axes) {
                    group.terms.push(term);
                    places.push((file.to_string(), item.at));
                }
            }
            if !items.is_empty() {
                return (group, places);
            }
        }
        self.problems.add(file, key.at, format!("{what} has no terms; add names or nouns that stand for it"));
        (group, places)
    }

    fn term(&mut self, file: &str, node: &Node, group: &str, axes: &[&str]) -> Option<Term> {
        let what = format!("a term of {group}");
        let Kind::Map(map) = &node.kind else {
            let text = self.text(file, node, &what)?;
            let id = self.term_id(file, node.at, &text)?;
            return Some(Term {
                id,
                forms: vec![("name".into(), text)],
                paired: false,
                place: Place::new(file, node.at),
            });
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
        Some(Term { id, forms, paired: pair.is_some(), place: Place::new(file, node.at) })
    }

    fn term_id(&mut self, file: &str, at: Mark, text: &str) -> Option<String> {
        let id = slug(text);
        if id.is_empty() {
            self.problems.add(
                file,
                at,
                format!("the term \"{text}\" has neither letters nor digits, so that it gives no id; add `pair:`"),
            );
            return None;
        }
        Some(id)
    }

    /// An id stands once in an axis; only terms of different groups that are all declared as a pair share one.
    fn unique_terms(&mut self, axis: &PlacedAxis, what: &str) {
        let terms: Vec<_> = axis.terms().collect();
        for (i, (group, term, file, at)) in terms.iter().enumerate() {
            let clash = terms[..i].iter().find(|(other_group, other, ..)| {
                other.id == term.id && (other_group == group || !(other.paired && term.paired))
            });
            if let Some((other, ..)) = clash {
                let message = if other == group {
                    format!("the term id `{}` stands twice in group \"{group}\" of {what}; take one out", term.id)
                } else {
                    format!(
                        "the term id `{}` stands in the groups \"{other}\" and \"{group}\" of {what}; take one out, or give both `pair: {}` if they match",
                        term.id, term.id
                    )
                };
                self.problems.add(file, *at, message);
            }
        }
    }

    pub(super) fn factors(&mut self, file: &str, node: &Node, axes: &[PlacedAxis]) -> Vec<PlacedFactor> {
        let Some(map) = self.named(file, node, "factors") else { return Vec::new() };
        let mut factors = Vec::new();
        for (key, node) in map {
            self.variable(file, key, "factor");
            if axes.iter().any(|axis| axis.axis.name == key.text) {
                self.problems.add(file, key.at, format!("\"{}\" is an axis and a factor; rename one", key.text));
            }
            if let Some(levels) = self.levels(file, key, node) {
                let place = Place::new(file, key.at);
                factors.push(PlacedFactor { factor: Factor { name: key.text.clone(), levels, place }, at: key.at });
            }
        }
        factors
    }

    fn levels(&mut self, file: &str, key: &Key, node: &Node) -> Option<Vec<String>> {
        let what = format!("factor \"{}\"", key.text);
        let used;
        let (file, list) = match &node.kind {
            Kind::Map(_) => {
                let fields = self.fields(file, node, &what, &["use"], &[])?;
                let path =
                    self.required(file, fields, &what, "use", "`use:` with a file in prompts/, or a list of levels")?;
                used = self.open_yaml(file, path)?;
                let (label, root) = &used;
                let fields = self.fields(
                    label,
                    root,
                    &format!("the list of {what}"),
                    &["description", "source", "license", "note", "levels"],
                    &[],
                )?;
                self.provenance(label, root, fields.get("source"), fields.get("license"));
                (
                    label.as_str(),
                    self.required(
                        label,
                        fields,
                        &format!("the list of {what}"),
                        "levels",
                        "`levels:` with a list of texts",
                    )?,
                )
            }
            _ => (file, node),
        };
        let mut levels: Vec<String> = Vec::new();
        for item in self.list(file, list, &format!("the levels of {what}"))? {
            let Some(level) = self.text(file, item, &format!("a level of {what}")) else { continue };
            let id = slug(&level);
            if id.is_empty() {
                self.problems.add(
                    file,
                    item.at,
                    format!("the level \"{level}\" of {what} has neither letters nor digits, so that it gives no id"),
                );
            } else if let Some(other) = levels.iter().find(|other| slug(other) == id) {
                self.problems.add(
                    file,
                    item.at,
                    format!("the levels \"{other}\" and \"{level}\" of {what} are both `{id}` in case ids; reword one"),
                );
            }
            levels.push(level);
        }
        if levels.is_empty() {
            self.problems.add(file, list.at, format!("{what} has no levels; add at least one"));
        }
        Some(levels)
    }

    fn open_yaml(&mut self, file: &str, path: &Node) -> Option<(String, Node)> {
        let found = self.open(file, path)?;
        match parse(&found.text) {
            Ok(root) => Some((found.label, root)),
            Err((at, words)) => {
                self.problems.add(&found.label, at, words);
                None
            }
        }
    }

    /// Shared lists say where they come from and under which licence they may be used.
    fn provenance(&mut self, file: &str, root: &Node, source: Option<&Node>, license: Option<&Node>) {
        for (name, node) in [("source", source), ("license", license)] {
            match node {
                Some(node) => {
                    self.text(file, node, name);
                }
                None => self.problems.add(
                    file,
                    root.at,
                    format!("this list has no `{name}`; say where it comes from and how it may be used"),
                ),
            }
        }
    }
}
