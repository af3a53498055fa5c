//! The Burn modules against Burn's own loss, dense products, central differences, and every refusal.

mod agreement;
mod evaluation_metric;
mod linear;
mod refusals;
mod sparse;
