//! Compares the gaps of two versions of a model that were asked the same: A is the base, B the candidate.

use super::equivalence::min_clusters;
use super::gap::{Contrast, Gap, NO_SPREAD, paired_gap};
use super::matrix::{Matrix, Sample};
use super::means;
use super::student::t_upper_p;

/// The cells of two versions, of the terms that both have a score for; clusters, groups and terms are the same in all four.
#[derive(Debug, Clone, PartialEq)]
pub struct Versions {
    pub base: Matrix,
    pub candidate: Matrix,
    /// z_B − z_A: its gaps are differences in disparity, in which what prompts and terms add to both versions cancels.
    pub change: Matrix,
    /// z_B + z_A, which a gap is compared by that changed its sign.
    pub total: Matrix,
}

impl Versions {
    /// Joins on template, context, group and term; a cell that one version lacks is left out of the other.
    pub fn of(base: &Matrix, candidate: &Matrix) -> Versions {
        let groups: Vec<Option<usize>> = base.groups.iter().map(|name| candidate.group(name)).collect();
        let terms: Vec<Option<usize>> =
            base.terms.iter().map(|name| candidate.terms.binary_search(name).ok()).collect();
        let (mut a, mut b, mut change, mut total) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (cluster, place) in base.clusters.iter().enumerate() {
            let Ok(same_cluster) = candidate.clusters.binary_search(place) else { continue };
            for (group, same_group) in groups.iter().enumerate() {
                let (Some(cell), Some(same_group)) = (base.cell(cluster, group), same_group) else { continue };
                let Some(same_cell) = candidate.cell(same_cluster, *same_group) else { continue };
                for &(term, z_a) in &cell.terms {
                    let found = terms[term].and_then(|term| same_cell.terms.binary_search_by_key(&term, |t| t.0).ok());
                    let Some(found) = found else { continue };
                    let z_b = same_cell.terms[found].1;
                    let sample = |score| Sample {
                        template: &place.0,
                        context: &place.1,
                        group: &base.groups[group],
                        term: &base.terms[term],
                        score,
                    };
                    a.push(sample(z_a));
                    b.push(sample(z_b));
                    change.push(sample(z_b - z_a));
                    total.push(sample(z_b + z_a));
                }
            }
        }
        Versions { base: Matrix::of(a), candidate: Matrix::of(b), change: Matrix::of(change), total: Matrix::of(total) }
    }

    /// See [`Matrix::by_template`].
    pub fn by_template(&self, groups: &[usize]) -> Versions {
        Versions {
            base: self.base.by_template(groups),
            candidate: self.candidate.by_template(groups),
            change: self.change.by_template(groups),
            total: self.total.by_template(groups),
        }
    }
}

/// How the gap of one contrast changed; gaps are over the clusters that have every group of the contrast in both versions.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub base: Gap,
    pub candidate: Gap,
    /// The gap of z_B − z_A: the difference in disparity. Parity, here no change, is 0.
    pub change: Gap,
    /// The gap of z_B + z_A.
    pub total: Gap,
    width: f64,
}

/// The paired gaps of both versions, of their difference and of their sum, each with the error of [`paired_gap`]: where terms are a random
/// sample, so are their changes. `width` is that of the score's range.
pub fn change(versions: &Versions, contrast: &Contrast, width: f64) -> Change {
    let gap = |matrix: &Matrix| paired_gap(matrix, contrast, width);
    Change {
        base: gap(&versions.base),
        candidate: gap(&versions.candidate),
        change: gap(&versions.change),
        total: gap(&versions.total),
        width,
    }
}

impl Change {
    /// p that B's gap is no larger in size than A's: max over t = ±1 of the one-sided p of mean(sign(gap_B) D_B − t D_A) > 0.
    ///
    /// Of the two, t = sign(gap_B) is the change of a gap that kept its sign, the other that of one that turned over; |gap_B| > |gap_A|
    /// needs both (an intersection-union test, Berger 1982). One-sided t test with the error of the gap; without spread 2^−C for a mean
    /// above 0, as the sign-flip test, else 1. `None` below two clusters.
    pub fn p_regression(&self) -> Option<f64> {
        signs(self.candidate.gap?)
            .iter()
            .map(|&sign| Some(self.p_above(&self.change, sign)?.max(self.p_above(&self.total, sign)?)))
            .try_fold(0.0_f64, |largest, p| Some(largest.max(p?)))
    }

