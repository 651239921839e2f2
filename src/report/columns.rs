//! Names the columns of groups.csv and disparity.csv and writes both files.
//!
//! The names are an interface: columns are added at the end, never renamed.

use std::borrow::Cow;

use crate::analysis::benchmark::Row;
use crate::analysis::{
    Agreement, DistributionRow, FloorRow, GapRow, GroupRow, IntersectionRow, LiteratureRow, OmnibusRow, QUANTILES,
    SliceRow, Tables,
};
use crate::record::table::{Table, count, number, text};

/// A value under a column.
#[derive(Debug, Clone, Copy)]
pub enum Cell<'a> {
    Text(&'a str),
    Count(Option<usize>),
    Number(Option<f64>),
    Flag(bool),
}

/// A row's values under their columns.
pub type Cells<'a> = Vec<(&'static str, Cell<'a>)>;

/// The cells of a row about one gap: where it stands, and more.
pub(super) fn of_gap<'a, const N: usize>(place: [&'a str; 5], more: [(&'static str, Cell<'a>); N]) -> Cells<'a> {
    let names = ["suite", "axis", "group", "reference", "scorer"];
    names.into_iter().zip(place.map(Cell::Text)).chain(more).collect()
}

/// The columns of groups.csv with a row's values.
pub fn group(row: &GroupRow) -> Cells<'_> {
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
pub fn gap(row: &GapRow) -> Cells<'_> {
    of_gap(
        [&row.suite, &row.axis, &row.group, &row.reference, &row.scorer],
        [
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
            ("hedges_g", Cell::Number(row.hedges_g)),
            ("d_av", Cell::Number(row.d_av)),
            ("cliffs_delta", Cell::Number(row.cliffs_delta)),
            ("paired_delta", Cell::Number(row.paired_delta)),
            ("logit_gap", Cell::Number(row.logit_gap)),
            ("log_odds_ratio", Cell::Number(row.log_odds_ratio)),
            ("discordant_above", Cell::Count(row.discordant_above)),
            ("discordant_below", Cell::Count(row.discordant_below)),
            ("aa_low", Cell::Number(row.aa_low)),
            ("aa_high", Cell::Number(row.aa_high)),
            ("p_equivalence", Cell::Number(row.p_equivalence)),
            ("clusters_least", Cell::Count(row.clusters_least)),
        ],
    )
}

/// The columns of benchmark.csv with a row's values.
pub fn benchmark(row: &Row) -> Cells<'_> {
    vec![
        ("statistic", Cell::Text(&row.statistic)),
        ("subset", Cell::Text(&row.subset)),
        ("n", Cell::Count(Some(row.n))),
        ("value", Cell::Number(row.value)),
        ("low", Cell::Number(row.low)),
        ("high", Cell::Number(row.high)),
        ("se", Cell::Number(row.se)),
        ("p", Cell::Number(row.p)),
    ]
}

/// The columns of noise_floor.csv with a row's values.
pub fn floor(row: &FloorRow) -> Cells<'_> {
    of_gap(
        [&row.suite, &row.axis, &row.group, &row.reference, &row.scorer],
        [
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
        ],
    )
}

/// The columns of intersections.csv with a row's values.
pub fn intersection(row: &IntersectionRow) -> Cells<'_> {
    of_gap(
        [&row.suite, &row.axis, &row.group, &row.reference, &row.scorer],
        [
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
        ],
    )
}

/// The columns of slices.csv with a row's values.
pub fn slice(row: &SliceRow) -> Cells<'_> {
    of_gap(
        [&row.suite, &row.axis, &row.group, &row.reference, &row.scorer],
        [
            ("template", Cell::Text(&row.template)),
            ("clusters", Cell::Count(Some(row.clusters))),
            ("gap", Cell::Number(row.gap)),
            ("low", Cell::Number(row.low)),
            ("high", Cell::Number(row.high)),
            ("p", Cell::Number(row.p)),
            ("q", Cell::Number(row.q)),
            ("status", Cell::Text(row.status.as_str())),
        ],
    )
}

