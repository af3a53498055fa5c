//! What a picture needs of a finished run, beyond the figures of a comparison.

use serde::{Deserialize, Serialize};

use crate::metrics::Evaluation;
use crate::report::Variant;

/// One training, with its evaluations on the test rows and its history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunDetail {
    /// What was trained.
    pub variant: Variant,
    /// The run's seed.
    pub seed: u64,
    /// Figures and reliability table on the test rows.
    pub test: Evaluation,
    /// The same with the temperature.
    #[serde(default)]
    pub test_after_temperature: Option<Evaluation>,
    /// The temperature, fitted on the validation rows.
    #[serde(default)]
    pub temperature: Option<f64>,
    /// The epochs in order.
    #[serde(default)]
    pub epochs: Vec<EpochPoint>,
    /// Confidences of the test rows; without it, the counts of the reliability table are shown.
    #[serde(default)]
    pub confidence: Option<Histogram>,
    /// The same with the temperature.
    #[serde(default)]
    pub confidence_after_temperature: Option<Histogram>,
    /// Margins of the test rows: largest minus second largest logit.
    #[serde(default)]
    pub margins: Option<Histogram>,
}

/// One epoch of a training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochPoint {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Mean loss that was optimised, in nats.
    pub train_loss: f64,
    /// Mean un-smoothed negative log-likelihood, in nats.
    pub train_nll: f64,
    /// Share of training rows classified correctly.
    #[serde(default)]
    pub train_accuracy: Option<f64>,
    /// NLL of the validation rows.
    #[serde(default)]
    pub validation_nll: Option<f64>,
    /// Share of validation rows classified correctly.
    #[serde(default)]
    pub validation_accuracy: Option<f64>,
    /// ECE of the validation rows.
    #[serde(default)]
    pub validation_ece: Option<f64>,
}

/// Counts of values in bins of equal width; what lies outside counts in the outermost bins.
///
/// # Examples
/// ```
/// use candor::report::page::Histogram;
/// let mut histogram = Histogram::new(0.0, 4.0, 4);
/// [0.5, 3.9, 7.0, f64::NAN].into_iter().for_each(|value| histogram.add(value));
/// assert_eq!(histogram.counts, [1, 0, 0, 2]);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Lower edge of the first bin.
    pub low: f64,
    /// Upper edge of the last bin.
    pub high: f64,
    /// Rows in each bin.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// An empty histogram; at least one bin.
    pub fn new(low: f64, high: f64, n_bins: usize) -> Self {
        Self { low, high, counts: vec![0; n_bins.max(1)] }
    }

    /// Counts a value; NaN counts nowhere.
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        let n = self.counts.len();
        // A cast saturates: below the range is 0, above it the last bin.
        let place = ((value - self.low) / (self.high - self.low) * n as f64) as usize;
        if let Some(count) = self.counts.get_mut(place.min(n.saturating_sub(1))) {
            *count += 1;
        }
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Every bin with its edges and its share of all values.
    pub(super) fn shares(&self) -> impl Iterator<Item = ([f64; 2], f64)> + '_ {
        let width = (self.high - self.low) / self.counts.len() as f64;
        let total = self.count().max(1) as f64;
        self.counts.iter().enumerate().map(move |(i, &count)| {
            let left = self.low + width * i as f64;
            ([left, left + width], count as f64 / total)
        })
    }

    /// Adds the counts of another histogram over the same bins; `false` if the bins differ.
    pub fn merge(&mut self, other: &Self) -> bool {
        let same =
            self.low == other.low && self.high == other.high && self.counts.len() == other.counts.len();
        if same {
            self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
        }
        same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_sum_to_one_and_values_outside_are_kept() {
        let mut histogram = Histogram::new(-1.0, 1.0, 4);
        for value in [-9.0, -0.9, 0.1, 0.6, f64::INFINITY] {
            histogram.add(value);
        }
        assert_eq!(histogram.counts, [2, 0, 1, 2]);
        assert_eq!(histogram.shares().map(|(_, share)| share).sum::<f64>(), 1.0);
        assert_eq!(histogram.shares().last().unwrap().0, [0.5, 1.0]);
    }

    #[test]
    fn only_equal_bins_are_merged() {
        let mut a = Histogram { low: 0.0, high: 1.0, counts: vec![1, 2] };
        assert!(a.merge(&a.clone()));
        assert_eq!(a.counts, [2, 4]);
        assert!(!a.merge(&Histogram::new(0.0, 2.0, 2)));
    }
}
