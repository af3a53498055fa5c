//! Focal loss of sigmoids, as it was published for detection (Lin et al., ICCV 2017, arXiv:1708.02002).

use super::binary_cross_entropy::check_target;
use super::focal::power;
use super::row::{Row, Work};
use super::row_loss::sweep_figures;
use super::sigmoid::Sigmoid;
use super::{Accepts, Batch, Entry, GradientKind, Loss, LossInfo, LossState, LossValue};
use crate::batch::Scalar;
use crate::error::Result;
use crate::kernels::math::ln;
use crate::kernels::softmax_cross_entropy::RowValue;
use crate::parameters::{Parameter, Parameters};

pub(super) const ENTRY: Entry = Entry { info: &INFO, make: |p| Ok(Box::new(SigmoidFocal::of(p)?)) };

const GAMMA: Parameter = Parameter::number("gamma", 2.0, 0.0, 100.0, "the exponent γ");
const ALPHA: Parameter =
    Parameter::number("alpha", 0.25, 0.0, 1.0, "the weight α of positives, 1-α of negatives");
const BALANCE: Parameter = Parameter::choice(
    "balance",
    "alpha",
    &["alpha", "none"],
    "whether positives and negatives are weighed by α",
);
const CLASSES: Parameter =
    Parameter::choice("classes", "mean", &["mean", "sum"], "how the classes of a row are combined");

const INFO: LossInfo = LossInfo {
    name: "sigmoid_focal",
    summary: "focal loss of one sigmoid a class; for detection and for sparse positives",
    formula: "mean_k α_t·(1-p_t)^γ·BCE(z_k, t_k), p_t = t·σ + (1-t)·(1-σ), α_t = α·t + (1-α)·(1-t)",
    parameters: &[GAMMA, ALPHA, BALANCE, CLASSES],
    plain: &[],
    paper: "Lin et al. 2017, arXiv:1708.02002",
    accepts: Accepts::Targets,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Focal loss of sigmoids, in nats: `α_t·(1-p_t)^γ` times the binary cross-entropy of each class, the mean
/// over the classes.
///
/// For detectors, and wherever almost all classes are absent: what is already right hardly counts.
/// [`Focal`](super::Focal) is the same weight on a softmax. With smoothed targets `t` between 0 and 1, `p_t`
/// and `α_t` are mixed by `t`, as optax, torchvision and Keras do. Without a balance (`α_t = 1`) and with
/// γ = 0 it is [`BinaryCrossEntropy`](super::BinaryCrossEntropy), whose figures it gives.
///
/// # Shapes
/// As for [`BinaryCrossEntropy`](super::BinaryCrossEntropy).
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for a target outside `[0, 1]`; see also
/// [`Loss::value_grad_f32`].
///
/// # Examples
/// ```
/// use candor::losses::{Batch, Loss, SigmoidFocal};
/// use candor::{Buffers, Labels, Targets, targets::Positives, targets::BinaryTargets};
/// let positives = Positives::binary(Labels::new(&[1], 2)?)?;
/// let targets = Targets::binary(BinaryTargets::new(positives, vec![1.0], vec![0.0])?);
/// let batch = Batch::new(Buffers::Forward(&[0.0_f64]), &targets);
/// let value = SigmoidFocal::new(2.0)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 0.25 * 0.25 * 2.0_f64.ln()).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Lin et al., *Focal Loss for Dense Object Detection*, ICCV 2017, arXiv:1708.02002.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SigmoidFocal {
    gamma: f64,
    alpha: Option<f64>,
    sum: bool,
}

