//! Softmax cross-entropy of rows: value and gradient `s·p - q` in one sweep while a row is in cache.
//!
//! `q = (1-α)·explicit + α·background`, times a weight a class if there are any; `s = Σ q`.
//! Each row goes through its maximum (and a look at the magnitudes), exponentials and sums, gradient.
//! Up to `SMALL_CLASSES` classes, rows stand side by side in the lanes of vectors (`lanes`); beyond,
//! a vector holds a piece of one row (`long_rows`). The number of classes alone decides.
//! A row with a value that is not finite or beyond 1e30 goes to [`reference_row`], which handles masked
//! classes and names errors.

mod extremes;
mod factors;
mod job;
pub(crate) mod lanes;
pub(crate) mod long_rows;
pub(crate) mod part;
mod reference;
mod sums;
mod transpose;

pub(crate) use job::{ClassBackground, Job, Kind, LARGEST_FACTOR, LARGEST_SCALE, Setting, Shares};
pub use reference::reference_row;

use crate::batch::Storage;

/// What one row contributes to a loss and to the figures logged beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RowValue {
    /// The loss, in nats, before any row weight.
    pub loss: f64,
    /// Cross-entropy against the un-smoothed target, in nats: what is comparable across strengths.
    pub nll: f64,
    /// Whether the predicted class (the first of the largest logits) is the label; false without one.
    pub correct: bool,
    /// Largest probability, in (0, 1].
    pub confidence: f64,
    /// Entropy of the predicted distribution, in nats, in [0, ln K]; NaN if it was not asked for.
    pub entropy: f64,
}

/// A row of logits, and where its gradient goes.
pub enum RowBuffers<'a, T> {
    /// The value only.
    Forward(&'a [T]),
    /// The gradient goes elsewhere.
    Gradient(&'a [T], &'a mut [T]),
    /// The gradient replaces the logits.
    InPlace(&'a mut [T]),
}

impl<T: Storage> RowBuffers<'_, T> {
    /// The logits.
    pub fn logits(&self) -> &[T] {
        match self {
            RowBuffers::Forward(logits) | RowBuffers::Gradient(logits, _) => logits,
            RowBuffers::InPlace(logits) => logits,
        }
    }

    /// Whether all arrays hold `n_classes` values.
    #[inline(always)]
    fn holds(&self, n_classes: usize) -> bool {
        match self {
            RowBuffers::Forward(logits) => logits.len() == n_classes,
            RowBuffers::Gradient(logits, gradient) => {
                logits.len() == n_classes && gradient.len() == n_classes
            }
            RowBuffers::InPlace(logits) => logits.len() == n_classes,
        }
    }

    #[inline(always)]
    fn wants_gradient(&self) -> bool {
        !matches!(self, RowBuffers::Forward(_))
    }

    /// The gradient's place, if it is wanted.
    #[inline(always)]
    fn gradient(&mut self) -> Option<&mut [T]> {
        match self {
            RowBuffers::Forward(_) => None,
            RowBuffers::Gradient(_, gradient) => Some(gradient),
            RowBuffers::InPlace(logits) => Some(logits),
        }
    }

    /// Writes the gradient of class `class`; nothing when only the value is wanted.
    #[inline]
    pub(crate) fn set(&mut self, class: usize, value: f64) {
        match self {
            RowBuffers::Forward(_) => {}
            RowBuffers::Gradient(_, gradient) => gradient[class] = T::from_f64(value),
            RowBuffers::InPlace(logits) => logits[class] = T::from_f64(value),
        }
    }
}

/// Magnitudes from here on go to the reference: differences could overflow.
const HUGE_BITS: u32 = 0x7149_f2ca; // 1e30
