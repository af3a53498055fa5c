//! A multilayer perceptron: flattened input, hidden layers with ReLU, a linear output.

use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};
use candor::kernels::dense::Activation;

use super::apply::apply;
use super::init::Layers;
use super::{ImageModel, ImageShape};
use crate::config::ModelConfig;
use crate::error::Result;

/// Flattened input, hidden layers of the configured widths with ReLU, a linear output.
#[derive(Module, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    /// An untrained perceptron with these widths: input, hidden layers, classes.
    pub fn new(widths: &[usize], seed: u64, device: &Device) -> Self {
        let mut init = Layers::new(seed, device);
        Self { layers: widths.windows(2).map(|pair| init.linear(pair[0], pair[1])).collect() }
    }
}

impl ImageModel for Mlp {
    fn build(config: &ModelConfig, shape: &ImageShape, seed: u64, device: &Device) -> Result<Self> {
        let mut widths = vec![shape.input.iter().product()];
        widths.extend(&config.hidden);
        widths.push(shape.classes);
        Ok(Self::new(&widths, seed, device))
    }

    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let hidden = self.layers.len() - 1;
        self.layers[..hidden].iter().fold(images.flatten(1, 3), |x, layer| apply(layer, x, Activation::Relu))
    }

    fn head(&self) -> &Linear {
        // There is one layer at least, from the input to the classes.
        &self.layers[self.layers.len() - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_determines_the_weights_and_they_stay_in_their_bounds() {
        let device = Device::flex();
        let weights = |seed| {
            let data = Mlp::new(&[9, 4, 2], seed, &device).layers[0].weight.val().into_data();
            data.try_into_vec::<f32>().unwrap()
        };
        assert_eq!(weights(3), weights(3));
        assert_ne!(weights(3), weights(4));
        assert!(weights(3).iter().all(|w| w.abs() <= 1.0 / 3.0));
        assert!(weights(3).iter().any(|w| w.abs() > 0.2));
    }

    #[test]
    fn the_output_has_one_logit_a_class() {
        let device = Device::flex();
        let model = Mlp::new(&[9, 4, 2], 0, &device);
        assert_eq!(model.logits(Tensor::zeros([5, 1, 3, 3], &device)).dims(), [5, 2]);
    }
}
