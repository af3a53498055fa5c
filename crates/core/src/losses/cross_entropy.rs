//! Softmax cross-entropy over any target: `H(q, p) = -Σ q_k ln p_k`.

use super::fused::{Fused, by_class};
use super::sweep::{LossValue, sweep, sweep_rows};
use super::{Accepts, Batch, Entry, GradientKind, Loss, LossInfo, LossState};
use crate::batch::Storage;
use crate::error::{Error, Result};
use crate::kernels::isa::Isa;
use crate::kernels::softmax_cross_entropy::{LARGEST_FACTOR, reference_row};
use crate::kernels::storage::FusedStorage;

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

impl CrossEntropy {
    /// Value and gradient of logits stored in `f32`, `bf16` or `f16`.
    ///
    /// Half precision is storage: values are widened exactly, everything is computed as for `f32`, sums over a
    /// row and over rows are in double precision, and each element of the gradient is rounded once, to nearest.
    /// So the value is that of the widened logits, and the gradient theirs within half a unit in the last
    /// place (2^-8 of an element in `bf16`, 2^-11 in `f16`, whose least step is 6e-8: for a mean over many rows
    /// scale the loss, by [`LossOptions::denominator`](super::LossOptions::denominator)).
    ///
    /// # Errors
    /// As [`Loss::value_grad_f32`].
    ///
    /// # Examples
    /// ```
    /// use candor::losses::{Batch, CrossEntropy};
    /// use candor::{Buffers, Labels, Targets};
    /// use half::bf16;
    /// let targets = Targets::labels(Labels::new(&[1], 2)?);
    /// let mut logits = [0.0, 0.0].map(bf16::from_f32);
    /// let value = CrossEntropy.value_grad(Batch::new(Buffers::InPlace(&mut logits), &targets))?;
    /// assert!((value.loss - 2_f64.ln()).abs() < 1e-6);
    /// assert_eq!(logits, [0.5, -0.5].map(bf16::from_f32));
    /// # Ok::<(), candor::Error>(())
    /// ```
    pub fn value_grad<T: FusedStorage>(&self, batch: Batch<'_, T>) -> Result<LossValue> {
        value_grad_on(Isa::current(), batch)
    }
}

impl Loss for CrossEntropy {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn value_grad_f32(&self, batch: Batch<'_, f32>, _: &mut LossState) -> Result<LossValue> {
        self.value_grad(batch)
    }

    fn value_grad_f64(&self, batch: Batch<'_, f64>, _: &mut LossState) -> Result<LossValue> {
        reference(batch)
    }
}

/// The loss as the formula reads, row by row in double precision arithmetic, whatever the storage type.
///
/// # Errors
/// Those of [`Loss::value_grad_f64`].
pub fn reference<T: Storage>(batch: Batch<'_, T>) -> Result<LossValue> {
    let class_weights = by_class(&batch.options);
    sweep_rows(batch, |row, buffers, target, scale| reference_row(row, buffers, target, class_weights, scale))
}

/// The vector kernel on a chosen instruction set.
///
/// For tests and benchmarks; [`CrossEntropy`] picks the widest one itself.
///
/// # Errors
/// Those of [`Loss::value_grad_f32`], and [`Error::Unsupported`] for an instruction set that this CPU lacks.
pub fn value_grad_on<T: FusedStorage>(isa: Isa, batch: Batch<'_, T>) -> Result<LossValue> {
    if !isa.is_available() {
        let reason = "this CPU does not have it; take one of Isa::available()";
        return Err(Error::Unsupported { loss: INFO.name, what: isa.name(), reason });
    }
    let n_classes = batch.targets.n_classes();
    let class_weights = by_class(&batch.options);
    let slow = |weights: &[f64]| weights.len() != n_classes || weights.iter().any(|w| *w > LARGEST_FACTOR);
    if class_weights.is_some_and(slow) {
        return reference(batch);
    }
    let kernel = Fused::new(isa, batch.targets, &batch.options);
    sweep(batch, &kernel)
}
