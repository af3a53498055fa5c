//! Storage types of the vector kernels: widened to single precision when read, rounded once when written.
//!
//! The conversions of single numbers are free of branches, so that loops over them vectorise on every instruction
//! set; those of the crate `half` ask for the CPU's features at each call.

use half::{bf16, f16};

use super::vector::{LANES, Vector};
use crate::batch::{DType, Storage};

/// A storage type that the vector kernel of cross-entropy takes: `f32`, `bf16`, `f16`.
pub trait FusedStorage: Storage {
    /// Whether a single-precision value is stored as it is.
    const EXACT: bool;

    /// The exact value in single precision.
    fn widen(self) -> f32;

    /// The nearest stored value, ties to even.
    fn narrow(value: f32) -> Self;

    /// Numbers widened into a vector; `proof` is any vector of the kind.
    #[doc(hidden)]
    fn load<V: Vector>(proof: V, from: &[Self; LANES]) -> V;

    /// The vector's numbers, none of them NaN, each as the nearest stored value.
    #[doc(hidden)]
    fn store<V: Vector>(vector: V, to: &mut [Self; LANES]);
}

/// Numbers of single precision as what they are; nothing of another type.
pub(crate) fn singles<T: Storage>(values: &[T]) -> Option<&[f32]> {
    // SAFETY: the trait is sealed, and `f32` alone has this name.
    (T::DTYPE == DType::F32).then(|| unsafe { &*(std::ptr::from_ref(values) as *const [f32]) })
}

/// [`singles`], to be written.
pub(crate) fn singles_mut<T: Storage>(values: &mut [T]) -> Option<&mut [f32]> {
    // SAFETY: as in `singles`.
    (T::DTYPE == DType::F32).then(|| unsafe { &mut *(std::ptr::from_mut(values) as *mut [f32]) })
}

impl FusedStorage for f32 {
    const EXACT: bool = true;

    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[inline(always)]
    fn narrow(value: f32) -> Self {
        value
    }

    #[inline(always)]
    fn load<V: Vector>(proof: V, from: &[Self; LANES]) -> V {
        proof.load(from)
    }

    #[inline(always)]
    fn store<V: Vector>(vector: V, to: &mut [Self; LANES]) {
        vector.store(to);
    }
}

impl FusedStorage for bf16 {
    const EXACT: bool = false;

    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[inline(always)]
    fn narrow(value: f32) -> Self {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
        // Rounding could turn a NaN into an infinity.
        let nan = bits & 0x7fff_ffff > 0x7f80_0000;
        Self::from_bits(((if nan { bits | 0x0040_0000 } else { rounded }) >> 16) as u16)
    }

    #[inline(always)]
    fn load<V: Vector>(proof: V, from: &[Self; LANES]) -> V {
        // SAFETY: `bf16` is a transparent wrapper of its bits.
        proof.load_bf16(unsafe { &*from.as_ptr().cast() })
    }

    #[inline(always)]
    fn store<V: Vector>(vector: V, to: &mut [Self; LANES]) {
        // SAFETY: as in `load`.
        vector.store_bf16(unsafe { &mut *to.as_mut_ptr().cast() });
    }
}

impl FusedStorage for f16 {
    const EXACT: bool = false;

    #[inline(always)]
    fn widen(self) -> f32 {
        let bits = u32::from(self.to_bits());
        let sign = (bits & 0x8000) << 16;
        let magnitude = (bits & 0x7fff) << 13;
        // The exponent's bias differs by 112; the product is exact, of subnormal numbers too.
        let scaled = (f32::from_bits(magnitude) * f32::from_bits(0x7780_0000)).to_bits();
        let finite = magnitude < 0x0f80_0000;
        f32::from_bits(sign | if finite { scaled } else { magnitude | 0x7f80_0000 })
    }

    #[inline(always)]
    fn narrow(value: f32) -> Self {
        let bits = value.to_bits();
        let sign = (bits >> 16) & 0x8000;
        let magnitude = bits & 0x7fff_ffff;
        let odd = (magnitude >> 13) & 1;
        let normal = magnitude.wrapping_add(0xc800_0fff).wrapping_add(odd) >> 13;
        // Below 2^-14, adding 0.5 leaves the subnormal's bits at the end of the sum's, rounded.
        let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0x3f00_0000);
        let small = magnitude < 0x3880_0000;
        // From 65,536 on infinity; a NaN stays one.
        let special = if magnitude > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
        let finite = if small { subnormal } else { normal };
        let found = if magnitude >= 0x4780_0000 { special } else { finite };
        Self::from_bits((sign | found) as u16)
    }

    #[inline(always)]
    fn load<V: Vector>(proof: V, from: &[Self; LANES]) -> V {
        // SAFETY: `f16` is a transparent wrapper of its bits.
        proof.load_f16(unsafe { &*from.as_ptr().cast() })
    }

    #[inline(always)]
    fn store<V: Vector>(vector: V, to: &mut [Self; LANES]) {
        // SAFETY: as in `load`.
        vector.store_f16(unsafe { &mut *to.as_mut_ptr().cast() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "numbers by the thousand are slow there")]
    fn every_half_precision_number_widens_exactly_and_comes_back() {
        for bits in 0..=u16::MAX {
            let (b, h) = (bf16::from_bits(bits), f16::from_bits(bits));
            if b.is_nan() {
                assert!(b.widen().is_nan() && bf16::narrow(b.widen()).is_nan(), "{bits:x}");
            } else {
                assert_eq!(b.widen().to_bits(), b.to_f32().to_bits(), "{bits:x}");
                assert_eq!(bf16::narrow(b.widen()).to_bits(), bits);
            }
            if h.is_nan() {
                assert!(h.widen().is_nan() && f16::narrow(h.widen()).is_nan(), "{bits:x}");
            } else {
                assert_eq!(h.widen().to_bits(), h.to_f32().to_bits(), "{bits:x}");
                assert_eq!(f16::narrow(h.widen()).to_bits(), bits);
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "numbers by the thousand are slow there")]
    fn rounding_agrees_with_the_crate_half() {
        // The two neighbours of every halfway point, the point itself, and numbers in between.
        for high in 0..=u16::MAX {
            for low in [0, 1, 0x0fff, 0x1000, 0x1001, 0x1fff, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let value = f32::from_bits(u32::from(high) << 16 | low);
                if !value.is_nan() {
                    let want = bf16::from_f32(value).to_bits();
                    assert_eq!(bf16::narrow(value).to_bits(), want, "{value:e}");
                    let want = f16::from_f32(value).to_bits();
                    assert_eq!(f16::narrow(value).to_bits(), want, "{value:e}");
                }
            }
        }
    }
}
