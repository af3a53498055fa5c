//! Burn's Adam with its update in one pass; its state, and so its part of a checkpoint, is Burn's own.

use burn::optim::decay::WeightDecay;
use burn::optim::{AdamConfig, AdamState, AdaptiveMomentumState, LearningRate, Optimizer};
use burn::tensor::{DType, Device, Tensor, TensorData};
use candor::kernels::adam::AdamStep;

/// Adam for single precision: in one pass on the CPU, by Burn's operations on other devices.
#[derive(Clone)]
pub(super) struct Adam {
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    pub decay: Option<WeightDecay>,
}

impl Optimizer for Adam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamState<D>>,
    ) -> (Tensor<D>, Option<AdamState<D>>) {
        let device = tensor.device();
        let gradient = match &self.decay {
            Some(decay) => decay.transform(gradient, tensor.clone()),
            None => gradient,
        };
        if device != Device::flex() {
            let burn =
                AdamConfig::new().with_beta_1(self.beta1).with_beta_2(self.beta2).with_epsilon(self.epsilon);
            return burn.build().step(rate, tensor, gradient, state);
        }
        let (time, first, second) = match state {
            Some(AdamState { momentum }) => (momentum.time, momentum.moment_1, momentum.moment_2),
            None => (0, gradient.zeros_like(), gradient.zeros_like()),
        };
        // Nothing is copied where nobody else holds the tensor.
        let [mut tensor, mut gradient, mut first, mut second] =
            [tensor, gradient, first, second].map(|tensor| tensor.cast(DType::F32).into_data());
        let constants = AdamStep {
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            rate: rate as f32,
            step: time + 1,
        };
        let moved = constants.apply(
            single(&mut tensor),
            single(&mut gradient),
            single(&mut first),
            single(&mut second),
        );
        debug_assert!(moved.is_ok(), "{moved:?}");
        let [tensor, first, second] = [tensor, first, second].map(|data| Tensor::from_data(data, &device));
        (tensor, Some(AdamState::new(AdaptiveMomentumState::new(time + 1, first, second))))
    }

    fn to_device<const D: usize>(mut state: AdamState<D>, device: &Device) -> AdamState<D> {
        state.momentum = state.momentum.to_device(device);
        state
    }
}

/// The values of data that were cast to single precision.
fn single(data: &mut TensorData) -> &mut [f32] {
    data.as_mut_slice().unwrap_or_default()
}
