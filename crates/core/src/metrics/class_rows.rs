//! Whole probability rows: the O(n K) state of the figures that cut or sort each class by itself.

use super::RankedRow;

/// Probabilities of all rows with what came true.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ClassRows {
    n_classes: usize,
    probs: Vec<f64>,
    /// Whether each class was the label of its row, or each label held.
    truth: Vec<bool>,
    weights: Vec<f64>,
}

impl ClassRows {
    pub(crate) fn new(n_classes: usize) -> Self {
        Self { n_classes, ..Self::default() }
    }

    /// Adds a row of `n_classes` probabilities.
    pub(crate) fn update(&mut self, probs: &[f64], truth: impl Fn(usize) -> bool, weight: f64) {
        if weight > 0.0 {
            self.probs.extend_from_slice(probs);
            self.truth.extend((0..self.n_classes).map(truth));
            self.weights.push(weight);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.probs.extend_from_slice(&other.probs);
        self.truth.extend_from_slice(&other.truth);
        self.weights.extend_from_slice(&other.weights);
    }

    pub(crate) fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// One class's rows by ascending probability.
    pub(crate) fn column(&self, class: usize) -> Vec<RankedRow> {
        let mut state = super::RankedRows::default();
        let k = self.n_classes;
        for (row, weight) in self.weights.iter().enumerate() {
            state.update_weighted(self.probs[row * k + class], self.truth[row * k + class], *weight);
        }
        state.ascending()
    }
}
