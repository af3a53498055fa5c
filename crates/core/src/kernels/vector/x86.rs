//! Vectors in the registers of AVX2 and of AVX-512.

// Every function is one or a few instructions of the instruction set that the type's values prove.
use std::arch::x86_64::*;

use super::{LANES, PARTS, Vector};

/// Two registers of AVX2, with FMA and F16C.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Avx2(__m256, __m256);

/// One register of AVX-512 (F, VL, BW and DQ).
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Avx512(__m512);

impl Avx2 {
    /// The two halves by a function of integers.
    #[inline(always)]
    fn integers(self, other: Self, function: impl Fn(__m256i, __m256i) -> __m256i) -> Self {
        // SAFETY: a value of this type proves AVX2; casts only name the same bits otherwise.
        unsafe {
            let half = |a, b| _mm256_castsi256_ps(function(_mm256_castps_si256(a), _mm256_castps_si256(b)));
            Self(half(self.0, other.0), half(self.1, other.1))
        }
    }
}

impl Vector for Avx2 {
    const FMA: bool = true;
    const REGISTERS: usize = 8;

    /// # Safety
    /// That of the trait.
    #[inline(always)]
    unsafe fn new(value: f32) -> Self {
        // SAFETY: passed on to the caller.
        unsafe { Self(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self {
        // SAFETY: a value of this type proves AVX2.
        unsafe { Self::new(value) }
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self {
        // SAFETY: a value of this type proves AVX2; the array holds both halves.
        unsafe { Self(_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))) }
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        // SAFETY: as in `load`.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), self.0);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), self.1);
        }
    }

    #[inline(always)]
    fn load_bf16(self, from: &[u16; LANES]) -> Self {
        // SAFETY: as in `load`.
        unsafe {
            let half = |at: usize| {
                let bits = _mm_loadu_si128(from.as_ptr().add(at).cast());
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(bits)))
            };
            Self(half(0), half(8))
        }
    }

    #[inline(always)]
    fn store_bf16(self, to: &mut [u16; LANES]) {
        // SAFETY: as in `load`.
        unsafe {
            let round = |half| {
                let bits = _mm256_castps_si256(half);
                let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
                let sum = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
                _mm256_srli_epi32::<16>(sum)
            };
            // Packing goes by halves of 128 bits, so the middle ones change places.
            let packed = _mm256_packus_epi32(round(self.0), round(self.1));
            let ordered = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
            _mm256_storeu_si256(to.as_mut_ptr().cast(), ordered);
        }
    }

    #[inline(always)]
    fn load_f16(self, from: &[u16; LANES]) -> Self {
        // SAFETY: as in `load`.
        unsafe {
            let half = |at: usize| _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().add(at).cast()));
            Self(half(0), half(8))
        }
    }

    #[inline(always)]
    fn store_f16(self, to: &mut [u16; LANES]) {
        // SAFETY: as in `load`.
        unsafe {
            for (at, half) in [(0, self.0), (8, self.1)] {
                let bits = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(half);
                _mm_storeu_si128(to.as_mut_ptr().add(at).cast(), bits);
            }
        }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: a value of this type proves AVX2.
        unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        // SAFETY: a value of this type proves AVX2.
        unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        // SAFETY: a value of this type proves AVX2.
        unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
    }

    #[inline(always)]
    fn over(self, divisor: Self) -> Self {
        // SAFETY: a value of this type proves AVX2.
        unsafe { Self(_mm256_div_ps(self.0, divisor.0), _mm256_div_ps(self.1, divisor.1)) }
    }

    #[inline(always)]
    fn times_plus(self, factor: Self, addend: Self) -> Self {
        // SAFETY: a value of this type proves FMA.
        unsafe {
            Self(_mm256_fmadd_ps(self.0, factor.0, addend.0), _mm256_fmadd_ps(self.1, factor.1, addend.1))
        }
    }

    #[inline(always)]
    fn times_minus(self, factor: Self, subtrahend: Self) -> Self {
        // SAFETY: a value of this type proves FMA.
        unsafe {
            Self(
                _mm256_fmsub_ps(self.0, factor.0, subtrahend.0),
                _mm256_fmsub_ps(self.1, factor.1, subtrahend.1),
            )
        }
    }

    #[inline(always)]
    fn at_least(self, floor: Self) -> Self {
        // SAFETY: a value of this type proves AVX2.
        unsafe { Self(_mm256_max_ps(self.0, floor.0), _mm256_max_ps(self.1, floor.1)) }
    }

    #[inline(always)]
    fn to_exponent(self) -> Self {
        // SAFETY: a value of this type proves AVX2.
        self.integers(self, |bits, _| unsafe { _mm256_slli_epi32::<23>(bits) })
    }

    #[inline(always)]
    fn masked(self, mask: &[u32; LANES]) -> Self {
        // SAFETY: as in `load`.
        unsafe {
            let half = |at: usize| _mm256_loadu_ps(mask.as_ptr().add(at).cast());
            Self(_mm256_and_ps(self.0, half(0)), _mm256_and_ps(self.1, half(8)))
        }
    }

    #[inline(always)]
    fn larger_signed(self, other: Self) -> Self {
        // SAFETY: a value of this type proves AVX2.
        self.integers(other, |a, b| unsafe { _mm256_max_epi32(a, b) })
    }

    #[inline(always)]
    fn larger_bits(self, other: Self) -> Self {
        // SAFETY: a value of this type proves AVX2.
        self.integers(other, |a, b| unsafe { _mm256_max_epu32(a, b) })
    }

    #[inline(always)]
    fn smaller_bits(self, other: Self) -> Self {
        // SAFETY: a value of this type proves AVX2.
        self.integers(other, |a, b| unsafe { _mm256_min_epu32(a, b) })
    }

    #[inline(always)]
    fn smaller_where_zero(self, index: u32, found: Self) -> Self {
        // SAFETY: a value of this type proves AVX2.
        unsafe {
            let zero = _mm256_setzero_ps();
            // All ones where the value is another one, and no index is larger than that.
            let other = |half| _mm256_castps_si256(_mm256_cmp_ps::<_CMP_NEQ_UQ>(half, zero));
            let index = _mm256_set1_epi32(index as i32);
            let half = |value, found| {
                let candidate = _mm256_or_si256(other(value), index);
                _mm256_castsi256_ps(_mm256_min_epu32(_mm256_castps_si256(found), candidate))
            };
            Self(half(self.0, found.0), half(self.1, found.1))
        }
    }

    #[inline(always)]
    fn fold_into(self, parts: &mut [f64; PARTS]) {
        // SAFETY: a value of this type proves AVX2; the array holds both halves.
        unsafe { add_wide(_mm256_add_ps(self.0, self.1), parts.as_mut_ptr()) }
    }

    #[inline(always)]
    fn add_to(self, totals: &mut [f64; LANES]) {
        // SAFETY: a value of this type proves AVX2; the array holds all four quarters.
        unsafe {
            add_wide(self.0, totals.as_mut_ptr());
            add_wide(self.1, totals.as_mut_ptr().add(8));
        }
    }
}

