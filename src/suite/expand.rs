//! Fills templates: a suite becomes its cases. No model, no files; the same suite gives the same cases in the same order.
//!
//! Cases are sorted by their id as bytes, so that the cases of a set, and the sets of a cluster, stand together.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::{Result, anyhow, ensure};
use minijinja::Value;

use super::rotation::{balanced_order, levels_of, rotate, stream};
use super::template::{environment, forms, render, slots};
use super::{Axis, Case, Factor, Group, MaskList, ProbeKind, Suite, Template, TermPlan, slug};

/// A template with what fills it.
struct Plan<'a> {
    template: &'a Template,
    axes: Vec<&'a Axis>,
    factors: Vec<&'a Factor>,
    sizes: Vec<usize>,
    /// Contexts that this run uses, from the start of the template's own order.
    take: usize,
}

/// As [`expand`], one case at a time, in the same order: by id, so that the cases of a set stand together.
///
/// # Errors
/// As [`expand`].
pub fn cases(suite: &Suite, limit: Option<usize>) -> Result<impl Iterator<Item = Result<Case>>> {
    Ok(expand(suite, limit)?.into_iter().map(Ok))
}

/// All cases of a suite, or those of its first `limit` contexts (template × factor values), each with all its sets on every axis.
/// A smaller limit gives a subset of a larger one.
///
/// # Errors
/// When the limit is 0, or a template cannot be filled; a suite from `load` has been tried and fills.
pub fn expand(suite: &Suite, limit: Option<usize>) -> Result<Vec<Case>> {
    ensure!(limit != Some(0), "the limit is 0, so that no case is left; give at least 1 context");
    let tags: Vec<&str> = suite.axes.iter().map(|axis| axis.name.as_str()).collect();
    let mut masks = HashMap::new();
    let mut cases = Vec::new();
    for plan in plans(suite, limit)? {
        let environment = environment();
        let template = environment
            .template_from_str(&plan.template.text)
            .map_err(|error| anyhow!("template \"{}\": {error}", plan.template.name))?;
        let mask = mask(suite, &plan.axes, &tags, &mut masks);
        let order =
            balanced_order(&plan.sizes, plan.take, &mut stream(suite.design.seed, &["contexts", &plan.template.name]));
        let contexts: Vec<Vec<usize>> = order.iter().map(|index| levels_of(*index, &plan.sizes)).collect();
        // cells[axis][group][position] → indexes of terms
        let cells: Vec<Vec<Vec<Vec<usize>>>> = plan
            .axes
            .iter()
            .map(|axis| {
                axis.groups.iter().map(|group| cells(suite, plan.template, axis, group, &contexts, &tags)).collect()
            })
            .collect();
        for (position, levels) in contexts.iter().enumerate() {
            let mut values: BTreeMap<String, Value> = BTreeMap::new();
            let mut context = Vec::new();
            for (factor, level) in plan.factors.iter().zip(levels) {
                values.insert(factor.name.clone(), Value::from(factor.levels[*level].as_str()));
                context.push(format!("{}={}", factor.name, slug(&factor.levels[*level])));
            }
            for tested in 0..plan.axes.len() {
                for held in held_terms(&plan.axes, tested, |axis, group| &cells[axis][group][position]) {
                    let mut context = context.clone();
                    for &(axis, group, term) in &held {
                        let Axis { name, groups, .. } = plan.axes[axis];
                        let term = &groups[group].terms[term];
                        context.push(format!("{name}={}.{}", slug(&groups[group].name), term.id));
                        values.insert(name.clone(), forms(&term.forms));
                    }
                    let context = context.join(",");
                    let axis = plan.axes[tested];
                    let inside = if context.is_empty() { String::new() } else { format!("{context}/") };
                    let set = format!("generate/{}/{inside}{}", slug(&plan.template.name), axis.name);
                    for (g, group) in axis.groups.iter().enumerate() {
                        for &t in &cells[tested][g][position] {
                            let term = &group.terms[t];
                            values.insert(axis.name.clone(), forms(&term.forms));
                            let prompt = render(&template, &values).map_err(|(line, words)| {
                                anyhow!("template \"{}\", line {line}: {words}", plan.template.name)
                            })?;
                            cases.push(Case {
                                id: format!("{set}={}/term={}", slug(&group.name), term.id),
                                set: set.clone(),
                                probe: ProbeKind::Generate,
                                template: plan.template.name.clone(),
                                context: context.clone(),
                                axis: axis.name.clone(),
                                group: group.name.clone(),
                                term: term.id.clone(),
                                prompt,
                                system: plan.template.system.clone(),
                                mask: Arc::clone(&mask),
                                ..Case::default()
                            });
                        }
                    }
                }
            }
        }
    }
    cases.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(cases)
}

