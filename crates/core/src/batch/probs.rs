//! Probabilities: a type of its own, never guessed from the values of an array.

use super::{Scalar, rows};
use crate::error::{Error, Result};

/// Largest accepted |sum - 1| of a row of probabilities.
///
/// Softmax rows computed in f32 stay within 1e-6 and rounded text within 1e-4 for a few classes.
pub const PROBABILITY_TOLERANCE: f64 = 1e-4;

/// Probabilities `[n, n_classes]`: each in [0, 1], each row summing to 1.
///
/// # Examples
/// ```
/// use candor::Probs;
/// assert!(Probs::new(&[0.9_f32, 0.1], 2).is_ok());
/// assert!(Probs::new(&[2.0_f32, -1.0], 2).is_err());
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Probs<'a, T> {
    data: &'a [T],
    n_rows: usize,
    n_classes: usize,
}

impl<'a, T: Scalar> Probs<'a, T> {
    /// Views `data` as rows of `n_classes` probabilities.
    ///
    /// # Errors
    /// [`Error::ProbabilityValue`] or [`Error::ProbabilitySum`] for the first bad row,
    /// [`Error::RaggedRows`] if the length is no multiple of `n_classes`.
    pub fn new(data: &'a [T], n_classes: usize) -> Result<Self> {
        let n_rows = rows("probs", data.len(), n_classes)?;
        for (row, values) in data.chunks_exact(n_classes).enumerate() {
            check_row(row, values)?;
        }
        Ok(Self { data, n_rows, n_classes })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// All values, row after row.
    pub fn data(&self) -> &'a [T] {
        self.data
    }
}

/// Checks one row of probabilities.
pub(crate) fn check_row<T: Scalar>(row: usize, values: &[T]) -> Result<()> {
    let mut sum = 0.0;
    for (class, &value) in values.iter().enumerate() {
        let value = value.to_f64();
        if !(0.0..=1.0).contains(&value) {
            return Err(Error::ProbabilityValue { row, class, value });
        }
        sum += value;
    }
    if (sum - 1.0).abs() > PROBABILITY_TOLERANCE {
        return Err(Error::ProbabilitySum { row, sum, tolerance: PROBABILITY_TOLERANCE });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_are_not_mistaken_for_probabilities() {
        assert!(matches!(Probs::new(&[0.2_f64, 0.3], 2), Err(Error::ProbabilitySum { row: 0, .. })));
        assert!(matches!(
            Probs::new(&[1.0_f64, 0.0, f64::NAN, 1.0], 2),
            Err(Error::ProbabilityValue { row: 1, class: 0, .. })
        ));
    }
}
