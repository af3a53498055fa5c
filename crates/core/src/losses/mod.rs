//! Losses: value and gradient with respect to the logits, behind one trait.
//!
//! A loss takes logits `[n, n_classes]` and [`Targets`](crate::Targets), and returns its value, its gradient and,
//! from the same sweep, the un-smoothed NLL, accuracy and confidence. Registered in [`ALL`].

mod acls;
mod backward_correction;
mod batch;
mod binary_cross_entropy;
mod bootstrap_hard;
mod bootstrap_soft;
mod brier;
mod confidence_penalty;
mod cross_entropy;
mod distillation;
mod dual_focal;
mod flsd53;
mod focal;
mod form;
mod forward_correction;
mod fused;
mod generalised_cross_entropy;
mod hierarchical_cross_entropy;
mod label_relaxation;
mod linear;
mod logit_norm;
mod logit_penalty;
mod maxsup;
mod mbls;
mod mdca;
mod mlslr;
mod mmce;
mod online_label_smoothing;
mod options;
mod poly1;
mod row;
mod row_loss;
mod rows_elsewhere;
mod scratch;
mod sharded;
mod sigmoid;
mod sigmoid_focal;
mod softmax;
mod state;
mod sweep;
mod symmetric_cross_entropy;
mod tf_kd;
mod transition;
mod zipf;

#[cfg(test)]
mod on_row;

pub use acls::Acls;
pub use backward_correction::BackwardCorrection;
pub use batch::Batch;
pub use binary_cross_entropy::BinaryCrossEntropy;
pub use bootstrap_hard::BootstrapHard;
pub use bootstrap_soft::BootstrapSoft;
pub use brier::Brier;
pub use confidence_penalty::ConfidencePenalty;
pub use cross_entropy::{CrossEntropy, reference, value_grad_on};
pub use distillation::Distillation;
pub use dual_focal::DualFocal;
pub use flsd53::Flsd53;
pub use focal::Focal;
pub use form::Form;
pub use forward_correction::ForwardCorrection;
pub use generalised_cross_entropy::GeneralisedCrossEntropy;
pub use hierarchical_cross_entropy::HierarchicalCrossEntropy;
pub use label_relaxation::LabelRelaxation;
pub use linear::{Linear, LinearCrossEntropy, LinearGradients, LinearValue, WeightLayout};
pub use logit_norm::LogitNorm;
pub use logit_penalty::LogitPenalty;
pub use maxsup::MaxSup;
pub use mbls::Mbls;
pub use mdca::Mdca;
pub use mlslr::Mlslr;
pub use mmce::Mmce;
pub use online_label_smoothing::OnlineLabelSmoothing;
pub use options::{LossOptions, MeanOver, Reduction, Weighting};
pub use poly1::Poly1;
pub use row::{Row, Work};
pub use row_loss::RowLoss;
pub use rows_elsewhere::RowsElsewhere;
pub use sharded::{ClassShard, RowShard};
pub use sigmoid_focal::SigmoidFocal;
pub use state::{LossState, Step};
pub use sweep::{LossValue, sweep_rows};
pub use symmetric_cross_entropy::SymmetricCrossEntropy;
pub use tf_kd::TeacherFreeKd;
pub use transition::Transition;
pub use zipf::Zipf;

use std::collections::BTreeMap;

use crate::batch::{Logits, Scalar};
use crate::error::Result;
use crate::parameters::{Parameter, ParameterValue, Parameters};

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
    pub parameters: &'static [Parameter],
    /// Values of parameters at which the loss is the plain cross-entropy; empty if there are none.
    pub plain: &'static [(&'static str, f64)],
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
/// Implement it to plug in a loss of your own; one that is separable by row is shorter as a [`RowLoss`].
pub trait Loss: std::fmt::Debug + Send + Sync {
    /// The name, formula and source.
    fn info(&self) -> &'static LossInfo;

