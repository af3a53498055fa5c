//! Confidence and correctness of every row: the O(n) state of the figures that need the whole order.

use serde::{Deserialize, Serialize};

/// All rows' confidences with whether they were correct.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RankedRows {
    rows: Vec<(f64, bool)>,
}

impl RankedRows {
    /// Adds one row.
    pub fn update(&mut self, confidence: f64, correct: bool) {
        self.rows.push((confidence, correct));
    }

    /// Adds the rows of another state.
    pub fn merge(&mut self, other: &Self) {
        self.rows.extend_from_slice(&other.rows);
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows by ascending confidence; wrong before correct where confidences coincide.
    pub fn ascending(&self) -> Vec<(f64, bool)> {
        let mut rows = self.rows.clone();
        rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        rows
    }
}
