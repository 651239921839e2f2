//! Foretells what a design can show, before anything is asked.

use super::equivalence::min_clusters;
use super::pilot::{Components, Design, Side};
use super::power::{POWER, equivalence_power, least, margin_for_equivalence, minimum_detectable_effect};

/// What a gap is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bar {
    pub margin: f64,
    /// Width of the score's range.
    pub width: f64,
    pub alpha: f64,
    /// Gaps that are adjusted together; Holm's worst case is alpha / tests.
    pub tests: usize,
}

/// What a design shows of a gap, in the score's unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    pub se: f64,
    pub df: f64,
    /// The gap that is found with 80 % probability; `None` without any variance.
    pub mde: Option<f64>,
    /// Probability that a true gap of 0 is called equivalent; 0 below the least number of clusters.
    pub chance: f64,
    /// Least clusters at which anything can be called equivalent; `None` where nothing ever can.
    pub least_clusters: Option<usize>,
    /// Clusters at which `chance` is 80 %, all else as it is; `None` where no number does it.
    pub clusters_needed: Option<usize>,
    /// The smallest margin at which clusters without end reach 80 %; `None` where terms add nothing.
    pub least_margin: Option<f64>,
    /// Terms a group from which on they allow the margin; `None` where they do, or where no number up to
    /// [`MOST_TERMS`] does.
    pub terms_needed: Option<usize>,
}

/// Terms a group beyond which nobody is told to go.
pub const MOST_TERMS: usize = 1_000;

/// `None` below two clusters.
pub fn forecast(parts: &Components, design: &Design, bar: &Bar) -> Option<Forecast> {
    let (se, df) = parts.error(design)?;
    let least_clusters = min_clusters(bar.margin, bar.width, bar.alpha);
    let chance = |clusters: usize| -> f64 {
        let design = Design { clusters, ..design.clone() };
        let is_enough = least_clusters.is_some_and(|least| clusters >= least);
        match parts.error(&design) {
            Some((se, df)) if is_enough => equivalence_power(se, df, 0.0, bar.margin, bar.alpha),
            _ => 0.0,
        }
    };
    let least_margin = least_margin(parts, design, bar);
    let is_allowed = least_margin.is_none_or(|least| least < bar.margin);
    let clusters_needed = least_clusters.filter(|_| is_allowed).and_then(|from| {
        let reaches = |clusters: f64| chance(clusters.ceil() as usize) >= POWER;
        Some(least(from.max(2) as f64, 1e-7, reaches)?.ceil() as usize)
    });
    Some(Forecast {
        se,
        df,
        mde: minimum_detectable_effect(se, df, bar.alpha / bar.tests.max(1) as f64, POWER),
        chance: chance(design.clusters),
        least_clusters,
        clusters_needed,
        least_margin,
        terms_needed: if is_allowed { None } else { terms_needed(parts, design, bar) },
    })
}

fn least_margin(parts: &Components, design: &Design, bar: &Bar) -> Option<f64> {
    let (se, df) = parts.error_of_terms(design)?;
    margin_for_equivalence(se, df, bar.alpha, POWER)
}

fn terms_needed(parts: &Components, design: &Design, bar: &Bar) -> Option<usize> {
    let allows = |terms: usize| {
        let sides = design.sides.iter().map(|side| Side { terms, ..*side }).collect();
        least_margin(parts, &Design { sides, ..design.clone() }, bar).is_some_and(|least| least < bar.margin)
    };
    (super::gap::MIN_RANDOM_TERMS..=MOST_TERMS).find(|terms| allows(*terms))
}

/// What can be added to a design.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addition {
    Contexts,
    Terms,
    Samples,
}

impl Addition {
    pub const ALL: [Addition; 3] = [Addition::Contexts, Addition::Terms, Addition::Samples];

    /// The word in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Addition::Contexts => "contexts",
            Addition::Terms => "names",
            Addition::Samples => "samples",
        }
    }

    /// The design with twice as many of them. A cell that meets every term meets every new one too; one that meets some in
    /// rotation meets as many as before.
    pub fn doubled(self, design: &Design) -> Design {
        let mut more = design.clone();
        match self {
            Addition::Contexts => more.clusters *= 2,
            Addition::Samples => more.samples *= 2.0,
            Addition::Terms => {
                let meets_all = design.sides.iter().any(|side| design.cell_terms >= side.terms as f64);
                more.cell_terms *= if meets_all { 2.0 } else { 1.0 };
                more.sides.iter_mut().for_each(|side| side.terms *= 2);
            }
        }
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAR: Bar = Bar { margin: 0.05, width: 1.0, alpha: 0.05, tests: 1 };

    fn design(clusters: usize, terms: usize) -> Design {
        let sides = vec![Side { weight: 1.0, terms }; 2];
        Design { clusters, samples: 1.0, cell_terms: 1.0, sides }
    }

    #[test]
    fn the_worked_example_of_the_method_comes_out() {
        // sd of differences 0.12, 59 clusters: detects 0.045, concludes equivalence at 0.05 with 0.88 by the normal
        // approximation, 0.871 by the exact integral.
        let parts = Components { cluster: 0.0144, within: None, term: None };
        let found = forecast(&parts, &design(59, 1), &BAR).unwrap();
        assert!((found.mde.unwrap() - 0.0445).abs() < 5e-5 && (found.chance - 0.871).abs() < 5e-4, "{found:?}");
        assert_eq!((found.least_clusters, found.clusters_needed, found.least_margin), (Some(59), Some(59), None));
        let fewer = forecast(&parts, &design(58, 1), &BAR).unwrap();
        assert_eq!(fewer.chance, 0.0, "below the least number of clusters nothing is equivalent");
    }

    #[test]
    fn the_clusters_needed_are_the_first_that_reach_the_power() {
        let parts = Components { cluster: 0.04, within: None, term: None };
        let needed = forecast(&parts, &design(10, 1), &BAR).unwrap().clusters_needed.unwrap();
        let chance = |clusters| forecast(&parts, &design(clusters, 1), &BAR).unwrap().chance;
        assert!(chance(needed) >= POWER && chance(needed - 1) < POWER, "{needed}");
    }

    #[test]
    fn a_margin_below_what_names_allow_is_reached_by_names_alone() {
        let parts = Components { cluster: 0.01, within: None, term: Some(0.003) };
        let few = forecast(&parts, &design(1_000, 4), &BAR).unwrap();
        assert!(few.least_margin.unwrap() > BAR.margin && few.clusters_needed.is_none());
        let needed = few.terms_needed.unwrap();
        let more = forecast(&parts, &design(1_000, needed), &BAR).unwrap();
        assert!(more.least_margin.unwrap() < BAR.margin && more.clusters_needed.is_some(), "{needed} {more:?}");
        assert!(forecast(&parts, &design(1_000, needed - 1), &BAR).unwrap().least_margin.unwrap() >= BAR.margin);
    }

    #[test]
    fn nothing_without_end_and_nothing_without_spread_panics() {
        let still = Components { cluster: 0.0, within: Some(0.0), term: Some(0.0) };
        let found = forecast(&still, &design(100, 8), &BAR).unwrap();
        assert_eq!((found.mde, found.chance, found.clusters_needed), (None, 1.0, Some(59)));
        let endless = Bar { width: f64::INFINITY, ..BAR };
        let found = forecast(&still, &design(100, 8), &endless).unwrap();
        assert_eq!((found.chance, found.clusters_needed), (0.0, None));
        assert_eq!(forecast(&still, &design(1, 8), &BAR), None);
    }
}
