//! Fills the texts of one template: prompt, system prompt, earlier turns, continuation.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use minijinja::{Environment, Value};

use super::template::{environment, render};
use super::{Case, Template, Turn};

/// A template whose texts are compiled.
pub(super) struct Filler<'a> {
    template: &'a Template,
    environment: Environment<'a>,
}

/// Earlier turns that a template may have.
pub(super) const MOST_TURNS: usize = 16;

/// Names of the texts inside the environment; those of earlier turns follow from their number.
const TEXT: &str = "text";
const SYSTEM: &str = "system";
const CONTINUATION: &str = "continuation";
const TURNS: [&str; MOST_TURNS] =
    ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"];

impl<'a> Filler<'a> {
    pub fn new(template: &'a Template) -> Result<Self> {
        let mut texts = vec![(TEXT, template.text.as_str())];
        texts.extend(template.system.iter().map(|text| (SYSTEM, text.as_str())));
        texts.extend(template.continuation.iter().map(|text| (CONTINUATION, text.as_str())));
        texts.extend(TURNS.into_iter().zip(template.turns.iter().map(|turn| turn.content.as_str())));
        let mut environment = environment();
        for (name, text) in texts {
            environment
                .add_template(name, text)
                .map_err(|error| anyhow!("template \"{}\", its {name}: {error}", template.name))?;
        }
        Ok(Filler { template, environment })
    }

    /// Writes the filled texts into `case`.
    pub fn fill(&self, values: &BTreeMap<&str, Value>, case: &mut Case) -> Result<()> {
        let filled = |name: &'static str| {
            let template = self.environment.get_template(name).expect("the texts were added under their names");
            render(&template, values)
                .map_err(|(line, words)| anyhow!("template \"{}\", line {line}: {words}", self.template.name))
        };
        case.prompt = filled(TEXT)?;
        case.system = self.template.system.as_ref().map(|_| filled(SYSTEM)).transpose()?;
        case.continuation = self.template.continuation.as_ref().map(|_| filled(CONTINUATION)).transpose()?;
        let turns = TURNS.into_iter().zip(&self.template.turns);
        case.turns = turns
            .map(|(name, turn)| Ok(Turn { role: turn.role.clone(), content: filled(name)? }))
            .collect::<Result<_>>()?;
        Ok(())
    }
}
