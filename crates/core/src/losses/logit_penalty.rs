//! Logit penalty: a squared norm of the logits beside cross-entropy (Dauphin & Cubuk, ICLR 2021).

use super::row::{Row, Work};
use super::{Accepts, Entry, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Box::new(LogitPenalty::new(p.number("strength"))?)) };

const STRENGTH: Parameter = Parameter::number("strength", 2e-3, 0.0, 1e3, "the strength β");

const INFO: LossInfo = LossInfo {
    name: "logit_penalty",
    summary: "cross-entropy with a squared penalty on the logits themselves; keeps them small whatever the label",
    formula: "H(q, p) + β/2·Σ z_k²",
    parameters: &[STRENGTH],
    plain: &[("strength", 0.0)],
    paper: "Dauphin & Cubuk 2021 (ICLR)",
    accepts: Accepts::Targets,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Logit penalty, in nats: `H(q, p) + β/2·‖z‖²`.
///
/// The simplest brake on confidence. It also fixes the free constant of the logits, so unlike the other
/// losses it changes when a constant is added to all of them. Masked classes are left out of the norm.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// [`Error::NonFiniteLoss`](crate::Error::NonFiniteLoss) for logits beyond 1e154; see also
/// [`Loss::value_grad_f32`](super::Loss::value_grad_f32).
///
/// # Examples
/// ```
/// use candor::losses::{Batch, LogitPenalty, Loss};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 4)?);
/// let batch = Batch::new(Buffers::Forward(&[2.0, -1.0, 0.5, 0.1]), &targets);
/// let value = LogitPenalty::new(2e-3)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 0.3576659381).abs() < 1e-9);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Dauphin & Cubuk, *Deconstructing the Regularization of BatchNorm*, ICLR 2021.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogitPenalty {
    strength: f64,
}

impl LogitPenalty {
    /// A strength β in `[0, 1000]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(strength: f64) -> Result<Self> {
        STRENGTH.check(strength)?;
        Ok(Self { strength })
    }
}

impl RowLoss for LogitPenalty {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let loss = row.cross_entropy(gradient);
        let mut squares = 0.0;
        for (g, z) in gradient.iter_mut().zip(row.logits()) {
            *g += self.strength * z;
            squares += z * z;
        }
        Ok(loss + 0.5 * self.strength * squares)
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, on_row};
    use super::*;

    #[test]
    fn by_hand() {
        let z = [3.0, 3.0];
        let loss = LogitPenalty::new(0.5).unwrap();
        assert_close(on_row(&loss, &z, 0).unwrap(), std::f64::consts::LN_2 + 4.5, &[1.0, 2.0]);
    }

    #[test]
    fn an_overflow_is_an_error() {
        let error = on_row(&LogitPenalty::new(1.0).unwrap(), &[1e200, 0.0], 0).unwrap_err();
        assert!(
            matches!(error, crate::Error::NonFiniteLoss { loss: "logit_penalty", row: 0, .. }),
            "{error}"
        );
        assert!(LogitPenalty::new(-1.0).is_err());
    }
}
