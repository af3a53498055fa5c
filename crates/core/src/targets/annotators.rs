//! Human soft labels: the shares of several annotators' votes.

use super::sparse_rows::SparseRows;
use super::{Background, Entry, Make, TargetInfo, Targets};
use crate::error::{Error, Result, check_classes, check_range};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Data("counts of votes (Annotators::targets)") };

const INFO: TargetInfo = TargetInfo {
    name: "annotators",
    summary: "the shares of several annotators' votes, with a pseudo-count for the votes not cast",
    formula: "q_k = (votes_k + c) / (Σ votes + cK)",
    parameters: &[Parameter::number("pseudo_count", 0.0, 0.0, 1e6, "votes added to every class, c")],
    paper: "Peterson et al. 2019, arXiv:1908.07086 (CIFAR-10H)",
};

/// Soft labels from the votes of several annotators.
///
/// The honest target where people disagree. The pseudo-count is a smoothing that fades as votes come in:
/// a row of n votes has strength `cK/(n + cK)`. Rows without any vote are ignored.
///
/// # Shapes
/// Votes are `[n, n_classes]`, finite and not negative; weighted votes are fine.
///
/// # Examples
/// ```
/// use candor::targets::Annotators;
/// let targets = Annotators::new(0.5)?.targets(&[3.0, 0.0, 0.0, 0.0], 2)?;
/// assert_eq!(targets.row(0).unwrap().dense(2), [0.875, 0.125]);
/// assert!(targets.row(1).is_none());
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Peterson et al., *Human Uncertainty Makes Classification More Robust*, ICCV 2019, arXiv:1908.07086.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Annotators {
    pseudo_count: f64,
}

impl Annotators {
    /// A rule that adds `pseudo_count` in `[0, 1e6]` to the votes of every class.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] outside that range or for NaN.
    pub fn new(pseudo_count: f64) -> Result<Self> {
        check_range("pseudo_count", pseudo_count, 0.0, 1e6)?;
        Ok(Self { pseudo_count })
    }

    /// The targets of a batch of votes.
    ///
    /// # Errors
    /// [`Error::RaggedRows`] for a wrong length, [`Error::TargetValue`] for a vote that is negative or not
    /// finite, [`Error::OutOfRange`] for fewer than two classes.
    pub fn targets(&self, votes: &[f64], n_classes: usize) -> Result<Targets<'static>> {
        check_classes(n_classes)?;
        if !votes.len().is_multiple_of(n_classes) {
            return Err(Error::RaggedRows { what: "votes", len: votes.len(), n_classes });
        }
        let added = self.pseudo_count * n_classes as f64;
        let mut rows = SparseRows::with_capacity(votes.len() / n_classes);
        let mut strengths = Vec::with_capacity(votes.len() / n_classes);
        for (row, votes) in votes.chunks_exact(n_classes).enumerate() {
            if let Some(class) = votes.iter().position(|vote| !(vote.is_finite() && *vote >= 0.0)) {
                return Err(Error::TargetValue { row, class, value: votes[class] });
            }
            // Relative to the largest, so that the sum cannot overflow.
            let most = votes.iter().copied().fold(0.0, f64::max);
            if most == 0.0 {
                strengths.push(0.0);
                rows.ignored_row();
                continue;
            }
            let sum: f64 = votes.iter().map(|vote| vote / most).sum();
            strengths.push(added / most / (sum + added / most));
            for (class, vote) in votes.iter().enumerate().filter(|(_, vote)| **vote > 0.0) {
                rows.add(class, vote / most / sum);
            }
            rows.end_row();
        }
        // A pseudo-count beside votes near the smallest double may overflow the quotient.
        strengths.iter_mut().filter(|strength| strength.is_nan()).for_each(|strength| *strength = 1.0);
        rows.finish(n_classes)?.smoothed_per_row(strengths, Background::Uniform)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_without_and_with_a_pseudo_count() {
        let votes = [7.0, 2.0, 1.0, 0.0, 4.0, 0.0];
        let plain = Annotators::new(0.0).unwrap().targets(&votes, 3).unwrap().dense_matrix();
        for (got, want) in plain.iter().zip([0.7, 0.2, 0.1, 0.0, 1.0, 0.0]) {
            assert!((got - want).abs() < 1e-15);
        }
        let smoothed = Annotators::new(2.0).unwrap().targets(&votes, 3).unwrap().dense_matrix();
        for (got, want) in smoothed.iter().zip([9.0 / 16.0, 0.25, 3.0 / 16.0, 0.2, 0.6, 0.2]) {
            assert!((got - want).abs() < 1e-15);
        }
    }

    #[test]
    fn huge_and_tiny_votes_give_distributions() {
        for scale in [1e308, 1e-308] {
            let votes = [scale, scale, 0.0];
            let q = Annotators::new(1.0).unwrap().targets(&votes, 3).unwrap().dense_matrix();
            assert!((q.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{q:?}");
        }
    }

    #[test]
    fn each_bad_argument_has_its_error() {
        let rule = Annotators::new(0.0).unwrap();
        assert!(matches!(rule.targets(&[1.0; 3], 2), Err(Error::RaggedRows { .. })));
        assert!(matches!(
            rule.targets(&[1.0, 0.0, 0.0, -1.0], 2),
            Err(Error::TargetValue { row: 1, class: 1, .. })
        ));
        assert!(rule.targets(&[1.0], 1).is_err());
        assert!(Annotators::new(-1.0).is_err());
    }
}
