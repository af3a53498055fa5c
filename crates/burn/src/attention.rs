//! Self-attention over several heads as an operation of Burn with its own backward pass.
//!
//! Both passes are those of [`candor::kernels::attention`] over host memory. Of the forward pass its input and two
//! numbers a row of scores are kept.

use burn::tensor::Tensor;
use candor::Error;
use candor::kernels::attention::Attention;

use crate::error::Result;
use crate::layer::{Number, Passes, Trace, dtype_of, layer, nothing};

/// What every token of a sequence sees of all: `softmax(Q·Kᵀ/√(width/heads))·V` for each head, side by side.
///
/// For transformers that train on the CPU, between the linear layer that gives queries, keys and values at once and
/// the one that mixes the heads; on another device it is Burn's operations. Differentiable. Bits do not depend on the
/// number of threads. After Vaswani et al. 2017, arXiv:1706.03762.
///
/// # Shapes
/// `packed` is `[n, tokens, 3·width]`: queries, keys and values one after another, each with its heads one after
/// another, as PyTorch's `in_proj` gives them. The result is `[n, tokens, width]`. Types other than f32 and f64 go
/// through f32.
///
/// # Errors
/// [`Error::Shape`] if the last axis is no multiple of 3; [`Error::OutOfRange`] if the heads do not divide its third,
/// or an axis is empty.
///
/// # Examples
/// ```
/// use burn::tensor::{Device, Tensor};
/// use candor_burn::attention;
///
/// // Both queries are 0, so both tokens see the mean of the values 2 and 6.
/// let packed = Tensor::<3>::from_floats([[[0.0, 1.0, 2.0], [0.0, -1.0, 6.0]]], &Device::flex());
/// let seen = attention(packed, 1)?;
/// assert_eq!(seen.into_data().try_into_vec::<f32>().unwrap(), [4.0, 4.0]);
/// # Ok::<(), candor_burn::Error>(())
/// ```
pub fn attention(packed: Tensor<3>, heads: usize) -> Result<Tensor<3>> {
    let [n, tokens, found] = packed.dims();
    let width = found / 3;
    if found != 3 * width {
        let what = "queries, keys and values";
        return Err(Error::Shape { what, expected: 3 * (width + 1), got: found }.into());
    }
    let seen = Attention::new(tokens, width, heads)?;
    let dtype = dtype_of(&packed);
    #[cfg(feature = "cubecl")]
    if crate::layer::is_elsewhere(&packed) {
        return Ok(by_burn(packed.cast(dtype), heads));
    }
    let nothing = nothing(&packed.device(), dtype);
    let arrays = [packed.cast(dtype).into_dispatch(), nothing.clone(), nothing];
    Ok(layer(seen, arrays, [n, tokens, width]))
}

/// The same by Burn's operations one by one, which a device beside the CPU has kernels for.
#[cfg(feature = "cubecl")]
fn by_burn(packed: Tensor<3>, heads: usize) -> Tensor<3> {
    use burn::tensor::activation::softmax;
    let [n, tokens, found] = packed.dims();
    let (width, head) = (found / 3, found / 3 / heads);
    let [queries, keys, values] = [0, 1, 2].map(|part| {
        let part = packed.clone().narrow(2, part * width, width);
        part.reshape([n, tokens, heads, head]).swap_dims(1, 2)
    });
    let shares = softmax(queries.matmul(keys.swap_dims(2, 3)) / (head as f64).sqrt(), 3);
    shares.matmul(values).swap_dims(1, 2).reshape([n, tokens, width])
}

impl Passes for Attention {
    fn forward<T: Number>(&self, [packed, ..]: [&[T]; 3], output: &mut [T], traced: bool) -> Trace {
        let mut trace =
            vec![T::default(); if traced { self.sequences(output.len()) * self.trace_len() } else { 0 }];
        let kept = traced.then_some(&mut trace[..]);
        let done = Attention::forward(self, packed, output, kept);
        debug_assert!(done.is_ok(), "{done:?}");
        T::into_trace(trace)
    }

    fn backward<T: Number>(
        &self,
        [packed, ..]: [&[T]; 3],
        trace: Trace,
        upstream: &[T],
        [gradient, ..]: [Option<&mut [T]>; 3],
    ) {
        if let Some(gradient) = gradient {
            let done = Attention::backward(self, packed, &T::from_trace(trace), upstream, gradient);
            debug_assert!(done.is_ok(), "{done:?}");
        }
    }
}