    /// [`Change::p_regression`] with A and B swapped.
    pub fn p_improvement(&self) -> Option<f64> {
        signs(self.base.gap?)
            .iter()
            .map(|&sign| Some(self.p_above(&self.change, -sign)?.max(self.p_above(&self.total, sign)?)))
            .try_fold(0.0_f64, |largest, p| Some(largest.max(p?)))
    }

    /// |gap_B| − |gap_A|; 0 is no change in size.
    pub fn in_size(&self) -> Option<f64> {
        Some(self.candidate.gap?.abs() - self.base.gap?.abs())
    }

    /// Upper bound of |gap_B| − |gap_A|: max over s = ±1 of the upper end of the t interval at `level` of
    /// mean(s D_B − sign(gap_A) D_A); at most the width of the range. `None` below two clusters.
    ///
    /// The end of the two-sided interval: with a one-sided limit the bound fails in 9.9 % instead of 5 % of cases at gap_A = 0. Without
    /// spread the half-width is the rule of three of the score's range.
    pub fn upper(&self, level: f64) -> Option<f64> {
        let (change, total) = (self.change.half(level, self.width, None)?, self.total.half(level, self.width, None)?);
        let (of_change, of_total) = (self.change.gap?, self.total.gap?);
        let ends = signs(self.base.gap?).iter().map(|&sign| (sign * of_change + change).max(total - sign * of_total));
        Some(ends.fold(f64::NEG_INFINITY, f64::max).min(self.width))
    }

    /// Pearson correlation of D_A and D_B, what pairing gains from; `None` without spread in either.
    pub fn correlation(&self) -> Option<f64> {
        let (a, b) = (&self.base, &self.candidate);
        let (sd_a, sd_b) = (a.error?.sd, b.error?.sd);
        let (mean_a, mean_b) = (a.gap?, b.gap?);
        let products = a.differences.iter().zip(&b.differences).map(|(x, y)| (x - mean_a) * (y - mean_b));
        let covariance = means::sum(products) / (a.differences.len() as f64 - 1.0);
        (sd_a > 0.0 && sd_b > 0.0).then(|| covariance / (sd_a * sd_b))
    }

    /// The standard error that two runs on different prompts would have had: √(V_A + V_B).
    pub fn se_unpaired(&self) -> Option<f64> {
        let (a, b) = (self.base.error?.se, self.candidate.error?.se);
        Some((a * a + b * b).sqrt())
    }

    /// One-sided p of sign · gap > 0.
    fn p_above(&self, gap: &Gap, sign: f64) -> Option<f64> {
        let (centre, error) = (sign * gap.gap?, gap.error?);
        Some(if error.se > 0.0 {
            t_upper_p(centre / error.se, error.df)
        } else if centre > NO_SPREAD * self.finite_width() {
            0.5_f64.powi(gap.clusters.len() as i32)
        } else {
            1.0
        })
    }

    fn finite_width(&self) -> f64 {
        if self.width.is_finite() { self.width } else { 1.0 }
    }
}

/// The sign of a gap; of one that is 0 both, so that what follows holds for either.
fn signs(gap: f64) -> &'static [f64] {
    match gap {
        gap if gap > 0.0 => &[1.0],
        gap if gap < 0.0 => &[-1.0],
        _ => &[1.0, -1.0],
    }
}

/// What a change of a gap shows; from best to worst, so that the worst of a suite is the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeVerdict {
    NoRegression,
    Improved,
    Inconclusive,
    Regression,
}

