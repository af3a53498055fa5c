//! How labels are corrupted: the probability of each noisy label given the clean one.

use crate::batch::Probs;
use crate::error::{Error, Result};

/// A K x K matrix whose row `i` is the distribution of the observed label where the clean one is `i`.
///
/// # Examples
/// ```
/// use candor::losses::Transition;
/// let transition = Transition::new(vec![0.9, 0.1, 0.2, 0.8], 2)?;
/// assert_eq!(transition.probability(0, 1), 0.1);
/// assert!(Transition::new(vec![0.9, 0.2, 0.2, 0.8], 2).is_err());
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    rows: Vec<f64>,
    n_classes: usize,
}

impl Transition {
    /// Rows of observed labels, one for each clean label.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there are as many rows as classes,
    /// [`Error::ProbabilityValue`] or [`Error::ProbabilitySum`] for a row that is no distribution.
    pub fn new(rows: Vec<f64>, n_classes: usize) -> Result<Self> {
        let n_rows = Probs::new(&rows, n_classes)?.n_rows();
        if n_rows != n_classes {
            return Err(Error::Shape { what: "the transition's rows", expected: n_classes, got: n_rows });
        }
        Ok(Self { rows, n_classes })
    }

    /// The probability of observing `observed` where the clean label is `clean`.
    ///
    /// # Panics
    /// If a class is not below the number of classes.
    pub fn probability(&self, clean: usize, observed: usize) -> f64 {
        assert!(observed < self.n_classes, "class {observed} of {}", self.n_classes);
        self.rows[clean * self.n_classes + observed]
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Whether a batch has as many classes.
    pub(super) fn check(&self, n_classes: usize) -> Result<()> {
        if self.n_classes == n_classes {
            Ok(())
        } else {
            Err(Error::Shape { what: "the transition's rows", expected: n_classes, got: self.n_classes })
        }
    }

    /// The inverse, row after row, by elimination with the largest pivot of each column.
    ///
    /// # Errors
    /// [`Error::Singular`] where a pivot is below 1e-10: the loss would multiply noise by more than that.
    pub(super) fn inverse(&self) -> Result<Vec<f64>> {
        let n = self.n_classes;
        let mut left = self.rows.clone();
        let mut right = vec![0.0; n * n];
        (0..n).for_each(|i| right[i * n + i] = 1.0);
        for column in 0..n {
            let size = |row: &usize| left[row * n + column].abs();
            let pivot = (column..n).max_by(|a, b| size(a).total_cmp(&size(b))).unwrap_or(column);
            let value = left[pivot * n + column];
            if value.abs() < 1e-10 {
                return Err(Error::Singular { what: "the transition matrix" });
            }
            for matrix in [&mut left, &mut right] {
                (0..n).for_each(|k| matrix.swap(pivot * n + k, column * n + k));
                matrix[column * n..(column + 1) * n].iter_mut().for_each(|v| *v /= value);
            }
            for row in (0..n).filter(|&row| row != column) {
                let factor = left[row * n + column];
                for matrix in [&mut left, &mut right] {
                    (0..n).for_each(|k| matrix[row * n + k] -= factor * matrix[column * n + k]);
                }
            }
        }
        Ok(right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_undoes_the_matrix() {
        // The first pivot is 0, so rows must be exchanged.
        let rows = vec![0.0, 0.7, 0.3, 0.6, 0.1, 0.3, 0.2, 0.2, 0.6];
        let inverse = Transition::new(rows.clone(), 3).unwrap().inverse().unwrap();
        for i in 0..3 {
            for j in 0..3 {
                let product: f64 = (0..3).map(|k| rows[i * 3 + k] * inverse[k * 3 + j]).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12, "{i} {j} {product}");
            }
        }
    }

    #[test]
    fn bad_matrices_are_refused() {
        assert!(matches!(Transition::new(vec![0.5; 4], 2).unwrap().inverse(), Err(Error::Singular { .. })));
        assert!(matches!(Transition::new(vec![0.5, 0.5], 2), Err(Error::Shape { expected: 2, got: 1, .. })));
        assert!(matches!(Transition::new(vec![1.5, -0.5, 0.0, 1.0], 2), Err(Error::ProbabilityValue { .. })));
        assert!(matches!(Transition::new(vec![0.5, 0.4, 0.0, 1.0], 2), Err(Error::ProbabilitySum { .. })));
    }
}
