//! Sample-dependent focal loss FLSD-53: a larger exponent where the label's probability is low
//! (Mukhoti et al., NeurIPS 2020, arXiv:2002.09437).

use super::focal::focal;
use super::row::{Row, Work};
use super::{Accepts, Entry, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::parameters::{Parameter, Parameters};

pub(super) const ENTRY: Entry = Entry { info: &INFO, make: |p| Ok(Box::new(Flsd53::of(p)?)) };

const BELOW: Parameter =
    Parameter::number("gamma_below", 5.0, 0.0, 100.0, "the exponent γ below the threshold");
const ABOVE: Parameter =
    Parameter::number("gamma_above", 3.0, 0.0, 100.0, "the exponent γ from the threshold on");
const THRESHOLD: Parameter =
    Parameter::number("threshold", 0.2, 0.0, 1.0, "the probability of the label that separates the two");

const INFO: LossInfo = LossInfo {
    name: "flsd53",
    summary: "focal loss with γ = 5 where the label has less than 0.2, else 3; the authors' choice for calibration",
    formula: "-(1-p_y)^γ·ln p_y, γ = 5 if p_y < 0.2 else 3",
    parameters: &[BELOW, ABOVE, THRESHOLD],
    plain: &[("gamma_below", 0.0), ("gamma_above", 0.0)],
    paper: "Mukhoti et al. 2020, arXiv:2002.09437",
    accepts: Accepts::Labels,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Sample-dependent focal loss, in nats: [`Focal`](super::Focal) with γ = 5 where `p_y < 0.2` and 3 elsewhere.
///
/// The value jumps at the threshold, as published; the gradient is exact on both sides of it.
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
/// use candor::losses::{Batch, Flsd53, Loss};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 2)?);
/// let batch = Batch::new(Buffers::Forward(&[0.0, 0.0]), &targets);
/// let value = Flsd53::default().value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 2.0_f64.ln() / 8.0).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Mukhoti et al., *Calibrating Deep Neural Networks using Focal Loss*, NeurIPS 2020, arXiv:2002.09437.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flsd53 {
    below: f64,
    above: f64,
    threshold: f64,
}

impl Default for Flsd53 {
    /// γ = 5 below 0.2, else 3.
    fn default() -> Self {
        Self { below: 5.0, above: 3.0, threshold: 0.2 }
    }
}

impl Flsd53 {
    /// Other exponents, each in `[0, 100]`, and another threshold in `[0, 1]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(below: f64, above: f64, threshold: f64) -> Result<Self> {
        BELOW.check(below)?;
        ABOVE.check(above)?;
        THRESHOLD.check(threshold)?;
        Ok(Self { below, above, threshold })
    }

    fn of(parameters: &Parameters) -> Result<Self> {
        Self::new(
            parameters.number("gamma_below"),
            parameters.number("gamma_above"),
            parameters.number("threshold"),
        )
    }
}

impl RowLoss for Flsd53 {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let label = row.label()?;
        let gamma = if row.probs()[label] < self.threshold { self.below } else { self.above };
        Ok(focal(row, label, gamma, gradient))
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, assert_labels_only, on_row};
    use super::*;

    #[test]
    fn each_side_of_the_threshold_is_its_focal_loss() {
        let loss = Flsd53::default();
        for (z, gamma) in [([0.0, 1.0], 3.0), ([0.0, 2.0], 5.0)] {
            let want = on_row(&super::super::Focal::new(gamma).unwrap(), &z, 0).unwrap();
            assert_close(on_row(&loss, &z, 0).unwrap(), want.0, &want.1);
        }
    }

    #[test]
    fn labels_only_and_the_ranges() {
        assert_labels_only(&Flsd53::default());
        assert!(Flsd53::new(-1.0, 3.0, 0.2).is_err());
        assert!(Flsd53::new(5.0, f64::NAN, 0.2).is_err() && Flsd53::new(5.0, 3.0, 1.2).is_err());
    }
}
