//! Inputs of a learner: rows of finite numbers, checked once.

use crate::error::{Error, Result, check_range};

/// Rows of features `[n, width]`, borrowed.
///
/// # Examples
/// ```
/// use candor::theory::stability::Points;
/// let points = Points::new(&[0.0, 1.0, 2.0, 3.0], 2)?;
/// assert_eq!((points.len(), points.row(1)), (2, &[2.0, 3.0][..]));
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Points<'a> {
    values: &'a [f64],
    width: usize,
}

impl<'a> Points<'a> {
    /// Rows of `width` values each.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a width of 0, [`Error::Shape`] if the values do not divide into rows,
    /// [`Error::Empty`] without a row, [`Error::Malformed`] for a value that is not finite.
    pub fn new(values: &'a [f64], width: usize) -> Result<Self> {
        check_range("the number of features", width as f64, 1.0, f64::MAX)?;
        if !values.len().is_multiple_of(width) {
            let expected = values.len().div_ceil(width) * width;
            return Err(Error::Shape { what: "the last row of features", expected, got: values.len() });
        }
        if values.is_empty() {
            return Err(Error::Empty { what: "a learner", rows: 0, ignored: 0 });
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(Error::Malformed {
                what: "row",
                index: at / width,
                problem: "has a feature that is not finite",
            });
        }
        Ok(Self { values, width })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there is no row, which [`new`](Self::new) refuses.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Number of features.
    pub fn width(&self) -> usize {
        self.width
    }

    /// One row.
    ///
    /// # Panics
    /// If `row` is not below [`len`](Self::len).
    pub fn row(&self, row: usize) -> &'a [f64] {
        &self.values[row * self.width..(row + 1) * self.width]
    }

    /// The rows in order.
    pub fn rows(&self) -> impl Iterator<Item = &'a [f64]> {
        self.values.chunks_exact(self.width)
    }

    /// The Euclidean norm of a row.
    pub(super) fn norm(&self, row: usize) -> f64 {
        super::cholesky::dot(self.row(row), self.row(row)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_table_of_numbers_is_refused() {
        assert!(matches!(Points::new(&[1.0, 2.0, 3.0], 2), Err(Error::Shape { expected: 4, got: 3, .. })));
        assert!(matches!(Points::new(&[], 2), Err(Error::Empty { .. })));
        assert!(matches!(Points::new(&[1.0], 0), Err(Error::OutOfRange { .. })));
        let error = Points::new(&[1.0, 2.0, 3.0, f64::NAN], 2).unwrap_err();
        assert_eq!(error.to_string(), "row 1 has a feature that is not finite");
    }
}
