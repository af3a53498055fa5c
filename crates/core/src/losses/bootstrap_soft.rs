//! Soft bootstrapping: the target is mixed with the prediction itself (Reed et al. 2015,
//! arXiv:1412.6596).

use super::row::{Row, Work};
use super::{Accepts, Entry, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Box::new(BootstrapSoft::new(p.number("beta"))?)) };

const BETA: Parameter = Parameter::number("beta", 0.95, 0.0, 1.0, "the weight β of the target");

const INFO: LossInfo = LossInfo {
    name: "bootstrap_soft",
    summary: "cross-entropy against a mixture of the target and the prediction; for noisy labels",
    formula: "-Σ (β·q_k + (1-β)·p_k)·ln p_k",
    parameters: &[BETA],
    plain: &[("beta", 1.0)],
    paper: "Reed et al. 2015, arXiv:1412.6596",
    accepts: Accepts::Targets,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Soft bootstrapping, in nats: `β·H(q, p) + (1-β)·H(p)`.
///
/// For labels of which some are wrong: the model may overrule them where it is sure. The prediction in
/// the target is differentiated too, so this rewards confidence, the reverse of
/// [`ConfidencePenalty`](super::ConfidencePenalty).
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// See [`Loss::value_grad_f32`](super::Loss::value_grad_f32).
///
/// # Examples
/// ```
/// use candor::losses::{Batch, BootstrapSoft, Loss};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 4)?);
/// let batch = Batch::new(Buffers::Forward(&[2.0, -1.0, 0.5, 0.1]), &targets);
/// let value = BootstrapSoft::new(0.95)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 0.3794092585).abs() < 1e-9);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Reed et al., *Training Deep Neural Networks on Noisy Labels with Bootstrapping*, ICLR 2015 workshop,
/// arXiv:1412.6596.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BootstrapSoft {
    beta: f64,
}

impl BootstrapSoft {
    /// A weight β in `[0, 1]` of the target.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(beta: f64) -> Result<Self> {
        BETA.check(beta)?;
        Ok(Self { beta })
    }
}

impl RowLoss for BootstrapSoft {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let loss = row.cross_entropy(gradient);
        let own = 1.0 - self.beta;
        for ((g, p), log_p) in gradient.iter_mut().zip(row.probs()).zip(row.log_probs()) {
            *g = self.beta * *g - own * p * (log_p + row.entropy());
        }
        Ok(self.beta * loss + own * row.entropy())
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, on_row};
    use super::*;

    #[test]
    fn by_hand() {
        // At the uniform prediction both parts are ln 2 and the entropy is flat.
        let loss = BootstrapSoft::new(0.8).unwrap();
        assert_close(on_row(&loss, &[0.0, 0.0], 0).unwrap(), std::f64::consts::LN_2, &[-0.4, 0.4]);
    }

    #[test]
    fn bad_weights_are_refused() {
        assert!(BootstrapSoft::new(1.1).is_err() && BootstrapSoft::new(f64::NAN).is_err());
    }
}
