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
