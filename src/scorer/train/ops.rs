//! Frozen parts of an encoder as operations with a backward pass that computes nothing for what is frozen.
//!
//! candle's own product would compute a gradient for the frozen matrix too, half of the work of a backward pass.
//! Forward passes use the kernels that score, so that training and scoring see the same numbers.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::model::kernel::{PackedMatrix, add_bias, gelu, layer_norm};

/// Rows of f32 without gaps, as these operations read them.
fn rows<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((from, to)) = layout.contiguous_offsets() else { bail!("the rows are not contiguous") };
    match storage {
        CpuStorage::F32(values) => Ok(&values[from..to]),
        _ => bail!("the rows are not f32"),
    }
}

/// `y = x·Wᵀ + b` for `x` (rows, in) and a frozen matrix (out, in).
#[derive(Clone)]
pub struct FrozenLinear {
    matrix: Arc<PackedMatrix>,
    /// The transposed matrix, for the gradient of `x`.
    back: Arc<PackedMatrix>,
    bias: Option<Arc<Vec<f32>>>,
}

impl FrozenLinear {
    /// `weight` is (out, in).
    pub fn new(weight: &[f32], bias: Vec<f32>, inp: usize) -> Self {
        let out = bias.len();
        let mut transposed = vec![0.0; weight.len()];
        for (o, row) in weight.chunks_exact(inp).enumerate() {
            row.iter().enumerate().for_each(|(i, &w)| transposed[i * out + o] = w);
        }
        Self {
            matrix: Arc::new(PackedMatrix::pack(weight, out, inp)),
            back: Arc::new(PackedMatrix::pack(&transposed, inp, out)),
            bias: Some(Arc::new(bias)),
        }
    }
}

impl CustomOp1 for FrozenLinear {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = rows(storage, layout)?;
        let count = x.len() / self.matrix.inp();
        let mut y = vec![0.0; count * self.matrix.out()];
        self.matrix.matmul(x, count, &mut y);
        if let Some(bias) = &self.bias {
            add_bias(&mut y, bias);
        }
        Ok((CpuStorage::F32(y), Shape::from((count, self.matrix.out()))))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let back = Self { matrix: self.back.clone(), back: self.matrix.clone(), bias: None };
        gradient.contiguous()?.apply_op1_no_bwd(&back).map(Some)
    }
}

/// Layer normalisation with frozen weight and bias (Ba et al. 2016), over rows of their width.
#[derive(Clone)]
pub struct FrozenNorm {
    pub weight: Arc<Vec<f32>>,
    pub bias: Arc<Vec<f32>>,
    pub eps: f32,
}

impl CustomOp1 for FrozenNorm {
    fn name(&self) -> &'static str {
        "frozen-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = rows(storage, layout)?;
        let mut y = vec![0.0; x.len()];
        layer_norm(x, self.weight.len(), Some(&self.weight), Some(&self.bias), self.eps, &mut y);
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    /// With x̂ the normalised row and u = w·g: (u − mean(u) − x̂·mean(u·x̂)) / σ.
    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let width = self.weight.len();
        let (values, gradients) = (values(x)?, values(gradient)?);
        let mut out = vec![0.0_f32; values.len()];
        out.par_chunks_mut(width).zip(values.par_chunks(width)).zip(gradients.par_chunks(width)).for_each(
            |((out, x), gradient)| {
                let n = width as f64;
                let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
                let variance = x.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
                let scale = 1.0 / (variance + f64::from(self.eps)).sqrt();
                let (mut sum, mut along) = (0.0, 0.0);
                for ((x, g), w) in x.iter().zip(gradient).zip(self.weight.iter()) {
                    let u = f64::from(g * w);
                    sum += u;
                    along += u * (f64::from(*x) - mean) * scale;
                }
                for (((out, x), g), w) in out.iter_mut().zip(x).zip(gradient).zip(self.weight.iter()) {
                    let normal = (f64::from(*x) - mean) * scale;
                    *out = ((f64::from(g * w) - sum / n - normal * along / n) * scale) as f32;
                }
            },
        );
        Tensor::from_vec(out, x.shape(), x.device()).map(Some)
    }
}

/// The exact GELU, x·Φ(x) (Hendrycks and Gimpel 2016).
pub struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut y = rows(storage, layout)?.to_vec();
        gelu(&mut y);
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    /// Φ(x) + x·φ(x), with Φ(x) taken from the forward pass where x is not too small for a division.
    fn bwd(&self, x: &Tensor, result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        const FRAC_1_SQRT_2PI: f32 = 0.398_942_3;
        let (x_values, results, mut out) = (values(x)?, values(result)?, values(gradient)?);
        out.par_chunks_mut(4096).zip(x_values.par_chunks(4096)).zip(results.par_chunks(4096)).for_each(
            |((out, x), result)| {
                for ((out, &x), &y) in out.iter_mut().zip(x).zip(result) {
                    let below = if x.abs() > 1e-3 { y / x } else { 0.5 + FRAC_1_SQRT_2PI * x };
                    *out *= below + x * FRAC_1_SQRT_2PI * (-0.5 * x * x).exp();
                }
            },
        );
        Tensor::from_vec(out, x.shape(), x.device()).map(Some)
    }
}

fn values(x: &Tensor) -> Result<Vec<f32>> {
    x.flatten_all()?.to_vec1()
}
