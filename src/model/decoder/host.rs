//! Computes a decoder on the CPU with this crate's kernels: every output is one fixed chain of operations, whatever the
//! other rows, the threads and the instruction set.

use anyhow::Result;

use super::backend::{AttentionShape, Backend, Norm, SeqId};
use super::config::{Activation, NormKind};
use super::kv::KvStore;
use super::weights::{Stacked, Stored};
use crate::model::gguf::BLOCK;
use crate::model::kernel::{self, PackedMatrix, Packer, QuantMatrix};
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

    /// A copy of `width` columns.
    fn columns(&self, from: usize, width: usize) -> Vec<f32> {
        let mut values = Vec::with_capacity(self.count() * width);
        for row in self.values.chunks_exact(self.width) {
            values.extend_from_slice(&row[from..from + width]);
        }
        values
    }
}

pub struct Matrix {
    weight: Weight,
    bias: Option<Vec<f32>>,
}

enum Weight {
    F32(PackedMatrix),
    Int8(QuantMatrix),
}

impl Weight {
    /// Int8 where it is asked for and rows are whole groups of 32; a model whose rows are not computes those in f32.
    fn new(weights: Stacked, precision: Precision) -> Result<Self> {
        let (out, inp) = (weights.out, weights.inp);
        if precision != Precision::Int8 || !inp.is_multiple_of(BLOCK) {
            return Ok(Weight::F32(PackedMatrix::pack(&weights.into_f32()?, out, inp)));
        }
        let mut packer = Packer::new(out, inp);
        let mut first = 0;
        for part in weights.parts {
            let rows = match &part {
                Stored::F32(values) => {
                    packer.set_rows(first, values);
                    values.len() / inp
                }
                Stored::Rows(stored) => {
                    let mut rows = 0;
                    stored.for_each(&mut |at, values| {
                        packer.set_rows(first + at, values);
                        rows = at + values.len() / inp;
                    })?;
                    rows
                }
                Stored::Blocks { blocks, order } => {
                    packer.set_blocks(first, blocks.rows(), |row, group, to| blocks.read(order.stored(row), group, to));
                    blocks.rows()
                }
            };
            first += rows;
        }
        Ok(Weight::Int8(packer.finish()))
    }
}

impl Matrix {
    fn out(&self) -> usize {
        match &self.weight {
            Weight::F32(matrix) => matrix.out(),
            Weight::Int8(matrix) => matrix.out(),
        }
    }

    fn inp(&self) -> usize {
        match &self.weight {
            Weight::F32(matrix) => matrix.inp(),
            Weight::Int8(matrix) => matrix.inp(),
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
        KvStore::new(layers, kv_heads, head_dim)
    }

    fn vector(&self, values: Vec<f32>) -> Result<Vec<f32>> {
        Ok(values)
    }

    fn matrix(&self, mut weights: Stacked, precision: Precision) -> Result<Matrix> {
        let bias = weights.bias.take();
        Ok(Matrix { weight: Weight::new(weights, precision)?, bias })
    }

    fn rotation(&self, cos: Vec<f32>, sin: Vec<f32>, half: usize) -> Result<Rotation> {
        Ok(Rotation { cos, sin, half })
    }

    fn embed(&self, matrix: &Matrix, indices: &[u32]) -> Result<Rows> {
        let mut rows = Rows::new(indices.len(), matrix.inp());
        for (row, &index) in rows.values.chunks_exact_mut(matrix.inp()).zip(indices) {
            match &matrix.weight {
                Weight::F32(matrix) => matrix.copy_row(index as usize, row),
                Weight::Int8(matrix) => matrix.copy_row(index as usize, row),
            }
        }
        Ok(rows)
    }

    fn linear(&self, x: &Rows, matrix: &Matrix) -> Result<Rows> {
        let mut y = Rows::new(x.count(), matrix.out());
        match &matrix.weight {
            Weight::F32(matrix) => matrix.matmul(&x.values, x.count(), &mut y.values),
            Weight::Int8(matrix) => matrix.matmul(&x.values, x.count(), &mut y.values),
        }
        if let Some(bias) = &matrix.bias {
            kernel::add_bias(&mut y.values, bias);
        }
        Ok(y)
    }

    fn norm(&self, x: &Rows, norm: &Norm<Vec<f32>>) -> Result<Rows> {
        let mut y = Rows::new(x.count(), x.width);
        match norm.kind {
            NormKind::Layer => kernel::layer_norm(
                &x.values,
                x.width,
                Some(&norm.weight),
                norm.bias.as_deref(),
                norm.eps,
                &mut y.values,
            ),
            NormKind::Rms | NormKind::RmsOffset => kernel::rms_norm(&x.values, &norm.weight, norm.eps, &mut y.values),
        }
        Ok(y)
    }

    fn norm_groups(&self, x: &mut Rows, norm: &Norm<Vec<f32>>, from: usize, groups: usize, size: usize) -> Result<()> {
        let part = Rows { values: x.columns(from, groups * size), width: size };
        let normed = self.norm(&part, norm)?;
        for (row, normed) in x.values.chunks_exact_mut(x.width).zip(normed.values.chunks_exact(groups * size)) {
            row[from..from + groups * size].copy_from_slice(normed);
        }
        Ok(())
    }

    fn rotate(&self, x: &mut Rows, rotation: &Rotation, heads: usize, head_dim: usize) -> Result<()> {
        let count = x.count();
        kernel::rope(&mut x.values, count, heads, head_dim, 2 * rotation.half, &rotation.cos, &rotation.sin);
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
        let [q, k, v] = [(0, q_width), (q_width, kv_width), (q_width + kv_width, kv_width)]
            .map(|(from, width)| qkv.columns(from, width));
        store.store(layer, rows, &k, &v);
        let mut out = Rows::new(qkv.count(), q_width);
        store.attend(layer, shape, rows, &q, &mut out.values)?;
        Ok(out)
    }

    fn activate(&self, mut x: Rows, activation: Activation, gated: bool) -> Result<Rows> {
        if !gated {
            match activation {
                Activation::Silu => kernel::silu(&mut x.values),
                Activation::Gelu => kernel::gelu(&mut x.values),
                Activation::GeluTanh => kernel::gelu_tanh(&mut x.values),
                Activation::Relu => kernel::relu(&mut x.values),
            }
            return Ok(x);
        }
        let width = x.width / 2;
        let mut y = Rows::new(x.count(), width);
        match activation {
            Activation::Silu => kernel::silu_mul(&x.values, width, &mut y.values),
            Activation::Gelu => kernel::gelu_mul(&x.values, width, &mut y.values),
            Activation::GeluTanh => kernel::gelu_tanh_mul(&x.values, width, &mut y.values),
            Activation::Relu => kernel::relu_mul(&x.values, width, &mut y.values),
        }
        Ok(y)
    }

    fn add(&self, x: &mut Rows, y: &Rows, factor: f32) -> Result<()> {
        kernel::add(&mut x.values, &y.values, factor);
        Ok(())
    }

    fn scale(&self, x: &mut Rows, factor: f32) -> Result<()> {
        kernel::scale(&mut x.values, factor);
        Ok(())
    }

    fn softcap(&self, x: &mut Rows, cap: f32) -> Result<()> {
        kernel::softcap(&mut x.values, cap);
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
