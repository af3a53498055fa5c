//! Margin-based label smoothing: distances to the largest logit are penalised beyond a margin only
//! (Liu et al., CVPR 2022, arXiv:2111.15430).

use super::row::{Row, Work};
use super::{Accepts, Entry, Form, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    make: |p| Ok(Box::new(Mbls::new(p.number("margin"), p.number("strength"))?.form(Form::of(p)))),
};

const MARGIN: Parameter =
    Parameter::number("margin", 10.0, 0.0, 1e6, "the distance m from the largest logit that costs nothing");
const STRENGTH: Parameter = Parameter::number("strength", 0.1, 0.0, 1e3, "the strength λ");

const INFO: LossInfo = LossInfo {
    name: "mbls",
    summary: "label smoothing that acts only on logits further than a margin below the largest; keeps accuracy where smoothing is too strong",
    formula: "H(q, p) + λ·Σ max(0, z_max - z_k - m)",
    parameters: &[MARGIN, STRENGTH, Form::PARAMETER],
    plain: &[("strength", 0.0)],
    paper: "Liu et al. 2022, arXiv:2111.15430",
    accepts: Accepts::Targets,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Margin-based label smoothing, in nats: `H(q, p) + λ·Σ_k max(0, z_max - z_k - m)`.
///
/// Label smoothing pulls all logits together; this pulls only those that are further than `m` below the
/// largest, so that the model may still be sure. The penalty does not care which class is the label.
///
/// The paper sums over the classes; the authors' code takes their mean ([`Form::Code`]), and their
/// λ = 0.1 was found with it: for the formula of the paper divide that by the number of classes.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// See [`Loss::value_grad_f32`](super::Loss::value_grad_f32).
///
/// # Examples
/// ```
/// use candor::losses::{Batch, Form, Loss, Mbls};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 4)?);
/// let batch = Batch::new(Buffers::Forward(&[2.0, -1.0, 0.5, 0.1]), &targets);
/// let loss = Mbls::new(1.0, 0.1)?.form(Form::Code);
/// let value = loss.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 0.4374059381).abs() < 1e-9);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Liu et al., *The Devil is in the Margin: Margin-based Label Smoothing for Network Calibration*, CVPR
/// 2022, arXiv:2111.15430.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mbls {
    margin: f64,
    strength: f64,
    form: Form,
}

impl Mbls {
    /// A margin `m >= 0` in units of logits, and a strength λ in `[0, 1000]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(margin: f64, strength: f64) -> Result<Self> {
        MARGIN.check(margin)?;
        STRENGTH.check(strength)?;
        Ok(Self { margin, strength, form: Form::Paper })
    }

    /// With the sum over the classes, or their mean.
    pub fn form(self, form: Form) -> Self {
        Self { form, ..self }
    }
}

impl RowLoss for Mbls {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let loss = row.cross_entropy(gradient);
        let strength = if self.form == Form::Code { self.strength / row.len() as f64 } else { self.strength };
        let max = row.logits()[row.predicted()];
        let (mut excess, mut beyond) = (0.0, 0.0);
        for (g, z) in gradient.iter_mut().zip(row.logits()) {
            let over = max - z - self.margin;
            if over > 0.0 {
                excess += over;
                beyond += 1.0;
                *g -= strength;
            }
        }
        gradient[row.predicted()] += strength * beyond;
        Ok(loss + strength * excess)
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, on_row};
    use super::*;

    #[test]
    fn by_hand() {
        // Distances 2 and 3 exceed the margin 1 by 1 and 2.
        let z = [2.0, 0.0, -1.0];
        let plain = on_row(&super::super::CrossEntropy, &z, 1).unwrap();
        let want = |s: f64| -> Vec<f64> {
            plain.1.iter().zip([2.0 * s, -s, -s]).map(|(g, penalty)| g + penalty).collect()
        };
        let loss = Mbls::new(1.0, 0.5).unwrap();
        assert_close(on_row(&loss, &z, 1).unwrap(), plain.0 + 1.5, &want(0.5));
        assert_close(on_row(&loss.form(Form::Code), &z, 1).unwrap(), plain.0 + 0.5, &want(0.5 / 3.0));
    }

    #[test]
    fn within_the_margin_it_is_cross_entropy() {
        let z = [2.0, 0.0, -1.0];
        let plain = on_row(&super::super::CrossEntropy, &z, 0).unwrap();
        assert_close(on_row(&Mbls::new(3.5, 0.5).unwrap(), &z, 0).unwrap(), plain.0, &plain.1);
    }

    #[test]
    fn bad_parameters_are_refused() {
        assert!(Mbls::new(-1.0, 0.1).is_err());
        assert!(Mbls::new(1.0, f64::INFINITY).is_err());
    }
}
