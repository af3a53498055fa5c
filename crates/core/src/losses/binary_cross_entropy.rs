//! Binary cross-entropy on logits: a sigmoid for every class, for binary and multi-label problems.

use super::row::{Row, Work};
use super::row_loss::sweep_figures;
use super::sigmoid::Sigmoid;
use super::{Accepts, Batch, Entry, GradientKind, Loss, LossInfo, LossState, LossValue};
use crate::batch::Scalar;
use crate::error::{Error, Result, check_range};
use crate::kernels::softmax_cross_entropy::RowValue;
use crate::parameters::{Parameter, Parameters};
use crate::targets::TARGET_TOLERANCE;

pub(super) const ENTRY: Entry = Entry { info: &INFO, make: |p| Ok(Box::new(BinaryCrossEntropy::of(p)?)) };

const POS_WEIGHT: Parameter =
    Parameter::number("pos_weight", 1.0, 0.0, 1e6, "the weight w of the positive part");
const CLASSES: Parameter =
    Parameter::choice("classes", "mean", &["mean", "sum"], "how the classes of a row are combined");

const INFO: LossInfo = LossInfo {
    name: "binary_cross_entropy",
    summary: "a sigmoid and a binary cross-entropy for each class; for binary and multi-label problems",
    formula: "-mean_k [w·t_k·ln σ(z_k) + (1-t_k)·ln(1-σ(z_k))]",
    parameters: &[POS_WEIGHT, CLASSES],
    plain: &[],
    paper: "Good 1952, Rational Decisions; PyTorch's BCEWithLogitsLoss",
    accepts: Accepts::Targets,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Binary cross-entropy on logits, in nats: `-[w·t·ln σ(z) + (1-t)·ln(1-σ(z))]`, the mean over the classes.
///
/// For problems where each class is present or not by itself; a row of targets need not sum to 1. What a
/// [`BinaryRule`](crate::targets::BinaryRule) makes of the present classes comes as
/// [`Targets::binary`](crate::Targets::binary), any other rows as [`Targets::weights`](crate::Targets::weights).
/// Labels are one-hot rows. `w` weighs the positive part of every class, or of each class by
/// [`pos_weights`](Self::pos_weights), as in PyTorch.
///
/// The figures beside the loss follow the sigmoids: `nll` is this loss without `w` against the un-smoothed
/// targets, `confidence` the largest sigmoid, `entropy` the binary entropies combined as the loss is.
/// A sigmoid does not care for a common shift, but changes with it: adding a constant to all logits changes
/// the loss. Masked classes are left out of the mean.
///
/// # Shapes
/// logits and gradient `[n, n_classes]`, targets `n` rows over as many classes, each mass in `[0, 1]`;
/// `n_classes` may be 1.
///
/// # Errors
/// [`Error::OutOfRange`] for a target above 1 or, after negative smoothing, below 0; see also
/// [`Loss::value_grad_f32`].
///
/// # Examples
/// ```
/// use candor::losses::{Batch, BinaryCrossEntropy, Loss};
/// use candor::targets::{BinaryHalf, BinaryRule, Positives};
/// use candor::{Buffers, Targets};
/// let present = Positives::sets(vec![0, 2], vec![0, 1], 3)?; // classes 0 and 1 of one row
/// let targets = Targets::binary(BinaryHalf::new(0.2)?.targets(present)?);
/// let mut logits = [0.0_f64, 0.0, 0.0];
/// let batch = Batch::new(Buffers::InPlace(&mut logits), &targets);
/// let value = BinaryCrossEntropy::new(1.0)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 2.0_f64.ln()).abs() < 1e-15);
/// assert!((logits[0] + 0.4 / 3.0).abs() < 1e-15 && (logits[2] - 0.4 / 3.0).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Good, *Rational Decisions*, Journal of the Royal Statistical Society B 14, 1952.
#[derive(Debug, Clone, PartialEq)]
pub struct BinaryCrossEntropy {
    /// One weight, or one a class.
    pos_weights: Vec<f64>,
    sum: bool,
}

impl BinaryCrossEntropy {
    /// One weight `w` in `[0, 1e6]` of the positive part; 1 for none.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn new(pos_weight: f64) -> Result<Self> {
        POS_WEIGHT.check(pos_weight)?;
        Ok(Self { pos_weights: vec![pos_weight], sum: false })
    }

    /// With a weight of the positive part for each class.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for the first bad weight, [`Error::Shape`] for none.
    pub fn pos_weights(self, pos_weights: Vec<f64>) -> Result<Self> {
        if pos_weights.is_empty() {
            return Err(Error::Shape { what: "pos_weights", expected: 1, got: 0 });
        }
        pos_weights.iter().try_for_each(|&weight| POS_WEIGHT.check(weight))?;
        Ok(Self { pos_weights, ..self })
    }

    /// With the classes of a row summed instead of averaged.
    pub fn summed(self) -> Self {
        Self { sum: true, ..self }
    }

    fn of(parameters: &Parameters) -> Result<Self> {
        let mean = Self::new(parameters.number("pos_weight"))?;
        Ok(if parameters.word("classes") == "sum" { mean.summed() } else { mean })
    }

    fn sweep<T: Scalar>(&self, batch: Batch<'_, T>) -> Result<LossValue> {
        let (expected, got) = (batch.targets.n_classes(), self.pos_weights.len());
        if got != 1 && got != expected {
            return Err(Error::Shape { what: "pos_weights", expected, got });
        }
        sweep_figures(&INFO, batch, &|row, _: &mut Work, gradient| self.row(row, gradient))
    }

    fn row(&self, row: &Row<'_>, gradient: &mut [f64]) -> Result<RowValue> {
        let share = if self.sum { 1.0 } else { 1.0 / row.len() as f64 };
        let mut value = RowValue { correct: row.value(0.0).correct, ..RowValue::default() };
        for (k, g) in gradient.iter_mut().enumerate() {
            let z = row.logits()[k];
            let target = row.target()[k];
            check_target(target)?;
            let weight = self.pos_weights[if self.pos_weights.len() == 1 { 0 } else { row.class(k) }];
            let sigmoid = Sigmoid::new(z);
            value.loss += share * (weight * target * sigmoid.present + (1.0 - target) * sigmoid.absent);
            value.nll += share * sigmoid.cross_entropy(row.unsmoothed(k));
            value.entropy += share * sigmoid.entropy();
            value.confidence = value.confidence.max(sigmoid.on);
            *g = share * ((1.0 - target) * sigmoid.on - weight * target * sigmoid.off);
        }
        Ok(value)
    }
}

