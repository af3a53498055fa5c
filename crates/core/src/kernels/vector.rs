//! Sixteen numbers of single precision in the registers of one instruction set.
//!
//! A kernel is written once over [`Vector`]. All that have fused multiply-add give the same bits; the one without
//! it differs in the rounding of products alone.

mod quads;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(super) use quads::Quads;
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

/// Numbers of a vector: one register of AVX-512, two of AVX2, four of the others.
pub const LANES: usize = 16;

/// Parts that a sum's lanes are folded into.
pub const PARTS: usize = 8;

/// Sixteen numbers, with what the kernels do to them, lane by lane.
///
/// A value proves that the CPU has the instruction set: only [`new`](Self::new) makes one from nothing.
pub trait Vector: Copy {
    /// Whether [`times_plus`](Self::times_plus) rounds once.
    const FMA: bool;

    /// Vectors that the registers of the instruction set hold.
    const REGISTERS: usize;

    /// The same number in every lane.
    ///
    /// # Safety
    /// The CPU must have the instruction set of this type.
    unsafe fn new(value: f32) -> Self;

    /// Another number in every lane; `self` is the proof.
    fn splat(self, value: f32) -> Self;

    /// Numbers from memory; `self` is the proof.
    fn load(self, from: &[f32; LANES]) -> Self;

    /// The numbers into memory.
    fn store(self, to: &mut [f32; LANES]);

    /// The numbers of bits of bf16; `self` is the proof.
    fn load_bf16(self, from: &[u16; LANES]) -> Self;

    /// The nearest numbers of bf16, ties to even, as bits. No lane may be NaN.
    fn store_bf16(self, to: &mut [u16; LANES]);

    /// The numbers of bits of f16; `self` is the proof.
    fn load_f16(self, from: &[u16; LANES]) -> Self;

    /// The nearest numbers of f16, ties to even, as bits. No lane may be NaN.
    fn store_f16(self, to: &mut [u16; LANES]);

    /// `self + other`
    fn plus(self, other: Self) -> Self;

    /// `self - other`
    fn minus(self, other: Self) -> Self;

    /// `self * other`
    fn times(self, other: Self) -> Self;

    /// `self / divisor`
    fn over(self, divisor: Self) -> Self;

    /// `self * factor + addend`, rounded once where [`FMA`](Self::FMA) says so.
    fn times_plus(self, factor: Self, addend: Self) -> Self;

    /// `self * factor - subtrahend`, rounded as [`times_plus`](Self::times_plus).
    fn times_minus(self, factor: Self, subtrahend: Self) -> Self;

    /// `self` where it is greater than `floor`, else `floor`.
    fn at_least(self, floor: Self) -> Self;

    /// The bits moved up by 23, to where a number has its exponent.
    fn to_exponent(self) -> Self;

    /// The bits of which `mask` has a one.
    fn masked(self, mask: &[u32; LANES]) -> Self;

    /// The larger bits, taken as integers with a sign.
    fn larger_signed(self, other: Self) -> Self;

    /// The larger bits, taken as integers without a sign.
    fn larger_bits(self, other: Self) -> Self;

    /// The smaller bits, taken as integers without a sign.
    fn smaller_bits(self, other: Self) -> Self;

    /// The smaller of the bits of `found` and `index` where `self` is zero, else `found`.
    fn smaller_where_zero(self, index: u32, found: Self) -> Self;

    /// Adds lane l and lane l + 8, and their sum to part l.
    fn fold_into(self, parts: &mut [f64; PARTS]);

    /// Adds each lane to a number of double precision.
    fn add_to(self, totals: &mut [f64; LANES]);
}

/// The numbers of a vector.
#[inline(always)]
pub(crate) fn lanes_of<V: Vector>(vector: V) -> [f32; LANES] {
    let mut lanes = [0.0; LANES];
    vector.store(&mut lanes);
    lanes
}

