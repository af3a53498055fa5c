//! Node classification: a graph whose nodes have features, few of them labels; three models that propagate.
//!
//! Two kinds of smoothing meet here: that of the labels (strength α) and that over the graph. A step of
//! propagation of strength β is `(1-β)·I + β·S`, applied k times, with `S` the normalised adjacency: β = 0 trusts a
//! node's own features, β = 1 its neighbourhood. The flow is [`data`] -> [`model`] -> [`train`].
//!
//! - `gcn`: Kipf & Welling, *Semi-Supervised Classification with Graph Convolutional Networks*, ICLR 2017,
//!   arXiv:1609.02907.
//! - `sgc`: Wu et al., *Simplifying Graph Convolutional Networks*, ICML 2019, arXiv:1902.07153.
//! - `appnp`: Gasteiger et al., *Predict then Propagate*, ICLR 2019, arXiv:1810.05997.
//! - `--target neighbours` and `--target posterior` smooth towards what the neighbours' labels say (SALS,
//!   arXiv:2112.00499; PosteL, arXiv:2406.00410), `--target prior` towards the class frequencies.

mod conclusion;
pub mod data;
mod files;
pub mod model;
mod targets;
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
pub struct Graph;

/// The models' names.
const MODELS: &[&str] = &["gcn", "sgc", "appnp"];

const INFO: RecipeInfo = RecipeInfo {
    name: "graph",
    summary: "node classification with a graph convolutional net, its linear form, or propagated predictions",
    models: MODELS,
    data: data::EMBEDDED,
    formats: "a folder of edges.csv, labels.csv (with an optional split) and features_coo.csv or features.csv, plain or gzip",
    // The settings of Kipf & Welling; a batch that holds all training nodes.
    preset: &[
        ("data.path", "sbm"),
        ("model.name", "gcn"),
        ("model.hidden", "16"),
        ("model.dropout", "0.5"),
        ("model.propagation", "symmetric"),
        ("model.beta", "1"),
        ("model.teleport", "0.1"),
        ("optimizer.lr", "0.01"),
        ("optimizer.weight_decay", "0.0005"),
        ("training.epochs", "200"),
        ("training.batch_size", "1000000"),
    ],
};

impl Recipe for Graph {
    fn info(&self) -> &'static RecipeInfo {
        &INFO
    }

    fn prepare(&self, config: &Config) -> Result<Box<dyn Prepared>> {
        Ok(Box::new(train::PreparedGraph::new(&config.data)?))
    }

    fn recognises(&self, path: &Path) -> bool {
        files::is_graph(path)
    }

    fn predict(&self, weights: &Path, description: &str, data: &str, device: &Device) -> Result<Predictions> {
        train::predict_with(weights, description, data, device)
    }

    fn conclude(&self, runs: &[FinishedRun]) -> Conclusion {
        conclusion::conclude(runs)
    }
}
