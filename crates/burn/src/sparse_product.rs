//! The product of a fixed sparse matrix with a tensor, as an operation of Burn with its own backward pass.
//!
//! Forward: `Y = A·X`. Backward: `∂X = Aᵀ·∂Y`. Both are [`SparseMatrix`] products over host memory, whose bits do
//! not depend on the number of threads.

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
use candor::graph::SparseMatrix;
use candor::{Error, Scalar};

use crate::error::Result;
use crate::host_gradient::contiguous;

/// A matrix that operations and their backward passes share.
pub type SharedMatrix = Arc<SparseMatrix>;

/// `A·X` for a fixed sparse `A` `[m, n]` and `X` `[n, width]` of type f32 or f64; others go through f32.
///
/// Differentiable with respect to `X`; the backward pass is a product of the same kind.
///
/// # Errors
/// [`Error::Shape`] unless `X` has a row for each column of the matrix.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use burn::tensor::{Device, Tensor};
/// use candor::graph::SparseMatrix;
/// use candor_burn::sparse_product;
///
/// // [[0, 2], [3, 0], [0, 0]]
/// let a = Arc::new(SparseMatrix::new(2, vec![0, 1, 2, 2], vec![1, 0], vec![2.0, 3.0])?);
/// let device = Device::flex().autodiff();
/// let x = Tensor::<2>::from_floats([[1.0], [5.0]], &device).require_grad();
/// let y = sparse_product(&a, x.clone())?;
/// assert_eq!(y.clone().into_data().try_into_vec::<f32>().unwrap(), [10.0, 3.0, 0.0]);
/// // The gradient of the sum is the sum of each column.
/// let gradient = x.grad(&y.sum().backward()).unwrap();
/// assert_eq!(gradient.into_data().try_into_vec::<f32>().unwrap(), [3.0, 2.0]);
/// # Ok::<(), candor_burn::Error>(())
/// ```
pub fn sparse_product(matrix: &SharedMatrix, x: Tensor<2>) -> Result<Tensor<2>> {
    let [rows, _] = x.dims();
    if rows != matrix.n_columns() {
        let what = "the rows of the dense side of a sparse product";
        return Err(Error::Shape { what, expected: matrix.n_columns(), got: rows }.into());
    }
    let x = match x.dtype() {
        DType::F32 | DType::F64 => x,
        _ => x.cast(DType::F32),
    };
    Ok(Tensor::from_dispatch(Dispatch::sparse_product(x.into_dispatch(), Arc::clone(matrix), false)))
}

/// The operation as Burn dispatches it.
#[backend_extension(Flex, Cube: cfg(feature = "cubecl"), Autodiff)]
pub trait SparseProduct: Backend {
    /// See [`sparse_product`](fn@sparse_product); by the transposed matrix if `transposed`.
    fn sparse_product(x: FloatTensor<Self>, matrix: SharedMatrix, transposed: bool) -> FloatTensor<Self>;
}

impl SparseProduct for Flex {
    fn sparse_product(x: FlexTensor, matrix: SharedMatrix, transposed: bool) -> FlexTensor {
        match x.dtype() {
            DType::F64 => product::<f64>(x, &matrix, transposed),
            _ => product::<f32>(x, &matrix, transposed),
        }
    }
}

impl<B: SparseProduct, C: CheckpointStrategy> SparseProduct for Autodiff<B, C> {
    fn sparse_product(x: FloatTensor<Self>, matrix: SharedMatrix, transposed: bool) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Transposed;
        impl<B: SparseProduct> Backward<B, 1> for Transposed {
            type State = (SharedMatrix, bool);

            fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
                let upstream = gradients.consume::<B>(&ops.node);
                if let [Some(node)] = ops.parents {
                    let (matrix, transposed) = ops.state;
                    gradients.register::<B>(node.id, B::sparse_product(upstream, matrix, !transposed));
                }
            }
        }
        let (x, guard) = x.into_parts();
        match Transposed.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let product = B::sparse_product(x, Arc::clone(&matrix), transposed);
                prepared.finish((matrix, transposed), product)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::sparse_product(x, matrix, transposed)),
        }
    }
}

/// The product over host memory; the shapes were checked before the operation.
fn product<T: Scalar + burn::tensor::Element + bytemuck::Pod>(
    x: FlexTensor,
    matrix: &SparseMatrix,
    transposed: bool,
) -> FlexTensor {
    let x = contiguous(x);
    let width = x.shape()[1];
    let values: &[T] = x.as_slice().unwrap_or_default();
    let (product, rows) = if transposed {
        (matrix.multiply_transposed(values, width), matrix.n_columns())
    } else {
        (matrix.multiply(values, width), matrix.n_rows())
    };
    let product = product.unwrap_or_else(|_| vec![T::default(); rows * width]);
    FlexTensor::from_data(TensorData::new(product, [rows, width]))
}
