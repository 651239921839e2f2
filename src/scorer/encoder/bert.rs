//! Runs a BERT encoder over packed token rows, in f32 on plain slices.
//!
//! Texts are laid end to end as (tokens, hidden) without padding, and attention stays inside each text, so that a
//! text's numbers do not depend on its neighbours, on the batch or on the number of threads. Tokens and pooling
//! are left to the parent module.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::softmax::softmax;
use crate::model::kernel::{PackedMatrix, gelu};

/// What config.json says, as far as it changes a number.
#[derive(Debug, Clone, PartialEq)]
pub struct BertConfig {
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub intermediate: usize,
    pub positions: usize,
    pub layer_norm_eps: f64,
}

impl BertConfig {
    /// Reads a Hugging Face config.json; refuses what this encoder does not compute.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let json: serde_json::Value =
            serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))?;
        let at = path.display();
        let kind = json["model_type"].as_str().unwrap_or("");
        ensure!(kind == "bert", "{at}: model_type is {kind:?}, but only \"bert\" can be a sentence encoder here");
        let activation = json["hidden_act"].as_str().unwrap_or("gelu");
        ensure!(activation == "gelu", "{at}: hidden_act is {activation:?}; only \"gelu\" (the exact form) is computed");
        let positions = json["position_embedding_type"].as_str().unwrap_or("absolute");
        ensure!(
            positions == "absolute",
            "{at}: position_embedding_type is {positions:?}; only \"absolute\" is computed"
        );
        let size = |key: &str| match json[key].as_u64() {
            Some(n) if n > 0 => Ok(n as usize),
            _ => bail!("{at}: {key} must be a whole number above 0, but is {}", json[key]),
        };
        let config = Self {
            hidden: size("hidden_size")?,
            layers: size("num_hidden_layers")?,
            heads: size("num_attention_heads")?,
            intermediate: size("intermediate_size")?,
            positions: size("max_position_embeddings")?,
            layer_norm_eps: json["layer_norm_eps"].as_f64().unwrap_or(1e-12),
        };
        ensure!(
            config.hidden.is_multiple_of(config.heads),
            "{at}: hidden_size {} is not a multiple of num_attention_heads {}",
            config.hidden,
            config.heads
        );
        Ok(config)
    }
}

struct Linear {
    weight: PackedMatrix,
    bias: Vec<f32>,
}

impl Linear {
    /// Several checkpoint layers over one input become one wider layer.
    fn read(weights: &mut Weights, names: &[String], out: usize, inp: usize) -> Result<Self> {
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            weight.extend(weights.take(&format!("{name}.weight"), &[out, inp])?);
            bias.extend(weights.take(&format!("{name}.bias"), &[out])?);
        }
        Ok(Self { weight: PackedMatrix::pack(&weight, out * names.len(), inp), bias })
    }

    /// `(rows, in)` to `(rows, out)`.
    fn forward(&self, x: &[f32], rows: usize) -> Vec<f32> {
        let mut y = vec![0.0; rows * self.bias.len()];
        self.weight.matmul(x, rows, &mut y);
        y.par_chunks_mut(self.bias.len()).for_each(|row| {
            for (value, bias) in row.iter_mut().zip(&self.bias) {
                *value += bias;
            }
        });
        y
    }
}

struct LayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f64,
}

impl LayerNorm {
    fn read(weights: &mut Weights, name: &str, config: &BertConfig) -> Result<Self> {
        // Checkpoints converted from TensorFlow call them gamma and beta.
        let mut either = |new: &str, old: &str| {
            let name_of = |end: &str| format!("{name}.{end}");
            let end = if weights.has(&name_of(new)) { new } else { old };
            weights.take(&name_of(end), &[config.hidden])
        };
        Ok(Self { weight: either("weight", "gamma")?, bias: either("bias", "beta")?, eps: config.layer_norm_eps })
    }

