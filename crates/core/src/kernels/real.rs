//! The numbers that layers compute in, and what the two precisions do in their own way.
//!
//! Single precision goes by vectors with the exponential of `exp_f32`; double precision is the plain
//! formula, number by number, which the other is tested against.

use std::ops::{Add, AddAssign, Mul, Sub};

use super::isa::Isa;
use super::{attention, gelu};
use crate::batch::Scalar;

/// Sums that run side by side, so that adding needs not wait for adding.
const LANES: usize = 16;

/// Values that one thread passes over at least, where there are as many.
const VALUES_OF_A_BLOCK: usize = 1 << 15;

/// A number that layers compute in: `f32` or `f64`.
pub trait Real:
    Scalar + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + AddAssign + PartialOrd
{
    /// Whether it is not a number.
    #[doc(hidden)]
    fn is_nan(self) -> bool;

    /// `self * factor + addend`, rounded once where the instruction set can.
    #[doc(hidden)]
    fn multiply_add<const FMA: bool>(self, factor: Self, addend: Self) -> Self;

    /// GELU of each value in its place, and its slope there if it is wanted.
    #[doc(hidden)]
    fn gelu(isa: Isa, values: &mut [Self], slopes: Option<&mut [Self]>);

    /// Softmax of `scale` times a row, in its place; what [`softmax_again`](Self::softmax_again) needs of it.
    #[doc(hidden)]
    fn softmax(isa: Isa, row: &mut [Self], scale: Self) -> [Self; 2];

    /// The same bits from the same row, in one pass.
    #[doc(hidden)]
    fn softmax_again(isa: Isa, row: &mut [Self], scale: Self, kept: [Self; 2]);
}

macro_rules! real {
    ($float:ty, $precision:ident) => {
        impl Real for $float {
            #[inline(always)]
            fn is_nan(self) -> bool {
                self.is_nan()
            }

            #[inline(always)]
            fn multiply_add<const FMA: bool>(self, factor: Self, addend: Self) -> Self {
                if FMA { self.mul_add(factor, addend) } else { self * factor + addend }
            }

            fn gelu(isa: Isa, values: &mut [Self], slopes: Option<&mut [Self]>) {
                gelu::$precision(isa, values, slopes);
            }

            fn softmax(isa: Isa, row: &mut [Self], scale: Self) -> [Self; 2] {
                attention::rows::$precision::softmax(isa, row, scale)
            }

            fn softmax_again(isa: Isa, row: &mut [Self], scale: Self, kept: [Self; 2]) {
                attention::rows::$precision::softmax_again(isa, row, scale, kept);
            }
        }
    };
}

real!(f32, single);
real!(f64, double);

/// Rows that one thread passes over: enough that waking it costs little beside them, and dependent on their width alone.
pub(super) fn rows_of_a_block(width: usize) -> usize {
    (VALUES_OF_A_BLOCK / width).max(1)
}

/// The sum of `f` over the places of arrays of one length, in an order that depends on the length alone.
#[inline(always)]
pub(super) fn lane_sum<T: Real, const N: usize>(arrays: [&[T]; N], f: impl Fn([T; N]) -> T) -> f64 {
    let mut sums = [T::default(); LANES];
    let chunks = arrays.map(|array| array.as_chunks::<LANES>());
    for at in 0..chunks[0].0.len() {
        let places: [&[T; LANES]; N] = std::array::from_fn(|n| &chunks[n].0[at]);
        for lane in 0..LANES {
            sums[lane] += f(places.map(|place| place[lane]));
        }
    }
    for (at, sum) in sums.iter_mut().enumerate().take(chunks[0].1.len()) {
        *sum += f(std::array::from_fn(|n| chunks[n].1[at]));
    }
    sums.iter().map(|sum| sum.to_f64()).sum()
}
