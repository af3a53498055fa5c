//! What some losses remember from batch to batch, and where in a training a batch stands.

use std::collections::BTreeMap;

/// Named arrays that a loss carries from batch to batch; saved in checkpoints.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LossState {
    /// The arrays by name.
    pub arrays: BTreeMap<String, Vec<f64>>,
}

/// Where in a training a batch stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Step {
    /// Optimiser steps done so far.
    pub step: u64,
    /// Epochs done so far.
    pub epoch: u64,
    /// Steps of the whole training; 0 if unknown.
    pub steps: u64,
    /// Epochs of the whole training; 0 if unknown.
    pub epochs: u64,
}
