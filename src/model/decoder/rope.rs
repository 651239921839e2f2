//! Computes the frequencies of rotary embeddings (Su et al. 2021) and the ways in which models stretch them.
//!
//! Frequencies are computed in f64 and kept in f32; angles are products in f32, as transformers computes them.

use std::f64::consts::PI;

/// Frequencies of one rotary embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Rotary {
    /// Angle per position of each pair of dimensions; dimension i turns with i + len.
    pub inverse_frequencies: Vec<f32>,
    /// Factor on cos and sin (YaRN, LongRoPE).
    pub attention_factor: f32,
}

/// How the frequencies θ^(−2i/d) are changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Scaling {
    None,
    /// All divided by the factor (Chen et al. 2023).
    Linear(f64),
    /// Llama 3.1: wavelengths above `original / low` are stretched by `factor`, those below `original / high` kept, and
    /// blended in between.
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        original: f64,
    },
    /// Each divided by its own factor: LongRoPE's lists, or GGUF's `rope_freqs.weight`.
    Factors {
        divisors: Vec<f32>,
        attention_factor: f64,
    },
    /// Peng et al. 2023: dimensions that turn more than `fast` times in the original context are kept, those that turn
    /// less than `slow` times are stretched by `factor`, with a ramp in between.
    Yarn {
        factor: f64,
        fast: f64,
        slow: f64,
        original: f64,
        attention_factor: f64,
        /// Whether the ends of the ramp are whole dimensions, as in the paper's code.
        truncate: bool,
    },
}

impl Rotary {
    /// For `dimensions` rotated dimensions of a head and the base θ.
    pub fn new(dimensions: usize, theta: f64, scaling: &Scaling) -> Self {
        // An odd number counts the pair that it begins (transformers does so for head sizes like 12 · 0.25).
        let half = dimensions.div_ceil(2);
        let plain = |i: usize| theta.powf(-((2 * i) as f64) / dimensions as f64);
        let frequency = |i: usize| {
            let base = plain(i);
            match scaling {
                Scaling::None => base,
                Scaling::Linear(factor) => base / factor,
                Scaling::Llama3 { factor, low, high, original } => {
                    let wavelength = 2.0 * PI / base;
                    if wavelength < original / high {
                        base
                    } else if wavelength > original / low {
                        base / factor
                    } else {
                        let smooth = (original / wavelength - low) / (high - low);
                        (1.0 - smooth) * base / factor + smooth * base
                    }
                }
                Scaling::Factors { divisors, .. } => base / f64::from(divisors[i]),
                Scaling::Yarn { factor, fast, slow, original, truncate, .. } => {
                    // The dimension that turns so many times within the original context.
                    let dimension =
                        |turns: f64| dimensions as f64 * (original / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln());
                    let (mut from, mut to) = (dimension(*fast), dimension(*slow));
                    if *truncate {
                        (from, to) = (from.floor(), to.ceil());
                    }
                    let (from, mut to) = (from.max(0.0), to.min(dimensions as f64 - 1.0));
                    if from == to {
                        to += 0.001;
                    }
                    let stretched = ((i as f64 - from) / (to - from)).clamp(0.0, 1.0);
                    base / factor * stretched + base * (1.0 - stretched)
                }
            }
        };
        let attention_factor = match scaling {
            Scaling::Factors { attention_factor, .. } | Scaling::Yarn { attention_factor, .. } => *attention_factor,
            _ => 1.0,
        };
        Self {
            inverse_frequencies: (0..half).map(|i| frequency(i) as f32).collect(),
            attention_factor: attention_factor as f32,
        }
    }

    /// Rotated dimensions of a head; the others stay as they are.
    pub fn dimensions(&self) -> usize {
        2 * self.inverse_frequencies.len()
    }

    /// cos and sin of the angles at these positions, (positions, dimensions / 2) each.
    pub fn tables(&self, positions: &[usize]) -> (Vec<f32>, Vec<f32>) {
        let angles =
            positions.iter().flat_map(|&position| self.inverse_frequencies.iter().map(move |f| position as f32 * f));
        angles.map(|angle| (angle.cos() * self.attention_factor, angle.sin() * self.attention_factor)).unzip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yarn_keeps_the_fastest_dimensions_and_stretches_the_slowest() {
        let plain = Rotary::new(64, 10_000.0, &Scaling::None);
        let scaling = Scaling::Yarn {
            factor: 4.0,
            fast: 32.0,
            slow: 1.0,
            original: 2048.0,
            attention_factor: 1.0,
            truncate: true,
        };
        let yarn = Rotary::new(64, 10_000.0, &scaling);
        assert_eq!(yarn.inverse_frequencies[0], plain.inverse_frequencies[0]);
        assert_eq!(yarn.inverse_frequencies[31], (f64::from(plain.inverse_frequencies[31]) / 4.0) as f32);
        for (a, b) in yarn.inverse_frequencies.iter().zip(&plain.inverse_frequencies) {
            assert!(a <= b && *a >= b / 4.001);
        }
    }
}
