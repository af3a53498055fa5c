//! Cross-entropy whose rows another device computes: what it must know of each, and the reduction of its results.

use super::LossOptions;
use super::fused::by_class;
use super::sweep::{BLOCK_ROWS, LossValue, Plan, RowWeights, Totals};
use crate::batch::Storage;
use crate::error::{Error, Result};
use crate::kernels::softmax_cross_entropy::RowValue;
use crate::targets::{RowTarget, Targets};

/// A batch of cross-entropy that this crate prepares and reduces, while its rows are computed elsewhere.
///
/// For a kernel on a GPU: [`rows`](Self::rows) says what each row's target is and what its gradient `s·p - q` is
/// multiplied by, and [`reduce`](Self::reduce) makes of the rows' values what
/// [`CrossEntropy`](super::CrossEntropy) gives over host memory. Weights, denominators and the order of the sums
/// are those of every loss.
///
/// # Examples
/// ```
/// use candor::kernels::softmax_cross_entropy::RowValue;
/// use candor::losses::{LossOptions, RowsElsewhere};
/// use candor::{Labels, Targets};
/// let labels = [1, -1];
/// let targets = Targets::labels(Labels::with_ignore(&labels, 2, Some(-1))?);
/// let batch = RowsElsewhere::new(&targets, &LossOptions::default())?.expect("no weight acts class by class");
/// let (target, scale) = batch.rows().next().flatten().expect("the first row counts");
/// assert_eq!((target.label(), scale), (Some(1), 1.0));
/// // What a device found for equal logits; that of the ignored row is not read.
/// let row = RowValue { loss: 2_f64.ln(), nll: 2_f64.ln(), confidence: 0.5, ..Default::default() };
/// let value = batch.reduce::<f32>(&[row, RowValue::default()], None)?;
/// assert_eq!((value.loss, value.rows, value.accuracy), (2_f64.ln(), 1, 0.0));
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug)]
pub struct RowsElsewhere<'a> {
    plan: Plan<'a>,
    weights: RowWeights<'a>,
}

impl<'a> RowsElsewhere<'a> {
    /// `None` if a weight acts class by class ([`Weighting::Pytorch`](super::Weighting::Pytorch)), which a row's
    /// target and one factor do not say.
    ///
    /// # Errors
    /// Weights or a background that do not fit, a mean over nothing.
    pub fn new(targets: &'a Targets<'a>, options: &LossOptions<'a>) -> Result<Option<Self>> {
        if by_class(options).is_some() {
            return Ok(None);
        }
        let plan = Plan::new(targets, options)?;
        targets.check_all_deferred()?;
        Ok(Some(Self { plan, weights: RowWeights::new(options) }))
    }

    /// The target of each row and the factor of its gradient; `None` for a row that does not count.
    pub fn rows(&self) -> impl Iterator<Item = Option<(RowTarget<'_>, f64)>> {
        let inverse = 1.0 / self.plan.denominator;
        let targets = self.plan.targets;
        (0..targets.n_rows()).map(move |row| {
            targets.row(row).map(|target| {
                let scale = self.weights.of(row, &target) * inverse;
                (target, scale)
            })
        })
    }

    /// The loss of all rows from the value of each, and into `losses` the weighted loss of each (0 for ignored ones).
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is a value, and a place in `losses`, for each row.
    pub fn reduce<T: Storage>(&self, values: &[RowValue], losses: Option<&mut [T]>) -> Result<LossValue> {
        let targets = self.plan.targets;
        let n_rows = targets.n_rows();
        let mut losses = losses;
        let lengths =
            [("the row values", Some(values.len())), ("the row losses", losses.as_ref().map(|l| l.len()))];
        for (what, got) in lengths {
            if let Some(got) = got.filter(|got| *got != n_rows) {
                return Err(Error::Shape { what, expected: n_rows, got });
            }
        }
        let mut all = Totals::default();
        for first in (0..n_rows).step_by(BLOCK_ROWS) {
            let mut block = Totals::default();
            for row in first..n_rows.min(first + BLOCK_ROWS) {
                let totals = targets.row(row).map_or(Totals::default(), |target| {
                    Totals::of(&values[row], self.weights.of(row, &target))
                });
                if let Some(losses) = &mut losses {
                    losses[row] = T::from_f64(totals.loss());
                }
                block = block.add(totals);
            }
            all = all.add(block);
        }
        Ok(self.plan.value(all))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Batch, MeanOver, Reduction, Weighting, reference};
    use super::*;
    use crate::batch::{Buffers, Labels};
    use crate::kernels::softmax_cross_entropy::{RowBuffers, reference_row};
    use crate::targets::{Background, TargetRule, Uniform};

