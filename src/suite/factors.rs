//! Reads factors with their levels, from the suite or from files that it uses.

use std::collections::HashMap;

use super::grammar::{FACTOR, FACTOR_LIST};
use super::problem::{Mark, Place};
use super::reader::Reader;
use super::yaml::{Key, Kind, Node};
use super::{Axis, Factor, slug};

impl Reader<'_> {
    pub(super) fn factors(&mut self, file: &str, node: &Node, axes: &[Axis]) -> Vec<Factor> {
        let Some(map) = self.named(file, node, "factors") else { return Vec::new() };
        let mut factors = Vec::new();
        for (key, node) in map {
            self.variable(file, key, "factor");
            if axes.iter().any(|axis| axis.name == key.text) {
                self.problems.add(file, key.at, format!("\"{}\" is an axis and a factor; rename one", key.text));
            }
            let before = self.problems.0.len();
            let placed = self.placed_levels(file, key, node);
            self.distinct(&placed, &key.text);
            if placed.is_empty() && self.problems.0.len() == before {
                let message = format!("factor \"{}\" has no levels; add at least one", key.text);
                self.problems.add(file, node.at, message);
            }
            let levels = placed.into_iter().map(|(_, level, _)| level).collect();
            factors.push(Factor { name: key.text.clone(), levels, place: Place::new(file, key.at) });
        }
        factors
    }

    /// Levels with their file and place.
    fn placed_levels(&mut self, file: &str, key: &Key, node: &Node) -> Vec<(String, String, Mark)> {
        let what = format!("factor \"{}\"", key.text);
        let level = format!("a level of {what}");
        let of = |file: &str, levels: Vec<(String, Mark)>| -> Vec<_> {
            levels.into_iter().map(|(level, at)| (file.to_string(), level, at)).collect()
        };
        if !matches!(node.kind, Kind::Map(_)) {
            return match self.list(file, node, &format!("the levels of {what}")) {
                Some(_) => of(file, self.texts(file, node, &level)),
                None => Vec::new(),
            };
        }
        let Some(fields) = self.fields(file, node, &what, &FACTOR) else { return Vec::new() };
        let how = "`use:` with a file in prompts/, or a list of levels";
        let Some(path) = self.required(file, fields, &what, "use", how) else { return Vec::new() };
        let used = self.open_yaml(file, path);
        let Some((label, list)) = self.open_list(&used, &what, &FACTOR_LIST) else { return Vec::new() };
        let how = "`levels:` with a list of texts";
        let node = self.required(label, list, &format!("the list of {what}"), "levels", how);
        let mut levels = node.map_or_else(Vec::new, |node| of(label, self.texts(label, node, &level)));
        if let Some(node) = fields.get("drop") {
            let drop = self.texts(file, node, &format!("`drop` of {what}"));
            self.all_exist(file, &drop, &levels, |(_, level, _)| level, &format!("`drop` of {what}"));
            levels.retain(|(_, level, _)| !drop.iter().any(|(name, _)| name == level));
        }
        if let Some(node) = fields.get("add") {
            levels.extend(of(file, self.texts(file, node, &level)));
        }
        levels
    }

    /// Levels become parts of ids, each its own.
    fn distinct(&mut self, levels: &[(String, String, Mark)], factor: &str) {
        let mut seen: HashMap<String, &str> = HashMap::new();
        for (file, level, at) in levels {
            let id = slug(level);
            if id.is_empty() {
                let message = format!(
                    "the level \"{level}\" of factor \"{factor}\" has neither letters nor digits, so that it gives no id"
                );
                self.problems.add(file, *at, message);
            } else if let Some(other) = seen.insert(id.clone(), level) {
                let message = format!(
                    "the levels \"{other}\" and \"{level}\" of factor \"{factor}\" are both `{id}` in case ids; reword one"
                );
                self.problems.add(file, *at, message);
            }
        }
    }
}
