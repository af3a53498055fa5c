//! Trains a model of nodes: the whole graph goes through it, some of the nodes count.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use candor::graph::{dirichlet_energy, propagation};
use candor_burn::{LossModule, LossOutput, LossTargets};
use serde::{Deserialize, Serialize};

use super::data::{self, Nodes, Split};
use super::model::{Appnp, Dropout, Gcn, Inputs, NodeModel, NodeShape, Sgc};
use super::targets::{GraphRules, UNLABELLED};
use crate::config::{Config, DataConfig, ModelConfig};
use crate::error::{Error, Result};
use crate::predictions::Predictions;
use crate::recipe::{Control, DataSummary, Findings, Prepared, RunOutput};
use crate::training::{self, EpochLog, Smoothing, Task, describe, read_description, read_weights};

/// The name of the Dirichlet energy among the figures of a run.
pub(super) const ENERGY: &str = "dirichlet_energy";

/// What a weights file says about its model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Description {
    model: ModelConfig,
    shape: NodeShape,
    /// Whether the features are the nodes themselves.
    own_features: bool,
    class_names: Option<Vec<String>>,
}

/// A graph, split and ready for any number of trainings.
#[derive(Debug)]
pub struct PreparedGraph {
    split: Split,
    /// One label a node; none but the training nodes have theirs.
    train_labels: Vec<i64>,
    rules: Arc<GraphRules>,
}

impl PreparedGraph {
    /// Reads and splits the data.
    ///
    /// # Errors
    /// Those of [`data::load`].
    pub fn new(config: &DataConfig) -> Result<Self> {
        let split = data::load(config)?;
        let mut train_labels = vec![UNLABELLED; split.nodes.labels.len()];
        split.train.iter().for_each(|&node| train_labels[node] = split.nodes.labels[node]);
        let adjacency = Arc::clone(&split.nodes.adjacency);
        let rules = GraphRules::new(adjacency, train_labels.clone(), &split.summary.train_classes);
        Ok(Self { split, train_labels, rules: Arc::new(rules) })
    }

    fn smoothing(&self, config: &Config) -> Result<Smoothing> {
        Smoothing::with_data(config, self.split.summary.classes, Arc::clone(&self.rules) as _)
    }

    fn shape(&self) -> NodeShape {
        NodeShape { features: self.split.nodes.features.n_columns(), classes: self.split.summary.classes }
    }
}

/// What a model of this configuration reads of a graph.
fn inputs<M: NodeModel>(config: &ModelConfig, nodes: &Nodes) -> Result<Inputs> {
    let normalisation = config.propagation.unwrap_or_default();
    let step = propagation(nodes.adjacency.view(), normalisation, config.beta.unwrap_or(1.0))?;
    Ok(Inputs {
        features: Arc::clone(&nodes.features),
        step: Arc::new(step),
        k: config.k.unwrap_or(M::STEPS),
        teleport: config.teleport.unwrap_or(0.1),
    })
}

/// The logits of all nodes.
fn logits<M: NodeModel>(model: &M, inputs: &Inputs) -> Result<Vec<f32>> {
    model
        .logits(inputs, &mut Dropout::none())?
        .try_into_data()
        .map_err(|error| Error::Internal(format!("{error:?}")))?
        .try_into_vec::<f32>()
        .map_err(|error| Error::Internal(format!("{error:?}")))
}

/// The data with one kind of model.
struct GraphTask<'a, M> {
    data: &'a PreparedGraph,
    inputs: Inputs,
    dropout: f64,
    seed: u64,
    model: PhantomData<M>,
}

impl<'a, M: NodeModel> GraphTask<'a, M> {
    fn new(data: &'a PreparedGraph, config: &Config) -> Result<Self> {
        Ok(Self {
            data,
            inputs: inputs::<M>(&config.model, &data.split.nodes)?,
            dropout: config.model.dropout.unwrap_or(0.0),
            seed: config.seed,
            model: PhantomData,
        })
    }

    fn predict(&self, model: &M, nodes: &[usize]) -> Result<Predictions> {
        let (classes, all) = (self.data.split.summary.classes, logits(model, &self.inputs)?);
        let rows =
            nodes.iter().flat_map(|&node| &all[node * classes..(node + 1) * classes]).copied().collect();
        let labels = nodes.iter().map(|&node| self.data.split.nodes.labels[node]).collect();
        Predictions::from_logits(rows, classes, labels)
    }
}

