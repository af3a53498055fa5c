//! Convolutions of images with what follows them: a bias, ReLU, and the maximum of windows of 2x2.
//!
//! `y[o, p] = b[o] + Σ_{c, k} w[o, c, k]·x[c, stride·p + k - padding]`, as in PyTorch and Burn (a cross-correlation).
//! Images come and go as planes `[n, channels, height, width]`; inside, one image at a time stands with its channels
//! last in a frame of zeros (`layout`), so that the inner loops (`tiles`) read it where it lies. What follows the
//! sums happens while they are in cache, and only its result is written.
//!
//! Of four outputs under a maximum three have no gradient, and those that ReLU cut have none either: the backward
//! pass lists the others and does no arithmetic for zeros.
//!
//! Images go to threads in blocks of fixed size, and what blocks sum is added in their order: no bit depends on the
//! number of threads.

mod backward;
mod forward;
mod geometry;
mod layer;
mod layout;
#[cfg(test)]
mod tests;
mod tiles;

pub use backward::{ConvolutionGradients, ConvolutionPass};
pub use layer::{Activation, Convolution, ConvolutionConfig};
