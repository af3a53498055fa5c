//! What a one-vs-rest map knows of the curve of one class.

use super::CalibratorInfo;
use crate::error::Result;

/// An increasing map of a class's score to its probability.
pub trait Curve: std::fmt::Debug + Clone + PartialEq + Send + Sync {
    /// The map that consists of such curves.
    fn info() -> &'static CalibratorInfo;

    /// `ln v` and `ln (1 - v)` of the probability v at this log-odds (or logit).
    fn log_pair(&self, score: f64) -> (f64, f64);

    /// Number of fitted numbers.
    fn n_parameters(&self) -> usize;

    /// Checks numbers that come from a file.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) or [`Error::Shape`](crate::Error::Shape).
    fn check(&self) -> Result<()>;
}
