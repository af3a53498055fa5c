//! The Burn modules against Burn's own loss, central differences, and every refusal.

mod agreement;
mod evaluation_metric;
mod refusals;
