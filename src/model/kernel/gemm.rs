//! Multiplies rows by a weight matrix that was packed once at load.
//!
//! Each output is the chain `acc = fma(x[k], w[k], acc)` for k = 0, 1, … from 0.0, whatever the tile: AVX-512,
//! AVX2 and the portable loop give the same bits, for one row or a thousand, on any number of threads.

use rayon::prelude::*;

use super::lanes::{Lanes, Line};
use super::level::Level;
use super::{Output, for_each_task, tiles};

/// Columns (outputs) of a packed panel: two AVX-512 registers.
const PANEL: usize = 32;
/// Rows of a register tile: 12 × 2 accumulators leave room for two weight registers and a broadcast.
const TILE: usize = 12;
/// Rows that one task walks before it moves to the next panel; a multiple of `TILE`.
const ROW_BLOCK: usize = 96;

/// A weight matrix (out, in) in panels of 32 outputs, for `y = x · Wᵀ`.
pub struct PackedMatrix {
    /// Panel p, then k, then the panel's 32 outputs; the last panel is filled up with zeros.
    lines: Vec<Line>,
    out: usize,
    inp: usize,
    level: Level,
}

impl PackedMatrix {
    /// Packs `weight`, row-major (out, in) as checkpoints store it.
    ///
    /// # Panics
    /// If the slice does not have `out · inp` elements.
    pub fn pack(weight: &[f32], out: usize, inp: usize) -> Self {
        assert_eq!(weight.len(), out * inp, "a packed matrix needs out × in weights");
        let panels = out.div_ceil(PANEL);
        let mut lines = vec![Line::ZERO; panels * inp * 2];
        lines.par_chunks_mut((inp * 2).max(1)).enumerate().for_each(|(panel, lines)| {
            for lane in 0..PANEL.min(out - panel * PANEL) {
                let row = &weight[(panel * PANEL + lane) * inp..][..inp];
                for (k, &value) in row.iter().enumerate() {
                    lines[k * 2 + lane / 16].0[lane % 16] = value;
                }
            }
        });
        Self { lines, out, inp, level: Level::detect() }
    }

    pub fn out(&self) -> usize {
        self.out
    }

    pub fn inp(&self) -> usize {
        self.inp
    }

    /// Copies row `index` of the matrix as it was before packing: a tied embedding is read from here.
    pub fn copy_row(&self, index: usize, row: &mut [f32]) {
        assert!(index < self.out && row.len() == self.inp);
        let base = index / PANEL * self.inp * 2 + index % PANEL / 16;
        for (k, value) in row.iter_mut().enumerate() {
            *value = self.lines[base + k * 2].0[index % 16];
        }
    }

    /// `y (rows, out) = x (rows, in) · Wᵀ`.
    ///
    /// # Panics
    /// If the slices do not have these sizes.
    pub fn matmul(&self, x: &[f32], rows: usize, y: &mut [f32]) {
        assert!(x.len() == rows * self.inp && y.len() == rows * self.out, "matmul: sizes do not fit");
        if rows == 0 || self.out == 0 {
            return;
        }
        let (panels, blocks) = (self.out.div_ceil(PANEL), rows.div_ceil(ROW_BLOCK));
        let output = Output::new(y);
        let work = rows.min(ROW_BLOCK) * self.inp * PANEL;
        for_each_task(panels * blocks, work, |task| self.block(task / blocks, task % blocks, x, rows, output));
    }

    /// One panel for one block of rows.
    fn block(&self, panel: usize, block: usize, x: &[f32], rows: usize, y: Output) {
        let columns = PANEL.min(self.out - panel * PANEL);
        let weights = self.lines[panel * self.inp * 2..].as_ptr().cast::<f32>();
        for (row, n) in tiles(block * ROW_BLOCK..rows.min((block + 1) * ROW_BLOCK), TILE) {
            let job = Tile {
                inp: self.inp,
                x: x[row * self.inp..].as_ptr(),
                weights,
                y: y.at(row * self.out + panel * PANEL),
                stride: self.out,
                columns,
            };
            // SAFETY: the tile reads n rows of x, a whole panel, and writes n × columns of y, all in bounds;
            // the level was detected on this machine.
            unsafe { job.run(self.level, n) };
        }
    }
}

/// A register tile: some rows × `columns` outputs over the whole of k.
struct Tile {
    inp: usize,
    x: *const f32,
    weights: *const f32,
    y: *mut f32,
    stride: usize,
    columns: usize,
}

/// Calls `$f::<N>` for the N that equals `$n`.
macro_rules! with_rows {
    ($n:expr, $f:ident($tile:expr): $($k:literal)*) => {
        match $n { $($k => $f::<$k>($tile),)* _ => unreachable!("a tile has at most 12 rows") }
    };
}