/// The columns of literature.csv with a row's values.
pub fn literature(row: &LiteratureRow) -> Cells<'_> {
    of_gap(
        [&row.suite, &row.axis, &row.group, &row.reference, &row.scorer],
        [
            ("statistic", Cell::Text(&row.statistic)),
            ("clusters", Cell::Count(Some(row.clusters))),
            ("value", Cell::Number(row.value)),
            ("low", Cell::Number(row.low)),
            ("high", Cell::Number(row.high)),
        ],
    )
}

/// The columns of omnibus.csv with a row's values.
pub fn omnibus(row: &OmnibusRow) -> Cells<'_> {
    vec![
        ("suite", Cell::Text(&row.suite)),
        ("axis", Cell::Text(&row.axis)),
        ("scorer", Cell::Text(&row.scorer)),
        ("clusters", Cell::Count(Some(row.clusters))),
        ("groups", Cell::Count(Some(row.groups))),
        ("f", Cell::Number(row.f)),
        ("df", Cell::Number(row.df)),
        ("df_error", Cell::Number(row.df_error)),
        ("p_f", Cell::Number(row.p_f)),
        ("p", Cell::Number(row.p)),
        ("friedman", Cell::Number(row.friedman)),
        ("p_friedman", Cell::Number(row.p_friedman)),
        ("kendall_w", Cell::Number(row.kendall_w)),
        ("max_min", Cell::Number(row.max_min)),
        ("null_mean", Cell::Number(row.null_mean)),
        ("null_p95", Cell::Number(row.null_p95)),
        ("range_p", Cell::Number(row.range_p)),
        ("debiased", Cell::Number(row.debiased)),
        ("low", Cell::Number(row.low)),
        ("high", Cell::Number(row.high)),
        ("worst_group", Cell::Text(&row.worst_group)),
        ("worst_share", Cell::Number(row.worst_share)),
        ("highest", Cell::Text(&row.highest)),
        ("highest_share", Cell::Number(row.highest_share)),
        ("lowest", Cell::Text(&row.lowest)),
        ("lowest_share", Cell::Number(row.lowest_share)),
        ("ratio", Cell::Number(row.ratio)),
        ("ratio_low", Cell::Number(row.ratio_low)),
        ("ratio_high", Cell::Number(row.ratio_high)),
        ("four_fifths", Cell::Text(row.four_fifths.map_or("", |passes| if passes { "yes" } else { "no" }))),
        ("status", Cell::Text(row.status.as_str())),
        ("exact", Cell::Flag(row.is_exact)),
    ]
}

/// The columns of distribution.csv with a row's values.
pub fn distribution(row: &DistributionRow) -> Cells<'_> {
    const NAMES: [&str; QUANTILES.len()] = ["q05", "q10", "q25", "q50", "q75", "q90", "q95"];
    let head = of_gap(
        [&row.suite, &row.axis, &row.group, &row.reference, &row.scorer],
        [
            ("clusters", Cell::Count(Some(row.clusters))),
            ("w1", Cell::Number(row.w1)),
            ("null_mean", Cell::Number(row.null_mean)),
            ("p", Cell::Number(row.p)),
            ("ks", Cell::Number(row.ks)),
            ("energy", Cell::Number(row.energy)),
        ],
    );
    let tail = [
        ("quantile_disparity", Cell::Number(row.quantile_disparity)),
        ("answers", Cell::Count(Some(row.answers))),
        ("reference_answers", Cell::Count(Some(row.reference_answers))),
        ("status", Cell::Text(row.status.as_str())),
    ];
    let quantiles = NAMES.into_iter().zip(row.quantiles.map(Cell::Number));
    head.into_iter().chain(quantiles).chain(tail).collect()
}

/// The names of what an agreement says, with its values.
pub fn agreement(row: &Agreement) -> Cells<'_> {
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

/// benchmark.csv, in the order of the rows.
pub fn write_benchmark(rows: &[Row]) -> Vec<u8> {
    write(&benchmark(&Row::default()), rows.iter().map(benchmark))
}

/// The tables of one suite and model, with the model's name.
pub type OfModel<'a> = (&'a str, &'a Tables);

