//! Few labels and many rows without: self-training with hard and soft pseudo-labels, and its confirmation bias.
//!
//! The flow is [`data`] (read, split, hide most labels) -> a model of [`vision`](crate::vision::model) -> [`train`]
//! (the labelled rows alone, then rounds of pseudo-labels). Pseudo-labels after Lee (2013), with a threshold after
//! Sohn et al. (2020, FixMatch); what smoothing does to them is in [`candor::theory::damping_ratio`].

pub mod data;
mod pseudo;
mod report;
pub mod train;

use crate::comparison::FinishedRun;
use crate::config::Config;
use crate::error::Result;
use crate::recipe::{Conclusion, Prepared, Recipe, RecipeInfo};

/// The recipe.
#[derive(Debug, Clone, Copy, Default)]
pub struct SemiSupervised;

const INFO: RecipeInfo = RecipeInfo {
    name: "semi_supervised",
    summary: "self-training on few labels, with hard, smoothed, adaptive, sharpened and thresholded pseudo-labels",
    models: &["mlp", "lenet"],
    data: &[data::MOONS, "digits"],
    formats: "the images of the recipe vision",
    preset: &[
        ("data.path", data::MOONS),
        ("model.hidden", "64"),
        ("optimizer.lr", "0.003"),
        ("training.epochs", "60"),
    ],
};

impl Recipe for SemiSupervised {
    fn info(&self) -> &'static RecipeInfo {
        &INFO
    }

    fn prepare(&self, config: &Config) -> Result<Box<dyn Prepared>> {
        Ok(Box::new(data::load(config)?))
    }

    fn axes(&self) -> &'static [(&'static str, &'static [&'static str])] {
        &[("semi.pseudo", &pseudo::RULES)]
    }

    fn conclude(&self, runs: &[FinishedRun]) -> Conclusion {
        report::conclude(runs)
    }
}
