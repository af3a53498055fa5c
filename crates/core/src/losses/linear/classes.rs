//! The passes over chunks of classes, for budgets that hold few rows of logits.
//!
//! A chunk holds some classes of all rows. The first pass adds up what each row's softmax needs, as shards of classes
//! do; the second computes the logits again, makes residuals of them, and multiplies. That is one product more, of
//! whole matrices, where products of few rows would read the weight from memory once for every few rows.

use rayon::prelude::*;

use super::super::sharded::{ClassShard, RowShard};
use super::super::sweep::{RowWeights, check_weights};
use super::super::{LossOptions, LossValue, Weighting};
use super::chunk::{WIDTH_PIECE, add_columns, cap_row, uncap_row};
use super::{Linear, LinearGradients, LinearValue};
use crate::batch::{Labels, Logits, Scalar};
use crate::error::Result;
use crate::kernels::math::ln;
use crate::kernels::matmul::{Matrix, MatrixMut, product};
use crate::targets::{Convention, RowBackground, Targets};

/// Columns of a piece of the logits and of the weight's gradient.
const PIECE: usize = 512;
/// From so many rows a chunk on, chunks of rows are as fast.
const ENOUGH_ROWS: usize = 96;

/// One call, checked.
pub(super) struct ByClasses<'a, T> {
    linear: &'a Linear<'a, T>,
    labels: Labels<'a>,
    targets: &'a Targets<'a>,
    options: LossOptions<'a>,
    soft_cap: Option<f64>,
    smoothing: f64,
    convention: Convention,
    /// Classes of a chunk.
    width: usize,
}

/// The largest logit of a row so far, and the first class that has it.
#[derive(Clone, Copy)]
struct Best {
    logit: f64,
    class: usize,
}

