//! Computes a decoder with candle's operations on an accelerator.
//!
//! Keys and values lie in one pool a layer, a slot a token; a sequence is a list of slots, so a fork copies nothing.
//! Attention takes rows together that have equally many new tokens and equally long histories, rounded up to
//! 64 tokens: what stands beyond a row's own history is masked, so its value depends on neighbours only as far
//! as the device's matrix product chooses another order of summation for another number of rows.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::ops;
use candle_nn::rotary_emb::rope_thd;

use super::Decoder;
use super::backend::{AttentionShape, Backend, Norm, SeqId, Sequences};
use super::config::{Activation, NormKind};
use super::weights::Stacked;
use crate::model::precision::Precision;

/// Histories are padded to a multiple of so many tokens.
const HISTORY_STEP: usize = 64;
/// Slots that a pool starts with.
const FIRST_SLOTS: usize = 1024;

/// A device of candle's.
pub struct Accelerator(pub Device);

pub struct Matrix {
    /// (in, out)
    transposed: Tensor,
    bias: Option<Tensor>,
}

/// (tokens, half) each.
pub struct Rotation {
    cos: Tensor,
    sin: Tensor,
}

impl Decoder<Accelerator> {
    pub fn device(&self) -> &Device {
        &self.backend().0
    }
}

impl Backend for Accelerator {
    type Rows = Tensor;
    type Vector = Tensor;
    type Matrix = Matrix;
    type Store = PooledStore;
    type Rotation = Rotation;

    fn store(&self, layers: usize, kv_heads: usize, head_dim: usize) -> PooledStore {
        PooledStore::new(self.0.clone(), layers, kv_heads * head_dim)
    }

    fn vector(&self, values: Vec<f32>) -> Result<Tensor> {
        let length = values.len();
        Ok(Tensor::from_vec(values, length, &self.0)?)
    }

    fn matrix(&self, mut weights: Stacked, precision: Precision) -> Result<Matrix> {
        ensure!(
            precision != Precision::Int8,
            "int8 is computed on the CPU only; ask an accelerator with --precision f32, or leave --device out"
        );
        let (out, inp, bias) = (weights.out, weights.inp, weights.bias.take());
        let weight = Tensor::from_vec(weights.into_f32()?, (out, inp), &self.0)?;
        Ok(Matrix {
            transposed: weight.t()?.contiguous()?,
            bias: bias.map(|bias| Tensor::from_vec(bias, out, &self.0)).transpose()?,
        })
    }

    fn rotation(&self, cos: Vec<f32>, sin: Vec<f32>, half: usize) -> Result<Rotation> {
        let shape = (cos.len() / half.max(1), half);
        Ok(Rotation { cos: Tensor::from_vec(cos, shape, &self.0)?, sin: Tensor::from_vec(sin, shape, &self.0)? })
    }

    fn embed(&self, matrix: &Matrix, indices: &[u32]) -> Result<Tensor> {
        let indices = Tensor::from_slice(indices, indices.len(), &self.0)?;
        Ok(matrix.transposed.index_select(&indices, 1)?.t()?.contiguous()?)
    }

