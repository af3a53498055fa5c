//! Smoothing that grows with doubt: `α(c) = α_max · ((1-c)/(1-1/K))^γ` for confidence c.

use super::{Background, Entry, Make, TargetInfo, Targets};
use crate::batch::Labels;
use crate::error::{Result, check_classes, check_len, check_range};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Data("the confidence of each row (ConfidenceAdaptive::targets)") };

const INFO: TargetInfo = TargetInfo {
    name: "confidence_adaptive",
    summary: "smooths uncertain rows most, such as pseudo-labels of low confidence",
    formula: "α(c) = α_max·((1-c)/(1-1/K))^γ, q = (1-α)·onehot(y) + α/K",
    parameters: &[
        Parameter::number("max_smoothing", 0.2, 0.0, 1.0, "the strength at chance confidence, α_max"),
        Parameter::number("gamma", 1.0, 0.0, 100.0, "how fast it falls with confidence, γ"),
    ],
    paper: "none; derived here from the damping of smoothed pseudo-labels",
};

/// Uniform smoothing whose strength falls from `max_smoothing` at chance confidence to 0 at certainty:
/// `α(c) = α_max · ((1-c)/(1-1/K))^γ`.
///
/// For pseudo-labels. A constant strength changes every gradient by the same amount, so it damps the
/// *confident* rows most in proportion; this rule damps the uncertain ones.
///
/// # Examples
/// ```
/// use candor::{Labels, targets::ConfidenceAdaptive};
/// let rule = ConfidenceAdaptive::new(0.2, 1.0)?;
/// assert_eq!(rule.strength(1.0, 2)?, 0.0);
/// assert_eq!(rule.strength(0.5, 2)?, 0.2);
/// let q = rule.targets(Labels::new(&[0], 2)?, &[0.75])?.dense_matrix();
/// assert!((q[0] - 0.95).abs() < 1e-15 && (q[1] - 0.05).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfidenceAdaptive {
    max_smoothing: f64,
    gamma: f64,
}

impl ConfidenceAdaptive {
    /// A rule of greatest strength `max_smoothing` in `[0, 1]` and exponent `gamma` in `[0, 100]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) outside those ranges or for NaN.
    pub fn new(max_smoothing: f64, gamma: f64) -> Result<Self> {
        check_range("max_smoothing", max_smoothing, 0.0, 1.0)?;
        check_range("gamma", gamma, 0.0, 100.0)?;
        Ok(Self { max_smoothing, gamma })
    }

    /// The strength, in the uniform convention, at a confidence (the largest probability) in [0, 1].
    ///
    /// Below 1/K, which no largest probability is but for rounding, the strength is `max_smoothing`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a confidence outside that range or fewer than
    /// two classes.
    pub fn strength(&self, confidence: f64, n_classes: usize) -> Result<f64> {
        check_classes(n_classes)?;
        check_range("confidence", confidence, 0.0, 1.0)?;
        let doubt = ((1.0 - confidence) / (1.0 - 1.0 / n_classes as f64)).min(1.0);
        Ok(self.max_smoothing * doubt.powf(self.gamma))
    }

    /// The targets of a batch with `confidence[i]` for row i; that of ignored rows is not read.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there is one confidence a row, and those of
    /// [`strength`](Self::strength).
    pub fn targets<'a>(&self, labels: Labels<'a>, confidence: &[f64]) -> Result<Targets<'a>> {
        check_len("confidence", labels.len(), confidence.len())?;
        let strengths: Result<Vec<f64>> = (0..labels.len())
            .map(|row| match labels.get(row) {
                Some(_) => self.strength(confidence[row], labels.n_classes()),
                None => Ok(0.0),
            })
            .collect();
        Targets::labels(labels).smoothed_per_row(strengths?, Background::Uniform)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strength_falls_with_confidence() {
        let rule = ConfidenceAdaptive::new(0.3, 2.0).unwrap();
        let strengths: Vec<f64> = (0..=10).map(|i| rule.strength(f64::from(i) / 10.0, 5).unwrap()).collect();
        assert!(strengths.windows(2).all(|pair| pair[0] >= pair[1]));
        assert_eq!((strengths[1], strengths[10]), (0.3, 0.0));
        // (1-.6)/(1-.2) = 1/2, squared.
        assert!((strengths[6] - 0.075).abs() < 1e-15);
    }

    #[test]
    fn ignored_rows_need_no_confidence() {
        let labels = Labels::with_ignore(&[-1, 1], 2, Some(-1)).unwrap();
        let rule = ConfidenceAdaptive::new(0.2, 1.0).unwrap();
        assert_eq!(rule.targets(labels, &[f64::NAN, 1.0]).unwrap().dense_matrix(), [0.0, 0.0, 0.0, 1.0]);
        assert!(rule.targets(labels, &[1.0, f64::NAN]).is_err());
        assert!(rule.targets(labels, &[1.0]).is_err());
        assert!(ConfidenceAdaptive::new(1.1, 1.0).is_err());
        assert!(ConfidenceAdaptive::new(0.1, -1.0).is_err());
    }
}
