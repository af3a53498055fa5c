//! Cross-entropy of a linear layer's output that never holds all of its logits, as an operation of Burn.
//!
//! Forward: value and, where something is tracked, the gradients of input, weight and bias in one pass over chunks
//! of rows. Backward: the kept gradients times the upstream value.

use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, DType, Dispatch, Flex, TensorData, TensorMetadata, backend_extension,
};
use burn::config::Config;
use burn::tensor::{Device, Int, Tensor};
use burn_flex::FlexTensor;
use candor::losses::{
    Linear, LinearCrossEntropy, LinearGradients, LinearValue, LossOptions, Reduction, WeightLayout, Weighting,
};
use candor::targets::TargetRule;
use candor::{Convention, Labels, Scalar};

use crate::error::{Error, Result};
use crate::host_gradient::{HostKernel, contiguous};
use crate::loss_module::read_labels;

/// Configuration of [`LinearCrossEntropyLoss`].
///
/// # Examples
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use candor_burn::LinearCrossEntropyLossConfig;
///
/// let device = Device::flex().autodiff();
/// let hidden = Tensor::<2>::from_floats([[1.0, 0.5], [0.0, -1.0]], &device).require_grad();
/// let weight = Tensor::<2>::from_floats([[2.0, 0.0, -1.0], [0.0, 1.0, 0.5]], &device).require_grad();
/// let labels = Tensor::<1, Int>::from_ints([0, 2], &device);
/// let loss = LinearCrossEntropyLossConfig::new().with_smoothing(Some(0.1)).init()?;
/// let output = loss.forward(hidden.clone(), weight.clone(), None, labels)?;
/// let gradients = output.loss.backward();
/// assert_eq!(weight.grad(&gradients).unwrap().dims(), [2, 3]);
/// assert_eq!(hidden.grad(&gradients).unwrap().dims(), [2, 2]);
/// # Ok::<(), candor_burn::Error>(())
/// ```
#[derive(Config, Debug)]
pub struct LinearCrossEntropyLossConfig {
    /// The strength of label smoothing, in the range of the convention; none is 0.
    pub smoothing: Option<f32>,
    /// What the strength means.
    #[config(default = "Convention::Uniform")]
    pub convention: Convention,
    /// A weight for each class, finite and not negative.
    pub weights: Option<Vec<f32>>,
    /// What class weights do.
    #[config(default = "Weighting::Label")]
    pub weighting: Weighting,
    /// Mean or sum; there is no value by row, for the gradients are added up as the rows go through.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
    /// Label of rows that do not count; may be negative (PyTorch's is -100).
    pub ignore_index: Option<i64>,
    /// Whether the weight is `[width, n_classes]`, as of `burn::nn::Linear`, or `[n_classes, width]`, as of an
    /// embedding whose weight is shared.
    #[config(default = "WeightLayout::ClassesLast")]
    pub layout: WeightLayout,
    /// Logits `c·tanh(z/c)` in place of `z`.
    pub soft_cap: Option<f64>,
    /// Bytes for the logits of a chunk, 64 MiB unless given; with a soft cap their gradient shares them.
    pub memory: Option<usize>,
}

impl LinearCrossEntropyLossConfig {
    /// The loss.
    ///
    /// # Errors
    /// [`candor::Error::OutOfRange`] for a smoothing outside [0, 1] or NaN; [`Error::Reduction`] for none. What
    /// depends on the number of classes is checked when the loss is applied.
    pub fn init(&self) -> Result<LinearCrossEntropyLoss> {
        if self.reduction == Reduction::None {
            return Err(Error::Reduction { loss: "linear cross-entropy" });
        }
        Convention::Uniform.rule(f64::from(self.smoothing.unwrap_or(0.0)), 2)?;
        Ok(LinearCrossEntropyLoss { config: self.clone() })
    }
}

/// Cross-entropy between class indices and the logits of a linear layer, within a budget of memory.
///
/// For outputs over many classes, such as a vocabulary: the logits of 1,024 tokens over 128,256 words take 525 MB,
/// those of a chunk what [`memory`](LinearCrossEntropyLossConfig::memory) allows. Computed by
/// [`candor::losses::LinearCrossEntropy`] over host memory, in place of `Linear` and a cross-entropy after it.
#[derive(Debug, Clone)]
pub struct LinearCrossEntropyLoss {
    config: LinearCrossEntropyLossConfig,
}

/// The result of [`LinearCrossEntropyLoss::forward`].
#[derive(Debug, Clone)]
pub struct LinearLossOutput {
    /// The loss, one element. Backward starts here.
    pub loss: Tensor<1>,
    /// The same value with the un-smoothed NLL, accuracy and confidence of the batch.
    pub value: LinearValue,
}

