//! Chooses the device that a model runs on.

use anyhow::{Result, anyhow};
use candle_core::Device;
use candle_core::utils::{cuda_is_available, metal_is_available};

/// What `--device` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// CUDA or Metal where this build has it, else the CPU.
    Auto,
    #[default]
    Cpu,
    Cuda,
    Metal,
}

impl DeviceChoice {
    pub fn open(self) -> Result<Device> {
        let built = |name: &str, error: candle_core::Error| {
            anyhow!(
                "--device {name}: {error}; build with `cargo build --release --features {name}`, or leave --device out"
            )
        };
        match self {
            DeviceChoice::Cpu => Ok(Device::Cpu),
            DeviceChoice::Cuda => Device::new_cuda(0).map_err(|error| built("cuda", error)),
            DeviceChoice::Metal => Device::new_metal(0).map_err(|error| built("metal", error)),
            DeviceChoice::Auto if cuda_is_available() => DeviceChoice::Cuda.open(),
            DeviceChoice::Auto if metal_is_available() => DeviceChoice::Metal.open(),
            DeviceChoice::Auto => Ok(Device::Cpu),
        }
    }
}

/// `cpu`, `cuda` or `metal`.
pub fn kind(device: &Device) -> &'static str {
    match device {
        Device::Cpu => "cpu",
        Device::Cuda(_) => "cuda",
        Device::Metal(_) => "metal",
    }
}
