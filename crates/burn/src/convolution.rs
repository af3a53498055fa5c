//! Convolution with bias, ReLU and max-pooling in one, as an operation of Burn with its own backward pass.
//!
//! Both passes are those of [`candor::kernels::convolution`] over host memory. Of the forward pass only the input and
//! one byte an output are kept.

use burn::tensor::Tensor;
use candor::Error;
use candor::kernels::convolution::{
    Activation, Convolution, ConvolutionConfig, ConvolutionGradients, ConvolutionPass,
};

use crate::error::Result;
use crate::layer::{Number, Passes, Trace, dtype_of, layer, nothing};

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
    let [images, channels, height, width] = input.dims();
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
    let convolution = config.build()?;
    let dtype = dtype_of(&input);
    #[cfg(feature = "cubecl")]
    if crate::layer::is_elsewhere(&input) {
        let bias = bias.map(|bias| bias.cast(dtype));
        return by_burn(input.cast(dtype), weight.cast(dtype), bias, options);
    }
    let [rows, columns] = [1, 2].map(|axis| convolution.output()[axis]);
    let output = [images, outputs, rows, columns];
    let passes = Convolved { layer: convolution, has_bias: bias.is_some() };
    let bias = bias.map_or_else(|| nothing(&input.device(), dtype), |bias| bias.cast(dtype).into_dispatch());
    let arrays = [input.cast(dtype).into_dispatch(), weight.cast(dtype).into_dispatch(), bias];
    Ok(layer(passes, arrays, output))
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

/// One use of a convolution.
#[derive(Debug)]
struct Convolved {
    layer: Convolution,
    has_bias: bool,
}

impl Passes for Convolved {
    fn forward<T: Number>(&self, [input, weight, bias]: [&[T]; 3], output: &mut [T], traced: bool) -> Trace {
        let images = input.len() / self.layer.input().iter().product::<usize>();
        let mut trace = vec![0; if traced { images * self.layer.trace_len() } else { 0 }];
        let kept = traced.then_some(&mut trace[..]);
        let done = self.layer.forward(input, weight, self.has_bias.then_some(bias), output, kept);
        debug_assert!(done.is_ok(), "{done:?}");
        Trace::Bytes(trace)
    }

    fn backward<T: Number>(
        &self,
        [input, weight, _]: [&[T]; 3],
        trace: Trace,
        upstream: &[T],
        [of_input, of_weight, of_bias]: [Option<&mut [T]>; 3],
    ) {
        let Trace::Bytes(trace) = trace else { return };
        let pass = ConvolutionPass { input, weight, trace: &trace, upstream };
        let gradients = ConvolutionGradients { input: of_input, weight: of_weight, bias: of_bias };
        let done = self.layer.backward(pass, gradients);
        debug_assert!(done.is_ok(), "{done:?}");
    }
}
