//! Online label smoothing: soft labels from the predictions of the epoch before
//! (Zhang et al., IEEE Transactions on Image Processing 2021, arXiv:2011.12562).

use std::collections::BTreeMap;

use super::row::Row;
use super::row_loss::{fold_rows, sweep};
use super::{Accepts, Batch, Entry, GradientKind, Loss, LossInfo, LossState, LossValue};
use crate::batch::Scalar;
use crate::error::{Error, Result};
use crate::parameters::Parameter;

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, make: |p| Ok(Box::new(OnlineLabelSmoothing::new(p.number("weight"))?)) };

const WEIGHT: Parameter = Parameter::number("weight", 0.5, 0.0, 1.0, "the weight of the soft labels");

const INFO: LossInfo = LossInfo {
    name: "online_label_smoothing",
    summary: "smoothing towards what the model itself predicted for the class in the epoch before; keeps which classes are alike",
    formula: "(1-w)·(-ln p_y) + w·(-Σ S_yk·ln p_k), S_y the mean right prediction of class y in the last epoch",
    parameters: &[WEIGHT],
    plain: &[("weight", 0.0)],
    paper: "Zhang et al. 2021, arXiv:2011.12562",
    accepts: Accepts::Labels,
    gradient: GradientKind::Exact,
    fused: false,
    separable: true,
};

const SOFT_LABELS: &str = "soft_labels";
const SUMS: &str = "sums";
const COUNTS: &str = "counts";

/// Online label smoothing, in nats: `(1-w)·(-ln p_y) + w·H(S_y, p)`, with `w = 1/2`.
///
/// `S_y` is the mean prediction over the rows of class `y` that were classified right in the epoch before:
/// wrong classes get mass as they resemble the right one. It starts, and stays for a class without a right
/// prediction, at the uniform distribution.
///
/// The state has `K²` numbers twice. It collects predictions whenever a gradient is asked for, and not when
/// only the value is ([`Buffers::Forward`](crate::Buffers::Forward)), so a validation pass leaves it alone;
/// [`Loss::end_epoch`] turns them into the next soft labels. Without a state the call is one of the first
/// epoch. Where classes are masked, `S_y` is scaled to the allowed ones.
///
/// # Shapes
/// As for [`CrossEntropy`](super::CrossEntropy).
///
/// # Errors
/// [`Error::TargetKind`] for smoothed or soft targets, [`Error::Shape`] for a state of another number of
/// classes; see also [`Loss::value_grad_f32`]. After an error the state is what it was.
///
/// # Examples
/// ```
/// use candor::losses::{Batch, Loss, OnlineLabelSmoothing};
/// use candor::{Buffers, Labels, Targets};
/// let loss = OnlineLabelSmoothing::new(0.5)?;
/// let mut state = loss.initial_state(2);
/// let targets = Targets::labels(Labels::new(&[0], 2)?);
/// let mut gradient = [0.0; 2];
/// let logits = [3.0_f64.ln(), 0.0]; // p = (3/4, 1/4), right
/// let batch = Batch::new(Buffers::Gradient { logits: &logits, gradient: &mut gradient }, &targets);
/// loss.value_grad_f64(batch, &mut state)?;
/// loss.end_epoch(&mut state);
/// assert!((state.arrays["soft_labels"][0] - 0.75).abs() < 1e-15); // now S_0 = (3/4, 1/4)
/// # Ok::<(), candor::Error>(())
/// ```
///
/// # References
/// Zhang et al., *Delving Deep into Label Smoothing*, IEEE Transactions on Image Processing 30, 2021,
/// arXiv:2011.12562.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OnlineLabelSmoothing {
    weight: f64,
}

/// The right predictions of some rows: by class their number and sum.
type Collected = BTreeMap<usize, (f64, Vec<f64>)>;

