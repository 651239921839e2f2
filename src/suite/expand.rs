//! Fills templates: a suite becomes its cases. No model, no files; the same suite gives the same cases in the same order.
//!
//! Cases come one at a time, sorted by their id as bytes, so that the cases of a set, and the sets of a cluster, stand together.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::{Result, ensure};
use minijinja::Value;

use super::cells::{Cells, Deal};
use super::fill::Filler;
use super::plans::{Plan, plans};
use super::rotation::{balanced_order, levels_of, stream};
use super::template::{OPTIONS, forms};
use super::tested::combinations;
use super::{Axis, Case, MaskList, Probe, ProbeKind, Suite, choices, listed, slug};

/// All cases of a suite, or those of its first `limit` contexts (template × factor values), each with all its sets on every axis.
/// A smaller limit gives a subset of a larger one.
///
/// # Errors
/// When the limit is 0, or a template cannot be filled; a suite from `load` has been tried and fills.
pub fn expand(suite: &Suite, limit: Option<usize>) -> Result<Vec<Case>> {
    cases(suite, limit)?.collect()
}

/// As [`expand`], one case at a time: what is held at once is one template's list of sets, not their cases.
///
/// # Errors
/// As [`expand`].
pub fn cases<'a>(suite: &'a Suite, limit: Option<usize>) -> Result<Box<dyn Iterator<Item = Result<Case>> + 'a>> {
    ensure!(limit != Some(0), "the limit is 0, so that no case is left; give at least 1 context");
    if let Some(list) = &suite.listed {
        return Ok(Box::new(listed::cases(suite, list, limit).into_iter().map(Ok)));
    }
    let mut parts = Vec::new();
    for plan in plans(suite, limit)? {
        let plan = Arc::new(plan);
        for probe in &suite.probes {
            let kinds = &plan.template.probes;
            if kinds.is_empty() || kinds.contains(&probe.kind()) {
                parts.push((
                    format!("{}/{}/", probe.kind().as_str(), slug(&plan.template.name)),
                    probe,
                    Arc::clone(&plan),
                ));
            }
        }
    }
    parts.sort_by(|a, b| a.0.cmp(&b.0));
    let mut masks = HashMap::new();
    Ok(Box::new(parts.into_iter().flat_map(move |(prefix, probe, plan)| {
        let mask = mask(suite, &plan.axes, &mut masks);
        match Part::new(suite, prefix, probe, &plan, mask) {
            Ok(part) => Box::new(part.cases()) as Box<dyn Iterator<Item = Result<Case>> + 'a>,
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    })))
}

/// One template as one probe puts it.
struct Part<'a> {
    suite: &'a Suite,
    probe: &'a Probe,
    /// `generate/letter/`
    prefix: String,
    plan: Arc<Plan<'a>>,
    filler: Filler<'a>,
    mask: Arc<MaskList>,
    /// Levels of the factors, a context.
    contexts: Vec<Vec<usize>>,
    /// For each kind of set that the template makes: what it compares.
    compared: Vec<Compared>,
    /// `values[axis of the plan][group][term]`: the forms of each term, as templates look them up.
    values: Vec<Vec<Vec<Value>>>,
}

/// The axes of a kind of set, and its groups.
struct Compared {
    name: String,
    /// Axes of the plan (by index) whose terms are varied; the others are held.
    varied: Vec<usize>,
    groups: Vec<ComparedGroup>,
}

/// A group of one axis, or a combination of groups.
struct ComparedGroup {
    /// As in tables: `woman+black`.
    name: String,
    /// As in ids.
    id: String,
    /// For each varied axis: its group, and the terms that its cells meet.
    cells: Vec<(usize, Cells)>,
}

/// A counterfactual set, before its cases are filled.
struct Set {
    /// `occupation=nurse/gender`
    name: String,
    compared: usize,
    /// Context, by its position in the template's order.
    position: usize,
    /// Terms of the axes that are not varied, as (axis of the plan, group, term).
    held: Vec<(usize, usize, usize)>,
}