/// Adds eight numbers to eight of double precision.
///
/// # Safety
/// The CPU must have AVX2, and `totals` must be valid for eight numbers.
#[inline(always)]
unsafe fn add_wide(values: __m256, totals: *mut f64) {
    // SAFETY: passed on to the caller.
    unsafe {
        let (low, high) = (_mm256_castps256_ps128(values), _mm256_extractf128_ps::<1>(values));
        for (at, quarter) in [(0, low), (4, high)] {
            let to = totals.add(at);
            _mm256_storeu_pd(to, _mm256_add_pd(_mm256_loadu_pd(to), _mm256_cvtps_pd(quarter)));
        }
    }
}

impl Avx512 {
    #[inline(always)]
    fn bits(self) -> __m512i {
        // SAFETY: a value of this type proves AVX-512; a cast only names the same bits otherwise.
        unsafe { _mm512_castps_si512(self.0) }
    }

    #[inline(always)]
    fn from_bits(bits: __m512i) -> Self {
        // SAFETY: registers of AVX-512 come from values of this type; as in `bits`.
        unsafe { Self(_mm512_castsi512_ps(bits)) }
    }

    /// The lower and the upper eight numbers.
    #[inline(always)]
    fn halves(self) -> (__m256, __m256) {
        // SAFETY: a value of this type proves AVX-512 with DQ.
        unsafe { (_mm512_castps512_ps256(self.0), _mm512_extractf32x8_ps::<1>(self.0)) }
    }
}

impl Vector for Avx512 {
    const FMA: bool = true;
    const REGISTERS: usize = 32;

