//! Sums whose result does not depend on the order of the values.
//!
//! Each value is rounded to the grid of 2^-60 and added as a whole number of 128 bits, so addition is
//! associative: any split over threads, chunks or machines gives the same bits.

use serde::{Deserialize, Serialize};

/// Largest magnitude that the grid takes; larger values and those not finite are counted apart.
const LIMIT: f64 = 4_294_967_296.0; // 2^32
const SCALE: f64 = 1_152_921_504_606_846_976.0; // 2^60
/// Below this magnitude the scaled value fits 64 bits.
const NARROW: f64 = 4.0;
/// Below this magnitude many values are added at once.
const NEAR: f64 = 1_048_576.0; // 2^20
/// So many of those are added in 64 bits before the sum goes to the grid.
const BLOCK: usize = 4096;
const HALF_SCALE: f64 = 1_073_741_824.0; // 2^30
/// Adding this to a number below 2^51 leaves its rounding, ties to even, in the low bits of the sum.
const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52

/// An associative sum of up to 2^33 values, exact to 2^-61 a value.
///
/// # Examples
/// ```
/// use candor::metrics::ExactSum;
/// let mut sum = ExactSum::default();
/// for value in [0.1, 0.2, 0.3] {
///     sum.add(value);
/// }
/// assert_eq!(sum.value(), 0.6);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExactSum {
    grid: i128,
    outliers: u64,
}

impl ExactSum {
    /// The sum of this many ones.
    pub(crate) fn of_count(count: u64) -> Self {
        Self { grid: i128::from(count) << 60, outliers: 0 }
    }

    /// The sum of one value.
    pub(crate) fn of(value: f64) -> Self {
        let mut sum = Self::default();
        sum.add(value);
        sum
    }

    /// Adds another sum so many times.
    pub(crate) fn add_times(&mut self, other: &Self, times: u64) {
        self.grid += other.grid * i128::from(times);
        self.outliers += other.outliers * times;
    }

    /// Adds one value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let magnitude = value.abs();
        if magnitude < NARROW {
            self.grid += i128::from(whole(value * SCALE) as i64);
        } else if magnitude <= LIMIT {
            self.grid += whole(value * SCALE) as i128;
        } else {
            self.outliers += 1;
        }
    }

    /// Adds a figure of each value: the same bits as one by one, several times as fast.
    ///
    /// A figure is split into multiples of 2^-30 and what is left in multiples of 2^-60; both are whole numbers
    /// whose sums over a block fit 64 bits.
    pub(crate) fn add_all(&mut self, values: &[f64], figure: impl Fn(f64) -> f64) {
        for block in values.chunks(BLOCK) {
            let (mut coarse, mut fine, mut far) = (0_u64, 0_u64, 0_u64);
            for value in block {
                let value = figure(*value);
                let near = value.abs() < NEAR;
                far |= u64::from(!near);
                let scaled = value * HALF_SCALE;
                let shifted = scaled + ROUND;
                let rest = (scaled - (shifted - ROUND)) * HALF_SCALE;
                coarse = coarse.wrapping_add(shifted.to_bits());
                fine = fine.wrapping_add((rest + ROUND).to_bits());
            }
            if far != 0 {
                block.iter().for_each(|value| self.add(figure(*value)));
                continue;
            }
            let offset = ROUND.to_bits().wrapping_mul(block.len() as u64);
            let whole = |sum: u64| i128::from(sum.wrapping_sub(offset) as i64);
            self.grid += (whole(coarse) << 30) + whole(fine);
        }
    }

    /// Adds a whole number of 2^-60.
    pub(crate) fn add_grid(&mut self, grid: i128) {
        self.grid += grid;
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: &Self) {
        self.grid += other.grid;
        self.outliers += other.outliers;
    }

    /// The sum; infinite if a value was not finite or beyond 2^32 in magnitude.
    pub fn value(&self) -> f64 {
        if self.outliers > 0 { f64::INFINITY } else { self.grid as f64 / SCALE }
    }

    /// Number of values that did not fit the grid.
    pub fn outliers(&self) -> u64 {
        self.outliers
    }
}

/// A value in [0, 1] on the grid: what [`ExactSum::add`] adds.
#[inline(always)]
pub(crate) fn on_grid(value: f64) -> u64 {
    let scaled = value * HALF_SCALE;
    let shifted = scaled + ROUND;
    let rest = (scaled - (shifted - ROUND)) * HALF_SCALE;
    let whole = |sum: f64| sum.to_bits().wrapping_sub(ROUND.to_bits());
    (whole(shifted) << 30).wrapping_add(whole(rest + ROUND))
}

