//! One-sided smoothing: positives and negatives have strengths of their own.

use super::{BinaryRule, BinaryTargets, Entry, Make, Positives, TargetInfo};
use crate::error::{Result, check_range, check_range_hint};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    make: Make::Binary(|p, _| {
        Ok(Box::new(OneSided::new(p.number("smoothing_real"), p.number("smoothing_fake"))?))
    }),
};

const INFO: TargetInfo = TargetInfo {
    name: "one_sided",
    summary: "real samples at 1-α, fakes at β = 0; for discriminators, and for sparse positives",
    formula: "t = 1-α for positives, β for negatives",
    parameters: &[
        Parameter::number("smoothing_real", 0.1, 0.0, 1.0, "the strength α on positives"),
        Parameter::number("smoothing_fake", 0.0, 0.0, 1.0, "the target β of negatives"),
    ],
    paper: "Salimans et al. 2016, arXiv:1606.03498",
};

/// `1-α` for real samples and β for fakes.
///
/// The optimal discriminator is `((1-α) p_d + β p_g) / (p_d + p_g)`: with β = 0 its logit on real data is
/// at most `ln((1-α)/α)`, and where only fakes fall it is still 0. With β > 0 it is the constant β there,
/// which leaves stray fakes without a gradient; hence one-sided. In multi-label training the same rule
/// smooths the positives and leaves sparse negatives alone.
///
/// # Examples
/// ```
/// use candor::{Labels, targets::{BinaryRule, OneSided, Positives}};
/// let real_then_fake = Positives::binary(Labels::new(&[1, 0], 2)?)?;
/// assert_eq!(OneSided::new(0.1, 0.0)?.targets(real_then_fake)?.dense_matrix(), [0.9, 0.0]);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Salimans et al., *Improved Techniques for Training GANs*, NIPS 2016, arXiv:1606.03498.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OneSided {
    real: f64,
    fake: f64,
}

impl OneSided {
    /// A rule of strengths α = `smoothing_real` and β = `smoothing_fake`, with `α + β <= 1`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for α outside [0, 1] or β outside [0, 1-α].
    pub fn new(smoothing_real: f64, smoothing_fake: f64) -> Result<Self> {
        check_range("smoothing_real", smoothing_real, 0.0, 1.0)?;
        let real = 1.0 - smoothing_real;
        check_range_hint("smoothing_fake", smoothing_fake, 0.0, real, " = 1 - smoothing_real")?;
        Ok(Self { real, fake: smoothing_fake })
    }

    /// The optimal discriminator output where real and fake samples have these densities.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for densities that are negative, not finite or both
    /// zero.
    pub fn optimal_discriminator(&self, real_density: f64, fake_density: f64) -> Result<f64> {
        check_range("real_density", real_density, 0.0, f64::MAX / 2.0)?;
        check_range("fake_density", fake_density, 0.0, f64::MAX / 2.0)?;
        let sum = real_density + fake_density;
        check_range("the sum of the densities", sum, f64::MIN_POSITIVE, f64::MAX)?;
        Ok(self.real * (real_density / sum) + self.fake * (fake_density / sum))
    }
}

impl BinaryRule for OneSided {
    fn info(&self) -> &'static TargetInfo {
        &INFO
    }

    fn targets<'a>(&self, positives: Positives<'a>) -> Result<BinaryTargets<'a>> {
        let n_classes = positives.n_classes();
        BinaryTargets::new(positives, vec![self.real; n_classes], vec![self.fake; n_classes])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_optimal_discriminator_of_the_literature() {
        let one_sided = OneSided::new(0.1, 0.0).unwrap();
        assert!((one_sided.optimal_discriminator(1.0, 1.0).unwrap() - 0.45).abs() < 1e-15);
        assert_eq!(one_sided.optimal_discriminator(0.0, 1.0).unwrap(), 0.0);
        let two_sided = OneSided::new(0.1, 0.1).unwrap();
        assert_eq!(two_sided.optimal_discriminator(0.0, 1.0).unwrap(), 0.1);
        assert!(one_sided.optimal_discriminator(0.0, 0.0).is_err());
        assert!(one_sided.optimal_discriminator(-1.0, 2.0).is_err());
    }

    #[test]
    fn fakes_above_reals_are_refused() {
        assert!(OneSided::new(0.1, 0.91).is_err());
        assert!(OneSided::new(1.1, 0.0).is_err());
        assert!(OneSided::new(0.5, 0.5).is_ok());
    }
}
