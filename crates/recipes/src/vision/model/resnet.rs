//! The residual nets of He et al. for CIFAR (CVPR 2016, arXiv:1512.03385, section 4.2): depth 6n+2.
//!
//! A 3x3 convolution to 16 channels; three stages of n blocks with 16, 32 and 64 channels, the size halved
//! between them; global average; a linear layer. Shortcuts between stages take every second pixel and pad
//! the channels with zeros (option A of the paper), so they have no parameters.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::pool::AvgPool2dConfig;
use burn::nn::{BatchNorm, Linear};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use candor::kernels::convolution::Activation;

use super::convolve::convolve;
use super::init::{ConvInit, Layers};
use super::{ImageModel, ImageShape};
use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// A residual net of depth 6n+2 (8, 14, 20, 32, …) with batch normalisation.
#[derive(Module, Debug)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm,
    blocks: Vec<Block>,
    fc: Linear,
}

/// Two convolutions and a shortcut.
#[derive(Module, Debug)]
struct Block {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    stride: usize,
}

impl Block {
    fn new(init: &mut Layers<'_>, inputs: usize, outputs: usize, stride: usize) -> Self {
        Self {
            conv1: init.conv3x3(inputs, outputs, stride, ConvInit::He),
            bn1: init.batch_norm(outputs),
            conv2: init.conv3x3(outputs, outputs, 1, ConvInit::He),
            bn2: init.batch_norm(outputs),
            stride,
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = relu(self.bn1.forward(convolve(&self.conv1, x.clone(), Activation::None)));
        let y = self.bn2.forward(convolve(&self.conv2, y, Activation::None));
        relu(y.clone() + shortcut(x, y.dims()[1], self.stride))
    }
}

/// Every `stride`-th pixel, with channels of zeros before and after up to `channels`.
fn shortcut(x: Tensor<4>, channels: usize, stride: usize) -> Tensor<4> {
    let x = if stride == 1 {
        x
    } else {
        AvgPool2dConfig::new([1, 1]).with_strides([stride, stride]).init().forward(x)
    };
    let [n, found, height, width] = x.dims();
    if found == channels {
        return x;
    }
    let before = (channels - found) / 2;
    let zeros = |channels: usize| Tensor::zeros([n, channels, height, width], &x.device());
    Tensor::cat(vec![zeros(before), x.clone(), zeros(channels - found - before)], 1)
}

impl ImageModel for ResNet {
    fn build(config: &ModelConfig, shape: &ImageShape, seed: u64, device: &Device) -> Result<Self> {
        let depth = config.depth.unwrap_or(20);
        if depth < 8 || !(depth - 2).is_multiple_of(6) {
            return Err(Error::config("model.depth", depth, "must be 6n+2: 8, 14, 20, 26, 32, …"));
        }
        let per_stage = (depth - 2) / 6;
        let mut init = Layers::new(seed, device);
        let conv1 = init.conv3x3(shape.input[0], 16, 1, ConvInit::He);
        let bn1 = init.batch_norm(16);
        let mut blocks = Vec::with_capacity(3 * per_stage);
        let mut channels = 16;
        for width in [16, 32, 64] {
            for index in 0..per_stage {
                let stride = if index == 0 && width > 16 { 2 } else { 1 };
                blocks.push(Block::new(&mut init, channels, width, stride));
                channels = width;
            }
        }
        Ok(Self { conv1, bn1, blocks, fc: init.linear(64, shape.classes) })
    }

    fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let x = relu(self.bn1.forward(convolve(&self.conv1, images, Activation::None)));
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        let [n, channels, height, width] = x.dims();
        x.reshape([n, channels, height * width]).mean_dim(2).reshape([n, channels])
    }

    fn head(&self) -> &Linear {
        &self.fc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_twenty_has_the_published_number_of_weights() {
        let device = Device::flex();
        let config = ModelConfig::default();
        let shape = ImageShape { input: [3, 32, 32], classes: 10 };
        let model = ResNet::build(&config, &shape, 0, &device).unwrap();
        // Convolutions 267,696 + 432, normalisation 2 x 688, linear 650: "0.27M" in the paper's table 6.
        let running = 2 * 688;
        assert_eq!(model.num_params(), 269_722 + running);
        assert_eq!(model.logits(Tensor::zeros([2, 3, 32, 32], &device)).dims(), [2, 10]);
    }

    #[test]
    fn other_depths_are_refused() {
        let shape = ImageShape { input: [1, 8, 8], classes: 10 };
        for depth in [0, 7, 18, 21] {
            let config = ModelConfig { depth: Some(depth), ..ModelConfig::default() };
            let error = ResNet::build(&config, &shape, 0, &Device::flex()).unwrap_err();
            assert!(error.to_string().contains("6n+2"), "{error}");
        }
    }

    #[test]
    fn a_shortcut_takes_every_second_pixel_and_pads_channels() {
        let x = Tensor::<1>::from_floats([1.0, 2.0, 3.0, 4.0], &Device::flex()).reshape([1, 1, 2, 2]);
        let y = shortcut(x, 3, 2).into_data().try_into_vec::<f32>().unwrap();
        assert_eq!(y, [0.0, 1.0, 0.0]);
    }
}
