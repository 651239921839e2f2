//! Measures what a scorer itself adds to a gap, and what is left of the gap without it.

use super::interval::{clipped, rule_of_three};
use super::means;
use super::student::{t_quantile, t_two_sided_p};

/// A scorer's own difference between two groups, on texts that differ in nothing but the group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Offset {
    /// Texts before a group is filled in.
    pub carriers: usize,
    /// Mean over carriers of (group's score − others' score); 0 is parity.
    pub offset: f64,
    /// t interval over carriers; `None` below two. Without any spread that of the rule of three: few carriers cannot exclude an offset
    /// on others.
    pub interval: Option<(f64, f64)>,
    /// 0 where every carrier shows the same difference; `None` below two carriers.
    pub se: Option<f64>,
    /// Carriers − 1.
    pub df: Option<f64>,
}

impl Offset {
    /// `differences` has one number a carrier, `width` is that of the score's range. `None` without carriers.
    pub fn of(differences: &[f64], width: f64, level: f64) -> Option<Offset> {
        let offset = means::mean(differences)?;
        let carriers = differences.len();
        let bare = Offset { carriers, offset, interval: None, se: None, df: None };
        let Some(sd) = means::sd(differences) else { return Some(bare) };
        let scale = if width.is_finite() { width } else { 1.0 };
        let varies = differences.iter().any(|d| (d - offset).abs() > super::gap::NO_SPREAD * scale);
        let (se, df) = (if varies { sd / (carriers as f64).sqrt() } else { 0.0 }, (carriers - 1) as f64);
        let half =
            if varies { Some(t_quantile(0.5 + 0.5 * level, df) * se) } else { rule_of_three(width, carriers, level) };
        Some(Offset { interval: half.map(|half| clipped(offset, half, width)), se: Some(se), df: Some(df), ..bare })
    }

    /// Whether the offset is larger than half of the gap: then the scorer could be more of the gap than the model (stats.md §14).
    pub fn explains(offset: f64, gap: f64) -> bool {
        offset.abs() > 0.5 * gap.abs()
    }
}

/// A gap without the scorer's offset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Corrected {
    /// gap − offset
    pub gap: f64,
    pub interval: (f64, f64),
    pub se: f64,
    pub df: f64,
    pub p: f64,
}

/// gap − offset with the variances of both: V = se_g² + se_o², df = V² / (se_g⁴/df_g + se_o⁴/df_o) (Welch 1947), t interval and p.
///
/// `None` without an error of both, or when neither varies.
pub fn corrected(gap: f64, se: f64, df: f64, offset: &Offset, width: f64, level: f64) -> Option<Corrected> {
    let (v_gap, v_offset) = (se * se, offset.se?.powi(2));
    let total = v_gap + v_offset;
    if total == 0.0 {
        return None;
    }
    let df = total * total / (v_gap * v_gap / df + v_offset * v_offset / offset.df?);
    let (left, se) = (gap - offset.offset, total.sqrt());
    let half = t_quantile(0.5 + 0.5 * level, df) * se;
    Some(Corrected { gap: left, interval: clipped(left, half, width), se, df, p: t_two_sided_p(left / se, df) })
}

/// The scorer's offset that would take the finding away: the end of the gap's interval that is nearer to 0. `None` where the interval
/// holds 0, so that there is no finding.
pub fn tipping_offset(low: f64, high: f64) -> Option<f64> {
    if low > 0.0 {
        Some(low)
    } else if high < 0.0 {
        Some(high)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_carrier_has_an_offset_and_no_interval_and_none_has_nothing() {
        let one = Offset::of(&[0.25], 1.0, 0.95).unwrap();
        assert_eq!((one.offset, one.interval, one.se), (0.25, None, None));
        assert_eq!(Offset::of(&[], 1.0, 0.95), None);
        assert_eq!(corrected(0.5, 0.1, 20.0, &one, 1.0, 0.95), None);
    }

    #[test]
    fn carriers_that_all_show_nothing_leave_the_gap_and_still_have_an_interval() {
        let none = Offset::of(&[0.0; 24], 1.0, 0.95).unwrap();
        assert_eq!((none.offset, none.se), (0.0, Some(0.0)));
        assert!(none.interval.unwrap().1 > 0.1);
        let left = corrected(0.5, 0.1, 20.0, &none, 1.0, 0.95).unwrap();
        assert_eq!((left.gap, left.df), (0.5, 20.0));
        assert!((left.se - 0.1).abs() < 1e-12);
    }

    #[test]
    fn the_tipping_offset_is_the_nearer_end_and_there_is_none_without_a_finding() {
        assert_eq!(tipping_offset(0.02, 0.1), Some(0.02));
        assert_eq!(tipping_offset(-0.1, -0.02), Some(-0.02));
        assert_eq!(tipping_offset(-0.01, 0.1), None);
    }

    #[test]
    fn more_than_half_of_the_gap_is_explained_in_either_direction() {
        assert!(Offset::explains(0.03, 0.05) && Offset::explains(-0.03, 0.05) && Offset::explains(0.01, 0.0));
        assert!(!Offset::explains(0.025, 0.05) && !Offset::explains(0.0, 0.0));
    }
}
