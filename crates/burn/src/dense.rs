//! A linear layer with bias and activation in one, as an operation of Burn with its own backward pass.
//!
//! Both passes are those of [`candor::kernels::dense`] over host memory. Of the forward pass the input and the slopes of
//! the activation are kept.

use burn::tensor::Tensor;
use candor::Error;
use candor::kernels::dense::{Activation, Dense, DenseGradients, DensePass};

use crate::error::Result;
use crate::layer::{Number, Passes, Trace, dtype_of, layer, nothing};

/// `f(x·W + b)` over the last axis, in place of Burn's `Linear` and an activation after it.
///
/// For the linear layers of a net that trains on the CPU; on another device it is Burn's operations. Differentiable
/// with respect to input, weight and bias; what needs no gradient costs none, as the input of the first layer. Bits do
/// not depend on the number of threads.
///
/// # Shapes
/// - input `[.., inputs]`, weight `[inputs, outputs]` as of `burn::nn::Linear`, bias `[outputs]`
/// - the result is `[.., outputs]`
///
/// Types other than f32 and f64 go through f32; weight and bias take the input's type.
///
/// # Errors
/// [`Error::Shape`] if weight or bias do not fit the input, and those of [`Dense::new`].
///
/// # Examples
/// ```
/// use burn::tensor::{Device, Tensor};
/// use candor::kernels::dense::Activation;
/// use candor_burn::dense;
///
/// let device = Device::flex().autodiff();
/// let x = Tensor::<2>::from_floats([[1.0, 2.0], [-3.0, 1.0]], &device);
/// let weight = Tensor::<2>::from_floats([[1.0], [2.0]], &device).require_grad();
/// let y = dense(x, weight.clone(), None, Activation::Relu)?;
/// assert_eq!(y.clone().into_data().try_into_vec::<f32>().unwrap(), [5.0, 0.0]);
/// let gradient = weight.grad(&y.sum().backward()).unwrap();
/// assert_eq!(gradient.into_data().try_into_vec::<f32>().unwrap(), [1.0, 2.0]);
/// # Ok::<(), candor_burn::Error>(())
/// ```
pub fn dense<const D: usize>(
    input: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Result<Tensor<D>> {
    let [inputs, outputs] = weight.dims();
    let mut output = input.dims();
    let found = std::mem::replace(&mut output[D - 1], outputs);
    for (what, expected, got) in [
        ("the last axis of the input", inputs, found),
        ("the bias of the layer", outputs, bias.as_ref().map_or(outputs, |bias| bias.dims()[0])),
    ] {
        if expected != got {
            return Err(Error::Shape { what, expected, got }.into());
        }
    }
    let passes = Applied { layer: Dense::new(inputs, outputs, activation)?, has_bias: bias.is_some() };
    let dtype = dtype_of(&input);
    #[cfg(feature = "cubecl")]
    if crate::layer::is_elsewhere(&input) {
        let bias = bias.map(|bias| bias.cast(dtype));
        return by_burn(input.cast(dtype), weight.cast(dtype), bias, activation);
    }
    let bias = bias.map_or_else(|| nothing(&input.device(), dtype), |bias| bias.cast(dtype).into_dispatch());
    let arrays = [input.cast(dtype).into_dispatch(), weight.cast(dtype).into_dispatch(), bias];
    Ok(layer(passes, arrays, output))
}

/// The same by Burn's operations one by one, which a device beside the CPU has kernels for.
#[cfg(feature = "cubecl")]
fn by_burn<const D: usize>(
    input: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Result<Tensor<D>> {
    use burn::tensor::activation::{gelu, relu};
    let sums = burn::tensor::module::linear(input, weight, bias);
    match activation {
        Activation::None => Ok(sums),
        Activation::Relu => Ok(relu(sums)),
        Activation::Gelu => Ok(gelu(sums)),
        _ => {
            let (loss, what, reason) = ("dense", "activation", "only the CPU has it");
            Err(Error::Unsupported { loss, what, reason }.into())
        }
    }
}

/// One use of a layer.
#[derive(Debug)]
struct Applied {
    layer: Dense,
    has_bias: bool,
}

impl Passes for Applied {
    fn forward<T: Number>(&self, [input, weight, bias]: [&[T]; 3], output: &mut [T], traced: bool) -> Trace {
        let len = if self.layer.slopes_len() > 0 { output.len() } else { 0 };
        let mut slopes = vec![T::default(); if traced { len } else { 0 }];
        let kept = traced.then_some(&mut slopes[..]);
        let done = self.layer.forward(input, weight, self.has_bias.then_some(bias), output, kept);
        debug_assert!(done.is_ok(), "{done:?}");
        T::into_trace(slopes)
    }

    fn backward<T: Number>(
        &self,
        [input, weight, _]: [&[T]; 3],
        trace: Trace,
        upstream: &[T],
        [of_input, of_weight, of_bias]: [Option<&mut [T]>; 3],
    ) {
        let mut slopes = T::from_trace(trace);
        let pass = DensePass { input, weight, slopes: &mut slopes, upstream };
        let gradients = DenseGradients { input: of_input, weight: of_weight, bias: of_bias };
        let done = self.layer.backward(pass, gradients);
        debug_assert!(done.is_ok(), "{done:?}");
    }
}