impl<'a> Part<'a> {
    fn new(
        suite: &'a Suite,
        prefix: String,
        probe: &'a Probe,
        plan: &Arc<Plan<'a>>,
        mask: Arc<MaskList>,
    ) -> Result<Self> {
        let mut rng = stream(suite.design.seed, &["contexts", &plan.template.name]);
        let order = balanced_order(&plan.sizes, plan.take, &mut rng);
        let contexts: Vec<Vec<usize>> = order.iter().map(|index| levels_of(*index, &plan.sizes)).collect();
        let of_group = |group: &super::Group| group.terms.iter().map(|term| forms(&term.forms)).collect();
        let values = plan.axes.iter().map(|axis| axis.groups.iter().map(of_group).collect()).collect();
        let compared =
            plan.tested(suite).into_iter().map(|axes| Compared::new(suite, plan, &axes, &contexts)).collect();
        let filler = Filler::new(plan.template)?;
        Ok(Part { suite, probe, prefix, plan: Arc::clone(plan), filler, mask, contexts, compared, values })
    }

    fn cases(self) -> impl Iterator<Item = Result<Case>> + 'a {
        let sets = self.sets();
        sets.into_iter().flat_map(move |set| match self.fill(&set) {
            Ok(cases) => cases.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => vec![Err(error)],
        })
    }

    /// Sorted as their cases' ids are.
    fn sets(&self) -> Vec<Set> {
        let mut sets = Vec::new();
        for (index, compared) in self.compared.iter().enumerate() {
            let held: Vec<usize> = (0..self.plan.axes.len()).filter(|axis| !compared.varied.contains(axis)).collect();
            for (position, levels) in self.contexts.iter().enumerate() {
                let factors = self.plan.factors.iter().zip(levels);
                let factors: Vec<String> = factors
                    .map(|(factor, level)| format!("{}={}", factor.name, slug(&factor.levels[*level])))
                    .collect();
                // Where axes are held, each is compared by itself too, so that `compared` has one entry an axis.
                for way in held_terms(&held, |axis| &self.compared[axis].groups, position) {
                    let mut context = factors.clone();
                    context.extend(way.iter().map(|(axis, group, term)| {
                        let Axis { name, groups, .. } = self.plan.axes[*axis];
                        format!("{name}={}.{}", slug(&groups[*group].name), groups[*group].terms[*term].id)
                    }));
                    let context = context.join(",");
                    let inside = if context.is_empty() { "" } else { "/" };
                    let name = format!("{context}{inside}{}", compared.name);
                    sets.push(Set { name, compared: index, position, held: way });
                }
            }
        }
        sets.sort_by(|a, b| a.name.bytes().chain([b'=']).cmp(b.name.bytes().chain([b'='])));
        sets
    }

    /// The cases of one set, sorted by id.
    fn fill(&self, set: &Set) -> Result<Vec<Case>> {
        let compared = &self.compared[set.compared];
        let mut values: BTreeMap<&str, Value> = BTreeMap::new();
        for (factor, level) in self.plan.factors.iter().zip(&self.contexts[set.position]) {
            values.insert(&factor.name, Value::from(factor.levels[*level].as_str()));
        }
        for (axis, group, term) in &set.held {
            values.insert(&self.plan.axes[*axis].name, self.values[*axis][*group][*term].clone());
        }
        let options = self.suite.probes.iter().find_map(|probe| match probe {
            Probe::Choice(spec) => Some(choices::shown(spec, set.position)),
            _ => None,
        });
        if let Some(options) = &options {
            values.insert(OPTIONS, Value::from(options.list.as_str()));
        }
        let set_id = format!("{}{}", self.prefix, set.name);
        let context = set.name.strip_suffix(&compared.name).unwrap_or_default().trim_end_matches('/');
        let mut cases = Vec::new();
        for group in &compared.groups {
            for terms in group.combinations(set.position) {
                let mut ids = Vec::with_capacity(terms.len());
                for (axis, (group, term)) in compared.varied.iter().zip(&terms) {
                    values.insert(&self.plan.axes[*axis].name, self.values[*axis][*group][*term].clone());
                    ids.push(self.plan.axes[*axis].groups[*group].terms[*term].id.as_str());
                }
                let term = ids.join("+");
                let mut case = Case {
                    id: format!("{set_id}={}/term={term}", group.id),
                    set: set_id.clone(),
                    probe: self.probe.kind(),
                    template: self.plan.template.name.clone(),
                    context: context.to_string(),
                    axis: compared.name.clone(),
                    group: group.name.clone(),
                    term,
                    mask: Arc::clone(&self.mask),
                    ..Case::default()
                };
                self.filler.fill(&values, &mut case)?;
                if let (Some(options), ProbeKind::Choice) = (&options, case.probe) {
                    options.clone().offer(&mut case, self.plan.lists_options);
                }
                cases.push(case);
            }
        }
        cases.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(cases)
    }
}