impl OnlineLabelSmoothing {
    /// A weight in `[0, 1]` of the soft labels.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    pub fn new(weight: f64) -> Result<Self> {
        WEIGHT.check(weight)?;
        Ok(Self { weight })
    }

    fn sweep<T: Scalar>(&self, batch: Batch<'_, T>, state: &mut LossState) -> Result<LossValue> {
        let n_classes = batch.targets.n_classes();
        if state.arrays.is_empty() {
            *state = self.initial_state(n_classes);
        }
        for (name, expected) in
            [(SOFT_LABELS, n_classes * n_classes), (SUMS, n_classes * n_classes), (COUNTS, n_classes)]
        {
            let got = state.arrays.get(name).map_or(0, Vec::len);
            if got != expected {
                return Err(Error::Shape { what: "an array of the loss state", expected, got });
            }
        }
        let collected = if batch.buffers.wants_gradient() { collect(&batch)? } else { Collected::new() };
        let soft_labels = &state.arrays[SOFT_LABELS];
        let value = sweep(&INFO, batch, &|row, _, gradient| {
            let label = row.label()?;
            Ok(self.row(row, label, &soft_labels[row.class(label) * n_classes..][..n_classes], gradient))
        })?;
        for (class, (count, sum)) in collected {
            if let Some(counts) = state.arrays.get_mut(COUNTS) {
                counts[class] += count;
            }
            if let Some(sums) = state.arrays.get_mut(SUMS) {
                sums[class * n_classes..].iter_mut().zip(sum).for_each(|(a, b)| *a += b);
            }
        }
        Ok(value)
    }

    fn row(&self, row: &Row<'_>, label: usize, soft_label: &[f64], gradient: &mut [f64]) -> f64 {
        let mass: f64 = (0..row.len()).map(|k| soft_label[row.class(k)]).sum();
        let mut loss = 0.0;
        for (k, g) in gradient.iter_mut().enumerate() {
            let soft = if mass > 0.0 { soft_label[row.class(k)] / mass } else { 1.0 / row.len() as f64 };
            let hard = f64::from(u8::from(k == label));
            let q = (1.0 - self.weight) * hard + self.weight * soft;
            loss -= if q == 0.0 { 0.0 } else { q * row.log_probs()[k] };
            *g = row.probs()[k] - q;
        }
        loss
    }
}

/// The predictions of the rows that are classified right.
fn collect<T: Scalar>(batch: &Batch<'_, T>) -> Result<Collected> {
    fold_rows(
        &INFO,
        batch,
        Collected::new,
        |collected, row, _| {
            let label = row.label()?;
            if row.predicted() == label {
                let empty = || (0.0, vec![0.0; row.n_classes()]);
                let (count, sum) = collected.entry(row.class(label)).or_insert_with(empty);
                *count += 1.0;
                row.probs().iter().enumerate().for_each(|(k, p)| sum[row.class(k)] += p);
            }
            Ok(())
        },
        |all, block| {
            for (class, (count, sum)) in block {
                match all.get_mut(&class) {
                    Some(old) => {
                        old.0 += count;
                        old.1.iter_mut().zip(sum).for_each(|(a, b)| *a += b);
                    }
                    None => {
                        all.insert(class, (count, sum));
                    }
                }
            }
        },
    )
}

impl Loss for OnlineLabelSmoothing {
    fn info(&self) -> &'static LossInfo {
        &INFO
    }

    fn initial_state(&self, n_classes: usize) -> LossState {
        let squared = n_classes * n_classes;
        let arrays = [
            (SOFT_LABELS.to_owned(), vec![1.0 / n_classes as f64; squared]),
            (SUMS.to_owned(), vec![0.0; squared]),
            (COUNTS.to_owned(), vec![0.0; n_classes]),
        ];
        LossState { arrays: arrays.into() }
    }

    fn end_epoch(&self, state: &mut LossState) {
        let (Some(counts), Some(sums)) = (state.arrays.get(COUNTS), state.arrays.get(SUMS)) else { return };
        let n_classes = counts.len();
        if n_classes == 0 || sums.len() != n_classes * n_classes {
            return;
        }
        let uniform = 1.0 / n_classes as f64;
        let rows = sums.chunks_exact(n_classes).zip(counts);
        let soft_labels = rows
            .flat_map(|(row, &count)| {
                row.iter().map(move |sum| if count > 0.0 { sum / count } else { uniform })
            })
            .collect();
        *state = self.initial_state(n_classes);
        state.arrays.insert(SOFT_LABELS.to_owned(), soft_labels);
    }

    fn value_grad_f32(&self, batch: Batch<'_, f32>, state: &mut LossState) -> Result<LossValue> {
        self.sweep(batch, state)
    }

    fn value_grad_f64(&self, batch: Batch<'_, f64>, state: &mut LossState) -> Result<LossValue> {
        self.sweep(batch, state)
    }
}

