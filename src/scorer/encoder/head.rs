//! Turns an encoder's last hidden states into logits: a pooled row, a dense layer, the output.

use anyhow::{Result, bail};

use super::layers::{Activation, LayerNorm, Linear};
use super::weights::Weights;
use crate::model::precision::Precision;

/// Which row stands for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    First,
    /// Sums in f64, in the order of the tokens.
    Mean,
}

/// A classification head of any of the families.
pub struct Head {
    pooling: Pooling,
    dense: Linear,
    activation: Activation,
    norm: Option<LayerNorm>,
    output: Linear,
}

/// What a family's head looks like, and how its layers are called.
pub struct HeadShape<'a> {
    pub pooling: Pooling,
    pub hidden: usize,
    pub dense: &'a str,
    /// The dense layer is a part of the encoder (BERT's pooler), not of what stands beside it.
    pub dense_inside: bool,
    pub dense_biased: bool,
    pub activation: Activation,
    /// Its name, whether it has a bias, and its eps.
    pub norm: Option<(&'a str, bool, f64)>,
    pub output: &'a str,
}

impl Head {
    /// # Errors
    /// A checkpoint without this head, or with another one.
    pub fn load(shape: &HeadShape<'_>, weights: &mut Weights) -> Result<Self> {
        let (h, output) = (shape.hidden, format!("{}.weight", shape.output));
        let Some(labels) = weights.outer_rows(&output).filter(|rows| *rows > 0) else {
            bail!(
                "{}: there is no classification head: no tensor {output:?} (beside the encoder it has {}); give a \
                 checkpoint that was fine-tuned to classify texts",
                weights.file(),
                weights.outer_names()
            );
        };
        // Few multiplications: there is nothing to gain from int8.
        let f32 = Precision::F32;
        let dense = match shape.dense_inside {
            true => Linear::take(&mut |n, s| weights.take(n, s), &[shape.dense], h, h, shape.dense_biased, f32)?,
            false => Linear::take(&mut |n, s| weights.take_outer(n, s), &[shape.dense], h, h, shape.dense_biased, f32)?,
        };
        let outer = &mut |name: &str, size: &[usize]| weights.take_outer(name, size);
        let norm = match shape.norm {
            Some((name, biased, eps)) => Some(LayerNorm::take(outer, name, h, biased, eps)?),
            None => None,
        };
        let output = Linear::take(outer, &[shape.output], labels, h, true, f32)?;
        Ok(Self { pooling: shape.pooling, dense, activation: shape.activation, norm, output })
    }

    pub fn labels(&self) -> usize {
        self.output.out()
    }

    /// `(texts, labels)` from the packed rows of these texts.
    pub fn logits(&self, states: &[f32], texts: &[&[u32]]) -> Vec<f32> {
        let hidden = states.len() / texts.iter().map(|ids| ids.len()).sum::<usize>().max(1);
        let mut pooled = Vec::with_capacity(texts.len() * hidden);
        let mut start = 0;
        for ids in texts {
            let rows = &states[start * hidden..][..ids.len() * hidden];
            match self.pooling {
                Pooling::First => pooled.extend_from_slice(&rows[..hidden]),
                Pooling::Mean => pooled.extend(sums(rows, hidden).into_iter().map(|s| (s / ids.len() as f64) as f32)),
            }
            start += ids.len();
        }
        let (mut dense, mut normed, mut logits) = (Vec::new(), Vec::new(), Vec::new());
        self.dense.activated(&pooled, self.activation, &mut dense);
        let last = match &self.norm {
            Some(norm) => {
                norm.forward(&dense, &mut normed);
                &normed
            }
            None => &dense,
        };
        self.output.forward(last, &mut logits);
        logits
    }
}

/// Sums of a text's rows, in f64 and in the order of the tokens.
pub fn sums(rows: &[f32], width: usize) -> Vec<f64> {
    let mut sums = vec![0.0_f64; width];
    for row in rows.chunks_exact(width) {
        for (sum, &value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value);
        }
    }
    sums
}
