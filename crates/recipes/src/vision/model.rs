//! Models of images, with PyTorch's initial weights drawn from the run's own streams.

use burn::module::{Module, Param, ParamId};
use burn::nn::Linear;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use candor::random::Stream;

/// A multilayer perceptron: flattened input, hidden layers with ReLU, a linear output.
#[derive(Module, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    /// An untrained perceptron with these widths: input, hidden layers, classes.
    ///
    /// Weights and biases are uniform in ±1/sqrt(inputs of the layer), as PyTorch's `nn.Linear`.
    pub fn new(widths: &[usize], seed: u64, device: &Device) -> Self {
        let layers = widths
            .windows(2)
            .enumerate()
            .map(|(index, pair)| linear(pair[0], pair[1], index as u64, seed, device))
            .collect();
        Self { layers }
    }

    /// Logits.
    ///
    /// # Shapes
    /// - input `[n, values]`
    /// - output `[n, classes]`
    pub fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let last = self.layers.len() - 1;
        self.layers.iter().enumerate().fold(input, |x, (index, layer)| {
            let x = layer.forward(x);
            if index < last { relu(x) } else { x }
        })
    }
}

/// A linear layer whose parameters have ids of their own, so that runs can be compared and resumed.
fn linear(inputs: usize, outputs: usize, index: u64, seed: u64, device: &Device) -> Linear {
    let mut stream = Stream::new(seed, "init", index, 0);
    let bound = 1.0 / (inputs as f64).sqrt();
    let mut draw =
        |n: usize| -> Vec<f32> { (0..n).map(|_| ((2.0 * stream.uniform() - 1.0) * bound) as f32).collect() };
    // Drawn in PyTorch's order [out, in], kept in Burn's [in, out].
    let drawn = draw(inputs * outputs);
    let weight: Vec<f32> = (0..inputs)
        .flat_map(|i| (0..outputs).map(move |o| (i, o)))
        .map(|(i, o)| drawn[o * inputs + i])
        .collect();
    let bias = draw(outputs);
    let id = |part: u64| ParamId::from(1 + 2 * index + part);
    Linear {
        weight: Param::initialized(
            id(0),
            Tensor::from_data(TensorData::new(weight, [inputs, outputs]), device).require_grad(),
        ),
        bias: Some(Param::initialized(
            id(1),
            Tensor::from_data(TensorData::new(bias, [outputs]), device).require_grad(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_determines_the_weights_and_they_stay_in_their_bounds() {
        let device = Device::flex();
        let weights = |seed| {
            Mlp::new(&[9, 4, 2], seed, &device).layers[0].weight.val().into_data().to_vec::<f32>().unwrap()
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
        assert_eq!(model.forward(Tensor::zeros([5, 9], &device)).dims(), [5, 2]);
    }
}
