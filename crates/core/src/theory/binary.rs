//! Optimum, logit, loss floor and gradient bound of sigmoid cross-entropy on one target.
//!
//! With `L(z) = -t ln σ(z) - (1-t) ln(1-σ(z))`: the gradient is `σ(z) - t`, the minimum is at `σ(z) = t`.

use crate::error::{Result, check_range};

/// What sigmoid cross-entropy against one target does, known before training.
///
/// For [`BinaryTargets`](crate::targets::BinaryTargets): once for the value of positives, once for that of
/// negatives; the margin between the two is the difference of their logits, the effective hard weight that
/// of their values.
///
/// # Examples
/// ```
/// use candor::theory::BinaryTheory;
/// // The article's 0.9 for a positive: its sigmoid stops at a logit of ln 9.
/// let theory = BinaryTheory::new(0.9)?;
/// assert!((theory.logit() - 9f64.ln()).abs() < 1e-12);
/// assert!((theory.loss_floor() - 0.325083).abs() < 1e-6);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BinaryTheory {
    target: f64,
}

impl BinaryTheory {
    /// The theory of a target in [0, 1].
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) outside that range or for NaN.
    pub fn new(target: f64) -> Result<Self> {
        check_range("target", target, 0.0, 1.0)?;
        Ok(Self { target })
    }

    /// The probability at the minimum, which is the target.
    pub fn optimum(&self) -> f64 {
        self.target
    }

    /// The logit at the minimum, `ln(t / (1-t))`; infinite for the targets 0 and 1.
    pub fn logit(&self) -> f64 {
        (self.target / (1.0 - self.target)).ln()
    }

    /// The smallest loss that can be reached, the entropy of the target in nats.
    pub fn loss_floor(&self) -> f64 {
        let term = |p: f64| if p > 0.0 { p * p.ln() } else { 0.0 };
        0.0 - term(self.target) - term(1.0 - self.target)
    }

    /// The supremum of the absolute gradient: `max(t, 1-t)`, the Lipschitz constant of the loss.
    pub fn gradient_bound(&self) -> f64 {
        self.target.max(1.0 - self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_targets_have_infinite_logits_and_no_floor() {
        let (no, yes) = (BinaryTheory::new(0.0).unwrap(), BinaryTheory::new(1.0).unwrap());
        assert_eq!((no.logit(), yes.logit()), (f64::NEG_INFINITY, f64::INFINITY));
        assert_eq!((no.loss_floor(), yes.loss_floor(), yes.gradient_bound()), (0.0, 0.0, 1.0));
        assert!(BinaryTheory::new(1.1).is_err());
        assert!(BinaryTheory::new(f64::NAN).is_err());
    }

    #[test]
    fn one_half_is_the_highest_floor() {
        let half = BinaryTheory::new(0.5).unwrap();
        assert!((half.loss_floor() - std::f64::consts::LN_2).abs() < 1e-15);
        assert_eq!((half.logit(), half.gradient_bound()), (0.0, 0.5));
    }
}
