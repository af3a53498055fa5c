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
    /// A name that is no device's.
    #[error("there is no device {name:?}: cpu, wgpu or cuda, the last two with :n for the n-th one from 0")]
    UnknownDevice {
        /// The name.
        name: String,
    },
    /// A device that this build was made without.
    #[error("this build has no {feature} devices: build with --features {feature}")]
    MissingFeature {
        /// The cargo feature that brings them.
        feature: &'static str,
    },
    /// A device that this machine does not have.
    #[error("this machine has no device {name}: {}", found(kind, *count))]
    NoDevice {
        /// The name.
        name: String,
        /// Its kind.
        kind: &'static str,
        /// How many of this kind there are.
        count: usize,
    },
}

/// How many devices of a kind there are, in words.
fn found(kind: &str, count: usize) -> String {
    match count {
        0 => format!("no {kind} device was found; is its driver installed?"),
        1 => format!("{kind}:0 is the only one"),
        _ => format!("there are {kind}:0 to {kind}:{}", count - 1),
    }
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
