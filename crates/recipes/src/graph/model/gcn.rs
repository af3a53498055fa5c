//! The graph convolutional net of Kipf & Welling (ICLR 2017): `Z = S^k ReLU(S^k X W0 + b0) W1 + b1`.
//!
//! With β = 1 and k = 1 it is the published net; with β = 0 or k = 0 a perceptron that does not see the graph.
//! Propagation is linear, so it comes after the products with the weights, where rows are short. The biases, which
//! the first published code leaves out, come after the propagation, as in later ones.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use candor_burn::sparse_product;

use super::{Dropout, Inputs, NodeModel, NodeShape, hidden_width, with_bias};
use crate::config::ModelConfig;
use crate::error::Result;
use crate::vision::model::init::Layers;

/// Two graph convolutions with ReLU between, dropout before each.
#[derive(Module, Debug)]
pub struct Gcn {
    pub(super) conv1: Linear,
    pub(super) conv2: Linear,
}

impl NodeModel for Gcn {
    const STEPS: usize = 1;

    fn build(config: &ModelConfig, shape: &NodeShape, seed: u64, device: &Device) -> Result<Self> {
        let hidden = hidden_width(config)?;
        let mut init = Layers::new(seed, device);
        Ok(Self { conv1: init.glorot(shape.features, hidden), conv2: init.glorot(hidden, shape.classes) })
    }

    fn logits(&self, inputs: &Inputs, dropout: &mut Dropout) -> Result<Tensor<2>> {
        let x = sparse_product(&dropout.sparse(&inputs.features)?, self.conv1.weight.val())?;
        let x = relu(with_bias(&self.conv1, inputs.propagate(x)?));
        let x = dropout.dense(x).matmul(self.conv2.weight.val());
        Ok(with_bias(&self.conv2, inputs.propagate(x)?))
    }
}
