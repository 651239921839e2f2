//! Prints what stands beside the gaps: the scorers' own offsets, distances of texts, all groups together, combinations of axes.

use super::{Column, NONE, table};
use crate::analysis::{FloorRow, FloorStatus, GapRow, IntersectionRow, OmnibusRow, Tables};
use crate::report::sentence::{p_value, plain, signed};

const BESIDE_COLUMNS: [Column; 6] = [
    ("axis", false),
    ("group − reference", false),
    ("score", false),
    ("offset", true),
    ("corrected", true),
    ("tipping", true),
];

const REFUSED_COLUMN: Column = ("unrefused", true);

const FLOOR_COLUMNS: [Column; 7] = [
    ("axis", false),
    ("group − reference", false),
    ("1 − similarity", false),
    ("between", true),
    ("floor", true),
    ("excess", true),
    ("p", true),
];

/// What stands beside the gaps: the scorers' own offsets, gaps without refusals, distances of texts, other scorers of a construct.
pub(super) fn beside(tables: &Tables) -> String {
    let Tables { gaps, floors, agreements, .. } = tables;
    let mut out = String::new();
    let any_refused = gaps.iter().any(|row| row.refused.is_some());
    let rows: Vec<&GapRow> = gaps.iter().filter(|row| row.scorer_offset.is_some() || row.refused.is_some()).collect();
    if !rows.is_empty() {
        let columns: Vec<Column> = BESIDE_COLUMNS.into_iter().chain(any_refused.then_some(REFUSED_COLUMN)).collect();
        let cells = |row: &&GapRow| {
            let size = |value: Option<f64>| value.map_or("–".into(), |value| signed(value, row.width));
            let mut cells = vec![
                row.axis.clone(),
                format!("{} − {}", row.group, row.reference),
                row.scorer.clone(),
                size(row.scorer_offset),
                size(row.gap_corrected),
                size(row.tipping_offset),
            ];
            cells.extend(any_refused.then(|| size(row.gap_unrefused)));
            cells
        };
        out += "\nWhat the scorers add by themselves on equal neutral texts, unmasked, and the gaps\nwithout it; an offset of the size under tipping would take the finding away:\n";
        out += &table(&columns, rows.iter().map(cells).collect());
        if any_refused {
            out += "unrefused: the gap over answers that are no refusals.\n";
        }
    }
    let texts: Vec<&FloorRow> = floors.iter().filter(|row| row.of_texts).collect();
    if !texts.is_empty() {
        let cells = |row: &&FloorRow| {
            let size = |value: Option<f64>| value.map_or("–".into(), |value| plain(value, row.width));
            let excess = match row.excess {
                Some(excess) => signed(excess, row.width),
                None => row.status.as_str().replace('_', " "),
            };
            vec![
                row.axis.clone(),
                format!("{} − {}", row.group, row.reference),
                row.scorer.clone(),
                size(row.between),
                size(row.floor),
                excess,
                row.p.map_or("–".into(), p_value),
            ]
        };
        out += "\nHow far answers about two groups are apart, and how far those about one group\nare anyway (floor); only the excess is evidence:\n";
        out += &table(&FLOOR_COLUMNS, texts.iter().map(cells).collect());
        if texts.iter().any(|row| row.status == FloorStatus::NoFloor) {
            out += "no floor: add samples >= 2, or meet two terms a cell (terms: { rotate: 2 }).\n";
        }
    }
    out += &all_groups(&tables.omnibus);
    if !agreements.is_empty() {
        out += "\nScorers of one construct, gaps as shares of their ranges:\n";
    }
    for row in agreements {
        let [first, second] = row.shares.map(|share| signed(share, 1.0));
        let verdict =
            if row.same_sign() { "agree in sign" } else { "DISAGREE in sign: the finding hangs on the scorer" };
        let ratio = row
            .size_ratio()
            .map_or(String::new(), |ratio| format!(", the smaller {:.0} % of the larger", ratio * 100.0));
        let [one, other] = &row.scorers;
        out += &format!("{} − {}: {one} {first}, {other} {second}: {verdict}{ratio}\n", row.group, row.reference);
    }
    out + &combinations(tables)
}

/// Interactions that the terminal shows.
const SHOWN_INTERACTIONS: usize = 5;

/// Up to this expected share of false ones, a screened row is worth a look (stats.md §10).
const WORTH_A_LOOK: f64 = 0.10;

const COMBINATION_COLUMNS: [Column; 7] = [
    ("combination", false),
    ("score", false),
    ("gap", true),
    ("additive", true),
    ("interaction", true),
    ("shrunken", true),
    ("q", true),
];

/// The largest interactions that noise does not explain, as shares of their ranges; with fewer than five combinations, those of a q that is
/// worth a look.
fn combinations(tables: &Tables) -> String {
    let all = &tables.intersections;
    if all.iter().all(|row| row.shrunk.is_none()) {
        return String::new();
    }
    let is_pooled = |row: &IntersectionRow| row.tau2 == Some(0.0);
    let stands_out = |row: &&IntersectionRow| match is_pooled(row) {
        true => row.q.is_some_and(|q| q <= WORTH_A_LOOK),
        false => row.shrunk.is_some(),
    };
    let size = |row: &IntersectionRow| {
        let value = if is_pooled(row) { row.interaction } else { row.shrunk };
        value.map_or(0.0, |value| value.abs() / row.width)
    };
    let mut rows: Vec<&IntersectionRow> = all.iter().filter(stands_out).collect();
    // Equal ones keep the order of their names.
    rows.sort_by(|a, b| size(b).total_cmp(&size(a)));
    rows.truncate(SHOWN_INTERACTIONS);
    let title = "\nCombinations (screening, not gated): ";
    if rows.is_empty() {
        return format!("{title}noise explains all interactions.\n");
    }
    let cells = |row: &&IntersectionRow| {
        let size = |value: Option<f64>| value.map_or("–".into(), |value| signed(value, row.width));
        vec![
            row.group.clone(),
            row.scorer.clone(),
            size(row.gap),
            size(row.additive),
            size(row.interaction),
            size(row.shrunk),
            row.q.map_or("–".into(), p_value),
        ]
    };
    let rows_of = table(&COMBINATION_COLUMNS, rows.iter().map(cells).collect());
    format!(
        "{title}the largest interactions,\nwhat the axes by themselves do not add up to; all are in intersections.csv:\n{rows_of}\
         shrunken: drawn to their mean by their share of noise; q: Benjamini-Hochberg.\n"
    )
}

