//! The types that arrays of logits are stored in, and those among them that every loss computes in.

use half::{bf16, f16};

use crate::error::Result;
use crate::losses::{Batch, Loss, LossState, LossValue};
use crate::targets::DenseRows;

/// A type that logits, gradients and row losses are stored in. Sealed: `f32`, `f64`, and of the crate
/// `half` `bf16` and `f16`.
///
/// Half precision is storage only: cross-entropy widens each value, computes as in `f32` and rounds the
/// gradient once, when it is written.
pub trait Storage:
    Copy + Default + PartialOrd + Send + Sync + std::fmt::Debug + std::fmt::Display + sealed::Sealed + 'static
{
    /// The run-time name of the type.
    const DTYPE: DType;

    /// Rounds a double to this type.
    fn from_f64(value: f64) -> Self;

    /// The exact value as a double.
    fn to_f64(self) -> f64;
}

/// A storage type that every loss takes. Sealed: `f32` and `f64`.
pub trait Scalar: Storage {
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
    /// The upper half of a 32-bit float.
    Bf16,
    /// 16-bit float of IEEE 754.
    F16,
}

impl Storage for f32 {
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

impl Storage for f64 {
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

impl Storage for bf16 {
    const DTYPE: DType = DType::Bf16;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        bf16::from_f64(value)
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Storage for f16 {
    const DTYPE: DType = DType::F16;

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        f16::from_f64(value)
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Scalar for f32 {
    fn dense_rows(rows: &[Self]) -> DenseRows<'_> {
        DenseRows::F32(rows)
    }

    fn value_grad(loss: &dyn Loss, batch: Batch<'_, Self>, state: &mut LossState) -> Result<LossValue> {
        loss.value_grad_f32(batch, state)
    }
}

impl Scalar for f64 {
    fn dense_rows(rows: &[Self]) -> DenseRows<'_> {
        DenseRows::F64(rows)
    }

    fn value_grad(loss: &dyn Loss, batch: Batch<'_, Self>, state: &mut LossState) -> Result<LossValue> {
        loss.value_grad_f64(batch, state)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for half::bf16 {}
    impl Sealed for half::f16 {}
}
