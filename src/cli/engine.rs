//! The options of every command that asks a model in this process.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::model::OpenOptions;
use crate::model::chat::TemplateDate;
use crate::model::device::DeviceChoice;
use crate::model::precision::Precision;

#[derive(Debug, clap::Args)]
pub struct EngineArgs {
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceArg::Auto)]
    device: DeviceArg,

    /// Arithmetic of the weights: f32, int8, or auto (f32 up to 1 billion parameters)
    #[arg(long, value_name = "auto|f32|int8", default_value = "auto")]
    precision: Precision,

    /// Threads to compute with; all cores when left out. Changes no result
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Tokens to compute at once, at most; more needs more memory. Changes no result
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch_tokens: Option<u32>,

    /// Memory for weights, keys and values, in bytes or with K, M, G (powers of 1024): 6G. Changes no result
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    max_memory: Option<u64>,

    /// A tokenizer.json in place of the model's own, for GGUF files whose tokenizer is refused
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,

    /// The date that chat templates print, where they print one
    #[arg(long, value_name = "YYYY-MM-DD", default_value_t)]
    pub template_date: TemplateDate,

    /// Use only files that are here already
    #[arg(long)]
    pub offline: bool,

    /// Show no progress
    #[arg(long)]
    pub quiet: bool,
}

impl EngineArgs {
    pub fn options(&self) -> OpenOptions {
        OpenOptions {
            device: self.device.choice(),
            precision: self.precision,
            tokenizer: self.tokenizer.clone(),
            template_date: self.template_date,
            batch_tokens: self.batch_tokens.map(|tokens| tokens as usize),
            max_memory: self.max_memory,
            offline: self.offline,
            quiet: self.quiet,
        }
    }

    /// Starts the threads that all computing shares; to be called before any of it.
    pub fn start_threads(&self) -> Result<()> {
        start_threads(self.threads)
    }
}

/// Starts the threads that all computing shares: as many as there are cores unless it is said.
pub fn start_threads(threads: Option<u16>) -> Result<()> {
    if let Some(threads) = threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global().context("--threads")?;
    }
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum DeviceArg {
    /// CUDA or Metal where this build and machine have it, else the CPU
    Auto,
    Cpu,
    Cuda,
    Metal,
}

impl DeviceArg {
    fn choice(self) -> DeviceChoice {
        match self {
            DeviceArg::Auto => DeviceChoice::Auto,
            DeviceArg::Cpu => DeviceChoice::Cpu,
            DeviceArg::Cuda => DeviceChoice::Cuda,
            DeviceArg::Metal => DeviceChoice::Metal,
        }
    }
}

/// A number of bytes, perhaps with a suffix.
fn bytes(text: &str) -> Result<u64, String> {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match text[number.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return Err("write a number of bytes, or one with K, M, G or T, such as 6G".into()),
    };
    let number: f64 = number.parse().map_err(|_| "write a number of bytes, such as 500M or 6G".to_owned())?;
    let bytes = number * (1u64 << shift) as f64;
    if !(bytes >= 1.0 && bytes < u64::MAX as f64) {
        return Err("it must be at least one byte".into());
    }
    Ok(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_a_suffix() {
        assert_eq!(bytes("1000"), Ok(1000));
        assert_eq!(bytes("2K"), Ok(2048));
        assert_eq!(bytes("1.5GiB"), Ok(3 << 29));
        for wrong in ["", "G", "0", "-1", "nan", "5 G", "5X"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
