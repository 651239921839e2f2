//! The part of a head that is trained: low-rank adapters on an encoder's upper layers, a hidden layer, an output.
//!
//! Written in candle's basic operations and in [`ops`](super::ops), which all have backward passes; the fused norm, softmax
//! and rotary operations of candle-nn have none. Only here are texts padded: scoring packs them.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use candle_core::{D, DType, Device, Tensor, Var};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use super::ops::{FrozenLinear, FrozenNorm, Gelu};
use crate::scorer::encoder::adapting::LayerTensors;
use crate::scorer::head::MODULES;

/// The adapters' strength: an adapter adds 2·B·A·x to a layer's output (Hu et al. 2021 with α = 2r).
const STRENGTH: f64 = 2.0;

/// A batch of inputs.
pub enum Input {
    /// Sentence vectors, (texts, dim).
    Vectors(Tensor),
    /// Rows that leave the frozen layers, padded: (texts, tokens, dim), and 1 for a token, 0 for padding: (texts, tokens).
    Tokens { x: Tensor, is_token: Tensor },
}

/// One linear layer of the encoder, with its adapter.
struct Adapted {
    frozen: FrozenLinear,
    /// (rank, in)
    a: Var,
    /// (out, rank), zero at the start, so that training starts at the encoder as it is.
    b: Var,
}

/// One layer of the encoder. `linear` is in the order of [`MODULES`].
struct Layer {
    linear: Vec<Adapted>,
    attention_norm: FrozenNorm,
    norm: FrozenNorm,
}

/// What a network is made of.
pub struct Shape {
    pub dim: usize,
    pub attention_heads: usize,
    pub rank: usize,
    pub outputs: usize,
    /// Width of a hidden layer, where there is one.
    pub hidden: Option<usize>,
}

pub struct Network {
    shape: Shape,
    layers: Vec<(usize, Layer)>,
    hidden: Option<(Var, Var)>,
    /// (outputs, dim or hidden)
    weight: Var,
    bias: Var,
}

impl Network {
    /// A network whose adapters change nothing yet. `output` is where its last layer starts, zeros if none: (outputs, in).
    ///
    /// # Errors
    /// Only what candle reports.
    pub fn new(
        shape: Shape,
        layers: Vec<LayerTensors>,
        output: Option<(Vec<f32>, Vec<f32>)>,
        random: &mut ChaCha8Rng,
    ) -> Result<Self> {
        let cpu = &Device::Cpu;
        let layers = layers
            .into_iter()
            .map(|layer| Ok((layer.index, Layer::new(layer, shape.rank, random)?)))
            .collect::<Result<Vec<_>>>()?;
        let hidden = match shape.hidden {
            Some(width) => {
                let weight = uniform(random, width, shape.dim)?;
                Some((weight, Var::zeros(width, DType::F32, cpu)?))
            }
            None => None,
        };
        let inp = shape.hidden.unwrap_or(shape.dim);
        let (weight, bias) = match output {
            Some((weight, bias)) => {
                (Var::from_vec(weight, (shape.outputs, inp), cpu)?, Var::from_vec(bias, shape.outputs, cpu)?)
            }
            None => (uniform(random, shape.outputs, inp)?, Var::zeros(shape.outputs, DType::F32, cpu)?),
        };
        Ok(Self { shape, layers, hidden, weight, bias })
    }

