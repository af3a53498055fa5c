//! Backward noise correction: the loss is multiplied by the inverse of the noise
//! (Patrini et al., CVPR 2017, arXiv:1609.03683).

use super::row::{Row, Work};
use super::{Accepts, Entry, GradientKind, LossInfo, RowLoss, Transition};
use crate::error::{Error, Result};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Box::new(BackwardCorrection::new(p.number("rate"))?)) };

const RATE: Parameter = Parameter::number(
    "rate",
    0.2,
    0.0,
    0.99,
    "the share ρ of labels that were replaced by a uniform draw over all classes",
);

const INFO: LossInfo = LossInfo {
    name: "backward_correction",
    summary: "the unbiased estimate of the loss under clean labels; negative label smoothing where the noise is symmetric",
    formula: "Σ_j (T^-1)_yj·(-ln p_j)",
    parameters: &[RATE],
    plain: &[("rate", 0.0)],
    paper: "Patrini et al. 2017, arXiv:1609.03683",
    accepts: Accepts::Labels,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Backward noise correction, in nats: `Σ_j (T⁻¹)_yj·(-ln p_j)`, where `T_kj` is the probability that class
/// `k` was labelled `j`.
///
/// Its expectation over the noise is the clean cross-entropy. For symmetric noise it is label smoothing of
/// the negative strength `-ρ/(1-ρ)`. Some coefficients are negative, so **the loss has no lower bound**: a
/// long training diverges on it. [`ForwardCorrection`](super::ForwardCorrection) does not.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// [`Error::TargetKind`] for smoothed or soft targets, [`Error::Unsupported`] for a masked class where the
/// noise is a matrix; see also [`Loss::value_grad_f32`](super::Loss::value_grad_f32).
///
/// # Examples
/// ```
/// use candor::losses::{BackwardCorrection, Batch, Loss};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 4)?);
/// let batch = Batch::new(Buffers::Forward(&[2.0, -1.0, 0.5, 0.1]), &targets);
/// let value = BackwardCorrection::new(0.2)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss + 0.0475940619).abs() < 1e-9); // below 0
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Patrini et al., *Making Deep Neural Networks Robust to Label Noise: a Loss Correction Approach*, CVPR
/// 2017, arXiv:1609.03683.
#[derive(Debug, Clone, PartialEq)]
pub struct BackwardCorrection {
    noise: Noise,
}

#[derive(Debug, Clone, PartialEq)]
enum Noise {
    Symmetric(f64),
    /// The inverse of the transition, and the number of classes.
    Inverse(Vec<f64>, usize),
}

impl BackwardCorrection {
    /// Symmetric noise: a share ρ in `[0, 0.99]` of the labels was drawn uniformly.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn new(rate: f64) -> Result<Self> {
        RATE.check(rate)?;
        Ok(Self { noise: Noise::Symmetric(rate) })
    }

    /// Any noise that can be undone.
    ///
    /// # Errors
    /// [`Error::Singular`].
    pub fn with_transition(transition: &Transition) -> Result<Self> {
        Ok(Self { noise: Noise::Inverse(transition.inverse()?, transition.n_classes()) })
    }
}

impl RowLoss for BackwardCorrection {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn check(&self, n_classes: usize) -> Result<()> {
        match &self.noise {
            Noise::Inverse(_, size) if *size != n_classes => {
                Err(Error::Shape { what: "the transition's rows", expected: n_classes, got: *size })
            }
            _ => Ok(()),
        }
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let label = row.label()?;
        let mut loss = 0.0;
        let mut add = |coefficient: f64, class: usize, gradient: &mut [f64]| {
            loss -= coefficient * row.log_probs()[class];
            gradient[class] -= coefficient;
        };
        match &self.noise {
            Noise::Symmetric(rate) => {
                let negative = -rate / (1.0 - rate);
                let each = negative / row.len() as f64;
                (0..row.len()).for_each(|class| add(each, class, gradient));
                add(1.0 - negative, label, gradient);
            }
            Noise::Inverse(_, _) if row.is_masked() => {
                return Err(Error::Unsupported {
                    loss: INFO.name,
                    what: "masked classes with a transition matrix",
                    reason: "the inverse gives every class a coefficient, and a masked one an infinite loss",
                });
            }
            Noise::Inverse(inverse, size) => {
                let coefficients = &inverse[label * size..(label + 1) * size];
                coefficients.iter().enumerate().for_each(|(class, c)| add(*c, class, gradient));
            }
        }
        // The rows of the inverse sum to 1, as those of the transition do.
        gradient.iter_mut().zip(row.probs()).for_each(|(g, p)| *g += p);
        Ok(loss)
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, assert_labels_only, on_row};
    use super::*;

    #[test]
    fn by_hand() {
        let z = [3.0_f64.ln(), 0.0]; // p = (3/4, 1/4)
        // T = ((0.9, 0.1), (0.1, 0.9)), its inverse ((9, -1), (-1, 9))/8.
        let want = -(9.0 * 0.75_f64.ln() - 0.25_f64.ln()) / 8.0;
        let gradient = [0.75 - 9.0 / 8.0, 0.25 + 1.0 / 8.0];
        assert_close(on_row(&BackwardCorrection::new(0.2).unwrap(), &z, 0).unwrap(), want, &gradient);
        let matrix = Transition::new(vec![0.9, 0.1, 0.1, 0.9], 2).unwrap();
        let loss = BackwardCorrection::with_transition(&matrix).unwrap();
        assert_close(on_row(&loss, &z, 0).unwrap(), want, &gradient);
    }

    #[test]
    fn each_error() {
        assert_labels_only(&BackwardCorrection::new(0.2).unwrap());
        assert!(BackwardCorrection::new(1.0).is_err());
        let matrix = Transition::new(vec![0.9, 0.1, 0.1, 0.9], 2).unwrap();
        let loss = BackwardCorrection::with_transition(&matrix).unwrap();
        assert!(matches!(on_row(&loss, &[0.0; 3], 0), Err(Error::Shape { expected: 3, got: 2, .. })));
        assert!(matches!(on_row(&loss, &[0.0, f64::NEG_INFINITY], 0), Err(Error::Unsupported { .. })));
    }
}
