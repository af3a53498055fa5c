//! Label relaxation: no loss inside a set of distributions around the label
//! (Lienen & Hüllermeier, AAAI 2021).

use super::row::{Row, Work};
use super::softmax::ln_1p;
use super::{Accepts, Entry, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::kernels::math::ln;
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Box::new(LabelRelaxation::new(p.number("smoothing"))?)) };

const SMOOTHING: Parameter =
    Parameter::number("smoothing", 0.1, 0.0, 1.0, "the mass α that may lie off the label");

const INFO: LossInfo = LossInfo {
    name: "label_relaxation",
    summary: "divergence from the nearest distribution that gives the label at least 1-α; unlike label smoothing it does not ask for α",
    formula: "0 if p_y >= 1-α, else (1-α)·ln((1-α)/p_y) + α·ln(α/(1-p_y))",
    parameters: &[SMOOTHING],
    plain: &[("smoothing", 0.0)],
    paper: "Lienen & Hüllermeier, AAAI 2021",
    accepts: Accepts::Labels,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Label relaxation, in nats: the divergence `KL(q*, p)` from the nearest of the distributions that give
/// the label at least `1-α`, which spreads the rest as the prediction does.
///
/// For noisy or too certain labels: a prediction of `p_y >= 1-α` costs nothing and gets no gradient, where
/// label smoothing would push `p_y` back to its target. At least 0; α = 0 is cross-entropy, α = 1 no loss.
/// `ln(1-p_y)` is a sum over the other classes in log space, so it does not cancel as `p_y` nears 1.
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
/// use candor::losses::{Batch, LabelRelaxation, Loss};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 4)?);
/// let batch = Batch::new(Buffers::Forward(&[2.0, -1.0, 0.5, 0.1]), &targets);
/// let value = LabelRelaxation::new(0.1)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 0.1134828976).abs() < 1e-9);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Lienen & Hüllermeier, *From Label Smoothing to Label Relaxation*, AAAI 2021.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelRelaxation {
    smoothing: f64,
}

impl LabelRelaxation {
    /// A relaxation by α in `[0, 1]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(smoothing: f64) -> Result<Self> {
        SMOOTHING.check(smoothing)?;
        Ok(Self { smoothing })
    }
}

impl RowLoss for LabelRelaxation {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let label = row.label()?;
        let (other, log_other) = row.other(label);
        let alpha = self.smoothing;
        if other <= alpha {
            return Ok(0.0);
        }
        row.add_residual(label, 1.0 - alpha / other, gradient);
        let rest = if alpha == 0.0 { 0.0 } else { alpha * (ln(alpha) - log_other) };
        Ok((1.0 - alpha) * (ln_1p(-alpha) - row.log_probs()[label]) + rest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, assert_labels_only, on_row};
    use super::*;

    #[test]
    fn by_hand_outside_and_inside_the_set() {
        let z = [3.0_f64.ln(), 0.0]; // p = (3/4, 1/4)
        let outside = 0.9 * (0.9_f64 / 0.75).ln() + 0.1 * (0.1_f64 / 0.25).ln();
        let kappa = (0.9 - 0.75) / 0.25;
        let loss = LabelRelaxation::new(0.1).unwrap();
        assert_close(on_row(&loss, &z, 0).unwrap(), outside, &[-0.25 * kappa, 0.25 * kappa]);
        assert_close(on_row(&LabelRelaxation::new(0.3).unwrap(), &z, 0).unwrap(), 0.0, &[0.0, 0.0]);
    }

    #[test]
    fn near_certainty_does_not_cancel() {
        // p_y = 1 - 1e-17 rounds to 1, but the relaxation is still outside for α = 1e-18.
        let loss = LabelRelaxation::new(1e-18).unwrap();
        let (value, gradient) = on_row(&loss, &[17.0 * 10.0_f64.ln(), 0.0], 0).unwrap();
        let want = 1e-17 - 1e-18 + 1e-18 * 0.1_f64.ln();
        assert!((value / want - 1.0).abs() < 1e-6, "{value} {want}");
        assert!((gradient[0] / -0.9e-17 - 1.0).abs() < 1e-6, "{gradient:?}");
    }

    #[test]
    fn labels_only_and_the_range() {
        assert_labels_only(&LabelRelaxation::new(0.1).unwrap());
        assert!(LabelRelaxation::new(1.1).is_err() && LabelRelaxation::new(f64::NAN).is_err());
    }
}
