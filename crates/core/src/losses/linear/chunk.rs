//! The passes over chunks of rows: logits, loss with its gradient in place, the two products with it.
//!
//! Matrices are cut into pieces of fixed width and the pieces given to threads, so that no bit depends on
//! the number of threads. The sums over rows that the chunks add up are in double precision, but for the
//! gradient of the weight, whose chunks add in its own precision.

use rayon::prelude::*;

use super::super::{Batch, CrossEntropy, LossOptions, LossState, LossValue, value_grad};
use super::{Linear, LinearGradients, LinearValue};
use crate::batch::{Buffers, Labels, Scalar};
use crate::error::{Error, Result};
use crate::kernels::matmul::{Matrix, MatrixMut, product};
use crate::targets::{TargetRule, Targets};

/// Columns of a piece of the logits and of the weight's gradient.
const CLASS_PIECE: usize = 1024;
/// Columns of a piece of the input's gradient, at most.
pub(super) const WIDTH_PIECE: usize = 512;

/// One call, checked.
pub(super) struct Pass<'a, T> {
    pub linear: &'a Linear<'a, T>,
    pub labels: Labels<'a>,
    pub rule: Option<&'a dyn TargetRule>,
    pub options: LossOptions<'a>,
    pub soft_cap: Option<f64>,
    pub top_k: Option<usize>,
    pub chunk_rows: usize,
}

impl<T: Scalar> Pass<'_, T> {
    pub fn run(&self, mut gradients: Option<LinearGradients<'_, T>>) -> Result<LinearValue> {
        let (n_rows, n_classes) = (self.linear.n_rows(), self.linear.n_classes());
        let values = self.chunk_rows.min(n_rows) * n_classes;
        let mut logits = vec![T::default(); values];
        let capped = self.soft_cap.is_some() && gradients.is_some();
        let mut residuals = vec![T::default(); if capped { values } else { 0 }];
        let wants_bias = gradients.as_ref().is_some_and(|gradients| gradients.bias.is_some());
        let mut bias_sums = vec![0.0_f64; if wants_bias { n_classes } else { 0 }];
        let mut totals = Totals::default();
        if n_rows == 0
            && let Some(gradients) = &mut gradients
        {
            gradients.weight.fill(T::default());
        }
        for from in (0..n_rows).step_by(self.chunk_rows) {
            let rows = self.chunk_rows.min(n_rows - from);
            let logits = &mut logits[..rows * n_classes];
            self.logits(from, rows, logits);
            let hits = self.top_k.map(|k| self.hits(from, logits, k));
            // The loss, and where its residuals stand afterwards.
            let (value, residuals) = if gradients.is_none() {
                (self.loss(from, rows, Buffers::Forward(logits))?, None)
            } else if capped {
                let residuals = &mut residuals[..rows * n_classes];
                let buffers = Buffers::Gradient { logits, gradient: &mut *residuals };
                let value = self.loss(from, rows, buffers)?;
                self.uncap(logits, residuals);
                (value, Some(&*residuals))
            } else {
                (self.loss(from, rows, Buffers::InPlace(logits))?, Some(&*logits))
            };
            totals.add(&value, hits);
            if let (Some(gradients), Some(residuals)) = (&mut gradients, residuals) {
                self.products(from, rows, residuals, gradients);
                add_columns(residuals, n_classes, &mut bias_sums);
            }
        }
        if let Some(bias) = gradients.and_then(|gradients| gradients.bias) {
            bias.iter_mut().zip(&bias_sums).for_each(|(bias, sum)| *bias = T::from_f64(*sum));
        }
        Ok(totals.value(self.options.denominator, self.labels, (self.chunk_rows, n_classes)))
    }

    /// The logits of a chunk, capped if wanted.
    fn logits(&self, from: usize, rows: usize, logits: &mut [T]) {
        let n_classes = self.linear.n_classes();
        if let Some(bias) = self.linear.bias() {
            logits.par_chunks_exact_mut(n_classes).for_each(|row| row.copy_from_slice(bias));
        }
        let (input, weight) = (self.linear.input_rows(from, rows), self.linear.weight());
        let add = self.linear.bias().is_some();
        MatrixMut::row_major(logits, rows, n_classes).columns(CLASS_PIECE).into_par_iter().for_each(
            |(from, piece)| {
                let width = CLASS_PIECE.min(n_classes - from);
                product(piece, input, weight.columns(from, width), 1.0, add);
            },
        );
        if let Some(cap) = self.soft_cap {
            logits.par_chunks_exact_mut(n_classes).for_each(|row| cap_row(row, cap));
        }
    }

    /// Loss and residuals of a chunk.
    fn loss(&self, from: usize, rows: usize, buffers: Buffers<'_, T>) -> Result<LossValue> {
        let labels = self.labels.rows(from, rows);
        let targets = match self.rule {
            Some(rule) => rule.targets(labels)?,
            None => Targets::labels(labels),
        };
        let options = LossOptions {
            sample_weights: self.options.sample_weights.and_then(|weights| weights.get(from..from + rows)),
            ..self.options
        };
        let batch = Batch::new(buffers, &targets).options(options);
        value_grad(&CrossEntropy, batch, &mut LossState::default()).map_err(|error| offset_rows(error, from))
    }

    /// Residuals of the logits before the cap.
    fn uncap(&self, logits: &[T], residuals: &mut [T]) {
        let Some(cap) = self.soft_cap else { return };
        let rows = residuals.par_chunks_exact_mut(self.linear.n_classes());
        rows.zip(logits.par_chunks_exact(self.linear.n_classes()))
            .for_each(|(residuals, logits)| uncap_row(residuals, logits, cap));
    }

    /// Adds a chunk to the gradients of input and weight.
    fn products(&self, from: usize, rows: usize, residuals: &[T], gradients: &mut LinearGradients<'_, T>) {
        let (width, n_classes) = (self.linear.width(), self.linear.n_classes());
        let residuals = Matrix::row_major(residuals, rows, n_classes);
        let by_class = self.linear.weight().transposed();
        let piece_width = width.div_ceil(width.div_ceil(WIDTH_PIECE));
        let input_gradient = &mut gradients.input[from * width..(from + rows) * width];
        MatrixMut::row_major(input_gradient, rows, width).columns(piece_width).into_par_iter().for_each(
            |(from, piece)| {
                let columns = piece_width.min(width - from);
                product(piece, residuals, by_class.columns(from, columns), 1.0, false);
            },
        );
        let input = self.linear.input_rows(from, rows).transposed();
        self.linear.weight_gradient(gradients.weight).columns(CLASS_PIECE).into_par_iter().for_each(
            |(class, piece)| {
                let columns = CLASS_PIECE.min(n_classes - class);
                product(piece, input, residuals.columns(class, columns), 1.0, from > 0);
            },
        );
    }

    /// Number of counted rows whose label is among the `k` largest logits.
    fn hits(&self, from: usize, logits: &[T], k: usize) -> u64 {
        let n_classes = self.linear.n_classes();
        logits
            .par_chunks_exact(n_classes)
            .enumerate()
            .filter(|(row, logits)| {
                self.labels.get(from + row).is_some_and(|label| {
                    let own = logits[label];
                    let above = logits[..label].iter().filter(|z| **z >= own).count()
                        + logits[label..].iter().filter(|z| **z > own).count();
                    above < k
                })
            })
            .count() as u64
    }
}

