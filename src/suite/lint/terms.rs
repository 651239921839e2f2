//! Checks what stands for the groups: how many terms, whether they are distinct, whether they are balanced.

use std::collections::{BTreeMap, HashMap};

use super::{Findings, count};
use crate::suite::{Axis, Group, Suite, TermPlan, slug};

/// From here on the terms of a group are a sample of terms whose spread enters the error (stats.md §3).
const RANDOM: usize = 3;
/// Terms a group that the method recommends: precision is bounded by their number.
const ENOUGH: usize = 8;
/// Shares of a carried value that groups may differ by.
const BALANCED: f64 = 0.25;

pub(super) fn check(suite: &Suite, findings: &mut Findings) {
    if suite.listed.is_some() {
        return;
    }
    for axis in &suite.axes {
        number(suite, axis, findings);
        distinct(axis, findings);
        carried(suite, axis, findings);
    }
}

fn used(suite: &Suite, group: &Group) -> usize {
    match suite.design.terms {
        TermPlan::First(n) => n.min(group.terms.len()),
        TermPlan::All | TermPlan::Rotate(_) => group.terms.len(),
    }
}

fn number(suite: &Suite, axis: &Axis, findings: &mut Findings) {
    let groups = axis.groups.iter().filter(|group| !group.control);
    let sizes: Vec<usize> = groups.clone().map(|group| used(suite, group)).collect();
    let (least, most) = (sizes.iter().min().copied().unwrap_or(0), sizes.iter().max().copied().unwrap_or(0));
    // Matched pairs are items in several wordings, not a sample of names.
    let names = axis.groups.iter().flat_map(|group| &group.terms).all(|term| !term.paired);
    for (group, size) in groups.zip(&sizes).filter(|_| names) {
        if (RANDOM..ENOUGH).contains(size) && most >= RANDOM {
            let message = format!(
                "group \"{}\" of axis \"{}\" has {}, fewer than {ENOUGH}: the interval grows with the spread between so few, and more contexts do not help; add terms",
                group.name,
                axis.name,
                count(*size, "term")
            );
            findings.add("few-terms", &group.place, message);
        }
    }
    if most < RANDOM {
        let message = format!(
            "the groups of axis \"{}\" have {} at most: a gap is about these words, not about all that could stand for the group",
            axis.name,
            count(most, "term")
        );
        findings.add("fixed-terms", &axis.place, message);
    }
    if most >= RANDOM && 2 * most > 3 * least {
        let message = format!(
            "the groups of axis \"{}\" have from {least} to {most} terms: those with few decide how precise a gap can be; even them out",
            axis.name
        );
        findings.add("unbalanced", &axis.place, message);
    }
}

/// Two names that read alike cannot stand for two groups, nor twice for one. The loader sees to ids, which come from another form here.
fn distinct(axis: &Axis, findings: &mut Findings) {
    let mut seen: HashMap<String, (&Group, &str)> = HashMap::new();
    for (group, term) in axis.terms() {
        let Some((_, first)) = term.forms.iter().find(|(form, _)| form == "name") else { continue };
        if term.paired || group.control {
            continue;
        }
        if let Some((other, text)) = seen.insert(slug(first), (group, first)) {
            let place = if other.name == group.name {
                format!("twice in group \"{}\"", group.name)
            } else {
                format!("in the groups \"{}\" and \"{}\"", other.name, group.name)
            };
            let message = format!(
                "\"{text}\" and \"{first}\" read alike and stand {place} of axis \"{}\": take one out, or declare them with `pair:`",
                axis.name
            );
            findings.add("duplicate-term", &term.place, message);
        }
    }
}

/// A list whose groups differ in what else their terms suggest measures that, too.
fn carried(suite: &Suite, axis: &Axis, findings: &mut Findings) {
    for other in suite.axes.iter().filter(|other| other.name != axis.name) {
        let mut shares: BTreeMap<&str, Vec<(&str, f64)>> = BTreeMap::new();
        let groups: Vec<&Group> = axis.groups.iter().filter(|group| !group.terms.is_empty()).collect();
        let value = |group: &Group| -> Vec<String> {
            let of_term = |forms: &Vec<(String, String)>| {
                forms.iter().find(|(form, _)| *form == other.name).map(|(_, v)| v.clone())
            };
            group.terms.iter().filter_map(|term| of_term(&term.forms)).collect()
        };
        for group in &groups {
            let values = value(group);
            for named in &other.groups {
                let share =
                    values.iter().filter(|value| **value == named.name).count() as f64 / group.terms.len() as f64;
                shares.entry(&named.name).or_default().push((&group.name, share));
            }
        }
        for (name, shares) in shares {
            let low = shares.iter().min_by(|a, b| a.1.total_cmp(&b.1));
            let high = shares.iter().max_by(|a, b| a.1.total_cmp(&b.1));
            if let (Some(low), Some(high)) = (low, high)
                && high.1 - low.1 > BALANCED
            {
                let message = format!(
                    "{:.0}% of the terms of \"{}\" but {:.0}% of \"{}\" suggest {} {name}: a gap between them would show this as well; balance the lists",
                    100.0 * high.1,
                    high.0,
                    100.0 * low.1,
                    low.0,
                    other.name
                );
                findings.add("unbalanced", &axis.place, message);
                break;
            }
        }
    }
}