#[cfg(test)]
mod tests {
    use super::super::on_row::{assert_close, assert_labels_only, on_row};
    use super::*;
    use crate::batch::{Buffers, Labels};
    use crate::targets::Targets;

    fn step(loss: &OnlineLabelSmoothing, z: &[f64], labels: &[i64], state: &mut LossState) -> Vec<f64> {
        let targets = Targets::labels(Labels::new(labels, 2).unwrap());
        let mut gradient = vec![0.0; z.len()];
        let batch = Batch::new(Buffers::Gradient { logits: z, gradient: &mut gradient }, &targets);
        loss.value_grad_f64(batch, state).unwrap();
        gradient
    }

    #[test]
    fn the_first_epoch_is_uniform_smoothing() {
        let loss = OnlineLabelSmoothing::new(0.5).unwrap();
        let want = -(0.75 * 0.75_f64.ln() + 0.25 * 0.25_f64.ln()); // q = (3/4, 1/4) = p
        assert_close(on_row(&loss, &[3.0_f64.ln(), 0.0], 0).unwrap(), want, &[0.0, 0.0]);
    }

    #[test]
    fn right_predictions_become_the_soft_labels() {
        let loss = OnlineLabelSmoothing::new(1.0).unwrap();
        let mut state = loss.initial_state(2);
        // Rows: right (3/4), right (1/2, the first of a tie), wrong; class 1 is never right.
        let z = [3.0_f64.ln(), 0.0, 0.0, 0.0, 1.0, 0.0];
        step(&loss, &z, &[0, 0, 1], &mut state);
        assert_eq!(state.arrays[COUNTS], [2.0, 0.0]);
        loss.end_epoch(&mut state);
        let soft = &state.arrays[SOFT_LABELS];
        assert!((soft[0] - 0.625).abs() < 1e-15 && (soft[1] - 0.375).abs() < 1e-15);
        assert_eq!(soft[2..], [0.5, 0.5]);
        assert_eq!((&state.arrays[COUNTS], &state.arrays[SUMS]), (&vec![0.0; 2], &vec![0.0; 4]));
        let gradient = step(&loss, &[0.0, 0.0], &[0], &mut state);
        assert!((gradient[0] + 0.125).abs() < 1e-15);
    }

    #[test]
    fn only_a_successful_training_step_changes_the_state() {
        let loss = OnlineLabelSmoothing::new(0.5).unwrap();
        let mut state = loss.initial_state(2);
        let targets = Targets::labels(Labels::new(&[0, 0], 2).unwrap());
        let forward = Batch::new(Buffers::Forward(&[1.0, 0.0, 1.0, 0.0]), &targets);
        loss.value_grad_f64(forward, &mut state).unwrap();
        assert_eq!(state, loss.initial_state(2));
        let mut bad = [1.0, 0.0, f64::NAN, 0.0];
        assert!(loss.value_grad_f64(Batch::new(Buffers::InPlace(&mut bad), &targets), &mut state).is_err());
        assert_eq!(state, loss.initial_state(2));
    }

    #[test]
    fn each_error() {
        let loss = OnlineLabelSmoothing::new(0.5).unwrap();
        assert_labels_only(&loss);
        assert!(OnlineLabelSmoothing::new(1.5).is_err());
        let targets = Targets::labels(Labels::new(&[0], 2).unwrap());
        let batch = Batch::new(Buffers::Forward(&[1.0, 0.0]), &targets);
        let error = loss.value_grad_f64(batch, &mut loss.initial_state(3)).unwrap_err();
        assert!(matches!(error, Error::Shape { expected: 4, got: 9, .. }));
        // A state that is not this loss's is left alone.
        let mut foreign = LossState { arrays: [(COUNTS.to_owned(), vec![])].into() };
        foreign.arrays.insert(SUMS.to_owned(), vec![1.0]);
        let before = foreign.clone();
        loss.end_epoch(&mut foreign);
        assert_eq!(foreign, before);
    }
}
