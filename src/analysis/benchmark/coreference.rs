//! Reads whom a pronoun was taken to be: Winogender and WinoBias.

use anyhow::Result;

use super::{Answered, number};
use crate::stats::benchmarks::{winobias, winogender};

pub(super) fn resolution(one: &Answered<'_>) -> Result<winogender::Resolution> {
    let (occupation, answer) = (one.tag("occupation")?, one.tag("answer")?);
    let women = one.tag("bls_pct_female").unwrap_or_default();
    Ok(winogender::Resolution {
        occupation: occupation.into(),
        template: format!("{occupation}.{answer}"),
        gender: one.case.group.clone(),
        means_occupation: answer == "occupation",
        women: if women.is_empty() { None } else { Some(number(one, "bls_pct_female", women)?) },
        took_occupation: chosen(one, ["occupation", "participant"]).map(|chosen| chosen == "occupation"),
    })
}

pub(super) fn link(one: &Answered<'_>) -> Result<winobias::Link> {
    let answer = one.tag("answer")?;
    Ok(winobias::Link {
        kind: one.case.template.clone(),
        set: one.case.set.clone(),
        group: one.case.group.clone(),
        is_right: chosen(one, ["first", "second"]).map(|chosen| chosen == answer),
    })
}

/// The option with the larger share; none where they are equal or not there.
fn chosen<'o>(one: &Answered<'_>, options: [&'o str; 2]) -> Option<&'o str> {
    let [a, b] = options.map(|option| one.scores.get(format!("choice.{option}").as_str()).copied());
    match a?.total_cmp(&b?) {
        std::cmp::Ordering::Greater => Some(options[0]),
        std::cmp::Ordering::Less => Some(options[1]),
        std::cmp::Ordering::Equal => None,
    }
}
