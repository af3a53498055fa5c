//! Symmetric cross-entropy: cross-entropy and its reverse (Wang et al., ICCV 2019, arXiv:1908.06112).

use super::row::{Row, Work};
use super::{Accepts, Entry, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    make: |p| {
        let loss = SymmetricCrossEntropy::new(p.number("alpha"), p.number("beta"))?;
        Ok(Box::new(loss.log_zero(p.number("log_zero"))?))
    },
};

const ALPHA: Parameter = Parameter::number("alpha", 0.1, 0.0, 1e3, "the weight α of cross-entropy");
const BETA: Parameter = Parameter::number("beta", 1.0, 0.0, 1e3, "the weight β of the reverse");
const LOG_ZERO: Parameter = Parameter::number(
    "log_zero",
    LN_1E_4,
    -1e3,
    0.0,
    "what stands for ln 0, A: ln 1e-4 in the authors' code, -4 in the paper",
);
const LN_1E_4: f64 = -9.210_340_371_976_182;

const INFO: LossInfo = LossInfo {
    name: "symmetric_cross_entropy",
    summary: "cross-entropy plus the bounded reverse cross-entropy; for noisy labels",
    formula: "-α·ln p_y - β·A·(1-p_y), A standing for ln 0",
    parameters: &[ALPHA, BETA, LOG_ZERO],
    plain: &[("alpha", 1.0), ("beta", 0.0)],
    paper: "Wang et al. 2019, arXiv:1908.06112",
    accepts: Accepts::Labels,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Symmetric cross-entropy, in nats: `α·(-ln p_y) + β·(-Σ_k p_k ln onehot_k)`, where `ln 0` is replaced by a
/// number `A < 0`; so the reverse part is `-A·(1-p_y)`.
///
/// For noisy labels: the reverse part is bounded, and tolerates them; cross-entropy keeps the training
/// going. The defaults α = 0.1, β = 1 are published for CIFAR-10. `A` is `ln 1e-4`, from the authors' code,
/// which clamps the one-hot row at 1e-4; their text also uses -4, and only the product `β·A` matters.
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
/// use candor::losses::{Batch, Loss, SymmetricCrossEntropy};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 2)?);
/// let batch = Batch::new(Buffers::Forward(&[0.0, 0.0]), &targets);
/// let loss = SymmetricCrossEntropy::new(1.0, 1.0)?.log_zero(-4.0)?;
/// let value = loss.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 2.0_f64.ln() - 2.0).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Wang et al., *Symmetric Cross Entropy for Robust Learning with Noisy Labels*, ICCV 2019,
/// arXiv:1908.06112.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SymmetricCrossEntropy {
    alpha: f64,
    beta: f64,
    log_zero: f64,
}

impl SymmetricCrossEntropy {
    /// Weights α of cross-entropy and β of its reverse, each in `[0, 1000]`, with `A = ln 1e-4`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(alpha: f64, beta: f64) -> Result<Self> {
        ALPHA.check(alpha)?;
        BETA.check(beta)?;
        Ok(Self { alpha, beta, log_zero: LN_1E_4 })
    }

    /// With another number `A <= 0` for `ln 0`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn log_zero(self, log_zero: f64) -> Result<Self> {
        LOG_ZERO.check(log_zero)?;
        Ok(Self { log_zero, ..self })
    }
}

impl RowLoss for SymmetricCrossEntropy {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let label = row.label()?;
        let reverse = -self.beta * self.log_zero;
        row.add_residual(label, self.alpha + reverse * row.probs()[label], gradient);
        Ok(reverse * row.other(label).0 - self.alpha * row.log_probs()[label])
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, assert_labels_only, on_row};
    use super::*;

    #[test]
    fn by_hand() {
        let z = [3.0_f64.ln(), 0.0]; // p = (3/4, 1/4)
        let loss = SymmetricCrossEntropy::new(0.5, 2.0).unwrap().log_zero(-4.0).unwrap();
        // Reverse: 2·4·(1/4) = 2; its gradient is 8·(3/4)(p - onehot).
        let factor = 0.5 + 6.0;
        assert_close(
            on_row(&loss, &z, 0).unwrap(),
            2.0 - 0.5 * 0.75_f64.ln(),
            &[-0.25 * factor, 0.25 * factor],
        );
        assert!((LN_1E_4 - 1e-4_f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn labels_only_and_the_ranges() {
        let loss = SymmetricCrossEntropy::new(0.1, 1.0).unwrap();
        assert_labels_only(&loss);
        assert!(SymmetricCrossEntropy::new(-0.1, 1.0).is_err() && loss.log_zero(1.0).is_err());
    }
}