    /// The rows computed one by one outside, and put together here.
    fn elsewhere(
        logits: &[f64],
        targets: &Targets<'_>,
        options: &LossOptions<'_>,
    ) -> (LossValue, Vec<f64>, Vec<f64>) {
        let k = targets.n_classes();
        let batch = RowsElsewhere::new(targets, options).unwrap().unwrap();
        let mut gradient = vec![0.0; logits.len()];
        let mut losses = vec![f64::NAN; targets.n_rows()];
        let values: Vec<RowValue> = batch
            .rows()
            .enumerate()
            .map(|(row, known)| {
                let place = row * k..(row + 1) * k;
                known.map_or(RowValue::default(), |(target, scale)| {
                    let buffers = RowBuffers::Gradient(&logits[place.clone()], &mut gradient[place]);
                    reference_row(row, buffers, target, None, scale).unwrap()
                })
            })
            .collect();
        let value = batch.reduce(&values, Some(&mut losses)).unwrap();
        (value, gradient, losses)
    }

    #[test]
    fn it_is_the_loss_over_host_memory() {
        let (n, k) = (2500, 3);
        let logits: Vec<f64> = (0..n * k).map(|i| ((i * 7919) % 101) as f64 / 17.0).collect();
        let labels: Vec<i64> = (0..n).map(|i| if i % 5 == 3 { -1 } else { (i % k) as i64 }).collect();
        let class_weights = [0.5, 2.0, 1.0];
        let sample_weights: Vec<f64> = (0..n).map(|i| (i % 4) as f64).collect();
        let labels = Labels::with_ignore(&labels, k, Some(-1)).unwrap();
        let targets = Uniform::new(0.2).unwrap().targets(labels).unwrap();
        for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
            for mean_over in [MeanOver::Weights, MeanOver::AllRows] {
                let options = LossOptions {
                    reduction,
                    mean_over,
                    class_weights: Some(&class_weights),
                    sample_weights: Some(&sample_weights),
                    ..LossOptions::default()
                };
                let mut gradient = vec![0.0; n * k];
                let mut losses = vec![f64::NAN; n];
                let buffers = Buffers::Gradient { logits: &logits, gradient: &mut gradient };
                let batch = Batch::new(buffers, &targets).options(options).losses(&mut losses);
                let want = reference(batch).unwrap();
                let (got, of_rows, row_losses) = elsewhere(&logits, &targets, &options);
                assert_eq!((got.loss, got.nll, got.accuracy), (want.loss, want.nll, want.accuracy));
                assert_eq!((got.confidence, got.denominator), (want.confidence, want.denominator));
                assert_eq!((got.rows, got.ignored), (want.rows, want.ignored));
                assert_eq!(of_rows, gradient);
                assert_eq!(row_losses, losses);
            }
        }
    }

    #[test]
    fn what_it_cannot_say_and_what_does_not_fit() {
        let labels = [0, 1];
        let targets = Targets::labels(Labels::new(&labels, 2).unwrap());
        let weights = [1.0, 2.0];
        let by_class = LossOptions {
            class_weights: Some(&weights),
            weighting: Weighting::Pytorch,
            ..LossOptions::default()
        };
        assert!(RowsElsewhere::new(&targets, &by_class).unwrap().is_none());
        let batch = RowsElsewhere::new(&targets, &LossOptions::default()).unwrap().unwrap();
        let short = batch.reduce::<f32>(&[RowValue::default()], None);
        assert!(matches!(short, Err(Error::Shape { what: "the row values", expected: 2, got: 1 })));
        let values = [RowValue::default(); 2];
        let short = batch.reduce(&values, Some(&mut [0.0_f32]));
        assert!(matches!(short, Err(Error::Shape { what: "the row losses", expected: 2, got: 1 })));
        let all_ignored = [-1, -1];
        let empty = Targets::labels(Labels::with_ignore(&all_ignored, 2, Some(-1)).unwrap());
        assert!(matches!(RowsElsewhere::new(&empty, &LossOptions::default()), Err(Error::Empty { .. })));
        let infinite = targets.smoothed(f64::NAN, Background::Uniform);
        assert!(matches!(
            RowsElsewhere::new(&infinite, &LossOptions::default()),
            Err(Error::OutOfRange { .. })
        ));
    }
}
