//! Tables: numbers and categories with missing cells, and what smoothing does to groups of people.
//!
//! The flow is [`data`] (read, check, encode, split) -> the perceptron of [`vision`](crate::vision::model), without
//! hidden layers for `logistic` -> [`train`], which also counts scores and decisions by group. Demographic parity
//! (Dwork et al. 2012), equalised odds and equal opportunity (Hardt et al. 2016).

pub mod data;
mod encode;
mod fairness;
mod generate;
mod report;
mod table;
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
pub struct TabularRecipe;

const INFO: RecipeInfo = RecipeInfo {
    name: "tabular",
    summary: "classification of tables by logistic regression or a perceptron, with gaps between groups",
    models: &["logistic", "mlp"],
    data: &[data::GENERATED],
    formats: "a table (.csv, .csv.gz, .parquet) with --target-column, or a folder with one; NAME_test beside NAME is its test part",
    // A falling learning rate ends near the optimum, so that runs differ by what is compared.
    preset: &[
        ("data.path", data::GENERATED),
        ("model.name", "logistic"),
        ("model.hidden", "64"),
        ("optimizer.lr", "0.03"),
        ("lr_schedule.name", "cosine"),
        ("training.epochs", "20"),
        ("training.batch_size", "256"),
    ],
};

impl Recipe for TabularRecipe {
    fn info(&self) -> &'static RecipeInfo {
        &INFO
    }

    fn prepare(&self, config: &Config) -> Result<Box<dyn Prepared>> {
        Ok(Box::new(data::load(&config.data)?))
    }

    fn predict(&self, weights: &Path, description: &str, data: &str, device: &Device) -> Result<Predictions> {
        train::predict_with(weights, description, data, device)
    }

    fn conclude(&self, runs: &[FinishedRun]) -> Conclusion {
        report::conclude(runs)
    }
}
