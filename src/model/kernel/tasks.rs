//! Splits a kernel's work over threads, each of which writes its own part of one output.

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;

/// Multiplications below which threads cost more than they bring.
const SERIAL_BELOW: usize = 1 << 17;
/// Multiplications that a thread takes at least, so that handing out costs little.
const GRAIN: usize = 1 << 16;

thread_local! {
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with every kernel that it calls staying on this thread: for callers with enough independent work for all
/// threads, who share out that and save the waiting for each other at the end of every kernel. Changes no bit.
pub fn on_one_thread<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            ALONE.set(self.0);
        }
    }
    let _restore = Restore(ALONE.replace(true));
    f()
}

/// Whether work of this many numbers is worth sharing out.
pub fn is_shared(numbers: usize) -> bool {
    numbers >= 2 * ROWS_GRAIN && !ALONE.get()
}

/// Runs tasks 0 .. `count`, each of about `work` f32 multiplications; neighbours mostly on the same thread.
pub fn for_each_task(count: usize, work: usize, task: impl Fn(usize) + Sync + Send) {
    if count < 2 || count * work < SERIAL_BELOW || ALONE.get() {
        return (0..count).for_each(task);
    }
    // A few pieces for each thread let a fast one help a slow one.
    let pieces = rayon::current_num_threads() * 4;
    let min = count.div_ceil(pieces).min(count / 2).max(GRAIN / work.max(1)).max(1);
    (0..count).into_par_iter().with_min_len(min).for_each(task);
}

/// Cuts rows into as few tiles as possible, of at most `largest` rows and all about equal: (first row, rows).
pub fn tiles(rows: Range<usize>, largest: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = rows.len().div_ceil(largest);
    let at = move |tile: usize| rows.start + tile * rows.len() / count;
    (0..count).map(move |tile| (at(tile), at(tile + 1) - at(tile)))
}

/// The start of an output that tasks share.
#[derive(Clone, Copy)]
pub struct Output(*mut f32);

// SAFETY: the tasks of one kernel write disjoint parts, as each kernel says where it calls `at`.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Output {
    pub fn new(out: &mut [f32]) -> Self {
        Self(out.as_mut_ptr())
    }

    /// A pointer, to be written through while the slice of `new` lives.
    pub fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

/// Numbers from which on rows are shared out, and that a thread takes at least.
pub const ROWS_GRAIN: usize = 1 << 15;

/// Calls `f` with the rows of x and y, some whole rows at a time.
///
/// # Panics
/// If x and y are not as many whole rows.
pub fn map_rows(
    x: &[f32],
    x_width: usize,
    y: &mut [f32],
    y_width: usize,
    f: impl Fn(&[f32], &mut [f32]) + Sync + Send,
) {
    assert!(x_width > 0 && y_width > 0, "a row has at least one number");
    let rows = x.len() / x_width;
    assert!(x.len() == rows * x_width && y.len() == rows * y_width, "rows: sizes do not fit");
    if !is_shared(x.len()) {
        return f(x, y);
    }
    let rows = ROWS_GRAIN.div_ceil(x_width);
    x.par_chunks(rows * x_width).zip(y.par_chunks_mut(rows * y_width)).for_each(|(x, y)| f(x, y));
}

/// Calls `f` with parts of x.
pub fn update(x: &mut [f32], f: impl Fn(&mut [f32]) + Sync + Send) {
    if !is_shared(x.len()) {
        return f(x);
    }
    x.par_chunks_mut(ROWS_GRAIN).for_each(f);
}

/// Calls `f` with parts of x that are whole rows.
///
/// # Panics
/// If x is no whole rows.
pub fn update_rows(x: &mut [f32], width: usize, f: impl Fn(&mut [f32]) + Sync + Send) {
    assert!(width > 0 && x.len().is_multiple_of(width), "rows: sizes do not fit");
    if !is_shared(x.len()) {
        return f(x);
    }
    x.par_chunks_mut(ROWS_GRAIN.div_ceil(width) * width).for_each(f);
}
