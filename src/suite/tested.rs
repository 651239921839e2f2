//! Says what is compared: each axis by itself, or the axes of a template crossed.

use super::plans::Plan;
use super::template::Slot;
use super::{Axis, Probe, ProbeKind, Suite, Vary};

/// An axis as it stands in cases and tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestedAxis {
    /// Crossed axes are joined: `gender+ethnicity`.
    pub name: String,
    pub reference: Option<String>,
    /// In the order of the file; of crossed axes `woman+black`.
    pub groups: Vec<String>,
    /// Groups that are negative controls.
    pub controls: Vec<String>,
    /// Ids of the terms are `pair` keys that groups share.
    pub paired: bool,
    /// The groups are combinations: screened, outside the family of outcomes.
    pub crossed: bool,
    /// Kinds of probes that put the axis; scores of others say nothing about it.
    pub probes: Vec<ProbeKind>,
}

impl Suite {
    /// The axes that the suite's cases compare, crossed ones after the axes that they are made of.
    pub fn tested_axes(&self) -> Vec<TestedAxis> {
        let all = || self.probes.iter().map(Probe::kind);
        if self.listed.is_some() {
            return self.axes.iter().map(|axis| TestedAxis { probes: all().collect(), ..tested(&[axis]) }).collect();
        }
        let mut single: Vec<TestedAxis> = self.axes.iter().map(|axis| tested(&[axis])).collect();
        let mut combined: Vec<TestedAxis> = Vec::new();
        for template in &self.templates {
            let slots = template.slots().unwrap_or_default();
            let mut axes: Vec<&Axis> = self.axes.iter().filter(|axis| names(&slots, axis)).collect();
            if self.design.vary == Vary::Crossed {
                axes = crossed(self, &axes);
                let together = tested(&axes);
                if together.crossed && combined.iter().all(|other| other.name != together.name) {
                    combined.push(together);
                }
            }
            let kinds = || all().filter(|kind| template.probes.is_empty() || template.probes.contains(kind));
            let name = axes.iter().map(|axis| axis.name.as_str()).collect::<Vec<_>>().join("+");
            let of_template =
                |axis: &&mut TestedAxis| axis.name == name || axes.iter().any(|other| other.name == axis.name);
            for axis in single.iter_mut().chain(&mut combined).filter(of_template) {
                axis.probes.extend(kinds());
                axis.probes.sort_unstable();
                axis.probes.dedup();
            }
        }
        single.retain(|axis| !axis.probes.is_empty());
        single.extend(combined);
        single
    }
}

fn names(slots: &[Slot], axis: &Axis) -> bool {
    slots.iter().any(|slot| slot.name == axis.name)
}

/// The axes that `vary: crossed` combines in a template, in the order of the file: those that it uses, and those whose values all terms
/// of one of these carry.
pub(super) fn crossed<'a>(suite: &'a Suite, used: &[&'a Axis]) -> Vec<&'a Axis> {
    let carried = |axis: &Axis| {
        used.iter().any(|other| {
            other.name != axis.name
                && other.terms().all(|(_, term)| term.forms.iter().any(|(form, _)| *form == axis.name))
        })
    };
    suite.axes.iter().filter(|axis| used.iter().any(|one| one.name == axis.name) || carried(axis)).collect()
}

impl<'a> Plan<'a> {
    /// The axes of each kind of set that the template makes: one axis each, or all of them crossed.
    pub fn tested(&self, suite: &'a Suite) -> Vec<Vec<&'a Axis>> {
        match suite.design.vary {
            Vary::Each => self.axes.iter().map(|axis| vec![*axis]).collect(),
            Vary::Crossed => vec![crossed(suite, &self.axes)],
        }
    }
}

/// Every combination of the axes' groups, by index, the last axis turning fastest.
pub(super) fn combinations(axes: &[&Axis]) -> Vec<Vec<usize>> {
    axes.iter().fold(vec![Vec::new()], |ways, axis| {
        let groups = 0..axis.groups.len();
        ways.into_iter().flat_map(|way| groups.clone().map(move |group| [way.as_slice(), &[group]].concat())).collect()
    })
}

fn tested(axes: &[&Axis]) -> TestedAxis {
    let join = |names: Vec<&str>| names.join("+");
    let groups = combinations(axes);
    let name_of = |groups: &Vec<usize>| {
        join(axes.iter().zip(groups).map(|(axis, group)| axis.groups[*group].name.as_str()).collect())
    };
    let is_control = |groups: &&Vec<usize>| axes.iter().zip(*groups).any(|(axis, group)| axis.groups[*group].control);
    TestedAxis {
        name: join(axes.iter().map(|axis| axis.name.as_str()).collect()),
        reference: axes.iter().map(|axis| axis.reference.as_deref()).collect::<Option<Vec<_>>>().map(join),
        controls: groups.iter().filter(is_control).map(name_of).collect(),
        groups: groups.iter().map(name_of).collect(),
        paired: axes.iter().any(|axis| axis.terms().any(|(_, term)| term.paired)),
        crossed: axes.len() > 1,
        probes: Vec::new(),
    }
}
