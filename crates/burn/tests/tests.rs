//! The Burn modules against Burn's own loss and layers, dense products, central differences, and every refusal.

mod agreement;
mod convolution;
mod evaluation_metric;
mod layers;
mod linear;
mod refusals;
mod sparse;
