//! Models of nodes: features in, propagated over the graph, a logit for each class out.

mod appnp;
mod dropout;
mod gcn;
mod sgc;

pub use appnp::Appnp;
pub use dropout::Dropout;
pub use gcn::Gcn;
pub use sgc::Sgc;

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use candor_burn::{SharedMatrix, sparse_product};

use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// What a model must fit.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct NodeShape {
    /// Features of a node.
    pub features: usize,
    /// Number of classes.
    pub classes: usize,
}

/// What a model reads: features, and how to propagate.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Features `[nodes, features]`.
    pub features: SharedMatrix,
    /// One step of propagation `[nodes, nodes]`.
    pub step: SharedMatrix,
    /// Number of steps.
    pub k: usize,
    /// Share of a node's own prediction in each step of `appnp`.
    pub teleport: f64,
}

impl Inputs {
    /// `k` steps of propagation of `x` `[nodes, width]`.
    fn propagate(&self, x: Tensor<2>) -> Result<Tensor<2>> {
        (0..self.k).try_fold(x, |x, _| Ok(sparse_product(&self.step, x)?))
    }
}

/// A model from a whole graph to the logits of all its nodes.
pub trait NodeModel: Module + Clone {
    /// Steps of propagation as published.
    const STEPS: usize;

    /// An untrained model.
    ///
    /// # Errors
    /// Settings that it does not have.
    fn build(config: &ModelConfig, shape: &NodeShape, seed: u64, device: &Device) -> Result<Self>;

    /// Logits `[nodes, classes]`.
    ///
    /// # Errors
    /// Inputs of another shape.
    fn logits(&self, inputs: &Inputs, dropout: &mut Dropout) -> Result<Tensor<2>>;
}

/// The width of the one hidden layer.
fn hidden_width(config: &ModelConfig) -> Result<usize> {
    match config.hidden[..] {
        [hidden] => Ok(hidden),
        _ => {
            let got = format!("{:?}", config.hidden);
            Err(Error::config("model.hidden", got, format!("{} has one hidden layer", config.name)))
        }
    }
}

/// Adds the bias of a layer, which comes after the propagation.
fn with_bias(layer: &Linear, x: Tensor<2>) -> Tensor<2> {
    match &layer.bias {
        Some(bias) => x + bias.val().unsqueeze::<2>(),
        None => x,
    }
}