/// Every table file of some analyses, in order; `None` for one that does not apply to them. With several models each row begins with its
/// model.
pub fn files(of: &[OfModel<'_>]) -> Vec<(&'static str, Option<Vec<u8>>)> {
    vec![
        ("groups.csv", Some(file(of, |tables| &tables.groups, group))),
        ("disparity.csv", Some(file(of, |tables| &tables.gaps, gap))),
        ("noise_floor.csv", optional(of, |tables| &tables.floors, floor)),
        ("omnibus.csv", optional(of, |tables| &tables.omnibus, omnibus)),
        ("distribution.csv", optional(of, |tables| &tables.distributions, distribution)),
        ("intersections.csv", optional(of, |tables| &tables.intersections, intersection)),
        ("slices.csv", optional(of, |tables| &tables.slices, slice)),
        ("literature.csv", optional(of, |tables| &tables.literature, literature)),
    ]
}

/// A file that is left out where it would have no row.
fn optional<R: Default>(
    of: &[OfModel<'_>],
    rows: fn(&Tables) -> &Vec<R>,
    cells: fn(&R) -> Cells<'_>,
) -> Option<Vec<u8>> {
    of.iter().any(|(_, tables)| !rows(tables).is_empty()).then(|| file(of, rows, cells))
}

fn file<R: Default>(of: &[OfModel<'_>], rows: fn(&Tables) -> &Vec<R>, cells: fn(&R) -> Cells<'_>) -> Vec<u8> {
    let names_model = of.iter().any(|(model, _)| *model != of[0].0);
    let model_cell = |model| names_model.then_some(("model", Cell::Text(model)));
    let header: Cells<'_> =
        model_cell("").into_iter().chain(cells(&R::default())).map(|(name, _)| (name, Cell::Flag(false))).collect();
    let all = of.iter().flat_map(|(model, tables)| rows(tables).iter().map(move |row| (*model, row)));
    write(&header, all.map(|(model, row)| model_cell(model).into_iter().chain(cells(row)).collect()))
}

pub(super) fn write<'a>(header: &[(&str, Cell<'_>)], rows: impl Iterator<Item = Cells<'a>>) -> Vec<u8> {
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

    fn written(name: &str, of: &[OfModel<'_>]) -> Option<String> {
        let bytes = files(of).into_iter().find(|(file, _)| *file == name).unwrap().1;
        bytes.map(|bytes| String::from_utf8(bytes).unwrap())
    }

    fn tables() -> Tables {
        Tables {
            groups: vec![GroupRow { axis: "=x".into(), ..GroupRow::default() }],
            gaps: vec![GapRow { gap: Some(-0.5), ..GapRow::default() }],
            ..Tables::default()
        }
    }

    #[test]
    fn the_columns_are_those_of_the_contract_and_undefined_cells_are_empty() {
        let tables = tables();
        let groups = written("groups.csv", &[("m", &tables)]).unwrap();
        assert_eq!(groups, "suite,axis,group,scorer,clusters,responses,unscored,mean,low,high\n,'=x,,,0,0,0,,,\n");
        let gaps = written("disparity.csv", &[("m", &tables)]).unwrap();
        assert!(gaps.starts_with(
            "suite,axis,group,reference,scorer,clusters,terms,responses,unscored,group_mean,reference_mean,gap,low,high,\
             low90,high90,se,df,p,p_adjusted,margin,verdict,status,mde,d_z,"
        ));
        assert!(gaps.contains("\n,,,,,0,0,0,0,,,-0.5,,,,,,,,,,,ok,,,"), "{gaps}");
        assert_eq!(written("noise_floor.csv", &[("m", &tables)]), None);
    }

    #[test]
    fn several_models_are_told_apart_by_a_first_column() {
        let tables = tables();
        let groups = written("groups.csv", &[("a", &tables), ("b", &tables)]).unwrap();
        assert_eq!(
            groups,
            "model,suite,axis,group,scorer,clusters,responses,unscored,mean,low,high\na,,'=x,,,0,0,0,,,\nb,,'=x,,,0,0,0,,,\n"
        );
    }
}
