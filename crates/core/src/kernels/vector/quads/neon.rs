//! Four numbers in a register of NEON, which every 64-bit ARM CPU has.

use std::arch::aarch64::*;

#[derive(Clone, Copy)]
pub(super) struct Quad(float32x4_t);

impl Quad {
    #[inline(always)]
    fn bits(self) -> uint32x4_t {
        // SAFETY: NEON is part of the target.
        unsafe { vreinterpretq_u32_f32(self.0) }
    }

    #[inline(always)]
    fn from_bits(bits: uint32x4_t) -> Self {
        // SAFETY: NEON is part of the target.
        Self(unsafe { vreinterpretq_f32_u32(bits) })
    }

    #[inline(always)]
    pub(super) fn splat(value: f32) -> Self {
        // SAFETY: NEON is part of the target.
        Self(unsafe { vdupq_n_f32(value) })
    }

    #[inline(always)]
    pub(super) fn load(from: &[f32; 4]) -> Self {
        // SAFETY: NEON is part of the target; the array holds the register's numbers.
        Self(unsafe { vld1q_f32(from.as_ptr()) })
    }

    #[inline(always)]
    pub(super) fn store(self, to: &mut [f32; 4]) {
        // SAFETY: as in `load`.
        unsafe { vst1q_f32(to.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    pub(super) fn plus(self, other: Self) -> Self {
        // SAFETY: NEON is part of the target.
        Self(unsafe { vaddq_f32(self.0, other.0) })
    }

    #[inline(always)]
    pub(super) fn minus(self, other: Self) -> Self {
        // SAFETY: NEON is part of the target.
        Self(unsafe { vsubq_f32(self.0, other.0) })
    }

    #[inline(always)]
    pub(super) fn times(self, other: Self) -> Self {
        // SAFETY: NEON is part of the target.
        Self(unsafe { vmulq_f32(self.0, other.0) })
    }

    #[inline(always)]
    pub(super) fn over(self, divisor: Self) -> Self {
        // SAFETY: NEON is part of the target.
        Self(unsafe { vdivq_f32(self.0, divisor.0) })
    }

    #[inline(always)]
    pub(super) fn fused(self, factor: Self, addend: Self) -> Self {
        // SAFETY: NEON is part of the target.
        Self(unsafe { vfmaq_f32(addend.0, self.0, factor.0) })
    }

    #[inline(always)]
    pub(super) fn negative(self) -> Self {
        // SAFETY: NEON is part of the target.
        Self(unsafe { vnegq_f32(self.0) })
    }

    /// By comparison and choice: the instruction for a maximum gives NaN where one number is NaN.
    #[inline(always)]
    pub(super) fn at_least(self, floor: Self) -> Self {
        // SAFETY: NEON is part of the target.
        Self(unsafe { vbslq_f32(vcgtq_f32(self.0, floor.0), self.0, floor.0) })
    }

    #[inline(always)]
    pub(super) fn to_exponent(self) -> Self {
        // SAFETY: NEON is part of the target.
        Self::from_bits(unsafe { vshlq_n_u32::<23>(self.bits()) })
    }

    #[inline(always)]
    pub(super) fn and(self, other: Self) -> Self {
        // SAFETY: NEON is part of the target.
        Self::from_bits(unsafe { vandq_u32(self.bits(), other.bits()) })
    }

    #[inline(always)]
    pub(super) fn or(self, other: Self) -> Self {
        // SAFETY: NEON is part of the target.
        Self::from_bits(unsafe { vorrq_u32(self.bits(), other.bits()) })
    }

    #[inline(always)]
    pub(super) fn larger_signed(self, other: Self) -> Self {
        // SAFETY: NEON is part of the target.
        unsafe {
            let signed = |bits| vreinterpretq_s32_u32(bits);
            let larger = vmaxq_s32(signed(self.bits()), signed(other.bits()));
            Self::from_bits(vreinterpretq_u32_s32(larger))
        }
    }

    #[inline(always)]
    pub(super) fn larger_bits(self, other: Self) -> Self {
        // SAFETY: NEON is part of the target.
        Self::from_bits(unsafe { vmaxq_u32(self.bits(), other.bits()) })
    }

    #[inline(always)]
    pub(super) fn smaller_bits(self, other: Self) -> Self {
        // SAFETY: NEON is part of the target.
        Self::from_bits(unsafe { vminq_u32(self.bits(), other.bits()) })
    }

    /// Ones where the number is not zero.
    #[inline(always)]
    pub(super) fn not_zero(self) -> Self {
        // SAFETY: NEON is part of the target.
        Self::from_bits(unsafe { vmvnq_u32(vceqzq_f32(self.0)) })
    }

    #[inline(always)]
    pub(super) fn add_to(self, totals: &mut [f64; 4]) {
        // SAFETY: NEON is part of the target; the array holds both halves.
        unsafe {
            let (low, high) = (totals.as_mut_ptr(), totals.as_mut_ptr().add(2));
            vst1q_f64(low, vaddq_f64(vld1q_f64(low), vcvt_f64_f32(vget_low_f32(self.0))));
            vst1q_f64(high, vaddq_f64(vld1q_f64(high), vcvt_high_f64_f32(self.0)));
        }
    }
}
