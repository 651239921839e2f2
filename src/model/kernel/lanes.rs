//! Holds sixteen f32 in the registers of each instruction set, so that a kernel is written once.
//!
//! A kernel is generic over [`Lanes`], inlined whole into a function that enables the instructions, and gives the same
//! bits with each: every lane is IEEE arithmetic.

/// Sixteen numbers as they lie in memory: an AVX-512 register, a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Line(pub [f32; 16]);

impl Line {
    pub const ZERO: Self = Self([0.0; 16]);
}

/// Sixteen numbers in registers.
///
/// Safety, for every function: it is inlined where the instructions of the type are enabled, and pointers are good for
/// sixteen floats.
pub trait Lanes: Copy {
    /// Whether one register holds all sixteen, of 32 registers: tiles are as large as that allows.
    const WIDE: bool;

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// `self · factor + sum`, rounded once.
    unsafe fn fma(self, factor: Self, sum: Self) -> Self;
}

/// AArch64 fuses in one instruction; elsewhere `mul_add` may be a correct, slow call.
impl Lanes for [f32; 16] {
    const WIDE: bool = false;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; 16]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: sixteen floats follow; an array has the alignment of a float.
        unsafe { *from.cast() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { *to.cast() = self }
    }
    #[inline(always)]
    unsafe fn fma(self, factor: Self, mut sum: Self) -> Self {
        for ((sum, a), b) in sum.iter_mut().zip(self).zip(factor) {
            *sum = a.mul_add(b, *sum);
        }
        sum
    }
}

/// Asks for the cache line at `from`, which need not be valid, to be brought near.
#[inline(always)]
pub fn prefetch(from: *const f32) {
    // SAFETY: a prefetch reads nothing that the program could see; every x86-64 has the instruction.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(from.cast())
    };
    #[cfg(not(target_arch = "x86_64"))]
    let _ = from;
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Lanes;

    impl Lanes for __m512 {
        const WIDE: bool = true;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: as the trait demands, here and below.
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: see above.
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: see above.
            unsafe { _mm512_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn fma(self, factor: Self, sum: Self) -> Self {
            // SAFETY: see above.
            unsafe { _mm512_fmadd_ps(self, factor, sum) }
        }
    }

    /// AVX2 with FMA.
    impl Lanes for (__m256, __m256) {
        const WIDE: bool = false;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: as the trait demands, here and below.
            unsafe { (_mm256_set1_ps(value), _mm256_set1_ps(value)) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: see above.
            unsafe { (_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: see above.
            unsafe {
                _mm256_storeu_ps(to, self.0);
                _mm256_storeu_ps(to.add(8), self.1);
            }
        }
        #[inline(always)]
        unsafe fn fma(self, factor: Self, sum: Self) -> Self {
            // SAFETY: see above.
            unsafe { (_mm256_fmadd_ps(self.0, factor.0, sum.0), _mm256_fmadd_ps(self.1, factor.1, sum.1)) }
        }
    }
}
