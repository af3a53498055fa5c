//! The views that every computation takes: shapes and label ranges are checked here, once.
//!
//! All arrays are row-major `[n, n_classes]`, classes last. A view borrows; nothing is copied.

mod from_probs;
mod labels;
mod logits;
mod probs;
mod scalar;

pub use from_probs::{FromProbs, Link};
pub use labels::Labels;
pub use logits::{Buffers, Logits};
pub(crate) use probs::check_row;
pub use probs::{PROBABILITY_TOLERANCE, Probs};
pub use scalar::{DType, Scalar, Storage};

use crate::error::{Error, Result};

/// Number of rows of a flat `[n, n_classes]` array.
fn rows(what: &'static str, len: usize, n_classes: usize) -> Result<usize> {
    if n_classes == 0 {
        return Err(Error::Shape { what: "the class axis", expected: 1, got: 0 });
    }
    if !len.is_multiple_of(n_classes) {
        return Err(Error::RaggedRows { what, len, n_classes });
    }
    Ok(len / n_classes)
}
