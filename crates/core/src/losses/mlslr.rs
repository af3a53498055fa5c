//! Modified label-smoothing regression: the smoothed prediction is fitted to the smoothed target
//! (Yamasaki & Tanaka 2023, arXiv:2305.08501).

use super::row::{Row, Work};
use super::{Accepts, Entry, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::kernels::math::ln;
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Box::new(Mlslr::new(p.number("smoothing"))?)) };

const SMOOTHING: Parameter =
    Parameter::number("smoothing", 0.1, 0.0, 1.0, "the strength α, convention uniform");

const INFO: LossInfo = LossInfo {
    name: "mlslr",
    summary: "label smoothing of target and prediction alike; robust like smoothing, but its probabilities stay unbiased",
    formula: "-Σ q_k·ln((1-α)·p_k + α/K), q = (1-α)·onehot + α/K",
    parameters: &[SMOOTHING],
    plain: &[("smoothing", 0.0)],
    paper: "Yamasaki & Tanaka 2023, arXiv:2305.08501",
    accepts: Accepts::Labels,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Modified label smoothing, in nats: `-Σ_k q_k ln p̃_k` with `q = (1-α)·onehot + α/K` and
/// `p̃ = (1-α)·p + α/K`.
///
/// A model trained with label smoothing predicts `(1-α)η + α/K` instead of the true probabilities `η`, and
/// the inverse map is exact only if the model can represent that. Here the map is inside the loss: the
/// optimum is `p = η`, the logits are not squeezed, and `softmax(z)` is reported as it is. What is kept of
/// label smoothing is the bounded loss.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// [`Error::TargetKind`](crate::Error::TargetKind) for smoothed or soft targets (the loss smooths by itself);
/// see also [`Loss::value_grad_f32`](super::Loss::value_grad_f32).
///
/// # Examples
/// ```
/// use candor::losses::{Batch, Loss, Mlslr};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 2)?);
/// let mut logits = [1e4, 0.0]; // certain and right: the smoothed prediction is the smoothed target
/// let batch = Batch::new(Buffers::InPlace(&mut logits), &targets);
/// Mlslr::new(0.1)?.value_grad_f64(batch, &mut Default::default())?;
/// assert_eq!(logits, [0.0, 0.0]); // no gradient, where label smoothing would push back
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Yamasaki & Tanaka, *Label Smoothing is Robustification against Model Misspecification*, 2023,
/// arXiv:2305.08501.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mlslr {
    smoothing: f64,
}

impl Mlslr {
    /// A strength α in `[0, 1]` of the uniform convention; 0 is cross-entropy.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(smoothing: f64) -> Result<Self> {
        SMOOTHING.check(smoothing)?;
        Ok(Self { smoothing })
    }
}

impl RowLoss for Mlslr {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let label = row.label()?;
        let each = self.smoothing / row.len() as f64;
        let (mut loss, mut pull) = (0.0, 0.0);
        for (k, g) in gradient.iter_mut().enumerate() {
            let q = if k == label { 1.0 - self.smoothing + each } else { each };
            if q == 0.0 {
                continue;
            }
            // At least α/K, so that its logarithm is safe; without smoothing, the model's own.
            let kept = (1.0 - self.smoothing) * row.probs()[k];
            let (log_smoothed, share) =
                if each > 0.0 { (ln(kept + each), kept / (kept + each)) } else { (row.log_probs()[k], 1.0) };
            loss -= q * log_smoothed;
            *g = -q * share;
            pull -= *g;
        }
        gradient.iter_mut().zip(row.probs()).for_each(|(g, p)| *g += pull * p);
        Ok(loss)
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, assert_labels_only, on_row};
    use super::*;

    #[test]
    fn by_hand() {
        // p = (3/4, 1/4), α = 1/2: q = (3/4, 1/4), p̃ = (5/8, 3/8), shares 3/5 and 1/3.
        let z = [3.0_f64.ln(), 0.0];
        let want = -(0.75 * 0.625_f64.ln() + 0.25 * 0.375_f64.ln());
        let pull = 0.75 * 0.6 + 0.25 / 3.0;
        let gradient = [0.75 * pull - 0.45, 0.25 * pull - 0.25 / 3.0];
        assert_close(on_row(&Mlslr::new(0.5).unwrap(), &z, 0).unwrap(), want, &gradient);
    }

    #[test]
    fn full_strength_is_constant() {
        let got = on_row(&Mlslr::new(1.0).unwrap(), &[3.0, 0.0], 1).unwrap();
        assert_close(got, std::f64::consts::LN_2, &[0.0, 0.0]);
    }

    #[test]
    fn labels_only_and_the_range() {
        assert_labels_only(&Mlslr::new(0.1).unwrap());
        assert!(Mlslr::new(-0.1).is_err() && Mlslr::new(f64::NAN).is_err());
    }
}