    /// The state before the first batch; empty for the losses that have none.
    fn initial_state(&self, n_classes: usize) -> LossState {
        let _ = n_classes;
        LossState::default()
    }

    /// Called after the last batch of each epoch.
    fn end_epoch(&self, state: &mut LossState) {
        let _ = state;
    }

    /// The same loss with what its gradient holds fixed taken from these logits for good: the gradient of
    /// this loss at the logits is the exact gradient of that one. `None` if nothing is held fixed.
    ///
    /// For checks by differences, of losses of [`GradientKind::StopGradient`].
    fn frozen(&self, logits: Logits<'_, f64>) -> Option<Box<dyn Loss>> {
        let _ = logits;
        None
    }

    /// Value and gradient in single precision.
    ///
    /// The gradient is that of the reduced loss; with [`Reduction::None`] each row's is that of its own.
    ///
    /// # Errors
    /// Shapes that do not fit, logits that are NaN, +inf or all -inf, a mean over nothing.
    /// In-place buffers hold neither logits nor gradient after an error.
    fn value_grad_f32(&self, batch: Batch<'_, f32>, state: &mut LossState) -> Result<LossValue>;

    /// Value and gradient in double precision; see [`value_grad_f32`](Self::value_grad_f32).
    ///
    /// # Errors
    /// As in single precision.
    fn value_grad_f64(&self, batch: Batch<'_, f64>, state: &mut LossState) -> Result<LossValue>;
}

/// Calls the method of `loss` for the storage type.
///
/// # Errors
/// Those of [`Loss::value_grad_f32`].
pub fn value_grad<T: Scalar>(
    loss: &dyn Loss,
    batch: Batch<'_, T>,
    state: &mut LossState,
) -> Result<LossValue> {
    T::value_grad(loss, batch, state)
}

/// A registered loss: its description and how to make one.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The description.
    pub info: &'static LossInfo,
    /// Makes the loss from checked parameters.
    pub make: fn(&Parameters) -> Result<Box<dyn Loss>>,
}

/// Every loss, in the order of `candor list`.
pub const ALL: &[Entry] = &[
    cross_entropy::ENTRY,
    binary_cross_entropy::ENTRY,
    confidence_penalty::ENTRY,
    online_label_smoothing::ENTRY,
    label_relaxation::ENTRY,
    mbls::ENTRY,
    acls::ENTRY,
    maxsup::ENTRY,
    logit_penalty::ENTRY,
    logit_norm::ENTRY,
    zipf::ENTRY,
    tf_kd::ENTRY,
    distillation::ENTRY,
    bootstrap_soft::ENTRY,
    bootstrap_hard::ENTRY,
    forward_correction::ENTRY,
    backward_correction::ENTRY,
    focal::ENTRY,
    sigmoid_focal::ENTRY,
    flsd53::ENTRY,
    dual_focal::ENTRY,
    poly1::ENTRY,
    mdca::ENTRY,
    mmce::ENTRY,
    generalised_cross_entropy::ENTRY,
    symmetric_cross_entropy::ENTRY,
    brier::ENTRY,
    hierarchical_cross_entropy::ENTRY,
    mlslr::ENTRY,
];

/// The registered loss of this name, with the given parameters over its defaults.
///
/// # Errors
/// [`Error::UnknownName`](crate::Error::UnknownName), naming the closest one, and those of
/// [`Parameters::resolve`].
///
/// # Examples
/// ```
/// let loss = candor::losses::by_name("cross_entropy", &Default::default())?;
/// assert!(loss.info().fused);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn by_name(name: &str, given: &BTreeMap<String, ParameterValue>) -> Result<Box<dyn Loss>> {
    let entry = ALL
        .iter()
        .find(|entry| entry.info.name == name)
        .ok_or_else(|| crate::registry::unknown("loss", name, ALL.iter().map(|entry| entry.info.name)))?;
    (entry.make)(&Parameters::resolve(entry.info.name, entry.info.parameters, given)?)
}