/// Bits that [`Vector::masked`] clears the first `count` lanes with.
#[inline(always)]
pub(crate) fn all_but(count: usize) -> [u32; LANES] {
    std::array::from_fn(|l| if l < count { 0 } else { u32::MAX })
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;
    use crate::kernels::cases;
    use crate::kernels::isa::{Isa, VectorBody, run_vectors};

    /// Everything that a vector does, on some numbers.
    struct Everything {
        a: [f32; LANES],
        b: [f32; LANES],
    }

    impl VectorBody for Everything {
        type Output = (bool, Vec<u64>);

        /// # Safety
        /// The CPU must have what `V` needs.
        unsafe fn run<V: Vector>(self) -> Self::Output {
            // SAFETY: the caller's.
            let proof = unsafe { V::new(0.0) };
            let (a, b) = (proof.load(&self.a), proof.load(&self.b));
            let mut bits = Vec::new();
            let mut keep = |v: V| bits.extend(lanes_of(v).map(|x| u64::from(x.to_bits())));
            keep(proof.splat(1.5));
            for vector in [a.plus(b), a.minus(b), a.times(b), a.over(b), a.at_least(b), b.at_least(a)] {
                keep(vector);
            }
            for vector in [a.to_exponent(), a.larger_signed(b), a.larger_bits(b), a.smaller_bits(b)] {
                keep(vector);
            }
            for count in [0, 1, 7, 15] {
                keep(a.masked(&all_but(count)));
            }
            keep(a.minus(a).at_least(b).smaller_where_zero(3, proof.splat(f32::from_bits(5))));
            keep(b.smaller_where_zero(3, a));
            // One rounding where there is one.
            if V::FMA {
                keep(a.times_plus(b, a));
                keep(a.times_minus(b, a));
            }
            let (mut parts, mut totals) = ([0.25; PARTS], [0.5; LANES]);
            a.fold_into(&mut parts);
            b.add_to(&mut totals);
            bits.extend(parts.iter().chain(&totals).map(|x| x.to_bits()));
            let mut half = [0; LANES];
            a.store_bf16(&mut half);
            bits.extend(half.map(u64::from));
            bits.extend(lanes_of(proof.load_bf16(&half)).map(|x| u64::from(x.to_bits())));
            a.store_f16(&mut half);
            bits.extend(half.map(u64::from));
            bits.extend(lanes_of(proof.load_f16(&half)).map(|x| u64::from(x.to_bits())));
            (V::FMA, bits)
        }
    }

    /// Numbers of all kinds: zeros, subnormals, halfway points of half precision, large ones, infinities.
    fn numbers() -> Vec<f32> {
        let mut numbers = vec![0.0, -0.0, 1.0, -1.0, f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY];
        numbers.extend([
            1e-45,
            -1e-45,
            65504.0,
            65519.9,
            65520.0,
            6e-8,
            2.98e-8,
            3e-8,
            1.003_906_3,
            1.011_718_8,
        ]);
        numbers.extend(
            (0..400_u32).map(|i| f32::from_bits(i.wrapping_mul(0x9e37_79b9))).filter(|x| !x.is_nan()),
        );
        numbers
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let numbers = numbers();
        for at in cases(0..numbers.len()) {
            let a = std::array::from_fn(|l| numbers[(at + l) % numbers.len()]);
            let b = std::array::from_fn(|l| numbers[(at * 7 + l * 3) % numbers.len()]);
            // SAFETY: every CPU has what these need.
            let fused = unsafe { Everything { a, b }.run::<Quads<true>>() };
            // SAFETY: as above.
            let plain = unsafe { Everything { a, b }.run::<Quads<false>>() };
            for isa in Isa::available() {
                // SAFETY: the instruction set is available.
                let (fma, found) = unsafe { run_vectors(isa, Everything { a, b }) };
                let want = if fma { &fused.1 } else { &plain.1 };
                for (place, (x, y)) in found.iter().zip(want).enumerate() {
                    // Sums of opposite infinities are NaN, whose sign is nobody's business.
                    let both_nan = [x, y].iter().all(|bits| {
                        f32::from_bits(**bits as u32).is_nan() || f64::from_bits(**bits).is_nan()
                    });
                    assert!(x == y || both_nan, "{isa:?} {place}: {x:x}, want {y:x}");
                }
                assert_eq!(found.len(), want.len());
            }
        }
    }

    #[test]
    fn half_precision_is_that_of_the_crate_half() {
        for chunk in numbers().chunks_exact(LANES) {
            let values: [f32; LANES] = std::array::from_fn(|l| chunk[l]);
            // SAFETY: every CPU has what these need.
            let vector = unsafe { Quads::<true>::new(0.0) }.load(&values);
            let (mut b, mut h) = ([0; LANES], [0; LANES]);
            vector.store_bf16(&mut b);
            vector.store_f16(&mut h);
            assert_eq!(b, values.map(|x| bf16::from_f32(x).to_bits()));
            assert_eq!(h, values.map(|x| f16::from_f32(x).to_bits()));
        }
    }
}
