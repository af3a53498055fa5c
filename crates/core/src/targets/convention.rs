//! The two published meanings of the strength α: `(1-α)·onehot + α/K`, and `1-α` beside `α/(K-1)`.

use super::{OffClass, TargetRule, Uniform};
use crate::error::{Error, Result, check_range_hint};

/// What the strength α of uniform smoothing means.
///
/// Both give the same family of targets: `alpha_off = alpha_uniform * (K-1)/K`.
///
/// # Examples
/// ```
/// use candor::Convention;
/// // PyTorch's 0.1 over ten classes is 0.09 in the convention of newer fairseq and Megatron.
/// assert!((Convention::Uniform.to_off_class(0.1, 10) - 0.09).abs() < 1e-15);
/// assert!((Convention::OffClass.to_uniform(0.09, 10) - 0.1).abs() < 1e-15);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Convention {
    /// `(1-α)·onehot + α/K`: PyTorch, Keras, timm, Burn.
    #[default]
    Uniform,
    /// `1-α` on the label and `α/(K-1)` on each other class: newer fairseq, Megatron.
    OffClass,
}

impl Convention {
    /// The name used in configurations and outputs.
    pub fn name(self) -> &'static str {
        match self {
            Convention::Uniform => "uniform",
            Convention::OffClass => "off_class",
        }
    }

    /// Largest legal strength for `n_classes`: there the target is the uniform distribution.
    pub fn max_smoothing(self, n_classes: usize) -> f64 {
        match self {
            Convention::Uniform => 1.0,
            Convention::OffClass => (n_classes as f64 - 1.0) / n_classes as f64,
        }
    }

    /// The strength that gives the same target in the uniform convention.
    pub fn to_uniform(self, smoothing: f64, n_classes: usize) -> f64 {
        match self {
            Convention::Uniform => smoothing,
            Convention::OffClass if n_classes < 2 => 0.0,
            Convention::OffClass => smoothing * n_classes as f64 / (n_classes as f64 - 1.0),
        }
    }

    /// The strength that gives the same target in the off-class convention.
    pub fn to_off_class(self, smoothing: f64, n_classes: usize) -> f64 {
        match self {
            Convention::Uniform if n_classes < 2 => 0.0,
            Convention::Uniform => smoothing * (n_classes as f64 - 1.0) / n_classes as f64,
            Convention::OffClass => smoothing,
        }
    }

    /// Checks that a strength is legal for `n_classes`.
    pub(crate) fn check(self, smoothing: f64, n_classes: usize) -> Result<()> {
        let hint = match self {
            Convention::Uniform => " (convention uniform)",
            Convention::OffClass => " = (K-1)/K (convention off_class)",
        };
        check_range_hint("smoothing", smoothing, 0.0, self.max_smoothing(n_classes.max(1)), hint)
    }

    /// The rule of this convention at one strength.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if `smoothing` is not in `[0, max_smoothing]`.
    pub fn rule(self, smoothing: f64, n_classes: usize) -> Result<Box<dyn TargetRule>> {
        Ok(match self {
            Convention::Uniform => Box::new(Uniform::new(smoothing)?),
            Convention::OffClass => Box::new(OffClass::new(smoothing, n_classes)?),
        })
    }
}

impl std::str::FromStr for Convention {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "uniform" => Ok(Convention::Uniform),
            "off_class" | "off-class" => Ok(Convention::OffClass),
            _ => Err(crate::registry::unknown("convention", name, ["uniform", "off_class"])),
        }
    }
}
