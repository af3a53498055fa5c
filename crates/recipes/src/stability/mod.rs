//! One flipped label: how far it moves a learner, with and without smoothing, beside what theory allows.
//!
//! The flow is [`data`] (a set of few training rows) -> [`train`]: five linear smoothers, softmax regression and a
//! net, each learnt anew for every flip. The mathematics is in [`candor::theory::stability`].

pub mod data;
mod report;
pub mod train;

use crate::comparison::FinishedRun;
use crate::config::Config;
use crate::error::Result;
use crate::recipe::{Conclusion, Prepared, Recipe, RecipeInfo};

/// The recipe.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stability;

const INFO: RecipeInfo = RecipeInfo {
    name: "stability",
    summary: "what one flipped training label changes: linear smoothers, softmax regression, a small net",
    models: train::LEARNERS,
    data: &["two_moons", "two_groups", "digits"],
    formats: "the images of the recipe vision and the tables of the recipe tabular",
    preset: &[
        ("data.path", "two_moons"),
        ("data.train_size", "100"),
        ("model.name", "ridge"),
        ("model.hidden", "16"),
        ("optimizer.lr", "0.01"),
        ("training.epochs", "30"),
        ("training.batch_size", "20"),
    ],
};

impl Recipe for Stability {
    fn info(&self) -> &'static RecipeInfo {
        &INFO
    }

    fn prepare(&self, config: &Config) -> Result<Box<dyn Prepared>> {
        Ok(Box::new(data::load(&config.data)?))
    }

    fn axes(&self) -> &'static [(&'static str, &'static [&'static str])] {
        &[("model.name", train::LEARNERS), ("loss.smoothing", &["0", "0.1", "0.3", "0.5"])]
    }

    fn conclude(&self, runs: &[FinishedRun]) -> Conclusion {
        report::conclude(runs)
    }
}
