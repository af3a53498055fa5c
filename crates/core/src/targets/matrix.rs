//! Smoothing towards a prior of the label's own: a confusion matrix, or any row-stochastic matrix.

use super::{Background, Entry, Make, Priors, SMOOTHING, TargetInfo, TargetRule, Targets};
use crate::batch::{Labels, check_row};
use crate::error::{Result, check_classes, check_len, check_range, check_range_hint};
use crate::parameters::Parameter;

/// Largest number of classes of a rule that keeps a row for each: its matrix takes 512 MiB.
pub const MAX_MATRIX_CLASSES: usize = 8192;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Data("a row-stochastic matrix over the classes (Matrix::new)") };

const INFO: TargetInfo = TargetInfo {
    name: "matrix",
    summary: "smoothing mass in proportion to a row of a K x K matrix, such as a confusion matrix",
    formula: "q = (1-α)·onehot(y) + α·M[y], M from counts: ∝ count + laplace",
    parameters: &[SMOOTHING, Parameter::number("laplace", 0.0, 0.0, 1e12, "count added to every cell")],
    paper: "Patrini et al. 2017, arXiv:1609.03683 (transition matrix)",
};

/// Mixes the one-hot label with the label's row of a matrix: `q = (1-α)·onehot(y) + α·M[y]`.
///
/// When it is known which classes are mistaken for which. With α = 1 the matrix alone is the target, as
/// for a noise transition matrix. At most [`MAX_MATRIX_CLASSES`] classes.
///
/// # Shapes
/// The matrix is `[n_classes, n_classes]`, row y for label y; each row sums to 1.
///
/// # Examples
/// ```
/// use candor::targets::{Matrix, TargetRule};
/// let confusion = [0.0, 1.0, 0.0, 0.5, 0.0, 0.5, 0.0, 1.0, 0.0];
/// let q = Matrix::new(0.1, &confusion, 3)?.distribution(1, 3)?;
/// assert!((q[0] - 0.05).abs() < 1e-15 && (q[1] - 0.9).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Matrix {
    smoothing: f64,
    n_classes: usize,
    rows: Priors<'static>,
}

impl Matrix {
    /// A rule of strength `smoothing` in `[0, 1]` towards the rows of `matrix`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a strength or a number of classes outside its range, [`Error::Shape`](crate::Error::Shape) for
    /// another size, [`Error::ProbabilityValue`](crate::Error::ProbabilityValue) or [`Error::ProbabilitySum`](crate::Error::ProbabilitySum) for a bad row.
    pub fn new(smoothing: f64, matrix: &[f64], n_classes: usize) -> Result<Self> {
        check_range("smoothing", smoothing, 0.0, 1.0)?;
        check_matrix_classes(n_classes)?;
        check_len("the matrix", n_classes * n_classes, matrix.len())?;
        for (label, row) in matrix.chunks_exact(n_classes).enumerate() {
            check_row(label, row)?;
        }
        Ok(Self { smoothing, n_classes, rows: matrix.to_vec().into() })
    }

    /// The same from counts, such as a confusion matrix: each row is `∝ count + laplace`.
    ///
    /// # Errors
    /// Those of [`new`](Self::new) and of [`Prior::from_counts`](super::Prior::from_counts).
    pub fn from_counts(smoothing: f64, counts: &[f64], n_classes: usize, laplace: f64) -> Result<Self> {
        check_matrix_classes(n_classes)?;
        check_len("the matrix", n_classes * n_classes, counts.len())?;
        let mut rows = Vec::with_capacity(counts.len());
        for row in counts.chunks_exact(n_classes) {
            rows.extend(super::prior::frequencies(row, laplace, 1.0)?);
        }
        Self::new(smoothing, &rows, n_classes)
    }

    /// The matrix, row after row.
    pub fn matrix(&self) -> &[f64] {
        self.rows.values()
    }
}

/// Checks that a matrix over the classes can be kept.
pub(super) fn check_matrix_classes(n_classes: usize) -> Result<()> {
    check_classes(n_classes)?;
    let hint = " (a matrix over the classes is kept)";
    check_range_hint("n_classes", n_classes as f64, 2.0, MAX_MATRIX_CLASSES as f64, hint)
}

impl TargetRule for Matrix {
    fn info(&self) -> &'static TargetInfo {
        &INFO
    }

    fn targets<'a>(&self, labels: Labels<'a>) -> Result<Targets<'a>> {
        labels.check_classes(self.n_classes)?;
        let background = Background::PriorOfLabel(self.rows.clone());
        Ok(Targets::labels(labels).smoothed(self.smoothing, background))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn rows_are_those_of_the_labels() {
        let rule = Matrix::new(1.0, &[0.9, 0.1, 0.3, 0.7], 2).unwrap();
        let targets = rule.targets(Labels::new(&[1, 0], 2).unwrap()).unwrap();
        assert_eq!(targets.dense_matrix(), vec![0.3, 0.7, 0.9, 0.1]);
    }

    #[test]
    fn counts_become_frequencies_by_row() {
        let rule = Matrix::from_counts(1.0, &[3.0, 1.0, 0.0, 2.0], 2, 0.0).unwrap();
        assert_eq!(rule.matrix(), [0.75, 0.25, 0.0, 1.0]);
        let empty = Matrix::from_counts(1.0, &[3.0, 1.0, 0.0, 0.0], 2, 0.0);
        assert!(matches!(empty, Err(Error::ZeroWeight { .. })));
    }

    #[test]
    fn each_bad_argument_has_its_error() {
        assert!(matches!(Matrix::new(0.1, &[1.0; 3], 2), Err(Error::Shape { expected: 4, got: 3, .. })));
        assert!(matches!(
            Matrix::new(0.1, &[1.0, 0.0, 0.5, 0.4], 2),
            Err(Error::ProbabilitySum { row: 1, .. })
        ));
        assert!(matches!(
            Matrix::new(0.1, &[], MAX_MATRIX_CLASSES + 1),
            Err(Error::OutOfRange { argument: "n_classes", .. })
        ));
        assert!(Matrix::new(-0.1, &[1.0, 0.0, 0.0, 1.0], 2).is_err());
    }
}
