//! The maximum of numbers and their largest magnitude, by comparisons of their bits as integers.
//!
//! Bits of positive numbers order like the numbers, those of negative ones the other way round. Three integer
//! operations a vector give both figures, NaN included.

use crate::kernels::vector::{LANES, Vector, lanes_of};

/// What the bits of the numbers seen so far have as extremes, in each lane.
#[derive(Clone, Copy)]
pub(super) struct Extremes<V> {
    signed_most: V,
    most: V,
    least: V,
}

impl<V: Vector> Extremes<V> {
    /// Those of one number a lane.
    #[inline(always)]
    pub(super) fn of(values: V) -> Self {
        Self { signed_most: values, most: values, least: values }
    }

    /// Sees one more number a lane.
    #[inline(always)]
    pub(super) fn see(&mut self, values: V) {
        self.signed_most = self.signed_most.larger_signed(values);
        self.most = self.most.larger_bits(values);
        self.least = self.least.smaller_bits(values);
    }

    /// Of each lane the maximum, if it has seen no NaN, and the bits of its largest magnitude, which order like
    /// magnitudes and put NaN above all numbers.
    #[inline(always)]
    pub(super) fn of_lanes(self) -> ([f32; LANES], [u32; LANES]) {
        let (signed_most, most, least) =
            (lanes_of(self.signed_most), lanes_of(self.most), lanes_of(self.least));
        let (mut max, mut magnitude) = ([0.0; LANES], [0; LANES]);
        for l in 0..LANES {
            (max[l], magnitude[l]) =
                extremes(signed_most[l].to_bits() as i32, most[l].to_bits(), least[l].to_bits());
        }
        (max, magnitude)
    }

    /// The same over all lanes, and those of `other`.
    #[inline(always)]
    pub(super) fn whole(self, other: Self) -> (f32, u32) {
        let signed_most = lanes_of(self.signed_most.larger_signed(other.signed_most));
        let most = lanes_of(self.most.larger_bits(other.most));
        let least = lanes_of(self.least.smaller_bits(other.least));
        let (mut a, mut b, mut c) = (i32::MIN, 0, u32::MAX);
        for l in 0..LANES {
            a = a.max(signed_most[l].to_bits() as i32);
            b = b.max(most[l].to_bits());
            c = c.min(least[l].to_bits());
        }
        extremes(a, b, c)
    }
}

#[inline(always)]
fn extremes(signed_most: i32, most: u32, least: u32) -> (f32, u32) {
    // Without a positive number, the maximum is the negative one of the least bits.
    let max = if signed_most >= 0 { signed_most as u32 } else { least };
    // The largest bits are those of a negative number, if there is one.
    let negative = if most >> 31 == 1 { most & 0x7fff_ffff } else { 0 };
    (f32::from_bits(max), negative.max(signed_most.max(0) as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::vector::Quads;

    /// The figures of numbers, by lanes and as a whole.
    fn found(values: &[f32]) -> Vec<(f32, u32)> {
        // SAFETY: every CPU has what these need.
        let proof = unsafe { Quads::<true>::new(0.0) };
        // All numbers in one lane, and spread over two vectors.
        let mut lane = Extremes::of(proof.splat(values[0]));
        values.iter().for_each(|value| lane.see(proof.splat(*value)));
        let spread = |from: usize| proof.load(&std::array::from_fn(|l| values[(from + l) % values.len()]));
        let (max, magnitude) = lane.of_lanes();
        vec![(max[3], magnitude[3]), Extremes::of(spread(0)).whole(Extremes::of(spread(1)))]
    }

    #[test]
    fn the_figures_are_those_of_comparing_numbers() {
        let inf = f32::INFINITY;
        for values in [
            vec![1.0, -2.0, 0.5],
            vec![-1.0, -2.0, -0.5],
            vec![3.0],
            vec![-0.0, -1.0],
            vec![-0.0, 0.0, -0.0],
            vec![0.0, -f32::MAX],
            vec![-inf, -3.0],
            vec![inf, 1.0, -inf],
            vec![f32::MIN_POSITIVE, 1e-45, -1e-45],
        ] {
            let max = values.iter().copied().fold(-inf, f32::max);
            let magnitude = values.iter().map(|v| v.abs()).fold(0.0, f32::max);
            for (found, bits) in found(&values) {
                assert_eq!((found, f32::from_bits(bits)), (max, magnitude), "{values:?}");
            }
        }
    }

    #[test]
    fn a_number_that_is_none_has_the_largest_magnitude() {
        for nan in [f32::NAN, -f32::NAN, f32::from_bits(0x7f80_0001), f32::from_bits(0xff80_0001)] {
            for (_, magnitude) in found(&[1.0, -f32::MAX, nan, f32::INFINITY]) {
                assert!(magnitude > f32::INFINITY.to_bits());
            }
        }
    }
}