    fn linear(&self, x: &Tensor, matrix: &Matrix) -> Result<Tensor> {
        let y = x.matmul(&matrix.transposed)?;
        Ok(match &matrix.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        })
    }

    fn norm(&self, x: &Tensor, norm: &Norm<Tensor>) -> Result<Tensor> {
        let x = x.contiguous()?;
        Ok(match norm.kind {
            NormKind::Rms | NormKind::RmsOffset => ops::rms_norm(&x, &norm.weight, norm.eps)?,
            NormKind::Layer => match &norm.bias {
                Some(bias) => ops::layer_norm(&x, &norm.weight, bias, norm.eps)?,
                None => ops::layer_norm(&x, &norm.weight, &norm.weight.zeros_like()?, norm.eps)?,
            },
        })
    }

    fn norm_groups(&self, x: &mut Tensor, norm: &Norm<Tensor>, from: usize, groups: usize, size: usize) -> Result<()> {
        let rows = x.dim(0)?;
        let part = x.narrow(1, from, groups * size)?.contiguous()?.reshape((rows * groups, size))?;
        let part = self.norm(&part, norm)?.reshape((rows, groups * size))?;
        replace(x, from, &part)
    }

    fn rotate(&self, x: &mut Tensor, rotation: &Rotation, heads: usize, head_dim: usize) -> Result<()> {
        let (rows, turned) = (x.dim(0)?, 2 * rotation.cos.dim(1)?);
        let part = x.narrow(1, 0, heads * head_dim)?.contiguous()?.reshape((1, rows, heads, head_dim))?;
        let front = rope_thd(&part.narrow(3, 0, turned)?.contiguous()?, &rotation.cos, &rotation.sin)?;
        let part = match head_dim - turned {
            0 => front,
            rest => Tensor::cat(&[&front, &part.narrow(3, turned, rest)?], 3)?,
        };
        replace(x, 0, &part.reshape((rows, heads * head_dim))?)
    }

    fn attend(
        &self,
        store: &mut PooledStore,
        layer: usize,
        rows: &[(SeqId, usize)],
        shape: &AttentionShape,
        qkv: &Tensor,
    ) -> Result<Tensor> {
        let (q_width, kv_width) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
        let queries = qkv.narrow(1, 0, q_width)?.contiguous()?;
        let keys = qkv.narrow(1, q_width, kv_width)?.contiguous()?;
        let values = qkv.narrow(1, q_width + kv_width, kv_width)?.contiguous()?;
        store.write(layer, rows, &keys, &values)?;
        // (new tokens, padded history) → (first packed row, sequence)
        let mut groups: BTreeMap<(usize, usize), Vec<(usize, SeqId)>> = BTreeMap::new();
        let mut first = 0;
        for &(seq, tokens) in rows {
            let history = (store.len(seq) + tokens).next_multiple_of(HISTORY_STEP);
            groups.entry((tokens, history)).or_default().push((first, seq));
            first += tokens;
        }
        let mut order = vec![0u32; first];
        let mut attended = Vec::new();
        let mut done = 0;
        for ((tokens, history), members) in groups {
            let packed: Vec<u32> =
                members.iter().flat_map(|&(first, _)| first as u32..(first + tokens) as u32).collect();
            for &row in &packed {
                order[row as usize] = done;
                done += 1;
            }
            let count = packed.len();
            let q = queries.index_select(&Tensor::from_vec(packed, count, &self.0)?, 0)?;
            attended.push(self.attend_group(store, layer, shape, &q, &members, tokens, history)?);
        }
        let attended = Tensor::cat(&attended, 0)?;
        Ok(attended.index_select(&Tensor::from_vec(order, first, &self.0)?, 0)?)
    }

    fn activate(&self, x: Tensor, activation: Activation, gated: bool) -> Result<Tensor> {
        let act = |x: &Tensor| match activation {
            Activation::Silu => x.silu(),
            Activation::Gelu => x.gelu_erf(),
            Activation::GeluTanh => x.gelu(),
            Activation::Relu => x.relu(),
        };
        if !gated {
            return Ok(act(&x)?);
        }
        let width = x.dim(1)? / 2;
        Ok((act(&x.narrow(1, 0, width)?.contiguous()?)? * x.narrow(1, width, width)?)?)
    }

    fn add(&self, x: &mut Tensor, y: &Tensor, factor: f32) -> Result<()> {
        *x = if factor == 1.0 { (&*x + y)? } else { (&*x + (y * f64::from(factor))?)? };
        Ok(())
    }

    fn scale(&self, x: &mut Tensor, factor: f32) -> Result<()> {
        *x = (&*x * f64::from(factor))?;
        Ok(())
    }

    fn softcap(&self, x: &mut Tensor, cap: f32) -> Result<()> {
        *x = ((&*x / f64::from(cap))?.tanh()? * f64::from(cap))?;
        Ok(())
    }

    fn pick(&self, x: &Tensor, indices: &[u32]) -> Result<Tensor> {
        Ok(x.contiguous()?.index_select(&Tensor::from_slice(indices, indices.len(), &self.0)?, 0)?)
    }

    fn with_values<R>(&self, x: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
        Ok(f(&x.flatten_all()?.to_vec1::<f32>()?))
    }
}

