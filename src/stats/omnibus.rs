//! Asks whether any group differs: repeated-measures F and Friedman's test, beside the permutation test that is the default.
//!
//! The p that counts is [`super::blocked_permutation`]'s; these two are printed for those who compare with other
//! software. No omnibus p opens or closes a gate: Holm over the gaps needs no gatekeeper.

use super::complete::{Centred, Complete};
use super::gap::NO_SPREAD;
use super::means::sum;
use super::student::{chi_squared_upper_p, f_upper_p};

/// Repeated-measures analysis of variance, one cell a cluster and group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RepeatedMeasures {
    /// Expected near 1 when no group differs.
    pub f: f64,
    /// k − 1
    pub df: f64,
    /// (C − 1)(k − 1)
    pub df_error: f64,
    /// Of the F distribution: sphericity is assumed, and names are taken as fixed.
    pub p: f64,
}

/// F = [C Σ_g m_g² / (k−1)] / [Σ_cg (e_cg − m_g)² / ((C−1)(k−1))] with e_cg = Y_cg − Y_c· and m_g = mean_c e_cg
/// (Fisher 1925; as statsmodels' AnovaRM). `None` below two clusters or groups, and where every cluster shows the same differences.
pub fn repeated_measures(cells: &Centred) -> Option<RepeatedMeasures> {
    if cells.clusters < 2 || cells.groups < 2 {
        return None;
    }
    let means = cells.means();
    let (df, clusters) = (cells.groups as f64 - 1.0, cells.clusters as f64);
    let df_error = df * (clusters - 1.0);
    let left = |row: &[f64]| sum(row.iter().zip(&means).map(|(value, mean)| (value - mean).powi(2)));
    let error = sum(cells.rows().map(left));
    // Deviations are shares of the largest one: what rounding leaves of equal ones is no spread.
    if error <= (NO_SPREAD * NO_SPREAD) * clusters {
        return None;
    }
    let f = (clusters * sum(means.iter().map(|mean| mean * mean)) / df) / (error / df_error);
    Some(RepeatedMeasures { f, df, df_error, p: f_upper_p(f, df, df_error) })
}

/// Friedman's test on ranks inside the clusters, for scores whose steps are not of one size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Friedman {
    /// With k − 1 degrees of freedom.
    pub chi_squared: f64,
    /// Of the χ² distribution, an approximation below about ten clusters.
    pub p: f64,
    /// Kendall's W = χ² / (C (k − 1)): 0 when ranks agree no more than by chance, 1 when every cluster ranks alike.
    pub kendall_w: f64,
}

/// χ² = [12 / (C k (k+1)) Σ_g R_g² − 3 C (k+1)] / [1 − Σ (t³ − t) / (C k (k² − 1))], R_g the sum of the group's mean ranks,
/// t the size of each tie (Friedman 1937; Kendall & Babington Smith 1939; tie correction as scipy's).
///
/// Cells that differ by at most [`NO_SPREAD`] of `width` are tied. `None` below two clusters or groups, and where all are tied.
pub fn friedman(cells: &Complete, width: f64) -> Option<Friedman> {
    let (k, clusters) = (cells.groups.len() as f64, cells.clusters.len() as f64);
    if cells.groups.len() < 2 || cells.clusters.len() < 2 {
        return None;
    }
    let tie = NO_SPREAD * if width.is_finite() { width } else { 1.0 };
    let mut totals = vec![0.0; cells.groups.len()];
    let mut tied = 0.0;
    for row in cells.rows() {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_unstable_by(|&a, &b| row[a].total_cmp(&row[b]));
        let mut below = 0.0;
        for equal in order.chunk_by(|&a, &b| (row[b] - row[a]).abs() <= tie) {
            let size = equal.len() as f64;
            equal.iter().for_each(|&slot| totals[slot] += below + 0.5 * (size + 1.0));
            below += size;
            tied += size * size * size - size;
        }
    }
    let correction = 1.0 - tied / (clusters * k * (k * k - 1.0));
    if correction <= 0.0 {
        return None;
    }
    let squares: f64 = totals.iter().map(|total| total * total).sum();
    let plain = 12.0 / (clusters * k * (k + 1.0)) * squares - 3.0 * clusters * (k + 1.0);
    let chi_squared = (plain / correction).max(0.0);
    Some(Friedman {
        chi_squared,
        p: chi_squared_upper_p(chi_squared, k - 1.0),
        kendall_w: chi_squared / (clusters * (k - 1.0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::matrix::{Matrix, Sample};

    fn cells(rows: &[[f64; 3]]) -> Complete {
        let contexts: Vec<String> = (0..rows.len()).map(|c| format!("c{c}")).collect();
        let mut samples = Vec::new();
        for (context, row) in contexts.iter().zip(rows) {
            let of_row = ["a", "b", "c"].into_iter().zip(row);
            samples.extend(of_row.map(|(group, &score)| Sample { template: "t", context, group, term: "", score }));
        }
        let matrix = Matrix::of(samples);
        Complete::of(&matrix, &(0..matrix.groups.len()).collect::<Vec<_>>())
    }

    #[test]
    fn clusters_that_all_rank_alike_agree_completely() {
        let all = friedman(&cells(&[[0.1, 0.2, 0.3], [0.5, 0.7, 0.9], [0.0, 0.4, 0.5]]), 1.0).unwrap();
        assert_eq!((all.kendall_w, all.chi_squared), (1.0, 6.0));
    }

    #[test]
    fn without_spread_or_with_one_cluster_there_is_no_test() {
        for rows in [&[[0.2; 3], [0.7; 3]][..], &[[0.1, 0.2, 0.3]], &[]] {
            let cells = cells(rows);
            assert_eq!((friedman(&cells, 1.0), repeated_measures(&cells.centred(1.0))), (None, None));
        }
        // A gap without any spread: ranks agree, F would divide by 0.
        let constant = cells(&[[0.1, 0.2, 0.3], [0.5, 0.6, 0.7]]);
        assert!(friedman(&constant, 1.0).is_some() && repeated_measures(&constant.centred(1.0)).is_none());
    }
}
