//! Burn's linear layers as holders of parameters, computed by Candor's operation.

use burn::nn::Linear;
use burn::tensor::Tensor;
use candor::kernels::dense::Activation;
use candor_burn::dense;

/// What the layer gives for the last axis of a tensor, with what follows it.
///
/// # Panics
/// If the axis does not have the layer's inputs, as Burn's own layer.
pub(crate) fn apply<const D: usize>(layer: &Linear, input: Tensor<D>, activation: Activation) -> Tensor<D> {
    match dense(input, layer.weight.val(), layer.bias.as_ref().map(|bias| bias.val()), activation) {
        Ok(output) => output,
        Err(error) => panic!("a tensor that does not fit the layer: {error}"),
    }
}
