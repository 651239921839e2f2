//! Estimates the paired gap of a group and its standard error, with the names that carry a group as a random factor.

use std::collections::BTreeMap;
use std::ops::Range;

use super::interval::{BootstrapT, clipped, critical_value, rule_of_three};
use super::matrix::{Cell, Matrix};
use super::means::{self, sum};

/// Differences that deviate by no more than this from their mean (on a range of width 1) have no spread.
pub const NO_SPREAD: f64 = 1e-12;

/// With fewer terms in any group of the contrast, the gap is about these terms and their variance is not estimated:
/// two names a group give 19 % false disparities under the two-way formula.
pub const MIN_RANDOM_TERMS: usize = 3;

/// A group against the mean of others: one reference, or the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contrast {
    /// Index of a group in the matrix, as are `others`.
    pub group: usize,
    /// Not empty; each has the coefficient −1/len.
    pub others: Vec<usize>,
    /// True when groups share term ids as matched pairs (he/she, son/daughter).
    pub paired: bool,
}

/// The gap over the clusters that have every group of the contrast.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    /// Indices of the complete clusters.
    pub clusters: Vec<usize>,
    /// D_c = mean over the others h of (Y_cg − Y_ch), one a complete cluster.
    pub differences: Vec<f64>,
    /// mean D; parity is 0. `None` without a complete cluster.
    pub gap: Option<f64>,
    /// `None` below two complete clusters.
    pub error: Option<Error>,
}

/// What the standard error is made of; squares of the score's unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Error {
    /// Sample sd of D.
    pub sd: f64,
    /// var(D) / C
    pub v_cluster: f64,
    /// V_r; 0 when terms are not a random sample.
    pub v_term: f64,
    /// V_x, the part of V_r that cells alone explain.
    pub v_cell: f64,
    /// max(0, V_r − V_x)
    pub v_added: f64,
    /// √(V_c + V_added); 0 when every cluster shows the same difference.
    pub se: f64,
    /// Satterthwaite, in [1, C − 1]; C − 1 when nothing is added.
    pub df: f64,
}

impl Contrast {
    /// The contrast of groups by name; `None` where one of them is not in the matrix, or there is nothing to compare with.
    pub fn named(matrix: &Matrix, group: &str, others: &[&str], paired: bool) -> Option<Contrast> {
        let others: Vec<usize> = others.iter().map(|other| matrix.group(other)).collect::<Option<_>>()?;
        (!others.is_empty()).then_some(Contrast { group: matrix.group(group)?, others, paired })
    }

    fn groups(&self) -> impl Iterator<Item = (usize, f64)> {
        let share = -1.0 / self.others.len() as f64;
        std::iter::once((self.group, 1.0)).chain(self.others.iter().map(move |&other| (other, share)))
    }

    fn difference(&self, matrix: &Matrix, cluster: usize) -> Option<f64> {
        let own = matrix.cell(cluster, self.group)?.mean;
        // Differences first: groups with equal cells give exactly 0, and a swap changes nothing but the sign.
        let mut total = 0.0;
        for &other in &self.others {
            total += own - matrix.cell(cluster, other)?.mean;
        }
        Some(total / self.others.len() as f64)
    }
}

/// Paired gap and its variance. `width` is that of the score's range.
///
/// One-way: V_c = var(D)/C, C − 1 degrees of freedom; for balanced data the cluster-robust (CR1) variance of a
/// regression with cluster fixed effects (Miller 2024). Two-way, when each group has at least [`MIN_RANDOM_TERMS`] terms:
/// with coefficients a_g, μ_g = mean_c Y_cg, A_c = mean over the groups of (Y_cg − μ_g), e = z_cgr − A_c − μ_g,
/// w = a_g/(C n_cg), T_r = Σ_c w e: V_r = Σ_g R_g/(R_g−1) Σ_r T_r², V_x = Σ (w e)², V = V_c + max(0, V_r − V_x),
/// df = V² / (V_c²/(C−1) + Σ_g v_g²/(R_g−1)). Matched terms sum T_r over the groups, v = R/(R−1) Σ_r T_r².
/// Sources: Clark 1973; Judd, Westfall & Kenny 2012; Cameron, Gelbach & Miller 2011.
pub fn paired_gap(matrix: &Matrix, contrast: &Contrast, width: f64) -> Gap {
    paired_gap_over(matrix, contrast, width, 0..matrix.clusters.len())
}

