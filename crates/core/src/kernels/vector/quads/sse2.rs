//! Four numbers in a register of SSE2, which every CPU of x86-64 has.

use std::arch::x86_64::*;

#[derive(Clone, Copy)]
pub(super) struct Quad(__m128);

impl Quad {
    #[inline(always)]
    fn bits(self) -> __m128i {
        // SAFETY: SSE2 is part of the target.
        unsafe { _mm_castps_si128(self.0) }
    }

    #[inline(always)]
    fn from_bits(bits: __m128i) -> Self {
        // SAFETY: SSE2 is part of the target.
        Self(unsafe { _mm_castsi128_ps(bits) })
    }

    /// `a` where the bits of `choice` are ones, `b` where they are zeros.
    #[inline(always)]
    fn choose(choice: __m128i, a: Self, b: Self) -> Self {
        // SAFETY: SSE2 is part of the target.
        Self::from_bits(unsafe {
            _mm_or_si128(_mm_and_si128(choice, a.bits()), _mm_andnot_si128(choice, b.bits()))
        })
    }

    /// Ones where the bits are larger than the other ones, taken as integers without a sign: SSE2 compares with.
    #[inline(always)]
    fn above(self, other: Self) -> __m128i {
        // SAFETY: SSE2 is part of the target.
        unsafe {
            let flip = |bits| _mm_xor_si128(bits, _mm_set1_epi32(i32::MIN));
            _mm_cmpgt_epi32(flip(self.bits()), flip(other.bits()))
        }
    }

    #[inline(always)]
    pub(super) fn splat(value: f32) -> Self {
        // SAFETY: SSE2 is part of the target.
        Self(unsafe { _mm_set1_ps(value) })
    }

    #[inline(always)]
    pub(super) fn load(from: &[f32; 4]) -> Self {
        // SAFETY: the array holds the register's numbers.
        Self(unsafe { _mm_loadu_ps(from.as_ptr()) })
    }

    #[inline(always)]
    pub(super) fn store(self, to: &mut [f32; 4]) {
        // SAFETY: as in `load`.
        unsafe { _mm_storeu_ps(to.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    pub(super) fn plus(self, other: Self) -> Self {
        // SAFETY: SSE2 is part of the target.
        Self(unsafe { _mm_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    pub(super) fn minus(self, other: Self) -> Self {
        // SAFETY: SSE2 is part of the target.
        Self(unsafe { _mm_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    pub(super) fn times(self, other: Self) -> Self {
        // SAFETY: SSE2 is part of the target.
        Self(unsafe { _mm_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    pub(super) fn over(self, divisor: Self) -> Self {
        // SAFETY: SSE2 is part of the target.
        Self(unsafe { _mm_div_ps(self.0, divisor.0) })
    }

    /// One number at a time: SSE2 has no such instruction.
    #[inline(always)]
    pub(super) fn fused(self, factor: Self, addend: Self) -> Self {
        let numbers = |quad: Self| {
            let mut numbers = [0.0; 4];
            quad.store(&mut numbers);
            numbers
        };
        let (a, b, c) = (numbers(self), numbers(factor), numbers(addend));
        Self::load(&std::array::from_fn(|l| a[l].mul_add(b[l], c[l])))
    }

    #[inline(always)]
    pub(super) fn negative(self) -> Self {
        // SAFETY: SSE2 is part of the target.
        Self(unsafe { _mm_xor_ps(self.0, _mm_set1_ps(-0.0)) })
    }

    #[inline(always)]
    pub(super) fn at_least(self, floor: Self) -> Self {
        // SAFETY: SSE2 is part of the target.
        Self(unsafe { _mm_max_ps(self.0, floor.0) })
    }

    #[inline(always)]
    pub(super) fn to_exponent(self) -> Self {
        // SAFETY: SSE2 is part of the target.
        Self::from_bits(unsafe { _mm_slli_epi32::<23>(self.bits()) })
    }

    #[inline(always)]
    pub(super) fn and(self, other: Self) -> Self {
        // SAFETY: SSE2 is part of the target.
        Self(unsafe { _mm_and_ps(self.0, other.0) })
    }

    #[inline(always)]
    pub(super) fn or(self, other: Self) -> Self {
        // SAFETY: SSE2 is part of the target.
        Self(unsafe { _mm_or_ps(self.0, other.0) })
    }

    #[inline(always)]
    pub(super) fn larger_signed(self, other: Self) -> Self {
        // SAFETY: SSE2 is part of the target.
        Self::choose(unsafe { _mm_cmpgt_epi32(self.bits(), other.bits()) }, self, other)
    }

    #[inline(always)]
    pub(super) fn larger_bits(self, other: Self) -> Self {
        Self::choose(self.above(other), self, other)
    }

    #[inline(always)]
    pub(super) fn smaller_bits(self, other: Self) -> Self {
        Self::choose(self.above(other), other, self)
    }

    /// Ones where the number is not zero.
    #[inline(always)]
    pub(super) fn not_zero(self) -> Self {
        // SAFETY: SSE2 is part of the target.
        Self(unsafe { _mm_cmpneq_ps(self.0, _mm_setzero_ps()) })
    }

    #[inline(always)]
    pub(super) fn add_to(self, totals: &mut [f64; 4]) {
        // SAFETY: the array holds both halves.
        unsafe {
            let (low, high) = (totals.as_mut_ptr(), totals.as_mut_ptr().add(2));
            _mm_storeu_pd(low, _mm_add_pd(_mm_loadu_pd(low), _mm_cvtps_pd(self.0)));
            let upper = _mm_cvtps_pd(_mm_movehl_ps(self.0, self.0));
            _mm_storeu_pd(high, _mm_add_pd(_mm_loadu_pd(high), upper));
        }
    }
}