    /// Adds `residual` to each row of `x` where there is one, and normalises; mean and variance in f64.
    fn forward(&self, x: &mut [f32], residual: Option<&[f32]>) {
        let width = self.weight.len();
        x.par_chunks_mut(width).enumerate().for_each(|(i, row)| {
            if let Some(residual) = residual {
                for (value, other) in row.iter_mut().zip(&residual[i * width..]) {
                    *value += other;
                }
            }
            let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / width as f64;
            let variance = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / width as f64;
            let scale = 1.0 / (variance + self.eps).sqrt();
            for (value, (weight, bias)) in row.iter_mut().zip(self.weight.iter().zip(&self.bias)) {
                *value = ((f64::from(*value) - mean) * scale) as f32 * weight + bias;
            }
        });
    }
}

struct Layer {
    qkv: Linear,
    attention_out: Linear,
    attention_norm: LayerNorm,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
}

/// A BERT encoder with its weights packed for the matrix kernel.
pub struct Bert {
    config: BertConfig,
    words: Vec<f32>,
    positions: Vec<f32>,
    token_type: Vec<f32>,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

impl Bert {
    /// Reads safetensors with Hugging Face names, with or without the prefix `bert.`; f16 and bf16 become f32.
    ///
    /// # Errors
    /// A missing tensor or another shape than config.json gives, by name.
    pub fn load(config: BertConfig, path: &Path) -> Result<Self> {
        let mut weights = Weights::read(path)?;
        let h = config.hidden;
        let words = weights.take_rows("embeddings.word_embeddings.weight", h)?;
        let positions = weights.take("embeddings.position_embeddings.weight", &[config.positions, h])?;
        let mut token_type = weights.take_rows("embeddings.token_type_embeddings.weight", h)?;
        token_type.truncate(h); // one text at a time is all of type 0
        let norm = LayerNorm::read(&mut weights, "embeddings.LayerNorm", &config)?;
        let mut layers = Vec::with_capacity(config.layers);
        for i in 0..config.layers {
            let name = |end: &str| format!("encoder.layer.{i}.{end}");
            let qkv = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
            layers.push(Layer {
                qkv: Linear::read(&mut weights, &qkv, h, h)?,
                attention_out: Linear::read(&mut weights, &[name("attention.output.dense")], h, h)?,
                attention_norm: LayerNorm::read(&mut weights, &name("attention.output.LayerNorm"), &config)?,
                up: Linear::read(&mut weights, &[name("intermediate.dense")], config.intermediate, h)?,
                down: Linear::read(&mut weights, &[name("output.dense")], h, config.intermediate)?,
                norm: LayerNorm::read(&mut weights, &name("output.LayerNorm"), &config)?,
            });
        }
        Ok(Self { config, words, positions, token_type, norm, layers })
    }

    pub fn config(&self) -> &BertConfig {
        &self.config
    }

    /// Rows of the word embeddings; token ids must be below it.
    pub fn vocabulary(&self) -> usize {
        self.words.len() / self.config.hidden
    }

    /// Last hidden states of several texts, `(sum of their tokens, hidden)`, in their order.
    ///
    /// # Panics
    /// On a token id outside the vocabulary or a text longer than the positions; the parent module rules both out.
    pub fn forward(&self, texts: &[&[u32]]) -> Vec<f32> {
        let h = self.config.hidden;
        let rows: usize = texts.iter().map(|ids| ids.len()).sum();
        let mut x = Vec::with_capacity(rows * h);
        for ids in texts {
            for (position, &id) in ids.iter().enumerate() {
                let word = &self.words[id as usize * h..][..h];
                let place = &self.positions[position * h..][..h];
                x.extend((0..h).map(|k| word[k] + self.token_type[k] + place[k]));
            }
        }
        self.norm.forward(&mut x, None);
        for layer in &self.layers {
            let qkv = layer.qkv.forward(&x, rows);
            let mixed = self.attend(&qkv, texts);
            let mut attended = layer.attention_out.forward(&mixed, rows);
            layer.attention_norm.forward(&mut attended, Some(&x));
            let mut wide = layer.up.forward(&attended, rows);
            gelu(&mut wide);
            x = layer.down.forward(&wide, rows);
            layer.norm.forward(&mut x, Some(&attended));
        }
        x
    }

