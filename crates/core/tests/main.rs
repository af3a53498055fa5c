//! The integration tests of the core crate, as one binary: what holds across modules, through the public API.

/// What every registered loss promises.
mod conformance;
/// The predictive entropy of the vectorised cross-entropy.
mod entropy;
/// Losses that are the same by theory.
mod identities;
/// Published losses against values and gradients computed elsewhere.
mod methods;

/// Batches to try losses on, and losses by name.
mod trial;
