//! Multiplies rows by a weight matrix that was packed once at load.
//!
//! Each output is the chain `acc = fma(x[k], w[k], acc)` for k = 0, 1, … from 0.0, whatever the tile: AVX-512,
//! AVX2 and the portable loop give the same bits, for one row or a thousand, on any number of threads.

use rayon::prelude::*;

/// Columns (outputs) of a packed panel: two AVX-512 registers.
const PANEL: usize = 32;
/// Rows of a register tile: 12 × 2 accumulators leave room for two weight registers and a broadcast.
const TILE: usize = 12;
/// Rows that one task walks before it moves to the next panel; a multiple of `TILE`.
const ROW_BLOCK: usize = 96;
/// Multiplications below which threads cost more than they bring.
const SERIAL_BELOW: usize = 1 << 17;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// A weight matrix (out, in) in panels of 32 outputs, for `y = x · Wᵀ`.
pub struct PackedMatrix {
    /// Panel p, then k, then the panel's 32 outputs; the last panel is filled up with zeros.
    lines: Vec<Line>,
    out: usize,
    inp: usize,
    level: Level,
}

/// The instruction set that the tiles use, found at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Level {
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Level::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Level::Avx2;
            }
        }
        Level::Portable
    }
}

/// Raw output pointer that tasks share; each writes its own columns and rows.
#[derive(Clone, Copy)]
struct Output(*mut f32);
// SAFETY: tasks of one `matmul` write disjoint (row block × panel) rectangles of the output.
unsafe impl Send for Output {}
unsafe impl Sync for Output {}
impl Output {
    fn at(self, offset: usize) -> *mut f32 {
        // SAFETY: callers pass offsets inside the output slice, checked by `matmul`'s assertion.
        unsafe { self.0.add(offset) }
    }
}

impl PackedMatrix {
    /// Packs `weight`, row-major (out, in) as checkpoints store it.
    ///
    /// # Panics
    /// If the slice does not have `out · inp` elements.
    pub fn pack(weight: &[f32], out: usize, inp: usize) -> Self {
        assert_eq!(weight.len(), out * inp, "a packed matrix needs out × in weights");
        let panels = out.div_ceil(PANEL);
        let mut lines = vec![Line([0.0; 16]); panels * inp * 2];
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
        let output = Output(y.as_mut_ptr());
        let task = |task: usize| self.block(task / blocks, task % blocks, x, rows, output);
        if rows * self.inp * self.out < SERIAL_BELOW {
            (0..panels * blocks).for_each(task);
        } else {
            (0..panels * blocks).into_par_iter().for_each(task);
        }
    }

    /// One panel for one block of rows.
    fn block(&self, panel: usize, block: usize, x: &[f32], rows: usize, y: Output) {
        let columns = PANEL.min(self.out - panel * PANEL);
        let weights = self.lines[panel * self.inp * 2..].as_ptr().cast::<f32>();
        let end = rows.min((block + 1) * ROW_BLOCK);
        let mut row = block * ROW_BLOCK;
        while row < end {
            let n = TILE.min(end - row);
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
            row += n;
        }
    }
}

/// A register tile: `rows × columns` outputs over the whole of k.
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
                Level::Avx512 => with_rows!(rows, tile_avx512(self): 1 2 3 4 5 6 7 8 9 10 11 12),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => {
                    for first in (0..rows).step_by(6) {
                        let part =
                            Tile { x: self.x.add(first * self.inp), y: self.y.add(first * self.stride), ..*self };
                        with_rows!((rows - first).min(6), tile_avx2(&part): 1 2 3 4 5 6);
                    }
                }
                Level::Portable => {
                    for row in 0..rows {
                        let part = Tile { x: self.x.add(row * self.inp), y: self.y.add(row * self.stride), ..*self };
                        tile_portable(&part);
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn tile_avx512<const ROWS: usize>(t: &Tile) {
    use std::arch::x86_64::*;
    // SAFETY: pointers are in bounds by `block`; panels are 64-byte aligned.
    unsafe {
        let mut acc = [[_mm512_setzero_ps(); 2]; ROWS];
        for k in 0..t.inp {
            let w0 = _mm512_load_ps(t.weights.add(k * PANEL));
            let w1 = _mm512_load_ps(t.weights.add(k * PANEL + 16));
            for (row, acc) in acc.iter_mut().enumerate() {
                let x = _mm512_set1_ps(*t.x.add(row * t.inp + k));
                acc[0] = _mm512_fmadd_ps(x, w0, acc[0]);
                acc[1] = _mm512_fmadd_ps(x, w1, acc[1]);
            }
        }
        let mask = (1u64 << t.columns) - 1;
        for (row, acc) in acc.iter().enumerate() {
            let y = t.y.add(row * t.stride);
            _mm512_mask_storeu_ps(y, mask as u16, acc[0]);
            if t.columns > 16 {
                _mm512_mask_storeu_ps(y.add(16), (mask >> 16) as u16, acc[1]);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn tile_avx2<const ROWS: usize>(t: &Tile) {
    use std::arch::x86_64::*;
    // SAFETY: pointers are in bounds by `block`; the last columns go through a buffer.
    unsafe {
        for half in 0..t.columns.div_ceil(16) {
            let mut acc = [[_mm256_setzero_ps(); 2]; ROWS];
            for k in 0..t.inp {
                let w = t.weights.add(k * PANEL + half * 16);
                let (w0, w1) = (_mm256_load_ps(w), _mm256_load_ps(w.add(8)));
                for (row, acc) in acc.iter_mut().enumerate() {
                    let x = _mm256_set1_ps(*t.x.add(row * t.inp + k));
                    acc[0] = _mm256_fmadd_ps(x, w0, acc[0]);
                    acc[1] = _mm256_fmadd_ps(x, w1, acc[1]);
                }
            }
            let columns = 16.min(t.columns - half * 16);
            for (row, acc) in acc.iter().enumerate() {
                let mut buffer = [0f32; 16];
                _mm256_storeu_ps(buffer.as_mut_ptr(), acc[0]);
                _mm256_storeu_ps(buffer.as_mut_ptr().add(8), acc[1]);
                t.y.add(row * t.stride + half * 16).copy_from_nonoverlapping(buffer.as_ptr(), columns);
            }
        }
    }
}

/// One row; `mul_add` is a fused instruction on AArch64 and a correct, slow call elsewhere.
unsafe fn tile_portable(t: &Tile) {
    let mut acc = [0f32; PANEL];
    // SAFETY: pointers are in bounds by `block`.
    unsafe {
        for k in 0..t.inp {
            let x = *t.x.add(k);
            for (lane, acc) in acc.iter_mut().enumerate() {
                *acc = x.mul_add(*t.weights.add(k * PANEL + lane), *acc);
            }
        }
        t.y.copy_from_nonoverlapping(acc.as_ptr(), t.columns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values in (-1, 1) from a small multiplicative generator; no structure that could hide an index error.
    fn noise(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                ((state >> 40) as f32 / (1u64 << 23) as f32) - 1.0
            })
            .collect()
    }

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
            let detected = packed.level;
            let mut levels = vec![detected, Level::Portable];
            #[cfg(target_arch = "x86_64")]
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                levels.push(Level::Avx2);
            }
            for level in levels {
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