impl Tile {
    unsafe fn run(&self, level: Level, rows: usize) {
        // SAFETY: as for `block`.
        unsafe {
            match level {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => with_rows!(rows, avx512(self): 1 2 3 4 5 6 7 8 9 10 11 12),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => self.in_sixes(rows, |part, n| with_rows!(n, avx2(part): 1 2 3 4 5 6)),
                Level::Portable => self.in_sixes(rows, |part, n| with_rows!(n, portable(part): 1 2 3 4 5 6)),
            }
        }
    }

    /// Calls `f` for six rows at a time: what sixteen registers hold.
    #[inline(always)]
    unsafe fn in_sixes(&self, rows: usize, f: impl Fn(&Tile, usize)) {
        for first in (0..rows).step_by(6) {
            // SAFETY: as for `block`.
            let part = unsafe { Tile { x: self.x.add(first * self.inp), y: self.y.add(first * self.stride), ..*self } };
            f(&part, (rows - first).min(6));
        }
    }
}

/// `PARTS` times sixteen outputs at a time.
#[inline(always)]
unsafe fn tile<L: Lanes, const ROWS: usize, const PARTS: usize>(t: &Tile) {
    for first in (0..t.columns).step_by(PARTS * 16) {
        // SAFETY: pointers are in bounds by `block`; the last columns go through a buffer.
        unsafe {
            let mut sums = [[L::splat(0.0); PARTS]; ROWS];
            for k in 0..t.inp {
                let weights = t.weights.add(k * PANEL + first);
                let mut w = [L::load(weights); PARTS];
                for (part, w) in w.iter_mut().enumerate().skip(1) {
                    *w = L::load(weights.add(part * 16));
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let x = L::splat(*t.x.add(row * t.inp + k));
                    for (sum, &w) in sums.iter_mut().zip(&w) {
                        *sum = x.fma(w, *sum);
                    }
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                for (part, sum) in sums.iter().enumerate() {
                    let column = first + part * 16;
                    let y = t.y.add(row * t.stride + column);
                    if column + 16 <= t.columns {
                        sum.store(y);
                    } else if column < t.columns {
                        let mut buffer = [0f32; 16];
                        sum.store(buffer.as_mut_ptr());
                        y.copy_from_nonoverlapping(buffer.as_ptr(), t.columns - column);
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512<const ROWS: usize>(t: &Tile) {
    // SAFETY: as for `block`.
    unsafe { tile::<std::arch::x86_64::__m512, ROWS, 2>(t) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const ROWS: usize>(t: &Tile) {
    // SAFETY: as for `block`.
    unsafe { tile::<(std::arch::x86_64::__m256, std::arch::x86_64::__m256), ROWS, 1>(t) }
}

unsafe fn portable<const ROWS: usize>(t: &Tile) {
    // SAFETY: as for `block`.
    unsafe { tile::<[f32; 16], ROWS, 1>(t) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kernel::noise;

    fn naive(x: &[f32], w: &[f32], rows: usize, out: usize, inp: usize) -> Vec<f32> {
        let mut y = vec![0.0; rows * out];
        for r in 0..rows {
            for o in 0..out {
                y[r * out + o] = (0..inp).fold(0.0f32, |acc, k| x[r * inp + k].mul_add(w[o * inp + k], acc));
            }
        }
        y
    }

    #[test]
    fn every_shape_class_and_instruction_set_gives_the_bits_of_the_naive_loop() {
        for (rows, out, inp) in
            [(1, 1, 1), (1, 33, 7), (2, 16, 64), (5, 17, 3), (12, 32, 48), (13, 100, 65), (97, 70, 33), (200, 64, 31)]
        {
            let (x, w) = (noise(rows * inp, 1), noise(out * inp, 2));
            let expected = naive(&x, &w, rows, out, inp);
            let mut packed = PackedMatrix::pack(&w, out, inp);
            for level in Level::all() {
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
        let (rows, out, inp) = (37, 90, 50);
        let (x, w) = (noise(rows * inp, 3), noise(out * inp, 4));
        let packed = PackedMatrix::pack(&w, out, inp);
        let mut all = vec![0.0; rows * out];
        packed.matmul(&x, rows, &mut all);
        for row in 0..rows {
            let mut alone = vec![0.0; out];
            packed.matmul(&x[row * inp..][..inp], 1, &mut alone);
            assert_eq!(alone, all[row * out..][..out]);
        }
    }

    #[test]
    fn a_copied_row_is_the_row_that_was_packed() {
        let w = noise(45 * 9, 5);
        let packed = PackedMatrix::pack(&w, 45, 9);
        let mut row = [0.0; 9];
        for index in 0..45 {
            packed.copy_row(index, &mut row);
            assert_eq!(row, w[index * 9..][..9]);
        }
    }
}
