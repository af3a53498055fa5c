//! Count, sum and sum of squares of a per-row figure: its mean and the interval of that mean.

use serde::{Deserialize, Serialize};

use super::{Estimate, ExactSum};
use crate::statistics::mean_interval;

/// Streaming first and second moments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    sum: ExactSum,
    sum_squares: ExactSum,
}

impl Moments {
    /// Adds one row's figure.
    #[inline]
    pub fn update(&mut self, value: f64) {
        self.count += 1;
        self.sum.add(value);
        self.sum_squares.add(value * value);
    }

    /// Adds the rows of another state.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum.merge(&other.sum);
        self.sum_squares.merge(&other.sum_squares);
    }

    /// Number of rows.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean; NaN without rows, infinite if a row's figure was.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.sum.value() / self.count as f64 }
    }

    /// The mean with its t interval.
    pub fn compute(&self) -> Estimate {
        let mean_square = self.sum_squares.value() / self.count as f64;
        Estimate::plain(self.mean())
            .with_ci(mean_interval(self.mean(), mean_square, self.count, 0.95), "t interval of the mean")
    }
}
