//! The factor of a symmetric positive definite matrix, and systems solved with it.

use crate::error::{Error, Result};

/// The lower triangle `L` of `A = L Lᵀ`, row after row.
#[derive(Debug, Clone)]
pub(super) struct Cholesky {
    factor: Vec<f64>,
    n: usize,
}

impl Cholesky {
    /// Factors a matrix `[n, n]` of which only the lower triangle is read.
    ///
    /// # Errors
    /// [`Error::Singular`] naming `what` if it is not positive definite.
    pub(super) fn new(mut matrix: Vec<f64>, n: usize, what: &'static str) -> Result<Self> {
        for i in 0..n {
            let (above, rest) = matrix.split_at_mut(i * n);
            let row = &mut rest[..n];
            for j in 0..i {
                let other = &above[j * n..j * n + j + 1];
                let sum = dot(&row[..j], &other[..j]);
                row[j] = (row[j] - sum) / other[j];
            }
            let pivot = row[i] - dot(&row[..i], &row[..i]);
            // NaN is no pivot either.
            if pivot.is_nan() || pivot <= 0.0 {
                return Err(Error::Singular { what });
            }
            row[i] = pivot.sqrt();
        }
        Ok(Self { factor: matrix, n })
    }

    /// The solution x of `A x = b`, in place.
    pub(super) fn solve(&self, b: &mut [f64]) {
        let n = self.n;
        for i in 0..n {
            let row = &self.factor[i * n..i * n + i + 1];
            b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
        }
        for i in (0..n).rev() {
            b[i] /= self.factor[i * n + i];
            let solved = b[i];
            let row = &self.factor[i * n..i * n + i];
            b[..i].iter_mut().zip(row).for_each(|(value, l)| *value -= l * solved);
        }
    }
}

/// The inner product, in the order of the elements.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_worked_by_hand() {
        // [[4, 2], [2, 3]] x = [2, 5] has the solution [-0.5, 2].
        let mut b = [2.0, 5.0];
        Cholesky::new(vec![4.0, f64::NAN, 2.0, 3.0], 2, "m").unwrap().solve(&mut b);
        assert!((b[0] + 0.5).abs() < 1e-15 && (b[1] - 2.0).abs() < 1e-15, "{b:?}");
    }

    #[test]
    fn what_is_not_positive_definite_is_refused() {
        for bad in [vec![1.0, 2.0, 2.0, 1.0], vec![0.0; 4], vec![f64::NAN; 4]] {
            assert!(matches!(Cholesky::new(bad, 2, "m"), Err(Error::Singular { .. })));
        }
    }
}
