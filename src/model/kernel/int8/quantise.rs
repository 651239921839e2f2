//! Rounds groups of 32 numbers to int8 with one f32 scale.

use crate::model::kernel::level::at_each_level;

/// Numbers that share a scale, along k.
pub const GROUP: usize = 32;

/// 32 activations of one row.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Activations {
    pub quants: [i8; GROUP],
    pub scale: f32,
    /// −128·Σ quants: where the sum over (weight + 128)·quant starts.
    pub offset: i32,
}

/// The quants and the scale of 32 numbers, and the quants' sum.
///
/// scale = max|x| / 127 and quant = x·(1/scale), rounded to the nearest, ties to even. A group with a number that is
/// not finite has the scale NaN, so that what is computed from it is NaN too and not a plausible number. A scale below
/// the smallest normal f32 is 0.
#[inline(always)]
fn quantise(x: &[f32; GROUP], quants: &mut [i8; GROUP]) -> (f32, i32) {
    // Adding 1.5·2^23 rounds to a whole number and leaves it in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // Bits of positive floats are ordered as the floats are, infinity and NaN above all numbers.
    let top = x.iter().fold(0, |top, x| top.max(x.to_bits() & 0x7fff_ffff));
    let scale = f32::from_bits(top) / 127.0;
    if !scale.is_normal() {
        *quants = [0; GROUP];
        return (if top < f32::INFINITY.to_bits() { 0.0 } else { f32::NAN }, 0);
    }
    let inverse = 1.0 / scale;
    let mut sum = 0;
    for (quant, x) in quants.iter_mut().zip(x) {
        let bits = (x * inverse + ROUND).to_bits();
        *quant = bits as u8 as i8;
        sum += bits as i32 - ROUND.to_bits() as i32;
    }
    (scale, sum)
}

at_each_level! {
    /// Quantises a row of activations; its length is 32 a group.
    pub fn quantise_row(x: &[f32], groups: &mut [Activations]) {
        for (x, group) in x.as_chunks::<GROUP>().0.iter().zip(groups) {
            let (scale, sum) = quantise(x, &mut group.quants);
            group.scale = scale;
            group.offset = -128 * sum;
        }
    }

    /// Quantises 32 weights and returns their scale.
    pub fn quantise_weights(x: &[f32; GROUP], quants: &mut [i8; GROUP]) -> f32 {
        quantise(x, quants).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::level::Level;

    #[test]
    fn a_quantised_number_is_within_half_a_step_of_the_number() {
        let x: [f32; GROUP] = std::array::from_fn(|i| (i as f32 * 0.7).sin() * 3.0);
        for level in Level::all() {
            let mut quants = [0; GROUP];
            let scale = quantise_weights(level, &x, &mut quants);
            assert!(quants.iter().any(|q| q.abs() == 127));
            for (x, q) in x.iter().zip(quants) {
                assert!((x - f32::from(q) * scale).abs() <= scale * 0.50001);
            }
        }
    }

    #[test]
    fn a_number_that_is_not_finite_makes_its_groups_scale_nan_and_a_vanishing_group_zero() {
        for level in Level::all() {
            for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut x = [1.0; GROUP];
                x[17] = bad;
                assert!(quantise_weights(level, &x, &mut [0; GROUP]).is_nan());
            }
            let mut quants = [1; GROUP];
            assert_eq!(quantise_weights(level, &[-1e-40; GROUP], &mut quants), 0.0);
            assert_eq!(quants, [0; GROUP]);
        }
    }
}
