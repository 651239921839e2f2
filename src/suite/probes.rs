//! Reads how cases are put to a model.

use super::grammar::{CHOICE, GENERATE, LIKELIHOOD, PROBE};
use super::problem::and_list;
use super::reader::{Fields, Reader};
use super::yaml::{Kind, Node};
use super::{AskAs, ChoiceOption, ChoiceSpec, ChoiceStyle, GenerateSpec, LikelihoodSpec, Probe, ProbeKind, slug};

/// Options that letters can name: A to Z.
const LETTERS: usize = 26;

impl Reader<'_> {
    /// `listed` is true where listed cases may bring options of their own.
    pub(super) fn probes(&mut self, file: &str, node: &Node, listed: bool) -> Vec<Probe> {
        let Some(items) = self.list(file, node, "probes") else { return Vec::new() };
        if items.is_empty() {
            self.problems.add(file, node.at, "there is no probe; add `- generate: {}`");
        }
        let mut probes: Vec<Probe> = Vec::new();
        for item in items {
            let Some(probe) = self.probe(file, item, listed) else { continue };
            if probes.iter().any(|other| other.kind() == probe.kind()) {
                let kind = probe.kind().as_str();
                let message = format!("the probe `{kind}` stands here twice; put the second into a suite of its own");
                self.problems.add(file, item.at, message);
            } else {
                probes.push(probe);
            }
        }
        probes
    }

    fn probe(&mut self, file: &str, node: &Node, listed: bool) -> Option<Probe> {
        let (name, at, settings) = match &node.kind {
            Kind::Text(name) => (name.as_str(), node.at, None),
            Kind::Map(map) if map.len() == 1 => (map[0].0.text.as_str(), map[0].0.at, Some(&map[0].1)),
            _ => {
                let message = "a probe should be one name with its settings, as `- generate: { samples: 1 }`";
                self.problems.add(file, node.at, message);
                return None;
            }
        };
        let Some(kind) = ProbeKind::ALL.into_iter().find(|kind| kind.as_str() == name) else {
            let known: Vec<&str> = PROBE.fields.iter().map(|field| field.name).collect();
            self.problems.add(file, at, format!("there is no probe `{name}`; there are {}", and_list(&known)));
            return None;
        };
        let settings = settings.filter(|node| !matches!(node.kind, Kind::Null));
        let form = match kind {
            ProbeKind::Generate => &GENERATE,
            ProbeKind::Choice => &CHOICE,
            ProbeKind::Likelihood => &LIKELIHOOD,
        };
        let fields = match settings {
            Some(node) => Some(self.fields(file, node, name, form)?),
            None => None,
        };
        Some(match kind {
            ProbeKind::Generate => Probe::Generate(self.generate(file, fields)),
            ProbeKind::Choice => Probe::Choice(self.choice(file, node, fields, listed)?),
            ProbeKind::Likelihood => {
                let ask_as = self.ask_as(file, fields).unwrap_or(AskAs::Text);
                Probe::Likelihood(LikelihoodSpec { ask_as })
            }
        })
    }

    fn generate(&mut self, file: &str, fields: Option<Fields<'_>>) -> GenerateSpec {
        let mut spec = GenerateSpec::default();
        let Some(fields) = fields else { return spec };
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
                    _ => {
                        let message = format!("a stop is {}, but should be text that is not empty", item.describe());
                        self.problems.add(file, item.at, message);
                    }
                }
            }
        }
        spec.ask_as = self.ask_as(file, Some(fields)).unwrap_or(AskAs::Auto);
        spec
    }

    fn choice(&mut self, file: &str, node: &Node, fields: Option<Fields<'_>>, listed: bool) -> Option<ChoiceSpec> {
        let options_node = fields.and_then(|fields| fields.get("options"));
        let options = match options_node {
            Some(node) => self.options(file, node),
            None => Vec::new(),
        };
        let style = fields.and_then(|fields| fields.get("style")).and_then(|node| {
            let word = self.word(file, node, "style", &["text", "letters"])?;
            Some(if word == "letters" { ChoiceStyle::Letters } else { ChoiceStyle::Text })
        });
        let lead = fields.and_then(|fields| fields.get("lead")).and_then(|node| self.text(file, node, "lead"));
        let style = style.unwrap_or(ChoiceStyle::Text);
        let joined = fields.and_then(|fields| fields.get("joined")).and_then(|node| self.text(file, node, "joined"));
        match options_node {
            None if !listed => {
                let message = "choice has no options; add them, as `options: { yes: [yes, Yes], no: [no, No] }`";
                self.problems.add(file, node.at, message);
            }
            Some(node) if options.len() == 1 => {
                self.problems.add(file, node.at, "choice has one option, but a choice needs two; add another");
            }
            Some(node) if style == ChoiceStyle::Letters && options.len() > LETTERS => {
                let message = format!("choice has {} options, but there are {LETTERS} letters", options.len());
                self.problems.add(file, node.at, message);
            }
            _ => {}
        }
        Some(ChoiceSpec {
            options,
            style,
            ask_as: self.ask_as(file, fields).unwrap_or(AskAs::Auto),
            lead,
            joined: joined.unwrap_or_else(|| "or".into()),
        })
    }

    fn options(&mut self, file: &str, node: &Node) -> Vec<ChoiceOption> {
        let mut options: Vec<ChoiceOption> = Vec::new();
        let mut add = |reader: &mut Self, at, id: String, text: String, answers: Vec<String>| {
            if id.is_empty() || id == "mass" {
                let message = format!("the option \"{text}\" gives no id of its own; write `id: text`");
                reader.problems.add(file, at, message);
            } else if options
                .iter()
                .any(|other| other.id == id || answers.iter().any(|one| other.answers.contains(one)))
            {
                let message = format!("the option \"{text}\" stands here twice; take one out");
                reader.problems.add(file, at, message);
            } else {
                options.push(ChoiceOption { id, text, answers });
            }
        };
        match &node.kind {
            Kind::Map(_) => {
                for (key, node) in self.named(file, node, "options").unwrap_or_default() {
                    let what = format!("option \"{}\"", key.text);
                    let mut answers: Vec<String> = match &node.kind {
                        Kind::List(_) => self.texts(file, node, &what).into_iter().map(|(text, _)| text).collect(),
                        _ => self.text(file, node, &what).into_iter().collect(),
                    };
                    answers.dedup();
                    if let Some(text) = answers.first().cloned() {
                        add(self, key.at, slug(&key.text), text, answers);
                    }
                }
            }
            _ => {
                for (text, at) in self.texts(file, node, "options") {
                    add(self, at, slug(&text), text.clone(), vec![text]);
                }
            }
        }
        options
    }

    fn ask_as(&mut self, file: &str, fields: Option<Fields<'_>>) -> Option<AskAs> {
        let word = self.word(file, fields?.get("as")?, "`as`", &["auto", "chat", "text"])?;
        Some(match word {
            "chat" => AskAs::Chat,
            "text" => AskAs::Text,
            _ => AskAs::Auto,
        })
    }
}
