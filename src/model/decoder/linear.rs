//! Multiplies by weights: packed kernels on the CPU, candle's matmul elsewhere.

use anyhow::Result;
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Storage, Tensor};

use crate::model::kernel::{PackedMatrix, silu_mul};

/// `y = x · Wᵀ + b` for x (rows, in) f32.
pub struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
}

enum Weight {
    Packed(PackedMatrix),
    /// (in, out), contiguous.
    Dense(Tensor),
}

impl Linear {
    /// `weight` is row-major (out, in).
    pub fn new(weight: &[f32], bias: Option<Vec<f32>>, out: usize, inp: usize, device: &Device) -> Result<Self> {
        let bias = bias.map(|bias| Tensor::from_vec(bias, out, device)).transpose()?;
        let weight = match device {
            Device::Cpu => Weight::Packed(PackedMatrix::pack(weight, out, inp)),
            device => Weight::Dense(Tensor::from_slice(weight, (out, inp), device)?.t()?.contiguous()?),
        };
        Ok(Self { weight, bias })
    }

    /// (rows, in) → (rows, out).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = match &self.weight {
            Weight::Packed(matrix) => x.contiguous()?.apply_op1_no_bwd(&PackedMatmul(matrix))?,
            Weight::Dense(weight) => x.matmul(weight)?,
        };
        Ok(match &self.bias {
            Some(bias) => y.broadcast_add(bias)?,
            None => y,
        })
    }

    /// The matrix's rows at `indices`, (indices, in): how a tied matrix serves as the embedding.
    pub fn rows(&self, indices: &[u32], device: &Device) -> Result<Tensor> {
        match &self.weight {
            Weight::Packed(matrix) => {
                let mut out = vec![0.0; indices.len() * matrix.inp()];
                for (row, &index) in out.chunks_exact_mut(matrix.inp()).zip(indices) {
                    matrix.copy_row(index as usize, row);
                }
                Ok(Tensor::from_vec(out, (indices.len(), matrix.inp()), device)?)
            }
            Weight::Dense(weight) => {
                let indices = Tensor::from_slice(indices, indices.len(), device)?;
                Ok(weight.index_select(&indices, 1)?.t()?.contiguous()?)
            }
        }
    }
}

struct PackedMatmul<'a>(&'a PackedMatrix);

impl CustomOp1 for PackedMatmul<'_> {
    fn name(&self) -> &'static str {
        "packed-matmul"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (rows, _) = layout.shape().dims2()?;
        let mut y = vec![0.0; rows * self.0.out()];
        self.0.matmul(contiguous(storage, layout)?, rows, &mut y);
        Ok((CpuStorage::F32(y), (rows, self.0.out()).into()))
    }
}

/// `silu(gate) · up` for x (rows, 2·width) that holds gate and up side by side: (rows, width).
pub fn gated_silu(x: &Tensor, width: usize) -> Result<Tensor> {
    if x.device().is_cpu() {
        return Ok(x.apply_op1_no_bwd(&GatedSilu(width))?);
    }
    Ok((x.narrow(1, 0, width)?.silu()? * x.narrow(1, width, width)?)?)
}

struct GatedSilu(usize);

impl CustomOp1 for GatedSilu {
    fn name(&self) -> &'static str {
        "gated-silu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (rows, _) = layout.shape().dims2()?;
        let mut y = vec![0.0; rows * self.0];
        silu_mul(contiguous(storage, layout)?, self.0, &mut y);
        Ok((CpuStorage::F32(y), (rows, self.0).into()))
    }
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&values[from..to]),
        None => candle_core::bail!("a kernel needs a contiguous tensor"),
    }
}

/// Calls `f` with a tensor's f32 values, borrowed on the CPU and copied from elsewhere.
pub fn with_values<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    if let Storage::Cpu(storage) = &*storage {
        return Ok(f(contiguous(storage, layout)?));
    }
    drop(storage);
    Ok(f(&tensor.flatten_all()?.to_vec1::<f32>()?))
}
