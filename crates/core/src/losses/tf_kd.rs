//! Teacher-free distillation with a virtual teacher that is right with a fixed probability
//! (Yuan et al., CVPR 2020, arXiv:1909.11723).

use super::distillation::{divergence, tempered};
use super::row::{Row, Work};
use super::softmax::log_softmax;
use super::{Accepts, Entry, Form, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::kernels::math::ln;
use crate::parameters::{Parameter, Parameters};

pub(super) const ENTRY: Entry = Entry { info: &INFO, make: |p| Ok(Box::new(TeacherFreeKd::of(p)?)) };

const WEIGHT: Parameter = Parameter::number("weight", 0.1, 0.0, 1.0, "the weight α of the teacher");
const TEMPERATURE: Parameter = Parameter::number("temperature", 20.0, 1e-3, 1e6, "the temperature τ");
const CORRECT: Parameter =
    Parameter::number("correct", 0.99, 1e-6, 1.0, "the teacher's probability a of the label");
const MULTIPLIER: Parameter = Parameter::number(
    "multiplier",
    1.0,
    0.0,
    1e6,
    "a factor of the teacher's term (100 in some published runs of the code)",
);

const INFO: LossInfo = LossInfo {
    name: "tf_kd",
    summary: "distillation from a virtual teacher that gives the label a fixed probability; label smoothing with a temperature",
    formula: "(1-α)·(-ln p_y) + α·KL(t_τ, p_τ), t = a on the label and (1-a)/(K-1) elsewhere",
    parameters: &[WEIGHT, TEMPERATURE, CORRECT, MULTIPLIER, Form::PARAMETER],
    plain: &[("weight", 0.0)],
    paper: "Yuan et al. 2020, arXiv:1909.11723",
    accepts: Accepts::Labels,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Teacher-free distillation, in nats: `(1-α)·(-ln p_y) + α·KL(t_τ ‖ p_τ)`.
///
/// The virtual teacher gives the label `a` and each other class `(1-a)/(K-1)`; both it and the prediction
/// are tempered, `t_τ ∝ t^(1/τ)` and `p_τ = softmax(z/τ)`. At τ = 1 this is label smoothing up to a constant.
///
/// The authors' code ([`Form::Code`]) differs: the teacher is `softmax(t/τ)`, of probabilities rather than
/// of logits, which at τ = 20 is all but uniform; the prediction is not tempered; and the divergence is
/// averaged over the classes, for which `multiplier` makes up (100 on CIFAR-100).
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
/// use candor::losses::{Batch, Loss, TeacherFreeKd};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 2)?);
/// let batch = Batch::new(Buffers::Forward(&[0.0, 0.0]), &targets);
/// let loss = TeacherFreeKd::new(1.0, 1.0)?.correct(0.9)?;
/// let value = loss.value_grad_f64(batch, &mut Default::default())?;
/// let want = 0.9 * (0.9_f64 / 0.5).ln() + 0.1 * (0.1_f64 / 0.5).ln();
/// assert!((value.loss - want).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Yuan et al., *Revisiting Knowledge Distillation via Label Smoothing Regularization*, CVPR 2020,
/// arXiv:1909.11723.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TeacherFreeKd {
    weight: f64,
    temperature: f64,
    correct: f64,
    multiplier: f64,
    form: Form,
}

impl TeacherFreeKd {
    /// A weight α in `[0, 1]` of the teacher and a temperature τ > 0, with `a = 0.99`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(weight: f64, temperature: f64) -> Result<Self> {
        WEIGHT.check(weight)?;
        TEMPERATURE.check(temperature)?;
        Ok(Self { weight, temperature, correct: 0.99, multiplier: 1.0, form: Form::Paper })
    }

    /// With another probability `a` of the label, in `(0, 1]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn correct(self, correct: f64) -> Result<Self> {
        CORRECT.check(correct)?;
        Ok(Self { correct, ..self })
    }

    /// With the teacher's term multiplied by a factor >= 0.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn multiplier(self, multiplier: f64) -> Result<Self> {
        MULTIPLIER.check(multiplier)?;
        Ok(Self { multiplier, ..self })
    }

    /// The paper's formula, or what the code computes.
    pub fn form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    fn of(parameters: &Parameters) -> Result<Self> {
        Ok(Self::new(parameters.number("weight"), parameters.number("temperature"))?
            .correct(parameters.number("correct"))?
            .multiplier(parameters.number("multiplier"))?
            .form(Form::of(parameters)))
    }
}

impl RowLoss for TeacherFreeKd {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, work: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let label = row.label()?;
        let hard = 1.0 - self.weight;
        row.add_residual(label, hard, gradient);
        let loss = -hard * row.log_probs()[label];
        let [values, log_t, t, log_s, s] = work.arrays(row.len());
        let other = (1.0 - self.correct) / (row.len().max(2) - 1) as f64;
        match self.form {
            Form::Paper => values.fill(ln(other) / self.temperature),
            Form::Code => values.fill(other / self.temperature),
        }
        values[label] = match self.form {
            Form::Paper => ln(self.correct) / self.temperature,
            Form::Code => self.correct / self.temperature,
        };
        log_softmax(values, log_t, t);
        let (factor, temperature) = match self.form {
            Form::Paper => (self.weight * self.multiplier, self.temperature),
            Form::Code => (self.weight * self.multiplier / row.len() as f64, 1.0),
        };
        tempered(row.logits(), temperature, values, log_s, s);
        Ok(loss + factor * divergence(t, log_t, log_s, s, factor / temperature, gradient))
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, assert_labels_only, on_row};
    use super::*;

    #[test]
    fn by_hand() {
        // t = (0.8, 0.2) squeezed at τ = 2 to (2/3, 1/3); the prediction is uniform at any temperature.
        let third = 1.0 / 3.0;
        let kl = |a: f64| a * (2.0 * a).ln() + (1.0 - a) * (2.0 * (1.0 - a)).ln();
        let loss = TeacherFreeKd::new(1.0, 2.0).unwrap().correct(0.8).unwrap();
        let push = 0.5 * (0.5 - 2.0 * third);
        assert_close(on_row(&loss, &[0.0, 0.0], 0).unwrap(), kl(2.0 * third), &[push, -push]);
        // In the code it is softmax(0.4, 0.1), untempered on the other side, and a mean over two classes.
        let t = 1.0 / (1.0 + (-0.3_f64).exp());
        let push = 0.5 * (0.5 - t);
        assert_close(on_row(&loss.form(Form::Code), &[0.0, 0.0], 0).unwrap(), kl(t) / 2.0, &[push, -push]);
    }

    #[test]
    fn a_certain_teacher_is_cross_entropy() {
        let z = [1.0, 0.5, -1.0];
        let plain = on_row(&super::super::CrossEntropy, &z, 1).unwrap();
        let loss = TeacherFreeKd::new(0.5, 1.0).unwrap().correct(1.0).unwrap();
        assert_close(on_row(&loss, &z, 1).unwrap(), plain.0, &plain.1);
    }

    #[test]
    fn labels_only_and_the_ranges() {
        let loss = TeacherFreeKd::new(0.1, 20.0).unwrap();
        assert_labels_only(&loss);
        assert!(TeacherFreeKd::new(1.1, 20.0).is_err() && TeacherFreeKd::new(0.1, 0.0).is_err());
        assert!(loss.correct(0.0).is_err() && loss.multiplier(-1.0).is_err());
    }
}
