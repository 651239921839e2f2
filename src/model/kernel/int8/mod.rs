//! Multiplies rows by int8 weights that were packed once at load, in integer arithmetic.
//!
//! Weights have one scale for each output and group of 32 k, activations one for each row and group of 32 k, rounded
//! when a product starts ([`quantise`] says how). An output is the chain
//! `acc = fma(Σ weight·x over a group, weight scale · x scale, acc)` over the groups of k in order. The sums are exact
//! integers, so AVX-512 VNNI, AVX-VNNI, AVX2 and the portable loop give the same bits, for one row or a thousand, on any
//! number of threads.

mod pack;
mod quantise;
mod tile;

use std::cell::RefCell;

use rayon::prelude::*;

pub use pack::Packer;
use pack::Weights;
use quantise::{Activations, GROUP, quantise_row};
use tile::Tile;

use super::level::Level;
use super::{Output, for_each_task, is_shared, tiles};

/// Outputs of a panel: two AVX-512 registers.
const PANEL: usize = 32;
/// Rows that one task walks before it moves to the next panel; a multiple of every tile.
const ROW_BLOCK: usize = 96;

/// A weight matrix (out, in) in int8, for `y = x · Wᵀ`; 1.125 bytes a weight.
pub struct QuantMatrix {
    /// Panel after panel, group after group of k; the last panel is filled up with zeros of scale 0.
    groups: Box<[Weights]>,
    out: usize,
    inp: usize,
    level: tile::Level,
}

thread_local! {
    /// Kept from product to product, as a fresh buffer costs a page fault every 4 KiB.
    static ROWS: RefCell<Vec<Activations>> = const { RefCell::new(Vec::new()) };
}

impl QuantMatrix {
    /// Quantises `weight`, row-major (out, in) as checkpoints store it.
    ///
    /// # Panics
    /// If the slice does not have `out · inp` elements, or `inp` is not a positive multiple of 32.
    #[cfg(test)]
    fn pack(weight: &[f32], out: usize, inp: usize) -> Self {
        assert_eq!(weight.len(), out * inp, "a packed matrix needs out × in weights");
        let mut packer = Packer::new(out, inp);
        packer.set_rows(0, weight);
        packer.finish()
    }

    pub fn out(&self) -> usize {
        self.out
    }

    pub fn inp(&self) -> usize {
        self.inp
    }

    /// Row `index`, dequantised: a tied embedding is read from here.
    pub fn copy_row(&self, index: usize, row: &mut [f32]) {
        assert!(index < self.out && row.len() == self.inp);
        let (panel, lane, per_panel) = (index / PANEL, index % PANEL, self.inp / GROUP);
        let groups = &self.groups[panel * per_panel..][..per_panel];
        for (group, row) in groups.iter().zip(row.chunks_exact_mut(GROUP)) {
            for (k, value) in row.iter_mut().enumerate() {
                let biased = group.biased[k / 4 * PANEL * 4 + lane * 4 + k % 4];
                *value = f32::from((biased ^ 0x80) as i8) * group.scales[lane];
            }
        }
    }

    /// `y (rows, out) = x (rows, in) · Wᵀ`, with x rounded to int8.
    ///
    /// # Panics
    /// If the slices do not have these sizes.
    pub fn matmul(&self, x: &[f32], rows: usize, y: &mut [f32]) {
        assert!(x.len() == rows * self.inp && y.len() == rows * self.out, "matmul: sizes do not fit");
        if rows == 0 || self.out == 0 {
            return;
        }
        // Taken, not borrowed: while this thread waits, it may be given another product to compute.
        let mut quantised = ROWS.take();
        self.quantise(x, rows, &mut quantised);
        let (panels, blocks) = (self.out.div_ceil(PANEL), rows.div_ceil(ROW_BLOCK));
        let output = Output::new(y);
        // A quarter of an f32 multiplication each, but a few rows wait for the weights to come from memory.
        let work = rows.clamp(4, ROW_BLOCK) * self.inp * PANEL / 4;
        for_each_task(panels * blocks, work, |task| self.block(task / blocks, task % blocks, &quantised, rows, output));
        ROWS.set(quantised);
    }

