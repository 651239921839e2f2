//! Measures how a language model's output tilts when only the demographic in the prompt changes.
//!
//! Data flows one way: a [`suite`] expands into cases, a [`probe`] turns cases into questions for a
//! [`model`], a [`scorer`] turns answers into numbers, [`record`] keeps both as files, [`analysis`]
//! turns them into gaps with intervals and verdicts by way of [`stats`], and [`report`] shows them.

// Only the CPU kernels and memory-mapped weights need it; both say why it is sound.
#![deny(unsafe_code)]

pub mod analysis;
pub mod cli;
pub mod model;
pub mod probe;
pub mod record;
pub mod report;
pub mod scorer;
pub mod stats;
pub mod suite;
