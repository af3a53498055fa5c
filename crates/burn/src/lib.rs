//! Candor's losses and metrics on Burn's tensors.
//!
//! One generic operation, [`host_gradient`], takes any [`candor::losses::Loss`] into Burn's autodiff: the
//! loss computes value and gradient in one sweep over host memory, and the backward pass only scales that
//! gradient. On the `flex` backend nothing is copied; the gradient overwrites the logits where nobody else
//! holds them. [`LinearCrossEntropyLoss`] takes hidden states and a vocabulary and never holds all logits.
//! [`sparse_product`](fn@sparse_product) is the product with a sparse matrix, for nets on graphs;
//! [`convolution`](fn@convolution) is a convolution with bias, ReLU and max-pooling in one, [`dense`](fn@dense) a linear
//! layer with bias, ReLU or GELU, [`attention`](fn@attention) all heads of self-attention, and
//! [`layer_norm`](fn@layer_norm) normalises rows: each one operation with one backward pass.
//!
//! # Devices
//! The features `wgpu` and `cuda` add Burn's devices of these names ([`device`](fn@device)). Everything here works on
//! their tensors too: cross-entropy by a kernel of the device, where it has no other options than labels or
//! distributions, even smoothing and weights a row; layers by Burn's own operations; the rest by way of host memory.

mod attention;
mod convolution;
mod cross_entropy;
mod dense;
mod device;
mod error;
mod evaluation_metric;
#[cfg(feature = "cubecl")]
mod fallback;
pub mod host_gradient;
#[cfg(feature = "cubecl")]
mod kernels;
mod layer;
mod layer_norm;
mod linear_cross_entropy;
mod loss_module;
mod sparse_product;

pub use attention::attention;
pub use convolution::{ConvolutionOptions, convolution};
pub use cross_entropy::{CrossEntropyLoss, CrossEntropyLossConfig};
pub use dense::dense;
pub use device::{check_device_name, device};
pub use error::{Error, Result};
pub use evaluation_metric::EvaluationMetric;
pub use layer_norm::layer_norm;
pub use linear_cross_entropy::{LinearCrossEntropyLoss, LinearCrossEntropyLossConfig, LinearLossOutput};
pub use loss_module::{LossModule, LossOutput, LossTargets};
pub use sparse_product::{SharedMatrix, sparse_product};

#[cfg(all(feature = "cubecl", not(any(feature = "wgpu", feature = "cuda"))))]
compile_error!("the feature cubecl has no device of its own: choose wgpu or cuda, which bring it");

/// The examples of the README, as doc tests. Here, because they need Burn or the core alone.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}
