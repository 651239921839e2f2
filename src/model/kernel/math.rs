//! Evaluates the functions that activations and softmax need, in plain f32 arithmetic.
//!
//! Only `+ - × ÷`, comparisons and bit casts: the compiler may vectorise them as it likes and the bits stay the same on
//! every machine, which a system's `expf` does not promise.

/// e^x for f32; relative error below 2e-7 on [-87, 88], 0 below, infinity above, NaN for NaN.
///
/// Range reduction x = n·ln 2 + r with |r| ≤ ln 2 / 2 and the degree-6 polynomial of Cephes `expf` (Moshier 1992).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LN2_HI: f32 = 0.693_359_4;
    const LN2_LO: f32 = -2.121_944_4e-4;
    let clamped = x.clamp(-87.3, 88.7);
    let shifted = clamped * std::f32::consts::LOG2_E + 0.5;
    let truncated = shifted as i32 as f32;
    let n = if truncated > shifted { truncated - 1.0 } else { truncated };
    let r = clamped - n * LN2_HI - n * LN2_LO;
    let p = 1.987_569_2e-4 * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_6e-1;
    let p = p * r + 0.5;
    let y = p * r * r + r + 1.0;
    // n is in [-126, 128]: two factors, so that 2^128 does not overflow the exponent field.
    let half = (n as i32) >> 1;
    let power = |n: i32| f32::from_bits(((n + 127) as u32) << 23);
    let y = y * power(half) * power(n as i32 - half);
    if x < -87.3 {
        0.0
    } else if x > 88.7 {
        f32::INFINITY
    } else {
        y
    }
}

/// `silu(gate) · up` for rows of `[gate, up]` halves: `x (rows, 2·width)` → `y (rows, width)`.
pub fn silu_mul(x: &[f32], width: usize, y: &mut [f32]) {
    for (x, y) in x.chunks_exact(2 * width).zip(y.chunks_exact_mut(width)) {
        let (gate, up) = x.split_at(width);
        for ((g, u), y) in gate.iter().zip(up).zip(y) {
            *y = g / (1.0 + exp(-g)) * u;
        }
    }
}

/// The error function, absolute error below 2e-7.
///
/// `1 − t·exp(−x² + P(t))`, t = 1/(1 + |x|/2), the Chebyshev fit of Numerical Recipes (Press et al. 1992, §6.2), in f64:
/// the exact GELU is held to 1e-5 against its reference.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let z = f64::from(x.abs());
    let t = 1.0 / (1.0 + 0.5 * z);
    let poly = -z * z - 1.265_512_23
        + t * (1.000_023_68
            + t * (0.374_091_96
                + t * (0.096_784_18
                    + t * (-0.186_288_06
                        + t * (0.278_868_07
                            + t * (-1.135_203_98 + t * (1.488_515_87 + t * (-0.822_152_23 + t * 0.170_872_77))))))));
    let tail = t * exp64(poly);
    let value = 1.0 - tail;
    (if x < 0.0 { -value } else { value }) as f32
}

/// e^x for f64 arguments in [-∞, 0], relative error below 1e-10: range reduction and a Taylor series of degree 11.
#[inline(always)]
fn exp64(x: f64) -> f64 {
    let x = x.max(-700.0);
    let n = (x * std::f64::consts::LOG2_E - 0.5) as i64;
    let r = x - n as f64 * std::f64::consts::LN_2;
    let mut y = 1.0;
    let mut degree = 11.0;
    while degree > 0.0 {
        y = 1.0 + r / degree * y;
        degree -= 1.0;
    }
    y * f64::from_bits(((n + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_stays_within_its_stated_error() {
        let mut x = -87.0f32;
        while x < 88.0 {
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) - want).abs() <= 2e-7 * want, "exp({x})");
            x += 0.00731;
        }
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(1000.0), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn erf_stays_within_its_stated_error() {
        // Abramowitz & Stegun, table 7.1.
        let table =
            [(0.0f32, 0.0f64), (0.1, 0.112_462_916), (0.5, 0.520_499_878), (1.0, 0.842_700_793), (2.0, 0.995_322_265)];
        for (x, want) in table {
            assert!((f64::from(erf(x)) - want).abs() < 2e-7, "erf({x}) = {}", erf(x));
            assert!((f64::from(erf(-x)) + want).abs() < 2e-7, "erf(-{x})");
        }
        assert_eq!(erf(30.0), 1.0);
    }
}