impl LinearCrossEntropyLoss {
    /// The loss of a batch of hidden states.
    ///
    /// # Shapes
    /// - input `[n, width]` with targets `[n]`, or `[b, t, width]` with targets `[b, t]`, or more axes
    /// - weight `[width, n_classes]`, or `[n_classes, width]` by the configuration; bias `[n_classes]`
    ///
    /// Storage types other than f32 and f64 go through f32, and all three take the input's.
    ///
    /// # Errors
    /// [`Error::Shape`] if the leading axes differ, [`candor::Error::Shape`] for a weight or a bias of another
    /// size, and those of [`LinearCrossEntropy::value_grad`].
    pub fn forward<const D: usize, const E: usize>(
        &self,
        input: Tensor<D>,
        weight: Tensor<2>,
        bias: Option<Tensor<1>>,
        targets: Tensor<E, Int>,
    ) -> Result<LinearLossOutput> {
        let shape = input.dims();
        let Some((&width, leading)) = shape.split_last() else {
            return Err(Error::Shape {
                logits: Vec::new(),
                expected: Vec::new(),
                got: targets.dims().to_vec(),
            });
        };
        if leading != targets.dims().as_slice() {
            return Err(Error::Shape {
                logits: shape.to_vec(),
                expected: leading.to_vec(),
                got: targets.dims().to_vec(),
            });
        }
        let (features, n_classes) = match (self.config.layout, weight.dims()) {
            (WeightLayout::ClassesLast, [features, n_classes]) => (features, n_classes),
            (WeightLayout::ClassesFirst, [n_classes, features]) => (features, n_classes),
        };
        let check = |what, expected, got| match expected == got {
            true => Ok(()),
            false => Err(candor::Error::Shape { what, expected, got }),
        };
        check("the feature axis of the weight", width, features)?;
        if let Some(bias) = &bias {
            check("the bias", n_classes, bias.dims()[0])?;
        }
        let dtype = match input.dtype() {
            DType::F64 => DType::F64,
            _ => DType::F32,
        };
        let rule = self.config.convention.rule(f64::from(self.config.smoothing.unwrap_or(0.0)), n_classes)?;
        let call = Arc::new(Call {
            config: self.config.clone(),
            rule: rule.into(),
            labels: read_labels(targets)?,
            n_classes,
            has_bias: bias.is_some(),
            result: Mutex::new(None),
        });
        let device: Device = input.device();
        let rows = leading.iter().product::<usize>();
        let input = input.reshape([rows, width]).cast(dtype);
        // The operation has three inputs; a bias that is not there is neither tracked nor read.
        let bias = bias.unwrap_or_else(|| Tensor::zeros([1], &device)).cast(dtype);
        let loss = Tensor::from_dispatch(Dispatch::linear_cross_entropy(
            input.into_dispatch(),
            weight.cast(dtype).into_dispatch(),
            bias.into_dispatch(),
            Arc::clone(&call) as SharedCall,
        ));
        let value = call.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        match value {
            Some(Ok(value)) => Ok(LinearLossOutput { loss, value }),
            Some(Err(error)) => Err(error.into()),
            None => Err(Error::Read { what: "input", reason: "the operation did not run".to_owned() }),
        }
    }
}

/// One forward pass.
#[derive(Debug)]
pub struct Call {
    config: LinearCrossEntropyLossConfig,
    rule: Arc<dyn TargetRule>,
    labels: Vec<i64>,
    n_classes: usize,
    has_bias: bool,
    result: Mutex<Option<candor::Result<LinearValue>>>,
}

/// A pass that operation and backward share.
pub type SharedCall = Arc<Call>;

/// Input, weight and bias in host memory.
struct Arrays<'a, T> {
    input: &'a [T],
    weight: &'a [T],
    bias: &'a [T],
    width: usize,
}

impl Call {
    /// The value; with gradients if they are given. An error is kept, and the value is then 0.
    fn run<T: Scalar>(&self, arrays: &Arrays<'_, T>, gradients: Option<LinearGradients<'_, T>>) -> T {
        let outcome = self.value(arrays, gradients);
        let loss = outcome.as_ref().map_or(0.0, |value| value.value.loss);
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        T::from_f64(loss)
    }

    fn value<T: Scalar>(
        &self,
        arrays: &Arrays<'_, T>,
        gradients: Option<LinearGradients<'_, T>>,
    ) -> candor::Result<LinearValue> {
        let config = &self.config;
        let labels = Labels::with_ignore(&self.labels, self.n_classes, config.ignore_index)?;
        let mut linear = Linear::new(arrays.input, arrays.weight, arrays.width, config.layout)?;
        if self.has_bias {
            linear = linear.with_bias(arrays.bias)?;
        }
        let weights: Option<Vec<f64>> =
            config.weights.as_ref().map(|weights| weights.iter().map(|&w| f64::from(w)).collect());
        let options = LossOptions {
            reduction: config.reduction,
            class_weights: weights.as_deref(),
            weighting: config.weighting,
            ..LossOptions::default()
        };
        let mut loss = LinearCrossEntropy::default().with_rule(self.rule.as_ref()).with_options(options);
        if let Some(cap) = config.soft_cap {
            loss = loss.with_soft_cap(cap);
        }
        if let Some(bytes) = config.memory {
            loss = loss.with_memory(bytes);
        }
        match gradients {
            Some(gradients) => loss.value_grad(&linear, labels, gradients),
            None => loss.value(&linear, labels),
        }
    }
}

