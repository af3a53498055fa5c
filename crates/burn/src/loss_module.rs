//! Any of Candor's losses on tensors: targets in, loss and figures out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::{DType, Int, Tensor, TensorData};
use candor::losses::{
    Batch, CrossEntropy, Loss, LossOptions, LossState, LossValue, Reduction, RowsElsewhere, Step, Weighting,
};
use candor::targets::{DenseRows, TargetRule};
use candor::{Buffers, Labels, Targets};

use crate::error::{Error, Result};
use crate::host_gradient::{HostFunction, RowKernel, host_gradient};

/// Targets of a batch, owned so that the backward pass can outlive the caller.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LossTargets {
    /// Class indices; those equal to `ignore_index` do not count.
    Labels {
        /// One index a row.
        labels: Vec<i64>,
        /// The label of rows that do not count.
        ignore_index: Option<i64>,
    },
    /// A distribution a row, `[n, n_classes]`.
    Distribution(Vec<f32>),
    /// Target rows as a rule of the core made them: mixed inputs, several annotators.
    Rows(Targets<'static>),
}

/// A loss with its options, ready to be applied to tensors.
///
/// # Examples
/// ```
/// use burn::tensor::{Device, Tensor};
/// use candor::losses::CrossEntropy;
/// use candor::targets::Uniform;
/// use candor_burn::{LossModule, LossTargets};
///
/// let device = Device::flex().autodiff();
/// let logits = Tensor::<2>::from_floats([[2.0, -1.0, 0.5, 0.1]], &device).require_grad();
/// let loss = LossModule::new(CrossEntropy).with_rule(Uniform::new(0.1)?);
/// let targets = LossTargets::Labels { labels: vec![0], ignore_index: None };
/// let output = loss.forward(logits.clone(), targets)?;
/// assert!((output.value.nll - 0.352_406).abs() < 1e-6);
/// let gradients = output.loss.backward();
/// assert!(logits.grad(&gradients).is_some());
/// # Ok::<(), candor_burn::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LossModule {
    loss: Arc<dyn Loss>,
    rule: Option<Arc<dyn TargetRule>>,
    reduction: Reduction,
    class_weights: Option<Arc<[f64]>>,
    weighting: Weighting,
    state: Arc<Mutex<LossState>>,
    step: Step,
    teacher: Option<Arc<[f32]>>,
}

/// The result of [`LossModule::forward`].
#[derive(Debug, Clone)]
pub struct LossOutput {
    /// The loss: one element, or one a row without reduction. Backward starts here.
    pub loss: Tensor<1>,
    /// The same value with the un-smoothed NLL, accuracy and confidence of the batch.
    pub value: LossValue,
}

impl LossModule {
    /// The plain mean of a loss.
    pub fn new(loss: impl Loss + 'static) -> Self {
        Self::from_shared(Arc::new(loss))
    }

    /// The plain mean of a loss from the registry.
    pub fn from_shared(loss: Arc<dyn Loss>) -> Self {
        Self {
            loss,
            rule: None,
            reduction: Reduction::Mean,
            class_weights: None,
            weighting: Weighting::Label,
            state: Arc::default(),
            step: Step::default(),
            teacher: None,
        }
    }

    /// Smooths labels by a rule; distributions are taken as they are.
    pub fn with_rule(mut self, rule: impl TargetRule + 'static) -> Self {
        self.rule = Some(Arc::new(rule));
        self
    }

    /// Smooths labels by a rule chosen at run time.
    pub fn with_shared_rule(mut self, rule: Option<Arc<dyn TargetRule>>) -> Self {
        self.rule = rule;
        self
    }

    /// With another reduction.
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// With a weight for each class.
    pub fn with_class_weights(mut self, weights: Option<Vec<f64>>, weighting: Weighting) -> Self {
        self.class_weights = weights.map(Into::into);
        self.weighting = weighting;
        self
    }

    /// At this point of a training.
    pub fn at(mut self, step: Step) -> Self {
        self.step = step;
        self
    }

    /// With a teacher's logits `[n, n_classes]` for the rows of the next batch, for distillation.
    pub fn with_teacher(mut self, logits: impl Into<Arc<[f32]>>) -> Self {
        self.teacher = Some(logits.into());
        self
    }

    /// The rule that smooths labels, if there is one.
    pub fn rule(&self) -> Option<&dyn TargetRule> {
        self.rule.as_deref()
    }

    /// The point of the training at which it is.
    pub fn step(&self) -> Step {
        self.step
    }

    /// The loss.
    pub fn loss(&self) -> &dyn Loss {
        self.loss.as_ref()
    }

    /// What the loss remembers, for a checkpoint.
    pub fn state(&self) -> LossState {
        lock(&self.state).clone()
    }

    /// Puts back what the loss remembered.
    pub fn set_state(&self, state: LossState) {
        *lock(&self.state) = state;
    }

    /// Tells the loss that an epoch has ended.
    pub fn end_epoch(&self) {
        self.loss.end_epoch(&mut lock(&self.state));
    }

