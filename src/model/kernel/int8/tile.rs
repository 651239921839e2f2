//! Multiplies a few rows by a panel of 32 outputs, in the registers of each instruction set.
//!
//! One body serves all of them: integers are exact, and the float part is one chain for each output, so the bits agree.
//! AArch64 takes the portable registers (its dot-product intrinsics are not stable yet), which the compiler vectorises.

use super::PANEL;
use super::pack::Weights;
use super::quantise::Activations;

/// The instruction set that the tiles use, found at run time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    AvxVnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Level {
    pub fn detect() -> Self {
        Self::all()[0]
    }

    /// All of this machine, fastest first.
    pub fn all() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni") {
                levels.push(Level::Avx512Vnni);
            }
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 && is_x86_feature_detected!("avxvnni") {
                levels.push(Level::AvxVnni);
            }
            if avx2 {
                levels.push(Level::Avx2);
            }
        }
        levels.push(Level::Portable);
        levels
    }

    /// Rows of a register tile.
    pub fn rows(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            // 6 × 2 integer and 6 × 2 float accumulators, two weights and a broadcast: 27 of 32 registers.
            Level::Avx512Vnni => 6,
            #[cfg(target_arch = "x86_64")]
            Level::AvxVnni => 3,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => 2,
            Level::Portable => 1,
        }
    }
}

/// A register tile: a few rows times a panel's first `columns` outputs, over the whole of k.
pub struct Tile {
    /// Groups of k.
    pub groups: usize,
    /// k-quads of a group. Always 8, but the compiler must not know: it would unroll the loop, mix the quads and run out of
    /// registers, at less than half the speed.
    pub quads: usize,
    /// Row after row, `groups` each.
    pub x: *const Activations,
    pub weights: *const Weights,
    pub y: *mut f32,
    /// From a row of y to the next.
    pub stride: usize,
    pub columns: usize,
}

impl Tile {
    /// # Safety
    /// The level is one of this machine; x holds `rows` (at most `level.rows()`) rows, weights a panel, y the outputs.
    pub unsafe fn run(&self, level: Level, rows: usize) {
        // SAFETY: as the caller says.
        unsafe {
            match (level, rows) {
                #[cfg(target_arch = "x86_64")]
                (Level::Avx512Vnni, 1) => x86::avx512_vnni::<1, 2>(self),
                #[cfg(target_arch = "x86_64")]
                (Level::Avx512Vnni, 2) => x86::avx512_vnni::<2, 2>(self),
                #[cfg(target_arch = "x86_64")]
                (Level::Avx512Vnni, 3) => x86::avx512_vnni::<3, 2>(self),
                #[cfg(target_arch = "x86_64")]
                (Level::Avx512Vnni, 4) => x86::avx512_vnni::<4, 2>(self),
                #[cfg(target_arch = "x86_64")]
                (Level::Avx512Vnni, 5) => x86::avx512_vnni::<5, 2>(self),
                #[cfg(target_arch = "x86_64")]
                (Level::Avx512Vnni, _) => x86::avx512_vnni::<6, 2>(self),
                #[cfg(target_arch = "x86_64")]
                (Level::AvxVnni, 1) => x86::avx_vnni::<1, 4>(self),
                #[cfg(target_arch = "x86_64")]
                (Level::AvxVnni, 2) => x86::avx_vnni::<2, 4>(self),
                #[cfg(target_arch = "x86_64")]
                (Level::AvxVnni, _) => x86::avx_vnni::<3, 4>(self),
                #[cfg(target_arch = "x86_64")]
                (Level::Avx2, 1) => x86::avx2::<1, 4>(self),
                #[cfg(target_arch = "x86_64")]
                (Level::Avx2, _) => x86::avx2::<2, 2>(self),
                (Level::Portable, _) => tile::<Portable, 1, 4>(self),
            }
        }
    }
}

/// Registers that hold some outputs of a row.
trait Registers {
    /// Outputs.
    const LANES: usize;
    /// 4 consecutive k of each output.
    type Weights: Copy;
    /// 4 consecutive k of a row, for all outputs.
    type Quad: Copy;
    type Ints: Copy;
    type Floats: Copy;

