//! Deals terms to cells: which terms of a group fill each of a template's contexts.

use std::collections::BTreeMap;

use super::rotation::{rotate, stream};
use super::{Axis, Group, Suite, Template, Term, TermPlan};

/// The terms (by index) that a group meets in each context.
pub(super) enum Cells {
    /// The same in every context.
    Same(Vec<usize>),
    PerContext(Vec<Vec<usize>>),
}

impl Cells {
    /// Sorted.
    pub fn at(&self, position: usize) -> &[usize] {
        match self {
            Cells::Same(terms) => terms,
            Cells::PerContext(cells) => &cells[position],
        }
    }
}

/// What the cells of one group of one axis in one template are dealt by.
pub(super) struct Deal<'a> {
    pub suite: &'a Suite,
    pub template: &'a Template,
    pub axis: &'a Axis,
    pub group: &'a Group,
    /// Levels of the factors, a context.
    pub contexts: &'a [Vec<usize>],
}

impl Deal<'_> {
    /// Deals those terms that `fits` lets in. Where terms are matched pairs or carry values of other axes (a name's gender), the groups of a set
    /// meet terms of the same pair and value, so that a set differs in the tested axis alone.
    pub fn cells(&self, fits: impl Fn(&Term) -> bool) -> Cells {
        let terms: Vec<usize> = (0..self.group.terms.len()).filter(|index| fits(&self.group.terms[*index])).collect();
        match self.suite.design.terms {
            TermPlan::First(n) => Cells::Same(terms.into_iter().take(n).collect()),
            TermPlan::Rotate(k) if k < terms.len() => Cells::PerContext(self.rotated(&terms, k)),
            TermPlan::All | TermPlan::Rotate(_) => Cells::Same(terms),
        }
    }

    fn rotated(&self, terms: &[usize], k: usize) -> Vec<Vec<usize>> {
        let Deal { suite, template, axis, group, contexts } = self;
        let mut classes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for &index in terms {
            classes.entry(class(suite, axis, &group.terms[index])).or_default().push(index);
        }
        let names: Vec<&str> = classes.keys().map(String::as_str).collect();
        // First which class each of a context's `k` draws takes, then which term of the class.
        let draws: Vec<(usize, &[usize])> =
            contexts.iter().flat_map(|levels| std::iter::repeat_n((1, levels.as_slice()), k)).collect();
        let seed = suite.design.seed;
        let mut rng = stream(seed, &["class", &template.name, &axis.name, &names.join("/")]);
        let drawn = rotate(names.len(), &draws, &mut rng);
        let mut cells = vec![Vec::new(); contexts.len()];
        for (class, (name, terms)) in classes.iter().enumerate() {
            let wanted = drawn.chunks(k).map(|drawn| drawn.iter().filter(|one| one[0] == class).count());
            let wanted: Vec<(usize, &[usize])> =
                wanted.zip(*contexts).map(|(wanted, levels)| (wanted, levels.as_slice())).collect();
            let mut rng = stream(seed, &["term", &template.name, &axis.name, &group.name, name]);
            for (cell, picked) in cells.iter_mut().zip(rotate(terms.len(), &wanted, &mut rng)) {
                cell.extend(picked.into_iter().map(|pick| terms[pick]));
            }
        }
        cells.iter_mut().for_each(|cell| cell.sort_unstable());
        cells
    }
}

/// What the terms of a set have in common across groups: their pair, and the values of other axes that they carry, as `gender=woman`.
fn class(suite: &Suite, axis: &Axis, term: &Term) -> String {
    let other = |form: &str| form != axis.name && suite.axes.iter().any(|axis| axis.name == form);
    let carried = term.forms.iter().filter(|(form, _)| other(form)).map(|(form, value)| format!("{form}={value}"));
    let pair = term.paired.then(|| format!("pair={}", term.id));
    pair.into_iter().chain(carried).collect::<Vec<_>>().join(",")
}
