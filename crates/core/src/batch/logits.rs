//! Unnormalised scores, and the buffers that a loss reads them from and writes its gradient to.

use super::{Storage, rows};
use crate::error::{Error, Result};

/// Unnormalised scores `[n, n_classes]`: any real number, or -inf for a class that is not allowed.
///
/// Values are not looked at here: the sweep that reads them finds NaN, +inf and rows
/// without an allowed class, at no extra pass.
///
/// # Examples
/// ```
/// let logits = candor::Logits::new(&[2.0_f32, -1.0, 0.5, 0.1], 4)?;
/// assert_eq!((logits.n_rows(), logits.n_classes()), (1, 4));
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Logits<'a, T> {
    data: &'a [T],
    n_rows: usize,
    n_classes: usize,
}

impl<'a, T: Storage> Logits<'a, T> {
    /// Views `data` as rows of `n_classes` scores.
    ///
    /// # Errors
    /// [`Error::RaggedRows`] if the length is no multiple of `n_classes`, [`Error::Shape`] for no class.
    pub fn new(data: &'a [T], n_classes: usize) -> Result<Self> {
        Ok(Self { data, n_rows: rows("logits", data.len(), n_classes)?, n_classes })
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

    /// One row.
    ///
    /// # Panics
    /// If `row` is not below [`n_rows`](Self::n_rows).
    pub fn row(&self, row: usize) -> &'a [T] {
        &self.data[row * self.n_classes..(row + 1) * self.n_classes]
    }
}

/// Where a loss reads its logits, and where the gradient goes.
///
/// All arrays are `[n, n_classes]`. In place is the fastest: one pointer, half the memory.
#[derive(Debug)]
#[non_exhaustive]
pub enum Buffers<'a, T> {
    /// The value only.
    Forward(&'a [T]),
    /// The gradient goes to an array of its own.
    Gradient {
        /// The logits.
        logits: &'a [T],
        /// Receives d loss / d logits.
        gradient: &'a mut [T],
    },
    /// The gradient replaces the logits.
    InPlace(&'a mut [T]),
}

impl<T: Storage> Buffers<'_, T> {
    /// The logits, before the sweep.
    pub fn logits(&self) -> &[T] {
        match self {
            Buffers::Forward(logits) | Buffers::Gradient { logits, .. } => logits,
            Buffers::InPlace(logits) => logits,
        }
    }

    /// Whether a gradient is asked for.
    pub fn wants_gradient(&self) -> bool {
        !matches!(self, Buffers::Forward(_))
    }

    /// Checks that the arrays hold `n_rows` rows of `n_classes`.
    pub(crate) fn check(&self, n_rows: usize, n_classes: usize) -> Result<()> {
        self.check_len(n_rows * n_classes)
    }

    /// Checks that the arrays hold `n_rows` rows of `n_classes` that begin `stride` values apart.
    pub(crate) fn check_strided(&self, n_rows: usize, n_classes: usize, stride: usize) -> Result<()> {
        if stride < n_classes {
            return Err(Error::Shape { what: "the row stride", expected: n_classes, got: stride });
        }
        // What follows the last row may be there or not.
        let whole = n_rows.saturating_mul(stride);
        let least = match n_rows.checked_sub(1) {
            Some(gaps) => gaps.saturating_mul(stride).saturating_add(n_classes),
            None => 0,
        };
        let got = self.logits().len();
        self.check_len(if got >= least && got <= whole { got } else { least })
    }

    fn check_len(&self, expected: usize) -> Result<()> {
        let got = self.logits().len();
        if got != expected {
            return Err(Error::Shape { what: "logits", expected, got });
        }
        match self {
            Buffers::Gradient { gradient, .. } if gradient.len() != expected => {
                Err(Error::Shape { what: "the gradient buffer", expected, got: gradient.len() })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_and_ragged_ones_refused() {
        assert_eq!(Logits::new(&[0.0_f32; 6], 3).unwrap().n_rows(), 2);
        assert_eq!(
            Logits::new(&[0.0_f32; 7], 3).unwrap_err(),
            Error::RaggedRows { what: "logits", len: 7, n_classes: 3 }
        );
        assert!(matches!(Logits::new(&[0.0_f32; 7], 0), Err(Error::Shape { .. })));
    }

    #[test]
    fn a_gradient_buffer_of_another_size_is_refused() {
        let mut gradient = [0.0_f32; 3];
        let buffers = Buffers::Gradient { logits: &[0.0; 4], gradient: &mut gradient };
        assert_eq!(
            buffers.check(2, 2).unwrap_err(),
            Error::Shape { what: "the gradient buffer", expected: 4, got: 3 }
        );
    }
}