impl<M: NodeModel> Task for GraphTask<'_, M> {
    type Model = M;

    fn n_train(&self) -> usize {
        self.data.split.train.len()
    }

    fn init(&self, config: &Config, device: &Device) -> Result<M> {
        M::build(&config.model, &self.data.shape(), config.seed, device)
    }

    fn loss(&self, model: &M, rows: &[usize], _: usize, loss: &LossModule, _: &Device) -> Result<LossOutput> {
        let mut dropout = Dropout::new(self.dropout, self.seed, loss.step().step);
        let logits = model.logits(&self.inputs, &mut dropout)?;
        let labels = if rows.len() == self.n_train() {
            self.data.train_labels.clone()
        } else {
            let mut labels = vec![UNLABELLED; self.data.train_labels.len()];
            for node in rows.iter().map(|&row| self.data.split.train[row]) {
                labels[node] = self.data.train_labels[node];
            }
            labels
        };
        Ok(loss.forward(logits, LossTargets::Labels { labels, ignore_index: Some(UNLABELLED) })?)
    }

    fn predict_validation(&self, model: &M, _: &Device) -> Result<Option<Predictions>> {
        let nodes = &self.data.split.validation;
        if nodes.is_empty() { Ok(None) } else { self.predict(model, nodes).map(Some) }
    }

    fn predict_test(&self, model: &M, _: &Device) -> Result<Predictions> {
        self.predict(model, &self.data.split.test)
    }

    fn findings(&self, model: &M, _: &[EpochLog], _: &Device) -> Result<Findings> {
        let classes = self.data.split.summary.classes;
        let mut z = logits(model, &self.inputs)?;
        // Logits that differ by a constant are the same prediction, so each node's are centred.
        for row in z.chunks_exact_mut(classes) {
            let mean = row.iter().map(|z| f64::from(*z)).sum::<f64>() / classes as f64;
            row.iter_mut().for_each(|z| *z = (f64::from(*z) - mean) as f32);
        }
        let energy = dirichlet_energy(self.data.split.nodes.adjacency.view(), &z, classes)?;
        Ok(Findings { metrics: [(ENERGY.to_owned(), energy)].into(), ..Findings::default() })
    }

    fn metadata(&self, config: &Config) -> Result<BTreeMap<String, String>> {
        let description = Description {
            model: config.model.clone(),
            shape: self.data.shape(),
            own_features: self.data.split.nodes.own_features,
            class_names: self.data.split.summary.class_names.clone(),
        };
        describe(&config.recipe, &description)
    }
}

impl Prepared for PreparedGraph {
    fn summary(&self) -> &DataSummary {
        &self.split.summary
    }

    fn check(&self, config: &Config) -> Result<()> {
        self.smoothing(config)?;
        with_model(&config.model.name, Check { config, data: self })
    }

    fn train(&self, config: &Config, control: &Control<'_>) -> Result<RunOutput> {
        let smoothing = self.smoothing(config)?;
        with_model(&config.model.name, Train { data: self, config, smoothing, control })
    }
}

/// Something that is done with whichever model has a name.
trait WithModel {
    type Output;
    fn run<M: NodeModel>(self) -> Result<Self::Output>;
}

fn with_model<A: WithModel>(name: &str, action: A) -> Result<A::Output> {
    match name {
        "gcn" => action.run::<Gcn>(),
        "sgc" => action.run::<Sgc>(),
        "appnp" => action.run::<Appnp>(),
        _ => Err(Error::Core(candor::registry::unknown("model", name, super::MODELS.iter().copied()))),
    }
}

/// Steps of propagation and their strength, as a configuration asks for them.
pub(super) fn propagation_of(config: &ModelConfig) -> (f64, usize) {
    struct Steps;
    impl WithModel for Steps {
        type Output = usize;

        fn run<M: NodeModel>(self) -> Result<usize> {
            Ok(M::STEPS)
        }
    }
    let steps = config.k.unwrap_or_else(|| with_model(&config.name, Steps).unwrap_or(0));
    (config.beta.unwrap_or(1.0), steps)
}

struct Check<'a> {
    config: &'a Config,
    data: &'a PreparedGraph,
}

impl WithModel for Check<'_> {
    type Output = ();

    fn run<M: NodeModel>(self) -> Result<()> {
        let task = GraphTask::<M>::new(self.data, self.config)?;
        task.init(self.config, &Device::flex()).map(|_| ())
    }
}

struct Train<'a, 'c> {
    data: &'a PreparedGraph,
    config: &'a Config,
    smoothing: Smoothing,
    control: &'a Control<'c>,
}

impl WithModel for Train<'_, '_> {
    type Output = RunOutput;

    fn run<M: NodeModel>(self) -> Result<RunOutput> {
        let task = GraphTask::<M>::new(self.data, self.config)?;
        training::run(&task, self.config, self.smoothing, self.control)
    }
}

/// Predictions of the described model for all nodes of a graph, in their order. The labels are those of the test
/// part, or all of a set without a split; other nodes have the label -1.
///
/// # Errors
/// A graph with other features or more classes.
pub fn predict_with(weights: &Path, description: &str, data: &str, device: &Device) -> Result<Predictions> {
    let description: Description = read_description(weights, description)?;
    let mut nodes = data::load_for_prediction(data)?;
    let NodeShape { features, classes } = description.shape;
    let found = nodes.features.n_columns();
    let own = nodes.own_features;
    // Features at the end that no node has do not show in a file.
    let fits = if own { found == features } else { found <= features };
    if own != description.own_features || !fits {
        let wanted = kind(description.own_features);
        let problem = format!("has {found} {}, but the model takes {features} {wanted}", kind(own));
        return Err(Error::format(data, problem));
    }
    if let Some(label) = nodes.labels.iter().find(|label| **label >= classes as i64) {
        let problem = format!("has the label {label}, but the model has the classes 0..={}", classes - 1);
        return Err(Error::format(data, problem));
    }
    if found < features {
        nodes.features = Arc::new(nodes.features.widened(features)?);
    }
    with_model(&description.model.name.clone(), Predict { weights, description, nodes, device })
}

fn kind(own_features: bool) -> &'static str {
    if own_features { "nodes that are their own features" } else { "features" }
}

struct Predict<'a> {
    weights: &'a Path,
    description: Description,
    nodes: Nodes,
    device: &'a Device,
}

impl WithModel for Predict<'_> {
    type Output = Predictions;

    fn run<M: NodeModel>(self) -> Result<Predictions> {
        let Description { model: config, shape, .. } = &self.description;
        let model = read_weights(self.weights, M::build(config, shape, 0, self.device)?)?.valid();
        let logits = logits(&model, &inputs::<M>(config, &self.nodes)?)?;
        Predictions::from_logits(logits, shape.classes, self.nodes.labels)
    }
}
