//! An encoder as a head reads it: the shared lower layers, and upper layers to which the head's adapters are added.

use std::sync::Arc;

use anyhow::{Result, ensure};

use super::encoder::bert::Layer;
use super::encoder::{Encoded, TextEncoder};
use super::head::Head;

/// A sentence encoder with a head's adapters merged into its upper layers. Without adapters it is the encoder itself.
pub struct AdaptedEncoder {
    base: Arc<TextEncoder>,
    /// From the first layer that has an adapter to the last layer.
    upper: Vec<Layer>,
}

impl AdaptedEncoder {
    /// # Errors
    /// If the encoder is not the one that the head was fitted on.
    pub fn new(base: Arc<TextEncoder>, head: &Head) -> Result<Self> {
        let wanted = &head.papers.encoder;
        ensure!(
            wanted.digest == base.digest() && head.dim() == base.dim(),
            "head {:?} was fitted on {} with digest {}, but the encoder has digest {}; use that encoder, or fit the head \
             again with `tiltmeter head train`",
            head.papers.name,
            wanted.name,
            wanted.digest,
            base.digest()
        );
        let adapters = head.adapters();
        let first = adapters.iter().map(|adapter| adapter.layer).min();
        let upper = match first {
            None => Vec::new(),
            Some(first) => base.changed_layers(first, &mut |layer, module, weight| {
                let mut on_it = adapters.iter().filter(|adapter| adapter.layer == layer && adapter.module == module);
                on_it.try_for_each(|adapter| adapter.add_to(weight))
            })?,
        };
        Ok(Self { base, upper })
    }

    /// Sentence vectors, as [`TextEncoder::encode`] gives them.
    ///
    /// # Errors
    /// A text that the tokenizer refuses.
    pub fn encode(&self, texts: &[&str]) -> Result<Encoded> {
        self.base.encode_with(texts, &self.upper)
    }
}
