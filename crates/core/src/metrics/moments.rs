//! Count, sum and sum of squares of a per-row figure: its mean and the interval of that mean.
//!
//! A row of weight w counts w times in the mean. The interval of a weighted mean is that of the ratio
//! `Σ w x / Σ w`: variance `Σ w² (x - mean)² / (Σ w)²`, as for a survey's weights.

use serde::{Deserialize, Serialize};

use super::{Estimate, ExactSum};
use crate::statistics::mean_interval;

/// Streaming first and second moments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moments {
    count: u64,
    /// Σ w x.
    sum: ExactSum,
    /// Σ w² x².
    sum_squares: ExactSum,
    /// Kept from the first weight that is not 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weights: Option<WeightSums>,
}

/// Σ w, Σ w² and Σ w² x.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct WeightSums {
    weight: ExactSum,
    square: ExactSum,
    square_value: ExactSum,
}

impl Moments {
    /// Adds one row's figure.
    #[inline]
    pub fn update(&mut self, value: f64) {
        self.count += 1;
        self.sum.add(value);
        self.sum_squares.add(value * value);
        if let Some(weights) = &mut self.weights {
            weights.weight.add(1.0);
            weights.square.add(1.0);
            weights.square_value.add(value);
        }
    }

    /// Adds the figures of many rows of weight 1.
    pub(crate) fn update_all(&mut self, values: &[f64]) {
        self.count += values.len() as u64;
        self.sum.add_all(values, |value| value);
        self.sum_squares.add_all(values, |value| value * value);
        if let Some(weights) = &mut self.weights {
            let rows = ExactSum::of_count(values.len() as u64);
            weights.weight.merge(&rows);
            weights.square.merge(&rows);
            weights.square_value.add_all(values, |value| value);
        }
    }

    /// Adds so many rows of weight 1, of which `ones` have the figure 1 and the others 0.
    pub(crate) fn update_outcomes(&mut self, rows: u64, ones: u64) {
        let (rows_sum, ones_sum) = (ExactSum::of_count(rows), ExactSum::of_count(ones));
        self.count += rows;
        self.sum.merge(&ones_sum);
        self.sum_squares.merge(&ones_sum);
        if let Some(weights) = &mut self.weights {
            weights.weight.merge(&rows_sum);
            weights.square.merge(&rows_sum);
            weights.square_value.merge(&ones_sum);
        }
    }

    /// Adds one row's figure with a weight, finite and not negative.
    pub fn update_weighted(&mut self, value: f64, weight: f64) {
        if weight == 1.0 {
            return self.update(value);
        }
        let mut weights = self.weights();
        self.count += 1;
        // A weight of 0 silences even an infinite figure.
        if weight > 0.0 {
            weights.weight.add(weight);
            weights.square.add(weight * weight);
            weights.square_value.add(weight * weight * value);
            self.sum.add(weight * value);
            self.sum_squares.add(weight * weight * value * value);
        }
        self.weights = Some(weights);
    }

    /// Adds the rows of another state.
    pub fn merge(&mut self, other: &Self) {
        if self.weights.is_some() || other.weights.is_some() {
            let (mut mine, theirs) = (self.weights(), other.weights());
            mine.weight.merge(&theirs.weight);
            mine.square.merge(&theirs.square);
            mine.square_value.merge(&theirs.square_value);
            self.weights = Some(mine);
        }
        self.count += other.count;
        self.sum.merge(&other.sum);
        self.sum_squares.merge(&other.sum_squares);
    }

    /// The weight sums, which for rows of weight 1 follow from the others.
    fn weights(&self) -> WeightSums {
        self.weights.unwrap_or_else(|| {
            let count = ExactSum::of_count(self.count);
            WeightSums { weight: count, square: count, square_value: self.sum }
        })
    }

    /// Number of rows.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The total weight; the number of rows where none was given.
    pub fn weight(&self) -> f64 {
        self.weights.map_or(self.count as f64, |weights| weights.weight.value())
    }

    /// (Σ w)² / Σ w²: the number of rows of equal weight that would say as much.
    pub fn effective_count(&self) -> f64 {
        self.weights.map_or(self.count as f64, |w| {
            let weight = w.weight.value();
            weight * weight / w.square.value()
        })
    }

    /// The mean; NaN without rows, infinite if a row's figure was.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { f64::NAN } else { self.sum.value() / self.weight() }
    }

    /// Variance of the mean; `None` for fewer than two rows or infinite figures.
    pub fn variance_of_mean(&self) -> Option<f64> {
        let (mean, n) = (self.mean(), self.effective_count());
        let squares = match self.weights {
            None => self.sum_squares.value() - self.count as f64 * mean * mean,
            Some(w) => {
                self.sum_squares.value() - 2.0 * mean * w.square_value.value()
                    + mean * mean * w.square.value()
            }
        };
        let weight = self.weight();
        let variance = squares.max(0.0) / (weight * weight) * n / (n - 1.0);
        (n > 1.0 && variance.is_finite()).then_some(variance)
    }

    /// The 95 % t interval of the mean.
    pub fn interval(&self) -> Option<[f64; 2]> {
        if self.weights.is_none() {
            let mean_square = self.sum_squares.value() / self.count as f64;
            return mean_interval(self.mean(), mean_square, self.count, 0.95);
        }
        let half = crate::statistics::student_t_quantile(0.975, self.effective_count() - 1.0)
            * self.variance_of_mean()?.sqrt();
        Some([self.mean() - half, self.mean() + half])
    }

    /// The mean with its t interval.
    pub fn compute(&self) -> Estimate {
        Estimate::plain(self.mean()).with_ci(self.interval(), "t interval of the mean")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_weights_give_the_mean_of_copies_and_any_order_the_same_bits() {
        let rows = [(0.3, 2.0), (1.7, 1.0), (0.9, 3.0), (4.0, 0.0)];
        let (mut weighted, mut copies, mut merged) =
            (Moments::default(), Moments::default(), Moments::default());
        for (value, weight) in rows {
            weighted.update_weighted(value, weight);
            (0..weight as u32).for_each(|_| copies.update(value));
        }
        for (value, weight) in rows.into_iter().rev() {
            let mut one = Moments::default();
            one.update_weighted(value, weight);
            merged.merge(&one);
        }
        assert!((weighted.mean() - copies.mean()).abs() < 1e-15);
        assert_eq!((weighted.weight(), weighted.count()), (6.0, 4));
        assert_eq!(weighted, merged);
        // (2 + 1 + 3)² / (4 + 1 + 9) by hand.
        assert!((weighted.effective_count() - 36.0 / 14.0).abs() < 1e-15);
    }

    #[test]
    fn an_infinite_figure_of_no_weight_does_not_count() {
        let mut moments = Moments::default();
        moments.update_weighted(f64::INFINITY, 0.0);
        moments.update(2.0);
        assert_eq!(moments.mean(), 2.0);
    }
}
