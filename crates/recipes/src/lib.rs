//! Real trainings with Candor's losses: data, models, one training loop, and comparisons of runs.
//!
//! A [`Recipe`] prepares data and trains models on it; [`comparison`] runs a grid of settings and seeds.
//! The flow is the module order: [`config`] -> data and model of a recipe -> [`training`] ->
//! [`predictions`] -> [`comparison`].

pub mod bench;
pub mod comparison;
mod conclusions;
pub mod config;
pub mod dataset;
mod error;
pub mod files;
pub mod graph;
pub mod predictions;
pub mod recipe;
pub mod semi_supervised;
pub mod soft_targets;
pub mod stability;
pub mod tabular;
pub mod training;
pub mod vision;

pub use config::Config;
pub use error::{Error, Result};
pub use recipe::{Prepared, Recipe, RunOutput};
