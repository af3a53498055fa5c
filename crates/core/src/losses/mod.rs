//! Losses: value and gradient with respect to the logits, behind one trait.
//!
//! A loss takes logits `[n, n_classes]` and [`Targets`], and returns its value, its gradient and,
//! from the same sweep, the un-smoothed NLL, accuracy and confidence. Registered in [`ALL`].

mod cross_entropy;
mod options;
mod sweep;

pub use cross_entropy::CrossEntropy;
pub use options::{LossOptions, Reduction, Weighting};
pub use sweep::{LossValue, sweep_rows};

use crate::batch::{Buffers, Scalar};
use crate::error::Result;
use crate::targets::Targets;

/// How the gradient of a loss is obtained; shown by `candor list`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GradientKind {
    /// The exact gradient of the value.
    Exact,
    /// The published method holds part of the expression fixed; that part is exposed.
    StopGradient,
}

/// What a loss accepts as targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Accepts {
    /// Any target row, so any smoothing.
    Targets,
    /// A class label only; a smoothing is an error.
    Labels,
}

/// What a loss is called, what it computes and where it comes from; shown by `candor list`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct LossInfo {
    /// The name in configurations.
    pub name: &'static str,
    /// One line: what it is and when to use it.
    pub summary: &'static str,
    /// The loss of one row.
    pub formula: &'static str,
    /// The parameters with their published values.
    pub defaults: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// What it accepts as targets.
    pub accepts: Accepts,
    /// How its gradient is obtained.
    pub gradient: GradientKind,
    /// Whether value and gradient come from one vectorised sweep.
    pub fused: bool,
    /// Whether a row's value depends on that row alone.
    pub separable: bool,
}

/// A loss over logits.
///
/// Implement it to plug in a loss of your own; separable ones need a row function and
/// [`sweep_rows`] only.
pub trait Loss: std::fmt::Debug + Send + Sync {
    /// The name, formula and source.
    fn info(&self) -> &'static LossInfo;

    /// Value and gradient in single precision.
    ///
    /// `losses`, if given, receives the loss of each row (0 for ignored ones), before the reduction.
    /// With [`Reduction::None`] the gradient of each row is that of its own loss.
    ///
    /// # Errors
    /// Shapes that do not fit, logits that are NaN, +inf or all -inf, a mean over nothing.
    /// In-place buffers hold neither logits nor gradient after an error.
    fn value_grad_f32(
        &self,
        buffers: Buffers<'_, f32>,
        targets: &Targets<'_>,
        options: &LossOptions<'_>,
        losses: Option<&mut [f32]>,
    ) -> Result<LossValue>;

    /// Value and gradient in double precision; see [`value_grad_f32`](Self::value_grad_f32).
    ///
    /// # Errors
    /// As in single precision.
    fn value_grad_f64(
        &self,
        buffers: Buffers<'_, f64>,
        targets: &Targets<'_>,
        options: &LossOptions<'_>,
        losses: Option<&mut [f64]>,
    ) -> Result<LossValue>;
}

/// Calls the method of `loss` for the storage type.
///
/// # Errors
/// Those of [`Loss::value_grad_f32`].
pub fn value_grad<T: Scalar>(
    loss: &dyn Loss,
    buffers: Buffers<'_, T>,
    targets: &Targets<'_>,
    options: &LossOptions<'_>,
    losses: Option<&mut [T]>,
) -> Result<LossValue> {
    T::value_grad(loss, buffers, targets, options, losses)
}

/// A registered loss: its description and how to make one with the published defaults.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The description.
    pub info: &'static LossInfo,
    /// Makes the loss.
    pub make: fn() -> Box<dyn Loss>,
}

/// Every loss, in the order of `candor list`.
pub const ALL: &[Entry] = &[Entry { info: &cross_entropy::INFO, make: || Box::new(CrossEntropy) }];

/// The registered loss of this name.
///
/// # Errors
/// [`Error::UnknownName`](crate::Error::UnknownName), naming the closest one.
pub fn by_name(name: &str) -> Result<Box<dyn Loss>> {
    ALL.iter()
        .find(|entry| entry.info.name == name)
        .map(|entry| (entry.make)())
        .ok_or_else(|| crate::registry::unknown("loss", name, ALL.iter().map(|entry| entry.info.name)))
}
