//! Four numbers in an array, for targets without vectors of their own here.

#[derive(Clone, Copy)]
pub(super) struct Quad([f32; 4]);

impl Quad {
    #[inline(always)]
    fn with(self, other: Self, function: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|l| function(self.0[l], other.0[l])))
    }

    #[inline(always)]
    fn with_bits(self, other: Self, function: impl Fn(u32, u32) -> u32) -> Self {
        self.with(other, |a, b| f32::from_bits(function(a.to_bits(), b.to_bits())))
    }

    #[inline(always)]
    pub(super) fn splat(value: f32) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    pub(super) fn load(from: &[f32; 4]) -> Self {
        Self(*from)
    }

    #[inline(always)]
    pub(super) fn store(self, to: &mut [f32; 4]) {
        *to = self.0;
    }

    #[inline(always)]
    pub(super) fn plus(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }

    #[inline(always)]
    pub(super) fn minus(self, other: Self) -> Self {
        self.with(other, |a, b| a - b)
    }

    #[inline(always)]
    pub(super) fn times(self, other: Self) -> Self {
        self.with(other, |a, b| a * b)
    }

    #[inline(always)]
    pub(super) fn over(self, divisor: Self) -> Self {
        self.with(divisor, |a, b| a / b)
    }

    #[inline(always)]
    pub(super) fn fused(self, factor: Self, addend: Self) -> Self {
        Self(std::array::from_fn(|l| self.0[l].mul_add(factor.0[l], addend.0[l])))
    }

    #[inline(always)]
    pub(super) fn negative(self) -> Self {
        Self(self.0.map(|value| -value))
    }

    #[inline(always)]
    pub(super) fn at_least(self, floor: Self) -> Self {
        self.with(floor, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    pub(super) fn to_exponent(self) -> Self {
        Self(self.0.map(|value| f32::from_bits(value.to_bits() << 23)))
    }

    #[inline(always)]
    pub(super) fn and(self, other: Self) -> Self {
        self.with_bits(other, |a, b| a & b)
    }

    #[inline(always)]
    pub(super) fn or(self, other: Self) -> Self {
        self.with_bits(other, |a, b| a | b)
    }

    #[inline(always)]
    pub(super) fn larger_signed(self, other: Self) -> Self {
        self.with_bits(other, |a, b| (a as i32).max(b as i32) as u32)
    }

    #[inline(always)]
    pub(super) fn larger_bits(self, other: Self) -> Self {
        self.with_bits(other, u32::max)
    }

    #[inline(always)]
    pub(super) fn smaller_bits(self, other: Self) -> Self {
        self.with_bits(other, u32::min)
    }

    /// Ones where the number is not zero.
    #[inline(always)]
    pub(super) fn not_zero(self) -> Self {
        Self(self.0.map(|value| f32::from_bits(if value == 0.0 { 0 } else { u32::MAX })))
    }

    #[inline(always)]
    pub(super) fn add_to(self, totals: &mut [f64; 4]) {
        for (total, value) in totals.iter_mut().zip(self.0) {
            *total += f64::from(value);
        }
    }
}
