//! Reads the parts that suite files are made of, and notes what is wrong with them instead of giving up.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::files::{Found, Places};
use super::grammar::Form;
use super::problem::{Mark, Problems, and_list};
use super::slug;
use super::yaml::{Key, Kind, Node, parse};

/// Bytes of a YAML file or a template that are read at most: lists of names are thousands of lines, not millions.
pub(crate) const MOST_YAML: u64 = 8 << 20;

/// Walks the tree of a suite and notes what is wrong.
pub(crate) struct Reader<'a> {
    pub places: &'a Places,
    pub problems: Problems,
    digest: Sha256,
}

/// A map whose keys are all known.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'n> {
    at: Mark,
    map: &'n [(Key, Node)],
    form: &'static Form,
}

impl<'n> Fields<'n> {
    pub fn get(&self, name: &str) -> Option<&'n Node> {
        debug_assert!(self.form.fields.iter().any(|field| field.name == name), "{} has no {name}", self.form.name);
        self.map.iter().find(|(key, _)| key.text == name).map(|(_, node)| node)
    }
}

impl<'a> Reader<'a> {
    pub fn new(places: &'a Places) -> Self {
        Reader { places, problems: Problems::default(), digest: Sha256::new() }
    }

    /// Counts a text into the suite's digest.
    pub fn digest(&mut self, text: &str) {
        self.digest.update((text.len() as u64).to_le_bytes());
        self.digest.update(text.as_bytes());
    }

    /// Reads a file that the suite names, and counts it into the digest.
    pub fn open(&mut self, file: &str, path: &Node, most: u64) -> Option<Found> {
        let name = self.text(file, path, "the path of a file")?;
        match self.places.read(&name, most) {
            Ok(found) => {
                self.digest(&found.text);
                Some(found)
            }
            Err(words) => {
                self.problems.add(file, path.at, words);
                None
            }
        }
    }

    /// As [`Reader::open`], as YAML.
    pub fn open_yaml(&mut self, file: &str, path: &Node) -> Option<(String, Node)> {
        let found = self.open(file, path, MOST_YAML)?;
        match parse(&found.text) {
            Ok(root) => Some((found.label, root)),
            Err((at, words)) => {
                self.problems.add(&found.label, at, words);
                None
            }
        }
    }

    /// Opens a shared list, whose form says that it has a source and a licence.
    pub fn open_list<'n>(
        &mut self,
        used: &'n Option<(String, Node)>,
        what: &str,
        form: &'static Form,
    ) -> Option<(&'n str, Fields<'n>)> {
        let (label, root) = used.as_ref()?;
        let fields = self.fields(label, root, &format!("the list of {what}"), form)?;
        for name in ["source", "license"] {
            match fields.get(name) {
                Some(node) => drop(self.text(label, node, name)),
                None => {
                    let message = format!("this list has no `{name}`; say where it comes from and how it may be used");
                    self.problems.add(label, root.at, message);
                }
            }
        }
        Some((label, fields))
    }

    /// A map with none but the keys of its form.
    pub fn fields<'n>(&mut self, file: &str, node: &'n Node, what: &str, form: &'static Form) -> Option<Fields<'n>> {
        let known: Vec<&str> = form.fields.iter().map(|field| field.name).collect();
        let Kind::Map(map) = &node.kind else {
            let message = format!("{what} is {}, but should be a map with {}", node.describe(), and_list(&known));
            self.problems.add(file, node.at, message);
            return None;
        };
        for (key, _) in map.iter().filter(|(key, _)| !known.contains(&key.text.as_str())) {
            let message = format!("{what} has no key `{}`; it can have {}", key.text, and_list(&known));
            self.problems.add(file, key.at, message);
        }
        Some(Fields { at: node.at, map, form })
    }

    /// True or false; false, with a problem, when it is neither.
    pub fn flag(&mut self, file: &str, node: &Node, what: &str) -> bool {
        match node.kind {
            Kind::Bool(value) => value,
            _ => {
                self.problems.add(file, node.at, format!("{what} is {}, but should be true or false", node.describe()));
                false
            }
        }
    }

    /// One of the words of a closed list.
    pub fn word<'w>(&mut self, file: &str, node: &Node, what: &str, words: &[&'w str]) -> Option<&'w str> {
        let found = match &node.kind {
            Kind::Text(text) => words.iter().find(|word| *word == text).copied(),
            _ => None,
        };
        if found.is_none() {
            let (head, last) = words.split_at(words.len() - 1);
            let message = format!("{what} is {}, but should be {} or {}", node.describe(), head.join(", "), last[0]);
            self.problems.add(file, node.at, message);
        }
        found
    }

    /// A list of texts, each with its place.
    pub fn texts(&mut self, file: &str, node: &Node, what: &str) -> Vec<(String, Mark)> {
        let items = self.list(file, node, what).unwrap_or_default();
        items.iter().filter_map(|item| Some((self.text(file, item, what)?, item.at))).collect()
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
        let mut seen: HashMap<String, &str> = HashMap::new();
        for (key, _) in map {
            let id = slug(&key.text);
            if id.is_empty() {
                let message = format!("the name \"{}\" has neither letters nor digits; give another", key.text);
                self.problems.add(file, key.at, message);
            } else if let Some(other) = seen.insert(id.clone(), &key.text) {
                let message = format!("\"{other}\" and \"{}\" are both `{id}` in case ids; rename one", key.text);
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

    pub fn digest_hex(&self) -> String {
        hex(&self.digest.clone().finalize())
    }
}

/// Bytes of a digest as people write them.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
