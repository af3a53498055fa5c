//! One call of a loss: buffers, targets and options.

use super::{LossOptions, Step};
use crate::batch::Buffers;
use crate::targets::{DenseRows, Targets};

/// What a loss is computed on, and where its results go.
///
/// # Examples
/// ```
/// use candor::losses::{Batch, CrossEntropy, Loss, LossOptions, Reduction};
/// use candor::{Buffers, Labels, Targets};
/// let targets = Targets::labels(Labels::new(&[0, 1], 2)?);
/// let mut losses = [0.0_f64; 2];
/// let batch = Batch::new(Buffers::Forward(&[0.0, 0.0, 0.0, 0.0]), &targets)
///     .options(LossOptions { reduction: Reduction::Sum, ..Default::default() })
///     .losses(&mut losses);
/// let value = CrossEntropy.value_grad_f64(batch, &mut Default::default())?;
/// assert_eq!(value.loss, losses[0] + losses[1]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug)]
pub struct Batch<'a, T> {
    pub(crate) buffers: Buffers<'a, T>,
    pub(crate) targets: &'a Targets<'a>,
    pub(crate) options: LossOptions<'a>,
    pub(crate) losses: Option<&'a mut [T]>,
    pub(crate) step: Step,
    pub(crate) teacher: Option<DenseRows<'a>>,
    pub(crate) row_stride: Option<usize>,
}

impl<'a, T> Batch<'a, T> {
    /// The plain mean loss of these logits against these targets.
    pub fn new(buffers: Buffers<'a, T>, targets: &'a Targets<'a>) -> Self {
        Self {
            buffers,
            targets,
            options: LossOptions::default(),
            losses: None,
            step: Step::default(),
            teacher: None,
            row_stride: None,
        }
    }

    /// With another reduction, weights or denominator.
    pub fn options(mut self, options: LossOptions<'a>) -> Self {
        self.options = options;
        self
    }

    /// Writes the weighted loss of each row, before the reduction, to `losses` (0 for ignored rows).
    pub fn losses(mut self, losses: &'a mut [T]) -> Self {
        self.losses = Some(losses);
        self
    }

    /// At this point of a training, for losses that depend on it.
    pub fn at(mut self, step: Step) -> Self {
        self.step = step;
        self
    }

    /// With a teacher's logits `[n, n_classes]`, for distillation. Log-probabilities do as well: the
    /// softmax of both is the same. For [`Zipf`](super::Zipf) they may be the votes that rank the classes.
    pub fn teacher(mut self, logits: DenseRows<'a>) -> Self {
        self.teacher = Some(logits);
        self
    }

    /// With rows that begin `stride` values apart, in the logits and in the gradient: a part of the columns of
    /// a wider array, such as a vocabulary that is padded to a round size. What lies between is not touched.
    ///
    /// For losses that are separable by row; the others refuse such buffers.
    ///
    /// # Examples
    /// ```
    /// use candor::losses::{Batch, CrossEntropy};
    /// use candor::{Buffers, Labels, Targets};
    /// let targets = Targets::labels(Labels::new(&[0, 1], 2)?);
    /// let mut logits = [0.0_f32, 0.0, 9.0, 0.0, 0.0, 9.0]; // the last of three columns is padding
    /// CrossEntropy.value_grad(Batch::new(Buffers::InPlace(&mut logits), &targets).row_stride(3))?;
    /// assert_eq!(logits, [-0.25, 0.25, 9.0, 0.25, -0.25, 9.0]);
    /// # Ok::<(), candor::Error>(())
    /// ```
    pub fn row_stride(mut self, stride: usize) -> Self {
        self.row_stride = Some(stride);
        self
    }

    /// The targets.
    pub fn targets(&self) -> &'a Targets<'a> {
        self.targets
    }

    /// The point of the training.
    pub fn step(&self) -> Step {
        self.step
    }
}
