//! Splits the gaps of crossed groups into what each axis adds by itself and what only the combination has.

use std::collections::BTreeMap;

use super::gap::{MIN_RANDOM_TERMS, NO_SPREAD};
use super::matrix::Matrix;
use super::means::{self, sum};

/// A cell whose residual has no more than this share of its own gap is fitted exactly by the main effects.
const FITTED: f64 = 1e-9;

/// A combination of groups, such as woman and black.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combination {
    /// Index of a group in the matrix.
    pub group: usize,
    /// Its level on each axis.
    pub levels: Vec<usize>,
}

/// What is compared with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossed {
    pub cells: Vec<Combination>,
    /// Index into `cells`. `None`: a gap is against the mean of all cells.
    pub reference: Option<usize>,
    /// Cells share term ids as matched pairs.
    pub paired: bool,
}

/// One combination's gap and its parts. All are `None` without a cluster that has the cell and the reference.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Interaction {
    /// Clusters that have the cell and the reference; without a reference, clusters that have every cell.
    pub clusters: usize,
    pub gap: Option<f64>,
    /// What the main effects of the axes together say the gap is.
    pub additive: Option<f64>,
    /// gap − additive; 0 says that the axes add up. `None` where the fit has no freedom left for the cell.
    pub interaction: Option<f64>,
    /// One a cluster, with the interaction as their mean.
    pub differences: Vec<f64>,
    /// `None` below two clusters.
    pub error: Option<InteractionError>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InteractionError {
    /// 0 when every cluster shows the same interaction.
    pub se: f64,
    pub df: f64,
    /// Terms add to the variance.
    pub has_terms: bool,
}

/// The interaction of every cell, in their order.
///
/// D_ck is the score of cell k in cluster c minus that of the reference cell (0 for the reference itself), or minus the mean of the cluster's
/// cells; y_k = mean of D_ck over the C_k clusters that have both. Main effects are fitted on the y of the cells that there are by least squares,
/// unweighted, X = (1, a column for each level of each axis): with M = I − X(X′X)⁺X′ the interactions are r = M y. Since M takes every
/// constant away, r is the same contrast of the cells' own means whatever they are compared with, and in a full table of two axes it is
/// y_ab − y_a. − y_.b + y_..; empty cells have no row in X, and a cell that the others leave to a main effect of its own (M_kk = 0) has no
/// interaction. r sums to 0 over every level of every axis, so that it describes the table and names no one cell as the cause.
///
/// Error: d_c = r_i + C Σ_k M_ik (D_ck − y_k)/C_k, summed over the cells of cluster c, has mean r_i, and V_c = var(d)/C; in a full table d_c is the
/// cluster's own interaction, as in any paired gap. When every cell has at least [`MIN_RANDOM_TERMS`] terms they are a random factor as in
/// [`super::gap::paired_gap`] with coefficients M_ik: e = z_ckr − A_c − μ_k, t_kr = Σ_c e/(C_k n_ck), V_r = Σ_k M_ik² R_k/(R_k−1) Σ_r t_kr²,
/// V_x the same of single squares, V = V_c + max(0, V_r − V_x), df by Satterthwaite. Sources: Scheffé 1959 §4.1; Searle 1971 for empty cells.
pub fn interactions(matrix: &Matrix, crossed: &Crossed, width: f64) -> Vec<Interaction> {
    let table = Table::of(matrix, crossed);
    let width = if width.is_finite() { width } else { 1.0 };
    let present: Vec<usize> = (0..crossed.cells.len()).filter(|&cell| table.counts[cell] > 0).collect();
    let levels: Vec<&[usize]> = present.iter().map(|&cell| crossed.cells[cell].levels.as_slice()).collect();
    let residual = residual_maker(&levels);
    let terms = Terms::of(matrix, crossed, &table, &present);
    let mut rows = vec![Interaction::default(); crossed.cells.len()];
    for (at, &cell) in present.iter().enumerate() {
        let weights = &residual[at];
        let row = &mut rows[cell];
        row.clusters = table.counts[cell];
        let gap = table.gaps[cell];
        row.gap = Some(gap);
        if weights[at] <= FITTED {
            continue;
        }
        let interaction = sum(present.iter().zip(weights).map(|(&cell, weight)| weight * table.gaps[cell]));
        row.interaction = Some(interaction);
        row.additive = Some(gap - interaction);
        let clusters = table.clusters.len() as f64;
        let pseudo = |differences: &Vec<Option<f64>>| {
            let parts = present.iter().zip(weights).filter_map(|(&cell, weight)| {
                Some(weight * (differences[cell]? - table.gaps[cell]) / table.counts[cell] as f64)
            });
            interaction + clusters * sum(parts)
        };
        row.differences = table.differences.iter().map(pseudo).collect();
        row.error = error(&row.differences, interaction, terms.as_ref().map(|terms| terms.variance(weights)), width);
    }
    rows
}

