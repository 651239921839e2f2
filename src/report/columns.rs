//! Names the columns of groups.csv and disparity.csv and writes both files.
//!
//! The names are an interface: columns are added at the end, never renamed.

use std::borrow::Cow;

use crate::analysis::benchmark::Row;
use crate::analysis::{Agreement, FloorRow, GapRow, GroupRow, IntersectionRow, LiteratureRow, SliceRow};
use crate::record::table::{Table, count, number, text};

/// A value under a column.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    Text(&'a str),
    Count(Option<usize>),
    Number(Option<f64>),
    Flag(bool),
}

/// The columns of groups.csv with a row's values.
pub fn group(row: &GroupRow) -> Vec<(&'static str, Cell<'_>)> {
    vec![
        ("suite", Cell::Text(&row.suite)),
        ("axis", Cell::Text(&row.axis)),
        ("group", Cell::Text(&row.group)),
        ("scorer", Cell::Text(&row.scorer)),
        ("clusters", Cell::Count(Some(row.clusters))),
        ("responses", Cell::Count(Some(row.responses))),
        ("unscored", Cell::Count(Some(row.unscored))),
        ("mean", Cell::Number(row.mean)),
        ("low", Cell::Number(row.low)),
        ("high", Cell::Number(row.high)),
    ]
}

/// The columns of disparity.csv with a row's values.
pub fn gap(row: &GapRow) -> Vec<(&'static str, Cell<'_>)> {
    vec![
        ("suite", Cell::Text(&row.suite)),
        ("axis", Cell::Text(&row.axis)),
        ("group", Cell::Text(&row.group)),
        ("reference", Cell::Text(&row.reference)),
        ("scorer", Cell::Text(&row.scorer)),
        ("clusters", Cell::Count(Some(row.clusters))),
        ("terms", Cell::Count(Some(row.terms))),
        ("responses", Cell::Count(Some(row.responses))),
        ("unscored", Cell::Count(Some(row.unscored))),
        ("group_mean", Cell::Number(row.group_mean)),
        ("reference_mean", Cell::Number(row.reference_mean)),
        ("gap", Cell::Number(row.gap)),
        ("low", Cell::Number(row.low)),
        ("high", Cell::Number(row.high)),
        ("low90", Cell::Number(row.low90)),
        ("high90", Cell::Number(row.high90)),
        ("se", Cell::Number(row.se)),
        ("df", Cell::Number(row.df)),
        ("p", Cell::Number(row.p)),
        ("p_adjusted", Cell::Number(row.p_adjusted)),
        ("margin", Cell::Number(row.margin)),
        ("verdict", Cell::Text(row.verdict.map_or("", |verdict| verdict.as_str()))),
        ("status", Cell::Text(row.status.as_str())),
        ("mde", Cell::Number(row.mde)),
        ("d_z", Cell::Number(row.d_z)),
        ("sd", Cell::Number(row.sd)),
        ("se_terms", Cell::Number(row.se_terms)),
        ("deff_template", Cell::Number(row.deff_template)),
        ("unscored_gap", Cell::Number(row.unscored_gap)),
        ("unscored_p", Cell::Number(row.unscored_p)),
        ("clusters_needed", Cell::Count(row.clusters_needed)),
        ("more_terms_needed", Cell::Flag(row.more_terms_needed)),
        ("at_least_margin", Cell::Flag(row.at_least_margin)),
        ("control", Cell::Flag(row.control)),
        ("scorer_offset", Cell::Number(row.scorer_offset)),
        ("gap_corrected", Cell::Number(row.gap_corrected)),
        ("tipping_offset", Cell::Number(row.tipping_offset)),
        ("offset_low", Cell::Number(row.offset_low)),
        ("offset_high", Cell::Number(row.offset_high)),
        ("corrected_low", Cell::Number(row.corrected_low)),
        ("corrected_high", Cell::Number(row.corrected_high)),
        ("corrected_p", Cell::Number(row.corrected_p)),
        ("refused", Cell::Count(row.refused)),
        ("reference_refused", Cell::Count(row.reference_refused)),
        ("gap_unrefused", Cell::Number(row.gap_unrefused)),
        ("unrefused_low", Cell::Number(row.unrefused_low)),
        ("unrefused_high", Cell::Number(row.unrefused_high)),
    ]
}

