//! CubeCL kernels: what runs on the device itself. Each stands beside a host function that it must agree with.

mod cross_entropy;

pub(crate) use cross_entropy::cross_entropy;