/// Logits become `c·tanh(z/c)`.
pub(super) fn cap_row<T: Scalar>(logits: &mut [T], cap: f64) {
    for value in logits {
        *value = T::from_f64(cap * (value.to_f64() / cap).tanh());
    }
}

/// Residuals of capped logits become those of the logits before the cap: times `1 - (z/c)²`.
pub(super) fn uncap_row<T: Scalar>(residuals: &mut [T], logits: &[T], cap: f64) {
    for (residual, z) in residuals.iter_mut().zip(logits) {
        let share = z.to_f64() / cap;
        *residual = T::from_f64(residual.to_f64() * (1.0 - share * share));
    }
}

/// Adds the columns of a chunk up, row after row, in pieces of fixed width.
pub(super) fn add_columns<T: Scalar>(values: &[T], n_columns: usize, sums: &mut [f64]) {
    sums.par_chunks_mut(CLASS_PIECE).enumerate().for_each(|(piece, sums)| {
        for row in values.chunks_exact(n_columns) {
            let row = &row[piece * CLASS_PIECE..];
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value.to_f64());
        }
    });
}

/// Names the row of the whole batch instead of the chunk's.
fn offset_rows(mut error: Error, by: usize) -> Error {
    if let Error::NonFiniteLogit { row, .. }
    | Error::NoAllowedClass { row }
    | Error::MaskedTarget { row, .. } = &mut error
    {
        *row += by;
    }
    error
}

/// Sums over chunks.
#[derive(Default)]
struct Totals {
    loss: f64,
    nll: f64,
    accuracy: f64,
    confidence: f64,
    entropy: f64,
    hits: Option<u64>,
}

impl Totals {
    fn add(&mut self, value: &LossValue, hits: Option<u64>) {
        let rows = value.rows as f64;
        self.loss += value.loss;
        self.hits = hits.map(|hits| hits + self.hits.unwrap_or(0));
        // The means of a chunk without counted rows are NaN.
        if value.rows > 0 {
            self.nll += value.nll * rows;
            self.accuracy += value.accuracy * rows;
            self.confidence += value.confidence * rows;
            self.entropy += value.entropy * rows;
        }
    }

    fn value(
        self,
        denominator: Option<f64>,
        labels: Labels<'_>,
        (chunk_rows, n_classes): (usize, usize),
    ) -> LinearValue {
        let rows = labels.counted();
        let mean = |sum: f64| if rows == 0 { f64::NAN } else { sum / rows as f64 };
        LinearValue {
            value: LossValue {
                loss: self.loss,
                nll: mean(self.nll),
                accuracy: mean(self.accuracy),
                confidence: mean(self.confidence),
                entropy: mean(self.entropy),
                rows,
                ignored: labels.len() - rows,
                denominator: denominator.unwrap_or(1.0),
            },
            top_k: self.hits.map(|hits| mean(hits as f64)),
            chunk_rows,
            chunk_classes: n_classes,
        }
    }
}
