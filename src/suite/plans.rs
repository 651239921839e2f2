//! Shares the contexts out: which templates are filled, with which axes and factors, and how many of their contexts.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, ensure};
use rand_chacha::rand_core::Rng as _;

use super::rotation::stream;
use super::template::{OPTIONS, Slot, slots};
use super::{Axis, Factor, Suite, Template};

/// Contexts that one template can have: more would not be read by anybody, nor asked.
const MOST_CONTEXTS: usize = 10_000_000;

/// A template with what fills it.
pub(super) struct Plan<'a> {
    pub template: &'a Template,
    /// Axes that it uses by a slot, in the order of the suite.
    pub axes: Vec<&'a Axis>,
    pub factors: Vec<&'a Factor>,
    /// Numbers of levels of the factors.
    pub sizes: Vec<usize>,
    /// Contexts that are used, from the start of the template's own order.
    pub take: usize,
    /// The template says where the options of a choice stand.
    pub lists_options: bool,
}

impl Template {
    /// All texts in which slots may stand.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let around = [Some(&self.text), self.system.as_ref(), self.continuation.as_ref()];
        let turns = self.turns.iter().map(|turn| &turn.content);
        around.into_iter().flatten().chain(turns).map(String::as_str)
    }

    /// The slots of all of its texts, sorted.
    ///
    /// # Errors
    /// A sentence on a text that is no template.
    pub(super) fn slots(&self) -> Result<Vec<Slot>> {
        let mut all = Vec::new();
        for text in self.texts() {
            let found =
                slots(text).map_err(|(line, words)| anyhow!("template \"{}\", line {line}: {words}", self.name))?;
            all.extend(found);
        }
        all.sort();
        all.dedup();
        Ok(all)
    }
}

/// Every template that is filled at all; templates take turns in a seeded order that alternates the axes they serve.
///
/// # Errors
/// When a template has too many contexts to enumerate.
pub(super) fn plans(suite: &Suite, limit: Option<usize>) -> Result<Vec<Plan<'_>>> {
    let mut plans = Vec::new();
    for template in &suite.templates {
        let used = template.slots()?;
        let uses = |name: &str| used.iter().any(|slot| slot.name == name);
        let axes = suite.axes.iter().filter(|axis| uses(&axis.name)).collect();
        let factors: Vec<_> = suite.factors.iter().filter(|factor| uses(&factor.name)).collect();
        let sizes: Vec<usize> = factors.iter().map(|factor| factor.levels.len()).collect();
        let total = sizes.iter().try_fold(1usize, |all, size| all.checked_mul(*size)).filter(|all| *all < 1 << 60);
        let take = total.ok_or_else(|| {
            anyhow!("template \"{}\" has more contexts than can be counted; use fewer factors in it", template.name)
        })?;
        plans.push(Plan { template, axes, factors, sizes, take, lists_options: uses(OPTIONS) });
    }
    if let Some(wanted) = suite.design.contexts.into_iter().chain(limit).min() {
        share(suite, &mut plans, wanted);
    }
    for plan in &plans {
        ensure!(
            plan.take <= MOST_CONTEXTS,
            "template \"{}\" has {} contexts, more than {MOST_CONTEXTS}; take a sample with `design: {{ contexts: N }}`",
            plan.template.name,
            plan.take
        );
    }
    plans.retain(|plan| plan.take > 0);
    Ok(plans)
}

fn share(suite: &Suite, plans: &mut [Plan<'_>], wanted: usize) {
    let mut taken = vec![0; plans.len()];
    let turns = turns(suite, plans);
    let mut left = wanted;
    while left > 0 {
        let before = left;
        for &turn in &turns {
            if left > 0 && taken[turn] < plans[turn].take {
                taken[turn] += 1;
                left -= 1;
            }
        }
        if left == before {
            break; // every template is used up: the suite has fewer contexts than asked for
        }
    }
    for (plan, taken) in plans.iter_mut().zip(taken) {
        plan.take = taken;
    }
}

fn turns(suite: &Suite, plans: &[Plan<'_>]) -> Vec<usize> {
    let ranks: Vec<u64> =
        plans.iter().map(|plan| stream(suite.design.seed, &["turn", &plan.template.name]).next_u64()).collect();
    let mut served: BTreeMap<&str, usize> = BTreeMap::new();
    let mut left: Vec<usize> = (0..plans.len()).collect();
    let mut turns = Vec::new();
    while !left.is_empty() {
        let cost = |plan: &Plan<'_>| {
            plan.axes.iter().map(|axis| served.get(axis.name.as_str()).copied().unwrap_or(0)).sum::<usize>()
        };
        let best =
            (0..left.len()).min_by_key(|i| (cost(&plans[left[*i]]), ranks[left[*i]])).expect("some template is left");
        let turn = left.remove(best);
        for axis in &plans[turn].axes {
            *served.entry(&axis.name).or_default() += 1;
        }
        turns.push(turn);
    }
    turns
}
