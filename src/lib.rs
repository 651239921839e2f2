//! Measures how a language model's output tilts when only the demographic in the prompt changes.
//!
//! Data flows one way: a [`suite`] expands into cases, a [`probe`] turns cases into questions for a
//! [`model`], a [`scorer`] turns answers into numbers, [`record`] keeps both as files, [`analysis`]
//! turns them into gaps with intervals and verdicts by way of [`stats`], [`gate`] says whether these are within
//! limits, and [`report`] shows them.
//!
//! The walk, up to the answers, on a model that repeats its prompt:
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use tiltmeter::model::LanguageModel;
//! use tiltmeter::model::scripted::ScriptedModel;
//! use tiltmeter::probe::Questions;
//! use tiltmeter::suite::expand::expand;
//! use tiltmeter::suite::load::{Outside, load_named_or_path};
//!
//! # fn main() -> anyhow::Result<()> {
//! let suite = load_named_or_path("first-look", Outside::Refused)?;
//! let cases = expand(&suite, Some(2))?;
//! let model = ScriptedModel::echo();
//! let questions = Questions::of(&suite, &cases, model.card(), 0)?;
//! let mut answers = 0;
//! questions.ask(&BTreeMap::new(), &model, &mut |rows| {
//!     answers += rows.len();
//!     Ok(())
//! })?;
//! assert_eq!(answers, cases.len());
//! # Ok(())
//! # }
//! ```

// Only the CPU kernels and memory-mapped weights need it; both say why it is sound.
#![deny(unsafe_code)]

pub mod analysis;
mod cell;
pub mod cli;
pub mod date;
pub mod gate;
pub mod model;
pub mod probe;
pub mod record;
pub mod report;
pub mod scorer;
pub mod stats;
pub mod suite;
