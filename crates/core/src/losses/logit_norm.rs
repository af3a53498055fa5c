//! LogitNorm: cross-entropy of logits scaled to one length (Wei et al., ICML 2022, arXiv:2205.09310).

use super::row::{Row, Work};
use super::softmax::log_softmax;
use super::{Accepts, Entry, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Box::new(LogitNorm::new(p.number("temperature"))?)) };

const TEMPERATURE: Parameter =
    Parameter::number("temperature", 0.04, 1e-6, 1e6, "the temperature τ of the scaled logits");
/// Added to the length, as in the authors' code: logits that are all 0 have no direction.
const SMALLEST_LENGTH: f64 = 1e-7;

const INFO: LossInfo = LossInfo {
    name: "logit_norm",
    summary: "cross-entropy on the direction of the logits only; against over-confidence on unknown inputs",
    formula: "H(q, softmax(z / (τ·‖z‖)))",
    parameters: &[TEMPERATURE],
    plain: &[],
    paper: "Wei et al. 2022, arXiv:2205.09310",
    accepts: Accepts::Targets,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// LogitNorm, in nats: cross-entropy of `z / (τ·‖z‖)`.
///
/// The length of the logits grows all through training and carries no information on the class; with it
/// fixed, confidence must come from the direction. Meant for detecting unknown inputs. The figures beside
/// the loss (NLL, confidence) are those of the logits as given, as the model is used after training.
/// `τ` bounds the loss from below: `‖z‖/τ` is the largest logit. Adding a constant to all logits changes
/// the loss. 1e-7 is added to `‖z‖`, as the authors' code does.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// See [`Loss::value_grad_f32`](super::Loss::value_grad_f32).
///
/// # Examples
/// ```
/// use candor::losses::{Batch, LogitNorm, Loss};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 2)?);
/// let loss = LogitNorm::new(1.0)?;
/// let at = |z: &[f64]| {
///     loss.value_grad_f64(Batch::new(Buffers::Forward(z), &targets), &mut Default::default())
/// };
/// let (short, long) = (at(&[0.3, -0.4])?.loss, at(&[3.0, -4.0])?.loss);
/// assert!((short - long).abs() < 1e-6); // only the direction counts
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Wei et al., *Mitigating Neural Network Overconfidence with Logit Normalization*, ICML 2022,
/// arXiv:2205.09310.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogitNorm {
    temperature: f64,
}

impl LogitNorm {
    /// A temperature τ > 0.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(temperature: f64) -> Result<Self> {
        TEMPERATURE.check(temperature)?;
        Ok(Self { temperature })
    }
}

impl RowLoss for LogitNorm {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, work: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let z = row.logits();
        // The largest magnitude comes out of the squares, so that they do not overflow.
        let magnitude = z.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let unit = if magnitude > 0.0 { magnitude } else { 1.0 };
        let norm = unit * z.iter().map(|v| (v / unit) * (v / unit)).sum::<f64>().sqrt();
        let length = norm + SMALLEST_LENGTH;
        let [scaled, log_probs, probs] = work.arrays(row.len());
        for (u, v) in scaled.iter_mut().zip(z) {
            *u = v / length / self.temperature;
        }
        log_softmax(scaled, log_probs, probs);
        let mass: f64 = row.target().iter().sum();
        let (mut loss, mut along) = (0.0, 0.0);
        for k in 0..row.len() {
            let q = row.target()[k];
            loss -= if q == 0.0 { 0.0 } else { q * log_probs[k] };
            gradient[k] = mass * probs[k] - q;
            // The share of the gradient along z, which the division by ‖z‖ takes away.
            along += gradient[k] * (z[k] / length);
        }
        for (g, v) in gradient.iter_mut().zip(z) {
            let direction = if norm > 0.0 { v / norm } else { 0.0 };
            *g = (*g - along * direction) / length / self.temperature;
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
        // ‖(3, 4)‖ = 5, so the scaled logits are (0.6, 0.8); p_1 = 1/(1+e^-0.2).
        let loss = LogitNorm::new(1.0).unwrap();
        let (value, gradient) = on_row(&loss, &[3.0, 4.0], 1).unwrap();
        let p = 1.0 / (1.0 + (-0.2_f64).exp());
        assert!((value + p.ln()).abs() < 1e-8);
        // u = (1-p)·(1, -1); along z it is (1-p)·(0.6-0.8).
        let want = [(1.0 - p) * (1.0 + 0.2 * 0.6) / 5.0, (1.0 - p) * (-1.0 + 0.2 * 0.8) / 5.0];
        assert!((gradient[0] - want[0]).abs() < 1e-8 && (gradient[1] - want[1]).abs() < 1e-8);
    }

    #[test]
    fn no_direction_and_huge_logits_are_finite() {
        let loss = LogitNorm::new(1.0).unwrap();
        let (value, gradient) = on_row(&loss, &[0.0, 0.0], 0).unwrap();
        assert_eq!(value, std::f64::consts::LN_2);
        assert!((gradient[0] / -0.5e7 - 1.0).abs() < 1e-12);
        let huge = on_row(&loss, &[1e300, 1e300], 0).unwrap();
        assert_close((huge.0, vec![]), std::f64::consts::LN_2, &[]);
        assert!(LogitNorm::new(0.0).is_err());
    }
}