    /// Attention of every text over its own tokens: `(tokens, 3 × hidden)` of queries, keys, values to `(tokens, hidden)`.
    fn attend(&self, qkv: &[f32], texts: &[&[u32]]) -> Vec<f32> {
        let h = self.config.hidden;
        let mut out = vec![0.0; qkv.len() / 3];
        let mut jobs = Vec::with_capacity(texts.len());
        let (mut rest_in, mut rest_out) = (qkv, out.as_mut_slice());
        for ids in texts {
            let (text_in, more_in) = rest_in.split_at(ids.len() * 3 * h);
            let (text_out, more_out) = rest_out.split_at_mut(ids.len() * h);
            jobs.push((text_in, text_out));
            (rest_in, rest_out) = (more_in, more_out);
        }
        jobs.into_par_iter().for_each(|(text_in, text_out)| attend_one(text_in, text_out, h, self.config.heads));
        out
    }
}

/// Attention of one text. Every sum runs over keys or dimensions in their order, one accumulator for each output.
fn attend_one(qkv: &[f32], out: &mut [f32], hidden: usize, heads: usize) {
    let n = out.len() / hidden;
    let size = hidden / heads;
    let scale = 1.0 / (size as f32).sqrt();
    let mut keys = vec![0.0; size * n]; // transposed: (size, n), so that the inner loop runs over keys
    let mut weights = vec![0.0; n];
    for head in 0..heads {
        let at = |row: usize, part: usize| &qkv[row * 3 * hidden + part * hidden + head * size..][..size];
        for j in 0..n {
            for (d, &value) in at(j, 1).iter().enumerate() {
                keys[d * n + j] = value;
            }
        }
        for i in 0..n {
            weights.fill(0.0);
            for (d, &q) in at(i, 0).iter().enumerate() {
                let q = q * scale;
                for (weight, key) in weights.iter_mut().zip(&keys[d * n..][..n]) {
                    *weight += q * key;
                }
            }
            softmax(&mut weights);
            let row = &mut out[i * hidden + head * size..][..size];
            for (j, &weight) in weights.iter().enumerate() {
                for (value, v) in row.iter_mut().zip(at(j, 2)) {
                    *value += weight * v;
                }
            }
        }
    }
}

/// Tensors of a checkpoint, taken one by one with a check of their shape.
struct Weights {
    tensors: HashMap<String, Tensor>,
    prefix: &'static str,
    file: String,
}

impl Weights {
    fn read(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        let tensors = candle_core::safetensors::load(path, &Device::Cpu)
            .with_context(|| format!("cannot read {file} as safetensors"))?;
        let prefix = if tensors.contains_key("bert.embeddings.word_embeddings.weight") { "bert." } else { "" };
        Ok(Self { tensors, prefix, file })
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(&format!("{}{name}", self.prefix))
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let name = format!("{}{name}", self.prefix);
        let Some(tensor) = self.tensors.remove(&name) else {
            bail!("{}: there is no tensor {name:?}; is this the checkpoint that config.json describes?", self.file);
        };
        ensure!(
            tensor.dims() == shape,
            "{}: tensor {name:?} has shape {:?}, but config.json asks for {shape:?}",
            self.file,
            tensor.dims()
        );
        Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    }

    /// A table with any number of rows of a given width.
    fn take_rows(&mut self, name: &str, width: usize) -> Result<Vec<f32>> {
        let rows =
            self.tensors.get(&format!("{}{name}", self.prefix)).map_or(0, |t| t.dims().first().map_or(0, |&n| n));
        self.take(name, &[rows, width])
    }
}
