//! Lists the architectures that can be run, read off the tables that run them.

use serde::Serialize;

use super::decoder::{families, gguf_config};
use super::fallback::FallbackModel;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Architecture {
    /// `model_type` of config.json.
    pub model_type: &'static str,
    /// Published models, for people.
    pub models: &'static str,
    /// `general.architecture` of GGUF files; none where such files are refused.
    pub gguf: Option<&'static str>,
    /// tiltmeter's own decoder: an answer's bits depend on no neighbour, batch or thread.
    pub batch_invariant: bool,
}

/// In the order of the tables.
pub fn architectures() -> Vec<Architecture> {
    let own = families::FAMILIES.iter().map(|family| Architecture {
        model_type: family.model_type,
        models: family.models,
        gguf: gguf_config::ARCHITECTURES.iter().find(|a| a.model_type == family.model_type).map(|a| a.name),
        batch_invariant: true,
    });
    let fallback = FallbackModel::supported().map(|(model_type, models)| Architecture {
        model_type,
        models,
        gguf: None,
        batch_invariant: false,
    });
    own.chain(fallback).collect()
}
