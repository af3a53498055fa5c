//! Image classification: embedded digits, files of the MNIST and CIFAR families, folders of pictures; four models.
//!
//! The flow is [`data`] (read, check, split) -> [`images`] (normalise) -> views, mixes, noise and teachers of a
//! run -> [`model`] -> [`train`] -> what the runs say together.

mod augment;
mod cifar;
mod clusters;
mod conclude;
pub mod data;
mod distillation;
mod folder;
mod idx;
pub mod images;
mod label_file;
mod mix;
mod mnist;
pub mod model;
mod noise;
pub mod predict;
mod setup;
mod teacher;
mod telemetry;
pub mod train;

use std::path::Path;

use burn::tensor::Device;

use crate::comparison::FinishedRun;
use crate::config::Config;
use crate::error::Result;
use crate::predictions::Predictions;
use crate::recipe::{Conclusion, Prepared, Recipe, RecipeInfo};

/// The recipe.
#[derive(Debug, Clone, Copy, Default)]
pub struct Vision;

/// The models' names.
const MODELS: &[&str] = &["mlp", "lenet", "resnet", "vit"];

const INFO: RecipeInfo = RecipeInfo {
    name: "vision",
    summary: "image classification with a perceptron, a small convolutional net, a residual net or a transformer",
    models: MODELS,
    data: &["digits"],
    formats: "a folder of IDX files (MNIST family) or CIFAR binary files, plain or gzip, or of PNG and JPEG pictures with a folder for each class",
    preset: &[],
};

impl Recipe for Vision {
    fn info(&self) -> &'static RecipeInfo {
        &INFO
    }

    fn prepare(&self, config: &Config) -> Result<Box<dyn Prepared>> {
        Ok(Box::new(train::PreparedVision::new(&config.data)?))
    }

    fn predict(&self, weights: &Path, description: &str, data: &str, device: &Device) -> Result<Predictions> {
        predict::predict_with(weights, description, data, device)
    }

    fn conclude(&self, runs: &[FinishedRun]) -> Conclusion {
        conclude::conclude(runs)
    }
}