impl Accelerator {
    /// Attention of rows with equally many new tokens over equally long padded histories, in the members' order.
    #[allow(clippy::too_many_arguments)]
    fn attend_group(
        &self,
        store: &PooledStore,
        layer: usize,
        shape: &AttentionShape,
        q: &Tensor,
        members: &[(usize, SeqId)],
        tokens: usize,
        history: usize,
    ) -> Result<Tensor> {
        let (n, hk, g, d) = (members.len(), shape.kv_heads, shape.heads / shape.kv_heads, shape.head_dim);
        let slots: Vec<u32> = members.iter().flat_map(|&(_, seq)| store.padded_slots(seq, tokens, history)).collect();
        let slots = Tensor::from_vec(slots, n * history, &self.0)?;
        let gather = |pool: &Tensor| -> Result<Tensor> {
            Ok(pool.index_select(&slots, 0)?.reshape((n, history, hk, d))?.transpose(1, 2)?.contiguous()?)
        };
        let (keys, values) = (gather(&store.keys[layer])?, gather(&store.values[layer])?);
        let q = q.reshape((n, tokens, hk, g, d))?.permute((0, 2, 3, 1, 4))?.contiguous()?;
        let q = q.reshape((n, hk, g * tokens, d))?;
        let mut scores = (q.matmul(&keys.transpose(2, 3)?.contiguous()?)? * f64::from(shape.scale))?;
        if let Some(cap) = shape.softcap {
            self.softcap(&mut scores, cap)?;
        }
        let mut mask = Vec::with_capacity(n * tokens * history);
        for &(_, seq) in members {
            let start = store.len(seq);
            for position in start..start + tokens {
                let from = shape.window.map_or(0, |window| (position + 1).saturating_sub(window));
                let seen = |key: usize| key >= from && key <= position;
                mask.extend((0..history).map(|key| if seen(key) { 0.0 } else { f32::NEG_INFINITY }));
            }
        }
        let mask = Tensor::from_vec(mask, (n, 1, 1, tokens, history), &self.0)?;
        let scores = scores.reshape((n, hk, g, tokens, history))?.broadcast_add(&mask)?;
        let weights = ops::softmax_last_dim(&scores.contiguous()?)?.reshape((n, hk, g * tokens, history))?;
        let attended = weights.matmul(&values)?.reshape((n, hk, g, tokens, d))?;
        Ok(attended.permute((0, 3, 1, 2, 4))?.contiguous()?.reshape((n * tokens, shape.heads * d))?)
    }
}

/// Puts `part` (rows, width) in the place of the columns from `from` on.
fn replace(x: &mut Tensor, from: usize, part: &Tensor) -> Result<()> {
    let (width, end) = (x.dim(1)?, from + part.dim(1)?);
    let mut pieces = Vec::new();
    if from > 0 {
        pieces.push(x.narrow(1, 0, from)?);
    }
    pieces.push(part.clone());
    if end < width {
        pieces.push(x.narrow(1, end, width - end)?);
    }
    *x = Tensor::cat(&pieces, 1)?;
    Ok(())
}

/// Keys and values of all sequences, a slot a token.
pub struct PooledStore {
    device: Device,
    width: usize,
    /// One pool a layer: (slots, width).
    keys: Vec<Tensor>,
    values: Vec<Tensor>,
    layers: usize,
    slots: usize,
    /// Sequences that hold each slot.
    references: Vec<u32>,
    unused: Vec<u32>,
    sequences: Vec<Option<Sequence>>,
}

struct Sequence {
    /// Of every position, those that a fork already shares ahead of time included.
    slots: Vec<u32>,
    length: usize,
}

impl PooledStore {
    fn new(device: Device, layers: usize, width: usize) -> Self {
        Self {
            device,
            width,
            keys: Vec::new(),
            values: Vec::new(),
            layers,
            slots: 0,
            references: Vec::new(),
            unused: Vec::new(),
            sequences: Vec::new(),
        }
    }

    fn sequence(&self, id: SeqId) -> &Sequence {
        self.sequences[id.0].as_ref().expect("a sequence is used before it is freed")
    }

    fn sequence_mut(&mut self, id: SeqId) -> &mut Sequence {
        self.sequences[id.0].as_mut().expect("a sequence is used before it is freed")
    }

