//! A layer's two passes over host memory, as one operation of Burn with its own backward pass.
//!
//! A layer has up to three arrays, as input, weight and bias. What its forward pass must remember beside them is its
//! trace. Which passes there are: [`convolution`](mod@crate::convolution), [`dense`](mod@crate::dense),
//! [`layer_norm`](mod@crate::layer_norm), [`attention`](mod@crate::attention).

use std::fmt::Debug;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, DType, Dispatch, DispatchTensor, Flex, TensorData, TensorMetadata, backend_extension,
};
use burn::tensor::{Device, Tensor};
use burn_flex::FlexTensor;
use candor::kernels::real::Real;

use crate::host_gradient::contiguous;

/// Forward and backward pass of a layer whose shapes were checked.
pub(crate) trait Passes: Debug + Send + Sync + 'static {
    /// The output, and with `traced` what the backward pass must know.
    fn forward<T: Number>(&self, arrays: [&[T]; 3], output: &mut [T], traced: bool) -> Trace;

    /// Gradients of the arrays into those that are wanted, which are zeros.
    fn backward<T: Number>(
        &self,
        arrays: [&[T]; 3],
        trace: Trace,
        upstream: &[T],
        gradients: [Option<&mut [T]>; 3],
    );
}

/// What a forward pass remembers beside its arrays.
#[derive(Debug, Clone)]
pub enum Trace {
    /// Bytes.
    Bytes(Vec<u8>),
    /// Numbers of single precision.
    Single(Vec<f32>),
    /// Numbers of double precision.
    Double(Vec<f64>),
}

/// A number that layers compute in, as Burn has it.
pub trait Number: Real + burn::tensor::Element + bytemuck::Pod {
    /// Numbers as a trace.
    fn into_trace(numbers: Vec<Self>) -> Trace;

    /// The numbers of a trace; none where they are of another kind.
    fn from_trace(trace: Trace) -> Vec<Self>;
}

impl Number for f32 {
    fn into_trace(numbers: Vec<Self>) -> Trace {
        Trace::Single(numbers)
    }

    fn from_trace(trace: Trace) -> Vec<Self> {
        if let Trace::Single(numbers) = trace { numbers } else { Vec::new() }
    }
}

impl Number for f64 {
    fn into_trace(numbers: Vec<Self>) -> Trace {
        Trace::Double(numbers)
    }

    fn from_trace(trace: Trace) -> Vec<Self> {
        if let Trace::Double(numbers) = trace { numbers } else { Vec::new() }
    }
}

/// [`Passes`] for a type that is known when it runs.
trait AnyPasses: Debug + Send + Sync {
    fn forward(&self, arrays: [FlexTensor; 3], output: &[usize], traced: bool) -> (FlexTensor, Trace);

    fn backward(
        &self,
        arrays: [FlexTensor; 3],
        trace: Trace,
        upstream: FlexTensor,
        wanted: [bool; 3],
    ) -> [Option<FlexTensor>; 3];
}

impl<P: Passes> AnyPasses for P {
    fn forward(&self, arrays: [FlexTensor; 3], output: &[usize], traced: bool) -> (FlexTensor, Trace) {
        match arrays[0].dtype() {
            DType::F64 => flex_forward::<f64, P>(self, arrays, output, traced),
            _ => flex_forward::<f32, P>(self, arrays, output, traced),
        }
    }

    fn backward(
        &self,
        arrays: [FlexTensor; 3],
        trace: Trace,
        upstream: FlexTensor,
        wanted: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        match arrays[0].dtype() {
            DType::F64 => flex_backward::<f64, P>(self, arrays, trace, upstream, wanted),
            _ => flex_backward::<f32, P>(self, arrays, trace, upstream, wanted),
        }
    }
}

fn slice<T: Number>(tensor: &FlexTensor) -> &[T] {
    tensor.as_slice().unwrap_or_default()
}

fn flex_forward<T: Number, P: Passes>(
    passes: &P,
    arrays: [FlexTensor; 3],
    shape: &[usize],
    traced: bool,
) -> (FlexTensor, Trace) {
    let arrays = arrays.map(contiguous);
    let mut output = vec![T::default(); shape.iter().product()];
    let trace = passes.forward(arrays.each_ref().map(slice::<T>), &mut output, traced);
    (FlexTensor::from_data(TensorData::new(output, shape.to_vec())), trace)
}