/// Rounds to a whole number, ties to even, without a call where the processor has no instruction for it.
#[inline]
fn whole(value: f64) -> f64 {
    const INTEGERS: f64 = 4_503_599_627_370_496.0; // 2^52: from here on every double is whole.
    let magnitude = value.abs();
    let rounded = (magnitude + INTEGERS) - INTEGERS;
    if magnitude < INTEGERS { rounded.copysign(value) } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_grouping_do_not_matter() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i).sin() * 10.0_f64.powi(i % 9 - 4)).collect();
        let sum = |values: &mut dyn Iterator<Item = &f64>| {
            let mut sum = ExactSum::default();
            values.for_each(|v| sum.add(*v));
            sum
        };
        let forward = sum(&mut values.iter());
        assert_eq!(forward, sum(&mut values.iter().rev()));
        let mut halves = sum(&mut values[500..].iter());
        halves.merge(&sum(&mut values[..500].iter()));
        assert_eq!(forward, halves);
    }

    #[test]
    fn rounding_is_that_of_the_standard_library() {
        for i in -4000..4000 {
            for unit in [0.25, 0.5, 0.3, 1e13, 1.7e12, 4_503_599_627_370_495.5 / 4000.0] {
                let value = f64::from(i) * unit;
                assert_eq!(whole(value), value.round_ties_even(), "{value}");
            }
        }
    }

    /// Values of every size, with ties of the rounding, tiny ones and subnormals.
    fn of_every_size() -> Vec<f64> {
        let mut values = Vec::new();
        for exponent in -1080..40 {
            for mantissa in
                [1.0, 1.5, 1.25, 1.0 + f64::EPSILON, 1.999_999_9, 1.0 + 2.0_f64.powi(-30), 4.0 / 3.0]
            {
                let value: f64 =
                    mantissa * 2.0_f64.powi(exponent.max(-1022)) * 2.0_f64.powi(exponent.min(-1022) + 1022);
                values.extend([value, -value]);
            }
        }
        values
    }

    #[test]
    fn many_at_once_give_the_bits_of_one_by_one() {
        let small: Vec<f64> = of_every_size().into_iter().filter(|value| value.abs() < NEAR).collect();
        let long: Vec<f64> = small.iter().cycle().take(5 * BLOCK + 77).map(|value| value * 0.7).collect();
        let mut odd = small.clone();
        odd.splice(3..3, [f64::NAN, f64::INFINITY, LIMIT, 2.0 * LIMIT, NEAR, -NEAR]);
        let full = vec![NEAR.next_down(); 2 * BLOCK];
        for values in [&[][..], &small[..1], &small, &long, &odd, &full, &of_every_size()] {
            for square in [false, true] {
                let figure = |value: f64| if square { value * value } else { value };
                let (mut got, mut want) = (ExactSum::default(), ExactSum::default());
                got.add_all(values, figure);
                values.iter().for_each(|value| want.add(figure(*value)));
                assert_eq!(got, want, "{} values", values.len());
            }
        }
    }

    #[test]
    fn the_grid_of_a_probability_is_what_is_added() {
        for value in of_every_size().into_iter().filter(|value| (0.0..=1.0).contains(value)).chain([0.0, 1.0])
        {
            assert_eq!(i128::from(on_grid(value)), ExactSum::of(value).grid, "{value:e}");
        }
    }

    #[test]
    fn many_equal_values_are_exact() {
        let mut sum = ExactSum::default();
        for _ in 0..4096 {
            sum.add(1.0);
        }
        assert_eq!(sum.value(), 4096.0);
        for _ in 0..4096 {
            sum.add(-1.0);
        }
        assert_eq!(sum.value(), 0.0);
    }

    #[test]
    fn values_off_the_grid_are_counted_and_make_the_sum_infinite() {
        for bad in [f64::NAN, f64::INFINITY, -1e10] {
            let mut sum = ExactSum::default();
            sum.add(bad);
            assert_eq!((sum.outliers(), sum.value()), (1, f64::INFINITY));
        }
        let mut sum = ExactSum::default();
        sum.add(LIMIT);
        sum.add(-3.75);
        assert_eq!(sum.value(), LIMIT - 3.75);
    }
}