    fn insert(&mut self, sequence: Sequence) -> SeqId {
        match self.sequences.iter().position(Option::is_none) {
            Some(free) => {
                self.sequences[free] = Some(sequence);
                SeqId(free)
            }
            None => {
                self.sequences.push(Some(sequence));
                SeqId(self.sequences.len() - 1)
            }
        }
    }

    /// Gives a sequence slots for its first `tokens` positions.
    fn reserve(&mut self, id: SeqId, tokens: usize) {
        while self.sequence(id).slots.len() < tokens {
            let slot = self.unused.pop().unwrap_or_else(|| {
                self.references.push(0);
                (self.references.len() - 1) as u32
            });
            self.references[slot as usize] = 1;
            self.sequence_mut(id).slots.push(slot);
        }
    }

    fn release(&mut self, slots: &[u32]) {
        for &slot in slots {
            self.references[slot as usize] -= 1;
            if self.references[slot as usize] == 0 {
                self.unused.push(slot);
            }
        }
    }

    /// Writes the keys and values of new tokens, (tokens, width) each.
    fn write(&mut self, layer: usize, rows: &[(SeqId, usize)], keys: &Tensor, values: &Tensor) -> Result<()> {
        for &(seq, tokens) in rows {
            self.reserve(seq, self.len(seq) + tokens);
        }
        self.grow()?;
        let slots: Vec<u32> = rows
            .iter()
            .flat_map(|&(seq, tokens)| &self.sequence(seq).slots[self.len(seq)..self.len(seq) + tokens])
            .copied()
            .collect();
        let count = slots.len();
        let slots =
            Tensor::from_vec(slots, (count, 1), &self.device)?.broadcast_as((count, self.width))?.contiguous()?;
        self.keys[layer].scatter_set(&slots, keys, 0)?;
        self.values[layer].scatter_set(&slots, values, 0)?;
        Ok(())
    }

    /// Makes the pools as large as the slots that were handed out.
    fn grow(&mut self) -> Result<()> {
        if self.references.len() <= self.slots && !self.keys.is_empty() {
            return Ok(());
        }
        let slots = self.references.len().max(FIRST_SLOTS).next_power_of_two();
        let zeros = || Tensor::zeros((slots, self.width), DType::F32, &self.device);
        for layer in 0..self.layers {
            for pools in [&mut self.keys, &mut self.values] {
                let larger = zeros()?;
                match pools.get(layer) {
                    Some(old) => {
                        larger.slice_set(old, 0, 0)?;
                        pools[layer] = larger;
                    }
                    None => pools.push(larger),
                }
            }
        }
        self.slots = slots;
        Ok(())
    }

    /// A sequence's slots with `tokens` new ones, filled up to `history` with a slot that the mask hides.
    fn padded_slots(&self, seq: SeqId, tokens: usize, history: usize) -> impl Iterator<Item = u32> {
        let sequence = self.sequence(seq);
        let used = sequence.length + tokens;
        sequence.slots[..used].iter().copied().chain(std::iter::repeat_n(sequence.slots[0], history - used))
    }
}

impl Sequences for PooledStore {
    fn root(&mut self) -> SeqId {
        self.insert(Sequence { slots: Vec::new(), length: 0 })
    }

    fn fork(&mut self, parent: SeqId, tokens: usize) -> SeqId {
        self.reserve(parent, tokens);
        let slots = self.sequence(parent).slots[..tokens].to_vec();
        for &slot in &slots {
            self.references[slot as usize] += 1;
        }
        self.insert(Sequence { slots, length: tokens })
    }

    fn truncate(&mut self, id: SeqId, tokens: usize) {
        let sequence = self.sequence_mut(id);
        sequence.length = sequence.length.min(tokens);
        let dropped = sequence.slots.split_off(sequence.length);
        self.release(&dropped);
    }

    fn free(&mut self, id: SeqId) {
        let sequence = self.sequences[id.0].take().expect("a sequence is freed once, by its owner");
        self.release(&sequence.slots);
    }

    fn len(&self, id: SeqId) -> usize {
        self.sequence(id).length
    }

    fn advance(&mut self, id: SeqId, tokens: usize) {
        self.sequence_mut(id).length += tokens;
    }

    fn bytes(&self) -> usize {
        self.slots * self.layers * 2 * self.width * size_of::<f32>()
    }
}