impl ChangeVerdict {
    /// The word in files.
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeVerdict::NoRegression => "no_regression",
            ChangeVerdict::Improved => "improved",
            ChangeVerdict::Inconclusive => "inconclusive",
            ChangeVerdict::Regression => "regression",
        }
    }
}

/// The evidence on one change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangeEvidence {
    pub clusters: usize,
    /// After Holm over the family, each by itself.
    pub p_regression: Option<f64>,
    pub p_improvement: Option<f64>,
    /// See [`Change::upper`].
    pub upper: Option<f64>,
    /// The candidate's own gap is equivalent to none.
    pub is_equivalent: bool,
    /// The versions differ in what they leave unscored.
    pub is_missing_otherwise: bool,
}

/// Regression: adjusted p_regression ≤ alpha and B is not equivalent. Improved: adjusted p_improvement ≤ alpha. No regression: B is
/// equivalent, or the gap grew by less than the margin (`upper` < margin) with as many clusters as equivalence needs. Else inconclusive.
///
/// Both good verdicts need versions that leave the same unscored. The least number of clusters guards the bound for the reason for which it
/// guards equivalence: harm in a share margin/width of the contexts is in none of C clusters with probability (1 − margin/width)^C,
/// whatever their spread says.
pub fn verdict(evidence: &ChangeEvidence, margin: f64, width: f64, alpha: f64) -> ChangeVerdict {
    let is_small = |p: Option<f64>| p.is_some_and(|p| p <= alpha);
    let enough = min_clusters(margin, width, alpha).is_some_and(|least| evidence.clusters >= least);
    let is_bounded = enough && evidence.upper.is_some_and(|upper| upper < margin);
    if evidence.clusters < 2 {
        ChangeVerdict::Inconclusive
    } else if is_small(evidence.p_regression) && !evidence.is_equivalent {
        ChangeVerdict::Regression
    } else if evidence.is_missing_otherwise {
        ChangeVerdict::Inconclusive
    } else if is_small(evidence.p_improvement) {
        ChangeVerdict::Improved
    } else if evidence.is_equivalent || is_bounded {
        ChangeVerdict::NoRegression
    } else {
        ChangeVerdict::Inconclusive
    }
}

