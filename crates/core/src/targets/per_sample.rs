//! A smoothing strength for each row of a batch.

use super::per_class::to_uniform;
use super::{Background, Convention, Entry, Make, TargetInfo, Targets};
use crate::batch::Labels;
use crate::error::{Result, check_classes};

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Data("a strength for each row (PerSample::targets)") };

const INFO: TargetInfo = TargetInfo {
    name: "per_sample",
    summary: "a strength for each row: by annotator agreement, token, distance to a boundary",
    formula: "q_i = (1-α_i)·onehot(y_i) + α_i/K",
    parameters: &[],
    paper: "no single source; Szegedy et al. 2016, arXiv:1512.00567, with one strength a row",
};

/// Smooths each row with a strength of its own.
///
/// When something outside the model says how reliable each label is. The strengths go with the rows of
/// one batch, so the rule itself is only the convention.
///
/// # Examples
/// ```
/// use candor::{Convention, Labels, targets::PerSample};
/// let labels = Labels::new(&[0, 0], 2)?;
/// let targets = PerSample::new(Convention::Uniform).targets(labels, &[0.0, 0.2])?;
/// assert_eq!(targets.dense_matrix(), [1.0, 0.0, 0.9, 0.1]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerSample {
    convention: Convention,
}

impl PerSample {
    /// A rule whose strengths have the meaning of `convention`.
    pub fn new(convention: Convention) -> Self {
        Self { convention }
    }

    /// The targets of a batch with `strengths[i]` for row i.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there is one strength a row,
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a strength outside the range of the convention.
    pub fn targets<'a>(&self, labels: Labels<'a>, strengths: &[f64]) -> Result<Targets<'a>> {
        check_classes(labels.n_classes())?;
        let strengths = to_uniform(strengths, self.convention, labels.n_classes())?;
        Targets::labels(labels).smoothed_per_row(strengths, Background::Uniform)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strengths_follow_the_convention_and_are_checked() {
        let labels = Labels::new(&[0, 1], 2).unwrap();
        let rule = PerSample::new(Convention::OffClass);
        assert_eq!(rule.targets(labels, &[0.1, 0.5]).unwrap().dense_matrix(), [0.9, 0.1, 0.5, 0.5]);
        assert!(rule.targets(labels, &[0.1]).is_err());
        assert!(rule.targets(labels, &[0.1, 0.6]).is_err());
        assert!(rule.targets(labels, &[0.1, f64::NAN]).is_err());
    }
}
