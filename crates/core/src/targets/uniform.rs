//! Uniform label smoothing: `(1-α)·onehot + α/K` (Szegedy et al., CVPR 2016, arXiv:1512.00567).

use super::{Background, Convention, Entry, Make, SMOOTHING, TargetInfo, TargetRule, Targets};
use crate::batch::Labels;
use crate::error::Result;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Rule(|p, _| Ok(Box::new(Uniform::new(p.number("smoothing"))?))) };

const INFO: TargetInfo = TargetInfo {
    name: "uniform",
    summary: "mixture of the label with the uniform distribution; the convention of PyTorch, Keras, timm and Burn",
    formula: "q = (1-α)·onehot(y) + α/K",
    parameters: &[SMOOTHING],
    paper: "Szegedy et al. 2016, arXiv:1512.00567",
};

/// Mixes the one-hot label with the uniform distribution: `q = (1-α)·onehot(y) + α/K`.
///
/// The true class gets `1-α+α/K`. α = 0 is the plain label, α = 1 the uniform distribution.
/// Where classes are masked, the background goes to the allowed ones only.
///
/// # Examples
/// ```
/// use candor::targets::{TargetRule, Uniform};
/// let q = Uniform::new(0.1)?.distribution(0, 5)?;
/// assert!((q[0] - 0.92).abs() < 1e-15 && (q[4] - 0.02).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Uniform {
    smoothing: f64,
}

impl Uniform {
    /// A rule of strength `smoothing` in `[0, 1]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) outside that range or for NaN.
    pub fn new(smoothing: f64) -> Result<Self> {
        // The range does not depend on the number of classes.
        Convention::Uniform.check(smoothing, 2)?;
        Ok(Self { smoothing })
    }

    /// The strength α.
    pub fn smoothing(&self) -> f64 {
        self.smoothing
    }
}

impl TargetRule for Uniform {
    fn info(&self) -> &'static TargetInfo {
        &INFO
    }

    fn targets<'a>(&self, labels: Labels<'a>) -> Result<Targets<'a>> {
        Ok(Targets::labels(labels).smoothed(self.smoothing, Background::Uniform))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_targets_of_the_literature() {
        let q = Uniform::new(0.1).unwrap().distribution(1, 3).unwrap();
        for (got, want) in q.iter().zip([0.1 / 3.0, 0.9 + 0.1 / 3.0, 0.1 / 3.0]) {
            assert!((got - want).abs() < 1e-15);
        }
        assert_eq!(Uniform::new(1.0).unwrap().distribution(0, 4).unwrap(), vec![0.25; 4]);
        assert_eq!(Uniform::new(0.0).unwrap().distribution(0, 2).unwrap(), vec![1.0, 0.0]);
    }

    #[test]
    fn strengths_outside_the_unit_interval_are_refused() {
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            let message = Uniform::new(bad).unwrap_err().to_string();
            assert!(message.contains("smoothing") && message.contains("between 0 and 1"), "{message}");
        }
    }
}
