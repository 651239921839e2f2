//! Opens an encoder in the middle: what training on its upper layers, and heads that change them, need.

use std::ops::Range;

use anyhow::{Result, ensure};

use super::batches::in_batches;
use super::bert::Layer;
use super::layers::Activation;
use super::weights::Weights;
use super::{Encoded, TextEncoder};

/// A block's tensors: weight (out, in) and bias of each of its linear layers, and its two norms.
pub struct LayerTensors {
    /// Index of the block, from 0.
    pub index: usize,
    /// In the order of the `modules` that were asked for.
    pub linear: Vec<(Vec<f32>, Vec<f32>)>,
    pub attention_norm: (Vec<f32>, Vec<f32>),
    pub norm: (Vec<f32>, Vec<f32>),
    pub eps: f32,
}

/// Gets block, module and weight (out, in) of each linear layer, and may change the weight.
pub type Change<'a> = &'a mut dyn FnMut(usize, &str, &mut [f32]) -> Result<()>;

impl TextEncoder {
    /// Blocks of the encoder.
    pub fn layers(&self) -> usize {
        self.bert.config().layers
    }

    pub fn attention_heads(&self) -> usize {
        self.bert.config().heads
    }

    /// Token ids of texts, special ones included.
    pub fn all_tokens(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>> {
        Ok(self.words.all_tokens(texts)?.into_iter().map(|text| text.ids).collect())
    }

    /// Packed rows of some texts behind the first `layers` blocks.
    pub fn lower(&self, texts: &[&[u32]], layers: usize) -> Vec<f32> {
        self.bert.run_layers(self.bert.embed(texts), texts, 0..layers)
    }

    /// The tensors of some blocks. `modules` are the linear layers by BERT's names, such as `attention.self.query`.
    ///
    /// # Errors
    /// As when the encoder was loaded; another activation than the exact GELU.
    pub fn layer_tensors(&self, blocks: Range<usize>, modules: &[&str]) -> Result<Vec<LayerTensors>> {
        let config = self.bert.config();
        ensure!(
            config.activation == Activation::Gelu,
            "adapters are trained on encoders with the exact GELU, but this one has {:?}; use --kind linear or mlp",
            config.activation
        );
        let mut weights = self.weights()?;
        let mut pair = |name: &str, shape: [usize; 2]| -> Result<(Vec<f32>, Vec<f32>)> {
            let weight = match shape {
                [out, 0] => self.bert.take(&mut weights, &format!("{name}.weight"), &[out])?,
                shape => self.bert.take(&mut weights, &format!("{name}.weight"), &shape)?,
            };
            Ok((weight, self.bert.take(&mut weights, &format!("{name}.bias"), &shape[..1])?))
        };
        blocks
            .map(|index| {
                let name = |end: &str| format!("encoder.layer.{index}.{end}");
                let shape = |module: &str| match module {
                    "intermediate.dense" => [config.intermediate, config.hidden],
                    "output.dense" => [config.hidden, config.intermediate],
                    _ => [config.hidden, config.hidden],
                };
                let linear = modules.iter().map(|module| pair(&name(module), shape(module))).collect::<Result<_>>()?;
                let attention_norm = pair(&name("attention.output.LayerNorm"), [config.hidden, 0])?;
                let norm = pair(&name("output.LayerNorm"), [config.hidden, 0])?;
                Ok(LayerTensors { index, linear, attention_norm, norm, eps: config.layer_norm_eps as f32 })
            })
            .collect()
    }

    /// The blocks from `first` on, with changed weights.
    ///
    /// # Errors
    /// As when the encoder was loaded, and what `change` reports.
    pub fn changed_layers(&self, first: usize, change: Change<'_>) -> Result<Vec<Layer>> {
        let config = self.bert.config();
        let mut weights = self.weights()?;
        (first..config.layers)
            .map(|index| {
                let start = format!("encoder.layer.{index}.");
                let mut take = |name: &str, shape: &[usize]| {
                    let mut values = self.bert.take(&mut weights, name, shape)?;
                    let module = name.strip_prefix(&start).and_then(|rest| rest.strip_suffix(".weight"));
                    if let (Some(module), 2) = (module, shape.len()) {
                        change(index, module, &mut values)?;
                    }
                    Ok(values)
                };
                Layer::take(&mut take, index, config, self.precision)
            })
            .collect()
    }

    /// As [`TextEncoder::encode`], with `upper` in the place of the encoder's last blocks.
    ///
    /// # Errors
    /// A text that the tokenizer refuses.
    pub fn encode_with(&self, texts: &[&str], upper: &[Layer]) -> Result<Encoded> {
        let (tokens, dim) = (self.words.all_tokens(texts)?, self.dim());
        let lower = self.layers() - upper.len();
        let rows = in_batches(&tokens, dim, |batch| {
            let states = self.bert.run(self.lower(batch, lower), batch, upper);
            super::pooled(&states, batch, dim)
        });
        Ok(Encoded { dim, rows, truncated: tokens.into_iter().map(|text| text.truncated).collect() })
    }

    fn weights(&self) -> Result<Weights> {
        Weights::read(std::slice::from_ref(&self.weights))
    }
}
