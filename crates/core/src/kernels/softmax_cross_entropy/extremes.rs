//! The maximum of numbers and their largest magnitude, by comparisons of their bits as integers.
//!
//! Bits of positive numbers order like the numbers, those of negative ones the other way round. Three integer
//! operations a vector give both figures, NaN included; conditional moves of floats into arrays would be compiled to
//! masked stores, which take many times as long.

/// What the bits of the numbers seen so far have as extremes, in each lane.
#[derive(Clone, Copy)]
pub(super) struct Extremes<const N: usize> {
    signed_most: [i32; N],
    most: [u32; N],
    least: [u32; N],
}

impl<const N: usize> Extremes<N> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self { signed_most: [i32::MIN; N], most: [0; N], least: [u32::MAX; N] }
    }

    /// Sees one more number in a lane.
    #[inline(always)]
    pub(super) fn see(&mut self, lane: usize, value: f32) {
        let bits = value.to_bits();
        self.signed_most[lane] = self.signed_most[lane].max(bits as i32);
        self.most[lane] = self.most[lane].max(bits);
        self.least[lane] = self.least[lane].min(bits);
    }

    /// The maximum of a lane that has seen a number and no NaN, and the bits of its largest magnitude, which order
    /// like magnitudes and put NaN above all numbers.
    #[inline(always)]
    pub(super) fn of(&self, lane: usize) -> (f32, u32) {
        extremes(self.signed_most[lane], self.most[lane], self.least[lane])
    }

    /// The same over all lanes.
    #[inline(always)]
    pub(super) fn whole(&self) -> (f32, u32) {
        let (mut signed_most, mut most, mut least) = (i32::MIN, 0, u32::MAX);
        for l in 0..N {
            signed_most = signed_most.max(self.signed_most[l]);
            most = most.max(self.most[l]);
            least = least.min(self.least[l]);
        }
        extremes(signed_most, most, least)
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
            let mut lanes = Extremes::<4>::new();
            let mut one = Extremes::<1>::new();
            for (at, &value) in values.iter().enumerate() {
                lanes.see(at % 4, value);
                one.see(0, value);
            }
            let max = values.iter().copied().fold(-inf, f32::max);
            let magnitude = values.iter().map(|v| v.abs()).fold(0.0, f32::max);
            for (found, bits) in [lanes.whole(), one.of(0), one.whole()] {
                assert_eq!((found, f32::from_bits(bits)), (max, magnitude), "{values:?}");
            }
        }
    }

    #[test]
    fn a_number_that_is_none_has_the_largest_magnitude() {
        for nan in [f32::NAN, -f32::NAN, f32::from_bits(0x7f80_0001), f32::from_bits(0xff80_0001)] {
            let mut lanes = Extremes::<2>::new();
            for (lane, value) in [(0, 1.0), (1, -f32::MAX), (0, nan), (1, f32::INFINITY)] {
                lanes.see(lane, value);
            }
            assert!(lanes.whole().1 > f32::INFINITY.to_bits());
            assert!(lanes.of(0).1 > f32::INFINITY.to_bits());
        }
    }
}
