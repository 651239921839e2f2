//! Reads how a suite is asked and judged: design, probes, scorers, outcomes and gate.

use super::problem::{Place, and_list};
use super::reader::Reader;
use super::yaml::{Kind, Node};
use super::{AskAs, Design, Gate, GenerateSpec, Outcome, Probe, TermPlan};

/// What `rotate` means without a number: two terms a cell, so that names can be told apart from groups.
const ROTATE: usize = 2;

impl Reader<'_> {
    pub(super) fn design(&mut self, file: &str, node: Option<&Node>) -> Design {
        let mut design = Design::default();
        let Some(node) = node else { return design };
        let known = ["vary", "terms", "contexts", "seed"];
        let Some(fields) = self.fields(file, node, "design", &known, &[]) else { return design };
        if let Some(node) = fields.get("vary") {
            match &node.kind {
                Kind::Text(text) if text == "each" => {}
                Kind::Text(text) if text == "crossed" => {
                    let message = "`vary: crossed` is not possible yet: this version tests each axis by itself; write `vary: each`, or one axis whose groups are the crossings";
                    self.problems.add(file, node.at, message);
                }
                _ => self.problems.add(file, node.at, format!("`vary` is {}, but should be `each`", node.describe())),
            }
        }
        if let Some(node) = fields.get("terms") {
            design.terms = self.term_plan(file, node).unwrap_or(TermPlan::All);
        }
        design.contexts =
            fields.get("contexts").and_then(|node| self.count(file, node, "contexts", 1)).map(|n| n as usize);
        design.seed = fields.get("seed").and_then(|node| self.count(file, node, "seed", 0)).unwrap_or(0);
        design
    }

    fn term_plan(&mut self, file: &str, node: &Node) -> Option<TermPlan> {
        match &node.kind {
            Kind::Text(text) if text == "all" => Some(TermPlan::All),
            Kind::Text(text) if text == "rotate" => Some(TermPlan::Rotate(ROTATE)),
            Kind::Integer(_) => self.count(file, node, "terms", 1).map(|n| TermPlan::First(n as usize)),
            Kind::Map(_) => {
                let fields = self.fields(file, node, "terms", &["rotate"], &[])?;
                let k = self.required(file, fields, "terms", "rotate", "`rotate: 2`")?;
                self.count(file, k, "rotate", 1).map(|n| TermPlan::Rotate(n as usize))
            }
            _ => {
                let message =
                    format!("`terms` is {}, but should be all, rotate, {{rotate: K}} or a number", node.describe());
                self.problems.add(file, node.at, message);
                None
            }
        }
    }

    pub(super) fn probes(&mut self, file: &str, node: &Node) -> Vec<Probe> {
        let Some(items) = self.list(file, node, "probes") else { return Vec::new() };
        if items.is_empty() {
            self.problems.add(file, node.at, "there is no probe; add `- generate: {}`");
        }
        if let Some(second) = items.get(1) {
            self.problems.add(
                file,
                second.at,
                "this version asks one probe a suite; put the second into a suite of its own",
            );
        }
        items.iter().filter_map(|item| self.probe(file, item)).collect()
    }

    fn probe(&mut self, file: &str, node: &Node) -> Option<Probe> {
        let later = |name: &str| {
            ["choice", "likelihood", "embedding"].contains(&name).then(|| {
                format!(
                    "the probe `{name}` is not possible yet: this version asks a model to write; use `- generate: {{}}`"
                )
            })
        };
        let (name, at, settings) = match &node.kind {
            Kind::Text(name) => (name.as_str(), node.at, None),
            Kind::Map(map) if map.len() == 1 => (map[0].0.text.as_str(), map[0].0.at, Some(&map[0].1)),
            _ => {
                self.problems.add(
                    file,
                    node.at,
                    "a probe should be one name with its settings, as `- generate: { samples: 1 }`",
                );
                return None;
            }
        };
        if name != "generate" {
            let message =
                later(name).unwrap_or_else(|| format!("there is no probe `{name}`; this version has `generate`"));
            self.problems.add(file, at, message);
            return None;
        }
        let mut spec = GenerateSpec {
            samples: 1,
            temperature: 0.7,
            top_p: 1.0,
            max_new_tokens: 64,
            stop: Vec::new(),
            ask_as: AskAs::Auto,
        };
        let Some(settings) = settings.filter(|node| !matches!(node.kind, Kind::Null)) else {
            return Some(Probe::Generate(spec));
        };
        let known = ["samples", "temperature", "top_p", "max_new_tokens", "stop", "as"];
        let fields = self.fields(file, settings, "generate", &known, &[])?;
        if let Some(samples) = fields.get("samples").and_then(|node| self.count(file, node, "samples", 1)) {
            spec.samples = samples as u32;
        }
        if let Some(node) = fields.get("temperature") {
            let rule = "a number of at least 0 (0 always takes the most likely token)";
            spec.temperature = self.number(file, node, "temperature", rule, |value| value >= 0.0).unwrap_or(0.0);
        }
        if let Some(node) = fields.get("top_p") {
            let rule = "a number above 0 and at most 1 (1 cuts nothing off)";
            spec.top_p = self.number(file, node, "top_p", rule, |value| value > 0.0 && value <= 1.0).unwrap_or(1.0);
        }
        if let Some(tokens) = fields.get("max_new_tokens").and_then(|node| self.count(file, node, "max_new_tokens", 1))
        {
            spec.max_new_tokens = tokens as usize;
        }
        if let Some(node) = fields.get("stop") {
            let one = std::slice::from_ref(node);
            let items = if let Kind::List(items) = &node.kind { items } else { one };
            for item in items {
                // A line break is a good place to stop, so that blank text counts here.
                match &item.kind {
                    Kind::Text(text) if !text.is_empty() => spec.stop.push(text.clone()),
                    _ => self.problems.add(
                        file,
                        item.at,
                        format!("a stop is {}, but should be text that is not empty", item.describe()),
                    ),
                }
            }
        }
        if let Some(node) = fields.get("as") {
            match &node.kind {
                Kind::Text(text) if text == "auto" => spec.ask_as = AskAs::Auto,
                Kind::Text(text) if text == "chat" => spec.ask_as = AskAs::Chat,
                Kind::Text(text) if text == "text" => spec.ask_as = AskAs::Text,
                _ => self.problems.add(
                    file,
                    node.at,
                    format!("`as` is {}, but should be auto, chat or text", node.describe()),
                ),
            }
        }
        Some(Probe::Generate(spec))
    }

    pub(super) fn scorers(&mut self, file: &str, node: &Node) -> Vec<String> {
        let mut scorers: Vec<String> = Vec::new();
        let Some(items) = self.list(file, node, "scorers") else { return scorers };
        if items.is_empty() {
            self.problems.add(file, node.at, "there is no scorer; add one, as `scorers: [sentiment]`");
        }
        for item in items {
            let Some(name) = self.text(file, item, "a scorer") else { continue };
            if scorers.contains(&name) {
                self.problems.add(file, item.at, format!("the scorer \"{name}\" stands here twice; take one out"));
            } else {
                scorers.push(name);
            }
        }
        scorers
    }

    pub(super) fn outcomes(&mut self, file: &str, node: &Node, scorers: &[String]) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = Vec::new();
        let Some(items) = self.list(file, node, "outcomes") else { return outcomes };
        for item in items {
            let Some(fields) = self.fields(file, item, "an outcome", &["score", "margin", "why"], &[]) else {
                continue;
            };
            let score = self.required(file, fields, "this outcome", "score", "`score:` with the name of a scorer").and_then(|node| {
                let score = self.text(file, node, "score")?;
                // A scorer with several scores names them `scorer.score`.
                let known = scorers.iter().any(|scorer| score == *scorer || score.strip_prefix(scorer).is_some_and(|rest| rest.starts_with('.')));
                if !known {
                    let message = format!(
                        "the outcome \"{score}\" is not among the scorers, which are {}; add it under scorers: or use one of them",
                        and_list(scorers)
                    );
                    self.problems.add(file, node.at, message);
                } else if outcomes.iter().any(|outcome| outcome.score == score) {
                    self.problems.add(file, node.at, format!("the outcome \"{score}\" is declared twice; keep one margin"));
                }
                Some(score)
            });
            let margin = self
                .required(
                    file,
                    fields,
                    "this outcome",
                    "margin",
                    "`margin:`, the largest gap that does not matter, in the score's unit",
                )
                .and_then(|node| {
                    self.number(file, node, "margin", "a number above 0, in the score's unit", |value| value > 0.0)
                });
            let why = fields.get("why").and_then(|node| self.text(file, node, "why")).unwrap_or_default();
            if let (Some(score), Some(margin)) = (score, margin) {
                outcomes.push(Outcome { score, direction: None, margin, why, place: Place::new(file, item.at) });
            }
        }
        outcomes
    }

    /// Fails closed where the suite says nothing.
    pub(super) fn gate(&mut self, file: &str, node: Option<&Node>) -> Gate {
        let mut gate = Gate { fail_on_inconclusive: true };
        let Some(node) = node else { return gate };
        let Some(fields) = self.fields(file, node, "gate", &["on_inconclusive"], &[]) else { return gate };
        if let Some(node) = fields.get("on_inconclusive") {
            match &node.kind {
                Kind::Text(text) if text == "fail" => {}
                Kind::Text(text) if text == "warn" => gate.fail_on_inconclusive = false,
                _ => self.problems.add(
                    file,
                    node.at,
                    format!("`on_inconclusive` is {}, but should be fail or warn", node.describe()),
                ),
            }
        }
        gate
    }
}
