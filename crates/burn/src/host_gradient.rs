//! An operation of Burn whose value and gradient come from one function over host memory.
//!
//! Forward: the function is called once; when the logits are tracked it also writes the gradient, which is
//! kept for the backward pass, else only the value is computed. Backward: the kept gradient times the
//! upstream one, for free where that is 1. On a device that is not the CPU the logits are read into host memory and
//! the gradient is written back, unless the device has a kernel for the function.

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
use candor::Buffers;
use candor::kernels::softmax_cross_entropy::RowValue;
use candor::losses::RowsElsewhere;

/// A function from logits to values, with its gradient.
///
/// `values` has one element for a reduced loss, whose gradient is that of the value, or one element a row,
/// and then row i of the gradient is that of value i. Errors are kept by the implementation.
pub trait HostFunction: std::fmt::Debug + Send + Sync {
    /// Number of values for `n_rows` rows: 1 or `n_rows`.
    fn n_values(&self, n_rows: usize) -> usize;

    /// Single precision.
    fn call_f32(&self, buffers: Buffers<'_, f32>, values: &mut [f32]);

    /// Double precision.
    fn call_f64(&self, buffers: Buffers<'_, f64>, values: &mut [f64]);

    /// The values where the function is cross-entropy, whose rows a kernel of a device computes in single precision.
    ///
    /// `kernel` is asked once, for all `n_rows` rows; `None` where the function is another one, or the kernel gave
    /// nothing, and then [`call_f32`](Self::call_f32) has to do it.
    fn by_rows(&self, n_rows: usize, kernel: RowKernel<'_>) -> Option<Vec<f32>> {
        let _ = (n_rows, kernel);
        None
    }
}

/// Computes the rows of a cross-entropy on a device and keeps their gradient there; nothing where it cannot.
pub type RowKernel<'a> = &'a mut dyn FnMut(&RowsElsewhere<'_>) -> Option<Vec<RowValue>>;

/// A shared [`HostFunction`].
pub type SharedFunction = Arc<dyn HostFunction>;

/// Applies `function` to logits `[n, n_classes]` of type f32 or f64; the result has the function's values.
///
/// Any other storage type must be cast first. Differentiable once, with respect to the logits.
pub fn host_gradient(logits: Tensor<2>, function: SharedFunction) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::host_gradient(logits.into_dispatch(), function))
}

/// What a backend must offer; not dispatched.
pub trait HostKernel: Backend {
    /// The values only.
    fn host_values(logits: FloatTensor<Self>, function: &dyn HostFunction) -> FloatTensor<Self>;

    /// Values and gradient; takes the logits by value, to overwrite them where nobody else holds them.
    fn host_values_gradient(
        logits: FloatTensor<Self>,
        function: &dyn HostFunction,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Multiplies the gradient by one upstream value, or each of its rows by its own.
    fn scale_rows(gradient: FloatTensor<Self>, upstream: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The operation as Burn dispatches it.
#[backend_extension(Flex, Cube: cfg(feature = "cubecl"), Autodiff)]
pub trait HostGradient: Backend {
    /// See [`host_gradient`](fn@host_gradient).
    fn host_gradient(logits: FloatTensor<Self>, function: SharedFunction) -> FloatTensor<Self>;
}

impl HostGradient for Flex {
    fn host_gradient(logits: FlexTensor, function: SharedFunction) -> FlexTensor {
        Self::host_values(logits, function.as_ref())
    }
}

impl<B: HostKernel, C: CheckpointStrategy> HostGradient for Autodiff<B, C> {
    fn host_gradient(logits: FloatTensor<Self>, function: SharedFunction) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Scale;
        impl<B: HostKernel> Backward<B, 1> for Scale {
            type State = FloatTensor<B>;

            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let upstream = gradients.consume::<B>(&ops.node);
                if let [Some(node)] = ops.parents {
                    gradients.register::<B>(node.id, B::scale_rows(ops.state, upstream));
                }
            }
        }
        let (logits, guard) = logits.into_parts();
        match Scale.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (values, gradient) = B::host_values_gradient(logits, function.as_ref());
                prepared.finish(gradient, values)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::host_values(logits, function.as_ref())),
        }
    }
}

