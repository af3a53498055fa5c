//! Convolution with bias, ReLU and max-pooling in one, as an operation of Burn with its own backward pass.
//!
//! Both passes are those of [`candor::kernels::convolution`] over host memory. Of the forward pass only the input and
//! one byte an output are kept.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, DType, Dispatch, Flex, TensorData, TensorMetadata, backend_extension,
};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use candor::Error;
use candor::kernels::convolution::{
    Activation, Convolution, ConvolutionConfig, ConvolutionGradients, ConvolutionPass, Real,
};

use crate::error::Result;
use crate::host_gradient::contiguous;

/// How [`convolution`] moves its windows, and what follows the sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvolutionOptions {
    /// Rows and columns from one window to the next.
    pub stride: [usize; 2],
    /// Rows of zeros above and below, columns of zeros left and right.
    pub padding: [usize; 2],
    /// What follows the sums.
    pub activation: Activation,
}

impl Default for ConvolutionOptions {
    /// Stride 1, no padding, no activation.
    fn default() -> Self {
        Self { stride: [1, 1], padding: [0, 0], activation: Activation::None }
    }
}

/// A convolution of images, with bias, ReLU and max-pooling as wanted, in place of Burn's operations one by one.
///
/// For the convolutional layers of a net that trains on the CPU; on another device it is Burn's operations.
/// Differentiable with respect to input, weight and
/// bias; what needs no gradient costs none, as the images under the first layer. Bits do not depend on the number of
/// threads.
///
/// # Shapes
/// - input `[n, channels, height, width]`, weight `[outputs, channels, kernel height, kernel width]`, bias `[outputs]`
/// - the result is `[n, outputs, rows, columns]`; max-pooling halves rows and columns
///
/// Types other than f32 and f64 go through f32; weight and bias take the input's type.
///
/// # Errors
/// [`Error::Shape`] if the channels of input and weight or the length of the bias do not fit, and those of
/// [`ConvolutionConfig::build`].
///
/// # Examples
/// ```
/// use burn::tensor::{Device, Tensor};
/// use candor::kernels::convolution::Activation;
/// use candor_burn::{ConvolutionOptions, convolution};
///
/// let device = Device::flex().autodiff();
/// let image = Tensor::<1>::from_floats([1.0, 5.0, -3.0, 4.0], &device).reshape([1, 1, 2, 2]);
/// let weight = Tensor::<4>::ones([1, 1, 1, 1], &device).require_grad();
/// let options = ConvolutionOptions { activation: Activation::ReluMaxPool, ..ConvolutionOptions::default() };
/// let largest = convolution(image, weight.clone(), None, options)?;
/// assert_eq!(largest.clone().into_data().try_into_vec::<f32>().unwrap(), [5.0]);
/// let gradient = weight.grad(&largest.sum().backward()).unwrap();
/// assert_eq!(gradient.into_data().try_into_vec::<f32>().unwrap(), [5.0]);
/// # Ok::<(), candor_burn::Error>(())
/// ```
pub fn convolution(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvolutionOptions,
) -> Result<Tensor<4>> {
    let [_, channels, height, width] = input.dims();
    let [outputs, of_weight, kernel_height, kernel_width] = weight.dims();
    let check = |what, expected, got| match expected == got {
        true => Ok(()),
        false => Err(Error::Shape { what, expected, got }),
    };
    check("the channel axis of the weight", channels, of_weight)?;
    if let Some(bias) = &bias {
        check("the bias of the convolution", outputs, bias.dims()[0])?;
    }
    let ConvolutionOptions { stride, padding, activation } = options;
    let config = ConvolutionConfig {
        stride,
        padding,
        activation,
        ..ConvolutionConfig::new([channels, height, width], outputs, [kernel_height, kernel_width])
    };
    let layer = config.build()?;
    let dtype = match input.dtype() {
        DType::F64 => DType::F64,
        _ => DType::F32,
    };
    #[cfg(feature = "cubecl")]
    if input.device() != burn::tensor::Device::flex() {
        let bias = bias.map(|bias| bias.cast(dtype));
        return by_burn(input.cast(dtype), weight.cast(dtype), bias, options);
    }
    let call = Arc::new(Call { layer, has_bias: bias.is_some() });
    // The operation has three inputs; a bias that is not there is neither tracked nor read.
    let bias = bias.unwrap_or_else(|| Tensor::zeros([1], &input.device()));
    Ok(Tensor::from_dispatch(Dispatch::convolution(
        input.cast(dtype).into_dispatch(),
        weight.cast(dtype).into_dispatch(),
        bias.cast(dtype).into_dispatch(),
        call,
    )))
}

/// The same by Burn's operations one by one, which a device beside the CPU has kernels for.
#[cfg(feature = "cubecl")]
fn by_burn(
    input: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    options: ConvolutionOptions,
) -> Result<Tensor<4>> {
    use burn::tensor::activation::relu;
    use burn::tensor::module::{conv2d, max_pool2d};
    use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
    let moves = ConvOptions::new(options.stride, options.padding, [1, 1], 1);
    let sums = conv2d(input, weight, bias, moves);
    match options.activation {
        Activation::None => Ok(sums),
        Activation::Relu => Ok(relu(sums)),
        Activation::ReluMaxPool => Ok(max_pool2d(relu(sums), MaxPoolOptions::new([2, 2]))),
        _ => {
            let (loss, what, reason) = ("convolution", "activation", "only the CPU has it");
            Err(Error::Unsupported { loss, what, reason }.into())
        }
    }
}

/// One forward pass.
#[derive(Debug)]
pub struct Call {
    layer: Convolution,
    has_bias: bool,
}

/// A pass that operation and backward share.
pub type SharedCall = Arc<Call>;

