//! Evaluates the functions that activations and softmax need, in plain arithmetic.
//!
//! Only `+ - × ÷`, fused multiply-adds, comparisons and bit casts, without branches: the compiler may vectorise them as it
//! likes and the bits stay the same on every machine, which a system's `expf` does not promise.

/// e^x for f32; relative error below 2e-7 on [-87, 88], 0 below, infinity above, NaN for NaN.
///
/// Range reduction x = n·ln 2 + r with |r| ≤ ln 2 / 2 and the degree-6 polynomial of Cephes `expf` (Moshier 1992).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const LN2_HI: f32 = 0.693_359_4;
    const LN2_LO: f32 = -2.121_944_4e-4;
    // Adding and taking away 1.5·2^23 rounds to the nearest whole number, and leaves it in the lowest bits between.
    const ROUND: f32 = 12_582_912.0;
    // Comparisons, not `clamp`: NaN goes through.
    let clamped = if x > 88.7 { 88.7 } else { x };
    let clamped = if clamped < -87.3 { -87.3 } else { clamped };
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * LN2_HI - n * LN2_LO;
    let p = 1.987_569_2e-4 * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_6e-1;
    let p = p * r + 0.5;
    let y = p * r * r + r + 1.0;
    // n is in [-126, 128]: two factors, so that 2^128 does not overflow the exponent field.
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let half = n >> 1;
    let power = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
    let y = y * power(half) * power(n.wrapping_sub(half));
    let y = if x < -87.3 { 0.0 } else { y };
    if x > 88.7 { f32::INFINITY } else { y }
}

/// tanh x for f32; relative error below 3e-7, NaN for NaN.
///
/// As Cephes `tanhf` (Moshier 1992): a polynomial near 0, 1 − 2/(e^2x + 1) from 0.625 on.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let z = x * x;
    let p = -5.704_988_7e-3 * z + 2.063_909e-2;
    let p = p * z - 5.373_971_6e-2;
    let p = p * z + 1.333_144_2e-1;
    let p = p * z - 3.333_328e-1;
    let near = p * z * x + x;
    let far = (1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0)).copysign(x);
    if x.abs() < 0.625 { near } else { far }
}

// erf(x) ≈ x·P(x²)/Q(x²) on [-4, 4]: our own weighted least-squares fit over 160 nodes, 2.2e-8 off at most. All
// coefficients are positive, so that nothing cancels in f32.
const ERF_P: [f32; 6] =
    [std::f32::consts::FRAC_2_SQRT_PI, 0.196_240_26, 0.053_466_287, 0.004_003_244, 2.880_272_5e-4, 1.974_839_6e-6];
const ERF_Q: [f32; 6] = [1.0, 0.507_244_6, 0.116_472_77, 0.015_443_646, 1.216_251_4e-3, 3.748_02e-5];

/// The error function, within 4e-7 everywhere and never beyond ±1. Not a number stays so.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let x = if x > 4.0 { 4.0 } else { x };
    let x = if x < -4.0 { -4.0 } else { x };
    let t = x * x;
    let (mut p, mut q) = (ERF_P[5], ERF_Q[5]);
    for i in (0..5).rev() {
        p = p.mul_add(t, ERF_P[i]);
        q = q.mul_add(t, ERF_Q[i]);
    }
    let y = x * p / q;
    let y = if y > 1.0 { 1.0 } else { y };
    if y < -1.0 { -1.0 } else { y }
}

/// Sixteen sums as one: halves are added until one is left.
#[inline(always)]
pub fn tree_sum(mut sums: [f32; 16]) -> f32 {
    let mut width = 8;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
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
    fn tanh_stays_within_its_stated_error() {
        for i in -30_000..=30_000 {
            let x = i as f32 * 0.000_371;
            let want = f64::from(x).tanh();
            assert!((f64::from(tanh(x)) - want).abs() <= 3e-7 * want.abs(), "tanh({x})");
        }
        assert_eq!((tanh(f32::INFINITY), tanh(f32::NEG_INFINITY)), (1.0, -1.0));
        assert!(tanh(f32::NAN).is_nan());
    }

    #[test]
    fn erf_is_within_4e_7_of_the_double_precision_function() {
        for i in -6000..=6000 {
            let x = i as f32 / 1000.0;
            let want = statrs::function::erf::erf(f64::from(x));
            assert!((f64::from(erf(x)) - want).abs() < 4e-7, "erf({x})");
        }
        assert!(erf(f32::NAN).is_nan());
    }
}
