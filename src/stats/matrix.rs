//! Averages samples into cells: cluster × group × term, each level with equal weights.

use std::collections::BTreeMap;
use std::ops::Range;

use super::means::{mean, mean_in_any_order};

/// One scored answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'a> {
    pub template: &'a str,
    pub context: &'a str,
    pub group: &'a str,
    pub term: &'a str,
    pub score: f64,
}

/// A group within a cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Mean of the terms' means: a term with five samples does not count five times.
    pub mean: f64,
    /// (index into [`Matrix::terms`], mean over its samples), by index.
    pub terms: Vec<(usize, f64)>,
}

/// Scores of one scorer on one axis. Clusters, groups and terms are sorted by name, so that the order of the samples
/// changes no bit of what follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// (template, context)
    pub clusters: Vec<(String, String)>,
    pub groups: Vec<String>,
    pub terms: Vec<String>,
    cells: Vec<Option<Cell>>,
}

impl Matrix {
    /// Builds the cells; a cell without samples stays empty.
    pub fn of(mut samples: Vec<Sample<'_>>) -> Matrix {
        samples.sort_unstable_by(|a, b| {
            (a.template, a.context, a.group, a.term)
                .cmp(&(b.template, b.context, b.group, b.term))
                .then(a.score.total_cmp(&b.score))
        });
        let groups = names(samples.iter().map(|sample| sample.group));
        let terms = names(samples.iter().map(|sample| sample.term));
        let mut clusters = Vec::new();
        let mut cells = Vec::new();
        for of_cluster in samples.chunk_by(|a, b| (a.template, a.context) == (b.template, b.context)) {
            clusters.push((of_cluster[0].template.to_owned(), of_cluster[0].context.to_owned()));
            let start = cells.len();
            cells.resize(start + groups.len(), None);
            for of_group in of_cluster.chunk_by(|a, b| a.group == b.group) {
                let cell = cell(of_group, &terms);
                if let Ok(group) = groups.binary_search_by(|name| name.as_str().cmp(of_group[0].group)) {
                    cells[start + group] = cell;
                }
            }
        }
        Matrix { clusters, groups, terms, cells }
    }

    /// Index of a group; `None` when it has no sample.
    pub fn group(&self, name: &str) -> Option<usize> {
        self.groups.binary_search_by(|group| group.as_str().cmp(name)).ok()
    }

    pub fn cell(&self, cluster: usize, group: usize) -> Option<&Cell> {
        self.cells[cluster * self.groups.len() + group].as_ref()
    }

    /// Each template with its clusters, by name.
    pub fn templates(&self) -> Vec<(&str, Range<usize>)> {
        let mut start = 0;
        let of_template = |clusters: &[(String, String)]| {
            let range = start..start + clusters.len();
            start = range.end;
            range
        };
        let ranges: Vec<Range<usize>> = self.clusters.chunk_by(|a, b| a.0 == b.0).map(of_template).collect();
        ranges.into_iter().map(|range| (self.clusters[range.start].0.as_str(), range)).collect()
    }

    /// The same with some of the clusters only, given by ascending index.
    pub fn only(&self, clusters: &[usize]) -> Matrix {
        let groups = self.groups.len();
        Matrix {
            clusters: clusters.iter().map(|&cluster| self.clusters[cluster].clone()).collect(),
            groups: self.groups.clone(),
            terms: self.terms.clone(),
            cells: clusters.iter().flat_map(|&cluster| self.cells[cluster * groups..][..groups].to_vec()).collect(),
        }
    }

    /// Whole templates as clusters: each cell is the mean over the template's contexts in which all of `groups` have one, so that
    /// differences stay paired; cells of other groups are left out.
    pub fn by_template(&self, groups: &[usize]) -> Matrix {
        let complete = |cluster: &usize| groups.iter().all(|&group| self.cell(*cluster, group).is_some());
        let mut whole = Matrix { clusters: Vec::new(), cells: Vec::new(), ..self.clone() };
        let indices: Vec<usize> = (0..self.clusters.len()).filter(complete).collect();
        for contexts in indices.chunk_by(|&a, &b| self.clusters[a].0 == self.clusters[b].0) {
            whole.clusters.push((self.clusters[contexts[0]].0.clone(), String::new()));
            let of_group = |group: usize| groups.contains(&group).then(|| self.mean_cell(contexts, group)).flatten();
            whole.cells.extend((0..self.groups.len()).map(of_group));
        }
        whole
    }

    /// The group's cell over several clusters, each with equal weight.
    fn mean_cell(&self, clusters: &[usize], group: usize) -> Option<Cell> {
        let cells: Vec<&Cell> = clusters.iter().filter_map(|&cluster| self.cell(cluster, group)).collect();
        let mut terms: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for (term, mean) in cells.iter().flat_map(|cell| &cell.terms) {
            terms.entry(*term).or_default().push(*mean);
        }
        let means: Vec<f64> = cells.iter().map(|cell| cell.mean).collect();
        let terms: Option<Vec<_>> = terms.into_iter().map(|(term, means)| Some((term, mean(&means)?))).collect();
        Some(Cell { mean: mean(&means)?, terms: terms? })
    }

    /// The group's cell means, one a cluster that has it, in order of clusters.
    pub fn cell_means(&self, group: usize) -> Vec<f64> {
        (0..self.clusters.len()).filter_map(|cluster| Some(self.cell(cluster, group)?.mean)).collect()
    }
}

fn cell(samples: &[Sample<'_>], terms: &[String]) -> Option<Cell> {
    let mut means = Vec::new();
    for of_term in samples.chunk_by(|a, b| a.term == b.term) {
        let mut scores: Vec<f64> = of_term.iter().map(|sample| sample.score).collect();
        let term = terms.binary_search_by(|name| name.as_str().cmp(of_term[0].term)).ok()?;
        means.push((term, mean_in_any_order(&mut scores)?));
    }
    let mut values: Vec<f64> = means.iter().map(|&(_, mean)| mean).collect();
    Some(Cell { mean: mean_in_any_order(&mut values)?, terms: means })
}

fn names<'a>(all: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut sorted: Vec<&str> = all.collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_with_more_samples_does_not_count_more() {
        let sample = |term, score| Sample { template: "t", context: "", group: "g", term, score };
        let matrix = Matrix::of(vec![sample("b", 1.0), sample("a", 0.0), sample("a", 0.0), sample("a", 0.0)]);
        assert_eq!(matrix.cell_means(0), [0.5]);
        assert_eq!(matrix.group("other"), None);
    }

    #[test]
    fn no_samples_make_an_empty_matrix() {
        let matrix = Matrix::of(Vec::new());
        assert!(matrix.clusters.is_empty() && matrix.groups.is_empty());
    }
}
