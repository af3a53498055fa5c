//! What can go wrong between a tensor and a loss.

/// An input that a loss module cannot take.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The loss itself refused its input.
    #[error(transparent)]
    Loss(#[from] candor::Error),
    /// Logits and targets do not have the same leading axes.
    #[error("logits have shape {logits:?}, so the targets need shape {expected:?}, but they have {got:?}")]
    Shape {
        /// Shape of the logits, classes last.
        logits: Vec<usize>,
        /// The targets' shape that fits.
        expected: Vec<usize>,
        /// The targets' shape.
        got: Vec<usize>,
    },
    /// A loss that has no value by row was asked for one.
    #[error("{loss} has no value by row: choose the reduction mean or sum")]
    Reduction {
        /// The loss.
        loss: &'static str,
    },
    /// A tensor could not be read into host memory.
    #[error("the {what} could not be read from the device: {reason}")]
    Read {
        /// Which tensor.
        what: &'static str,
        /// What the device said.
        reason: String,
    },
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
