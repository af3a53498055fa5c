//! The figures of an evaluation, collected from tensors batch by batch.

use burn::tensor::{DType, Int, Tensor, TensorData};
use candor::metrics::{Evaluation, EvaluationOptions, Evaluator, InputKind};
use candor::{Labels, Logits, Scalar};

use crate::error::{Error, Result};
use crate::loss_module::read_labels;

/// Collects logits and targets of batches, and gives every metric of [`candor::metrics::ALL`] over all their rows.
///
/// Use it in a validation loop: the figures are those that the core and `candor eval` give for the same rows, to
/// the last bit, however the rows are cut into batches. Nothing of it enters the autodiff graph.
///
/// # Shapes
/// logits `[n, n_classes]` of any float type (f64 as they are, others through f32), targets `[n]`.
///
/// # Examples
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use candor_burn::EvaluationMetric;
///
/// let device = Device::flex();
/// let mut metric = EvaluationMetric::new(Default::default())?;
/// let logits = Tensor::<2>::from_floats([[2.0, 0.0], [0.0, 1.0]], &device);
/// metric.update(logits, Tensor::<1, Int>::from_ints([0, 0], &device))?;
/// assert_eq!(metric.compute()?.value("accuracy"), 0.5);
/// # Ok::<(), candor_burn::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct EvaluationMetric {
    options: EvaluationOptions,
    ignore_index: Option<i64>,
    /// From the first batch on, which tells the number of classes.
    evaluator: Option<Evaluator>,
}

impl EvaluationMetric {
    /// No rows yet.
    ///
    /// # Errors
    /// Those of [`Evaluator::new`].
    pub fn new(options: EvaluationOptions) -> Result<Self> {
        // Looks at the options before a training has begun.
        Evaluator::new(options)?;
        Ok(Self { options, ignore_index: None, evaluator: None })
    }

    /// Leaves out the rows with this target.
    pub fn with_ignore_index(mut self, ignore_index: Option<i64>) -> Self {
        self.ignore_index = ignore_index;
        self
    }

    /// Adds the rows of a batch.
    ///
    /// # Errors
    /// [`candor::Error::Shape`] for another number of targets than rows, [`candor::Error::LabelOutOfRange`] and
    /// those of [`Evaluator::update_logits`]; then none of the batch's rows counts.
    pub fn update(&mut self, logits: Tensor<2>, targets: Tensor<1, Int>) -> Result<()> {
        let [_, n_classes] = logits.dims();
        let targets = read_labels(targets)?;
        let labels = Labels::with_ignore(&targets, n_classes, self.ignore_index)?;
        let data: TensorData = logits.try_into_data().map_err(|error| unreadable(&error))?;
        match data.dtype() {
            DType::F64 => self.add(data.as_slice::<f64>().map_err(|error| unreadable(&error))?, labels),
            _ => {
                let data = data.convert::<f32>();
                self.add(data.as_slice::<f32>().map_err(|error| unreadable(&error))?, labels)
            }
        }
    }

    fn add<T: Scalar>(&mut self, values: &[T], labels: Labels<'_>) -> Result<()> {
        let logits = Logits::new(values, labels.n_classes())?;
        if logits.n_rows() != labels.len() {
            let what = "targets (one for each row of logits)";
            return Err(candor::Error::Shape { what, expected: logits.n_rows(), got: labels.len() }.into());
        }
        let empty =
            || Evaluator::with_kind(InputKind::Classes { n_classes: labels.n_classes() }, self.options);
        let mut batch = empty()?;
        batch.update_logits(logits, labels, None)?;
        match &mut self.evaluator {
            Some(evaluator) => evaluator.merge(&batch)?,
            none => *none = Some(batch),
        }
        Ok(())
    }

    /// Number of rows that count so far.
    pub fn count(&self) -> u64 {
        self.evaluator.as_ref().map_or(0, Evaluator::count)
    }

    /// The figures of all rows so far.
    ///
    /// # Errors
    /// [`candor::Error::Empty`] without rows.
    pub fn compute(&self) -> Result<Evaluation> {
        match &self.evaluator {
            Some(evaluator) => Ok(evaluator.compute()?),
            None => Err(candor::Error::Empty { what: "an evaluation", rows: 0, ignored: 0 }.into()),
        }
    }

    /// Forgets all rows, for the next epoch.
    pub fn reset(&mut self) {
        self.evaluator = None;
    }
}

fn unreadable(error: &dyn std::fmt::Debug) -> Error {
    Error::Read { what: "logits", reason: format!("{error:?}") }
}