    /// (texts, outputs)
    pub fn logits(&self, input: &Input) -> Result<Tensor> {
        let vectors = match input {
            Input::Vectors(vectors) => vectors.clone(),
            Input::Tokens { x, is_token } => self.encode(x, is_token)?,
        };
        let vectors = match &self.hidden {
            Some((weight, bias)) => vectors.matmul(&weight.t()?)?.broadcast_add(bias)?.contiguous()?.apply_op1(Gelu)?,
            None => vectors,
        };
        Ok(vectors.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)?)
    }

    /// Sentence vectors of length 1, as the encoder makes them: the mean over tokens.
    fn encode(&self, x: &Tensor, is_token: &Tensor) -> Result<Tensor> {
        let (texts, tokens, dim) = x.dims3()?;
        // 0 for a token and -1e9 for padding, whose weight in a softmax is exactly 0.
        let hide = ((is_token - 1.0)? * 1e9)?.reshape((texts, 1, 1, tokens))?;
        let mut rows = x.reshape((texts * tokens, dim))?;
        for (_, layer) in &self.layers {
            rows = layer.forward(&rows, &hide, texts, self.shape.attention_heads)?;
        }
        let summed = rows.reshape((texts, tokens, dim))?.broadcast_mul(&is_token.unsqueeze(2)?)?.sum(1)?;
        let length = (summed.sqr()?.sum_keepdim(D::Minus1)? + 1e-12)?.sqrt()?;
        Ok(summed.broadcast_div(&length)?)
    }

    /// The adapters' variables, and those of hidden layer and output, which take larger steps.
    pub fn variables(&self) -> (Vec<Var>, Vec<Var>) {
        let adapters =
            self.layers.iter().flat_map(|(_, layer)| &layer.linear).flat_map(|part| [part.a.clone(), part.b.clone()]);
        let mut last = vec![self.weight.clone(), self.bias.clone()];
        last.extend(self.hidden.iter().flat_map(|(weight, bias)| [weight.clone(), bias.clone()]));
        (adapters.collect(), last)
    }

    /// What was trained, by the names of a head's file; the adapters' strength is multiplied in.
    pub fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut tensors = BTreeMap::new();
        for (index, layer) in &self.layers {
            for (module, part) in MODULES.iter().zip(&layer.linear) {
                tensors.insert(format!("layer.{index}.{module}.a"), part.a.as_detached_tensor());
                tensors.insert(format!("layer.{index}.{module}.b"), (part.b.as_detached_tensor() * STRENGTH)?);
            }
        }
        if let Some((weight, bias)) = &self.hidden {
            tensors.insert("hidden.weight".into(), weight.as_detached_tensor());
            tensors.insert("hidden.bias".into(), bias.as_detached_tensor());
        }
        tensors.insert("output.weight".into(), self.weight.as_detached_tensor());
        tensors.insert("output.bias".into(), self.bias.as_detached_tensor());
        Ok(tensors)
    }
}

impl Layer {
    fn new(layer: LayerTensors, rank: usize, random: &mut ChaCha8Rng) -> Result<Self> {
        let norm = |(weight, bias): (Vec<f32>, Vec<f32>)| FrozenNorm {
            weight: Arc::new(weight),
            bias: Arc::new(bias),
            eps: layer.eps,
        };
        let linear = layer
            .linear
            .into_iter()
            .map(|(weight, bias)| {
                let (out, inp) = (bias.len(), weight.len() / bias.len());
                Ok(Adapted {
                    frozen: FrozenLinear::new(&weight, bias, inp),
                    a: uniform(random, rank, inp)?,
                    b: Var::zeros((out, rank), DType::F32, &Device::Cpu)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { linear, attention_norm: norm(layer.attention_norm), norm: norm(layer.norm) })
    }

    /// BERT's layer: attention, norm, two linear layers, norm. `x` is (texts · tokens, dim).
    fn forward(&self, x: &Tensor, hide: &Tensor, texts: usize, heads: usize) -> Result<Tensor> {
        let (rows, dim) = x.dims2()?;
        let (tokens, size) = (rows / texts, dim / heads);
        let split = |x: Tensor| -> Result<Tensor> {
            Ok(x.reshape((texts, tokens, heads, size))?.transpose(1, 2)?.contiguous()?)
        };
        let [query, key, value, out, up, down] = self.linear.as_slice() else {
            unreachable!("a layer has one linear layer for each of MODULES")
        };
        let (q, k, v) = (split(query.forward(x)?)?, split(key.forward(x)?)?, split(value.forward(x)?)?);
        let scores = (q.matmul(&k.t()?)? * (1.0 / (size as f64).sqrt()))?.broadcast_add(hide)?;
        let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
        let mixed = weights.matmul(&v)?.transpose(1, 2)?.reshape((rows, dim))?;
        let x = (out.forward(&mixed)? + x)?.apply_op1(self.attention_norm.clone())?;
        let wide = up.forward(&x)?.apply_op1(Gelu)?;
        Ok((down.forward(&wide)? + &x)?.apply_op1(self.norm.clone())?)
    }
}

impl Adapted {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let added = (x.matmul(&self.a.t()?)?.matmul(&self.b.t()?)? * STRENGTH)?;
        Ok((x.contiguous()?.apply_op1(self.frozen.clone())? + added)?)
    }
}

/// (out, in) values, even in ±1/√in.
fn uniform(random: &mut ChaCha8Rng, out: usize, inp: usize) -> Result<Var> {
    let bound = 1.0 / (inp as f32).sqrt();
    // 24 bits fill a float's digits.
    let mut value = || ((random.next_u32() >> 8) as f32 / (1 << 23) as f32 - 1.0) * bound;
    let values: Vec<f32> = (0..out * inp).map(|_| value()).collect();
    Ok(Var::from_vec(values, (out, inp), &Device::Cpu)?)
}
