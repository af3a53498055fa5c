//! Off-class label smoothing: 1-α on the label, the rest on the other classes.

use super::{Background, Convention, Entry, Make, SMOOTHING, TargetInfo, TargetRule, Targets};
use crate::batch::Labels;
use crate::error::Result;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Rule(|p, k| Ok(Box::new(OffClass::new(p.number("smoothing"), k)?))) };

const INFO: TargetInfo = TargetInfo {
    name: "off_class",
    summary: "1-α on the label, α shared by the other classes; the convention of newer fairseq and Megatron",
    formula: "q = 1-α on y, α/(K-1) elsewhere",
    parameters: &[SMOOTHING],
    paper: "Vaswani et al. 2017, arXiv:1706.03762 (as implemented in tensor2tensor)",
};

/// Leaves `1-α` on the label and shares α evenly among the other classes.
///
/// Equal to [`Uniform`](super::Uniform) with strength `α·K/(K-1)`. Above `(K-1)/K` the true class
/// would be the least likely one, so that is the largest strength accepted.
///
/// # Examples
/// ```
/// use candor::targets::{OffClass, TargetRule};
/// let q = OffClass::new(0.1, 3)?.distribution(1, 3)?;
/// assert!((q[0] - 0.05).abs() < 1e-15 && (q[1] - 0.9).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OffClass {
    smoothing: f64,
    n_classes: usize,
}

impl OffClass {
    /// A rule of strength `smoothing` in `[0, (K-1)/K]` for K = `n_classes`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) outside that range or for NaN.
    pub fn new(smoothing: f64, n_classes: usize) -> Result<Self> {
        Convention::OffClass.check(smoothing, n_classes)?;
        Ok(Self { smoothing, n_classes })
    }

    /// The strength α.
    pub fn smoothing(&self) -> f64 {
        self.smoothing
    }
}

impl TargetRule for OffClass {
    fn info(&self) -> &'static TargetInfo {
        &INFO
    }

    fn targets<'a>(&self, labels: Labels<'a>) -> Result<Targets<'a>> {
        labels.check_classes(self.n_classes)?;
        Ok(Targets::labels(labels).smoothed(self.smoothing, Background::OtherClasses))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn the_article_s_worked_targets() {
        assert_eq!(OffClass::new(0.1, 2).unwrap().distribution(1, 2).unwrap(), vec![0.1, 0.9]);
        let q = OffClass::new(0.1, 5).unwrap().distribution(0, 5).unwrap();
        assert!((q[0] - 0.9).abs() < 1e-15);
        assert!(q[1..].iter().all(|v| (v - 0.025).abs() < 1e-15));
    }

    #[test]
    fn strengths_that_would_reverse_the_order_are_refused() {
        assert!(OffClass::new(0.5, 2).is_ok());
        for bad in [0.51, -0.1, f64::NAN] {
            assert!(matches!(OffClass::new(bad, 2), Err(Error::OutOfRange { .. })), "{bad}");
        }
    }

    #[test]
    fn another_number_of_classes_than_the_rule_was_made_for_is_refused() {
        assert!(matches!(OffClass::new(0.1, 3).unwrap().distribution(0, 4), Err(Error::Shape { .. })));
    }
}
