//! Vectors of four registers with four numbers each: what every CPU of the target has.

use half::{bf16, f16};

use super::{LANES, PARTS, Vector};
use crate::kernels::storage::FusedStorage;

#[cfg_attr(target_arch = "x86_64", path = "quads/sse2.rs")]
#[cfg_attr(target_arch = "aarch64", path = "quads/neon.rs")]
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), path = "quads/plain.rs")]
mod quad;

use quad::Quad;

/// Sixteen numbers in four registers. `FMA` says whether multiply-add is to be fused, at any price.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Quads<const FMA: bool>([Quad; 4]);

impl<const FMA: bool> Quads<FMA> {
    #[inline(always)]
    fn map(self, function: impl Fn(Quad) -> Quad) -> Self {
        let [a, b, c, d] = self.0;
        Self([function(a), function(b), function(c), function(d)])
    }

    #[inline(always)]
    fn with(self, other: Self, function: impl Fn(Quad, Quad) -> Quad) -> Self {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        Self([function(a, e), function(b, f), function(c, g), function(d, h)])
    }
}

impl<const FMA: bool> Vector for Quads<FMA> {
    const FMA: bool = FMA;
    const REGISTERS: usize = if cfg!(target_arch = "aarch64") { 8 } else { 4 };

    /// # Safety
    /// That of the trait.
    #[inline(always)]
    unsafe fn new(value: f32) -> Self {
        Self([Quad::splat(value); 4])
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self {
        Self([Quad::splat(value); 4])
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Self {
        let (quads, _) = from.as_chunks();
        Self([Quad::load(&quads[0]), Quad::load(&quads[1]), Quad::load(&quads[2]), Quad::load(&quads[3])])
    }

    #[inline(always)]
    fn store(self, to: &mut [f32; LANES]) {
        let (quads, _) = to.as_chunks_mut();
        for (quad, to) in self.0.into_iter().zip(quads) {
            quad.store(to);
        }
    }

    #[inline(always)]
    fn load_bf16(self, from: &[u16; LANES]) -> Self {
        self.load(&from.map(|bits| bf16::from_bits(bits).widen()))
    }

    #[inline(always)]
    fn store_bf16(self, to: &mut [u16; LANES]) {
        *to = super::lanes_of(self).map(|value| bf16::narrow(value).to_bits());
    }

    #[inline(always)]
    fn load_f16(self, from: &[u16; LANES]) -> Self {
        self.load(&from.map(|bits| f16::from_bits(bits).widen()))
    }

    #[inline(always)]
    fn store_f16(self, to: &mut [u16; LANES]) {
        *to = super::lanes_of(self).map(|value| f16::narrow(value).to_bits());
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        self.with(other, Quad::plus)
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        self.with(other, Quad::minus)
    }

    #[inline(always)]
    fn times(self, other: Self) -> Self {
        self.with(other, Quad::times)
    }

    #[inline(always)]
    fn over(self, divisor: Self) -> Self {
        self.with(divisor, Quad::over)
    }

    #[inline(always)]
    fn times_plus(self, factor: Self, addend: Self) -> Self {
        if !FMA {
            return self.times(factor).plus(addend);
        }
        let ([a, b, c, d], [e, f, g, h], [i, j, k, l]) = (self.0, factor.0, addend.0);
        Self([a.fused(e, i), b.fused(f, j), c.fused(g, k), d.fused(h, l)])
    }

    #[inline(always)]
    fn times_minus(self, factor: Self, subtrahend: Self) -> Self {
        if FMA {
            self.times_plus(factor, subtrahend.map(Quad::negative))
        } else {
            self.times(factor).minus(subtrahend)
        }
    }

    #[inline(always)]
    fn at_least(self, floor: Self) -> Self {
        self.with(floor, Quad::at_least)
    }

    #[inline(always)]
    fn to_exponent(self) -> Self {
        self.map(Quad::to_exponent)
    }

    #[inline(always)]
    fn masked(self, mask: &[u32; LANES]) -> Self {
        let mask = self.load(&mask.map(f32::from_bits));
        self.with(mask, Quad::and)
    }

    #[inline(always)]
    fn larger_signed(self, other: Self) -> Self {
        self.with(other, Quad::larger_signed)
    }

    #[inline(always)]
    fn larger_bits(self, other: Self) -> Self {
        self.with(other, Quad::larger_bits)
    }

    #[inline(always)]
    fn smaller_bits(self, other: Self) -> Self {
        self.with(other, Quad::smaller_bits)
    }

    #[inline(always)]
    fn smaller_where_zero(self, index: u32, found: Self) -> Self {
        let index = Quad::splat(f32::from_bits(index));
        self.with(found, |value, found| value.not_zero().or(index).smaller_bits(found))
    }

    #[inline(always)]
    fn fold_into(self, parts: &mut [f64; PARTS]) {
        let [a, b, c, d] = self.0;
        let (quads, _) = parts.as_chunks_mut();
        a.plus(c).add_to(&mut quads[0]);
        b.plus(d).add_to(&mut quads[1]);
    }

    #[inline(always)]
    fn add_to(self, totals: &mut [f64; LANES]) {
        let (quads, _) = totals.as_chunks_mut();
        for (quad, totals) in self.0.into_iter().zip(quads) {
            quad.add_to(totals);
        }
    }
}
