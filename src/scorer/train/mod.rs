//! Fits the linear heads from public files: rows, sentence vectors, logistic regression, figures of quality.
//!
//! Everything follows from the files, the encoder and the seed, so the same command writes the same bytes.

pub mod corpus;
pub mod logistic;
pub mod quality;

use std::path::Path;

use anyhow::{Result, ensure};

use super::encoder::{Encoded, TextEncoder};
use super::linear_head::{FORMAT, Fit, HeadEncoder, LinearHead, Quality, Source, weights_digest};
use super::web_text;
use corpus::{Part, Row};

/// Sentences of VADER that stand for text without toxicity, at most.
const VADER_NEGATIVES: usize = 2500;

/// What a head is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    Sentiment,
    Toxicity,
}

impl Task {
    pub fn name(self) -> &'static str {
        match self {
            Task::Sentiment => "sentiment",
            Task::Toxicity => "toxicity",
        }
    }

    /// Reads the task's rows from a folder laid out as vader/, davidson/, toxigen/.
    ///
    /// # Errors
    /// A missing or malformed file, by name and line.
    pub fn parts(self, data: &Path, seed: u64) -> Result<Vec<Part>> {
        match self {
            Task::Sentiment => corpus::vader(data, seed),
            Task::Toxicity => {
                let mut parts = vec![corpus::davidson(data, seed)?, corpus::toxigen(data, seed)?];
                parts.extend(corpus::not_toxic_vader(data, seed, VADER_NEGATIVES)?);
                parts.push(corpus::neutral_identity(seed)?);
                Ok(parts)
            }
        }
    }
}
