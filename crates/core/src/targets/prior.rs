//! Smoothing towards a class prior: the unigram distribution of a vocabulary, or any vector.

use super::{Background, Entry, Make, Priors, SMOOTHING, TargetInfo, TargetRule, Targets};
use crate::batch::{Labels, check_row};
use crate::error::{Error, Result, check_classes, check_range};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Data("class counts or a prior over the classes (Prior::new)") };

const INFO: TargetInfo = TargetInfo {
    name: "prior",
    summary: "smoothing mass in proportion to a class prior; for imbalanced classes and large vocabularies",
    formula: "q = (1-α)·onehot(y) + α·π, π ∝ (count + laplace)^power",
    parameters: &[
        SMOOTHING,
        Parameter::number("laplace", 0.0, 0.0, 1e12, "count added to every class"),
        Parameter::number("power", 1.0, 0.0, 10.0, "exponent of the counts; 0 is uniform"),
    ],
    paper: "Pereyra et al. 2017, arXiv:1701.06548",
};

/// Mixes the one-hot label with a prior over the classes: `q = (1-α)·onehot(y) + α·π`.
///
/// Where classes are imbalanced, uniform smoothing pulls probabilities towards the rare ones; a prior of
/// the class frequencies (unigram smoothing) does not. Where classes are masked, the prior is renormalised
/// over the allowed ones.
///
/// # Shapes
/// The prior is `[n_classes]` and sums to 1.
///
/// # Examples
/// ```
/// use candor::targets::{Prior, TargetRule};
/// let q = Prior::new(0.1, &[0.5, 0.3, 0.2])?.distribution(2, 3)?;
/// assert!((q[0] - 0.05).abs() < 1e-15 && (q[2] - 0.92).abs() < 1e-15);
/// let unigram = Prior::from_counts(0.1, &[8.0, 1.0, 0.0], 1.0, 1.0)?;
/// assert!((unigram.prior()[0] - 0.75).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Pereyra et al., *Regularizing Neural Networks by Penalizing Confident Output Distributions*, 2017,
/// arXiv:1701.06548.
#[derive(Debug, Clone)]
pub struct Prior {
    smoothing: f64,
    prior: Priors<'static>,
}

impl Prior {
    /// A rule of strength `smoothing` in `[0, 1]` towards `prior`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a strength outside that range or fewer than two classes,
    /// [`Error::ProbabilityValue`] or [`Error::ProbabilitySum`] for a prior that is no distribution.
    pub fn new(smoothing: f64, prior: &[f64]) -> Result<Self> {
        check_range("smoothing", smoothing, 0.0, 1.0)?;
        check_classes(prior.len())?;
        check_row(0, prior)?;
        Ok(Self { smoothing, prior: prior.to_vec().into() })
    }

    /// The same towards the frequencies `π ∝ (count + laplace)^power`.
    ///
    /// `power` below 1 flattens the prior, as is usual for vocabularies; `laplace` keeps unseen classes
    /// alive.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a parameter outside its range, [`Error::WeightValue`] for a count that is
    /// negative or not finite, [`Error::ZeroWeight`] if nothing was counted.
    pub fn from_counts(smoothing: f64, counts: &[f64], laplace: f64, power: f64) -> Result<Self> {
        Self::new(smoothing, &frequencies(counts, laplace, power)?)
    }

    /// The prior π.
    pub fn prior(&self) -> &[f64] {
        self.prior.values()
    }
}

/// `(count + laplace)^power`, normalised.
pub(super) fn frequencies(counts: &[f64], laplace: f64, power: f64) -> Result<Vec<f64>> {
    check_range("laplace", laplace, 0.0, 1e12)?;
    check_range("power", power, 0.0, 10.0)?;
    if let Some(index) = counts.iter().position(|count| !(count.is_finite() && *count >= 0.0)) {
        return Err(Error::WeightValue { what: "class count", index, value: counts[index] });
    }
    let most = counts.iter().copied().fold(0.0, f64::max) + laplace;
    if most == 0.0 {
        return Err(Error::ZeroWeight { what: "a class prior" });
    }
    // Relative to the largest, so that powers can neither overflow nor all vanish.
    let masses: Vec<f64> = counts.iter().map(|count| ((count + laplace) / most).powf(power)).collect();
    let sum: f64 = masses.iter().sum();
    Ok(masses.iter().map(|mass| mass / sum).collect())
}

impl TargetRule for Prior {
    fn info(&self) -> &'static TargetInfo {
        &INFO
    }

    fn targets<'a>(&self, labels: Labels<'a>) -> Result<Targets<'a>> {
        labels.check_classes(self.prior.values().len())?;
        Ok(Targets::labels(labels).smoothed(self.smoothing, Background::Prior(self.prior.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_zero_is_uniform_and_laplace_keeps_unseen_classes() {
        assert_eq!(frequencies(&[5.0, 1.0, 0.0, 2.0], 0.0, 0.0).unwrap(), vec![0.25; 4]);
        assert_eq!(frequencies(&[0.0, 1.0], 1.0, 1.0).unwrap(), vec![1.0 / 3.0, 2.0 / 3.0]);
        let half = frequencies(&[4.0, 1.0], 0.0, 0.5).unwrap();
        assert!((half[0] - 2.0 / 3.0).abs() < 1e-15);
        assert!(frequencies(&[1e300, 1.0], 0.0, 10.0).unwrap().iter().all(|f| f.is_finite()));
    }

    #[test]
    fn each_bad_argument_has_its_error() {
        assert!(matches!(Prior::new(1.1, &[0.5, 0.5]), Err(Error::OutOfRange { .. })));
        assert!(matches!(Prior::new(0.1, &[1.0]), Err(Error::OutOfRange { argument: "n_classes", .. })));
        assert!(matches!(Prior::new(0.1, &[0.5, 0.4]), Err(Error::ProbabilitySum { .. })));
        assert!(matches!(Prior::from_counts(0.1, &[0.0, 0.0], 0.0, 1.0), Err(Error::ZeroWeight { .. })));
        assert!(matches!(
            Prior::from_counts(0.1, &[1.0, -1.0], 0.0, 1.0),
            Err(Error::WeightValue { index: 1, .. })
        ));
        assert!(Prior::from_counts(0.1, &[1.0, 1.0], -1.0, 1.0).is_err());
        assert!(Prior::from_counts(0.1, &[1.0, 1.0], 0.0, 11.0).is_err());
        let rule = Prior::new(0.1, &[0.5, 0.5]).unwrap();
        assert!(matches!(rule.distribution(0, 3), Err(Error::Shape { .. })));
    }
}
