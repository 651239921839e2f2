//! Turns cases into questions for a model and its answers into rows.

pub mod generate;
