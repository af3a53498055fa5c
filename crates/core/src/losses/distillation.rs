//! Knowledge distillation: the tempered prediction follows a teacher's (Hinton et al. 2015,
//! arXiv:1503.02531).

use super::row::{Row, Work};
use super::softmax::log_softmax;
use super::{Accepts, Entry, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    make: |p| Ok(Box::new(Distillation::new(p.number("weight"), p.number("temperature"))?)),
};

const WEIGHT: Parameter = Parameter::number("weight", 0.9, 0.0, 1.0, "the weight α of the teacher");
const TEMPERATURE: Parameter = Parameter::number("temperature", 4.0, 1e-3, 1e6, "the temperature T");

const INFO: LossInfo = LossInfo {
    name: "distillation",
    summary: "learns from a teacher's logits beside the target; a teacher trained with label smoothing teaches less",
    formula: "(1-α)·H(q, p) + α·T²·KL(softmax(teacher/T), softmax(z/T))",
    parameters: &[WEIGHT, TEMPERATURE],
    plain: &[("weight", 0.0)],
    paper: "Hinton et al. 2015, arXiv:1503.02531",
    accepts: Accepts::Targets,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Knowledge distillation, in nats: `(1-α)·H(q, p) + α·T²·KL(p^t_T ‖ p_T)`.
///
/// `p^t_T` is the softmax of the teacher's logits over `T`, `p_T` that of the student's; `T²` keeps the size
/// of the gradient when `T` changes. The divergence is summed over the classes: PyTorch's `KLDivLoss`
/// with its default reduction divides it by their number. The teacher comes with the batch
/// ([`Batch::teacher`](super::Batch::teacher)); classes that the student masks are left out of it.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy); the teacher's logits `[n, n_classes]`.
///
/// # Errors
/// [`Error::Missing`](crate::Error::Missing) without a teacher,
/// [`Error::NonFiniteLogit`](crate::Error::NonFiniteLogit) and
/// [`Error::NoAllowedClass`](crate::Error::NoAllowedClass) also for the teacher's logits; see also
/// [`Loss::value_grad_f32`](super::Loss::value_grad_f32).
///
/// # Examples
/// ```
/// use candor::losses::{Batch, Distillation, Loss};
/// use candor::targets::DenseRows;
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 2)?);
/// let teacher = [3.0, 1.0];
/// let batch = Batch::new(Buffers::Forward(&[3.0, 1.0]), &targets).teacher(DenseRows::F64(&teacher));
/// let value = Distillation::new(1.0, 4.0)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!(value.loss.abs() < 1e-15); // the student agrees
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Hinton et al., *Distilling the Knowledge in a Neural Network*, 2015, arXiv:1503.02531.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distillation {
    weight: f64,
    temperature: f64,
}

impl Distillation {
    /// A weight α in `[0, 1]` of the teacher and a temperature `T > 0`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(weight: f64, temperature: f64) -> Result<Self> {
        WEIGHT.check(weight)?;
        TEMPERATURE.check(temperature)?;
        Ok(Self { weight, temperature })
    }
}

impl RowLoss for Distillation {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, work: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let teacher = row.teacher()?;
        let loss = (1.0 - self.weight) * row.cross_entropy(gradient);
        gradient.iter_mut().for_each(|g| *g *= 1.0 - self.weight);
        let [values, log_t, t, log_s, s] = work.arrays(row.len());
        tempered(teacher, self.temperature, values, log_t, t);
        tempered(row.logits(), self.temperature, values, log_s, s);
        let factor = self.weight * self.temperature * self.temperature;
        Ok(loss + factor * divergence(t, log_t, log_s, s, factor / self.temperature, gradient))
    }
}

/// Softmax of `logits / temperature`; `values` is scratch.
pub(super) fn tempered(
    logits: &[f64],
    temperature: f64,
    values: &mut [f64],
    log_probs: &mut [f64],
    probs: &mut [f64],
) {
    for (v, z) in values.iter_mut().zip(logits) {
        *v = z / temperature;
    }
    log_softmax(values, log_probs, probs);
}

/// `KL(t ‖ s)`; adds `factor · (s - t)` to the gradient.
pub(super) fn divergence(
    t: &[f64],
    log_t: &[f64],
    log_s: &[f64],
    s: &[f64],
    factor: f64,
    gradient: &mut [f64],
) -> f64 {
    let mut sum = 0.0;
    for (k, g) in gradient.iter_mut().enumerate() {
        sum += if t[k] == 0.0 { 0.0 } else { t[k] * (log_t[k] - log_s[k]) };
        *g += factor * (s[k] - t[k]);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, on_row, on_taught_row};
    use super::*;
    use crate::error::Error;

    #[test]
    fn by_hand() {
        // Teacher (2/3, 1/3) at T = 2; the student is uniform.
        let teacher = [2.0 * 2.0_f64.ln(), 0.0];
        let kl = 2.0 / 3.0 * (4.0_f64 / 3.0).ln() + 1.0 / 3.0 * (2.0_f64 / 3.0).ln();
        let loss = Distillation::new(0.5, 2.0).unwrap();
        let got = on_taught_row(&loss, &[0.0, 0.0], 1, &teacher).unwrap();
        let push = 0.5 * 2.0 * (0.5 - 2.0 / 3.0);
        let want = 0.5 * std::f64::consts::LN_2 + 0.5 * 4.0 * kl;
        assert_close(got, want, &[0.25 + push, -0.25 - push]);
    }

    #[test]
    fn a_batch_without_a_fitting_teacher_is_refused() {
        let loss = Distillation::new(0.5, 2.0).unwrap();
        let error = on_row(&loss, &[0.0, 0.0], 0).unwrap_err();
        assert!(matches!(error, Error::Missing { loss: "distillation", .. }), "{error}");
        let on = |teacher: &[f64]| on_taught_row(&loss, &[0.0, 0.0], 0, teacher).unwrap_err();
        assert!(matches!(on(&[0.0; 3]), Error::Shape { expected: 2, got: 3, .. }));
        assert!(matches!(on(&[f64::NAN, 0.0]), Error::NonFiniteLogit { row: 0, class: 0, .. }));
        assert!(matches!(on(&[f64::NEG_INFINITY; 2]), Error::NoAllowedClass { row: 0 }));
    }

    #[test]
    fn a_teacher_may_mask_classes() {
        let loss = Distillation::new(1.0, 1.0).unwrap();
        let got = on_taught_row(&loss, &[0.0, 0.0], 0, &[1.0, f64::NEG_INFINITY]).unwrap();
        assert_close(got, std::f64::consts::LN_2, &[-0.5, 0.5]);
    }

    #[test]
    fn bad_parameters_are_refused() {
        assert!(Distillation::new(1.5, 4.0).is_err() && Distillation::new(0.5, 0.0).is_err());
    }
}