impl<'a, T: Scalar> ByClasses<'a, T> {
    /// The passes, if they are faster than chunks of `chunk_rows` rows within `memory` bytes, and cover the targets
    /// and options: labels with one strength over all classes or all others, no entropy, no weights class by class.
    pub fn new(
        (linear, labels): (&'a Linear<'a, T>, Labels<'a>),
        targets: &'a Targets<'a>,
        options: LossOptions<'a>,
        soft_cap: Option<f64>,
        (memory, chunk_rows): (usize, usize),
    ) -> Option<Self> {
        let (n_rows, n_classes) = (linear.n_rows(), linear.n_classes());
        let width = memory / size_of::<T>() / n_rows.max(1) / PIECE * PIECE;
        let by_class = options.weighting == Weighting::Pytorch && options.class_weights.is_some();
        if chunk_rows >= ENOUGH_ROWS.min(n_rows) || width == 0 || options.entropy || by_class {
            return None;
        }
        let target = targets.label_rows()?.alike()?;
        let convention = match target.background {
            RowBackground::Uniform => Convention::Uniform,
            RowBackground::OtherClasses => Convention::OffClass,
            RowBackground::Prior(_) => return None,
        };
        ClassShard::new(0, n_classes, n_classes, target.smoothing, convention).ok()?;
        let smoothing = target.smoothing;
        Some(Self { linear, labels, targets, options, soft_cap, smoothing, convention, width })
    }

    fn shard(&self, first: usize) -> Result<ClassShard> {
        let n_classes = self.linear.n_classes();
        let len = self.width.min(n_classes - first);
        ClassShard::new(first, len, n_classes, self.smoothing, self.convention)
    }

    pub fn run(&self, mut gradients: Option<LinearGradients<'_, T>>) -> Result<LinearValue> {
        let (n_rows, n_classes) = (self.linear.n_rows(), self.linear.n_classes());
        check_weights("class weight", self.options.class_weights, n_classes)?;
        check_weights("sample weight", self.options.sample_weights, n_rows)?;
        let mut room = vec![T::default(); n_rows * self.width.min(n_classes)];
        let mut rows = vec![RowShard::default(); n_rows];
        let mut best = vec![Best { logit: f64::NEG_INFINITY, class: 0 }; n_rows];
        for first in (0..n_classes).step_by(self.width) {
            let len = self.width.min(n_classes - first);
            let logits = &mut room[..n_rows * len];
            self.logits(first, len, logits);
            let found = self.shard(first)?.statistics(Logits::new(logits, len)?, self.labels)?;
            let rows = rows.par_iter_mut().zip(&mut best).zip(found).zip(logits.par_chunks_exact(len));
            rows.for_each(|(((row, best), found), logits)| {
                if found.max > best.logit {
                    let place = logits.iter().position(|z| z.to_f64() == found.max).unwrap_or(0);
                    *best = Best { logit: found.max, class: first + place };
                }
                *row = row.merge(found);
            });
        }
        let value = self.value(&rows, &best)?;
        if let Some(gradients) = &mut gradients {
            let mut bias = gradients.bias.take();
            for first in (0..n_classes).step_by(self.width) {
                let len = self.width.min(n_classes - first);
                let residuals = &mut room[..n_rows * len];
                self.logits(first, len, residuals);
                self.residuals(first, residuals, &rows)?;
                self.products(first, len, residuals, gradients);
                if let Some(bias) = &mut bias {
                    let mut sums = vec![0.0_f64; len];
                    add_columns(residuals, len, &mut sums);
                    bias[first..].iter_mut().zip(sums).for_each(|(bias, sum)| *bias = T::from_f64(sum));
                }
            }
        }
        Ok(value)
    }

    /// The logits of a chunk, capped if wanted.
    fn logits(&self, first: usize, len: usize, logits: &mut [T]) {
        let n_rows = self.linear.n_rows();
        if let Some(bias) = self.linear.bias() {
            logits.par_chunks_exact_mut(len).for_each(|row| row.copy_from_slice(&bias[first..first + len]));
        }
        let (input, weight) = (self.linear.input_rows(0, n_rows), self.linear.weight());
        let add = self.linear.bias().is_some();
        MatrixMut::row_major(logits, n_rows, len).columns(PIECE).into_par_iter().for_each(|(from, piece)| {
            let columns = PIECE.min(len - from);
            product(piece, input, weight.columns(first + from, columns), 1.0, add);
        });
        if let Some(cap) = self.soft_cap {
            logits.par_chunks_exact_mut(len).for_each(|row| cap_row(row, cap));
        }
    }

    /// The weights of a row's loss.
    fn weight(&self, row: usize) -> f64 {
        let weights = RowWeights::new(&self.options);
        self.targets.row(row).map_or(0.0, |target| weights.of(row, &target))
    }

    /// Loss and figures from what the rows add up to.
    fn value(&self, rows: &[RowShard], best: &[Best]) -> Result<LinearValue> {
        let shard = self.shard(0)?;
        let (mut loss, mut nll, mut confidence, mut correct) = (0.0, 0.0, 0.0, 0_usize);
        for (row, (found, best)) in rows.iter().zip(best).enumerate() {
            let Some(label) = self.labels.get(row) else { continue };
            loss += self.weight(row) * shard.loss(row, found)?;
            nll += ln(found.sum_exp) - (found.label_logit.unwrap_or(f64::NAN) - found.max);
            confidence += 1.0 / found.sum_exp;
            correct += usize::from(best.class == label);
        }
        let counted = self.labels.counted();
        let mean = |sum: f64| if counted == 0 { f64::NAN } else { sum / counted as f64 };
        let denominator = self.options.denominator.unwrap_or(1.0);
        Ok(LinearValue {
            value: LossValue {
                loss: loss / denominator,
                nll: mean(nll),
                accuracy: mean(correct as f64),
                confidence: mean(confidence),
                entropy: f64::NAN,
                rows: counted,
                ignored: self.labels.len() - counted,
                denominator,
            },
            top_k: None,
            chunk_rows: rows.len(),
            chunk_classes: self.width.min(self.linear.n_classes()),
        })
    }

    /// Logits of a chunk become residuals: the gradient of the loss with respect to the logits before the cap.
    fn residuals(&self, first: usize, logits: &mut [T], rows: &[RowShard]) -> Result<()> {
        let shard = self.shard(first)?;
        let inverse = 1.0 / self.options.denominator.unwrap_or(1.0);
        let len = self.width.min(self.linear.n_classes() - first);
        logits.par_chunks_exact_mut(len).zip(rows).enumerate().for_each(|(row, (logits, found))| {
            let Some(label) = self.labels.get(row) else { return logits.fill(T::default()) };
            let capped = self.soft_cap.map(|cap| (cap, logits.to_vec()));
            shard.row_gradient(logits, label, found, self.weight(row) * inverse);
            if let Some((cap, capped)) = capped {
                uncap_row(logits, &capped, cap);
            }
        });
        Ok(())
    }

    /// Adds a chunk to the gradient of the input, and writes its classes' part of the weight's.
    fn products(&self, first: usize, len: usize, residuals: &[T], gradients: &mut LinearGradients<'_, T>) {
        let (width, n_rows) = (self.linear.width(), self.linear.n_rows());
        let residuals = Matrix::row_major(residuals, n_rows, len);
        let by_class = self.linear.weight().columns(first, len).transposed();
        let piece_width = width.div_ceil(width.div_ceil(WIDTH_PIECE));
        MatrixMut::row_major(gradients.input, n_rows, width).columns(piece_width).into_par_iter().for_each(
            |(from, piece)| {
                let columns = piece_width.min(width - from);
                product(piece, residuals, by_class.columns(from, columns), 1.0, first > 0);
            },
        );
        let input = self.linear.input_rows(0, n_rows).transposed();
        let pieces = self.linear.weight_gradient(gradients.weight).columns(PIECE);
        let here = pieces.into_par_iter().filter(|(class, _)| (first..first + len).contains(class));
        here.for_each(|(class, piece)| {
            let columns = PIECE.min(first + len - class);
            product(piece, input, residuals.columns(class - first, columns), 1.0, false);
        });
    }
}
