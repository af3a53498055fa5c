//! The configuration of a run: complete, so that its file reproduces the run.
//!
//! Layers, later over earlier: defaults, a file, flags, `--set`. Every key stands once in [`keys::ALL`],
//! with its help; the program makes its flags from that table.

mod amounts;
pub mod keys;
mod layers;
mod validate;

pub use amounts::{HeldOut, TrainSize};
pub use layers::Layers;

use std::collections::BTreeMap;

use burn::tensor::Device;
use candor::Convention;
use candor::graph::Normalisation;
use candor::losses::Loss;
use candor::parameters::ParameterValue;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Everything that determines a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The recipe's name.
    pub recipe: String,
    /// Seed of initial weights, shuffles and everything else that is random in the training.
    pub seed: u64,
    /// Where nets run: `cpu`, `wgpu` or `cuda`, the last two with `:n` for the n-th one, from 0.
    pub device: String,
    /// Which data, and how it is split.
    pub data: DataConfig,
    /// Which model.
    pub model: ModelConfig,
    /// Which loss and smoothing.
    pub loss: LossConfig,
    /// Which teacher, for distillation.
    pub distillation: DistillationConfig,
    /// Which target rule.
    pub target: TargetConfig,
    /// How the smoothing strength changes.
    pub schedule: ScheduleConfig,
    /// Which optimiser.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes.
    pub lr_schedule: LrScheduleConfig,
    /// How long and in what batches.
    pub training: TrainingConfig,
    /// How unlabelled rows are used (`semi_supervised`).
    pub semi: SemiConfig,
    /// What a flipped label is tried on (`stability`).
    pub stability: StabilityConfig,
}

/// Which data, and how it is split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Name of an embedded set, or a path.
    pub path: String,
    /// Rows held out of the training part: `COUNT`, `FRACTION`, `last:COUNT` or `none`; `auto` is the set's own.
    pub validation: String,
    /// Test rows of a set that has no test part, like `validation`.
    pub test: String,
    /// Training rows used: `all`, `COUNT`, `FRACTION` or `first:COUNT`, after the validation rows are cut.
    pub train_size: String,
    /// Seed of the split; independent of the run's seed.
    pub split_seed: u64,
    /// Random views of the training images: `none`, or `flip`, `crop:N`, `cutout:N` with commas.
    pub augment: String,
    /// Pairs of training images that are mixed with their labels: `none`, `mixup:A` or `cutmix:A`.
    pub mix: String,
    /// Wrong labels on purpose: `none`, `symmetric:P`, `pairwise:P` or `matrix:FILE`.
    pub noise: String,
    /// The rows whose labels receive the noise: `train`, `validation` (and training rows) or `all`.
    pub noise_parts: String,
    /// File with labels for the training rows: class indices, votes or probabilities; empty for the set's own.
    pub label_file: String,
    /// Column of a table that is predicted.
    pub target_column: String,
    /// The class whose probability is the score of a row, for fairness; the last in order if empty.
    pub positive: String,
    /// Column of a table with the groups that are compared; none if empty.
    pub group_column: String,
    /// Whether the group column is also a feature.
    pub group_feature: bool,
    /// Columns of a table that are features, separated by commas; all others than target and group if empty.
    pub columns: String,
    /// Columns of a table that are left out, separated by commas.
    pub drop: String,
    /// Columns of a table whose numbers are names, separated by commas.
    pub categorical: String,
}

/// Which teacher a model learns from beside the labels, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistillationConfig {
    /// Folder of the teacher's finished run; empty for none.
    pub teacher: String,
    /// The temperature T of teacher and student.
    pub temperature: f64,
    /// The weight α of the teacher; the labels have the rest.
    pub weight: f64,
}

impl Default for DistillationConfig {
    fn default() -> Self {
        Self { teacher: String::new(), temperature: 4.0, weight: 0.9 }
    }
}

/// Which model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// The model's name.
    pub name: String,
    /// Widths of the hidden layers of `mlp`; the one of `lenet`, and of the tokens of `vit`.
    pub hidden: Vec<usize>,
    /// Layers of `resnet`, 6n+2, 20 if unset; blocks of `vit`, 4 if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    /// Heads of attention of `vit`, 4 if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<usize>,
    /// Side of the patches of `vit` in pixels, 4 if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<usize>,
    /// Share of inputs and hidden units that a graph net drops in training, in [0, 1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// How a graph net weighs neighbours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagation: Option<Normalisation>,
    /// Strength β of each step of propagation over a graph, in [0, 1]; 0 leaves nodes alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    /// Steps of propagation: in each layer of `gcn`, in all of `sgc` and `appnp`; the model's own if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub k: Option<usize>,
    /// Share of a node's own prediction in every step of `appnp`, in (0, 1].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teleport: Option<f64>,
}