const OMNIBUS_COLUMNS: [Column; 7] = [
    ("axis", false),
    ("score", false),
    ("groups", true),
    ("p", true),
    ("max − min", true),
    ("debiased", true),
    ("worst", false),
];

/// A line for each declared outcome on an axis of three groups or more, where a gap does not say it all; and decisions below four fifths.
fn all_groups(rows: &[OmnibusRow]) -> String {
    let mut out = String::new();
    let many: Vec<&OmnibusRow> = rows.iter().filter(|row| row.is_outcome && row.groups > 2).collect();
    if !many.is_empty() {
        let cells = |row: &&OmnibusRow| {
            let size = |value: Option<f64>| value.map_or(NONE.into(), |value| plain(value, row.width));
            vec![
                row.axis.clone(),
                row.scorer.clone(),
                row.groups.to_string(),
                row.p.map_or(NONE.into(), p_value),
                size(row.max_min),
                size(row.debiased),
                worst(row),
            ]
        };
        out += "\nAll groups together; p: labels shuffled inside the clusters, debiased: without\nwhat chance alone puts between the extremes of several groups:\n";
        out += &table(&OMNIBUS_COLUMNS, many.iter().map(cells).collect());
        if many.iter().any(|row| row.has_random_terms) {
            out += "p is about these terms only; debiased is about others of the kind too.\n";
        }
        if many.iter().any(|row| row.is_stable() == Some(false)) {
            out += "(share): the worst in only this share of resamples of the clusters, unstable.\n";
        }
        if many.iter().any(|row| row.worst_group.is_empty() && !row.lowest.is_empty()) {
            out += "a … b: the lowest and the highest, where no direction is declared.\n";
        }
    }
    for row in rows.iter().filter(|row| row.is_outcome && row.is_decision && row.four_fifths == Some(false)) {
        let Some(ratio) = row.ratio else { continue };
        let range = match (row.ratio_low, row.ratio_high) {
            (Some(low), Some(high)) => format!(" ({low:.2} … {high:.2})"),
            _ => String::new(),
        };
        let pair = match (row.lowest.as_str(), row.highest.as_str()) {
            ("", _) | (_, "") => "lowest / highest group".into(),
            (lowest, highest) => format!("{lowest} / {highest}"),
        };
        out += &format!("\n{} by {}: {pair} = {ratio:.2}{range},\n", row.scorer, row.axis);
        out += "below four fifths; a ratio is advisory and never gated.\n";
    }
    out
}

fn worst(row: &OmnibusRow) -> String {
    match (row.worst_group.as_str(), row.worst_share) {
        ("", _) if row.lowest.is_empty() || row.highest.is_empty() => "–".into(),
        ("", _) => format!("{} … {}", row.lowest, row.highest),
        (group, Some(share)) if row.is_stable() == Some(false) => format!("{group} ({:.0} %)", 100.0 * share),
        (group, _) => group.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> OmnibusRow {
        OmnibusRow {
            axis: "ethnicity".into(),
            scorer: "sentiment".into(),
            groups: 4,
            p: Some(0.012),
            max_min: Some(0.0312),
            debiased: Some(0.024),
            worst_group: "black".into(),
            worst_share: Some(0.62),
            lowest: "black".into(),
            highest: "white".into(),
            is_outcome: true,
            width: 1.0,
            ..OmnibusRow::default()
        }
    }

    #[test]
    fn three_groups_get_a_line_that_fits_and_two_groups_none() {
        let text = all_groups(&[row()]);
        assert!(text.contains("0.031") && text.contains("black (62 %)") && text.contains("unstable"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert_eq!(all_groups(&[OmnibusRow { groups: 2, ..row() }]), "");
        assert_eq!(all_groups(&[OmnibusRow { is_outcome: false, ..row() }]), "");
    }

    #[test]
    fn without_a_direction_both_ends_are_named() {
        let text = all_groups(&[OmnibusRow { worst_group: String::new(), worst_share: None, ..row() }]);
        assert!(text.contains("black … white") && !text.contains("unstable"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn only_a_decision_below_four_fifths_has_its_ratio_told() {
        let decision = OmnibusRow {
            groups: 2,
            scorer: "choice.yes".into(),
            is_decision: true,
            ratio: Some(0.71),
            ratio_low: Some(0.6),
            ratio_high: Some(0.83),
            four_fifths: Some(false),
            ..row()
        };
        let text = all_groups(std::slice::from_ref(&decision));
        assert!(text.contains("black / white = 0.71 (0.60 … 0.83)") && text.contains("never gated"), "{text}");
        assert_eq!(all_groups(&[OmnibusRow { four_fifths: Some(true), ..decision.clone() }]), "");
        assert_eq!(all_groups(&[OmnibusRow { is_decision: false, ..decision }]), "");
    }
}
