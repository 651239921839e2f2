//! Lays out the clusters that have every group as one flat table, for statistics over all groups at once.

use super::gap::NO_SPREAD;
use super::matrix::Matrix;
use super::means::sum;

/// Cell means Y_cg of the complete clusters, in the matrix's order of clusters.
#[derive(Debug, Clone, PartialEq)]
pub struct Complete {
    /// Indices of the groups in the matrix, in the order asked for.
    pub groups: Vec<usize>,
    /// Indices of the clusters that have a cell of each of the groups.
    pub clusters: Vec<usize>,
    /// One cluster after the other.
    values: Vec<f64>,
}

impl Complete {
    pub fn of(matrix: &Matrix, groups: &[usize]) -> Complete {
        let (mut clusters, mut values) = (Vec::new(), Vec::new());
        if !groups.is_empty() {
            for cluster in 0..matrix.clusters.len() {
                let row: Option<Vec<f64>> =
                    groups.iter().map(|&group| Some(matrix.cell(cluster, group)?.mean)).collect();
                if let Some(row) = row {
                    clusters.push(cluster);
                    values.extend(row);
                }
            }
        }
        Complete { groups: groups.to_vec(), clusters, values }
    }

    /// The cells of each cluster, one a group.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> + Clone {
        self.values.chunks_exact(self.groups.len().max(1))
    }

    /// Each group's mean over the clusters; `None` without a cluster.
    pub fn means(&self) -> Option<Vec<f64>> {
        let count = self.clusters.len() as f64;
        let mean = |slot: usize| sum(self.rows().map(|row| row[slot])) / count;
        (!self.clusters.is_empty()).then(|| (0..self.groups.len()).map(mean).collect())
    }

    /// What is left when each cluster's level is taken away. `width` is that of the score's range.
    pub fn centred(&self, width: f64) -> Centred {
        let groups = self.groups.len();
        let mut values = Vec::with_capacity(self.values.len());
        for row in self.rows() {
            // By size, so that the order of the groups changes no bit.
            let mut sorted = row.to_vec();
            sorted.sort_unstable_by(f64::total_cmp);
            // Differences first, as in a gap: equal cells leave exactly 0.
            let deviation = |own: &f64| sorted.iter().map(|other| own - other).sum::<f64>() / groups as f64;
            values.extend(row.iter().map(deviation));
        }
        let largest = values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        let width = if width.is_finite() { width } else { 1.0 };
        let unit = if largest > NO_SPREAD * width { largest } else { 0.0 };
        values.iter_mut().for_each(|value| *value = if unit > 0.0 { *value / unit } else { 0.0 });
        Centred { groups, clusters: self.clusters.len(), values, unit }
    }
}

/// Deviations of the cells from their cluster's mean over groups, e_cg = Y_cg − Y_c·, as shares of the largest one, so
/// that scores of any size have squares.
#[derive(Debug, Clone, PartialEq)]
pub struct Centred {
    pub groups: usize,
    pub clusters: usize,
    /// One cluster after the other, within ±1; all 0 where no cell differs from its cluster by more than
    /// [`NO_SPREAD`] of the range.
    pub values: Vec<f64>,
    /// What a value of 1 stands for, in the score's unit; 0 where nothing differs.
    pub unit: f64,
}

impl Centred {
    /// The deviations of each cluster.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> + Clone {
        self.values.chunks_exact(self.groups.max(1))
    }

    /// Each group's mean deviation, in shares of `unit`; all 0 without a cluster.
    pub fn means(&self) -> Vec<f64> {
        let count = self.clusters.max(1) as f64;
        (0..self.groups).map(|slot| sum(self.rows().map(|row| row[slot])) / count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::matrix::Sample;

    #[test]
    fn clusters_that_lack_a_group_stay_out() {
        let sample = |context, group, score| Sample { template: "t", context, group, term: group, score };
        let matrix = Matrix::of(vec![
            sample("a", "g", 0.1),
            sample("a", "h", 0.3),
            sample("b", "g", 0.9),
            sample("c", "g", 0.3),
            sample("c", "h", 0.3),
        ]);
        let complete = Complete::of(&matrix, &[0, 1]);
        assert_eq!(complete.clusters, [0, 2]);
        assert_eq!(complete.means(), Some(vec![0.2, 0.3]));
        assert_eq!(complete.centred(1.0).values, [-1.0, 1.0, 0.0, 0.0]);
        assert_eq!(Complete::of(&matrix, &[]).means(), None);
    }

    #[test]
    fn equal_cells_and_differences_of_rounding_leave_nothing() {
        let sample = |group, score| Sample { template: "t", context: "c", group, term: group, score };
        for other in [0.1, 0.1 + 1e-15] {
            let matrix = Matrix::of(vec![sample("g", 0.1), sample("h", 0.1), sample("i", other)]);
            let centred = Complete::of(&matrix, &[0, 1, 2]).centred(1.0);
            assert_eq!((centred.values, centred.unit), (vec![0.0; 3], 0.0));
        }
    }
}