    /// The loss of logits against targets.
    ///
    /// # Shapes
    /// logits `[n, n_classes]` of any float type (f32 and f64 as they are, others through f32); the loss is
    /// `[1]`, or `[n]` without reduction.
    ///
    /// # Errors
    /// Those of [`Loss::value_grad_f32`] and of the target rule.
    pub fn forward(&self, logits: Tensor<2>, targets: LossTargets) -> Result<LossOutput> {
        let [_, n_classes] = logits.dims();
        if lock(&self.state).arrays.is_empty() {
            *lock(&self.state) = self.loss.initial_state(n_classes);
        }
        let logits = match logits.dtype() {
            DType::F32 | DType::F64 => logits,
            _ => logits.cast(DType::F32),
        };
        let result = Arc::new(Mutex::new(None));
        let call = Call { module: self.clone(), targets, n_classes, result: Arc::clone(&result) };
        let loss = host_gradient(logits, Arc::new(call));
        let value = lock(&result).take();
        match value {
            Some(Ok(value)) => Ok(LossOutput { loss, value }),
            Some(Err(error)) => Err(error.into()),
            None => Err(Error::Read { what: "logits", reason: "the operation did not run".to_owned() }),
        }
    }
}

/// The inside of a mutex: a panic elsewhere leaves plain data behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One forward pass.
#[derive(Debug)]
struct Call {
    module: LossModule,
    targets: LossTargets,
    n_classes: usize,
    result: Arc<Mutex<Option<candor::Result<LossValue>>>>,
}

impl Call {
    fn run<T: candor::Scalar>(&self, buffers: Buffers<'_, T>, values: &mut [T]) {
        let outcome = self.value(buffers, values);
        *lock(&self.result) = Some(outcome);
    }

    /// The target rows of the batch.
    fn targets(&self) -> candor::Result<Targets<'_>> {
        match &self.targets {
            LossTargets::Labels { labels, ignore_index } => {
                let labels = Labels::with_ignore(labels, self.n_classes, *ignore_index)?;
                match &self.module.rule {
                    Some(rule) => rule.targets(labels),
                    None => Ok(Targets::labels(labels)),
                }
            }
            LossTargets::Distribution(rows) => {
                Targets::distribution_deferred(DenseRows::F32(rows), self.n_classes)
            }
            LossTargets::Rows(targets) => Ok(targets.clone()),
        }
    }

    fn options(&self) -> LossOptions<'_> {
        LossOptions {
            reduction: self.module.reduction,
            class_weights: self.module.class_weights.as_deref(),
            weighting: self.module.weighting,
            ..LossOptions::default()
        }
    }

    fn value<T: candor::Scalar>(
        &self,
        buffers: Buffers<'_, T>,
        values: &mut [T],
    ) -> candor::Result<LossValue> {
        let targets = self.targets()?;
        let options = self.options();
        let by_row = self.module.reduction == Reduction::None;
        let (row_values, first) = if by_row { (Some(values), None) } else { (None, values.first_mut()) };
        let mut batch = Batch::new(buffers, &targets).options(options).at(self.module.step);
        if let Some(row_values) = row_values {
            batch = batch.losses(row_values);
        }
        if let Some(teacher) = &self.module.teacher {
            batch = batch.teacher(DenseRows::F32(teacher));
        }
        let value =
            candor::losses::value_grad(self.module.loss.as_ref(), batch, &mut lock(&self.module.state))?;
        if let Some(first) = first {
            *first = T::from_f64(value.loss);
        }
        Ok(value)
    }
}

impl HostFunction for Call {
    fn n_values(&self, n_rows: usize) -> usize {
        if self.module.reduction == Reduction::None { n_rows } else { 1 }
    }

    fn call_f32(&self, buffers: Buffers<'_, f32>, values: &mut [f32]) {
        self.run(buffers, values);
    }

    fn call_f64(&self, buffers: Buffers<'_, f64>, values: &mut [f64]) {
        self.run(buffers, values);
    }

    fn by_rows(&self, n_rows: usize, kernel: RowKernel<'_>) -> Option<Vec<f32>> {
        if self.module.loss.info() != CrossEntropy.info() {
            return None;
        }
        // What is wrong with the input, the core says better.
        let targets = self.targets().ok()?;
        if targets.n_rows() != n_rows || targets.n_classes() != self.n_classes {
            return None;
        }
        let rows = RowsElsewhere::new(&targets, &self.options()).ok()??;
        let row_values = kernel(&rows)?;
        let by_row = self.module.reduction == Reduction::None;
        let mut values = vec![0.0; self.n_values(n_rows)];
        let value = rows.reduce(&row_values, by_row.then_some(&mut values[..])).ok()?;
        if !by_row {
            values.fill(value.loss as f32);
        }
        *lock(&self.result) = Some(Ok(value));
        Some(values)
    }
}

/// Class indices of an integer tensor, in host memory.
pub(crate) fn read_labels<const D: usize>(targets: Tensor<D, Int>) -> Result<Vec<i64>> {
    let data: TensorData = targets
        .try_into_data()
        .map_err(|error| Error::Read { what: "targets", reason: format!("{error:?}") })?;
    Ok(data.iter::<i64>().collect())
}