/// Checks that a target is the probability of a class; it may miss the ends by rounding.
pub(super) fn check_target(target: f64) -> Result<()> {
    check_range("a target of a sigmoid", target, -TARGET_TOLERANCE, 1.0 + TARGET_TOLERANCE)
}

impl Loss for BinaryCrossEntropy {
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
    use super::super::on_row::{assert_close, on_row, on_targets};
    use super::*;
    use crate::batch::{Buffers, Labels};
    use crate::targets::{BinaryTargets, DenseRows, Positives, Targets};

    fn rows(values: &[f64]) -> Targets<'_> {
        Targets::weights(DenseRows::F64(values), values.len()).unwrap()
    }

    #[test]
    fn by_hand() {
        let z = [3.0_f64.ln(), -(3.0_f64.ln())]; // σ = (3/4, 1/4)
        let loss = BinaryCrossEntropy::new(2.0).unwrap();
        let want = [-2.0 * 0.75_f64.ln(), -2.0 * 0.25_f64.ln()];
        let got = on_targets(&loss, &z, &rows(&[1.0, 1.0])).unwrap();
        assert_close(got, (want[0] + want[1]) / 2.0, &[-0.25, -0.75]);
        let loss = loss.pos_weights(vec![2.0, 1.0]).unwrap().summed();
        let got = on_targets(&loss, &z, &rows(&[1.0, 0.0])).unwrap();
        assert_close(got, want[0] - 0.75_f64.ln(), &[-0.5, 0.25]);
    }

    #[test]
    fn one_class_and_huge_logits() {
        let loss = BinaryCrossEntropy::new(1.0).unwrap();
        assert_close(on_targets(&loss, &[1e4], &rows(&[0.0])).unwrap(), 1e4, &[1.0]);
        assert_close(on_targets(&loss, &[-1e4], &rows(&[0.0])).unwrap(), 0.0, &[0.0]);
    }

    #[test]
    fn a_masked_class_is_left_out_of_the_mean() {
        let loss = BinaryCrossEntropy::new(1.0).unwrap();
        let got = on_row(&loss, &[0.0, f64::NEG_INFINITY, 0.0], 0).unwrap();
        assert_close(got, std::f64::consts::LN_2, &[-0.25, 0.0, 0.25]);
    }

    #[test]
    fn sigmoid_targets_smooth_the_loss_and_not_the_figures() {
        let labels = [1, -1];
        let labels = Labels::with_ignore(&labels, 2, Some(-1)).unwrap();
        let positives = Positives::binary(labels).unwrap();
        let targets = Targets::binary(BinaryTargets::new(positives, vec![0.9], vec![0.0]).unwrap());
        let logits = [3.0_f64.ln(), 5.0]; // σ = 3/4
        let loss = BinaryCrossEntropy::new(1.0).unwrap();
        let mut gradient = [f64::NAN; 2];
        let batch = Batch::new(Buffers::Gradient { logits: &logits, gradient: &mut gradient }, &targets);
        let value = loss.value_grad_f64(batch, &mut LossState::default()).unwrap();
        assert!((value.loss + 0.9 * 0.75_f64.ln() + 0.1 * 0.25_f64.ln()).abs() < 1e-15);
        assert!((value.nll + 0.75_f64.ln()).abs() < 1e-15 && (gradient[0] + 0.15).abs() < 1e-15);
        assert_eq!((value.rows, value.ignored, gradient[1]), (1, 1, 0.0));
    }

    #[test]
    fn a_masked_class_may_carry_smoothing_but_not_a_positive() {
        let loss = BinaryCrossEntropy::new(1.0).unwrap();
        let smoothed = |positive| {
            let positives = Positives::sets(vec![0, 1], vec![positive], 2).unwrap();
            Targets::binary(BinaryTargets::new(positives, vec![0.9; 2], vec![0.1; 2]).unwrap())
        };
        let z = [0.0, f64::NEG_INFINITY];
        let got = on_targets(&loss, &z, &smoothed(0)).unwrap();
        assert_close(got, std::f64::consts::LN_2, &[-0.4, 0.0]);
        let error = on_targets(&loss, &z, &smoothed(1)).unwrap_err();
        assert_eq!(error, Error::MaskedTarget { row: 0, class: 1 });
    }

    #[test]
    fn each_error() {
        let loss = BinaryCrossEntropy::new(1.0).unwrap();
        assert!(matches!(on_targets(&loss, &[0.0], &rows(&[1.5])), Err(Error::OutOfRange { .. })));
        let weights = loss.pos_weights(vec![1.0, 2.0]).unwrap();
        assert!(matches!(on_row(&weights, &[0.0; 3], 0), Err(Error::Shape { expected: 3, got: 2, .. })));
        assert!(weights.clone().pos_weights(vec![]).is_err() && weights.pos_weights(vec![-1.0]).is_err());
        assert!(BinaryCrossEntropy::new(f64::NAN).is_err());
    }
}