impl SigmoidFocal {
    /// An exponent γ in `[0, 100]`, with the published weight α = 0.25 of positives.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(gamma: f64) -> Result<Self> {
        GAMMA.check(gamma)?;
        Ok(Self { gamma, alpha: Some(0.25), sum: false })
    }

    /// With another weight α of positives, in `[0, 1]`; negatives have `1-α`. `None` weighs neither.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn alpha(self, alpha: Option<f64>) -> Result<Self> {
        alpha.map_or(Ok(()), |alpha| ALPHA.check(alpha))?;
        Ok(Self { alpha, ..self })
    }

    /// With the classes of a row summed instead of averaged.
    pub fn summed(self) -> Self {
        Self { sum: true, ..self }
    }

    fn of(parameters: &Parameters) -> Result<Self> {
        let alpha = (parameters.word("balance") == "alpha").then(|| parameters.number("alpha"));
        let mean = Self::new(parameters.number("gamma"))?.alpha(alpha)?;
        Ok(if parameters.word("classes") == "sum" { mean.summed() } else { mean })
    }

    fn sweep<T: Scalar>(&self, batch: Batch<'_, T>) -> Result<LossValue> {
        sweep_figures(&INFO, batch, &|row, _: &mut Work, gradient| self.row(row, gradient))
    }

    fn row(&self, row: &Row<'_>, gradient: &mut [f64]) -> Result<RowValue> {
        let share = if self.sum { 1.0 } else { 1.0 / row.len() as f64 };
        let mut value = RowValue { correct: row.value(0.0).correct, ..RowValue::default() };
        for (k, g) in gradient.iter_mut().enumerate() {
            let target = row.target()[k];
            check_target(target)?;
            let sigmoid = Sigmoid::new(row.logits()[k]);
            let wrong = target * sigmoid.off + (1.0 - target) * sigmoid.on; // 1 - p_t
            let balance = self.alpha.map_or(1.0, |alpha| alpha * target + (1.0 - alpha) * (1.0 - target));
            let weight = share * balance * power(ln(wrong), self.gamma);
            let cross_entropy = sigmoid.cross_entropy(target);
            value.loss += weight * cross_entropy;
            // σ(1-σ)/(1-p_t) is at most max(σ, 1-σ) over a hard target, and has no weight at 0.
            let turn = if wrong > 0.0 { sigmoid.on * sigmoid.off / wrong } else { 0.0 };
            let residual = (1.0 - target) * sigmoid.on - target * sigmoid.off;
            *g = weight * (residual - self.gamma * (2.0 * target - 1.0) * turn * cross_entropy);
            value.nll += share * sigmoid.cross_entropy(row.unsmoothed(k));
            value.entropy += share * sigmoid.entropy();
            value.confidence = value.confidence.max(sigmoid.on);
        }
        Ok(value)
    }
}

impl Loss for SigmoidFocal {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn value_grad_f32(&self, batch: Batch<'_, f32>, _: &mut LossState) -> Result<LossValue> {
        self.sweep(batch)
    }

    fn value_grad_f64(&self, batch: Batch<'_, f64>, _: &mut LossState) -> Result<LossValue> {
        self.sweep(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::super::BinaryCrossEntropy;
    use super::super::on_row::{assert_close, on_targets};
    use super::*;
    use crate::targets::{DenseRows, Targets};

    fn rows(values: &[f64]) -> Targets<'_> {
        Targets::weights(DenseRows::F64(values), values.len()).unwrap()
    }

    #[test]
    fn by_hand() {
        // σ = (3/4, 1/4), targets (1, 0): both are right with 3/4, and the gradient of (1-p)^2·ln p is known.
        let z = [3.0_f64.ln(), -(3.0_f64.ln())];
        let log_p = 0.75_f64.ln();
        let slope = -(0.0625 * 0.25) + 2.0 * 0.25 * 0.75 * 0.25 * log_p;
        let loss = SigmoidFocal::new(2.0).unwrap();
        let want = -0.0625 * log_p;
        let got = on_targets(&loss.summed(), &z, &rows(&[1.0, 0.0])).unwrap();
        assert_close(got, 0.25 * want + 0.75 * want, &[0.25 * slope, -0.75 * slope]);
        let got = on_targets(&loss.alpha(None).unwrap(), &z, &rows(&[1.0, 0.0])).unwrap();
        assert_close(got, want, &[slope / 2.0, -slope / 2.0]);
    }

    #[test]
    fn without_exponent_and_balance_it_is_binary_cross_entropy() {
        let (z, targets) = ([0.3, -2.0, 5.0], [0.9, 0.05, 0.5]);
        let want = on_targets(&BinaryCrossEntropy::new(1.0).unwrap(), &z, &rows(&targets)).unwrap();
        let loss = SigmoidFocal::new(0.0).unwrap().alpha(None).unwrap();
        assert_close(on_targets(&loss, &z, &rows(&targets)).unwrap(), want.0, &want.1);
    }

    #[test]
    fn certainty_of_either_kind_is_finite() {
        for gamma in [0.0, 0.5, 2.0] {
            let loss = SigmoidFocal::new(gamma).unwrap().alpha(None).unwrap();
            assert_close(on_targets(&loss, &[1e4], &rows(&[1.0])).unwrap(), 0.0, &[0.0]);
            assert_close(on_targets(&loss, &[-1e4], &rows(&[1.0])).unwrap(), 1e4, &[-1.0]);
        }
    }

    #[test]
    fn bad_parameters_and_targets_are_refused() {
        let loss = SigmoidFocal::new(2.0).unwrap();
        assert!(SigmoidFocal::new(-1.0).is_err() && loss.alpha(Some(1.5)).is_err());
        assert!(on_targets(&loss, &[0.0], &rows(&[1.5])).is_err());
    }
}
