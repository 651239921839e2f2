//! Computes a decoder on the CPU with this crate's kernels: every output is one fixed chain of operations, whatever the
//! other rows, the threads and the instruction set.

use anyhow::Result;

use super::backend::{AttentionShape, Backend, Norm, SeqId, Sequences};
use super::config::{Activation, NormKind};
use super::interim as kernel;
use super::kv::KvStore;
use super::weights::Stacked;
use crate::model::kernel::PackedMatrix;
use crate::model::precision::Precision;

/// The CPU.
pub struct Host;

/// f32, row-major.
pub struct Rows {
    values: Vec<f32>,
    width: usize,
}

impl Rows {
    fn new(count: usize, width: usize) -> Self {
        Self { values: vec![0.0; count * width], width }
    }

    fn count(&self) -> usize {
        self.values.len() / self.width
    }
}

pub struct Matrix {
    weight: Weight,
    bias: Option<Vec<f32>>,
}

enum Weight {
    F32(PackedMatrix),
}

impl Matrix {
    fn out(&self) -> usize {
        match &self.weight {
            Weight::F32(matrix) => matrix.out(),
        }
    }

    fn inp(&self) -> usize {
        match &self.weight {
            Weight::F32(matrix) => matrix.inp(),
        }
    }
}

/// (tokens, half) each.
pub struct Rotation {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Backend for Host {
    type Rows = Rows;
    type Vector = Vec<f32>;
    type Matrix = Matrix;
    type Store = KvStore;
    type Rotation = Rotation;

    fn store(&self, layers: usize, kv_heads: usize, head_dim: usize) -> KvStore {
        KvStore::new(layers, kv_heads * head_dim)
    }

    fn vector(&self, values: Vec<f32>) -> Result<Vec<f32>> {
        Ok(values)
    }

    fn matrix(&self, mut weights: Stacked, _: Precision) -> Result<Matrix> {
        let (out, inp, bias) = (weights.out, weights.inp, weights.bias.take());
        Ok(Matrix { weight: Weight::F32(PackedMatrix::pack(&weights.into_f32(), out, inp)), bias })
    }

    fn rotation(&self, cos: Vec<f32>, sin: Vec<f32>, half: usize) -> Result<Rotation> {
        Ok(Rotation { cos, sin, half })
    }

    fn embed(&self, matrix: &Matrix, indices: &[u32]) -> Result<Rows> {
        let mut rows = Rows::new(indices.len(), matrix.inp());
        for (row, &index) in rows.values.chunks_exact_mut(matrix.inp()).zip(indices) {
            match &matrix.weight {
                Weight::F32(matrix) => matrix.copy_row(index as usize, row),
            }
        }
        Ok(rows)
    }

    fn linear(&self, x: &Rows, matrix: &Matrix) -> Result<Rows> {
        let mut y = Rows::new(x.count(), matrix.out());
        match &matrix.weight {
            Weight::F32(matrix) => matrix.matmul(&x.values, x.count(), &mut y.values),
        }
        if let Some(bias) = &matrix.bias {
            for row in y.values.chunks_exact_mut(bias.len()) {
                kernel::add(row, bias, 1.0);
            }
        }
        Ok(y)
    }

    fn norm(&self, x: &Rows, norm: &Norm<Vec<f32>>) -> Result<Rows> {
        let mut y = Rows::new(x.count(), x.width);
        y.values.copy_from_slice(&x.values);
        for row in y.values.chunks_exact_mut(x.width) {
            norm_in_place(row, norm);
        }
        Ok(y)
    }

    fn norm_groups(&self, x: &mut Rows, norm: &Norm<Vec<f32>>, from: usize, groups: usize, size: usize) -> Result<()> {
        for row in x.values.chunks_exact_mut(x.width) {
            for group in row[from..from + groups * size].chunks_exact_mut(size) {
                norm_in_place(group, norm);
            }
        }
        Ok(())
    }

    fn rotate(&self, x: &mut Rows, rotation: &Rotation, from: usize, heads: usize, head_dim: usize) -> Result<()> {
        let half = rotation.half;
        let tables = rotation.cos.chunks_exact(half).zip(rotation.sin.chunks_exact(half));
        for (row, (cos, sin)) in x.values.chunks_exact_mut(x.width).zip(tables) {
            for head in row[from..from + heads * head_dim].chunks_exact_mut(head_dim) {
                kernel::rotate(head, cos, sin);
            }
        }
        Ok(())
    }

    fn attend(
        &self,
        store: &mut KvStore,
        layer: usize,
        rows: &[(SeqId, usize)],
        shape: &AttentionShape,
        qkv: &Rows,
    ) -> Result<Rows> {
        let (q_width, kv_width) = (shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim);
        let count = qkv.count();
        let column = |from: usize, width: usize| -> Vec<f32> {
            qkv.values.chunks_exact(qkv.width).flat_map(|row| &row[from..from + width]).copied().collect()
        };
        let (q, k, v) = (column(0, q_width), column(q_width, kv_width), column(q_width + kv_width, kv_width));
        store.store(layer, rows, &k, &v);
        let mut out = Rows::new(count, q_width);
        store.attend(layer, shape, rows, &q, &mut out.values)?;
        Ok(out)
    }

    fn activate(&self, mut x: Rows, activation: Activation, gated: bool) -> Result<Rows> {
        let function = match activation {
            Activation::Silu => kernel::silu,
            Activation::Gelu => kernel::gelu,
            Activation::GeluTanh => kernel::gelu_tanh,
            Activation::Relu => kernel::relu,
        };
        if !gated {
            function(&mut x.values);
            return Ok(x);
        }
        let width = x.width / 2;
        let mut y = Rows::new(x.count(), width);
        for (x, y) in x.values.chunks_exact_mut(2 * width).zip(y.values.chunks_exact_mut(width)) {
            let (gate, up) = x.split_at_mut(width);
            function(gate);
            for ((y, gate), up) in y.iter_mut().zip(gate).zip(up) {
                *y = *gate * *up;
            }
        }
        Ok(y)
    }

    fn add(&self, x: &mut Rows, y: &Rows, factor: f32) -> Result<()> {
        kernel::add(&mut x.values, &y.values, factor);
        Ok(())
    }

    fn scale(&self, x: &mut Rows, factor: f32) -> Result<()> {
        x.values.iter_mut().for_each(|value| *value *= factor);
        Ok(())
    }

    fn softcap(&self, x: &mut Rows, cap: f32) -> Result<()> {
        x.values.iter_mut().for_each(|value| *value = kernel::softcap(*value, cap));
        Ok(())
    }

    fn pick(&self, x: &Rows, indices: &[u32]) -> Result<Rows> {
        let mut rows = Rows::new(indices.len(), x.width);
        for (row, &index) in rows.values.chunks_exact_mut(x.width).zip(indices) {
            row.copy_from_slice(&x.values[index as usize * x.width..][..x.width]);
        }
        Ok(rows)
    }

    fn with_values<R>(&self, x: &Rows, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
        Ok(f(&x.values))
    }
}

fn norm_in_place(row: &mut [f32], norm: &Norm<Vec<f32>>) {
    match norm.kind {
        NormKind::Layer => kernel::layer_norm(row, &norm.weight, norm.bias.as_deref(), norm.eps),
        NormKind::Rms | NormKind::RmsOffset => kernel::rms_norm(row, &norm.weight, norm.eps),
    }
}
