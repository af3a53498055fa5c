//! Losses of one row at a time: a short trait, and the adapter that makes any of them a [`Loss`].

use rayon::prelude::*;

use super::row::{Row, Work};
use super::scratch::with_scratch;
use super::sweep::{BLOCK_ROWS, LossValue, RowWeights, check_weights, sweep_rows};
use super::{Batch, Loss, LossInfo, LossState, Weighting};
use crate::batch::{Logits, Scalar};
use crate::error::{Error, Result};
use crate::kernels::softmax_cross_entropy::RowValue;

/// A loss that is a sum over rows, each a function of that row alone.
///
/// Everything else comes with it: precisions, threads, weights, reductions, masked classes, checks, and
/// the figures beside the loss. Every `RowLoss` is a [`Loss`].
///
/// # Examples
/// A squared margin, as a loss of one's own:
/// ```
/// use candor::losses::{Accepts, Batch, GradientKind, Loss, LossInfo, Row, RowLoss, Work};
/// use candor::{Buffers, Labels, Result, Targets};
///
/// static INFO: LossInfo = LossInfo {
///     name: "half_square",
///     summary: "an example",
///     formula: "-ln p_y + z_y²/2",
///     parameters: &[],
///     plain: &[],
///     paper: "none",
///     accepts: Accepts::Labels,
///     gradient: GradientKind::Exact,
///     fused: false,
///     separable: true,
/// };
///
/// #[derive(Debug)]
/// struct HalfSquare;
///
/// impl RowLoss for HalfSquare {
///     fn info(&self) -> &'static LossInfo {
///         &INFO
///     }
///     fn row(&self, row: &Row<'_>, _: &mut Work, gradient: &mut [f64]) -> Result<f64> {
///         let label = row.label()?;
///         let z = row.logits()[label];
///         gradient[label] += z;
///         Ok(row.cross_entropy(gradient) + z * z / 2.0)
///     }
/// }
///
/// let targets = Targets::labels(Labels::new(&[0], 2)?);
/// let batch = Batch::new(Buffers::Forward(&[2.0_f32, 2.0]), &targets);
/// let value = HalfSquare.value_grad_f32(batch, &mut Default::default())?;
/// assert!((value.loss - 2.0_f64.ln() - 2.0).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
pub trait RowLoss: std::fmt::Debug + Send + Sync {
    /// The name, formula and source.
    fn info(&self) -> &'static LossInfo;

    /// Whether the loss can be taken over this many classes; called once a batch.
    ///
    /// # Errors
    /// Whatever does not fit, such as a matrix of another size.
    fn check(&self, n_classes: usize) -> Result<()> {
        let _ = n_classes;
        Ok(())
    }

    /// The loss of one row, in nats; adds its gradient to `gradient`, which starts at zero.
    ///
    /// # Errors
    /// Those of [`Row::label`] and [`Row::teacher`], and the loss's own.
    fn row(&self, row: &Row<'_>, work: &mut Work, gradient: &mut [f64]) -> Result<f64>;

    /// See [`Loss::frozen`].
    fn frozen(&self, logits: Logits<'_, f64>) -> Option<Box<dyn Loss>> {
        let _ = logits;
        None
    }
}

impl<L: RowLoss> Loss for L {
    fn info(&self) -> &'static LossInfo {
        RowLoss::info(self)
    }

    fn value_grad_f32(&self, batch: Batch<'_, f32>, _: &mut LossState) -> Result<LossValue> {
        sweep_loss(self, batch)
    }

    fn value_grad_f64(&self, batch: Batch<'_, f64>, _: &mut LossState) -> Result<LossValue> {
        sweep_loss(self, batch)
    }

    fn frozen(&self, logits: Logits<'_, f64>) -> Option<Box<dyn Loss>> {
        RowLoss::frozen(self, logits)
    }
}

fn sweep_loss<L: RowLoss, T: Scalar>(loss: &L, batch: Batch<'_, T>) -> Result<LossValue> {
    loss.check(batch.targets.n_classes())?;
    sweep(RowLoss::info(loss), batch, &|row, work, gradient| loss.row(row, work, gradient))
}

