//! Label smoothing and honest confidence: targets, losses, metrics, calibration.
//!
//! The modules stand in the order in which data flows:
//! [`batch`] -> [`targets`] -> [`losses`] (on [`kernels`]) -> [`metrics`] -> [`calibrators`] -> [`report`].
//! [`graph`] holds graphs and products with sparse matrices.
//! [`theory`] says what a target will do before any training; [`schedules`] change a strength during it.

pub mod batch;
pub mod calibrators;
mod error;
pub mod graph;
pub mod kernels;
pub mod losses;
pub mod metrics;
pub mod parameters;
pub mod random;
pub mod registry;
pub mod report;
pub mod schedules;
pub mod statistics;
pub mod targets;
pub mod theory;

pub use batch::{Buffers, DType, Labels, Logits, Probs, Scalar, Storage};
pub use error::{Error, Result};
pub use targets::{Convention, Targets};
