//! Lays int8 weights out for the tiles, from rows of any sources.

use rayon::prelude::*;

use super::quantise::{GROUP, quantise_weights};
use super::{PANEL, QuantMatrix, tile};
use crate::model::kernel::level::Level;

/// 32 outputs × 32 k: what the tiles read at a time.
#[repr(C, align(64))]
pub struct Weights {
    /// weight + 128: eight k-quads of 32 outputs of 4 consecutive k, so that a register holds whole quads.
    pub biased: [u8; PANEL * GROUP],
    pub scales: [f32; PANEL],
}

/// A [`QuantMatrix`] in the making: its rows may come one source at a time, so that no f32 copy of all need exist.
pub struct Packer {
    groups: Box<[Weights]>,
    out: usize,
    inp: usize,
    rows_set: usize,
}

impl Packer {
    /// # Panics
    /// If `inp` is not a positive multiple of 32.
    pub fn new(out: usize, inp: usize) -> Self {
        assert!(
            inp > 0 && inp.is_multiple_of(GROUP),
            "int8 weights need an input width that is a positive multiple of {GROUP}, not {inp}"
        );
        Self { groups: zeroed(out.div_ceil(PANEL) * (inp / GROUP)), out, inp, rows_set: 0 }
    }

    /// Quantises `weight`, (rows, in) row-major, as the rows from `first` on.
    ///
    /// # Panics
    /// If the weights are no whole rows, or more than there are.
    pub fn set_rows(&mut self, first: usize, weight: &[f32]) {
        let (inp, level) = (self.inp, Level::detect());
        assert!(weight.len().is_multiple_of(inp), "int8 weights come in whole rows of {inp}");
        self.set_blocks(first, weight.len() / inp, |row, group, quants| {
            let weight = weight[row * inp + group * GROUP..].first_chunk().expect("a group is inside its row");
            quantise_weights(level, weight, quants)
        });
    }

    /// Sets rows from weights that are int8 already: `fill(row, group, quants)` writes the 32 weights of a group of k and
    /// returns their scale; `row` counts from 0 at `first`. Exact, −128 included.
    ///
    /// # Panics
    /// If there are fewer rows.
    pub fn set_blocks(
        &mut self,
        first: usize,
        rows: usize,
        fill: impl Fn(usize, usize, &mut [i8; GROUP]) -> f32 + Sync,
    ) {
        let end = first + rows;
        assert!(end <= self.out, "rows {first}..{end} of a matrix with {}", self.out);
        self.rows_set += rows;
        let per_panel = self.inp / GROUP;
        let panels = first / PANEL..end.div_ceil(PANEL);
        let groups = &mut self.groups[panels.start * per_panel..panels.end * per_panel];
        groups.par_chunks_mut(per_panel).zip(panels).for_each(|(groups, panel)| {
            let base = panel * PANEL;
            for row in first.max(base)..end.min(base + PANEL) {
                for (index, group) in groups.iter_mut().enumerate() {
                    let mut quants = [0; GROUP];
                    group.scales[row - base] = fill(row - first, index, &mut quants);
                    let quads = group.biased.chunks_exact_mut(PANEL * 4);
                    for (quad, quants) in quads.zip(quants.as_chunks::<4>().0) {
                        quad[(row - base) * 4..][..4].copy_from_slice(&quants.map(|q| q as u8 ^ 0x80));
                    }
                }
            }
        });
    }

    /// # Panics
    /// If rows are missing.
    pub fn finish(self) -> QuantMatrix {
        assert_eq!(self.rows_set, self.out, "every row of a packed matrix is set once");
        QuantMatrix { groups: self.groups, out: self.out, inp: self.inp, level: tile::Level::detect() }
    }
}

/// Zeros that the system hands out untouched, so that the threads that pack share the cost of touching them.
fn zeroed(count: usize) -> Box<[Weights]> {
    if count == 0 {
        return Box::new([]);
    }
    let layout = std::alloc::Layout::array::<Weights>(count).expect("a matrix fits the address space");
    // SAFETY: the layout is that of a boxed slice of `count` and not empty; zeros are valid numbers.
    unsafe {
        let start = std::alloc::alloc_zeroed(layout).cast::<Weights>();
        if start.is_null() {
            std::alloc::handle_alloc_error(layout);
        }
        Box::from_raw(std::ptr::slice_from_raw_parts_mut(start, count))
    }
}