    unsafe fn load(biased: *const u8) -> Self::Weights;
    unsafe fn splat(quants: *const i8) -> Self::Quad;
    /// Sums that start at `offset` = −128·Σ quants, as `dot` counts 128 too much a weight.
    unsafe fn start(offset: i32) -> Self::Ints;
    unsafe fn dot(sum: Self::Ints, weights: Self::Weights, quad: Self::Quad) -> Self::Ints;
    unsafe fn zero() -> Self::Floats;
    /// `fma(ints, weight scale · x scale, sum)`.
    unsafe fn add_scaled(sum: Self::Floats, ints: Self::Ints, scales: *const f32, scale: f32) -> Self::Floats;
    unsafe fn store(sum: Self::Floats, y: *mut f32);
}

/// `PARTS` registers of outputs at a time, as many times as the panel needs.
#[inline(always)]
unsafe fn tile<R: Registers, const ROWS: usize, const PARTS: usize>(t: &Tile) {
    let mut first = 0;
    while first < t.columns {
        // SAFETY: pointers are in bounds, as `run` demands; the last columns go through a buffer.
        unsafe {
            let mut sums = [[R::zero(); PARTS]; ROWS];
            for group in 0..t.groups {
                let w = t.weights.add(group);
                let biased = (&raw const (*w).biased).cast::<u8>().add(first * 4);
                let scales = (&raw const (*w).scales).cast::<f32>().add(first);
                let mut ints = [[R::start(0); PARTS]; ROWS];
                for (row, ints) in ints.iter_mut().enumerate() {
                    *ints = [R::start((*t.x.add(row * t.groups + group)).offset); PARTS];
                }
                for quad in 0..t.quads {
                    let mut weights = [R::load(biased.add(quad * PANEL * 4)); PARTS];
                    for (part, weights) in weights.iter_mut().enumerate().skip(1) {
                        *weights = R::load(biased.add(quad * PANEL * 4 + part * R::LANES * 4));
                    }
                    for (row, ints) in ints.iter_mut().enumerate() {
                        let quants = (&raw const (*t.x.add(row * t.groups + group)).quants).cast::<i8>();
                        let x = R::splat(quants.add(quad * 4));
                        for (int, weights) in ints.iter_mut().zip(weights) {
                            *int = R::dot(*int, weights, x);
                        }
                    }
                }
                for (row, (sums, ints)) in sums.iter_mut().zip(ints).enumerate() {
                    let scale = (*t.x.add(row * t.groups + group)).scale;
                    for (part, (sum, int)) in sums.iter_mut().zip(ints).enumerate() {
                        *sum = R::add_scaled(*sum, int, scales.add(part * R::LANES), scale);
                    }
                }
            }
            for (row, sums) in sums.iter().enumerate() {
                for (part, &sum) in sums.iter().enumerate() {
                    let column = first + part * R::LANES;
                    let y = t.y.add(row * t.stride + column);
                    if column + R::LANES <= t.columns {
                        R::store(sum, y);
                    } else if column < t.columns {
                        let mut buffer = [0f32; PANEL];
                        R::store(sum, buffer.as_mut_ptr());
                        y.copy_from_nonoverlapping(buffer.as_ptr(), t.columns - column);
                    }
                }
            }
        }
        first += PARTS * R::LANES;
    }
}

/// Arrays that any compiler back end can put into registers.
struct Portable;

impl Registers for Portable {
    const LANES: usize = 8;
    type Weights = [u8; 32];
    type Quad = [i32; 4];
    type Ints = [i32; 8];
    type Floats = [f32; 8];

