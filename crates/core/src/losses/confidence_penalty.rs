//! Confidence penalty: cross-entropy minus a multiple of the entropy of the prediction
//! (Pereyra et al. 2017, arXiv:1701.06548).

use super::row::{Row, Work};
use super::{Accepts, Entry, Form, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::parameters::{Parameter, Parameters};

pub(super) const ENTRY: Entry = Entry { info: &INFO, make: |p| Ok(Box::new(ConfidencePenalty::of(p)?)) };

const STRENGTH: Parameter = Parameter::number("strength", 0.1, 0.0, 1e3, "the strength β");
const PENALTY: Parameter = Parameter::choice(
    "penalty",
    "plain",
    &["plain", "hinged"],
    "whether confidence is always penalised, or only where the entropy is below the threshold",
);
const THRESHOLD: Parameter =
    Parameter::number("threshold", 1.0, 0.0, 1e3, "the entropy Γ in nats, for the hinged penalty");

const INFO: LossInfo = LossInfo {
    name: "confidence_penalty",
    summary: "cross-entropy with a reward for uncertain predictions; an alternative to label smoothing that keeps the relations between classes",
    formula: "H(q, p) - β·H(p), or H(q, p) + β·max(0, Γ - H(p))",
    parameters: &[STRENGTH, PENALTY, THRESHOLD, Form::PARAMETER],
    plain: &[("strength", 0.0)],
    paper: "Pereyra et al. 2017, arXiv:1701.06548",
    accepts: Accepts::Targets,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Confidence penalty, in nats: `H(q, p) - β·H(p)`, with `H` the entropy of the softmax.
///
/// For models that are over-confident where label smoothing costs too much of what the other classes say
/// of each other: its divergence from the uniform distribution is taken in the other direction, and stays
/// below `ln K`. Can be negative. The hinged penalty `β·max(0, Γ - H(p))` leaves predictions alone whose
/// entropy exceeds `Γ`; no published value of `Γ` is known for it, the default is 1 nat.
///
/// With [`Form::Code`] the entropy is the *mean* of `-p ln p` over the classes, as in public code that
/// lists β = 0.1: the strength there is really `β/K`.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// See [`Loss::value_grad_f32`](super::Loss::value_grad_f32).
///
/// # Examples
/// ```
/// use candor::losses::{Batch, ConfidencePenalty, Loss};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 4)?);
/// let batch = Batch::new(Buffers::Forward(&[2.0, -1.0, 0.5, 0.1]), &targets);
/// let value = ConfidencePenalty::new(0.1)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 0.2631587035).abs() < 1e-9);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Pereyra et al., *Regularizing Neural Networks by Penalizing Confident Output Distributions*, ICLR 2017
/// workshop, arXiv:1701.06548.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfidencePenalty {
    strength: f64,
    threshold: Option<f64>,
    form: Form,
}

impl ConfidencePenalty {
    /// The plain penalty of strength β in `[0, 1000]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(strength: f64) -> Result<Self> {
        STRENGTH.check(strength)?;
        Ok(Self { strength, threshold: None, form: Form::Paper })
    }

    /// Penalises only predictions whose entropy is below `threshold` nats.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn hinged(self, threshold: f64) -> Result<Self> {
        THRESHOLD.check(threshold)?;
        Ok(Self { threshold: Some(threshold), ..self })
    }

    /// With the entropy summed over the classes, or averaged over them.
    pub fn form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    fn of(parameters: &Parameters) -> Result<Self> {
        let plain = Self::new(parameters.number("strength"))?.form(Form::of(parameters));
        if parameters.word("penalty") == "hinged" {
            plain.hinged(parameters.number("threshold"))
        } else {
            Ok(plain)
        }
    }
}

impl RowLoss for ConfidencePenalty {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let loss = row.cross_entropy(gradient);
        let share = if self.form == Form::Code { 1.0 / row.len() as f64 } else { 1.0 };
        let entropy = share * row.entropy();
        let penalty = match self.threshold {
            Some(threshold) if entropy >= threshold => return Ok(loss),
            Some(threshold) => threshold - entropy,
            None => -entropy,
        };
        for ((g, p), log_p) in gradient.iter_mut().zip(row.probs()).zip(row.log_probs()) {
            *g += self.strength * share * p * (log_p + row.entropy());
        }
        Ok(loss + self.strength * penalty)
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, on_row};
    use super::*;

    #[test]
    fn at_the_uniform_prediction_the_penalty_is_the_whole_entropy() {
        let ln_2 = std::f64::consts::LN_2;
        let loss = ConfidencePenalty::new(0.5).unwrap();
        assert_close(on_row(&loss, &[0.0, 0.0], 0).unwrap(), 0.5 * ln_2, &[-0.5, 0.5]);
        assert_close(on_row(&loss.form(Form::Code), &[0.0, 0.0], 0).unwrap(), 0.75 * ln_2, &[-0.5, 0.5]);
    }

    #[test]
    fn the_hinge_leaves_uncertain_predictions_alone() {
        let hinged = |threshold| ConfidencePenalty::new(0.5).unwrap().hinged(threshold).unwrap();
        let ln_2 = std::f64::consts::LN_2;
        assert_close(on_row(&hinged(0.5), &[0.0, 0.0], 0).unwrap(), ln_2, &[-0.5, 0.5]);
        assert_close(on_row(&hinged(1.0), &[0.0, 0.0], 0).unwrap(), ln_2 + 0.5 * (1.0 - ln_2), &[-0.5, 0.5]);
    }

    #[test]
    fn bad_strengths_are_refused() {
        assert!(ConfidencePenalty::new(-0.1).is_err());
        assert!(ConfidencePenalty::new(f64::NAN).is_err());
        assert!(ConfidencePenalty::new(0.1).unwrap().hinged(-1.0).is_err());
    }
}
