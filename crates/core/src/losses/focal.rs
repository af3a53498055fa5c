//! Focal loss: cross-entropy weighted by how far the label's probability is from 1
//! (Lin et al., ICCV 2017, arXiv:1708.02002; for calibration Mukhoti et al., NeurIPS 2020,
//! arXiv:2002.09437).

use super::row::{Row, Work};
use super::{Accepts, Entry, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::kernels::math::exp;
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry = Entry { info: &INFO, make: |p| Ok(Box::new(Focal::new(p.number("gamma"))?)) };

const GAMMA: Parameter =
    Parameter::number("gamma", 3.0, 0.0, 100.0, "the exponent γ: 3 for calibration, 2 for detection");

const INFO: LossInfo = LossInfo {
    name: "focal",
    summary: "cross-entropy weighted by (1-p_y)^γ; less weight on what is already right, and better calibrated for it",
    formula: "-(1-p_y)^γ·ln p_y",
    parameters: &[GAMMA],
    plain: &[("gamma", 0.0)],
    paper: "Lin et al. 2017, arXiv:1708.02002; Mukhoti et al. 2020, arXiv:2002.09437",
    accepts: Accepts::Labels,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Focal loss, in nats: `-(1-p_y)^γ·ln p_y`.
///
/// Made for detection with many easy negatives; Mukhoti et al. found that it also calibrates, as an upper
/// bound of cross-entropy less `γ` times the entropy. `1-p_y` is summed over the other classes, so that
/// nothing cancels as `p_y` nears 1.
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
/// use candor::losses::{Batch, Focal, Loss};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 4)?);
/// let batch = Batch::new(Buffers::Forward(&[2.0, -1.0, 0.5, 0.1]), &targets);
/// let value = Focal::new(2.0)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 0.0310864866).abs() < 1e-9);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Lin et al., *Focal Loss for Dense Object Detection*, ICCV 2017, arXiv:1708.02002. Mukhoti et al.,
/// *Calibrating Deep Neural Networks using Focal Loss*, NeurIPS 2020, arXiv:2002.09437.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Focal {
    gamma: f64,
}

impl Focal {
    /// An exponent γ in `[0, 100]`; 0 is cross-entropy.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(gamma: f64) -> Result<Self> {
        GAMMA.check(gamma)?;
        Ok(Self { gamma })
    }
}

impl RowLoss for Focal {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        Ok(focal(row, row.label()?, self.gamma, gradient))
    }
}

/// The focal loss of a row; adds its gradient.
pub(super) fn focal(row: &Row<'_>, label: usize, gamma: f64, gradient: &mut [f64]) -> f64 {
    let (other, log_other) = row.other(label);
    let log_p = row.log_probs()[label];
    let weight = power(log_other, gamma);
    // p·ln p/(1-p) tends to -1.
    let slope = if other > 0.0 { row.probs()[label] * log_p / other } else { -1.0 };
    row.add_residual(label, weight * (1.0 - gamma * slope), gradient);
    -weight * log_p
}

/// `x^γ` from `ln x`; 1 for γ = 0 whatever `x` is.
pub(super) fn power(log_x: f64, gamma: f64) -> f64 {
    if gamma == 0.0 { 1.0 } else { exp(gamma * log_x) }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, assert_labels_only, on_row};
    use super::*;

    #[test]
    fn by_hand() {
        let z = [3.0_f64.ln(), 0.0]; // p = (3/4, 1/4)
        let log_p = 0.75_f64.ln();
        let factor = 0.0625 - 2.0 * 0.75 * 0.25 * log_p;
        let got = on_row(&Focal::new(2.0).unwrap(), &z, 0).unwrap();
        assert_close(got, -0.0625 * log_p, &[-0.25 * factor, 0.25 * factor]);
    }

    #[test]
    fn certainty_of_either_kind_is_finite() {
        for gamma in [0.0, 0.5, 1.0, 5.0] {
            let loss = Focal::new(gamma).unwrap();
            let right = on_row(&loss, &[1e4, 0.0], 0).unwrap();
            assert_close(right, 0.0, &[0.0, 0.0]);
            let (value, gradient) = on_row(&loss, &[0.0, 1e4], 0).unwrap();
            assert_eq!(value, 1e4);
            assert_eq!(gradient, [-1.0, 1.0]);
        }
    }

    #[test]
    fn labels_only_and_the_range() {
        assert_labels_only(&Focal::new(2.0).unwrap());
        assert!(Focal::new(-1.0).is_err() && Focal::new(f64::NAN).is_err());
    }
}