/// Gives the loss of a row and adds its gradient.
pub(super) type RowFunction<'a, V> = &'a (dyn Fn(&Row<'_>, &mut Work, &mut [f64]) -> Result<V> + Sync);

/// Applies a row function to every counted row, in double precision whatever the storage type.
pub(super) fn sweep<T: Scalar>(
    info: &'static LossInfo,
    batch: Batch<'_, T>,
    row_function: RowFunction<'_, f64>,
) -> Result<LossValue> {
    sweep_figures(info, batch, &|row, work, gradient| Ok(row.value(row_function(row, work, gradient)?)))
}

/// [`sweep`] for a loss with figures of its own beside its value.
///
/// The function is a trait object, so that the driver is compiled once a storage type and not once a loss.
pub(super) fn sweep_figures<T: Scalar>(
    info: &'static LossInfo,
    batch: Batch<'_, T>,
    row_function: RowFunction<'_, RowValue>,
) -> Result<LossValue> {
    check_batch(info, &batch)?;
    let teacher = batch.teacher;
    sweep_rows(batch, |index, mut buffers, target, scale| {
        with_scratch(|scratch| {
            let (row, work, gradient) = scratch.read(info, index, buffers.logits(), target, teacher)?;
            let value = row_function(&row, work, gradient)?;
            let worst = gradient.iter().copied().find(|g| !g.is_finite()).unwrap_or(value.loss);
            if !worst.is_finite() {
                return Err(Error::NonFiniteLoss { loss: info.name, row: index, value: worst });
            }
            if row.is_masked() {
                (0..row.n_classes()).for_each(|class| buffers.set(class, 0.0));
            }
            for (position, g) in gradient.iter().enumerate() {
                buffers.set(row.class(position), g * scale);
            }
            Ok(value)
        })
    })
}

/// Collects something over the counted rows before a sweep: fixed blocks in parallel, merged in order, so
/// that threads change nothing. `add` gets each row and its weight.
pub(super) fn fold_rows<T, A, F>(
    info: &'static LossInfo,
    batch: &Batch<'_, T>,
    start: impl Fn() -> A + Sync,
    add: F,
    merge: impl Fn(&mut A, A),
) -> Result<A>
where
    T: Scalar,
    A: Send,
    F: Fn(&mut A, &Row<'_>, f64) -> Result<()> + Sync,
{
    let targets = batch.targets;
    let (n_rows, n_classes) = (targets.n_rows(), targets.n_classes());
    batch.buffers.check(n_rows, n_classes)?;
    targets.check_background()?;
    targets.check_all_deferred()?;
    check_weights("class weight", batch.options.class_weights, n_classes)?;
    check_weights("sample weight", batch.options.sample_weights, n_rows)?;
    check_batch(info, batch)?;
    let weights = RowWeights::new(&batch.options);
    let (logits, teacher) = (batch.buffers.logits(), batch.teacher);
    let block = |first: usize| -> Result<A> {
        let mut sum = start();
        for index in first..n_rows.min(first + BLOCK_ROWS) {
            let Some(target) = targets.row(index) else { continue };
            let values = &logits[index * n_classes..(index + 1) * n_classes];
            let weight = weights.of(index, &target);
            with_scratch(|scratch| {
                let (row, ..) = scratch.read(info, index, values, target, teacher)?;
                add(&mut sum, &row, weight)
            })?;
        }
        Ok(sum)
    };
    let blocks: Vec<Result<A>> =
        (0..n_rows.div_ceil(BLOCK_ROWS)).into_par_iter().map(|i| block(i * BLOCK_ROWS)).collect();
    blocks.into_iter().try_fold(start(), |mut sum, block| {
        merge(&mut sum, block?);
        Ok(sum)
    })
}

/// What no loss but cross-entropy itself can take, and the shape of the teacher.
fn check_batch<T: Scalar>(info: &'static LossInfo, batch: &Batch<'_, T>) -> Result<()> {
    if batch.options.class_weights.is_some() && batch.options.weighting == Weighting::Pytorch {
        return Err(Error::Unsupported {
            loss: info.name,
            what: "class weights with weighting = pytorch",
            reason: "only cross-entropy has a term for each class; take weighting = label",
        });
    }
    let expected = batch.targets.n_rows() * batch.targets.n_classes();
    match batch.teacher {
        Some(rows) if rows.len() != expected => {
            Err(Error::Shape { what: "the teacher's logits", expected, got: rows.len() })
        }
        _ => Ok(()),
    }
}
