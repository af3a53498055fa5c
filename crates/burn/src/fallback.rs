//! The operations on a device beside the CPU: read into host memory, computed there as on the CPU, written back.
//!
//! Cross-entropy goes by a kernel of the device where there is one for its options ([`crate::kernels`]). What a device
//! that fails cannot give is NaN; a loss then says that its operation did not run.

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{Device, FloatTensor};
use burn::backend::{
    Cube, DType, Flex, FloatDType, Scalar, Shape, TensorData, TensorMetadata, try_read_sync,
};
use burn_flex::FlexTensor;

use crate::host_gradient::{HostFunction, HostGradient, HostKernel, SharedFunction};
use crate::kernels;
use crate::linear_cross_entropy::{self, LinearCrossEntropyOperation, LinearKernel};
use crate::sparse_product::{SharedMatrix, SparseProduct};

/// What a device holds, in host memory; `None` if the device fails.
fn read(tensor: FloatTensor<Cube>) -> Option<FlexTensor> {
    let shape = tensor.shape();
    let data = try_read_sync(Cube::float_into_data(tensor))?.ok()?;
    // A device may copy its bytes only when they are looked at: here, where it can still say that it failed.
    let data = match data.dtype() {
        DType::F64 => TensorData::new(data.try_into_vec::<f64>().ok()?, shape),
        _ => TensorData::new(data.try_into_vec::<f32>().ok()?, shape),
    };
    Some(FlexTensor::from_data(data))
}

/// Host memory as a tensor of a device.
fn write(tensor: FlexTensor, device: &Device<Cube>) -> FloatTensor<Cube> {
    Cube::float_from_data(tensor.into_data(), device)
}

/// What stands for a result that a device did not give.
fn missing(shape: impl Into<Shape>, dtype: DType, device: &Device<Cube>) -> FloatTensor<Cube> {
    let dtype = if dtype == DType::F64 { FloatDType::F64 } else { FloatDType::F32 };
    Cube::float_full(shape.into(), Scalar::from(f64::NAN), device, dtype)
}

impl HostGradient for Cube {
    fn host_gradient(logits: FloatTensor<Self>, function: SharedFunction) -> FloatTensor<Self> {
        Self::host_values(logits, function.as_ref())
    }
}

impl HostKernel for Cube {
    fn host_values(logits: FloatTensor<Self>, function: &dyn HostFunction) -> FloatTensor<Self> {
        let device = logits.device();
        if let Some((values, _)) = on_device(&logits, function, false) {
            return values;
        }
        let (n_values, dtype) = (function.n_values(logits.shape()[0]), logits.dtype());
        match read(logits) {
            Some(logits) => write(Flex::host_values(logits, function), &device),
            None => missing([n_values], dtype, &device),
        }
    }

    fn host_values_gradient(
        logits: FloatTensor<Self>,
        function: &dyn HostFunction,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let device = logits.device();
        if let Some((values, Some(gradient))) = on_device(&logits, function, true) {
            return (values, gradient);
        }
        let (shape, dtype) = (logits.shape(), logits.dtype());
        match read(logits) {
            Some(logits) => {
                let (values, gradient) = Flex::host_values_gradient(logits, function);
                (write(values, &device), write(gradient, &device))
            }
            None => {
                let n_values = function.n_values(shape[0]);
                (missing([n_values], dtype, &device), missing(shape, dtype, &device))
            }
        }
    }

    fn scale_rows(gradient: FloatTensor<Self>, upstream: FloatTensor<Self>) -> FloatTensor<Self> {
        // One value for all rows, or one for each: both spread over the other axes.
        let axes = gradient.shape().num_dims();
        let mut shape = vec![1; axes];
        shape[0] = upstream.shape().num_elements();
        let upstream = Self::float_reshape(upstream, Shape::from(shape));
        Self::float_mul(gradient, upstream)
    }
}

/// Values, and the gradient if it is wanted, by a kernel of the device; `None` where only the core can do it.
fn on_device(
    logits: &FloatTensor<Cube>,
    function: &dyn HostFunction,
    wants_gradient: bool,
) -> Option<(FloatTensor<Cube>, Option<FloatTensor<Cube>>)> {
    if logits.dtype() != DType::F32 {
        return None;
    }
    let mut gradient = None;
    let values = function.by_rows(logits.shape()[0], &mut |rows| {
        let (of_logits, values) = kernels::cross_entropy(logits, rows, wants_gradient)?;
        gradient = of_logits;
        Some(values)
    })?;
    let n_values = values.len();
    Some((Cube::float_from_data(TensorData::new(values, [n_values]), &logits.device()), gradient))
}

impl LinearCrossEntropyOperation for Cube {
    fn linear_cross_entropy(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        call: linear_cross_entropy::SharedCall,
    ) -> FloatTensor<Self> {
        Self::linear_value(input, weight, bias, &call)
    }
}

impl LinearKernel for Cube {
    fn linear_value(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        call: &linear_cross_entropy::Call,
    ) -> FloatTensor<Self> {
        let (device, dtype) = (input.device(), input.dtype());
        match (read(input), read(weight), read(bias)) {
            (Some(input), Some(weight), Some(bias)) => {
                write(Flex::linear_value(input, weight, bias, call), &device)
            }
            _ => missing([1], dtype, &device),
        }
    }

    fn linear_value_gradient(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        call: &linear_cross_entropy::Call,
    ) -> (FloatTensor<Self>, [FloatTensor<Self>; 3]) {
        let (device, dtype) = (input.device(), input.dtype());
        let shapes = [&input, &weight, &bias].map(|tensor| tensor.shape());
        match (read(input), read(weight), read(bias)) {
            (Some(input), Some(weight), Some(bias)) => {
                let (value, gradients) = Flex::linear_value_gradient(input, weight, bias, call);
                (write(value, &device), gradients.map(|gradient| write(gradient, &device)))
            }
            _ => (missing([1], dtype, &device), shapes.map(|shape| missing(shape, dtype, &device))),
        }
    }
}

impl SparseProduct for Cube {
    fn sparse_product(x: FloatTensor<Self>, matrix: SharedMatrix, transposed: bool) -> FloatTensor<Self> {
        let (device, dtype, width) = (x.device(), x.dtype(), x.shape()[1]);
        let rows = if transposed { matrix.n_columns() } else { matrix.n_rows() };
        match read(x) {
            Some(x) => write(Flex::sparse_product(x, matrix, transposed), &device),
            None => missing([rows, width], dtype, &device),
        }
    }
}