/// As [`paired_gap`], over some of the clusters.
pub fn paired_gap_over(matrix: &Matrix, contrast: &Contrast, width: f64, clusters: Range<usize>) -> Gap {
    let (clusters, differences): (Vec<usize>, Vec<f64>) =
        clusters.filter_map(|cluster| Some((cluster, contrast.difference(matrix, cluster)?))).unzip();
    let gap = means::mean(&differences);
    let error = gap.and_then(|gap| error(matrix, contrast, &clusters, &differences, gap, width));
    Gap { clusters, differences, gap, error }
}

fn error(
    matrix: &Matrix,
    contrast: &Contrast,
    clusters: &[usize],
    differences: &[f64],
    gap: f64,
    width: f64,
) -> Option<Error> {
    let count = clusters.len() as f64;
    // Log-probabilities have no lower end; nats are of the size of one.
    let width = if width.is_finite() { width } else { 1.0 };
    let sd = means::sd(differences)?;
    let varies = differences.iter().any(|d| (d - gap).abs() > NO_SPREAD * width);
    let sd = if varies { sd } else { 0.0 };
    let v_cluster = sd * sd / count;
    let mut error = Error { sd, v_cluster, v_term: 0.0, v_cell: 0.0, v_added: 0.0, se: 0.0, df: count - 1.0 };
    if let Some(terms) = TermVariance::of(matrix, contrast, clusters) {
        error.v_term = sum(terms.by_group.iter().map(|&(v, _)| v));
        error.v_cell = terms.cells;
        let added = error.v_term - error.v_cell;
        // What rounding leaves of equal numbers is no variance.
        if added > (NO_SPREAD * width).powi(2) {
            error.v_added = added;
            let total = v_cluster + added;
            let spread = v_cluster * v_cluster / (count - 1.0)
                + sum(terms.by_group.iter().map(|&(v, distinct)| v * v / (distinct as f64 - 1.0)));
            error.df = (total * total / spread).clamp(1.0, (count - 1.0).max(1.0));
        }
    }
    error.se = (v_cluster + error.v_added).sqrt();
    Some(error)
}

struct TermVariance {
    /// (v, number of terms), one a group, or one in all for matched terms.
    by_group: Vec<(f64, usize)>,
    cells: f64,
}

impl TermVariance {
    /// `None` when some group has too few terms to be a sample of them.
    fn of(matrix: &Matrix, contrast: &Contrast, clusters: &[usize]) -> Option<TermVariance> {
        let mut groups: Vec<(usize, f64)> = contrast.groups().collect();
        // By index, so that a swap of group and reference sums in the same order.
        groups.sort_unstable_by_key(|&(group, _)| group);
        let cell = |cluster: usize, group: usize| -> Option<&Cell> { matrix.cell(cluster, group) };
        let mut group_means = Vec::with_capacity(groups.len());
        for &(group, _) in &groups {
            let values: Vec<f64> = clusters.iter().filter_map(|&c| Some(cell(c, group)?.mean)).collect();
            group_means.push(means::mean(&values)?);
        }
        let mut sums: Vec<BTreeMap<usize, f64>> = vec![BTreeMap::new(); groups.len()];
        let mut cells = 0.0;
        for &cluster in clusters {
            let mut level = 0.0;
            for (&(group, _), centre) in groups.iter().zip(&group_means) {
                level += cell(cluster, group)?.mean - centre;
            }
            level /= groups.len() as f64;
            for (slot, &(group, coefficient)) in groups.iter().enumerate() {
                let cell = cell(cluster, group)?;
                let weight = coefficient / (clusters.len() * cell.terms.len()) as f64;
                for &(term, score) in &cell.terms {
                    let part = weight * (score - level - group_means[slot]);
                    cells += part * part;
                    *sums[slot].entry(term).or_default() += part;
                }
            }
        }
        if sums.iter().any(|terms| terms.len() < MIN_RANDOM_TERMS) {
            return None;
        }
        if contrast.paired {
            let mut merged: BTreeMap<usize, f64> = BTreeMap::new();
            for (term, part) in sums.into_iter().flatten() {
                *merged.entry(term).or_default() += part;
            }
            sums = vec![merged];
        }
        let by_group = sums
            .iter()
            .map(|terms| {
                let distinct = terms.len() as f64;
                (distinct / (distinct - 1.0) * sum(terms.values().map(|t| t * t)), terms.len())
            })
            .collect();
        Some(TermVariance { by_group, cells })
    }
}

