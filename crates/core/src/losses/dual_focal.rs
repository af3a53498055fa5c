//! Dual focal loss: focal loss that also looks at the strongest rival below the label
//! (Tao et al., ICML 2023, arXiv:2305.13665).

use super::focal::power;
use super::row::{Row, Work};
use super::{Accepts, Entry, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::kernels::math::ln;
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Box::new(DualFocal::new(p.number("gamma"))?)) };

const GAMMA: Parameter = Parameter::number("gamma", 5.0, 0.0, 100.0, "the exponent γ");

const INFO: LossInfo = LossInfo {
    name: "dual_focal",
    summary: "focal loss weighted by the gap to the next class below the label; against the under-confidence of focal loss",
    formula: "-(1 - p_y + p_j)^γ·ln p_y, p_j the largest probability below p_y",
    parameters: &[GAMMA],
    plain: &[("gamma", 0.0)],
    paper: "Tao et al. 2023, arXiv:2305.13665",
    accepts: Accepts::Labels,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Dual focal loss, in nats: `-(1 - p_y + p_j)^γ·ln p_y`, with `p_j` the largest probability strictly below
/// the label's, 0 if there is none.
///
/// Focal loss alone tends to leave a model under-confident; widening the gap to the runner-up counters that.
/// The gradient is exact wherever no other class crosses the label.
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
/// use candor::losses::{Batch, DualFocal, Loss};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 4)?);
/// let batch = Batch::new(Buffers::Forward(&[2.0, -1.0, 0.5, 0.1]), &targets);
/// let value = DualFocal::new(5.0)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 0.0067869539).abs() < 1e-9);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Tao et al., *Dual Focal Loss for Calibration*, ICML 2023, arXiv:2305.13665.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DualFocal {
    gamma: f64,
}

impl DualFocal {
    /// An exponent γ in `[0, 100]`; 0 is cross-entropy.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(gamma: f64) -> Result<Self> {
        GAMMA.check(gamma)?;
        Ok(Self { gamma })
    }
}

impl RowLoss for DualFocal {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let label = row.label()?;
        let (z, p) = (row.logits(), row.probs());
        // By logits: probabilities that underflow would all be equal.
        let rival =
            (0..row.len()).filter(|&k| z[k] < z[label]).reduce(|a, b| if z[b] > z[a] { b } else { a });
        let rival_p = rival.map_or(0.0, |k| p[k]);
        let (other, log_other) = row.other(label);
        let base = other + rival_p;
        let log_p = row.log_probs()[label];
        let weight = power(if rival_p > 0.0 { ln(base) } else { log_other }, self.gamma);
        // γ·w^(γ-1)·ln p, over p_y and p_j in turn; p_y·ln p_y/w tends to a limit as w nears 0.
        let slope = |p: f64| if base > 0.0 { self.gamma * weight * (p * log_p / base) } else { 0.0 };
        row.add_residual(label, weight - slope(p[label]), gradient);
        if let Some(rival) = rival {
            row.add_residual(rival, slope(p[rival]), gradient);
        }
        Ok(-weight * log_p)
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, assert_labels_only, on_row};
    use super::*;

    #[test]
    fn by_hand_with_a_rival() {
        // p = (3/4, 1/4): w = 1 - 3/4 + 1/4 = 1/2, and at γ = 1 the loss is w times cross-entropy.
        let z = [3.0_f64.ln(), 0.0];
        let log_p = 0.75_f64.ln();
        // dL/dp_y·p_y = -w + p_y ln p_y, dL/dp_j·p_j = -p_j ln p_y.
        let (own, rival) = (-0.5 + 0.75 * log_p, -0.25 * log_p);
        let first = own * 0.25 - rival * 0.75;
        let got = on_row(&DualFocal::new(1.0).unwrap(), &z, 0).unwrap();
        assert_close(got, -0.5 * log_p, &[first, -first]);
    }

    #[test]
    fn without_a_rival_it_is_focal_loss() {
        let z = [0.0, 1.0, 2.0];
        let want = on_row(&super::super::Focal::new(5.0).unwrap(), &z, 0).unwrap();
        assert_close(on_row(&DualFocal::new(5.0).unwrap(), &z, 0).unwrap(), want.0, &want.1);
        // A tie is not below.
        let want = on_row(&super::super::Focal::new(5.0).unwrap(), &[1.0, 1.0], 0).unwrap();
        assert_close(on_row(&DualFocal::new(5.0).unwrap(), &[1.0, 1.0], 0).unwrap(), want.0, &want.1);
    }

    #[test]
    fn labels_only_and_the_range() {
        assert_labels_only(&DualFocal::new(5.0).unwrap());
        assert!(DualFocal::new(-1.0).is_err() && DualFocal::new(f64::NAN).is_err());
    }
}
