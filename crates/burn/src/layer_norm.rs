//! Layer normalisation as an operation of Burn with its own backward pass.
//!
//! Both passes are those of [`candor::kernels::layer_norm`] over host memory. Of the forward pass the input and two
//! numbers a row are kept.

use burn::tensor::Tensor;
use candor::Error;
use candor::kernels::layer_norm::{LayerNorm, LayerNormGradients, LayerNormPass};

use crate::error::Result;
use crate::layer::{Number, Passes, Trace, dtype_of, layer};

/// `γ·(x - mean)/√(variance + ε) + β` over the last axis, in place of Burn's `LayerNorm`.
///
/// For nets that train on the CPU; on another device it is Burn's operation. Differentiable with respect to input,
/// scale γ and shift β. Bits do not depend on the number of threads.
///
/// # Shapes
/// input and result `[.., width]`, scale and shift `[width]`. Types other than f32 and f64 go through f32; scale and
/// shift take the input's type.
///
/// # Errors
/// [`Error::Shape`] if scale or shift do not fit the input; [`Error::OutOfRange`] for an empty axis or an ε that is
/// negative, infinite or undefined.
///
/// # Examples
/// ```
/// use burn::tensor::{Device, Tensor};
/// use candor_burn::layer_norm;
///
/// let device = Device::flex();
/// let x = Tensor::<2>::from_floats([[3.0, 7.0]], &device);
/// let (scale, shift) = (Tensor::from_floats([1.0, 10.0], &device), Tensor::from_floats([0.0, 5.0], &device));
/// let y = layer_norm(x, scale, shift, 0.0)?;
/// assert_eq!(y.into_data().try_into_vec::<f32>().unwrap(), [-1.0, 15.0]);
/// # Ok::<(), candor_burn::Error>(())
/// ```
pub fn layer_norm<const D: usize>(
    input: Tensor<D>,
    scale: Tensor<1>,
    shift: Tensor<1>,
    epsilon: f64,
) -> Result<Tensor<D>> {
    let shape = input.dims();
    let expected = shape[D - 1];
    for (what, got) in [
        ("the scale of the normalisation", scale.dims()[0]),
        ("the shift of the normalisation", shift.dims()[0]),
    ] {
        if expected != got {
            return Err(Error::Shape { what, expected, got }.into());
        }
    }
    let norm = LayerNorm::new(expected, epsilon)?;
    let dtype = dtype_of(&input);
    let (input, scale, shift) = (input.cast(dtype), scale.cast(dtype), shift.cast(dtype));
    #[cfg(feature = "cubecl")]
    if crate::layer::is_elsewhere(&input) {
        return Ok(burn::tensor::module::layer_norm(input, scale, Some(shift), epsilon));
    }
    Ok(layer(norm, [input.into_dispatch(), scale.into_dispatch(), shift.into_dispatch()], shape))
}

impl Passes for LayerNorm {
    fn forward<T: Number>(&self, [input, scale, shift]: [&[T]; 3], output: &mut [T], traced: bool) -> Trace {
        let rows = input.len() / scale.len();
        let mut trace = vec![T::default(); if traced { rows * self.trace_len() } else { 0 }];
        let kept = traced.then_some(&mut trace[..]);
        let done = LayerNorm::forward(self, input, scale, shift, output, kept);
        debug_assert!(done.is_ok(), "{done:?}");
        T::into_trace(trace)
    }

    fn backward<T: Number>(
        &self,
        [input, scale, _]: [&[T]; 3],
        trace: Trace,
        upstream: &[T],
        [of_input, of_scale, of_shift]: [Option<&mut [T]>; 3],
    ) {
        let trace = T::from_trace(trace);
        let pass = LayerNormPass { input, scale, trace: &trace, upstream };
        let gradients = LayerNormGradients { input: of_input, scale: of_scale, shift: of_shift };
        let done = LayerNorm::backward(self, pass, gradients);
        debug_assert!(done.is_ok(), "{done:?}");
    }
}