fn flex_backward<T: Number, P: Passes>(
    passes: &P,
    arrays: [FlexTensor; 3],
    trace: Trace,
    upstream: FlexTensor,
    wanted: [bool; 3],
) -> [Option<FlexTensor>; 3] {
    let (arrays, upstream) = (arrays.map(contiguous), contiguous(upstream));
    let mut gradients: [Option<Vec<T>>; 3] =
        std::array::from_fn(|i| wanted[i].then(|| vec![T::default(); arrays[i].shape().num_elements()]));
    let places = gradients.each_mut().map(|gradient| gradient.as_deref_mut());
    passes.backward(arrays.each_ref().map(slice::<T>), trace, slice(&upstream), places);
    let mut shapes = arrays.iter().map(|array| array.shape());
    gradients.map(|gradient| {
        let shape = shapes.next();
        Some(FlexTensor::from_data(TensorData::new(gradient?, shape?)))
    })
}

/// One use of a layer: its passes, and the shape of what they give.
#[derive(Debug)]
pub struct Call {
    passes: Box<dyn AnyPasses>,
    output: Vec<usize>,
}

/// A use that operation and backward share.
pub type SharedCall = Arc<Call>;

/// The type that a layer computes in: f32 or f64, and f32 for all others.
pub(crate) fn dtype_of<const D: usize>(tensor: &Tensor<D>) -> DType {
    if tensor.dtype() == DType::F64 { DType::F64 } else { DType::F32 }
}

/// Whether the tensor lies on a device that has layers of its own.
#[cfg(feature = "cubecl")]
pub(crate) fn is_elsewhere<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.device() != Device::flex()
}

/// The layer applied to three arrays of one type; one that it does not have is [`nothing`].
pub(crate) fn layer<const D: usize>(
    passes: impl Passes,
    [a, b, c]: [DispatchTensor; 3],
    output: [usize; D],
) -> Tensor<D> {
    let call = Arc::new(Call { passes: Box::new(passes), output: output.to_vec() });
    Tensor::from_dispatch(Dispatch::layer(a, b, c, call))
}

/// What stands for an array that a layer does not have: it is neither tracked nor read.
pub(crate) fn nothing(device: &Device, dtype: DType) -> DispatchTensor {
    Tensor::<1>::zeros([1], (device, dtype)).into_dispatch()
}

/// What a backend must offer; not dispatched.
pub trait LayerKernel: Backend {
    /// The output, and with `traced` what the backward pass must know.
    fn layer_forward(arrays: [FloatTensor<Self>; 3], call: &Call, traced: bool)
    -> (FloatTensor<Self>, Trace);

    /// The gradients of the arrays, where they are wanted.
    fn layer_backward(
        arrays: [FloatTensor<Self>; 3],
        trace: Trace,
        upstream: FloatTensor<Self>,
        call: &Call,
        wanted: [bool; 3],
    ) -> [Option<FloatTensor<Self>>; 3];
}

/// The operation as Burn dispatches it.
#[backend_extension(Flex, Autodiff)]
pub trait LayerOperation: Backend {
    /// The output of a layer.
    fn layer(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        call: SharedCall,
    ) -> FloatTensor<Self>;
}

impl LayerOperation for Flex {
    fn layer(a: FlexTensor, b: FlexTensor, c: FlexTensor, call: SharedCall) -> FlexTensor {
        Self::layer_forward([a, b, c], &call, false).0
    }
}

impl<B: LayerKernel, C: CheckpointStrategy> LayerOperation for Autodiff<B, C> {
    fn layer(
        a: FloatTensor<Self>,
        b: FloatTensor<Self>,
        c: FloatTensor<Self>,
        call: SharedCall,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Back;
        impl<B: LayerKernel> Backward<B, 3> for Back {
            type State = ([FloatTensor<B>; 3], Trace, SharedCall);

            fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let upstream = gradients.consume::<B>(&ops.node);
                let (arrays, trace, call) = ops.state;
                let wanted = [0, 1, 2].map(|parent| ops.parents[parent].is_some());
                let found = B::layer_backward(arrays, trace, upstream, &call, wanted);
                for (node, gradient) in ops.parents.into_iter().zip(found) {
                    if let (Some(node), Some(gradient)) = (node, gradient) {
                        gradients.register::<B>(node.id, gradient);
                    }
                }
            }
        }
        let ((a, of_a), (b, of_b), (c, of_c)) = (a.into_parts(), b.into_parts(), c.into_parts());
        match Back.prepare::<C>([of_a, of_b, of_c]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let arrays = [a, b, c];
                let (output, trace) = B::layer_forward(arrays.clone(), &call, true);
                prepared.finish((arrays, trace, call), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::layer_forward([a, b, c], &call, false).0),
        }
    }
}

impl LayerKernel for Flex {
    fn layer_forward(arrays: [FlexTensor; 3], call: &Call, traced: bool) -> (FlexTensor, Trace) {
        call.passes.forward(arrays, &call.output, traced)
    }

    fn layer_backward(
        arrays: [FlexTensor; 3],
        trace: Trace,
        upstream: FlexTensor,
        call: &Call,
        wanted: [bool; 3],
    ) -> [Option<FlexTensor>; 3] {
        call.passes.backward(arrays, trace, upstream, wanted)
    }
}
