//! Poly-1: cross-entropy with another coefficient of the first term of its series
//! (Leng et al., ICLR 2022, arXiv:2204.12511).

use super::row::{Row, Work};
use super::{Accepts, Entry, GradientKind, LossInfo, RowLoss};
use crate::error::Result;
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Box::new(Poly1::new(p.number("epsilon"))?)) };

const EPSILON: Parameter =
    Parameter::number("epsilon", 1.0, -1.0, 1e3, "what ε1 is added to the first coefficient");

const INFO: LossInfo = LossInfo {
    name: "poly1",
    summary: "cross-entropy plus a multiple of 1-p_y; one number to tune the pull on confident rows",
    formula: "-ln p_y + ε·(1-p_y)",
    parameters: &[EPSILON],
    plain: &[("epsilon", 0.0)],
    paper: "Leng et al. 2022, arXiv:2204.12511",
    accepts: Accepts::Labels,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

/// Poly-1, in nats: `-ln p_y + ε·(1-p_y)`.
///
/// Cross-entropy is `Σ_j (1-p_y)^j/j`; this changes its first coefficient from 1 to `1+ε`. A positive ε
/// pulls harder where the label is nearly certain, a negative one less. The authors begin with ε = 1.
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
/// use candor::losses::{Batch, Loss, Poly1};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0], 4)?);
/// let batch = Batch::new(Buffers::Forward(&[2.0, -1.0, 0.5, 0.1]), &targets);
/// let value = Poly1::new(1.0)?.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 0.6494112464).abs() < 1e-9);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Leng et al., *PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions*, ICLR 2022,
/// arXiv:2204.12511.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Poly1 {
    epsilon: f64,
}

impl Poly1 {
    /// A coefficient ε in `[-1, 1000]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn new(epsilon: f64) -> Result<Self> {
        EPSILON.check(epsilon)?;
        Ok(Self { epsilon })
    }
}

impl RowLoss for Poly1 {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
        let label = row.label()?;
        let (other, _) = row.other(label);
        row.add_residual(label, 1.0 + self.epsilon * row.probs()[label], gradient);
        Ok(self.epsilon * other - row.log_probs()[label])
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, assert_labels_only, on_row};
    use super::*;

    #[test]
    fn by_hand() {
        let z = [3.0_f64.ln(), 0.0]; // p = (3/4, 1/4)
        let got = on_row(&Poly1::new(2.0).unwrap(), &z, 0).unwrap();
        assert_close(got, 0.5 - 0.75_f64.ln(), &[-0.625, 0.625]);
    }

    #[test]
    fn labels_only_and_the_range() {
        assert_labels_only(&Poly1::new(1.0).unwrap());
        assert!(Poly1::new(-1.5).is_err() && Poly1::new(f64::NAN).is_err());
    }
}
