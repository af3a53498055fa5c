//! Cross-entropy of a linear layer's output that never holds all of its logits.
//!
//! `z = x Wᵀ + b`, the loss of [`CrossEntropy`](super::CrossEntropy) on `z`, and its gradients in `x`, `W` and
//! `b`. Rows go through in chunks that fit a budget of memory: logits of a chunk, their gradient in place,
//! the two products with it, next chunk.

mod arrays;
mod chunk;
mod classes;

pub use arrays::{Linear, LinearGradients, WeightLayout};

use super::{LossOptions, LossValue, Reduction};
use crate::batch::{Labels, Scalar};
use crate::error::{Error, Result, check_range};
use crate::targets::{TargetRule, Targets};
use chunk::Pass;
use classes::ByClasses;

/// A loss with the share of rows whose label is among the k largest logits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearValue {
    /// Loss, un-smoothed NLL, accuracy, confidence: as of [`CrossEntropy`](super::CrossEntropy).
    pub value: LossValue,
    /// Share of the counted rows whose label has one of the k largest logits, in [0, 1]; ties go to the
    /// smaller class. `None` unless asked for.
    pub top_k: Option<f64>,
    /// Rows of a chunk.
    pub chunk_rows: usize,
    /// Classes of a chunk; all of them, or some of all rows.
    pub chunk_classes: usize,
}

/// Smoothed cross-entropy of a linear layer over many classes, within a budget of memory.
///
/// For language models: with 128,256 classes the logits of 1,024 rows take 525 MB, those of a chunk what you
/// allow. Every chunk writes its logits, replaces them by the gradient `(p·s - q)/D` in one sweep, and adds
/// its two products. Products of few rows are slow; so where the budget holds few rows, chunks are of some classes of
/// all rows instead, whose logits are computed twice (labels with one strength over all classes or all others).
///
/// # Shapes
/// input `[n, width]`, weight `[n_classes, width]` or `[width, n_classes]`, bias `[n_classes]`, `n` labels.
///
/// # Examples
/// ```
/// use candor::losses::{Linear, LinearCrossEntropy, LinearGradients, WeightLayout};
/// use candor::targets::Uniform;
/// use candor::Labels;
/// let (input, weight) = ([1.0_f64, 0.5], [2.0, 0.0, -1.0, 0.0, 0.0, 1.0]);
/// let linear = Linear::new(&input, &weight, 2, WeightLayout::ClassesFirst)?;
/// let (mut input_gradient, mut weight_gradient) = ([0.0; 2], [0.0; 6]);
/// let gradients = LinearGradients { input: &mut input_gradient, weight: &mut weight_gradient, bias: None };
/// let labels = Labels::new(&[0], 3)?;
/// let value = LinearCrossEntropy::default()
///     .with_rule(&Uniform::new(0.1)?)
///     .value_grad(&linear, labels, gradients)?;
/// assert_eq!((value.value.rows, value.value.accuracy), (1, 1.0));
/// // The gradient of each class's weights is its residual times the input.
/// assert!((weight_gradient[0] - 2.0 * weight_gradient[1]).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Wijmans et al., *Cut Your Losses in Large-Vocabulary Language Models*, ICLR 2025, arXiv:2411.09009 (the
/// same aim without smoothing, on GPUs).
#[derive(Debug, Clone, Copy, Default)]
pub struct LinearCrossEntropy<'a> {
    rule: Option<&'a dyn TargetRule>,
    options: LossOptions<'a>,
    memory: Option<usize>,
    soft_cap: Option<f64>,
    top_k: Option<usize>,
}

/// Rows that the products take together; a chunk that ends within such a tile wastes the rest of it.
const TILE_ROWS: usize = 6;

/// Memory for the logits of a chunk unless another budget is given.
const DEFAULT_MEMORY: usize = 64 << 20;

impl<'a> LinearCrossEntropy<'a> {
    /// With targets by a rule, such as smoothing; plain labels otherwise.
    pub fn with_rule(self, rule: &'a dyn TargetRule) -> Self {
        Self { rule: Some(rule), ..self }
    }

    /// With weights, another reduction or denominator. With [`Reduction::None`] the value is the sum and the
    /// gradients are those of the sum.
    pub fn with_options(self, options: LossOptions<'a>) -> Self {
        Self { options, ..self }
    }