impl Gap {
    /// Half-width of the interval at `level`: the [`critical_value`] times the error, and without spread the [`rule_of_three`] of a range of
    /// `width`. `None` below two complete clusters.
    pub fn half(&self, level: f64, width: f64, bootstrap: Option<&BootstrapT>) -> Option<f64> {
        let error = self.error?;
        match error.se > 0.0 {
            true => Some(critical_value(error.df, level, bootstrap) * error.se),
            false => rule_of_three(width, self.clusters.len(), level),
        }
    }

    /// The gap ± [`Gap::half`], inside ±width.
    pub fn interval(&self, level: f64, width: f64, bootstrap: Option<&BootstrapT>) -> Option<(f64, f64)> {
        Some(clipped(self.gap?, self.half(level, width, bootstrap)?, width))
    }

    /// Variance with whole templates as the unit over the variance with clusters: above 1.5, few templates drive the
    /// gap. `[T/(T−1) Σ_t (Σ_{c∈t} (D_c − gap))² / C²] / V_c`; `None` with one template or without spread.
    pub fn template_design_effect(&self, matrix: &Matrix) -> Option<f64> {
        let (gap, error) = (self.gap?, self.error?);
        let mut by_template: BTreeMap<&str, f64> = BTreeMap::new();
        for (&cluster, d) in self.clusters.iter().zip(&self.differences) {
            *by_template.entry(&matrix.clusters[cluster].0).or_default() += d - gap;
        }
        let (templates, clusters) = (by_template.len() as f64, self.clusters.len() as f64);
        if by_template.len() < 2 || error.v_cluster == 0.0 {
            return None;
        }
        let squares = sum(by_template.values().map(|s| s * s));
        Some(templates / (templates - 1.0) * squares / (clusters * clusters) / error.v_cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::matrix::Sample;

    fn contrast(paired: bool) -> Contrast {
        Contrast { group: 0, others: vec![1], paired }
    }

    #[test]
    fn matched_terms_with_equal_scores_add_no_variance() {
        let mut samples = Vec::new();
        let contexts: Vec<String> = (0..20).map(|c| format!("c{c}")).collect();
        for (c, context) in contexts.iter().enumerate() {
            for (r, term) in ["a", "b", "c", "d"].into_iter().enumerate() {
                for group in ["g", "h"] {
                    let score = 0.1 * r as f64 + 0.01 * c as f64;
                    samples.push(Sample { template: "t", context, group, term, score });
                }
            }
        }
        let matrix = Matrix::of(samples);
        let matched = paired_gap(&matrix, &contrast(true), 1.0);
        assert_eq!((matched.gap, matched.error.map(|e| e.se)), (Some(0.0), Some(0.0)));
        // As names of their own, the same scores are two samples of a population of names.
        assert!(paired_gap(&matrix, &contrast(false), 1.0).error.unwrap().v_added > 0.0);
    }

    #[test]
    fn one_cluster_has_a_gap_and_no_error() {
        let sample = |group, score| Sample { template: "t", context: "c", group, term: group, score };
        let gap = paired_gap(&Matrix::of(vec![sample("g", 0.5), sample("h", 0.25)]), &contrast(false), 1.0);
        assert_eq!((gap.gap, gap.error), (Some(0.25), None));
    }

    #[test]
    fn clusters_without_one_of_the_groups_stay_out() {
        let sample = |context, group, score| Sample { template: "t", context, group, term: group, score };
        let matrix = Matrix::of(vec![sample("a", "g", 0.5), sample("a", "h", 0.25), sample("b", "g", 1.0)]);
        assert_eq!(paired_gap(&matrix, &contrast(false), 1.0).clusters, [0]);
    }
}
