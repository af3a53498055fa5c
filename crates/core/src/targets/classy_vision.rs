//! Label smoothing as Classy Vision and mmpretrain write it: `(onehot + ε/K) / (1+ε)`.

use super::{Background, Entry, Make, TargetInfo, TargetRule, Targets};
use crate::batch::Labels;
use crate::error::{Result, check_range};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: Make::Rule(|p, _| Ok(Box::new(ClassyVision::new(p.number("smoothing"))?))) };

const INFO: TargetInfo = TargetInfo {
    name: "classy_vision",
    summary: "uniform mass added to the label and the row divided by its sum; mmpretrain's mode of this name",
    formula: "q = (onehot(y) + ε/K) / (1+ε)",
    parameters: &[Parameter::number("smoothing", 0.1, 0.0, 1.0, "the added mass ε")],
    paper: "Classy Vision (Facebook Research) and mmpretrain, source code",
};

/// Adds the mass ε to every class evenly and renormalises: `q = (onehot(y) + ε/K) / (1+ε)`.
///
/// For ports of configurations that name this mode. Equal to [`Uniform`](super::Uniform) with strength
/// `ε/(1+ε)`, so a little weaker than the same number there.
///
/// # Examples
/// ```
/// use candor::targets::{ClassyVision, TargetRule};
/// let q = ClassyVision::new(0.25)?.distribution(0, 5)?;
/// assert!((q[0] - 0.84).abs() < 1e-15 && (q[1] - 0.04).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassyVision {
    smoothing: f64,
}

impl ClassyVision {
    /// A rule that adds `smoothing` in `[0, 1]`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) outside that range or for NaN.
    pub fn new(smoothing: f64) -> Result<Self> {
        check_range("smoothing", smoothing, 0.0, 1.0)?;
        Ok(Self { smoothing })
    }

    /// The strength of the same target in the uniform convention, `ε/(1+ε)`.
    pub fn uniform_smoothing(&self) -> f64 {
        self.smoothing / (1.0 + self.smoothing)
    }
}

impl TargetRule for ClassyVision {
    fn info(&self) -> &'static TargetInfo {
        &INFO
    }

    fn targets<'a>(&self, labels: Labels<'a>) -> Result<Targets<'a>> {
        Ok(Targets::labels(labels).smoothed(self.uniform_smoothing(), Background::Uniform))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_is_the_formula_of_the_source() {
        let q = ClassyVision::new(0.1).unwrap().distribution(2, 4).unwrap();
        for (class, q) in q.iter().enumerate() {
            let want = (f64::from(u8::from(class == 2)) + 0.1 / 4.0) / 1.1;
            assert!((q - want).abs() < 1e-15);
        }
    }

    #[test]
    fn strengths_out_of_range_are_refused() {
        assert!(ClassyVision::new(-0.1).is_err());
        assert!(ClassyVision::new(1.1).is_err());
    }
}