    #[inline(always)]
    unsafe fn load(biased: *const u8) -> [u8; 32] {
        // SAFETY: as `tile` says.
        unsafe { *biased.cast() }
    }
    #[inline(always)]
    unsafe fn splat(quants: *const i8) -> [i32; 4] {
        // SAFETY: as `tile` says.
        unsafe { *quants.cast::<[i8; 4]>() }.map(i32::from)
    }
    #[inline(always)]
    unsafe fn start(offset: i32) -> [i32; 8] {
        [offset; 8]
    }
    #[inline(always)]
    unsafe fn dot(mut sum: [i32; 8], weights: [u8; 32], quad: [i32; 4]) -> [i32; 8] {
        for (sum, w) in sum.iter_mut().zip(weights.as_chunks::<4>().0) {
            *sum += i32::from(w[0]) * quad[0]
                + i32::from(w[1]) * quad[1]
                + i32::from(w[2]) * quad[2]
                + i32::from(w[3]) * quad[3];
        }
        sum
    }
    #[inline(always)]
    unsafe fn zero() -> [f32; 8] {
        [0.0; 8]
    }
    #[inline(always)]
    unsafe fn add_scaled(mut sum: [f32; 8], ints: [i32; 8], scales: *const f32, scale: f32) -> [f32; 8] {
        // SAFETY: as `tile` says.
        let scales = unsafe { *scales.cast::<[f32; 8]>() };
        for ((sum, int), w_scale) in sum.iter_mut().zip(ints).zip(scales) {
            *sum = (int as f32).mul_add(w_scale * scale, *sum);
        }
        sum
    }
    #[inline(always)]
    unsafe fn store(sum: [f32; 8], y: *mut f32) {
        // SAFETY: as `tile` says; arrays of f32 have its alignment.
        unsafe { *y.cast() = sum }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Registers, Tile, tile};

    macro_rules! tiles {
        ($($name:ident, $features:literal, $registers:ty);*) => { $(
            #[target_feature(enable = $features)]
            pub unsafe fn $name<const ROWS: usize, const PARTS: usize>(t: &Tile) {
                // SAFETY: as for `Tile::run`.
                unsafe { tile::<$registers, ROWS, PARTS>(t) }
            }
        )* };
    }
    tiles! {
        avx512_vnni, "avx512f,avx512vnni", Zmm;
        avx_vnni, "avx2,fma,avxvnni", Ymm;
        avx2, "avx2,fma", YmmPairs
    }

    /// The parts that work on eight floats.
    macro_rules! eight_floats {
        ($sums:expr) => {
            #[inline(always)]
            unsafe fn zero() -> __m256 {
                // SAFETY: inlined where AVX2 is enabled.
                unsafe { _mm256_setzero_ps() }
            }
            #[inline(always)]
            unsafe fn add_scaled(sum: __m256, ints: Self::Ints, scales: *const f32, scale: f32) -> __m256 {
                // SAFETY: inlined where AVX2 and FMA are enabled; the scales lie in an aligned group.
                unsafe {
                    let scale = _mm256_mul_ps(_mm256_load_ps(scales), _mm256_set1_ps(scale));
                    _mm256_fmadd_ps(_mm256_cvtepi32_ps($sums(ints)), scale, sum)
                }
            }
            #[inline(always)]
            unsafe fn store(sum: __m256, y: *mut f32) {
                // SAFETY: inlined where AVX2 is enabled; y has eight floats.
                unsafe { _mm256_storeu_ps(y, sum) }
            }
        };
    }

    struct Zmm;

    impl Registers for Zmm {
        const LANES: usize = 16;
        type Weights = __m512i;
        type Quad = __m512i;
        type Ints = __m512i;
        type Floats = __m512;

        #[inline(always)]
        unsafe fn load(biased: *const u8) -> __m512i {
            // SAFETY: inlined where AVX-512 is enabled; groups are aligned to 64 bytes, and so is every 16th output.
            unsafe { _mm512_load_si512(biased.cast()) }
        }
        #[inline(always)]
        unsafe fn splat(quants: *const i8) -> __m512i {
            // SAFETY: as above; four quants follow.
            unsafe { _mm512_set1_epi32(quants.cast::<i32>().read_unaligned()) }
        }
        #[inline(always)]
        unsafe fn start(offset: i32) -> __m512i {
            // SAFETY: as above.
            unsafe { _mm512_set1_epi32(offset) }
        }
        #[inline(always)]
        unsafe fn dot(sum: __m512i, weights: __m512i, quad: __m512i) -> __m512i {
            // SAFETY: inlined where AVX-512 VNNI is enabled.
            unsafe { _mm512_dpbusd_epi32(sum, weights, quad) }
        }
        #[inline(always)]
        unsafe fn zero() -> __m512 {
            // SAFETY: as above.
            unsafe { _mm512_setzero_ps() }
        }
        #[inline(always)]
        unsafe fn add_scaled(sum: __m512, ints: __m512i, scales: *const f32, scale: f32) -> __m512 {
            // SAFETY: as above; the scales lie in an aligned group.
            unsafe {
                let scale = _mm512_mul_ps(_mm512_load_ps(scales), _mm512_set1_ps(scale));
                _mm512_fmadd_ps(_mm512_cvtepi32_ps(ints), scale, sum)
            }
        }
        #[inline(always)]
        unsafe fn store(sum: __m512, y: *mut f32) {
            // SAFETY: as above; y has sixteen floats.
            unsafe { _mm512_storeu_ps(y, sum) }
        }
    }

