//! Generalised label smoothing: any strength up to 1, negative ones included.
//!
//! Gradient `p - (1-r)·onehot - r/K`; for r < 0 the loss is unbounded below.

use super::{Background, Entry, Make, TargetInfo, TargetRule, Targets};
use crate::batch::Labels;
use crate::error::{Result, check_range};
use crate::parameters::Parameter;

/// Strengths below this are numerically meaningless.
const LEAST: f64 = -1e6;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Rule(|p, _| Ok(Box::new(Generalised::new(p.number("smoothing"))?))) };

const INFO: TargetInfo = TargetInfo {
    name: "generalised",
    summary: "uniform smoothing of any strength up to 1; a negative one undoes symmetric label noise",
    formula: "q = (1-r)·onehot(y) + r/K, r in (-∞, 1]",
    parameters: &[Parameter::number("smoothing", -0.4, LEAST, 1.0, "the strength r")],
    paper: "Wei et al. 2022, arXiv:2106.04149",
};

/// `q = (1-r)·onehot(y) + r/K` for any r up to 1: smoothing for r > 0, its opposite for r < 0.
///
/// When many labels are wrong: `r = -ρ/(1-ρ)` makes the loss unbiased under symmetric noise of rate ρ
/// ([`noise_correcting_strength`](crate::theory::noise_correcting_strength)). With r < 0 the other classes
/// have negative mass, there is no optimum and the loss is unbounded below: warm up without it and stop
/// early. That is why it has a name of its own.
///
/// # Examples
/// ```
/// use candor::targets::{Generalised, TargetRule};
/// let q = Generalised::new(-0.4)?.distribution(0, 4)?;
/// assert!((q[0] - 1.3).abs() < 1e-15 && (q[1] + 0.1).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Wei et al., *To Smooth or Not? When Label Smoothing Meets Noisy Labels*, ICML 2022, arXiv:2106.04149.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Generalised {
    smoothing: f64,
}

impl Generalised {
    /// A rule of strength r = `smoothing` in `[-1e6, 1]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) outside that range or for NaN.
    pub fn new(smoothing: f64) -> Result<Self> {
        check_range("smoothing", smoothing, LEAST, 1.0)?;
        Ok(Self { smoothing })
    }

    /// The strength r.
    pub fn smoothing(&self) -> f64 {
        self.smoothing
    }
}

impl TargetRule for Generalised {
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
    fn strengths_above_one_and_infinite_ones_are_refused() {
        for bad in [1.1, f64::NEG_INFINITY, f64::NAN] {
            assert!(Generalised::new(bad).is_err(), "{bad}");
        }
    }
}
