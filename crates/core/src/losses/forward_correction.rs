//! Forward noise correction: the loss is taken on the prediction of the noisy label
//! (Patrini et al., CVPR 2017, arXiv:1609.03683).

use super::row::{Row, Work};
use super::softmax::{ln_1p, log_add_exp, log_sum_exp};
use super::{Accepts, Entry, GradientKind, LossInfo, RowLoss, Transition};
use crate::error::Result;
use crate::kernels::math::{exp, ln};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Box::new(ForwardCorrection::new(p.number("rate"))?)) };

const RATE: Parameter = Parameter::number(
    "rate",
    0.2,
    0.0,
    1.0,
    "the share ρ of labels that were replaced by a uniform draw over all classes",
);

const INFO: LossInfo = LossInfo {
    name: "forward_correction",
    summary: "cross-entropy of the noisy label that the prediction implies; for known label noise, and stable",
    formula: "-ln Σ_k T_ky·p_k; for symmetric noise -ln((1-ρ)·p_y + ρ/K)",
    parameters: &[RATE],
    plain: &[("rate", 0.0)],
    paper: "Patrini et al. 2017, arXiv:1609.03683",
    accepts: Accepts::Labels,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Forward noise correction, in nats: `-ln (Tᵀp)_y`, where `T_kj` is the probability that class `k` was
/// labelled `j`.
///
/// Where the noise of the labels is known or estimated, this makes the clean distribution the optimum. It
/// is bounded for symmetric noise, unlike [`BackwardCorrection`](super::BackwardCorrection), and the one to
/// take of the two. The rate ρ counts labels replaced by a uniform draw over *all* classes: where a share
/// `f` of labels is wrong, `ρ = f·K/(K-1)`.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// [`Error::TargetKind`](crate::Error::TargetKind) for smoothed or soft targets,
/// [`Error::NonFiniteLoss`](crate::Error::NonFiniteLoss) for a label that the matrix calls impossible; see
/// also [`Loss::value_grad_f32`](super::Loss::value_grad_f32).
///
/// # Examples
/// ```
/// use candor::losses::{Batch, ForwardCorrection, Loss};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 4)?);
/// let batch = Batch::new(Buffers::Forward(&[2.0, -1.0, 0.5, 0.1]), &targets);
/// let value = ForwardCorrection::new(0.2)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 0.4903765496).abs() < 1e-9);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Patrini et al., *Making Deep Neural Networks Robust to Label Noise: a Loss Correction Approach*, CVPR
/// 2017, arXiv:1609.03683.
#[derive(Debug, Clone, PartialEq)]
pub struct ForwardCorrection {
    noise: Noise,
}

#[derive(Debug, Clone, PartialEq)]
enum Noise {
    Symmetric(f64),
    Matrix(Transition),
}

impl ForwardCorrection {
    /// Symmetric noise: a share ρ in `[0, 1]` of the labels was drawn uniformly.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(rate: f64) -> Result<Self> {
        RATE.check(rate)?;
        Ok(Self { noise: Noise::Symmetric(rate) })
    }

    /// Any noise. A class masked in a row has probability 0 there, but may still be observed.
    pub fn with_transition(transition: Transition) -> Self {
        Self { noise: Noise::Matrix(transition) }
    }
}

impl RowLoss for ForwardCorrection {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn check(&self, n_classes: usize) -> Result<()> {
        match &self.noise {
            Noise::Symmetric(_) => Ok(()),
            Noise::Matrix(transition) => transition.check(n_classes),
        }
    }

    fn row(&self, row: &Row<'_>, work: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let label = row.label()?;
        match &self.noise {
            Noise::Symmetric(rate) => {
                let clean = ln_1p(-rate) + row.log_probs()[label];
                let log_observed = log_add_exp(clean, ln(rate / row.len() as f64));
                row.add_residual(label, exp(clean - log_observed), gradient);
                Ok(-log_observed)
            }
            Noise::Matrix(transition) => {
                let observed = row.class(label);
                let [joint] = work.arrays(row.len());
                for (k, log_joint) in joint.iter_mut().enumerate() {
                    *log_joint = ln(transition.probability(row.class(k), observed)) + row.log_probs()[k];
                }
                let log_observed = log_sum_exp(joint.iter().copied());
                for (k, g) in gradient.iter_mut().enumerate() {
                    *g += row.probs()[k] - exp(joint[k] - log_observed);
                }
                Ok(-log_observed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, assert_labels_only, on_row};
    use super::*;
    use crate::error::Error;

    #[test]
    fn by_hand() {
        let z = [3.0_f64.ln(), 0.0]; // p = (3/4, 1/4); observed 0 with 0.8·0.75 + 0.1 = 0.7
        let kappa = 0.6 / 0.7;
        let want = (-(0.7_f64.ln()), [-0.25 * kappa, 0.25 * kappa]);
        assert_close(on_row(&ForwardCorrection::new(0.2).unwrap(), &z, 0).unwrap(), want.0, &want.1);
        let matrix = Transition::new(vec![0.9, 0.1, 0.1, 0.9], 2).unwrap();
        assert_close(on_row(&ForwardCorrection::with_transition(matrix), &z, 0).unwrap(), want.0, &want.1);
    }

    #[test]
    fn each_error() {
        assert_labels_only(&ForwardCorrection::new(0.2).unwrap());
        assert!(ForwardCorrection::new(1.1).is_err());
        let never = Transition::new(vec![1.0, 0.0, 1.0, 0.0], 2).unwrap();
        let loss = ForwardCorrection::with_transition(never);
        assert!(matches!(on_row(&loss, &[0.0, 0.0], 1), Err(Error::NonFiniteLoss { .. })));
        assert!(matches!(on_row(&loss, &[0.0; 3], 1), Err(Error::Shape { expected: 3, got: 2, .. })));
    }
}
