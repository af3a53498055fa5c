//! The simplified graph convolution of Wu et al. (ICML 2019): `Z = S^k X W + b`, linear in everything.
//!
//! Label smoothing and propagation commute here: any interplay of the two comes from the loss alone. As published,
//! nothing is dropped.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use candor_burn::sparse_product;

use super::{Dropout, Inputs, NodeModel, NodeShape, with_bias};
use crate::config::ModelConfig;
use crate::error::Result;
use crate::vision::model::init::Layers;

/// Propagated features and a linear layer.
#[derive(Module, Debug)]
pub struct Sgc {
    pub(super) linear: Linear,
}

impl NodeModel for Sgc {
    const STEPS: usize = 2;

    fn build(_: &ModelConfig, shape: &NodeShape, seed: u64, device: &Device) -> Result<Self> {
        Ok(Self { linear: Layers::new(seed, device).glorot(shape.features, shape.classes) })
    }

    fn logits(&self, inputs: &Inputs, _: &mut Dropout) -> Result<Tensor<2>> {
        let x = sparse_product(&inputs.features, self.linear.weight.val())?;
        Ok(with_bias(&self.linear, inputs.propagate(x)?))
    }
}