fn error(differences: &[f64], centre: f64, terms: Option<TermParts>, width: f64) -> Option<InteractionError> {
    let count = differences.len() as f64;
    let varies = differences.iter().any(|d| (d - centre).abs() > NO_SPREAD * width);
    let sd = means::sd(differences)?;
    let v_cluster = if varies { sd * sd / count } else { 0.0 };
    let one_way = InteractionError { se: v_cluster.sqrt(), df: count - 1.0, has_terms: false };
    let Some(terms) = terms else { return Some(one_way) };
    let added = sum(terms.by_group.iter().map(|(v, _)| *v)) - terms.cells;
    // What rounding leaves of equal numbers is no variance.
    if added <= (NO_SPREAD * width).powi(2) {
        return Some(one_way);
    }
    let total = v_cluster + added;
    let spread =
        v_cluster * v_cluster / (count - 1.0) + sum(terms.by_group.iter().map(|(v, n)| v * v / (*n as f64 - 1.0)));
    let df = (total * total / spread).clamp(1.0, (count - 1.0).max(1.0));
    Some(InteractionError { se: total.sqrt(), df, has_terms: true })
}

/// Differences of each cell by cluster, over the clusters that count.
struct Table {
    clusters: Vec<usize>,
    /// By cluster, then cell.
    differences: Vec<Vec<Option<f64>>>,
    /// By cell: clusters that have it, and its gap.
    counts: Vec<usize>,
    gaps: Vec<f64>,
}

impl Table {
    fn of(matrix: &Matrix, crossed: &Crossed) -> Table {
        let (mut clusters, mut differences) = (Vec::new(), Vec::new());
        for cluster in 0..matrix.clusters.len() {
            let scores: Vec<Option<f64>> =
                crossed.cells.iter().map(|cell| Some(matrix.cell(cluster, cell.group)?.mean)).collect();
            let base = match crossed.reference {
                Some(reference) => scores[reference],
                None => scores.iter().copied().collect::<Option<Vec<f64>>>().and_then(|all| means::mean(&all)),
            };
            if let Some(base) = base {
                clusters.push(cluster);
                differences.push(scores.iter().map(|score| score.map(|score| score - base)).collect::<Vec<_>>());
            }
        }
        let of_cell = |cell: usize| differences.iter().filter_map(move |scores| scores[cell]).collect::<Vec<f64>>();
        let values: Vec<Vec<f64>> = (0..crossed.cells.len()).map(of_cell).collect();
        let counts = values.iter().map(Vec::len).collect();
        let gaps = values.iter().map(|values| means::mean(values).unwrap_or(0.0)).collect();
        Table { clusters, differences, counts, gaps }
    }
}

