//! Reads which combinations a suite asks and how it is judged: design, outcomes and gate.

use super::grammar::{self, DESIGN, GATE, OUTCOME};
use super::problem::{Place, and_list};
use super::reader::Reader;
use super::yaml::{Kind, Node};
use super::{Design, Direction, Gate, Outcome, TermPlan, Unit, Vary};

/// What `rotate` means without a number: two terms a cell, so that names can be told apart from groups.
const ROTATE: usize = 2;

impl Reader<'_> {
    pub(super) fn design(&mut self, file: &str, node: Option<&Node>) -> Design {
        let mut design = Design::default();
        let Some(node) = node else { return design };
        let Some(fields) = self.fields(file, node, "design", &DESIGN) else { return design };
        if let Some("crossed") =
            fields.get("vary").and_then(|node| self.word(file, node, "`vary`", &["each", "crossed"]))
        {
            design.vary = Vary::Crossed;
        }
        if let Some(node) = fields.get("terms") {
            design.terms = self.term_plan(file, node).unwrap_or(TermPlan::All);
        }
        design.contexts =
            fields.get("contexts").and_then(|node| self.count(file, node, "contexts", 1)).map(|n| n as usize);
        if let Some("templates") = fields
            .get("generalise_to")
            .and_then(|node| self.word(file, node, "`generalise_to`", &["contexts", "templates"]))
        {
            design.generalise_to = Unit::Templates;
        }
        design.seed = fields.get("seed").and_then(|node| self.count(file, node, "seed", 0)).unwrap_or(0);
        design
    }

    fn term_plan(&mut self, file: &str, node: &Node) -> Option<TermPlan> {
        match &node.kind {
            Kind::Text(text) if text == "all" => Some(TermPlan::All),
            Kind::Text(text) if text == "rotate" => Some(TermPlan::Rotate(ROTATE)),
            Kind::Integer(_) => self.count(file, node, "terms", 1).map(|n| TermPlan::First(n as usize)),
            Kind::Map(_) => {
                let fields = self.fields(file, node, "terms", &grammar::ROTATE)?;
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

    /// `scores` are the names that scorers and probes give.
    pub(super) fn outcomes(&mut self, file: &str, node: &Node, scores: &[String]) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = Vec::new();
        let Some(items) = self.list(file, node, "outcomes") else { return outcomes };
        for item in items {
            let Some(fields) = self.fields(file, item, "an outcome", &OUTCOME) else {
                continue;
            };
            let score = self.required(file, fields, "this outcome", "score", "`score:` with the name of a score").and_then(|node| {
                let score = self.text(file, node, "score")?;
                // A scorer with several scores names them `scorer.score`.
                let known = scores.iter().any(|name| score == *name || score.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.')));
                if !known {
                    let message = format!(
                        "the outcome \"{score}\" is not among the scores, which are {}; add a scorer under scorers: or use one of them",
                        and_list(scores)
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
            let direction = fields.get("direction").and_then(|node| {
                let word = self.word(file, node, "direction", &["higher", "lower"])?;
                Some(if word == "higher" { Direction::HigherIsBetter } else { Direction::LowerIsBetter })
            });
            let why = fields.get("why").and_then(|node| self.text(file, node, "why")).unwrap_or_default();
            if let (Some(score), Some(margin)) = (score, margin) {
                outcomes.push(Outcome { score, direction, margin, why, place: Place::new(file, item.at) });
            }
        }
        outcomes
    }

    /// Fails closed where the suite says nothing.
    pub(super) fn gate(&mut self, file: &str, node: Option<&Node>) -> Gate {
        let mut gate = Gate { fail_on_inconclusive: true };
        let Some(node) = node else { return gate };
        let Some(fields) = self.fields(file, node, "gate", &GATE) else { return gate };
        if let Some("warn") =
            fields.get("on_inconclusive").and_then(|node| self.word(file, node, "`on_inconclusive`", &["fail", "warn"]))
        {
            gate.fail_on_inconclusive = false;
        }
        gate
    }
}
