//! Refuses versions that were not asked the same: other templates, groups, terms or contexts.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};

use crate::record::{Name, Record};

/// Differences of one kind that a message names.
const SHOWN: usize = 3;

/// A cell as it was asked, whatever was answered: axis, template, group, term, context.
type Asked<'a> = [&'a Name; 5];

/// What a cell is made of, from the coarsest, and the parts of [`Asked`] that tell one from another.
const PARTS: [(&str, &[usize]); 6] = [
    ("axis", &[0]),
    ("template", &[0, 1]),
    ("context", &[0, 1, 4]),
    ("group", &[0, 2]),
    ("term", &[0, 2, 3]),
    ("case", &[0, 1, 2, 3, 4]),
];

/// Errs unless both versions have records of the same templates, groups, terms and contexts on every axis, and of every scorer that both
/// have; says which are missing, the first few, and how many. Samples may differ in number.
///
/// `names` are what base and candidate are called.
pub fn check_same_design(base: &[Record], candidate: &[Record], names: [&str; 2]) -> Result<()> {
    let (base, candidate) = (asked(base), asked(candidate));
    check(&all(&base), &all(&candidate), names, "")?;
    for (scorer, of_base) in &base {
        if let Some(of_candidate) = candidate.get(scorer) {
            check(of_base, of_candidate, names, &format!("score {scorer:?}: "))?;
        }
    }
    Ok(())
}

fn all<'a>(asked: &BTreeMap<&Name, BTreeSet<Asked<'a>>>) -> BTreeSet<Asked<'a>> {
    asked.values().flatten().copied().collect()
}

/// What each scorer has records of.
fn asked(records: &[Record]) -> BTreeMap<&Name, BTreeSet<Asked<'_>>> {
    let mut asked: BTreeMap<&Name, BTreeSet<Asked<'_>>> = BTreeMap::new();
    for Record { scorer, axis, template, group, term, context, .. } in records {
        asked.entry(scorer).or_default().insert([axis, template, group, term, context]);
    }
    asked
}

fn check(base: &BTreeSet<Asked<'_>>, candidate: &BTreeSet<Asked<'_>>, names: [&str; 2], about: &str) -> Result<()> {
    if base == candidate {
        return Ok(());
    }
    for (part, made_of) in PARTS {
        let of = |asked: &BTreeSet<Asked<'_>>| -> BTreeSet<Vec<Name>> {
            asked.iter().map(|cell| made_of.iter().map(|&index| cell[index].clone()).collect()).collect()
        };
        let (base, candidate) = (of(base), of(candidate));
        if base == candidate {
            continue;
        }
        let only = |name: &str, there: &BTreeSet<Vec<Name>>, here: &BTreeSet<Vec<Name>>| {
            let missing: Vec<String> = there.difference(here).map(|parts| place(parts)).collect();
            (!missing.is_empty())
                .then(|| format!("{} only in {name}: {}", counted(missing.len(), part), first(&missing)))
        };
        let differences: Vec<String> =
            only(names[0], &base, &candidate).into_iter().chain(only(names[1], &candidate, &base)).collect();
        let hint = match part {
            "context" | "case" => " (an answer without a score is a row with an empty score)",
            _ => "",
        };
        bail!(
            "{about}{} and {} were not asked the same, {}; compare versions on the same templates, terms and contexts{hint}",
            names[0],
            names[1],
            differences.join(", ")
        );
    }
    Ok(())
}

/// `woman / emily`, without the axis where more is said; a context that is empty is the only one of its template.
fn place(parts: &[Name]) -> String {
    let told = if parts.len() > 1 { &parts[1..] } else { parts };
    told.iter().filter(|part| !part.is_empty()).map(|part| &**part).collect::<Vec<_>>().join(" / ")
}

fn counted(count: usize, part: &str) -> String {
    match (count, part) {
        (1, part) => format!("1 {part}"),
        (count, "axis") => format!("{count} axes"),
        (count, part) => format!("{count} {part}s"),
    }
}

fn first(missing: &[String]) -> String {
    let shown = missing[..missing.len().min(SHOWN)].join("; ");
    if missing.len() > SHOWN { format!("{shown}; …") } else { shown }
}