/// The columns of benchmark.csv with a row's values.
pub fn benchmark(row: &Row) -> Vec<(&'static str, Cell<'_>)> {
    vec![
        ("statistic", Cell::Text(&row.statistic)),
        ("subset", Cell::Text(&row.subset)),
        ("n", Cell::Count(Some(row.n))),
        ("value", Cell::Number(row.value)),
        ("low", Cell::Number(row.low)),
        ("high", Cell::Number(row.high)),
    ]
}

/// The columns of noise_floor.csv with a row's values.
pub fn floor(row: &FloorRow) -> Vec<(&'static str, Cell<'_>)> {
    vec![
        ("suite", Cell::Text(&row.suite)),
        ("axis", Cell::Text(&row.axis)),
        ("group", Cell::Text(&row.group)),
        ("reference", Cell::Text(&row.reference)),
        ("scorer", Cell::Text(&row.scorer)),
        ("clusters", Cell::Count(Some(row.clusters))),
        ("between", Cell::Number(row.between)),
        ("floor", Cell::Number(row.floor)),
        ("excess", Cell::Number(row.excess)),
        ("low", Cell::Number(row.low)),
        ("high", Cell::Number(row.high)),
        ("se", Cell::Number(row.se)),
        ("df", Cell::Number(row.df)),
        ("p", Cell::Number(row.p)),
        ("status", Cell::Text(row.status.as_str())),
    ]
}

/// The columns of intersections.csv with a row's values.
pub fn intersection(row: &IntersectionRow) -> Vec<(&'static str, Cell<'_>)> {
    vec![
        ("suite", Cell::Text(&row.suite)),
        ("axis", Cell::Text(&row.axis)),
        ("group", Cell::Text(&row.group)),
        ("reference", Cell::Text(&row.reference)),
        ("scorer", Cell::Text(&row.scorer)),
        ("clusters", Cell::Count(Some(row.clusters))),
        ("responses", Cell::Count(Some(row.responses))),
        ("gap", Cell::Number(row.gap)),
        ("additive", Cell::Number(row.additive)),
        ("interaction", Cell::Number(row.interaction)),
        ("se", Cell::Number(row.se)),
        ("df", Cell::Number(row.df)),
        ("p", Cell::Number(row.p)),
        ("q", Cell::Number(row.q)),
        ("shrunk", Cell::Number(row.shrunk)),
        ("posterior_sd", Cell::Number(row.posterior_sd)),
        ("tau2", Cell::Number(row.tau2)),
        ("status", Cell::Text(row.status.as_str())),
    ]
}

/// The columns of slices.csv with a row's values.
pub fn slice(row: &SliceRow) -> Vec<(&'static str, Cell<'_>)> {
    vec![
        ("suite", Cell::Text(&row.suite)),
        ("axis", Cell::Text(&row.axis)),
        ("group", Cell::Text(&row.group)),
        ("reference", Cell::Text(&row.reference)),
        ("scorer", Cell::Text(&row.scorer)),
        ("template", Cell::Text(&row.template)),
        ("clusters", Cell::Count(Some(row.clusters))),
        ("gap", Cell::Number(row.gap)),
        ("low", Cell::Number(row.low)),
        ("high", Cell::Number(row.high)),
        ("p", Cell::Number(row.p)),
        ("q", Cell::Number(row.q)),
        ("status", Cell::Text(row.status.as_str())),
    ]
}

/// The columns of literature.csv with a row's values.
pub fn literature(row: &LiteratureRow) -> Vec<(&'static str, Cell<'_>)> {
    vec![
        ("suite", Cell::Text(&row.suite)),
        ("axis", Cell::Text(&row.axis)),
        ("group", Cell::Text(&row.group)),
        ("reference", Cell::Text(&row.reference)),
        ("scorer", Cell::Text(&row.scorer)),
        ("statistic", Cell::Text(&row.statistic)),
        ("clusters", Cell::Count(Some(row.clusters))),
        ("value", Cell::Number(row.value)),
        ("low", Cell::Number(row.low)),
        ("high", Cell::Number(row.high)),
    ]
}