/// The level of both sides of a contrast: (Y_g + mean of the others' Y)/2, one a cluster that has them all.
pub fn levels(matrix: &Matrix, contrast: &Contrast) -> Vec<f64> {
    let level = |cluster: usize| {
        let others = contrast.others.iter().map(|&other| Some(matrix.cell(cluster, other)?.mean));
        let others = means::sum(others.collect::<Option<Vec<_>>>()?) / contrast.others.len() as f64;
        Some(0.5 * (matrix.cell(cluster, contrast.group)?.mean + others))
    };
    (0..matrix.clusters.len()).filter_map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clusters of (group, reference).
    fn matrix(cells: &[[f64; 2]]) -> Matrix {
        let contexts: Vec<String> = (0..cells.len()).map(|c| format!("{c:03}")).collect();
        let samples = cells.iter().zip(&contexts).flat_map(|(cell, context)| {
            ["g", "r"].into_iter().zip(*cell).map(|(group, score)| Sample {
                template: "t",
                context,
                group,
                term: group,
                score,
            })
        });
        Matrix::of(samples.collect())
    }

    fn of(base: &[[f64; 2]], candidate: &[[f64; 2]]) -> Change {
        let versions = Versions::of(&matrix(base), &matrix(candidate));
        change(&versions, &Contrast { group: 0, others: vec![1], paired: false }, 1.0)
    }

    fn cells(gap: f64, count: usize) -> Vec<[f64; 2]> {
        (0..count)
            .map(|c| {
                let noise = 0.03 * ((c * 37 % 41) as f64 / 41.0 - 0.5);
                [0.5 + gap + noise, 0.5 + 0.4 * noise]
            })
            .collect()
    }

    #[test]
    fn the_same_answers_changed_by_exactly_nothing() {
        let a = cells(0.1, 30);
        let same = of(&a, &a);
        assert_eq!((same.change.gap, same.change.error.unwrap().se, same.in_size()), (Some(0.0), 0.0, Some(0.0)));
        assert_eq!((same.p_regression(), same.p_improvement()), (Some(1.0), Some(1.0)));
    }

    #[test]
    fn swapping_the_versions_swaps_regression_and_improvement() {
        let noisy = |shift: usize| -> Vec<[f64; 2]> {
            cells(0.0, 40).iter().enumerate().map(|(c, [g, r])| [g + 0.01 * ((c * shift % 7) as f64), *r]).collect()
        };
        let (forth, back) = (of(&noisy(3), &noisy(5)), of(&noisy(5), &noisy(3)));
        assert_eq!(forth.p_regression(), back.p_improvement());
        assert_eq!(forth.change.gap, back.change.gap.map(|gap| -gap));
    }

    #[test]
    fn swapping_group_and_reference_changes_no_p_and_no_bound() {
        let swap = |cells: &[[f64; 2]]| cells.iter().map(|[g, r]| [*r, *g]).collect::<Vec<_>>();
        for (a, b) in [(0.1, 0.02), (0.05, -0.06), (0.0, 0.0)] {
            let (a, b) = (cells(a, 25), cells(b, 25).into_iter().rev().collect::<Vec<_>>());
            let (one, other) = (of(&a, &b), of(&swap(&a), &swap(&b)));
            assert_eq!(one.p_regression(), other.p_regression());
            assert_eq!(one.p_improvement(), other.p_improvement());
            assert_eq!(one.upper(0.95), other.upper(0.95));
        }
    }

    #[test]
    fn a_gap_that_only_turned_over_is_neither_larger_nor_smaller() {
        let turned: Vec<[f64; 2]> = cells(-0.1, 60).into_iter().rev().collect();
        let change = of(&cells(0.1, 60), &turned);
        assert!(change.change.gap.unwrap() < -0.19);
        assert!(change.p_regression().unwrap() > 0.2 && change.p_improvement().unwrap() > 0.2);
    }

    #[test]
    fn cells_that_one_version_lacks_are_left_out_of_both() {
        let (a, b) = (cells(0.1, 10), cells(0.1, 8));
        let change = of(&a, &b);
        assert_eq!((change.base.clusters.len(), change.change.gap), (8, Some(0.0)));
        assert_eq!(of(&a, &[]).change.gap, None);
        assert_eq!(of(&a[..1], &a[..1]).p_regression(), None);
    }

    #[test]
    fn few_clusters_show_no_regression_only_by_a_small_p_and_never_by_a_bound() {
        let evidence = ChangeEvidence {
            clusters: 58,
            p_regression: Some(1.0),
            p_improvement: Some(1.0),
            upper: Some(0.01),
            is_equivalent: false,
            is_missing_otherwise: false,
        };
        let verdict = |evidence: ChangeEvidence| verdict(&evidence, 0.05, 1.0, 0.05);
        assert_eq!(verdict(evidence), ChangeVerdict::Inconclusive);
        let enough = ChangeEvidence { clusters: 59, ..evidence };
        assert_eq!(verdict(enough), ChangeVerdict::NoRegression);
        assert_eq!(verdict(ChangeEvidence { upper: Some(0.05), ..enough }), ChangeVerdict::Inconclusive);
        assert_eq!(verdict(ChangeEvidence { is_missing_otherwise: true, ..enough }), ChangeVerdict::Inconclusive);
        let grown = ChangeEvidence { p_regression: Some(0.01), ..evidence };
        assert_eq!(verdict(grown), ChangeVerdict::Regression);
        assert_eq!(verdict(ChangeEvidence { is_equivalent: true, ..grown }), ChangeVerdict::NoRegression);
        let shrunk = ChangeEvidence { p_improvement: Some(0.01), clusters: 8, ..evidence };
        assert_eq!(verdict(shrunk), ChangeVerdict::Improved);
        assert_eq!(verdict(ChangeEvidence { clusters: 1, ..shrunk }), ChangeVerdict::Inconclusive);
    }
}
