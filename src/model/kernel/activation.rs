//! Applies activations and other functions of single numbers, in place or on rows of `[gate, up]` halves.

use rayon::prelude::*;

use super::level::{Level, at_each_level};
use super::math::{erf, exp, tanh};
use super::tasks::{ROWS_GRAIN, is_shared, map_rows, update, update_rows};

/// x·σ(x)
#[inline(always)]
fn silu_of(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// ½x·(1 + tanh u) with u = √(2/π)·(x + 0.044715·x³), as x·σ(2u), which cancels nothing (Hendrycks and Gimpel 2016).
#[inline(always)]
fn gelu_tanh_of(x: f32) -> f32 {
    const TWICE_SQRT_2_BY_PI: f32 = 1.595_769;
    x / (1.0 + exp(-TWICE_SQRT_2_BY_PI * (x + 0.044_715 * x * x * x)))
}

/// Exact GELU, x·Φ(x).
#[inline(always)]
fn gelu_of(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// max(x, 0); NaN stays.
#[inline(always)]
fn relu_of(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

macro_rules! in_place {
    ($($(#[$doc:meta])* $name:ident, $slice:ident, $of:expr;)*) => { $(
        at_each_level! {
            fn $slice(x: &mut [f32]) {
                for x in x {
                    *x = $of(*x);
                }
            }
        }
        $(#[$doc])*
        pub fn $name(x: &mut [f32]) {
            update(x, |x| $slice(Level::detect(), x));
        }
    )* };
}

in_place! {
    /// x·σ(x), in place.
    silu, silu_slice, silu_of;
    /// Exact GELU, x·Φ(x), in place (not the tanh form).
    gelu, gelu_slice, gelu_of;
    /// GELU's tanh form, in place.
    gelu_tanh, gelu_tanh_slice, gelu_tanh_of;
    /// max(x, 0), in place; NaN stays.
    relu, relu_slice, relu_of;
}

macro_rules! biased {
    ($($(#[$doc:meta])* $name:ident, $rows:ident, $of:expr;)*) => { $(
        at_each_level! {
            fn $rows(x: &mut [f32], bias: &[f32]) {
                for row in x.chunks_exact_mut(bias.len()) {
                    for (x, bias) in row.iter_mut().zip(bias) {
                        *x = $of(*x + bias);
                    }
                }
            }
        }
        $(#[$doc])*
        ///
        /// # Panics
        /// If x is no whole rows.
        pub fn $name(x: &mut [f32], bias: &[f32]) {
            update_rows(x, bias.len(), |x| $rows(Level::detect(), x, bias));
        }
    )* };
}

biased! {
    /// Adds a bias to each row.
    add_bias, add_bias_rows, (|x| x);
    /// `gelu(x + bias)` for each row, in place, with the exact GELU.
    bias_gelu, bias_gelu_rows, gelu_of;
    /// `gelu(x + bias)` for each row, in place, with GELU's tanh form.
    bias_gelu_tanh, bias_gelu_tanh_rows, gelu_tanh_of;
    /// `max(x + bias, 0)` for each row, in place.
    bias_relu, bias_relu_rows, relu_of;
    /// `silu(x + bias)` for each row, in place.
    bias_silu, bias_silu_rows, silu_of;
    /// `tanh(x + bias)` for each row, in place.
    bias_tanh, bias_tanh_rows, tanh;
}

macro_rules! gated {
    ($($(#[$doc:meta])* $name:ident, $rows:ident, $of:ident;)*) => { $(
        at_each_level! {
            fn $rows(x: &[f32], width: usize, y: &mut [f32]) {
                for (x, y) in x.chunks_exact(2 * width).zip(y.chunks_exact_mut(width)) {
                    let (gate, up) = x.split_at(width);
                    for ((gate, up), y) in gate.iter().zip(up).zip(y) {
                        *y = $of(*gate) * up;
                    }
                }
            }
        }
        $(#[$doc])*
        pub fn $name(x: &[f32], width: usize, y: &mut [f32]) {
            map_rows(x, 2 * width, y, width, |x, y| $rows(Level::detect(), x, width, y));
        }
    )* };
}

gated! {
    /// `silu(gate) · up` for rows of `[gate, up]` halves: `x (rows, 2·width)` → `y (rows, width)`.
    silu_mul, silu_mul_rows, silu_of;
    /// `gelu_tanh(gate) · up` for rows of `[gate, up]` halves: `x (rows, 2·width)` → `y (rows, width)`.
    gelu_tanh_mul, gelu_tanh_mul_rows, gelu_tanh_of;
    /// Exact `gelu(gate) · up` for rows of `[gate, up]` halves: `x (rows, 2·width)` → `y (rows, width)`.
    gelu_mul, gelu_mul_rows, gelu_of;
    /// `max(gate, 0) · up` for rows of `[gate, up]` halves: `x (rows, 2·width)` → `y (rows, width)`.
    relu_mul, relu_mul_rows, relu_of;
}

at_each_level! {
    fn softcap_slice(x: &mut [f32], cap: f32) {
        for x in x {
            *x = cap * tanh(*x / cap);
        }
    }

    fn add_slice(x: &mut [f32], y: &[f32], factor: f32) {
        for (x, y) in x.iter_mut().zip(y) {
            *x += factor * y;
        }
    }

    fn scale_slice(x: &mut [f32], factor: f32) {
        for x in x {
            *x *= factor;
        }
    }
}

/// cap·tanh(x/cap), in place (Gemma 2).
pub fn softcap(x: &mut [f32], cap: f32) {
    update(x, |x| softcap_slice(Level::detect(), x, cap));
}

/// x + factor·y, in place in x.
///
/// # Panics
/// If the lengths differ.
pub fn add(x: &mut [f32], y: &[f32], factor: f32) {
    assert_eq!(x.len(), y.len(), "add: sizes do not fit");
    let level = Level::detect();
    if !is_shared(x.len()) {
        return add_slice(level, x, y, factor);
    }
    x.par_chunks_mut(ROWS_GRAIN).zip(y.par_chunks(ROWS_GRAIN)).for_each(|(x, y)| add_slice(level, x, y, factor));
}

/// factor·x, in place.
pub fn scale(x: &mut [f32], factor: f32) {
    update(x, |x| scale_slice(Level::detect(), x, factor));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Vec<f32> {
        (-4000..4000).map(|i| i as f32 * 0.0031).collect()
    }

    #[test]
    fn activations_are_near_their_formulas_in_f64() {
        type Case = (fn(&mut [f32]), fn(f64) -> f64);
        let cases: [Case; 5] = [
            (silu, |x| x / (1.0 + (-x).exp())),
            (gelu, |x| 0.5 * x * (1.0 + statrs::function::erf::erf(x / 2f64.sqrt()))),
            (gelu_tanh, |x| {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh())
            }),
            (relu, |x| x.max(0.0)),
            (|x| softcap(x, 3.0), |x| 3.0 * (x / 3.0).tanh()),
        ];
        for (index, (f, want)) in cases.into_iter().enumerate() {
            let mut x = values();
            f(&mut x);
            for (got, x) in x.iter().zip(values()) {
                let want = want(f64::from(x));
                assert!((f64::from(*got) - want).abs() < 1e-6 * want.abs().max(1.0), "case {index}: {got} at {x}");
            }
        }
    }

    #[test]
    fn gelu_takes_the_exact_form_and_not_the_tanh_form() {
        let mut x = [-2.0_f32, -0.5, 0.0, 1.0, 3.0];
        gelu(&mut x);
        // x·Φ(x) with Φ from tables of the normal distribution.
        for (got, want) in x.iter().zip([-0.045_500_264, -0.154_268_77, 0.0, 0.841_344_8, 2.995_950_3]) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let bits = |f: &dyn Fn(Level, &mut [f32])| {
            let mut all = Level::all().into_iter().map(|level| {
                let mut x = values();
                x.push(f32::NAN);
                f(level, &mut x);
                x.into_iter().map(|x| if x.is_nan() { 0 } else { x.to_bits() }).collect::<Vec<_>>()
            });
            let first = all.next().unwrap();
            all.all(|other| other == first)
        };
        assert!(bits(&silu_slice) && bits(&gelu_slice) && bits(&gelu_tanh_slice) && bits(&relu_slice));
        assert!(bits(&|level, x| softcap_slice(level, x, 7.0)));
    }

    #[test]
    fn a_biased_activation_is_the_activation_of_the_sum() {
        let bias: Vec<f32> = values()[..25].to_vec();
        for (biased, plain) in [
            (bias_gelu as fn(&mut [f32], &[f32]), gelu as fn(&mut [f32])),
            (bias_gelu_tanh, gelu_tanh),
            (bias_relu, relu),
            (bias_silu, silu),
        ] {
            let (mut together, mut apart) = (values(), values());
            biased(&mut together, &bias);
            add_bias(&mut apart, &bias);
            plain(&mut apart);
            assert_eq!(together, apart);
        }
    }

    #[test]
    fn a_gated_row_is_its_activated_gate_times_its_up_half() {
        let x: Vec<f32> = values()[..60].to_vec();
        for (gated, plain) in [
            (silu_mul as fn(&[f32], usize, &mut [f32]), silu as fn(&mut [f32])),
            (gelu_tanh_mul, gelu_tanh),
            (gelu_mul, gelu),
        ] {
            let mut y = vec![0.0; 30];
            gated(&x, 10, &mut y);
            for row in 0..3 {
                let mut gate = x[row * 20..][..10].to_vec();
                plain(&mut gate);
                for i in 0..10 {
                    assert_eq!(y[row * 10 + i], gate[i] * x[row * 20 + 10 + i]);
                }
            }
        }
    }
}
