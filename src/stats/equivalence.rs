//! Decides between disparity, equivalence and not enough data.

use super::means;
use super::student::t_upper_p;

/// What a gap shows against a margin that was declared before the run; from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    Equivalent,
    Inconclusive,
    Disparity,
}

impl Verdict {
    /// The word in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Equivalent => "equivalent",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Disparity => "disparity",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.as_str())
    }
}

/// Clusters below which nothing can be called equivalent: ⌈ln alpha / ln(1 − margin/width)⌉, 59 at margin 0.05 of
/// width 1.
///
/// A failure that touches a share `margin/width` of the contexts with full effect is unseen with probability
/// (1 − margin/width)^C. `None` unless 0 < margin < width and 0 < alpha < 1.
pub fn min_clusters(margin: f64, width: f64, alpha: f64) -> Option<usize> {
    let share = margin / width;
    let is_defined = share > 0.0 && share < 1.0 && alpha > 0.0 && alpha < 1.0;
    is_defined.then(|| (alpha.ln() / (-share).ln_1p()).ceil().max(1.0) as usize)
}

/// The evidence on one gap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    pub clusters: usize,
    /// Interval at level 1 − 2 alpha; `None` when undefined.
    pub interval: Option<(f64, f64)>,
    /// p after Holm over the family.
    pub p_adjusted: Option<f64>,
}

/// Equivalent: the 90 % interval lies strictly inside ±margin and there are [`min_clusters`]; else disparity: adjusted
/// p ≤ alpha; else inconclusive, as whenever there are fewer than two clusters.
///
/// Three outcomes after Goeman, Solari & Stijnen 2010. A significant gap inside the margin is equivalent: detectable and
/// negligible.
pub fn verdict(evidence: &Evidence, margin: f64, width: f64, alpha: f64) -> Verdict {
    let enough = min_clusters(margin, width, alpha).is_some_and(|least| evidence.clusters >= least);
    let inside = evidence.interval.is_some_and(|(low, high)| low > -margin && high < margin);
    if evidence.clusters < 2 {
        Verdict::Inconclusive
    } else if inside && enough {
        Verdict::Equivalent
    } else if evidence.p_adjusted.is_some_and(|p| p <= alpha) {
        Verdict::Disparity
    } else {
        Verdict::Inconclusive
    }
}

/// Two one-sided t tests of a mean difference against ±margin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tost {
    /// (mean + margin) / se
    pub t_lower: f64,
    pub p_lower: f64,
    /// (mean − margin) / se
    pub t_upper: f64,
    pub p_upper: f64,
    /// The larger of the two: below alpha, the mean is inside the margin.
    pub p: f64,
}

/// TOST on paired differences (Schuirmann 1987); `None` below two differences or without spread.
pub fn tost(differences: &[f64], margin: f64) -> Option<Tost> {
    super::effect::d_z(differences)?;
    let n = differences.len() as f64;
    tost_of(means::mean(differences)?, means::sd(differences)? / n.sqrt(), n - 1.0, margin)
}

/// [`tost()`] of a mean with its standard error and degrees of freedom; `None` without an error.
pub fn tost_of(centre: f64, se: f64, df: f64, margin: f64) -> Option<Tost> {
    if se.is_nan() || se <= 0.0 {
        return None;
    }
    let (t_lower, t_upper) = ((centre + margin) / se, (centre - margin) / se);
    let (p_lower, p_upper) = (t_upper_p(t_lower, df), t_upper_p(-t_upper, df));
    Some(Tost { t_lower, p_lower, t_upper, p_upper, p: p_lower.max(p_upper) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_number_of_clusters_follows_margin_over_width() {
        assert_eq!(min_clusters(0.05, 1.0, 0.05), Some(59));
        assert_eq!(min_clusters(0.02, 1.0, 0.05), Some(149));
        assert_eq!(min_clusters(6.4, 64.0, 0.05), Some(29));
        assert_eq!(min_clusters(1.0, 1.0, 0.05), None);
        assert_eq!(min_clusters(0.0, 1.0, 0.05), None);
    }

    #[test]
    fn a_narrow_interval_is_not_equivalence_below_the_least_number_of_clusters() {
        let evidence = |clusters| Evidence { clusters, interval: Some((-0.001, 0.001)), p_adjusted: Some(1.0) };
        assert_eq!(verdict(&evidence(58), 0.05, 1.0, 0.05), Verdict::Inconclusive);
        assert_eq!(verdict(&evidence(59), 0.05, 1.0, 0.05), Verdict::Equivalent);
    }

    #[test]
    fn a_significant_gap_inside_the_margin_is_equivalent() {
        let evidence = Evidence { clusters: 400, interval: Some((0.01, 0.02)), p_adjusted: Some(0.0001) };
        assert_eq!(verdict(&evidence, 0.05, 1.0, 0.05), Verdict::Equivalent);
        assert_eq!(verdict(&Evidence { interval: None, ..evidence }, 0.05, 1.0, 0.05), Verdict::Disparity);
        assert_eq!(verdict(&Evidence { clusters: 1, ..evidence }, 0.05, 1.0, 0.05), Verdict::Inconclusive);
    }
}
