//! Computation at the speed of memory: one body a kernel, compiled for each instruction set.
//!
//! The only folder of the project with `unsafe` code. Each kernel has a plain reference beside it.

pub mod adam;
pub mod allocator;
pub mod convolution;
pub(crate) mod exp_f32;
pub mod isa;
pub(crate) mod masses;
pub mod math;
#[doc(hidden)]
pub mod matmul;
pub mod softmax_cross_entropy;
pub mod storage;
pub(crate) mod vector;
