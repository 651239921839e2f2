//! Counts what a suite's cases make of each axis: clusters, groups, terms, and how many of them a cell meets.

use std::collections::{BTreeMap, BTreeSet};

use crate::analysis::{AxisPlan, Unit};
use crate::stats::pilot::{Design, Side};
use crate::suite::{Case, ProbeKind};

/// One axis as one kind of probe puts it.
#[derive(Debug, Default)]
pub struct Layout<'a> {
    clusters: BTreeSet<(&'a str, &'a str)>,
    /// Group → its terms.
    terms: BTreeMap<&'a str, BTreeSet<&'a str>>,
    cells: BTreeSet<(&'a str, &'a str, &'a str)>,
    /// Distinct (cluster, group, term).
    filled: BTreeSet<[&'a str; 4]>,
}

/// (axis, kind of probe) → its layout. Cases of crossed axes stand for each of their axes too, as in a run's records.
pub fn layouts(cases: &[Case]) -> BTreeMap<(&str, ProbeKind), Layout<'_>> {
    let mut layouts: BTreeMap<(&str, ProbeKind), Layout<'_>> = BTreeMap::new();
    for case in cases.iter().filter(|case| !case.axis.is_empty()) {
        let mut compared = vec![(case.axis.as_str(), case.group.as_str())];
        if case.axis.contains('+') {
            compared.extend(case.axis.split('+').zip(case.group.split('+')));
        }
        for (axis, group) in compared {
            let layout = layouts.entry((axis, case.probe)).or_default();
            layout.clusters.insert((&case.template, &case.context));
            layout.terms.entry(group).or_default().insert(&case.term);
            layout.cells.insert((&case.template, &case.context, group));
            layout.filled.insert([&case.template, &case.context, group, &case.term]);
        }
    }
    layouts
}

impl Layout<'_> {
    /// Contexts, or whole templates where the suite generalises to these.
    pub fn clusters(&self, unit: Unit) -> usize {
        match unit {
            Unit::Contexts => self.clusters.len(),
            Unit::Templates => self.clusters.iter().map(|(template, _)| template).collect::<BTreeSet<_>>().len(),
        }
    }

    /// Terms of the group that has fewest, and of the one that has most.
    pub fn terms(&self) -> (usize, usize) {
        let counts = || self.terms.values().map(BTreeSet::len);
        (counts().min().unwrap_or(0), counts().max().unwrap_or(0))
    }

    /// The design of each gap: the group with what it is compared with. Controls are not planned for.
    pub fn designs(&self, axis: &AxisPlan, samples: u32, unit: Unit) -> Vec<(String, Design)> {
        let is_compared = |group: &&&str| !axis.controls.iter().any(|control| control == **group);
        let groups: Vec<&&str> = self.terms.keys().filter(is_compared).collect();
        let tested = groups.iter().filter(|group| axis.reference.as_deref() != Some(***group));
        let design = |group: &str| {
            let others: Vec<&&str> = match &axis.reference {
                Some(reference) => self.terms.keys().filter(|other| **other == reference).collect(),
                None => groups.iter().copied().filter(|other| **other != group).collect(),
            };
            let share = 1.0 / others.len().max(1) as f64;
            let side = |group: &str, weight: f64| Side { weight, terms: self.terms[group].len() };
            Design {
                clusters: self.clusters(unit),
                samples: f64::from(samples),
                cell_terms: self.filled.len() as f64 / self.cells.len() as f64,
                sides: [side(group, 1.0)]
                    .into_iter()
                    .chain(others.iter().map(|other| side(other, share * share)))
                    .collect(),
            }
        };
        tested.map(|group| ((**group).to_owned(), design(group))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(context: &str, group: &str, term: &str) -> Case {
        Case {
            template: "t".into(),
            context: context.into(),
            axis: "gender".into(),
            group: group.into(),
            term: term.into(),
            ..Case::default()
        }
    }

    #[test]
    fn rotated_terms_are_counted_in_all_and_in_a_cell() {
        let cases = [case("1", "w", "a"), case("1", "m", "c"), case("2", "w", "b"), case("2", "m", "d")];
        let layouts = layouts(&cases);
        let layout = &layouts[&("gender", ProbeKind::Generate)];
        let axis = AxisPlan { name: "gender".into(), reference: Some("m".into()), ..AxisPlan::default() };
        let designs = layout.designs(&axis, 3, Unit::Contexts);
        assert_eq!(designs.len(), 1);
        let (group, design) = &designs[0];
        assert_eq!((group.as_str(), design.clusters, design.cell_terms, design.samples), ("w", 2, 1.0, 3.0));
        assert_eq!(design.sides, [Side { weight: 1.0, terms: 2 }; 2]);
        assert_eq!(layout.designs(&axis, 3, Unit::Templates)[0].1.clusters, 1);
        assert_eq!(layout.designs(&AxisPlan { reference: None, ..axis.clone() }, 1, Unit::Contexts).len(), 2);
    }
}
