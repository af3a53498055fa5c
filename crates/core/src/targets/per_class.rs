//! A smoothing strength for each class: `q = (1-α_y)·onehot(y) + α_y/K`.

use super::{Background, Convention, Entry, Make, TargetInfo, TargetRule, Targets};
use crate::batch::Labels;
use crate::error::{Result, check_classes};

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Data("a strength for each class (PerClass::new)") };

const INFO: TargetInfo = TargetInfo {
    name: "per_class",
    summary: "a strength for each class; stronger where classes overlap or labels are less reliable",
    formula: "q = (1-α_y)·onehot(y) + α_y/K",
    parameters: &[],
    paper: "Li, Dasarathy & Berisha 2020, AISTATS, arXiv:2001.01900 (structural label smoothing)",
};

/// Smooths each class with a strength of its own.
///
/// When classes differ in how reliable their labels are or how far they overlap, or to protect the rare
/// classes of an imbalanced set. Choosing the strengths is left to the caller; the structural label
/// smoothing of Li et al. takes them from estimates of the Bayes error.
///
/// # Shapes
/// Strengths are `[n_classes]`, in the range of the convention.
///
/// # Examples
/// ```
/// use candor::{Convention, targets::{PerClass, TargetRule}};
/// let rule = PerClass::new(&[0.0, 0.2], Convention::Uniform)?;
/// assert_eq!(rule.distribution(0, 2)?, [1.0, 0.0]);
/// assert_eq!(rule.distribution(1, 2)?, [0.1, 0.9]);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Li, Dasarathy & Berisha, *Regularization via Structural Label Smoothing*, AISTATS 2020,
/// arXiv:2001.01900.
#[derive(Debug, Clone, PartialEq)]
pub struct PerClass {
    /// In the uniform convention.
    strengths: Vec<f64>,
}

impl PerClass {
    /// A rule with `strengths[k]` for label k.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for fewer than two classes or a strength outside the
    /// range of the convention.
    pub fn new(strengths: &[f64], convention: Convention) -> Result<Self> {
        let n_classes = strengths.len();
        check_classes(n_classes)?;
        Ok(Self { strengths: to_uniform(strengths, convention, n_classes)? })
    }

    /// The strengths in the uniform convention.
    pub fn uniform_smoothing(&self) -> &[f64] {
        &self.strengths
    }
}

/// Checks strengths and converts them to the uniform convention.
pub(super) fn to_uniform(strengths: &[f64], convention: Convention, n_classes: usize) -> Result<Vec<f64>> {
    strengths
        .iter()
        .map(|&strength| {
            convention.check(strength, n_classes)?;
            // The quotient can round to just above 1 at the end of the range.
            Ok(convention.to_uniform(strength, n_classes).min(1.0))
        })
        .collect()
}

impl TargetRule for PerClass {
    fn info(&self) -> &'static TargetInfo {
        &INFO
    }

    fn targets<'a>(&self, labels: Labels<'a>) -> Result<Targets<'a>> {
        labels.check_classes(self.strengths.len())?;
        let strength = |row| labels.get(row).map_or(0.0, |label| self.strengths[label]);
        let rows: Vec<f64> = (0..labels.len()).map(strength).collect();
        Targets::labels(labels).smoothed_per_row(rows, Background::Uniform)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_label_brings_its_strength() {
        let rule = PerClass::new(&[0.5, 0.1, 0.0], Convention::OffClass).unwrap();
        let labels = Labels::with_ignore(&[1, 0, -1], 3, Some(-1)).unwrap();
        let q = rule.targets(labels).unwrap().dense_matrix();
        for (got, want) in q.iter().zip([0.05, 0.9, 0.05, 0.5, 0.25, 0.25, 0.0, 0.0, 0.0]) {
            assert!((got - want).abs() < 1e-15, "{q:?}");
        }
    }

    #[test]
    fn bad_arguments_are_refused() {
        assert!(PerClass::new(&[0.1], Convention::Uniform).is_err());
        assert!(PerClass::new(&[0.1, 1.1], Convention::Uniform).is_err());
        assert!(PerClass::new(&[0.1, 0.6], Convention::OffClass).is_err());
        let rule = PerClass::new(&[0.1, 0.2], Convention::Uniform).unwrap();
        assert!(rule.distribution(0, 3).is_err());
    }
}
