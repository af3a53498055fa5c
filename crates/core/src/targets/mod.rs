//! Label in, distribution out: what a classifier is asked to predict.
//!
//! A [`TargetRule`] turns labels into [`Targets`]: a few explicit (class, mass) pairs a row plus a
//! background mass spread over the other classes. Nothing dense is built unless it is asked for.

mod form;
mod off_class;
mod row;
mod uniform;

pub use form::{Background, DenseRows, Explicit, TARGET_TOLERANCE, Targets};
pub use off_class::OffClass;
pub use row::{RowBackground, RowExplicit, RowTarget};
pub use uniform::Uniform;

use crate::batch::Labels;
use crate::error::{Error, Result};
use crate::parameters::Parameter;

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
            Convention::Uniform => smoothing * (n_classes as f64 - 1.0) / n_classes as f64,
            Convention::OffClass => smoothing,
        }
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

/// What a target rule is called and where it comes from; shown by `candor list`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct TargetInfo {
    /// The name in configurations.
    pub name: &'static str,
    /// One line: what it is and when to use it.
    pub summary: &'static str,
    /// The target row in words of the field.
    pub formula: &'static str,
    /// The parameters with their published values.
    pub parameters: &'static [Parameter],
    /// Where it was published.
    pub paper: &'static str,
}

/// The strength that most rules share.
const SMOOTHING: Parameter = Parameter::number("smoothing", 0.1, 0.0, 1.0, "the strength α");

/// Turns class labels into target distributions.
///
/// A rule is valid for life once built. [`Uniform`] shows the smallest implementation.
pub trait TargetRule: std::fmt::Debug + Send + Sync {
    /// The name, formula and source of the rule.
    fn info(&self) -> &'static TargetInfo;

    /// The targets of a batch.
    ///
    /// # Errors
    /// Whatever makes the rule undefined for these labels.
    fn targets<'a>(&self, labels: Labels<'a>) -> Result<Targets<'a>>;

    /// The dense distribution for one label.
    ///
    /// # Errors
    /// [`Error::LabelOutOfRange`] if `label` is not below `n_classes`, and the rule's own errors.
    fn distribution(&self, label: usize, n_classes: usize) -> Result<Vec<f64>> {
        let label = [label as i64];
        let targets = self.targets(Labels::new(&label, n_classes)?)?;
        Ok(targets.row(0).map(|row| row.dense(n_classes)).unwrap_or_default())
    }
}

/// Every target rule, in the order of `candor list`.
pub const ALL: &[&TargetInfo] = &[&uniform::INFO, &off_class::INFO];
