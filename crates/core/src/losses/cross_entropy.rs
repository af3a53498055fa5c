//! Softmax cross-entropy over any target: `H(q, p) = -Σ q_k ln p_k`.

use std::borrow::Cow;

use super::sweep::{LossValue, sweep_rows};
use super::{Accepts, Batch, Entry, GradientKind, Loss, LossInfo, LossOptions, LossState, Weighting};
use crate::batch::Scalar;
use crate::error::Result;
use crate::kernels::isa::Isa;
use crate::kernels::softmax_cross_entropy::{Setting, reference_row, row_f32};
use crate::targets::{DenseRows, RowBackground, RowExplicit, RowTarget, Targets};

pub(super) const ENTRY: Entry = Entry { info: &INFO, make: |_| Ok(Box::new(CrossEntropy)) };

const INFO: LossInfo = LossInfo {
    name: "cross_entropy",
    summary: "cross-entropy between the target and the softmax of the logits; with a smoothed target, label smoothing",
    formula: "-Σ q_k ln p_k",
    parameters: &[],
    plain: &[],
    paper: "Szegedy et al. 2016, arXiv:1512.00567 (with uniform smoothing)",
    accepts: Accepts::Targets,
    gradient: GradientKind::Exact,
    fused: true,
    separable: true,
};

/// Softmax cross-entropy, in nats: `-Σ q_k ln p_k` with `p = softmax(z)`, gradient `s·p - q`, `s = Σ q_k`.
///
/// Label smoothing is this loss on a smoothed target. Value, gradient and the un-smoothed NLL come from
/// one sweep; with a smoothed target the loss cannot fall below the target's entropy.
///
/// # Shapes
/// logits and gradient `[n, n_classes]`, targets `n` rows over as many classes.
///
/// # Errors
/// See [`Loss::value_grad_f32`].
///
/// # Examples
/// ```
/// use candor::losses::{Batch, CrossEntropy, Loss};
/// use candor::targets::{TargetRule, Uniform};
/// use candor::{Buffers, Labels};
///
/// let mut logits = [2.0_f64, -1.0, 0.5, 0.1];
/// let targets = Uniform::new(0.1)?.targets(Labels::new(&[0], 4)?)?;
/// let batch = Batch::new(Buffers::InPlace(&mut logits), &targets);
/// let value = CrossEntropy.value_grad_f64(batch, &mut Default::default())?;
/// assert!((value.loss - 0.5124059381).abs() < 1e-10);
/// assert!((value.nll - 0.3524059381).abs() < 1e-10);
/// assert!((logits[0] + 0.2220053083).abs() < 1e-10); // now the gradient
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Szegedy et al., *Rethinking the Inception Architecture*, CVPR 2016, arXiv:1512.00567.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CrossEntropy;

impl Loss for CrossEntropy {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn value_grad_f32(&self, batch: Batch<'_, f32>, _: &mut LossState) -> Result<LossValue> {
        value_grad_on(Isa::current(), batch)
    }

    fn value_grad_f64(&self, batch: Batch<'_, f64>, _: &mut LossState) -> Result<LossValue> {
        reference(batch)
    }
}

/// The loss as the formula reads, row by row in double precision arithmetic, whatever the storage type.
///
/// # Errors
/// Those of [`Loss::value_grad_f64`].
pub fn reference<T: Scalar>(batch: Batch<'_, T>) -> Result<LossValue> {
    let class_weights = by_class(&batch.options);
    sweep_rows(batch, |row, buffers, target, scale| reference_row(row, buffers, target, class_weights, scale))
}

/// The weights that act class by class.
fn by_class<'a>(options: &LossOptions<'a>) -> Option<&'a [f64]> {
    options.class_weights.filter(|_| options.weighting == Weighting::Pytorch)
}

/// Class weights above this are left to double precision, where products cannot overflow.
const LARGEST_FAST_WEIGHT: f64 = 1e6;

/// The vector kernel on a chosen instruction set.
///
/// For tests and benchmarks; [`CrossEntropy`] picks the widest one itself.
///
/// # Errors
/// Those of [`Loss::value_grad_f32`].
pub fn value_grad_on(isa: Isa, batch: Batch<'_, f32>) -> Result<LossValue> {
    let n_classes = batch.targets.n_classes();
    let class_weights = by_class(&batch.options);
    let slow =
        |weights: &[f64]| weights.len() != n_classes || weights.iter().any(|w| *w > LARGEST_FAST_WEIGHT);
    if class_weights.is_some_and(slow) {
        return reference(batch);
    }
    let narrow: Option<Vec<f32>> = class_weights.map(|weights| weights.iter().map(|&w| w as f32).collect());
    let weights = class_weights.zip(narrow.as_deref());
    let second = SecondInput::new(batch.targets);
    let setting = Setting { isa, entropy: batch.options.entropy };
    sweep_rows(batch, |row, buffers, target, scale| {
        row_f32(setting, row, buffers, target, second.row(row, n_classes, &target), weights, scale)
    })
}

/// The second array that a row is read against, in single precision.
enum SecondInput<'a> {
    None,
    /// Dense targets, one row a row.
    Rows(Cow<'a, [f32]>),
    /// One prior for all rows.
    Prior(Vec<f32>),
    /// The priors of the labels that occur, and the place of each label's among them.
    PriorsOfLabels(Vec<f32>, Vec<usize>),
}

impl<'a> SecondInput<'a> {
    fn new(targets: &'a Targets<'a>) -> Self {
        if let Some(rows) = targets.dense_rows() {
            return SecondInput::Rows(match rows {
                DenseRows::F32(rows) => Cow::Borrowed(rows),
                DenseRows::F64(rows) => Cow::Owned(rows.iter().map(|&v| v as f32).collect()),
            });
        }
        let n_classes = targets.n_classes();
        match targets.priors() {
            Some(prior) if prior.len() == n_classes => SecondInput::Prior(normalised(prior).collect()),
            Some(priors) => {
                let labels = targets.labels_that_occur();
                let mut values = Vec::with_capacity(labels.len() * n_classes);
                let mut places = vec![usize::MAX; n_classes];
                for (place, &label) in labels.iter().enumerate() {
                    places[label] = place;
                    // Priors that are too few are refused before a row is read.
                    let prior = priors.get(label * n_classes..(label + 1) * n_classes).unwrap_or_default();
                    values.extend(normalised(prior));
                }
                SecondInput::PriorsOfLabels(values, places)
            }
            None => SecondInput::None,
        }
    }

    fn row(&self, row: usize, n_classes: usize, target: &RowTarget<'_>) -> Option<&[f32]> {
        let (values, place) = match (self, target.explicit, target.background) {
            (SecondInput::Rows(rows), ..) => (rows.as_ref(), row),
            (SecondInput::Prior(prior), RowExplicit::Label(_), RowBackground::Prior(_)) => {
                (prior.as_slice(), 0)
            }
            (
                SecondInput::PriorsOfLabels(priors, places),
                RowExplicit::Label(label),
                RowBackground::Prior(_),
            ) => (priors.as_slice(), places[label]),
            _ => return None,
        };
        values.get(place * n_classes..(place + 1) * n_classes)
    }
}

/// A prior of sum 1, so that the kernel's sum is the strength itself.
fn normalised(prior: &[f64]) -> impl Iterator<Item = f32> {
    let sum: f64 = prior.iter().sum();
    let even = 1.0 / prior.len() as f64;
    // A prior without mass says nothing: evenly, as in `RowTarget::mass`.
    prior.iter().map(move |p| if sum > 0.0 { p / sum } else { even } as f32)
}
