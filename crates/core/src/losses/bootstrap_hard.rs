//! Hard bootstrapping: the target is mixed with the predicted class (Reed et al. 2015, arXiv:1412.6596).

use super::row::{Row, Work};
use super::{Accepts, Entry, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Box::new(BootstrapHard::new(p.number("beta"))?)) };

const BETA: Parameter = Parameter::number("beta", 0.8, 0.0, 1.0, "the weight β of the target");

const INFO: LossInfo = LossInfo {
    name: "bootstrap_hard",
    summary: "cross-entropy against a mixture of the target and the predicted class; for noisy labels",
    formula: "-Σ β·q_k·ln p_k - (1-β)·ln p_max",
    parameters: &[BETA],
    plain: &[("beta", 1.0)],
    paper: "Reed et al. 2015, arXiv:1412.6596",
    accepts: Accepts::Targets,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Hard bootstrapping, in nats: `β·H(q, p) - (1-β)·ln p_max`.
///
/// As [`BootstrapSoft`](super::BootstrapSoft), with the predicted class (the first of the largest logits)
/// instead of the whole prediction. The gradient is exact wherever the predicted class does not change.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// See [`Loss::value_grad_f32`](super::Loss::value_grad_f32).
///
/// # Examples
/// ```
/// use candor::losses::{Batch, BootstrapHard, Loss};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[2], 4)?);
/// let batch = Batch::new(Buffers::Forward(&[2.0, -1.0, 0.5, 0.1]), &targets);
/// let value = BootstrapHard::new(0.8)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 1.5524059381).abs() < 1e-9);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Reed et al., *Training Deep Neural Networks on Noisy Labels with Bootstrapping*, ICLR 2015 workshop,
/// arXiv:1412.6596.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BootstrapHard {
    beta: f64,
}

impl BootstrapHard {
    /// A weight β in `[0, 1]` of the target.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(beta: f64) -> Result<Self> {
        BETA.check(beta)?;
        Ok(Self { beta })
    }
}

impl RowLoss for BootstrapHard {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let loss = row.cross_entropy(gradient);
        gradient.iter_mut().for_each(|g| *g *= self.beta);
        let own = 1.0 - self.beta;
        row.add_residual(row.predicted(), own, gradient);
        Ok(self.beta * loss - own * row.log_probs()[row.predicted()])
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, on_row};
    use super::*;

    #[test]
    fn by_hand() {
        let z = [3.0_f64.ln(), 0.0]; // p = (3/4, 1/4), predicted 0
        let want = 0.8 * 4.0_f64.ln() + 0.2 * (4.0_f64 / 3.0).ln();
        let got = on_row(&BootstrapHard::new(0.8).unwrap(), &z, 1).unwrap();
        assert_close(got, want, &[0.75 - 0.2, 0.25 - 0.8]);
    }

    #[test]
    fn bad_weights_are_refused() {
        assert!(BootstrapHard::new(-0.1).is_err() && BootstrapHard::new(f64::NAN).is_err());
    }
}