/// What a backend must offer; not dispatched.
pub trait LinearKernel: HostKernel {
    /// The value only.
    fn linear_value(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        call: &Call,
    ) -> FloatTensor<Self>;

    /// The value, and the gradients of input, weight and bias.
    fn linear_value_gradient(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        call: &Call,
    ) -> (FloatTensor<Self>, [FloatTensor<Self>; 3]);
}

/// The operation as Burn dispatches it.
#[backend_extension(Flex, Cube: cfg(feature = "cubecl"), Autodiff)]
pub trait LinearCrossEntropyOperation: Backend {
    /// See [`LinearCrossEntropyLoss`].
    fn linear_cross_entropy(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        call: SharedCall,
    ) -> FloatTensor<Self>;
}

impl LinearCrossEntropyOperation for Flex {
    fn linear_cross_entropy(
        input: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        call: SharedCall,
    ) -> FlexTensor {
        Self::linear_value(input, weight, bias, &call)
    }
}

impl<B: LinearKernel, C: CheckpointStrategy> LinearCrossEntropyOperation for Autodiff<B, C> {
    fn linear_cross_entropy(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        call: SharedCall,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Scale;
        impl<B: LinearKernel> Backward<B, 3> for Scale {
            type State = [FloatTensor<B>; 3];

            fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let upstream = gradients.consume::<B>(&ops.node);
                for (node, gradient) in ops.parents.into_iter().zip(ops.state) {
                    if let Some(node) = node {
                        gradients.register::<B>(node.id, B::scale_rows(gradient, upstream.clone()));
                    }
                }
            }
        }
        let ((input, of_input), (weight, of_weight), (bias, of_bias)) =
            (input.into_parts(), weight.into_parts(), bias.into_parts());
        match Scale.prepare::<C>([of_input, of_weight, of_bias]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (value, gradients) = B::linear_value_gradient(input, weight, bias, &call);
                prepared.finish(gradients, value)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::linear_value(input, weight, bias, &call)),
        }
    }
}

impl LinearKernel for Flex {
    fn linear_value(input: FlexTensor, weight: FlexTensor, bias: FlexTensor, call: &Call) -> FlexTensor {
        match input.dtype() {
            DType::F64 => flex_value::<f64>(input, weight, bias, call),
            _ => flex_value::<f32>(input, weight, bias, call),
        }
    }

    fn linear_value_gradient(
        input: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        call: &Call,
    ) -> (FlexTensor, [FlexTensor; 3]) {
        match input.dtype() {
            DType::F64 => flex_value_gradient::<f64>(input, weight, bias, call),
            _ => flex_value_gradient::<f32>(input, weight, bias, call),
        }
    }
}

fn arrays<'a, T: Scalar + burn::tensor::Element + bytemuck::Pod>(
    [input, weight, bias]: [&'a FlexTensor; 3],
) -> Arrays<'a, T> {
    Arrays {
        width: input.shape()[1],
        input: input.as_slice().unwrap_or_default(),
        weight: weight.as_slice().unwrap_or_default(),
        bias: bias.as_slice().unwrap_or_default(),
    }
}

fn flex_value<T: Scalar + burn::tensor::Element + bytemuck::Pod>(
    input: FlexTensor,
    weight: FlexTensor,
    bias: FlexTensor,
    call: &Call,
) -> FlexTensor {
    let (input, weight, bias) = (contiguous(input), contiguous(weight), contiguous(bias));
    let value: T = call.run(&arrays([&input, &weight, &bias]), None);
    FlexTensor::from_data(TensorData::new(vec![value], [1]))
}

fn flex_value_gradient<T: Scalar + burn::tensor::Element + bytemuck::Pod>(
    input: FlexTensor,
    weight: FlexTensor,
    bias: FlexTensor,
    call: &Call,
) -> (FlexTensor, [FlexTensor; 3]) {
    let (input, weight, bias) = (contiguous(input), contiguous(weight), contiguous(bias));
    let zeros = |tensor: &FlexTensor| vec![T::default(); tensor.shape().num_elements()];
    let [mut of_input, mut of_weight, mut of_bias] = [zeros(&input), zeros(&weight), zeros(&bias)];
    let gradients = LinearGradients {
        input: &mut of_input,
        weight: &mut of_weight,
        bias: call.has_bias.then_some(&mut of_bias[..]),
    };
    let value: T = call.run(&arrays([&input, &weight, &bias]), Some(gradients));
    let tensor =
        |values: Vec<T>, like: &FlexTensor| FlexTensor::from_data(TensorData::new(values, like.shape()));
    let gradients = [tensor(of_input, &input), tensor(of_weight, &weight), tensor(of_bias, &bias)];
    (FlexTensor::from_data(TensorData::new(vec![value], [1])), gradients)
}
