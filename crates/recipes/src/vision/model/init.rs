//! Layers with deterministic initial weights: each draws from its own stream of the run's seed.

use burn::module::{Param, ParamId, RunningState};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, LayerNorm, LayerNormConfig, Linear, PaddingConfig2d};
use burn::tensor::{Device, Tensor, TensorData};
use candor::random::Stream;

/// Makes the layers of one model in order; ids and streams are numbered, so runs can be compared and resumed.
pub(crate) struct Layers<'a> {
    seed: u64,
    device: &'a Device,
    layer: u64,
    next_id: u64,
}

/// How convolution weights are drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConvInit {
    /// Uniform in ±1/sqrt(fan in), weights and biases: PyTorch's default.
    Uniform,
    /// Normal with variance 2/fan in, no bias (He et al. 2015).
    He,
}

impl<'a> Layers<'a> {
    pub(crate) fn new(seed: u64, device: &'a Device) -> Self {
        Self { seed, device, layer: 0, next_id: 1 }
    }

    fn stream(&mut self) -> Stream {
        let stream = Stream::new(self.seed, "init", self.layer, 0);
        self.layer += 1;
        stream
    }

    fn id(&mut self) -> ParamId {
        let id = ParamId::from(self.next_id);
        self.next_id += 1;
        id
    }

    fn parameter<const D: usize>(&mut self, values: Vec<f32>, shape: [usize; D]) -> Param<Tensor<D>> {
        let tensor = Tensor::from_data(TensorData::new(values, shape), self.device);
        let tensor = if self.device.is_autodiff() { tensor.require_grad() } else { tensor };
        Param::initialized(self.id(), tensor)
    }

    /// A linear layer: weights and biases uniform in ±1/sqrt(inputs), as PyTorch's `nn.Linear`.
    pub(crate) fn linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        let mut stream = self.stream();
        let bound = 1.0 / (inputs as f64).sqrt();
        // Drawn in PyTorch's order [out, in], kept in Burn's [in, out].
        let drawn = uniform(&mut stream, inputs * outputs, bound);
        let weight: Vec<f32> = (0..inputs)
            .flat_map(|i| (0..outputs).map(move |o| (i, o)))
            .map(|(i, o)| drawn[o * inputs + i])
            .collect();
        let bias = uniform(&mut stream, outputs, bound);
        Linear {
            weight: self.parameter(weight, [inputs, outputs]),
            bias: Some(self.parameter(bias, [outputs])),
        }
    }

    /// A linear layer: weights uniform in ±sqrt(6/(inputs + outputs)) (Glorot & Bengio 2010), biases 0.
    pub(crate) fn glorot(&mut self, inputs: usize, outputs: usize) -> Linear {
        let mut stream = self.stream();
        let bound = (6.0 / (inputs + outputs) as f64).sqrt();
        let weight = uniform(&mut stream, inputs * outputs, bound);
        Linear {
            weight: self.parameter(weight, [inputs, outputs]),
            bias: Some(self.parameter(vec![0.0; outputs], [outputs])),
        }
    }

    /// A 3x3 convolution that keeps the size (at stride 1).
    pub(crate) fn conv3x3(&mut self, inputs: usize, outputs: usize, stride: usize, init: ConvInit) -> Conv2d {
        let mut stream = self.stream();
        let fan_in = inputs * 9;
        let n = outputs * fan_in;
        let (weight, bias) = match init {
            ConvInit::Uniform => {
                let bound = 1.0 / (fan_in as f64).sqrt();
                (uniform(&mut stream, n, bound), Some(uniform(&mut stream, outputs, bound)))
            }
            ConvInit::He => {
                let sd = (2.0 / fan_in as f64).sqrt();
                ((0..n).map(|_| (sd * stream.normal()) as f32).collect(), None)
            }
        };
        // The configuration's own weights are lazy and never drawn.
        let mut conv = Conv2dConfig::new([inputs, outputs], [3, 3])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .with_bias(bias.is_some())
            .init(self.device);
        conv.weight = self.parameter(weight, [outputs, inputs, 3, 3]);
        conv.bias = bias.map(|bias| self.parameter(bias, [outputs]));
        conv
    }

    /// Batch normalisation over channels: scale 1, shift 0, PyTorch's momentum 0.1 and epsilon 1e-5.
    pub(crate) fn batch_norm(&mut self, channels: usize) -> BatchNorm {
        let mut norm = BatchNormConfig::new(channels).init(self.device);
        norm.gamma = self.parameter(vec![1.0; channels], [channels]);
        norm.beta = self.parameter(vec![0.0; channels], [channels]);
        norm.running_mean = RunningState::with_id(self.id(), Tensor::zeros([channels], self.device));
        norm.running_var = RunningState::with_id(self.id(), Tensor::ones([channels], self.device));
        norm
    }

    /// Layer normalisation: scale 1, shift 0, epsilon 1e-5.
    pub(super) fn layer_norm(&mut self, width: usize) -> LayerNorm {
        let mut norm = LayerNormConfig::new(width).init(self.device);
        norm.gamma = self.parameter(vec![1.0; width], [width]);
        norm.beta = Some(self.parameter(vec![0.0; width], [width]));
        norm
    }

    /// A table of numbers, normal with this standard deviation.
    pub(super) fn normal(&mut self, shape: [usize; 2], sd: f64) -> Param<Tensor<2>> {
        let mut stream = self.stream();
        let values = (0..shape[0] * shape[1]).map(|_| (sd * stream.normal()) as f32).collect();
        self.parameter(values, shape)
    }
}

fn uniform(stream: &mut Stream, n: usize, bound: f64) -> Vec<f32> {
    (0..n).map(|_| ((2.0 * stream.uniform() - 1.0) * bound) as f32).collect()
}
