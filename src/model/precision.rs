//! Chooses the arithmetic of the weights' matrix products.

use anyhow::{Result, bail};

/// What `--precision` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// f32 up to [`AUTO_F32_PARAMETERS`] parameters, int8 above, so that machines agree.
    #[default]
    Auto,
    F32,
    /// Weights and activations in 8 bits, with a scale for every 32.
    Int8,
}

/// Largest model that `auto` computes in f32.
pub const AUTO_F32_PARAMETERS: usize = 1_000_000_000;

impl Precision {
    /// The arithmetic for a model of so many parameters: `F32` or `Int8`, never `Auto`.
    pub fn resolve(self, parameters: usize) -> Self {
        match self {
            Precision::Auto if parameters <= AUTO_F32_PARAMETERS => Precision::F32,
            Precision::Auto => Precision::Int8,
            chosen => chosen,
        }
    }

    /// As it stands in manifests and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Precision::Auto => "auto",
            Precision::F32 => "f32",
            Precision::Int8 => "int8",
        }
    }
}

impl std::str::FromStr for Precision {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "auto" => Precision::Auto,
            "f32" => Precision::F32,
            "int8" => Precision::Int8,
            other => bail!("\"{other}\" is no precision; choose auto, f32 or int8"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_is_f32_up_to_a_billion_parameters_and_a_choice_is_kept() {
        assert_eq!(Precision::Auto.resolve(1_000_000_000), Precision::F32);
        assert_eq!(Precision::Auto.resolve(1_000_000_001), Precision::Int8);
        assert_eq!(Precision::Int8.resolve(1), Precision::Int8);
        assert_eq!(Precision::F32.resolve(usize::MAX), Precision::F32);
    }
}