/// Which loss and smoothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LossConfig {
    /// The loss's registered name.
    pub name: String,
    /// Smoothing strength α.
    pub smoothing: f64,
    /// What the strength means.
    pub convention: Convention,
    /// The loss's own parameters.
    #[serde(flatten)]
    pub parameters: BTreeMap<String, ParameterValue>,
}

/// Which target rule, with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetConfig {
    /// The rule's registered name; `auto` is the rule of the convention.
    pub name: String,
    /// The rule's own parameters but for the strength.
    #[serde(flatten)]
    pub parameters: BTreeMap<String, ParameterValue>,
}

/// How the smoothing strength changes, with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScheduleConfig {
    /// The schedule's registered name; `constant` is the strength of the loss.
    pub name: String,
    /// The schedule's own parameters.
    #[serde(flatten)]
    pub parameters: BTreeMap<String, ParameterValue>,
}

impl Default for TargetConfig {
    fn default() -> Self {
        Self { name: "auto".to_owned(), parameters: BTreeMap::new() }
    }
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self { name: "constant".to_owned(), parameters: BTreeMap::new() }
    }
}

/// Which optimiser; fields that it does not have must stay unset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// `sgd`, `adam`, `adamw`, `adagrad` or `rmsprop`.
    pub name: String,
    /// Learning rate.
    pub lr: f64,
    /// Weight decay; PyTorch's default of the optimiser if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Momentum of sgd and rmsprop, 0 if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
    /// Nesterov momentum of sgd.
    pub nesterov: bool,
    /// Decay of the first moment of adam and adamw, 0.9 if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    /// Decay of the second moment of adam and adamw, 0.999 if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    /// Term in the denominator; PyTorch's default of the optimiser if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// Largest norm of each parameter's gradient; none if unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
}

/// How the learning rate changes from step to step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LrScheduleConfig {
    /// `constant`, `linear`, `cosine`, `exponential` or `step`.
    pub name: String,
    /// Rate at the end of linear and cosine, as a share of the initial one.
    pub final_factor: f64,
    /// Factor of each epoch (exponential) or of each step down (step).
    pub gamma: f64,
    /// Epochs between steps down.
    pub step_epochs: usize,
}

/// How long and in what batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Passes over the training rows.
    pub epochs: usize,
    /// Rows of a batch; the last one may be smaller.
    pub batch_size: usize,
    /// Epochs without a better validation NLL before stopping; 0 never stops early. The best weights are kept.
    pub patience: usize,
    /// Steps between checkpoints within an epoch; 0 for the ends of epochs only.
    pub checkpoint_steps: usize,
    /// Whether weights, gradients and features are measured in every epoch.
    pub telemetry: bool,
}

/// How unlabelled rows are used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SemiConfig {
    /// Training rows that keep their labels, drawn with the classes in proportion.
    pub labels: usize,
    /// What becomes of a prediction: `hard`, `smoothed`, `adaptive`, `sharpened` or `threshold`.
    pub pseudo: String,
    /// Rounds of pseudo-labels after the labelled rows alone.
    pub rounds: usize,
    /// Weight of the pseudo-labelled rows' mean loss beside that of the labelled rows.
    pub pseudo_weight: f64,
    /// Strength of `smoothed`, and greatest strength of `adaptive`.
    pub pseudo_smoothing: f64,
    /// How fast the strength of `adaptive` falls with confidence.
    pub pseudo_gamma: f64,
    /// Temperature of `sharpened`.
    pub pseudo_temperature: f64,
    /// Least confidence of `threshold`.
    pub threshold: f64,
}

/// What a flipped label is tried on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StabilityConfig {
    /// Labels that are flipped, one at a time.
    pub flips: usize,
    /// Penalty λ of the ridge learners and of softmax regression.
    pub lambda: f64,
    /// Neighbours of `knn`.
    pub neighbours: usize,
    /// Standard deviation of the kernels, in units of the inputs.
    pub bandwidth: f64,
}

impl Default for SemiConfig {
    fn default() -> Self {
        Self {
            labels: 40,
            pseudo: "hard".to_owned(),
            rounds: 5,
            pseudo_weight: 1.0,
            pseudo_smoothing: 0.1,
            pseudo_gamma: 1.0,
            pseudo_temperature: 0.5,
            threshold: 0.95,
        }
    }
}