/// M = I − X(X′X)⁺X′ of an intercept and a column for each level of each axis, one row a cell.
fn residual_maker(levels: &[&[usize]]) -> Vec<Vec<f64>> {
    let cells = levels.len();
    let axes = levels.iter().map(|levels| levels.len()).max().unwrap_or(0);
    let mut columns: Vec<Vec<f64>> = vec![vec![1.0; cells]];
    for axis in 0..axes {
        let mut distinct: Vec<usize> = levels.iter().filter_map(|levels| levels.get(axis).copied()).collect();
        distinct.sort_unstable();
        distinct.dedup();
        let indicator = |level: usize| levels.iter().map(move |levels| f64::from(levels.get(axis) == Some(&level)));
        columns.extend(distinct.into_iter().map(|level| indicator(level).collect()));
    }
    // Gram-Schmidt, twice for accuracy; columns that the earlier ones span are left out.
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for column in columns {
        let size = dot(&column, &column);
        let mut rest = column;
        for _ in 0..2 {
            for unit in &basis {
                let share = dot(unit, &rest);
                rest.iter_mut().zip(unit).for_each(|(rest, unit)| *rest -= share * unit);
            }
        }
        let left = dot(&rest, &rest);
        if left > FITTED * size {
            basis.push(rest.iter().map(|value| value / left.sqrt()).collect());
        }
    }
    let entry = |i: usize, j: usize| f64::from(i == j) - sum(basis.iter().map(|unit| unit[i] * unit[j]));
    (0..cells).map(|i| (0..cells).map(|j| entry(i, j)).collect()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    sum(a.iter().zip(b).map(|(x, y)| x * y))
}

/// Sums over clusters that the variance of terms is made of, by present cell.
struct Terms {
    /// t_kr by term.
    sums: Vec<BTreeMap<usize, f64>>,
    /// Σ of the single squares.
    squares: Vec<f64>,
    paired: bool,
}

struct TermParts {
    /// (v, number of terms), one a cell, or one in all for matched terms.
    by_group: Vec<(f64, usize)>,
    cells: f64,
}

impl Terms {
    /// `None` when some cell has too few terms to be a sample of them.
    fn of(matrix: &Matrix, crossed: &Crossed, table: &Table, present: &[usize]) -> Option<Terms> {
        let group = |at: usize| crossed.cells[present[at]].group;
        let centres: Vec<f64> = (0..present.len())
            .map(|at| {
                let scores = table.clusters.iter().filter_map(|&cluster| Some(matrix.cell(cluster, group(at))?.mean));
                means::mean(&scores.collect::<Vec<_>>()).unwrap_or(0.0)
            })
            .collect();
        let mut sums = vec![BTreeMap::new(); present.len()];
        let mut squares = vec![0.0; present.len()];
        for &cluster in &table.clusters {
            let cells: Vec<_> =
                (0..present.len()).filter_map(|at| Some((at, matrix.cell(cluster, group(at))?))).collect();
            let level = sum(cells.iter().map(|(at, cell)| cell.mean - centres[*at])) / cells.len() as f64;
            for (at, cell) in cells {
                let weight = 1.0 / (table.counts[present[at]] * cell.terms.len()) as f64;
                for &(term, score) in &cell.terms {
                    let part = weight * (score - level - centres[at]);
                    squares[at] += part * part;
                    *sums[at].entry(term).or_insert(0.0) += part;
                }
            }
        }
        let is_sample = sums.iter().all(|terms: &BTreeMap<usize, f64>| terms.len() >= MIN_RANDOM_TERMS);
        is_sample.then_some(Terms { sums, squares, paired: crossed.paired })
    }

    fn variance(&self, weights: &[f64]) -> TermParts {
        let corrected = |squares: f64, terms: usize| (terms as f64 / (terms as f64 - 1.0) * squares, terms);
        let by_group = if self.paired {
            let mut merged: BTreeMap<usize, f64> = BTreeMap::new();
            for (terms, weight) in self.sums.iter().zip(weights) {
                terms.iter().for_each(|(term, part)| *merged.entry(*term).or_default() += weight * part);
            }
            vec![corrected(sum(merged.values().map(|t| t * t)), merged.len())]
        } else {
            let of_cell = |(terms, weight): (&BTreeMap<usize, f64>, &f64)| {
                corrected(weight * weight * sum(terms.values().map(|t| t * t)), terms.len())
            };
            self.sums.iter().zip(weights).map(of_cell).collect()
        };
        TermParts { by_group, cells: sum(self.squares.iter().zip(weights).map(|(square, w)| w * w * square)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::matrix::Sample;

    /// A table of `rows` × `columns` whose scores are `score(row, column, cluster)`; `None` leaves a cell of a cluster empty.
    fn table(
        rows: usize,
        columns: usize,
        clusters: usize,
        score: impl Fn(usize, usize, usize) -> Option<f64>,
    ) -> (Matrix, Crossed) {
        let names: Vec<String> = (0..rows * columns).map(|cell| format!("{:03}", cell)).collect();
        let contexts: Vec<String> = (0..clusters).map(|cluster| format!("c{cluster}")).collect();
        let mut samples = Vec::new();
        for (cluster, context) in contexts.iter().enumerate() {
            for (cell, group) in names.iter().enumerate() {
                if let Some(score) = score(cell / columns, cell % columns, cluster) {
                    samples.push(Sample { template: "t", context, group, term: group, score });
                }
            }
        }
        let matrix = Matrix::of(samples);
        let combination = |cell: usize| {
            let group = matrix.group(&names[cell])?;
            Some(Combination { group, levels: vec![cell / columns, cell % columns] })
        };
        let cells = (0..names.len()).filter_map(combination).collect();
        (matrix, Crossed { cells, reference: Some(0), paired: false })
    }

    /// Numbers without a pattern, in [0, 1).
    fn noise(seed: usize) -> f64 {
        (seed as f64 * 12.9898).sin().mul_add(43758.5453, 0.0).rem_euclid(1.0)
    }

    #[test]
    fn axes_that_add_up_leave_no_interaction() {
        let (matrix, crossed) = table(3, 4, 20, |a, b, c| Some(0.1 * a as f64 + 0.05 * b as f64 + noise(c)));
        for row in interactions(&matrix, &crossed, 1.0) {
            assert!(row.interaction.unwrap().abs() < 1e-12 && row.error.unwrap().se == 0.0, "{row:?}");
        }
    }

    #[test]
    fn what_the_cells_are_compared_with_changes_no_interaction() {
        let (matrix, mut crossed) = table(2, 3, 30, |a, b, c| Some(noise(100 * c + 10 * a + b) + 0.3 * (a * b) as f64));
        let with = interactions(&matrix, &crossed, 1.0);
        for reference in [Some(4), None] {
            crossed.reference = reference;
            for (row, other) in with.iter().zip(interactions(&matrix, &crossed, 1.0)) {
                assert!((row.interaction.unwrap() - other.interaction.unwrap()).abs() < 1e-12);
                assert!((row.error.unwrap().se - other.error.unwrap().se).abs() < 1e-12);
            }
        }
        // By hand: y_ab − y_a. − y_.b + y_..
        let mean = |keep: &dyn Fn(usize) -> bool| {
            let kept: Vec<f64> = (0..6).filter(|cell| keep(*cell)).map(|cell| with[cell].gap.unwrap()).collect();
            means::mean(&kept).unwrap()
        };
        let by_hand =
            with[5].gap.unwrap() - mean(&|cell| cell / 3 == 1) - mean(&|cell| cell % 3 == 2) + mean(&|_| true);
        assert!((with[5].interaction.unwrap() - by_hand).abs() < 1e-12);
        assert!((with[5].additive.unwrap() + with[5].interaction.unwrap() - with[5].gap.unwrap()).abs() < 1e-12);
    }

    #[test]
    fn the_error_is_that_of_the_clusters_own_interactions() {
        let (matrix, crossed) = table(2, 2, 25, |a, b, c| Some(noise(100 * c + 10 * a + b)));
        let row = &interactions(&matrix, &crossed, 1.0)[3];
        let own: Vec<f64> = (0..25)
            .map(|c| {
                let y = |cell: usize| matrix.cell(c, cell).unwrap().mean;
                (y(3) - y(2) - y(1) + y(0)) / 4.0
            })
            .collect();
        assert!((row.interaction.unwrap() - means::mean(&own).unwrap()).abs() < 1e-12);
        assert!((row.error.unwrap().se - means::sd(&own).unwrap() / 5.0).abs() < 1e-12);
        assert_eq!(row.error.unwrap().df, 24.0);
    }

    #[test]
    fn an_empty_cell_leaves_the_others_their_interactions_and_an_l_shape_none() {
        let (matrix, crossed) = table(2, 3, 20, |a, b, c| (a * b != 2).then(|| noise(100 * c + 10 * a + b)));
        let rows = interactions(&matrix, &crossed, 1.0);
        // Without the last cell the third column has one cell, which its own main effect fits.
        assert_eq!(rows.len(), 5);
        assert_eq!(
            rows.iter().map(|row| row.interaction.is_some()).collect::<Vec<_>>(),
            [true, true, false, true, true]
        );
        let (matrix, crossed) = table(2, 2, 20, |a, b, c| (a * b == 0).then(|| noise(10 * c + a + 2 * b)));
        let rows = interactions(&matrix, &crossed, 1.0);
        assert!(rows.iter().all(|row| row.gap.is_some() && row.interaction.is_none() && row.additive.is_none()));
    }

    #[test]
    fn clusters_that_lack_a_cell_do_not_pass_main_effects_for_noise() {
        // The axes add up without noise; a cell is missing in every third cluster.
        let (matrix, crossed) =
            table(2, 3, 30, |a, b, c| ((a, b) != (1, 2) || c % 3 > 0).then_some(0.3 * a as f64 + 0.2 * b as f64));
        for row in interactions(&matrix, &crossed, 1.0) {
            assert!(row.interaction.unwrap().abs() < 1e-12 && row.error.unwrap().se == 0.0, "{row:?}");
        }
    }

    #[test]
    fn names_that_differ_widen_the_error() {
        let contexts: Vec<String> = (0..40).map(|c| format!("c{c}")).collect();
        let of = |spread: f64| {
            let mut samples = Vec::new();
            let names: Vec<String> = (0..16).map(|name| format!("n{name}")).collect();
            for (c, context) in contexts.iter().enumerate() {
                for (cell, group) in ["a", "b", "c", "d"].into_iter().enumerate() {
                    for r in 0..4 {
                        let name = 4 * cell + r;
                        let score = 0.2 * noise(1000 * c + name) + spread * noise(7 + name);
                        samples.push(Sample { template: "t", context, group, term: &names[name], score });
                    }
                }
            }
            let matrix = Matrix::of(samples);
            let cells = (0..4).map(|cell| Combination { group: cell, levels: vec![cell / 2, cell % 2] }).collect();
            interactions(&matrix, &Crossed { cells, reference: None, paired: false }, 1.0)[0].error.unwrap()
        };
        let (alike, different) = (of(0.0), of(0.5));
        assert!(different.has_terms && different.se > 5.0 * alike.se && different.df < 20.0, "{alike:?} {different:?}");
    }

    #[test]
    fn few_clusters_one_cell_and_huge_scores_never_panic() {
        for (rows, columns, clusters) in [(0, 0, 0), (1, 1, 1), (1, 2, 1), (2, 1, 3), (2, 2, 1)] {
            let (matrix, crossed) =
                table(rows, columns, clusters, |a, _, c| Some(if a + c == 1 { 1e300 } else { -1e300 }));
            let reference = crossed.reference.filter(|_| !crossed.cells.is_empty());
            interactions(&matrix, &Crossed { reference, ..crossed }, f64::INFINITY);
        }
        let (matrix, crossed) = table(2, 2, 1, |a, b, _| Some((a + b) as f64));
        assert!(
            interactions(&matrix, &crossed, 1.0).iter().all(|row| row.interaction.is_some() && row.error.is_none())
        );
    }
}