/// Shares the contexts out: templates take turns in a seeded order that alternates the axes they serve.
fn plans(suite: &Suite, limit: Option<usize>) -> Result<Vec<Plan<'_>>> {
    let mut plans = Vec::new();
    for template in &suite.templates {
        let used = slots(&template.text)
            .map_err(|(line, words)| anyhow!("template \"{}\", line {line}: {words}", template.name))?;
        let uses = |name: &str| used.iter().any(|slot| slot.name == name);
        let axes: Vec<_> = suite.axes.iter().filter(|axis| uses(&axis.name)).collect();
        let factors: Vec<_> = suite.factors.iter().filter(|factor| uses(&factor.name)).collect();
        let sizes: Vec<usize> = factors.iter().map(|factor| factor.levels.len()).collect();
        let take = sizes.iter().try_fold(1usize, |all, size| all.checked_mul(*size)).filter(|all| *all <= 100_000_000);
        let take = take.ok_or_else(|| {
            anyhow!(
                "template \"{}\" has more than 100 million contexts; use fewer factors or levels in it",
                template.name
            )
        })?;
        plans.push(Plan { template, axes, factors, sizes, take });
    }
    let Some(wanted) = suite.design.contexts.into_iter().chain(limit).min() else { return Ok(plans) };
    let mut taken = vec![0; plans.len()];
    let turns = turns(suite, &plans);
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
    plans.retain(|plan| plan.take > 0);
    Ok(plans)
}

fn turns(suite: &Suite, plans: &[Plan<'_>]) -> Vec<usize> {
    use rand_chacha::rand_core::Rng as _;
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

/// The terms that a group's cells meet, one cell a context. Where terms carry values of other axes (a name's gender), the groups of a
/// set meet terms of the same value, so that a set differs in the tested axis alone.
fn cells(
    suite: &Suite,
    template: &Template,
    axis: &Axis,
    group: &Group,
    contexts: &[Vec<usize>],
    tags: &[&str],
) -> Vec<Vec<usize>> {
    let all = group.terms.len();
    let k = match suite.design.terms {
        TermPlan::All => return vec![(0..all).collect(); contexts.len()],
        TermPlan::First(n) => return vec![(0..n.min(all)).collect(); contexts.len()],
        TermPlan::Rotate(k) if k >= all => return vec![(0..all).collect(); contexts.len()],
        TermPlan::Rotate(k) => k,
    };
    let seed = suite.design.seed;
    let mut classes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, term) in group.terms.iter().enumerate() {
        let carried: Vec<_> = term
            .forms
            .iter()
            .filter(|(form, _)| *form != axis.name && tags.contains(&form.as_str()))
            .map(|(f, v)| format!("{f}={v}"))
            .collect();
        classes.entry(carried.join(",")).or_default().push(index);
    }
    let names: Vec<&str> = classes.keys().map(String::as_str).collect();
    let joined = names.join("/");
    // First which class each of a context's `k` draws takes, then which term of the class.
    let draws: Vec<(usize, &[usize])> =
        contexts.iter().flat_map(|levels| std::iter::repeat_n((1, levels.as_slice()), k)).collect();
    let drawn = rotate(names.len(), &draws, &mut stream(seed, &["class", &template.name, &axis.name, &joined]));
    let mut cells = vec![Vec::new(); contexts.len()];
    for (class, (name, terms)) in classes.iter().enumerate() {
        let wanted = drawn.chunks(k).map(|drawn| drawn.iter().filter(|one| one[0] == class).count());
        let wanted: Vec<(usize, &[usize])> =
            wanted.zip(contexts).map(|(wanted, levels)| (wanted, levels.as_slice())).collect();
        let mut rng = stream(seed, &["term", &template.name, &axis.name, &group.name, name]);
        for (cell, picked) in cells.iter_mut().zip(rotate(terms.len(), &wanted, &mut rng)) {
            cell.extend(picked.into_iter().map(|pick| terms[pick]));
        }
    }
    cells.iter_mut().for_each(|cell| cell.sort_unstable());
    cells
}

/// Every way to hold the terms of the axes that are not tested, as (axis, group, term).
fn held_terms<'a>(
    axes: &[&Axis],
    tested: usize,
    cell: impl Fn(usize, usize) -> &'a Vec<usize>,
) -> Vec<Vec<(usize, usize, usize)>> {
    let mut ways = vec![Vec::new()];
    for (axis, groups) in axes.iter().enumerate().filter(|(axis, _)| *axis != tested).map(|(i, axis)| (i, &axis.groups))
    {
        ways = ways
            .into_iter()
            .flat_map(|way: Vec<(usize, usize, usize)>| {
                let cell = &cell;
                (0..groups.len()).flat_map(move |group| {
                    let way = way.clone();
                    cell(axis, group).iter().map(move |term| [way.clone(), vec![(axis, group, *term)]].concat())
                })
            })
            .collect();
    }
    ways
}

/// The words of the template's axes and of the axes whose values their terms carry.
fn mask(suite: &Suite, axes: &[&Axis], tags: &[&str], masks: &mut HashMap<Vec<usize>, Arc<MaskList>>) -> Arc<MaskList> {
    let carried = |name: &str| {
        axes.iter().any(|axis| {
            axis.name == name
                || axis
                    .groups
                    .iter()
                    .flat_map(|group| &group.terms)
                    .any(|term| term.forms.iter().any(|(f, _)| f == name))
        })
    };
    let wanted: Vec<usize> = (0..suite.axes.len()).filter(|i| carried(&suite.axes[*i].name)).collect();
    let list = masks
        .entry(wanted.clone())
        .or_insert_with(|| Arc::new(MaskList::of(&wanted.iter().map(|i| &suite.axes[*i]).collect::<Vec<_>>(), tags)));
    Arc::clone(list)
}
