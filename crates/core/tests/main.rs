//! The integration tests of the core crate, as one binary: what holds across modules, through the public API.

/// Values and gradients of PyTorch's cross-entropy.
mod cross_entropy;

/// Reads the golden vectors.
mod golden;
/// Runs a loss in every way that it can be called.
mod run;