    fn quantise(&self, x: &[f32], rows: usize, quantised: &mut Vec<Activations>) {
        let (per_row, level) = (self.inp / GROUP, Level::detect());
        quantised.resize(rows * per_row, Activations { quants: [0; GROUP], scale: 0.0, offset: 0 });
        let row = |(x, groups): (&[f32], &mut [Activations])| quantise_row(level, x, groups);
        if !is_shared(x.len()) {
            x.chunks_exact(self.inp).zip(quantised.chunks_exact_mut(per_row)).for_each(row);
        } else {
            let rows = x.par_chunks_exact(self.inp).zip(quantised.par_chunks_exact_mut(per_row));
            rows.with_min_len(16).for_each(row);
        }
    }

    /// One panel for one block of rows.
    fn block(&self, panel: usize, block: usize, x: &[Activations], rows: usize, y: Output) {
        let groups = self.inp / GROUP;
        let weights = &self.groups[panel * groups..];
        for (row, n) in tiles(block * ROW_BLOCK..rows.min((block + 1) * ROW_BLOCK), self.level.rows()) {
            let tile = Tile {
                groups,
                quads: std::hint::black_box(GROUP / 4),
                x: x[row * groups..].as_ptr(),
                weights: weights.as_ptr(),
                y: y.at(row * self.out + panel * PANEL),
                stride: self.out,
                columns: PANEL.min(self.out - panel * PANEL),
            };
            // SAFETY: the tile reads n rows of x, a whole panel, and writes n × columns of y, all in bounds;
            // the level was detected on this machine.
            unsafe { tile.run(self.level, n) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::noise;

    /// The formula of the module's doc, from quantised weights and activations.
    fn naive(x: &[f32], w: &[f32], rows: usize, out: usize, inp: usize) -> Vec<f32> {
        let quantise = |values: &[f32]| {
            let mut groups = vec![Activations { quants: [0; GROUP], scale: 0.0, offset: 0 }; values.len() / GROUP];
            quantise_row(Level::Portable, values, &mut groups);
            groups
        };
        let (x, w, groups) = (quantise(x), quantise(w), inp / GROUP);
        let mut y = vec![0.0; rows * out];
        for r in 0..rows {
            for o in 0..out {
                y[r * out + o] = (0..groups).fold(0.0f32, |acc, g| {
                    let (x, w) = (&x[r * groups + g], &w[o * groups + g]);
                    let sum: i32 = x.quants.iter().zip(w.quants).map(|(&x, w)| i32::from(x) * i32::from(w)).sum();
                    (sum as f32).mul_add(w.scale * x.scale, acc)
                });
            }
        }
        y
    }

    #[test]
    fn every_shape_class_and_instruction_set_gives_the_bits_of_the_naive_loop() {
        for (rows, out, inp) in [
            (1, 1, 32),
            (1, 33, 64),
            (2, 16, 64),
            (3, 40, 32),
            (4, 8, 96),
            (5, 17, 32),
            (6, 32, 160),
            (7, 100, 64),
            (97, 70, 32),
            (200, 64, 32),
        ] {
            let (x, w) = (noise(rows * inp, 1), noise(out * inp, 2));
            let expected = naive(&x, &w, rows, out, inp);
            let mut packed = QuantMatrix::pack(&w, out, inp);
            for level in tile::Level::all() {
                packed.level = level;
                let mut y = vec![f32::NAN; rows * out];
                packed.matmul(&x, rows, &mut y);
                assert!(
                    y.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()),
                    "{rows}×{out}×{inp} with {level:?}"
                );
            }
        }
    }

    #[test]
    fn a_row_has_the_same_bits_alone_and_among_others() {
        let (rows, out, inp) = (101, 90, 64);
        let (x, w) = (noise(rows * inp, 3), noise(out * inp, 4));
        let packed = QuantMatrix::pack(&w, out, inp);
        let mut all = vec![0.0; rows * out];
        packed.matmul(&x, rows, &mut all);
        for row in 0..rows {
            let mut alone = vec![0.0; out];
            packed.matmul(&x[row * inp..][..inp], 1, &mut alone);
            assert_eq!(alone, all[row * out..][..out]);
        }
    }

    #[test]
    fn rows_from_several_sources_and_ready_blocks_are_kept_exactly() {
        let inp = 64;
        let w = noise(37 * inp, 5);
        let block = |row: usize, group: usize, k: usize| ((row * 31 + group * 7 + k * 5) % 256) as u8 as i8;
        let mut packer = Packer::new(45, inp);
        packer.set_rows(8, &w[..20 * inp]);
        packer.set_rows(28, &w[20 * inp..]);
        packer.set_blocks(0, 8, |row, group, quants| {
            *quants = std::array::from_fn(|k| block(row, group, k));
            row as f32 + 0.5
        });
        let packed = packer.finish();
        let mut row = vec![0.0; inp];
        for index in 0..8 {
            packed.copy_row(index, &mut row);
            for (k, value) in row.iter().enumerate() {
                assert_eq!(*value, f32::from(block(index, k / 32, k % 32)) * (index as f32 + 0.5));
            }
        }
        let apart = QuantMatrix::pack(&w, 37, inp);
        let mut expected = vec![0.0; inp];
        for index in 8..45 {
            packed.copy_row(index, &mut row);
            apart.copy_row(index - 8, &mut expected);
            assert_eq!(row, expected);
        }
        // The product takes −128 as it is, on every instruction set.
        let x = noise(inp, 6);
        let mut results = tile::Level::all().into_iter().map(|level| {
            let packed = QuantMatrix { level, groups: repack(&packed), ..packed };
            let mut y = vec![0.0; 45];
            packed.matmul(&x, 1, &mut y);
            y
        });
        let first = results.next().unwrap();
        assert!(results.all(|y| y == first));
    }

    /// A copy of the groups.
    fn repack(matrix: &QuantMatrix) -> Box<[Weights]> {
        matrix.groups.iter().map(|g| Weights { biased: g.biased, scales: g.scales }).collect()
    }

    #[test]
    fn the_error_against_f32_stays_within_half_a_step_of_either_factor() {
        let (rows, out, inp) = (3, 50, 256);
        let (x, w) = (noise(rows * inp, 7), noise(out * inp, 8));
        let packed = QuantMatrix::pack(&w, out, inp);
        let mut y = vec![0.0; rows * out];
        packed.matmul(&x, rows, &mut y);
        for r in 0..rows {
            for o in 0..out {
                let (x, w) = (&x[r * inp..][..inp], &w[o * inp..][..inp]);
                let exact: f64 = x.iter().zip(w).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
                // |x|, |w| < 1, so a step is below 1/127 and half of one moves a product by 1/254 at most.
                let bound = inp as f64 * (2.0 / 254.0 + 1.0 / (254.0 * 254.0));
                assert!((f64::from(y[r * out + o]) - exact).abs() < bound);
                assert!((f64::from(y[r * out + o]) - exact).abs() < 0.3, "rounding errors mostly cancel");
            }
        }
    }

    #[test]
    fn an_activation_that_is_not_finite_makes_its_row_nan_and_no_other() {
        let w = noise(40 * 64, 9);
        let packed = QuantMatrix::pack(&w, 40, 64);
        for bad in [f32::NAN, f32::INFINITY] {
            let mut x = noise(2 * 64, 10);
            x[70] = bad;
            let mut y = vec![0.0; 80];
            packed.matmul(&x, 2, &mut y);
            assert!(y[..40].iter().all(|y| y.is_finite()) && y[40..].iter().all(|y| y.is_nan()));
        }
    }

    #[test]
    fn an_empty_matrix_or_no_rows_are_no_error() {
        QuantMatrix::pack(&[], 0, 32).matmul(&[0.0; 32], 1, &mut []);
        QuantMatrix::pack(&[0.0; 32], 1, 32).matmul(&[], 0, &mut []);
    }
}
