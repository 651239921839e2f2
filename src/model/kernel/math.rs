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
}