    /// With at most this many bytes for logits, but one row at least; 64 MiB unless given. With a soft cap the
    /// bytes are shared by the logits and their gradient.
    pub fn with_memory(self, bytes: usize) -> Self {
        Self { memory: Some(bytes), ..self }
    }

    /// With logits `c·tanh(z/c)` in place of `z`, which stay within ±c.
    pub fn with_soft_cap(self, cap: f64) -> Self {
        Self { soft_cap: Some(cap), ..self }
    }

    /// Also counts the rows whose label is among the `k` largest logits.
    pub fn with_top_k(self, k: usize) -> Self {
        Self { top_k: Some(k), ..self }
    }

    /// The value only: half to a third of the time, for evaluation.
    ///
    /// # Errors
    /// Shapes and labels that do not fit, a soft cap that is not positive, weights that are not finite, a mean
    /// over nothing; input, weight or bias that make a logit NaN or +inf, or all of a row -inf.
    pub fn value<T: Scalar>(&self, linear: &Linear<'_, T>, labels: Labels<'_>) -> Result<LinearValue> {
        self.run(linear, labels, None)
    }

    /// Value and gradients; the gradients overwrite what their arrays held.
    ///
    /// # Errors
    /// Those of [`value`](Self::value), and gradient arrays of another size. After an error the gradients hold
    /// nothing of use.
    pub fn value_grad<T: Scalar>(
        &self,
        linear: &Linear<'_, T>,
        labels: Labels<'_>,
        gradients: LinearGradients<'_, T>,
    ) -> Result<LinearValue> {
        gradients.check(linear)?;
        self.run(linear, labels, Some(gradients))
    }

    fn run<T: Scalar>(
        &self,
        linear: &Linear<'_, T>,
        labels: Labels<'_>,
        gradients: Option<LinearGradients<'_, T>>,
    ) -> Result<LinearValue> {
        let (n_rows, n_classes) = (linear.n_rows(), linear.n_classes());
        labels.check_classes(n_classes)?;
        if labels.len() != n_rows {
            return Err(Error::Shape { what: "the labels", expected: n_rows, got: labels.len() });
        }
        if let Some(cap) = self.soft_cap {
            check_range("soft_cap", cap, f64::MIN_POSITIVE, 1e30)?;
        }
        if let Some(k) = self.top_k {
            check_range("top_k", k as f64, 1.0, n_classes as f64)?;
        }
        let mut options = self.options;
        let targets = match self.rule {
            Some(rule) => rule.targets(labels)?,
            None => Targets::labels(labels),
        };
        if options.reduction == Reduction::Mean {
            let denominator = options.denominator_of(&targets)?;
            if denominator == 0.0 {
                return Err(match labels.counted() {
                    0 => Error::Empty { what: "the mean loss", rows: n_rows, ignored: n_rows },
                    _ => Error::ZeroWeight { what: "the mean loss" },
                });
            }
            options.denominator = Some(denominator);
        }
        let buffers = if self.soft_cap.is_some() && gradients.is_some() { 2 } else { 1 };
        let row_bytes = (n_classes * size_of::<T>() * buffers).max(1);
        let most = (self.memory.unwrap_or(DEFAULT_MEMORY) / row_bytes).clamp(1, n_rows.max(1));
        // Chunks of equal size waste nothing on a short last one, and whole tiles nothing on a thin one.
        let tile = if most < TILE_ROWS { 1 } else { TILE_ROWS };
        let chunks = n_rows.div_ceil(most / tile * tile).max(1);
        let chunk_rows = n_rows.div_ceil(chunks).next_multiple_of(tile).clamp(1, most);
        if self.top_k.is_none() {
            let budget = (self.memory.unwrap_or(DEFAULT_MEMORY), chunk_rows);
            let passes = ByClasses::new((linear, labels), &targets, options, self.soft_cap, budget);
            if let Some(passes) = passes {
                return passes.run(gradients);
            }
        }
        Pass {
            linear,
            labels,
            rule: self.rule,
            options,
            soft_cap: self.soft_cap,
            top_k: self.top_k,
            chunk_rows,
        }
        .run(gradients)
    }
}
