//! Computes statistics on paired, clustered scores: numbers and names in, numbers out.
//!
//! The unit of inference is the cluster (template × context). [`matrix`] averages samples into cells, [`gap`] pairs
//! them, [`interval`] and [`permutation`] say how sure a gap is, [`adjust`] corrects a family of p-values and
//! [`equivalence`] decides. [`omnibus`], [`blocked_permutation`] and [`max_min`] look at all groups at once, [`distribution`] at whole
//! distributions. Undefined is `None`, never 0. Nothing here knows suites, records or files.

pub mod adjust;
pub mod association;
pub mod benchmarks;
pub mod blocked_permutation;
pub mod bootstrap;
pub mod compare;
pub mod complete;
pub mod distribution;
pub mod effect;
pub mod equivalence;
pub mod fairness;
pub mod forecast;
pub mod gap;
pub mod half_splits;
pub mod interaction;
pub mod interval;
pub mod matrix;
pub mod max_min;
pub mod means;
pub mod noise_floor;
pub mod omnibus;
pub mod permutation;
pub mod pilot;
pub mod power;
pub mod random;
pub mod ratio;
pub mod recommendation;
pub mod scorer_offset;
pub mod sequential;
pub mod shrinkage;
pub mod student;
pub mod subgroup_auc;
pub mod weat;
