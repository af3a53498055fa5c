//! The storage types that kernels compute in: `f32` and `f64`.

use crate::error::Result;
use crate::losses::{Batch, Loss, LossState, LossValue};
use crate::targets::DenseRows;

/// A storage and compute type. Sealed: `f32` and `f64`.
pub trait Scalar:
    Copy + Default + PartialOrd + Send + Sync + std::fmt::Debug + std::fmt::Display + sealed::Sealed + 'static
{
    /// The run-time name of the type.
    const DTYPE: DType;

    /// Rounds a double to this type.
    fn from_f64(value: f64) -> Self;

    /// The exact value as a double.
    fn to_f64(self) -> f64;

    /// Wraps target rows of this type.
    fn dense_rows(rows: &[Self]) -> DenseRows<'_>;

    /// Calls the method of a loss for this type; [`losses::value_grad`](crate::losses::value_grad) is the way in.
    #[doc(hidden)]
    fn value_grad(loss: &dyn Loss, batch: Batch<'_, Self>, state: &mut LossState) -> Result<LossValue>;
}

/// Run-time name of a storage type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
}

impl Scalar for f32 {
    fn dense_rows(rows: &[Self]) -> DenseRows<'_> {
        DenseRows::F32(rows)
    }

    fn value_grad(loss: &dyn Loss, batch: Batch<'_, Self>, state: &mut LossState) -> Result<LossValue> {
        loss.value_grad_f32(batch, state)
    }

    const DTYPE: DType = DType::F32;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Scalar for f64 {
    fn dense_rows(rows: &[Self]) -> DenseRows<'_> {
        DenseRows::F64(rows)
    }

    fn value_grad(loss: &dyn Loss, batch: Batch<'_, Self>, state: &mut LossState) -> Result<LossValue> {
        loss.value_grad_f64(batch, state)
    }

    const DTYPE: DType = DType::F64;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}
