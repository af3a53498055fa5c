//! MDCA: the mean prediction of each class follows how often the class occurs in the batch
//! (Hebbalaguppe et al., CVPR 2022, arXiv:2203.13834).

use super::focal::focal;
use super::row_loss::{fold_rows, sweep};
use super::{Accepts, Batch, Entry, GradientKind, Loss, LossInfo, LossState, LossValue};
use crate::batch::Scalar;
use crate::error::Result;
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Box::new(Mdca::new(p.number("strength"), p.number("gamma"))?)) };

const STRENGTH: Parameter = Parameter::number("strength", 1.0, 0.0, 1e3, "the strength β");
const GAMMA: Parameter =
    Parameter::number("gamma", 1.0, 0.0, 100.0, "the exponent γ of the focal loss beside it");

const INFO: LossInfo = LossInfo {
    name: "mdca",
    summary: "focal loss plus the mean difference, over classes, of average confidence and frequency in the batch",
    formula: "-(1-p_y)^γ·ln p_y + β·mean_c |mean_i p_ic - mean_i [y_i = c]|",
    parameters: &[STRENGTH, GAMMA],
    plain: &[("strength", 0.0), ("gamma", 0.0)],
    paper: "Hebbalaguppe et al. 2022, arXiv:2203.13834",
    accepts: Accepts::Labels,
    gradient: GradientKind::Exact,
    fused: false,
    separable: false,
};

/// MDCA, in nats: focal loss plus `β·(1/K)·Σ_c |mean_i p_ic - mean_i [y_i = c]|`.
///
/// Calibrates all classes, not just the predicted one, and is differentiable where calibration errors are
/// binned. The auxiliary term is a figure of the **whole batch**: it depends on the batch's size, and
/// accumulating batches is not one large batch. Every row carries it, so that a mean over rows has it once
/// and a sum `n` times; with [`Reduction::None`](super::Reduction::None) the gradient is that of the sum.
/// Row weights weigh the two means as well. γ = 0 puts it beside cross-entropy; the published pairing is
/// γ = 1 and β = 1.
///
/// Classes masked in a row have probability 0 there; classes masked in every row are not counted in `K`.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// [`Error::TargetKind`](crate::Error::TargetKind) for smoothed or soft targets; see also
/// [`Loss::value_grad_f32`].
///
/// # Examples
/// ```
/// use candor::losses::{Batch, Loss, Mdca};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0, 0], 2)?);
/// let batch = Batch::new(Buffers::Forward(&[0.0; 4]), &targets);
/// // Both classes are predicted half of the time, one occurs always: mean(|1/2 - 1|, |1/2 - 0|) = 1/2.
/// let value = Mdca::new(1.0, 0.0)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 2.0_f64.ln() - 0.5).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Hebbalaguppe et al., *A Stitch in Time Saves Nine: A Train-Time Regularizing Loss for Improved Neural
/// Network Calibration*, CVPR 2022, arXiv:2203.13834.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mdca {
    strength: f64,
    gamma: f64,
}

/// Weighted sums over the rows: of what is predicted beyond what occurs, by class, and of the weights.
struct Sums {
    excess: Vec<f64>,
    seen: Vec<bool>,
    weight: f64,
}

impl Mdca {
    /// A strength β in `[0, 1000]` and the exponent γ in `[0, 100]` of the focal loss.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(strength: f64, gamma: f64) -> Result<Self> {
        STRENGTH.check(strength)?;
        GAMMA.check(gamma)?;
        Ok(Self { strength, gamma })
    }

    fn sweep<T: Scalar>(&self, batch: Batch<'_, T>) -> Result<LossValue> {
        let n_classes = batch.targets.n_classes();
        let start = || Sums { excess: vec![0.0; n_classes], seen: vec![false; n_classes], weight: 0.0 };
        let sums = fold_rows(
            &INFO,
            &batch,
            start,
            |sums, row, weight| {
                let label = row.label()?;
                for (k, p) in row.probs().iter().enumerate() {
                    sums.excess[row.class(k)] += weight * p;
                    sums.seen[row.class(k)] = true;
                }
                sums.excess[row.class(label)] -= weight;
                sums.weight += weight;
                Ok(())
            },
            |all, block| {
                all.excess.iter_mut().zip(block.excess).for_each(|(a, b)| *a += b);
                all.seen.iter_mut().zip(block.seen).for_each(|(a, b)| *a |= b);
                all.weight += block.weight;
            },
        )?;
        let counted = sums.seen.iter().filter(|seen| **seen).count();
        // Without weight there is nothing to compare, and every row is multiplied by 0 anyway.
        let share = if sums.weight > 0.0 { self.strength / counted as f64 } else { 0.0 };
        let inverse = if sums.weight > 0.0 { 1.0 / sums.weight } else { 0.0 };
        let term: f64 = sums.excess.iter().map(|e| share * (e * inverse).abs()).sum();
        let sign = |class: usize| {
            let excess = sums.excess[class];
            if excess == 0.0 { 0.0 } else { excess.signum() }
        };
        sweep(&INFO, batch, &|row, _, gradient| {
            let loss = focal(row, row.label()?, self.gamma, gradient);
            let mean: f64 = row.probs().iter().enumerate().map(|(k, p)| p * sign(row.class(k))).sum();
            for (k, g) in gradient.iter_mut().enumerate() {
                *g += share * row.probs()[k] * (sign(row.class(k)) - mean);
            }
            Ok(loss + term)
        })
    }
}

impl Loss for Mdca {
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
    use super::super::on_row::{assert_close, assert_labels_only, on_row};
    use super::*;

    #[test]
    fn by_hand() {
        // p = (3/4, 1/4), label 1: both classes are off by 3/4, with signs (+, -).
        let z = [3.0_f64.ln(), 0.0];
        let got = on_row(&Mdca::new(2.0, 0.0).unwrap(), &z, 1).unwrap();
        let push = 0.75 * (1.0 - 0.5);
        assert_close(got, 4.0_f64.ln() + 2.0 * 0.75, &[0.75 + push, -0.75 - push]);
    }

    #[test]
    fn a_class_masked_everywhere_is_not_counted() {
        let z = [3.0_f64.ln(), f64::NEG_INFINITY, 0.0];
        let got = on_row(&Mdca::new(2.0, 0.0).unwrap(), &z, 2).unwrap();
        assert_close(got, 4.0_f64.ln() + 1.5, &[1.125, 0.0, -1.125]);
    }

    #[test]
    fn labels_only_and_the_ranges() {
        assert_labels_only(&Mdca::new(1.0, 1.0).unwrap());
        assert!(Mdca::new(-1.0, 1.0).is_err() && Mdca::new(1.0, f64::NAN).is_err());
    }
}
