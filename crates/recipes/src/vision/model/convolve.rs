//! Burn's convolution layers as holders of parameters, computed by Candor's operation.

use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use candor::kernels::convolution::Activation;
use candor_burn::{ConvolutionOptions, convolution};

/// What the layer gives for images `[n, channels, height, width]`, with what follows it.
///
/// # Panics
/// If the images do not have the layer's channels or are smaller than its kernel, as Burn's own layer; and on layers
/// with dilation, groups or uneven padding, which no model here has.
pub(super) fn convolve(layer: &Conv2d, images: Tensor<4>, activation: Activation) -> Tensor<4> {
    let padding = match layer.padding {
        PaddingConfig2d::Valid => [0, 0],
        PaddingConfig2d::Explicit(top, left, bottom, right) if (top, left) == (bottom, right) => [top, left],
        ref other => panic!("the padding {other:?} is not the same on both sides"),
    };
    assert!(layer.dilation == [1, 1] && layer.groups == 1, "a convolution with dilation or groups");
    let bias = layer.bias.as_ref().map(|bias| bias.val());
    let options = ConvolutionOptions { stride: layer.stride, padding, activation };
    match convolution(images, layer.weight.val(), bias, options) {
        Ok(output) => output,
        Err(error) => panic!("images that do not fit the convolution: {error}"),
    }
}