impl Default for StabilityConfig {
    fn default() -> Self {
        Self { flips: 20, lambda: 0.01, neighbours: 5, bandwidth: 1.0 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            recipe: "vision".to_owned(),
            seed: 0,
            device: "cpu".to_owned(),
            data: DataConfig::default(),
            model: ModelConfig::default(),
            loss: LossConfig::default(),
            distillation: DistillationConfig::default(),
            target: TargetConfig::default(),
            schedule: ScheduleConfig::default(),
            optimizer: OptimizerConfig::default(),
            lr_schedule: LrScheduleConfig::default(),
            training: TrainingConfig::default(),
            semi: SemiConfig::default(),
            stability: StabilityConfig::default(),
        }
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            path: "digits".to_owned(),
            validation: "auto".to_owned(),
            test: "auto".to_owned(),
            train_size: "all".to_owned(),
            split_seed: 0,
            augment: "none".to_owned(),
            mix: "none".to_owned(),
            noise: "none".to_owned(),
            noise_parts: "train".to_owned(),
            label_file: String::new(),
            target_column: String::new(),
            positive: String::new(),
            group_column: String::new(),
            group_feature: false,
            columns: String::new(),
            drop: String::new(),
            categorical: String::new(),
        }
    }
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            name: "mlp".to_owned(),
            hidden: vec![128],
            depth: None,
            heads: None,
            patch: None,
            dropout: None,
            propagation: None,
            beta: None,
            k: None,
            teleport: None,
        }
    }
}

impl Default for LossConfig {
    fn default() -> Self {
        Self {
            name: "cross_entropy".to_owned(),
            smoothing: 0.0,
            convention: Convention::Uniform,
            parameters: BTreeMap::new(),
        }
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            name: "adam".to_owned(),
            lr: 1e-3,
            weight_decay: None,
            momentum: None,
            nesterov: false,
            beta1: None,
            beta2: None,
            epsilon: None,
            clip_norm: None,
        }
    }
}

impl Default for LrScheduleConfig {
    fn default() -> Self {
        Self { name: "constant".to_owned(), final_factor: 0.0, gamma: 0.1, step_epochs: 30 }
    }
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self { epochs: 60, batch_size: 64, patience: 0, checkpoint_steps: 0, telemetry: false }
    }
}

/// The loss that a teacher is for.
const DISTILLATION: &str = "distillation";
impl Config {
    /// Where nets run.
    ///
    /// # Errors
    /// [`Error::Config`] for another name, and for a device that this build or this machine does not have.
    pub fn device(&self) -> Result<Device> {
        self.device_named(candor_burn::device)
    }

    /// What `read` says of the device's name, with the key in its errors.
    fn device_named<T>(&self, read: fn(&str) -> candor_burn::Result<T>) -> Result<T> {
        read(&self.device).map_err(|error| Error::config("device", &self.device, error.to_string()))
    }

    /// The loss; that of distillation takes its parameters from the teacher's section.
    ///
    /// # Errors
    /// An unknown loss, parameters out of range, a teacher without the loss of distillation or the other way round.
    pub fn make_loss(&self) -> Result<Box<dyn Loss>> {
        let teacher = &self.distillation.teacher;
        if self.loss.name != DISTILLATION {
            if !teacher.is_empty() {
                let problem = format!("loss {} has no teacher; leave one of the two out", self.loss.name);
                return Err(Error::config("distillation.teacher", teacher, problem));
            }
            return Ok(candor::losses::by_name(&self.loss.name, &self.loss.parameters)?);
        }
        if teacher.is_empty() {
            let problem = "loss distillation needs the folder of a teacher's finished run (--teacher RUN)";
            return Err(Error::config("distillation.teacher", "\"\"", problem));
        }
        if let Some((name, value)) = self.loss.parameters.iter().next() {
            let problem = format!("set distillation.{name} instead");
            return Err(Error::config(&format!("loss.{name}"), format!("{value:?}"), problem));
        }
        let DistillationConfig { temperature, weight, .. } = self.distillation;
        let parameters = [("temperature", temperature), ("weight", weight)]
            .map(|(name, value)| (name.to_owned(), ParameterValue::Number(value)))
            .into();
        Ok(candor::losses::by_name(DISTILLATION, &parameters)?)
    }

    /// Every key with its value as text; keys that are unset are left out.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let text = |value: &toml::Value| match value {
            toml::Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        // A configuration is plain tables of plain values, which can always be written.
        let table = toml::Table::try_from(self).unwrap_or_default();
        let mut pairs = Vec::new();
        for (section, value) in &table {
            match value {
                toml::Value::Table(inner) => {
                    pairs.extend(inner.iter().map(|(key, value)| (format!("{section}.{key}"), text(value))));
                }
                value => pairs.push((section.clone(), text(value))),
            }
        }
        pairs
    }

    /// The configuration as a TOML document.
    ///
    /// # Errors
    /// [`Error::Internal`] if it cannot be written, which no valid configuration causes.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|error| Error::Internal(error.to_string()))
    }
}
