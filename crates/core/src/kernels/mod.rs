//! Computation at the speed of memory: one body a kernel, compiled for each instruction set.
//!
//! The only folder of the project with `unsafe` code. Each kernel has a plain reference beside it.

pub mod adam;
pub mod allocator;
pub mod attention;
pub mod convolution;
pub mod dense;
pub(crate) mod exp_f32;
mod gelu;
pub mod isa;
pub mod layer_norm;
pub(crate) mod masses;
pub mod math;
#[doc(hidden)]
pub mod matmul;
mod prefetch;
pub mod real;
pub mod softmax_cross_entropy;
#[cfg(target_arch = "x86_64")]
mod square;
pub mod storage;
pub(crate) mod vector;

/// The cases of a test; of many the first two where an interpreter runs it (Miri).
#[cfg(test)]
fn cases<T>(all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
    all.into_iter().take(if cfg!(miri) { 2 } else { usize::MAX })
}