/// A storage type of the host kernel.
trait HostElement: burn::tensor::Element + bytemuck::Pod {
    fn call(function: &dyn HostFunction, buffers: Buffers<'_, Self>, values: &mut [Self]);
}

impl HostElement for f32 {
    fn call(function: &dyn HostFunction, buffers: Buffers<'_, Self>, values: &mut [Self]) {
        function.call_f32(buffers, values);
    }
}

impl HostElement for f64 {
    fn call(function: &dyn HostFunction, buffers: Buffers<'_, Self>, values: &mut [Self]) {
        function.call_f64(buffers, values);
    }
}

impl HostKernel for Flex {
    fn host_values(logits: FlexTensor, function: &dyn HostFunction) -> FlexTensor {
        match logits.dtype() {
            DType::F64 => flex_values::<f64>(logits, function),
            _ => flex_values::<f32>(logits, function),
        }
    }

    fn host_values_gradient(logits: FlexTensor, function: &dyn HostFunction) -> (FlexTensor, FlexTensor) {
        match logits.dtype() {
            DType::F64 => flex_values_gradient::<f64>(logits, function),
            _ => flex_values_gradient::<f32>(logits, function),
        }
    }

    fn scale_rows(gradient: FlexTensor, upstream: FlexTensor) -> FlexTensor {
        match gradient.dtype() {
            DType::F64 => flex_scale_rows::<f64>(gradient, upstream),
            _ => flex_scale_rows::<f32>(gradient, upstream),
        }
    }
}

/// Only copies when it must: taking a contiguous view of a contiguous tensor would share its buffer.
pub(crate) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

fn vector<E: HostElement>(values: Vec<E>) -> FlexTensor {
    let n = values.len();
    FlexTensor::from_data(TensorData::new(values, [n]))
}

/// The whole buffer of a tensor, if this is the only holder.
fn whole_buffer<E: HostElement>(tensor: &mut FlexTensor) -> Option<&mut [E]> {
    let len = tensor.shape().num_elements();
    let whole = tensor.layout().contiguous_offsets() == Some((0, len));
    if whole { tensor.try_storage_mut::<E>().filter(|storage| storage.len() == len) } else { None }
}

fn flex_values<E: HostElement>(logits: FlexTensor, function: &dyn HostFunction) -> FlexTensor {
    let logits = contiguous(logits);
    let mut values = vec![E::zeroed(); function.n_values(logits.shape()[0])];
    E::call(function, Buffers::Forward(logits.as_slice().unwrap_or_default()), &mut values);
    vector(values)
}

fn flex_values_gradient<E: HostElement>(
    logits: FlexTensor,
    function: &dyn HostFunction,
) -> (FlexTensor, FlexTensor) {
    let mut logits = contiguous(logits);
    let shape = logits.shape();
    let mut values = vec![E::zeroed(); function.n_values(shape[0])];
    if let Some(storage) = whole_buffer::<E>(&mut logits) {
        E::call(function, Buffers::InPlace(storage), &mut values);
        return (vector(values), logits);
    }
    let source: &[E] = logits.as_slice().unwrap_or_default();
    let mut gradient = vec![E::zeroed(); source.len()];
    E::call(function, Buffers::Gradient { logits: source, gradient: &mut gradient }, &mut values);
    (vector(values), FlexTensor::from_data(TensorData::new(gradient, shape)))
}

fn flex_scale_rows<E: HostElement + std::ops::MulAssign + PartialEq>(
    gradient: FlexTensor,
    upstream: FlexTensor,
) -> FlexTensor {
    let upstream = contiguous(upstream);
    let factors: &[E] = upstream.as_slice().unwrap_or_default();
    let one: E = burn::tensor::ElementConversion::elem(1.0_f64);
    if factors.iter().all(|factor| *factor == one) {
        return gradient;
    }
    let shape = gradient.shape();
    let row_len = shape.num_elements() / factors.len().max(1);
    let scale = |storage: &mut [E]| {
        for (row, factor) in storage.chunks_exact_mut(row_len.max(1)).zip(factors) {
            row.iter_mut().for_each(|value| *value *= *factor);
        }
    };
    let mut gradient = gradient;
    if let Some(storage) = whole_buffer::<E>(&mut gradient) {
        scale(storage);
        return gradient;
    }
    let mut copy: Vec<E> = contiguous(gradient).as_slice::<E>().unwrap_or_default().to_vec();
    scale(&mut copy);
    FlexTensor::from_data(TensorData::new(copy, shape))
}