impl Compared {
    fn new(suite: &Suite, plan: &Plan<'_>, axes: &[&Axis], contexts: &[Vec<usize>]) -> Self {
        let varied: Vec<usize> =
            (0..plan.axes.len()).filter(|index| axes.iter().any(|axis| axis.name == plan.axes[*index].name)).collect();
        let groups = combinations(axes).into_iter().map(|combination| {
            let chosen = |name: &str| {
                let index = axes.iter().position(|axis| axis.name == name)?;
                Some((combination[index], axes[index].groups[combination[index]].name.as_str()))
            };
            let cells = varied.iter().map(|index| {
                let axis = plan.axes[*index];
                let (group, _) = chosen(&axis.name).expect("a varied axis is one of those compared");
                let deal = Deal { suite, template: plan.template, axis, group: &axis.groups[group], contexts };
                // A term that says what else it suggests stands only where the combination says the same.
                let fits = |form: &str, value: &str| {
                    axes.len() == 1 || form == axis.name || chosen(form).is_none_or(|(_, group)| group == value)
                };
                let cells = deal.cells(|term| term.forms.iter().all(|(form, value)| fits(form, value)));
                (group, cells)
            });
            let names = axes.iter().zip(&combination).map(|(axis, group)| axis.groups[*group].name.as_str());
            ComparedGroup {
                name: names.clone().collect::<Vec<_>>().join("+"),
                id: names.map(slug).collect::<Vec<_>>().join("+"),
                cells: cells.collect(),
            }
        });
        let groups = groups.collect();
        let name = axes.iter().map(|axis| axis.name.as_str()).collect::<Vec<_>>().join("+");
        Compared { name, varied, groups }
    }
}

impl ComparedGroup {
    /// Every combination of the terms that the group's cells meet in a context: (group, term) for each varied axis.
    fn combinations(&self, position: usize) -> Vec<Vec<(usize, usize)>> {
        self.cells.iter().fold(vec![Vec::new()], |ways, (group, cells)| {
            let terms = cells.at(position);
            let longer =
                |way: Vec<(usize, usize)>| terms.iter().map(move |term| [way.as_slice(), &[(*group, *term)]].concat());
            ways.into_iter().flat_map(longer).collect()
        })
    }
}

/// Every way to hold the terms of `axes`, as (axis, group, term).
fn held_terms<'c>(
    axes: &[usize],
    groups: impl Fn(usize) -> &'c Vec<ComparedGroup>,
    position: usize,
) -> Vec<Vec<(usize, usize, usize)>> {
    axes.iter().fold(vec![Vec::new()], |ways, axis| {
        let choices = groups(*axis).iter().flat_map(|group| {
            let (group, cells) = &group.cells[0];
            cells.at(position).iter().map(move |term| (*axis, *group, *term))
        });
        let choices: Vec<_> = choices.collect();
        let longer =
            |way: Vec<_>| choices.iter().map(move |choice| [way.as_slice(), &[*choice]].concat()).collect::<Vec<_>>();
        ways.into_iter().flat_map(longer).collect()
    })
}

/// The words of the template's axes and of the axes whose values their terms carry.
fn mask(suite: &Suite, axes: &[&Axis], masks: &mut HashMap<Vec<usize>, Arc<MaskList>>) -> Arc<MaskList> {
    let tags: Vec<&str> = suite.axes.iter().map(|axis| axis.name.as_str()).collect();
    let carried = |name: &str| {
        axes.iter().any(|axis| {
            axis.name == name || axis.terms().any(|(_, term)| term.forms.iter().any(|(form, _)| form == name))
        })
    };
    let wanted: Vec<usize> = (0..suite.axes.len()).filter(|i| carried(&suite.axes[*i].name)).collect();
    let list = masks
        .entry(wanted.clone())
        .or_insert_with(|| Arc::new(MaskList::of(&wanted.iter().map(|i| &suite.axes[*i]).collect::<Vec<_>>(), &tags)));
    Arc::clone(list)
}
