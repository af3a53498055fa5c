//! A step function, and where binning maps put its edges.

use serde::{Deserialize, Serialize};

use super::rows::sigmoid;
use crate::error::{Result, check_len, check_range};
use crate::kernels::math;
use crate::parameters::Parameter;

/// A step function on probabilities: bins `(edge, next edge]`, one value for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Steps {
    /// The inner edges, increasing; one fewer than values.
    pub edges: Vec<f64>,
    /// The value of each bin.
    pub values: Vec<f64>,
}

/// How many bins.
pub(super) const N_BINS: Parameter = Parameter::whole("n_bins", 15.0, 1.0, 100_000.0, "number of bins");

impl Steps {
    /// `ln v` and `ln (1 - v)` at these log-odds.
    pub(super) fn log_pair(&self, log_odds: f64) -> (f64, f64) {
        let value = self.values.get(bin_of(&self.edges, sigmoid(log_odds))).copied().unwrap_or(0.5);
        (math::ln(value), math::ln(1.0 - value))
    }

    pub(super) fn check(&self) -> Result<()> {
        check_len("the values of a step function", self.edges.len() + 1, self.values.len())?;
        self.edges
            .iter()
            .chain(&self.values)
            .try_for_each(|v| check_range("a bin of the map", *v, 0.0, 1.0))?;
        let unordered = self.edges.windows(2).find(|pair| pair[0] >= pair[1]);
        unordered.map_or(Ok(()), |pair| check_range("an edge of the map", pair[1], pair[0].next_up(), 1.0))
    }

    /// Keeps the values within `[floor, 1 - floor]`.
    pub(super) fn clip(mut self, floor: f64) -> Self {
        self.values.iter_mut().for_each(|value| *value = value.clamp(floor, 1.0 - floor));
        self
    }
}

/// The bin `(edge, next edge]` of a value.
pub(super) fn bin_of(edges: &[f64], value: f64) -> usize {
    edges.partition_point(|edge| *edge < value)
}

/// Inner edges of equal width on [0, 1].
pub(super) fn equal_width(n_bins: usize) -> Vec<f64> {
    (1..n_bins).map(|k| k as f64 / n_bins as f64).collect()
}

/// Inner edges between equally many of the sorted values, halfway between neighbours; equal values stay in
/// one bin, so there may be fewer bins.
pub(super) fn equal_mass(sorted: &[f64], n_bins: usize) -> Vec<f64> {
    let n = sorted.len();
    let mut edges: Vec<f64> = Vec::with_capacity(n_bins.min(n));
    for k in 1..n_bins {
        // The first n % n_bins bins hold one value more.
        let mut cut = k * (n / n_bins) + k.min(n % n_bins);
        while cut > 0 && cut < n && sorted[cut] == sorted[cut - 1] {
            cut += 1;
        }
        if cut > 0 && cut < n {
            let (below, above) = (sorted[cut - 1], sorted[cut]);
            // Between neighbouring numbers the middle may round to the upper one.
            let middle = below + 0.5 * (above - below);
            let edge = if middle < above { middle } else { below };
            if edges.last().is_none_or(|last| edge > *last) {
                edges.push(edge);
            }
        }
    }
    edges
}

/// The order of the values, smallest first.
pub(super) fn ascending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_right_closed_and_ties_stay_together() {
        assert_eq!(equal_width(4), [0.25, 0.5, 0.75]);
        let bins: Vec<usize> = [0.0, 0.25, 0.26, 1.0].iter().map(|v| bin_of(&equal_width(4), *v)).collect();
        assert_eq!(bins, [0, 0, 1, 3]);
        assert_eq!(equal_mass(&[0.1, 0.3, 0.5, 0.9], 2), [0.4]);
        assert_eq!(equal_mass(&[0.1, 0.5, 0.5, 0.5], 2), [] as [f64; 0]);
        assert_eq!(equal_mass(&[0.5, 0.5, 0.9], 3), [0.7]);
        let close = [0.5, 0.5_f64.next_up()];
        assert_eq!(equal_mass(&close, 2), [0.5]);
    }
}
