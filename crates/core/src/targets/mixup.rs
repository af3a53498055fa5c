//! Targets of mixed inputs: `λ·onehot(y_i) + (1-λ)·onehot(y_j)`, with smoothing.

use super::sparse_rows::SparseRows;
use super::{Background, Entry, Make, TargetInfo, Targets};
use crate::batch::Labels;
use crate::error::{Error, Result, check_classes, check_len, check_range};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Data("a partner and a share for each row (Mixup::targets)") };

const INFO: TargetInfo = TargetInfo {
    name: "mixup",
    summary: "the labels of two mixed inputs in the proportion of the mixture",
    formula: "q = (1-α)·(λ·onehot(y_i) + (1-λ)·onehot(y_j)) + α/K",
    parameters: &[Parameter::number("smoothing", 0.0, 0.0, 1.0, "the strength α")],
    paper: "Zhang et al. 2018, arXiv:1710.09412",
};

/// The target of an input mixed from two: `λ` of the row's own label, `1-λ` of its partner's.
///
/// Mixing smooths labels by itself ([`mixup_smoothing`](crate::theory::mixup_smoothing)); a strength on
/// top smooths twice. A row of which either label is ignored is ignored.
///
/// # Shapes
/// `partners` (row indices) and `lambdas` are `[n]`.
///
/// # Examples
/// ```
/// use candor::{Labels, targets::Mixup};
/// let labels = Labels::new(&[0, 2], 3)?;
/// let targets = Mixup::new(0.0)?.targets(labels, &[1, 0], &[0.75, 1.0])?;
/// assert_eq!(targets.dense_matrix(), [0.75, 0.0, 0.25, 0.0, 0.0, 1.0]);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Zhang et al., *mixup: Beyond Empirical Risk Minimization*, ICLR 2018, arXiv:1710.09412.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mixup {
    smoothing: f64,
}

impl Mixup {
    /// A rule with uniform smoothing of strength `smoothing` in `[0, 1]` on top (0: none).
    ///
    /// # Errors
    /// [`Error::OutOfRange`] outside that range or for NaN.
    pub fn new(smoothing: f64) -> Result<Self> {
        check_range("smoothing", smoothing, 0.0, 1.0)?;
        Ok(Self { smoothing })
    }

    /// The targets where row i is `lambdas[i]` of itself and the rest of row `partners[i]`.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one partner and one λ a row, [`Error::OutOfRange`] for a λ outside
    /// [0, 1], [`Error::Malformed`] for a partner that is no row.
    pub fn targets(
        &self,
        labels: Labels<'_>,
        partners: &[usize],
        lambdas: &[f64],
    ) -> Result<Targets<'static>> {
        check_classes(labels.n_classes())?;
        check_len("partners", labels.len(), partners.len())?;
        check_len("lambdas", labels.len(), lambdas.len())?;
        let mut rows = SparseRows::with_capacity(labels.len());
        for (row, (&partner, &lambda)) in partners.iter().zip(lambdas).enumerate() {
            check_range("lambda", lambda, 0.0, 1.0)?;
            if partner >= labels.len() {
                let problem = "is not a row of the batch";
                return Err(Error::Malformed { what: "the partner of row", index: row, problem });
            }
            match (labels.get(row), labels.get(partner)) {
                (Some(own), Some(other)) => {
                    rows.add(own, lambda);
                    rows.add(other, 1.0 - lambda);
                    rows.end_row();
                }
                _ => rows.ignored_row(),
            }
        }
        Ok(rows.finish(labels.n_classes())?.smoothed(self.smoothing, Background::Uniform))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partners_of_the_same_class_give_a_hard_row_and_ignored_ones_spread() {
        let labels = Labels::with_ignore(&[1, 1, -1], 3, Some(-1)).unwrap();
        let targets = Mixup::new(0.3).unwrap().targets(labels, &[1, 2, 0], &[0.4, 0.9, 0.9]).unwrap();
        let q = targets.row(0).unwrap().dense(3);
        assert!((q[1] - 0.8).abs() < 1e-15 && (q[0] - 0.1).abs() < 1e-15);
        assert!(targets.row(1).is_none() && targets.row(2).is_none());
    }

    #[test]
    fn each_bad_argument_has_its_error() {
        let labels = Labels::new(&[0, 1], 2).unwrap();
        let rule = Mixup::new(0.0).unwrap();
        let of = |partners: &[usize], lambdas: &[f64]| rule.targets(labels, partners, lambdas).unwrap_err();
        assert!(matches!(of(&[0], &[0.5, 0.5]), Error::Shape { .. }));
        assert!(matches!(of(&[1, 0], &[0.5]), Error::Shape { .. }));
        assert!(matches!(of(&[1, 2], &[0.5, 0.5]), Error::Malformed { index: 1, .. }));
        assert!(matches!(of(&[1, 0], &[0.5, 1.5]), Error::OutOfRange { argument: "lambda", .. }));
        assert!(Mixup::new(-0.1).is_err());
    }
}
