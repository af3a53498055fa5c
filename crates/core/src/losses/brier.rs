//! Brier score: the squared distance of the prediction from the target (Brier 1950).

use super::row::{Row, Work};
use super::{Accepts, Entry, GradientKind, LossInfo, RowLoss};
use crate::error::Result;

pub(super) const ENTRY: Entry = Entry { info: &INFO, make: |_| Ok(Box::new(Brier)) };

const INFO: LossInfo = LossInfo {
    name: "brier",
    summary: "squared distance between prediction and target; proper like cross-entropy, and bounded",
    formula: "Σ (p_k - q_k)²",
    parameters: &[],
    plain: &[],
    paper: "Brier 1950, Monthly Weather Review 78",
    accepts: Accepts::Targets,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Brier score: `Σ_k (p_k - q_k)²`, summed over the classes, in `[0, 2]` for a label; lower is better.
///
/// A proper score that does not punish confident errors without bound; its gradient vanishes where the
/// prediction is certain and wrong, so it trains slower than cross-entropy. Half of it, in binary problems,
/// is what some libraries call the Brier score.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// See [`Loss::value_grad_f32`](super::Loss::value_grad_f32).
///
/// # Examples
/// ```
/// use candor::losses::{Batch, Brier, Loss};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 4)?);
/// let batch = Batch::new(Buffers::Forward(&[2.0, -1.0, 0.5, 0.1]), &targets);
/// let value = Brier.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 0.1250976718).abs() < 1e-9);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Brier, *Verification of Forecasts Expressed in Terms of Probability*, Monthly Weather Review 78, 1950.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Brier;

impl RowLoss for Brier {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let (mut loss, mut mean) = (0.0, 0.0);
        for ((g, p), q) in gradient.iter_mut().zip(row.probs()).zip(row.target()) {
            *g = p - q;
            loss += *g * *g;
            mean += p * *g;
        }
        for (g, p) in gradient.iter_mut().zip(row.probs()) {
            *g = 2.0 * p * (*g - mean);
        }
        Ok(loss)
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, on_row};
    use super::*;

    #[test]
    fn by_hand() {
        let z = [3.0_f64.ln(), 0.0]; // p = (3/4, 1/4)
        assert_close(on_row(&Brier, &z, 0).unwrap(), 0.125, &[-0.1875, 0.1875]);
        assert_close(on_row(&Brier, &[1e4, 0.0], 1).unwrap(), 2.0, &[0.0, 0.0]);
    }
}