    struct Ymm;

    impl Registers for Ymm {
        const LANES: usize = 8;
        type Weights = __m256i;
        type Quad = __m256i;
        type Ints = __m256i;
        type Floats = __m256;

        #[inline(always)]
        unsafe fn load(biased: *const u8) -> __m256i {
            // SAFETY: inlined where AVX2 is enabled; every eighth output is aligned to 32 bytes.
            unsafe { _mm256_load_si256(biased.cast()) }
        }
        #[inline(always)]
        unsafe fn splat(quants: *const i8) -> __m256i {
            // SAFETY: as above; four quants follow.
            unsafe { _mm256_set1_epi32(quants.cast::<i32>().read_unaligned()) }
        }
        #[inline(always)]
        unsafe fn start(offset: i32) -> __m256i {
            // SAFETY: as above.
            unsafe { _mm256_set1_epi32(offset) }
        }
        #[inline(always)]
        unsafe fn dot(sum: __m256i, weights: __m256i, quad: __m256i) -> __m256i {
            // SAFETY: inlined where AVX-VNNI is enabled.
            unsafe { _mm256_dpbusd_avx_epi32(sum, weights, quad) }
        }
        eight_floats!(|ints| ints);
    }

    /// AVX2 has no exact 8-bit product: weights widen to 16 bits, and each output has two partial sums side by side.
    struct YmmPairs;

    impl Registers for YmmPairs {
        const LANES: usize = 8;
        /// Outputs 0 to 3 and 4 to 7.
        type Weights = (__m256i, __m256i);
        type Quad = __m256i;
        type Ints = (__m256i, __m256i);
        type Floats = __m256;

        #[inline(always)]
        unsafe fn load(biased: *const u8) -> (__m256i, __m256i) {
            // SAFETY: inlined where AVX2 is enabled; every fourth output is aligned to 16 bytes.
            unsafe {
                let low = _mm_load_si128(biased.cast());
                let high = _mm_load_si128(biased.add(16).cast());
                (_mm256_cvtepu8_epi16(low), _mm256_cvtepu8_epi16(high))
            }
        }
        #[inline(always)]
        unsafe fn splat(quants: *const i8) -> __m256i {
            // SAFETY: as above; four quants follow.
            unsafe { _mm256_cvtepi8_epi16(_mm_set1_epi32(quants.cast::<i32>().read_unaligned())) }
        }
        #[inline(always)]
        unsafe fn start(offset: i32) -> (__m256i, __m256i) {
            // SAFETY: as above. The offset stands in the first of each two partial sums.
            unsafe {
                let sums = _mm256_set1_epi64x(i64::from(offset as u32));
                (sums, sums)
            }
        }
        #[inline(always)]
        unsafe fn dot(sum: (__m256i, __m256i), weights: (__m256i, __m256i), quad: __m256i) -> (__m256i, __m256i) {
            // SAFETY: as above.
            unsafe {
                (
                    _mm256_add_epi32(sum.0, _mm256_madd_epi16(weights.0, quad)),
                    _mm256_add_epi32(sum.1, _mm256_madd_epi16(weights.1, quad)),
                )
            }
        }
        // The horizontal add leaves outputs 0 1 4 5 | 2 3 6 7.
        eight_floats!(|(a, b)| _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_hadd_epi32(a, b)));
    }
}
