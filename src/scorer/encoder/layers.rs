//! Computes the parts that encoders are made of, on packed rows: linear layers, norms, activations.

use anyhow::Result;

use crate::model::kernel::{self, PackedMatrix, Packer, QuantMatrix};
use crate::model::precision::Precision;

/// Takes a tensor in f32 by its name and shape, or errs by name.
pub type Take<'a> = &'a mut dyn FnMut(&str, &[usize]) -> Result<Vec<f32>>;

/// The functions between two linear layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The exact form.
    Gelu,
    GeluTanh,
    Relu,
    Silu,
    Tanh,
}

impl Activation {
    /// As config.json spells them.
    pub const NAMES: &str = "gelu, gelu_python, gelu_new, gelu_fast, gelu_pytorch_tanh, relu, silu, swish, tanh";

    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "gelu" | "gelu_python" => Self::Gelu,
            "gelu_new" | "gelu_fast" | "gelu_accurate" | "gelu_pytorch_tanh" | "gelu_python_tanh" => Self::GeluTanh,
            "relu" => Self::Relu,
            "silu" | "swish" => Self::Silu,
            "tanh" => Self::Tanh,
            _ => return None,
        })
    }

    /// `f(x + bias)` for each row, in place.
    fn apply(self, x: &mut [f32], bias: &[f32]) {
        match self {
            Self::Gelu => kernel::bias_gelu(x, bias),
            Self::GeluTanh => kernel::bias_gelu_tanh(x, bias),
            Self::Relu => kernel::bias_relu(x, bias),
            Self::Silu => kernel::bias_silu(x, bias),
            Self::Tanh => kernel::bias_tanh(x, bias),
        }
    }
}

/// y = x · Wᵀ + b, the weight packed for its kernel.
pub struct Linear {
    weight: Matrix,
    bias: Vec<f32>,
}

enum Matrix {
    F32(PackedMatrix),
    Int8(QuantMatrix),
}

impl Linear {
    /// `weight` is row-major (out, in). Int8 where it is asked for and rows are whole groups of 32, which is what the int8
    /// kernel takes; else f32.
    pub fn new(weight: &[f32], bias: Vec<f32>, inp: usize, precision: Precision) -> Self {
        let out = bias.len();
        let weight = if precision == Precision::Int8 && inp.is_multiple_of(32) {
            let mut packer = Packer::new(out, inp);
            packer.set_rows(0, weight);
            Matrix::Int8(packer.finish())
        } else {
            Matrix::F32(PackedMatrix::pack(weight, out, inp))
        };
        Self { weight, bias }
    }

    /// Several layers of a checkpoint over one input, each `(out, in)`, become one wider layer. Without `biased`, the
    /// biases are 0.
    pub fn take(take: Take<'_>, names: &[&str], out: usize, inp: usize, biased: bool, p: Precision) -> Result<Self> {
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            weight.extend(take(&format!("{name}.weight"), &[out, inp])?);
            match biased {
                true => bias.extend(take(&format!("{name}.bias"), &[out])?),
                false => bias.resize(bias.len() + out, 0.0),
            }
        }
        Ok(Self::new(&weight, bias, inp, p))
    }

    pub fn out(&self) -> usize {
        self.bias.len()
    }

    /// Left out by [`Linear::product`].
    pub fn bias(&self) -> &[f32] {
        &self.bias
    }

    /// x · Wᵀ of `(rows, in)` into `y`, which becomes `(rows, out)`.
    pub fn product(&self, x: &[f32], y: &mut Vec<f32>) {
        let inp = match &self.weight {
            Matrix::F32(matrix) => matrix.inp(),
            Matrix::Int8(matrix) => matrix.inp(),
        };
        let rows = x.len() / inp;
        y.resize(rows * self.out(), 0.0);
        match &self.weight {
            Matrix::F32(matrix) => matrix.matmul(x, rows, y),
            Matrix::Int8(matrix) => matrix.matmul(x, rows, y),
        }
    }

    /// x · Wᵀ + b.
    pub fn forward(&self, x: &[f32], y: &mut Vec<f32>) {
        self.product(x, y);
        kernel::add_bias(y, &self.bias);
    }

    /// f(x · Wᵀ + b).
    pub fn activated(&self, x: &[f32], activation: Activation, y: &mut Vec<f32>) {
        self.product(x, y);
        activation.apply(y, &self.bias);
    }
}

/// Layer normalisation of rows.
pub struct LayerNorm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    eps: f32,
}

impl LayerNorm {
    /// Without `biased`, the bias is 0.
    pub fn take(take: Take<'_>, name: &str, width: usize, biased: bool, eps: f64) -> Result<Self> {
        let weight = take(&format!("{name}.weight"), &[width])?;
        let bias = match biased {
            true => take(&format!("{name}.bias"), &[width])?,
            false => vec![0.0; width],
        };
        Ok(Self { weight, bias, eps: eps as f32 })
    }

    /// norm(x) into `y`.
    pub fn forward(&self, x: &[f32], y: &mut Vec<f32>) {
        y.resize(x.len(), 0.0);
        kernel::layer_norm(x, self.weight.len(), Some(&self.weight), Some(&self.bias), self.eps, y);
    }

    /// norm(x + addend + residual), in place: the end of a block, with the bias of the linear layer that gave x.
    pub fn end_block(&self, x: &mut [f32], addend: &[f32], residual: &[f32]) {
        kernel::add_layer_norm(x, residual, addend, &self.weight, &self.bias, self.eps);
    }
}

/// What the layers of a batch write to, kept from layer to layer.
#[derive(Default)]
pub struct Buffers {
    pub qkv: Vec<f32>,
    pub mixed: Vec<f32>,
    pub attended: Vec<f32>,
    pub wide: Vec<f32>,
    pub gated: Vec<f32>,
}
