//! Image classification: embedded digits, files of the MNIST and CIFAR families; three models.
//!
//! The flow is [`data`] (read, check, split, normalise) -> [`model`] -> [`train`].

mod augment;
mod cifar;
pub mod data;
mod idx;
pub mod model;
pub mod train;

use std::path::Path;

use crate::config::Config;
use crate::error::Result;
use crate::predictions::Predictions;
use crate::recipe::{Prepared, Recipe, RecipeInfo};

/// The recipe.
#[derive(Debug, Clone, Copy, Default)]
pub struct Vision;

/// The models' names.
const MODELS: &[&str] = &["mlp", "lenet", "resnet"];

const INFO: RecipeInfo = RecipeInfo {
    name: "vision",
    summary: "image classification with a perceptron, a small convolutional net or a residual net",
    models: MODELS,
    data: &["digits"],
    formats: "a folder of IDX files (MNIST family) or CIFAR binary files, plain or gzip",
    preset: &[],
};

impl Recipe for Vision {
    fn info(&self) -> &'static RecipeInfo {
        &INFO
    }

    fn prepare(&self, config: &Config) -> Result<Box<dyn Prepared>> {
        Ok(Box::new(train::PreparedVision::new(&config.data)?))
    }

    fn predict(&self, weights: &Path, description: &str, data: &str) -> Result<Predictions> {
        train::predict_with(weights, description, data)
    }
}