/// What a backend must offer; not dispatched.
pub trait ConvolutionKernel: Backend {
    /// The outputs, and with `traced` what the backward pass must know.
    fn convolve(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        call: &Call,
        traced: bool,
    ) -> (FloatTensor<Self>, Vec<u8>);

    /// The gradients of input, weight and bias, where they are wanted.
    fn convolve_back(
        arrays: [FloatTensor<Self>; 3],
        trace: &[u8],
        call: &Call,
        wanted: [bool; 3],
    ) -> [Option<FloatTensor<Self>>; 3];
}

/// The operation as Burn dispatches it.
#[backend_extension(Flex, Autodiff)]
pub trait ConvolutionOperation: Backend {
    /// See [`convolution`](fn@convolution).
    fn convolution(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        call: SharedCall,
    ) -> FloatTensor<Self>;
}

impl ConvolutionOperation for Flex {
    fn convolution(input: FlexTensor, weight: FlexTensor, bias: FlexTensor, call: SharedCall) -> FlexTensor {
        Self::convolve(input, weight, bias, &call, false).0
    }
}

impl<B: ConvolutionKernel, C: CheckpointStrategy> ConvolutionOperation for Autodiff<B, C> {
    fn convolution(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        call: SharedCall,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Back;
        impl<B: ConvolutionKernel> Backward<B, 3> for Back {
            type State = (FloatTensor<B>, FloatTensor<B>, Vec<u8>, SharedCall);

            fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let upstream = gradients.consume::<B>(&ops.node);
                let (input, weight, trace, call) = ops.state;
                let wanted = [0, 1, 2].map(|parent| ops.parents[parent].is_some());
                let found = B::convolve_back([input, weight, upstream], &trace, &call, wanted);
                for (node, gradient) in ops.parents.into_iter().zip(found) {
                    if let (Some(node), Some(gradient)) = (node, gradient) {
                        gradients.register::<B>(node.id, gradient);
                    }
                }
            }
        }
        let ((input, of_input), (weight, of_weight), (bias, of_bias)) =
            (input.into_parts(), weight.into_parts(), bias.into_parts());
        match Back.prepare::<C>([of_input, of_weight, of_bias]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (output, trace) = B::convolve(input.clone(), weight.clone(), bias, &call, true);
                prepared.finish((input, weight, trace, call), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::convolve(input, weight, bias, &call, false).0),
        }
    }
}

impl ConvolutionKernel for Flex {
    fn convolve(
        input: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        call: &Call,
        traced: bool,
    ) -> (FlexTensor, Vec<u8>) {
        match input.dtype() {
            DType::F64 => flex_forward::<f64>(input, weight, bias, call, traced),
            _ => flex_forward::<f32>(input, weight, bias, call, traced),
        }
    }

    fn convolve_back(
        arrays: [FlexTensor; 3],
        trace: &[u8],
        call: &Call,
        wanted: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        match arrays[0].dtype() {
            DType::F64 => flex_backward::<f64>(arrays, trace, call, wanted),
            _ => flex_backward::<f32>(arrays, trace, call, wanted),
        }
    }
}

fn slice<T: Real + burn::tensor::Element + bytemuck::Pod>(tensor: &FlexTensor) -> &[T] {
    tensor.as_slice().unwrap_or_default()
}

fn flex_forward<T: Real + burn::tensor::Element + bytemuck::Pod>(
    input: FlexTensor,
    weight: FlexTensor,
    bias: FlexTensor,
    call: &Call,
    traced: bool,
) -> (FlexTensor, Vec<u8>) {
    let (input, weight, bias) = (contiguous(input), contiguous(weight), contiguous(bias));
    let images = input.shape()[0];
    let [outputs, rows, columns] = call.layer.output();
    let mut output = vec![T::default(); images * outputs * rows * columns];
    let mut trace = vec![0; if traced { images * call.layer.trace_len() } else { 0 }];
    let bias: Option<&[T]> = call.has_bias.then(|| slice(&bias));
    let kept = traced.then_some(&mut trace[..]);
    // The shapes were checked before the operation.
    let done = call.layer.forward(slice(&input), slice(&weight), bias, &mut output, kept);
    debug_assert!(done.is_ok(), "{done:?}");
    (FlexTensor::from_data(TensorData::new(output, [images, outputs, rows, columns])), trace)
}

fn flex_backward<T: Real + burn::tensor::Element + bytemuck::Pod>(
    arrays: [FlexTensor; 3],
    trace: &[u8],
    call: &Call,
    wanted: [bool; 3],
) -> [Option<FlexTensor>; 3] {
    let [input, weight, upstream] = arrays.map(contiguous);
    let zeros = |wanted: bool, len: usize| wanted.then(|| vec![T::default(); len]);
    let mut of_input = zeros(wanted[0], input.shape().num_elements());
    let mut of_weight = zeros(wanted[1], weight.shape().num_elements());
    let outputs = weight.shape()[0];
    let mut of_bias = zeros(wanted[2], outputs);
    let pass = ConvolutionPass {
        input: slice::<T>(&input),
        weight: slice(&weight),
        trace,
        upstream: slice(&upstream),
    };
    let gradients = ConvolutionGradients {
        input: of_input.as_deref_mut(),
        weight: of_weight.as_deref_mut(),
        bias: of_bias.as_deref_mut(),
    };
    // The shapes are those of the forward pass.
    let done = call.layer.backward(pass, gradients);
    debug_assert!(done.is_ok(), "{done:?}");
    [
        of_input.map(|values| FlexTensor::from_data(TensorData::new(values, input.shape()))),
        of_weight.map(|values| FlexTensor::from_data(TensorData::new(values, weight.shape()))),
        of_bias.map(|values| FlexTensor::from_data(TensorData::new(values, [outputs]))),
    ]
}
