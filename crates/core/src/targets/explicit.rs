//! The un-smoothed part of the targets of a batch: labels, a few pairs a row, dense rows, or sigmoid targets.

use std::borrow::Cow;

use super::BinaryTargets;
use crate::batch::Labels;

/// The un-smoothed targets of a batch.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Explicit<'a> {
    /// One class a row.
    Labels(Labels<'a>),
    /// A few (class, mass) pairs a row; row i owns `offsets[i]..offsets[i+1]`.
    Sparse {
        /// `n + 1` positions, ascending from 0.
        offsets: Cow<'a, [usize]>,
        /// The classes.
        classes: Cow<'a, [u32]>,
        /// Their masses.
        masses: Cow<'a, [f64]>,
    },
    /// A mass for every class.
    Dense(DenseRows<'a>),
    /// A probability for each class by itself.
    Binary(BinaryTargets<'a>),
}

/// Rows of target masses `[n, n_classes]` in one of the storage types.
#[derive(Debug, Clone, Copy)]
pub enum DenseRows<'a> {
    /// Single precision.
    F32(&'a [f32]),
    /// Double precision.
    F64(&'a [f64]),
}

impl<'a> DenseRows<'a> {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            DenseRows::F32(rows) => rows.len(),
            DenseRows::F64(rows) => rows.len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One value.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    pub fn get(&self, index: usize) -> f64 {
        match self {
            DenseRows::F32(rows) => f64::from(rows[index]),
            DenseRows::F64(rows) => rows[index],
        }
    }

    pub(super) fn slice(&self, from: usize, to: usize) -> DenseRows<'a> {
        match self {
            DenseRows::F32(rows) => DenseRows::F32(&rows[from..to]),
            DenseRows::F64(rows) => DenseRows::F64(&rows[from..to]),
        }
    }
}
