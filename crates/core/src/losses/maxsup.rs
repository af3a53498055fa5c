//! Max suppression: label smoothing's linear term on the largest logit instead of the label's
//! (Zhou et al., NeurIPS 2025, arXiv:2502.15798).

use super::row::{Row, Work};
use super::{Accepts, Entry, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Box::new(MaxSup::new(p.number("strength"))?)) };

const STRENGTH: Parameter = Parameter::number("strength", 0.1, 0.0, 1e3, "the strength α");

const INFO: LossInfo = LossInfo {
    name: "maxsup",
    summary: "label smoothing that lowers the largest logit rather than the label's; does not reinforce wrong predictions",
    formula: "H(q, p) + α·(z_max - mean z)",
    parameters: &[STRENGTH],
    plain: &[("strength", 0.0)],
    paper: "Zhou et al. 2025, arXiv:2502.15798",
    accepts: Accepts::Targets,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Max suppression, in nats: `H(q, p) + α·(z_max - z̄)`.
///
/// Label smoothing of strength α is `CE + α·(z_y - z̄)`: on a wrong prediction it lowers the label's logit
/// and so widens the error. Here the largest logit is lowered, whichever it is; where that is the label,
/// the two are the same. The authors raise α linearly from 0.1 to 0.2 over the training: that is a
/// schedule of the strength, not part of the loss.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// See [`Loss::value_grad_f32`](super::Loss::value_grad_f32).
///
/// # Examples
/// ```
/// use candor::losses::{Batch, Loss, MaxSup};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[2], 4)?);
/// let batch = Batch::new(Buffers::Forward(&[2.0, -1.0, 0.5, 0.1]), &targets);
/// let value = MaxSup::new(0.1)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 2.0124059381).abs() < 1e-9);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Zhou et al., *MaxSup: Overcoming Representation Collapse in Label Smoothing*, NeurIPS 2025,
/// arXiv:2502.15798.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaxSup {
    strength: f64,
}

impl MaxSup {
    /// A strength α in `[0, 1000]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(strength: f64) -> Result<Self> {
        STRENGTH.check(strength)?;
        Ok(Self { strength })
    }
}

impl RowLoss for MaxSup {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let loss = row.cross_entropy(gradient);
        let share = 1.0 / row.len() as f64;
        let max = row.logits()[row.predicted()];
        gradient.iter_mut().for_each(|g| *g -= self.strength * share);
        gradient[row.predicted()] += self.strength;
        // The mean distance, so that the size of the logits cancels before it is summed.
        let distance: f64 = row.logits().iter().map(|z| (max - z) * share).sum();
        Ok(loss + self.strength * distance)
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, on_row};
    use super::*;

    #[test]
    fn by_hand() {
        let z = [2.0, 0.0, 1.0];
        let plain = on_row(&super::super::CrossEntropy, &z, 1).unwrap();
        let want: Vec<f64> = plain.1.iter().zip([0.2, -0.1, -0.1]).map(|(g, penalty)| g + penalty).collect();
        assert_close(on_row(&MaxSup::new(0.3).unwrap(), &z, 1).unwrap(), plain.0 + 0.3, &want);
    }

    #[test]
    fn bad_strengths_are_refused() {
        assert!(MaxSup::new(-0.1).is_err() && MaxSup::new(f64::NAN).is_err());
    }
}
