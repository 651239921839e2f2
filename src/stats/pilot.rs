//! Splits the variance of a pilot's differences into what contexts, samples and terms add, and predicts other designs.

use super::means;

/// Variance components of a gap; squares of the score's unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Components {
    /// What a cluster's difference varies by however often it is asked, σ²_cl.
    pub cluster: f64,
    /// What one answer varies by around its cell, the sides of the contrast added, σ²_w. `None` when no cell has two
    /// samples: then what samples add is inside `cluster`.
    pub within: Option<f64>,
    /// Variance of a term's own effect, σ²_nm; `None` when terms are not a random sample (fewer than three in a group).
    pub term: Option<f64>,
}

/// A side of a contrast: the square of its coefficient, and how many terms stand for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Side {
    pub weight: f64,
    pub terms: usize,
}

/// How much is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    pub clusters: usize,
    /// Samples a case.
    pub samples: f64,
    /// Terms that a cell (cluster × group) meets.
    pub cell_terms: f64,
    pub sides: Vec<Side>,
}

/// Mean variance within cells; `None` without a cell of two samples.
pub fn within(cells: &[Vec<f64>]) -> Option<f64> {
    means::mean(&cells.iter().filter_map(|samples| means::variance(samples)).collect::<Vec<_>>())
}

impl Components {
    /// Method of moments: σ²_cl = max(0, var D − σ²_w / n), n the answers that a cell averages (samples × terms); with
    /// names, σ²_nm = V_added / Σ a_g²/R_g, V_added being what terms add to the squared standard error.
    pub fn of(variance: f64, within: Option<f64>, answers_a_cell: f64, v_added: f64, sides: &[Side]) -> Components {
        let of_samples = within.map_or(0.0, |within| within / answers_a_cell);
        Components {
            cluster: (variance - of_samples).max(0.0),
            within,
            term: is_random(sides).then(|| v_added / term_share(sides)),
        }
    }

    /// σ²_cl / (σ²_cl + σ²_w / n): the part of the differences' variance that more samples cannot shrink. `None` without
    /// variance.
    pub fn share_between(&self, answers_a_cell: f64) -> Option<f64> {
        let all = self.cluster + self.within.unwrap_or(0.0) / answers_a_cell;
        (all > 0.0).then(|| self.cluster / all)
    }

    /// Samples a case at which a given budget gives the smallest error: √(cost of a cluster / cost of a sample ·
    /// σ²_w/σ²_cl), to be rounded up. `None` when samples or clusters add nothing to choose by.
    ///
    /// Source: the optimal allocation of two-stage samples (Cochran 1977, §10.6).
    pub fn best_samples(&self, cost_of_cluster: f64, cost_of_sample: f64) -> Option<f64> {
        let within = self.within.filter(|within| *within > 0.0)?;
        (self.cluster > 0.0).then(|| (cost_of_cluster / cost_of_sample * within / self.cluster).sqrt())
    }

    /// V(C, K, R) = σ²_cl/C + σ²_w/(C K R) + σ²_nm Σ a_g²/R_g: the squared standard error of the gap in that design.
    pub fn variance(&self, design: &Design) -> f64 {
        self.of_clusters(design) + self.of_terms(design)
    }

    /// Standard error and Satterthwaite's degrees of freedom, as [`super::gap::paired_gap`] would find on average. `None`
    /// below two clusters.
    pub fn error(&self, design: &Design) -> Option<(f64, f64)> {
        if design.clusters < 2 {
            return None;
        }
        let (clusters, most) = (self.of_clusters(design), design.clusters as f64 - 1.0);
        let all = clusters + self.of_terms(design);
        let spread = clusters * clusters / most + self.spread_of_terms(design);
        let df = if spread > 0.0 { (all * all / spread).clamp(1.0, most) } else { most };
        Some((all.sqrt(), df))
    }

    /// As [`Components::error`] with clusters without end: what terms alone leave. `None` when they leave nothing.
    pub fn error_of_terms(&self, design: &Design) -> Option<(f64, f64)> {
        let (all, spread) = (self.of_terms(design), self.spread_of_terms(design));
        (spread > 0.0).then(|| (all.sqrt(), (all * all / spread).max(1.0)))
    }

    fn of_clusters(&self, design: &Design) -> f64 {
        let answers = design.samples * design.cell_terms;
        (self.cluster + self.within.unwrap_or(0.0) / answers) / design.clusters as f64
    }

    /// 0 where the design's terms are not a random sample: then the gap is about these terms.
    fn of_terms(&self, design: &Design) -> f64 {
        if is_random(&design.sides) { self.term.unwrap_or(0.0) * term_share(&design.sides) } else { 0.0 }
    }

    fn spread_of_terms(&self, design: &Design) -> f64 {
        if !is_random(&design.sides) {
            return 0.0;
        }
        let term = self.term.unwrap_or(0.0);
        let of_side = |side: &Side| (term * side.weight / side.terms as f64).powi(2) / (side.terms as f64 - 1.0);
        means::sum(design.sides.iter().map(of_side))
    }
}

fn is_random(sides: &[Side]) -> bool {
    !sides.is_empty() && sides.iter().all(|side| side.terms >= super::gap::MIN_RANDOM_TERMS)
}

fn term_share(sides: &[Side]) -> f64 {
    means::sum(sides.iter().map(|side| side.weight / side.terms as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn design(clusters: usize, terms: usize) -> Design {
        let sides = vec![Side { weight: 1.0, terms }; 2];
        Design { clusters, samples: 2.0, cell_terms: 2.0, sides }
    }

    const PARTS: Components = Components { cluster: 0.01, within: Some(0.02), term: Some(0.0004) };

    #[test]
    fn contexts_without_end_leave_what_terms_add() {
        let (limit, _) = PARTS.error_of_terms(&design(2, 8)).unwrap();
        let (se, _) = PARTS.error(&design(10_000_000, 8)).unwrap();
        assert!((limit - 0.01).abs() < 1e-12 && (se - limit).abs() < 1e-5 * limit, "{limit} {se}");
        assert_eq!(PARTS.error_of_terms(&design(100, 2)), None, "two terms are no sample of terms");
    }

    #[test]
    fn every_addition_makes_the_error_smaller() {
        let se = |design: &Design| PARTS.error(design).unwrap().0;
        let now = design(100, 8);
        for more in [design(200, 8), design(100, 16), Design { samples: 4.0, ..now.clone() }] {
            assert!(se(&more) < se(&now));
        }
        assert_eq!(PARTS.error(&design(1, 8)), None);
    }

    #[test]
    fn without_repeated_samples_their_part_is_unknown_and_stays_in_the_clusters() {
        let parts = Components::of(0.04, within(&[vec![0.1], vec![0.9]]), 1.0, 0.0, &[]);
        assert_eq!((parts.within, parts.cluster, parts.best_samples(1.0, 1.0)), (None, 0.04, None));
    }
}