/// The names of what an agreement says, with its values.
pub fn agreement(row: &Agreement) -> Vec<(&'static str, Cell<'_>)> {
    vec![
        ("axis", Cell::Text(&row.axis)),
        ("group", Cell::Text(&row.group)),
        ("reference", Cell::Text(&row.reference)),
        ("construct", Cell::Text(row.construct)),
        ("scorer", Cell::Text(&row.scorers[0])),
        ("other_scorer", Cell::Text(&row.scorers[1])),
        ("share", Cell::Number(Some(row.shares[0]))),
        ("other_share", Cell::Number(Some(row.shares[1]))),
        ("same_sign", Cell::Flag(row.same_sign())),
        ("size_ratio", Cell::Number(row.size_ratio())),
    ]
}

/// noise_floor.csv, in the order of the rows.
pub fn write_floors(rows: &[FloorRow]) -> Vec<u8> {
    write(&floor(&FloorRow::default()), rows.iter().map(floor))
}

/// intersections.csv, in the order of the rows.
pub fn write_intersections(rows: &[IntersectionRow]) -> Vec<u8> {
    write(&intersection(&IntersectionRow::default()), rows.iter().map(intersection))
}

/// slices.csv, in the order of the rows.
pub fn write_slices(rows: &[SliceRow]) -> Vec<u8> {
    write(&slice(&SliceRow::default()), rows.iter().map(slice))
}

/// literature.csv, in the order of the rows.
pub fn write_literature(rows: &[LiteratureRow]) -> Vec<u8> {
    write(&literature(&LiteratureRow::default()), rows.iter().map(literature))
}

/// benchmark.csv, in the order of the rows.
pub fn write_benchmark(rows: &[Row]) -> Vec<u8> {
    write(&benchmark(&Row::default()), rows.iter().map(benchmark))
}

/// groups.csv, in the order of the rows.
pub fn write_groups(rows: &[GroupRow]) -> Vec<u8> {
    write(&group(&GroupRow::default()), rows.iter().map(group))
}

/// disparity.csv, in the order of the rows.
pub fn write_gaps(rows: &[GapRow]) -> Vec<u8> {
    write(&gap(&GapRow::default()), rows.iter().map(gap))
}

fn write<'a>(header: &[(&str, Cell<'_>)], rows: impl Iterator<Item = Vec<(&'static str, Cell<'a>)>>) -> Vec<u8> {
    let names: Vec<&str> = header.iter().map(|(name, _)| *name).collect();
    let mut table = Table::new(&names);
    for row in rows {
        table.push(row.into_iter().map(|(_, cell)| match cell {
            Cell::Text(value) => text(value),
            Cell::Count(value) => count(value),
            Cell::Number(value) => number(value),
            Cell::Flag(value) => Cow::Borrowed(if value { "yes" } else { "no" }),
        }));
    }
    table.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_are_those_of_the_contract_and_undefined_cells_are_empty() {
        let groups = String::from_utf8(write_groups(&[GroupRow { axis: "=x".into(), ..GroupRow::default() }])).unwrap();
        assert_eq!(groups, "suite,axis,group,scorer,clusters,responses,unscored,mean,low,high\n,'=x,,,0,0,0,,,\n");
        let gaps = String::from_utf8(write_gaps(&[GapRow { gap: Some(-0.5), ..GapRow::default() }])).unwrap();
        assert!(gaps.starts_with(
            "suite,axis,group,reference,scorer,clusters,terms,responses,unscored,group_mean,reference_mean,gap,low,high,\
             low90,high90,se,df,p,p_adjusted,margin,verdict,status,mde,d_z,"
        ));
        assert!(gaps.contains("\n,,,,,0,0,0,0,,,-0.5,,,,,,,,,,,ok,,,"), "{gaps}");
    }
}