    /// # Safety
    /// That of the trait.
    #[inline(always)]
    unsafe fn new(value: f32) -> Self {
        // SAFETY: passed on to the caller.
        unsafe { Self(_mm512_set1_ps(value)) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self {
        // SAFETY: a value of this type proves AVX-512.
        unsafe { Self::new(value) }
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self {
        // SAFETY: a value of this type proves AVX-512; the array holds the register's numbers.
        unsafe { Self(_mm512_loadu_ps(from.as_ptr())) }
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        // SAFETY: as in `load`.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn load_bf16(self, from: &[u16; LANES]) -> Self {
        // SAFETY: as in `load`.
        unsafe {
            let bits = _mm256_loadu_si256(from.as_ptr().cast());
            Self::from_bits(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(bits)))
        }
    }

    #[inline(always)]
    fn store_bf16(self, to: &mut [u16; LANES]) {
        // SAFETY: as in `load`.
        unsafe {
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(self.bits()), _mm512_set1_epi32(1));
            let sum = _mm512_add_epi32(self.bits(), _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
            let narrow = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(sum));
            _mm256_storeu_si256(to.as_mut_ptr().cast(), narrow);
        }
    }

    #[inline(always)]
    fn load_f16(self, from: &[u16; LANES]) -> Self {
        // SAFETY: as in `load`.
        unsafe { Self(_mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast()))) }
    }

    #[inline(always)]
    fn store_f16(self, to: &mut [u16; LANES]) {
        // SAFETY: as in `load`.
        unsafe {
            let bits = _mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0);
            _mm256_storeu_si256(to.as_mut_ptr().cast(), bits);
        }
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        // SAFETY: a value of this type proves AVX-512.
        unsafe { Self(_mm512_add_ps(self.0, other.0)) }
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        // SAFETY: a value of this type proves AVX-512.
        unsafe { Self(_mm512_sub_ps(self.0, other.0)) }
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        // SAFETY: a value of this type proves AVX-512.
        unsafe { Self(_mm512_mul_ps(self.0, other.0)) }
    }

    #[inline(always)]
    fn over(self, divisor: Self) -> Self {
        // SAFETY: a value of this type proves AVX-512.
        unsafe { Self(_mm512_div_ps(self.0, divisor.0)) }
    }

    #[inline(always)]
    fn times_plus(self, factor: Self, addend: Self) -> Self {
        // SAFETY: a value of this type proves AVX-512.
        unsafe { Self(_mm512_fmadd_ps(self.0, factor.0, addend.0)) }
    }

    #[inline(always)]
    fn times_minus(self, factor: Self, subtrahend: Self) -> Self {
        // SAFETY: a value of this type proves AVX-512.
        unsafe { Self(_mm512_fmsub_ps(self.0, factor.0, subtrahend.0)) }
    }

    #[inline(always)]
    fn at_least(self, floor: Self) -> Self {
        // SAFETY: a value of this type proves AVX-512.
        unsafe { Self(_mm512_max_ps(self.0, floor.0)) }
    }

    #[inline(always)]
    fn to_exponent(self) -> Self {
        // SAFETY: a value of this type proves AVX-512.
        Self::from_bits(unsafe { _mm512_slli_epi32::<23>(self.bits()) })
    }

    #[inline(always)]
    fn masked(self, mask: &[u32; LANES]) -> Self {
        // SAFETY: as in `load`.
        unsafe { Self(_mm512_and_ps(self.0, _mm512_loadu_ps(mask.as_ptr().cast()))) }
    }

    #[inline(always)]
    fn larger_signed(self, other: Self) -> Self {
        // SAFETY: a value of this type proves AVX-512.
        Self::from_bits(unsafe { _mm512_max_epi32(self.bits(), other.bits()) })
    }

    #[inline(always)]
    fn larger_bits(self, other: Self) -> Self {
        // SAFETY: a value of this type proves AVX-512.
        Self::from_bits(unsafe { _mm512_max_epu32(self.bits(), other.bits()) })
    }

    #[inline(always)]
    fn smaller_bits(self, other: Self) -> Self {
        // SAFETY: a value of this type proves AVX-512.
        Self::from_bits(unsafe { _mm512_min_epu32(self.bits(), other.bits()) })
    }

    #[inline(always)]
    fn smaller_where_zero(self, index: u32, found: Self) -> Self {
        // SAFETY: a value of this type proves AVX-512.
        unsafe {
            let zero = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self.0, _mm512_setzero_ps());
            let index = _mm512_set1_epi32(index as i32);
            Self::from_bits(_mm512_mask_min_epu32(found.bits(), zero, found.bits(), index))
        }
    }

    #[inline(always)]
    fn fold_into(self, parts: &mut [f64; PARTS]) {
        let (low, high) = self.halves();
        // SAFETY: a value of this type proves AVX-512; the array holds the register's numbers.
        unsafe {
            let sum = _mm512_cvtps_pd(_mm256_add_ps(low, high));
            _mm512_storeu_pd(parts.as_mut_ptr(), _mm512_add_pd(_mm512_loadu_pd(parts.as_ptr()), sum));
        }
    }

    #[inline(always)]
    fn add_to(self, totals: &mut [f64; LANES]) {
        let (low, high) = self.halves();
        // SAFETY: a value of this type proves AVX-512; the array holds both halves.
        unsafe {
            for (at, half) in [(0, low), (8, high)] {
                let to = totals.as_mut_ptr().add(at);
                _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), _mm512_cvtps_pd(half)));
            }
        }
    }
}
