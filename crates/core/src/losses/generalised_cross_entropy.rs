//! Generalised cross-entropy: between cross-entropy and the mean absolute error
//! (Zhang & Sabuncu, NeurIPS 2018, arXiv:1805.07836).

use super::row::{Row, Work};
use super::{Accepts, Entry, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Box::new(GeneralisedCrossEntropy::new(p.number("q"))?)) };

const Q: Parameter = Parameter::number("q", 0.7, 0.0, 1.0, "the exponent q");

const INFO: LossInfo = LossInfo {
    name: "generalised_cross_entropy",
    summary: "between cross-entropy (q = 0) and the absolute error (q = 1); bounded, so wrong labels pull less",
    formula: "(1 - p_y^q)/q",
    parameters: &[Q],
    plain: &[("q", 0.0)],
    paper: "Zhang & Sabuncu 2018, arXiv:1805.07836",
    accepts: Accepts::Labels,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Generalised cross-entropy: `(1 - p_y^q)/q`, in `[0, 1/q]`.
///
/// For noisy labels: a row whose label the model finds impossible has a gradient of almost 0. `q = 0` is
/// cross-entropy, its limit; `q = 1` is half the absolute error. The truncated variant of the paper is not
/// part of it.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// [`Error::TargetKind`](crate::Error::TargetKind) for smoothed or soft targets; see also
/// [`Loss::value_grad_f32`](super::Loss::value_grad_f32).
///
/// # Examples
/// ```
/// use candor::losses::{Batch, GeneralisedCrossEntropy, Loss};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 4)?);
/// let batch = Batch::new(Buffers::Forward(&[2.0, -1.0, 0.5, 0.1]), &targets);
/// let value = GeneralisedCrossEntropy::new(0.7)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 0.3123036420).abs() < 1e-9);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Zhang & Sabuncu, *Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels*,
/// NeurIPS 2018, arXiv:1805.07836.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeneralisedCrossEntropy {
    q: f64,
}

impl GeneralisedCrossEntropy {
    /// An exponent `q` in `[0, 1]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(q: f64) -> Result<Self> {
        Q.check(q)?;
        Ok(Self { q })
    }
}

impl RowLoss for GeneralisedCrossEntropy {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let label = row.label()?;
        let exponent = self.q * row.log_probs()[label];
        // expm1 keeps the digits where q or ln p is small.
        row.add_residual(label, exponent.exp(), gradient);
        Ok(if self.q == 0.0 { -row.log_probs()[label] } else { -exponent.exp_m1() / self.q })
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, assert_labels_only, on_row};
    use super::*;

    #[test]
    fn by_hand() {
        let z = [3.0_f64.ln(), 0.0]; // p = (3/4, 1/4)
        let loss = |q| GeneralisedCrossEntropy::new(q).unwrap();
        assert_close(on_row(&loss(1.0), &z, 0).unwrap(), 0.25, &[-0.1875, 0.1875]);
        assert_close(on_row(&loss(0.5), &z, 1).unwrap(), 1.0, &[0.375, -0.375]);
    }

    #[test]
    fn a_tiny_exponent_is_cross_entropy() {
        let z = [0.3, -0.2, 1.0];
        let plain = on_row(&super::super::CrossEntropy, &z, 1).unwrap();
        assert_close(
            on_row(&GeneralisedCrossEntropy::new(1e-14).unwrap(), &z, 1).unwrap(),
            plain.0,
            &plain.1,
        );
    }

    #[test]
    fn labels_only_and_the_range() {
        assert_labels_only(&GeneralisedCrossEntropy::new(0.7).unwrap());
        assert!(
            GeneralisedCrossEntropy::new(1.1).is_err() && GeneralisedCrossEntropy::new(f64::NAN).is_err()
        );
    }
}
