//! A small convolutional net in the manner of LeNet (LeCun et al. 1998): two convolutions, two linear layers.

use burn::module::Module;
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor};
use candor::kernels::convolution::Activation;
use candor::kernels::dense::Activation as After;

use super::apply::apply;
use super::convolve::convolve;
use super::init::{ConvInit, Layers};
use super::{ImageModel, ImageShape};
use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// conv 3x3 to 32, ReLU, max-pool 2; conv 3x3 to 64, ReLU, max-pool 2; linear (128), ReLU; linear to the classes.
#[derive(Module, Debug)]
pub struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
}

impl ImageModel for LeNet {
    fn build(config: &ModelConfig, shape: &ImageShape, seed: u64, device: &Device) -> Result<Self> {
        let [channels, height, width] = shape.input;
        if height < 4 || width < 4 {
            let got = format!("lenet on images of {height}x{width}");
            return Err(Error::config("model.name", got, "needs images of at least 4x4"));
        }
        let [hidden] = config.hidden[..] else {
            return Err(Error::config(
                "model.hidden",
                format!("{:?}", config.hidden),
                "lenet has one hidden layer",
            ));
        };
        let mut init = Layers::new(seed, device);
        Ok(Self {
            conv1: init.conv3x3(channels, 32, 1, ConvInit::Uniform),
            conv2: init.conv3x3(32, 64, 1, ConvInit::Uniform),
            fc1: init.linear(64 * (height / 4) * (width / 4), hidden),
            fc2: init.linear(hidden, shape.classes),
        })
    }

    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let x = convolve(&self.conv1, images, Activation::ReluMaxPool);
        let x = convolve(&self.conv2, x, Activation::ReluMaxPool);
        apply(&self.fc1, x.flatten::<2>(1, 3), After::Relu)
    }

    fn head(&self) -> &Linear {
        &self.fc2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(input: [usize; 3], hidden: Vec<usize>) -> Result<LeNet> {
        let config = ModelConfig { hidden, ..ModelConfig::default() };
        LeNet::build(&config, &ImageShape { input, classes: 10 }, 0, &Device::flex())
    }

    #[test]
    fn it_takes_images_of_any_size_from_four() {
        let device = Device::flex();
        for input in [[1, 28, 28], [3, 32, 32], [1, 8, 8], [1, 7, 5]] {
            let model = build(input, vec![16]).unwrap();
            let [c, h, w] = input;
            assert_eq!(model.logits(Tensor::zeros([2, c, h, w], &device)).dims(), [2, 10]);
        }
        assert!(build([1, 3, 8], vec![16]).unwrap_err().to_string().contains("4x4"));
        assert!(build([1, 8, 8], vec![16, 16]).is_err());
    }
}
