//! Predict, then propagate (Gasteiger et al., ICLR 2019): a perceptron's logits `H`, and k steps of
//! `Z ← (1-a)·S·Z + a·H`.
//!
//! The share a of the own prediction keeps many steps from smoothing everything away. Edges are not dropped, which
//! the published code does besides.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use candor_burn::sparse_product;

use super::{Dropout, Inputs, NodeModel, NodeShape, hidden_width, with_bias};
use crate::config::ModelConfig;
use crate::error::Result;
use crate::vision::model::init::Layers;

/// A perceptron with one hidden layer, and personalised propagation of its logits.
#[derive(Module, Debug)]
pub struct Appnp {
    pub(super) lin1: Linear,
    pub(super) lin2: Linear,
}

impl NodeModel for Appnp {
    const STEPS: usize = 10;

    fn build(config: &ModelConfig, shape: &NodeShape, seed: u64, device: &Device) -> Result<Self> {
        let hidden = hidden_width(config)?;
        let mut init = Layers::new(seed, device);
        Ok(Self { lin1: init.glorot(shape.features, hidden), lin2: init.glorot(hidden, shape.classes) })
    }

    fn logits(&self, inputs: &Inputs, dropout: &mut Dropout) -> Result<Tensor<2>> {
        let x = sparse_product(&dropout.sparse(&inputs.features)?, self.lin1.weight.val())?;
        let x = dropout.dense(relu(with_bias(&self.lin1, x)));
        let own = self.lin2.forward(x);
        let a = inputs.teleport;
        (0..inputs.k).try_fold(own.clone(), |z, _| {
            Ok(sparse_product(&inputs.step, z)?.mul_scalar(1.0 - a) + own.clone().mul_scalar(a))
        })
    }
}
