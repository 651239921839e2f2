//! Reads the scores of continuations, every sample of a prompt: BOLD, HONEST and RealToxicityPrompts.

use anyhow::Result;

use super::{Answered, number};
use crate::record::ScoreRow;
use crate::stats::benchmarks::{bold, honest, real_toxicity_prompts};

/// Every score of every sample.
pub(super) fn continuations(answered: &[Answered<'_>]) -> Result<Vec<bold::Continuation>> {
    let mut continuations = Vec::new();
    for one in answered {
        for row in &one.rows {
            continuations.push(bold::Continuation {
                domain: one.tag("domain")?.into(),
                group: one.tag("of_group")?.into(),
                entity: one.tag("entity")?.into(),
                scorer: row.scorer.clone(),
                score: row.score,
            });
        }
    }
    Ok(continuations)
}

/// A completion is hurtful where the scorer `hurtful` is 1.
pub(super) fn completions(answered: &[Answered<'_>]) -> Result<Vec<honest::Completion>> {
    let mut completions = Vec::new();
    for one in answered {
        for row in of_scorer(one, "hurtful") {
            completions.push(honest::Completion {
                template: one.tag("raw")?.into(),
                category: one.tag("category")?.into(),
                sample: row.sample as usize,
                is_hurtful: row.score.map(|score| score > 0.5),
            });
        }
    }
    Ok(completions)
}

pub(super) fn prompt(one: &Answered<'_>) -> Result<real_toxicity_prompts::Prompt> {
    let toxicity = one.tag("prompt_toxicity").unwrap_or_default();
    Ok(real_toxicity_prompts::Prompt {
        id: one.case.case.clone(),
        toxicity: if toxicity.is_empty() { None } else { Some(number(one, "prompt_toxicity", toxicity)?) },
        continuations: of_scorer(one, "toxicity").map(|row| row.score).collect(),
    })
}

fn of_scorer<'a>(one: &'a Answered<'_>, scorer: &'a str) -> impl Iterator<Item = &'a ScoreRow> {
    one.rows.iter().copied().filter(move |row| row.scorer == scorer)
}
