//! Adaptive and conditional label smoothing: squared hinges on the largest logit and on the distance of
//! the others (Park et al., ICCV 2023, arXiv:2308.11911).

use super::row::{Row, Work};
use super::{Accepts, Entry, GradientKind, Loss, LossInfo, RowLoss};
use crate::batch::Logits;
use crate::error::{Error, Result};
use crate::parameters::{Parameter, Parameters};

pub(super) const ENTRY: Entry = Entry { info: &INFO, make: |p| Ok(Box::new(Acls::of(p)?)) };

const MARGIN: Parameter =
    Parameter::number("margin", 10.0, 0.0, 1e6, "the margin M, of the largest logit and of the distances");
const STRENGTH: Parameter = Parameter::number("strength", 0.1, 0.0, 1e3, "the strength λ");
const TOP: Parameter = Parameter::number("top", 1.0, 0.0, 1e3, "the weight λ1 of the largest logit");
const REST: Parameter = Parameter::number("rest", 0.1, 0.0, 1e3, "the weight λ2 of the other logits");

const INFO: LossInfo = LossInfo {
    name: "acls",
    summary: "smoothing in proportion to how far a logit exceeds a margin; its second term holds the largest logit fixed",
    formula: "H(q, p) + λ·[λ1·max(0, z_max - M)² + λ2/(K-1)·Σ max(0, sg(z_max) - z_k - M)²]",
    parameters: &[MARGIN, STRENGTH, TOP, REST],
    plain: &[("strength", 0.0)],
    paper: "Park et al. 2023, arXiv:2308.11911",
    accepts: Accepts::Targets,
    gradient: GradientKind::StopGradient,
    fused: false,
    separable: true,
};

/// Adaptive and conditional label smoothing, in nats: cross-entropy plus
/// `λ·[λ1·max(0, z_max - M)² + λ2/(K-1)·Σ_{k≠max} max(0, z_max - z_k - M)²]`.
///
/// Like [`Mbls`](super::Mbls) it acts beyond a margin only, and more the further beyond. Two properties to
/// know: the first term looks at the largest logit itself, so a constant added to all logits changes the
/// loss; and the second holds `z_max` fixed when differentiated, so the gradient is not that of the value.
/// [`Loss::frozen`] gives the loss whose gradient it is.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// See [`Loss::value_grad_f32`].
///
/// # Examples
/// ```
/// use candor::losses::{Acls, Batch, Loss};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 4)?);
/// let batch = Batch::new(Buffers::Forward(&[2.0, -1.0, 0.5, 0.1]), &targets);
/// let value = Acls::new(1.0, 0.1)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 0.4692726048).abs() < 1e-9);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Park et al., *ACLS: Adaptive and Conditional Label Smoothing for Network Calibration*, ICCV 2023,
/// arXiv:2308.11911; the expression is that of the authors' code.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Acls {
    margin: f64,
    strength: f64,
    top: f64,
    rest: f64,
}

impl Acls {
    /// A margin `M >= 0` in units of logits and a strength λ, with the published weights λ1 = 1, λ2 = 0.1.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn new(margin: f64, strength: f64) -> Result<Self> {
        MARGIN.check(margin)?;
        STRENGTH.check(strength)?;
        Ok(Self { margin, strength, top: 1.0, rest: 0.1 })
    }

    /// With other weights λ1 of the largest logit and λ2 of the others.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn weights(self, top: f64, rest: f64) -> Result<Self> {
        TOP.check(top)?;
        REST.check(rest)?;
        Ok(Self { top, rest, ..self })
    }

    fn of(parameters: &Parameters) -> Result<Self> {
        Self::new(parameters.number("margin"), parameters.number("strength"))?
            .weights(parameters.number("top"), parameters.number("rest"))
    }

    /// The loss with the distances taken from `reference`.
    fn row_from(&self, row: &Row<'_>, reference: f64, gradient: &mut [f64]) -> f64 {
        let loss = row.cross_entropy(gradient);
        let top = row.predicted();
        let over = (row.logits()[top] - self.margin).max(0.0);
        gradient[top] += 2.0 * self.strength * self.top * over;
        let rest = self.rest / (row.len().max(2) - 1) as f64;
        let mut squares = 0.0;
        for (k, z) in row.logits().iter().enumerate() {
            let distance = reference - z - self.margin;
            if k != top && distance > 0.0 {
                squares += distance * distance;
                gradient[k] -= 2.0 * self.strength * rest * distance;
            }
        }
        loss + self.strength * (self.top * over * over + rest * squares)
    }
}

impl RowLoss for Acls {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        Ok(self.row_from(row, row.logits()[row.predicted()], gradient))
    }

    fn frozen(&self, logits: Logits<'_, f64>) -> Option<Box<dyn Loss>> {
        let max = |row: usize| logits.row(row).iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(Box::new(Frozen { loss: *self, maxima: (0..logits.n_rows()).map(max).collect() }))
    }
}

/// [`Acls`] with the largest logit of each row's second term given.
#[derive(Debug)]
struct Frozen {
    loss: Acls,
    maxima: Vec<f64>,
}

impl RowLoss for Frozen {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let got = self.maxima.len();
        let expected = row.index() + 1;
        let max =
            self.maxima.get(row.index()).ok_or(Error::Shape { what: "the frozen rows", expected, got })?;
        Ok(self.loss.row_from(row, *max, gradient))
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, on_row, on_targets};
    use super::*;
    use crate::batch::Labels;
    use crate::targets::Targets;

    #[test]
    fn by_hand() {
        // z_max exceeds the margin 1 by 1; the distances 2 and 3 by 1 and 2.
        let z = [2.0, 0.0, -1.0];
        let plain = on_row(&super::super::CrossEntropy, &z, 1).unwrap();
        let loss = Acls::new(1.0, 0.5).unwrap().weights(2.0, 4.0).unwrap();
        let want: Vec<f64> = plain.1.iter().zip([2.0, -2.0, -4.0]).map(|(g, penalty)| g + penalty).collect();
        assert_close(on_row(&loss, &z, 1).unwrap(), plain.0 + 0.5 * (2.0 + 2.0 * 5.0), &want);
    }

    #[test]
    fn the_frozen_loss_keeps_the_maximum() {
        let loss = Acls::new(1.0, 0.5).unwrap();
        let frozen = RowLoss::frozen(&loss, Logits::new(&[2.0, 0.0], 2).unwrap()).unwrap();
        let moved = on_row(frozen.as_ref(), &[2.5, 0.0], 0).unwrap().0;
        let plain = on_row(&super::super::CrossEntropy, &[2.5, 0.0], 0).unwrap().0;
        assert!((moved - plain - 0.5 * (1.5 * 1.5 + 0.1)).abs() < 1e-12);
        let targets = Targets::labels(Labels::new(&[0, 0], 2).unwrap());
        let two_rows = on_targets(frozen.as_ref(), &[2.0, 0.0, 2.0, 0.0], &targets);
        assert!(matches!(two_rows, Err(Error::Shape { expected: 2, got: 1, .. })));
    }

    #[test]
    fn bad_parameters_are_refused() {
        assert!(Acls::new(f64::NAN, 0.1).is_err() && Acls::new(1.0, -0.1).is_err());
        assert!(Acls::new(1.0, 0.1).unwrap().weights(-1.0, 0.0).is_err());
    }
}
