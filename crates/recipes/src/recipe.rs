//! What a field must offer to be trained and compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;
use candor::calibrators::TemperatureFit;
use candor::metrics::{Evaluation, EvaluationOptions};
use candor::report::Warning;
use candor::report::page::{Figure, Histogram, Table};
use serde::{Deserialize, Serialize};

use crate::comparison::FinishedRun;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::predictions::Predictions;
use crate::training::{EpochLog, description_key, read_metadata};

/// A field: a kind of data with its models.
pub trait Recipe: Send + Sync {
    /// The name, models and embedded data.
    fn info(&self) -> &'static RecipeInfo;

    /// Reads and splits the data; what comes back can train any number of models on it.
    ///
    /// # Errors
    /// Data that cannot be read or split.
    fn prepare(&self, config: &Config) -> Result<Box<dyn Prepared>>;

    /// Whether a path looks like this field's data, so that what this recipe says of it is what matters.
    fn recognises(&self, path: &Path) -> bool {
        let _ = path;
        false
    }

    /// Predictions of a finished run's model for other data: its test part, or all rows of a set without one.
    ///
    /// `description` is what the run wrote into its weights file, see [`describe`](crate::training::describe).
    ///
    /// # Errors
    /// A recipe without such predictions, data that does not fit the model.
    fn predict(&self, weights: &Path, description: &str, data: &str, device: &Device) -> Result<Predictions> {
        let _ = (description, data, device);
        let name = self.info().name;
        Err(Error::format(weights, format!("runs of the recipe {name} cannot be asked about other data")))
    }

    /// What `compare` varies unless told otherwise: keys with their values.
    fn axes(&self) -> &'static [(&'static str, &'static [&'static str])] {
        &[("loss.smoothing", &["0", "0.05", "0.1", "0.2"])]
    }

    /// What this field has to say about finished runs, beyond what every classifier's report says.
    fn conclude(&self, runs: &[FinishedRun]) -> Conclusion {
        let _ = runs;
        Conclusion::default()
    }
}

/// What a field adds to a report: its own words, tables and pictures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conclusion {
    /// Sentences after the verdict.
    pub verdict: Vec<String>,
    /// Further warnings.
    pub warnings: Vec<Warning>,
    /// Further tables.
    pub tables: Vec<Table>,
    /// Further pictures.
    pub figures: Vec<Figure>,
}

/// What a recipe is called and offers; shown by `candor list`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RecipeInfo {
    /// The name in commands.
    pub name: &'static str,
    /// One line: what it trains.
    pub summary: &'static str,
    /// Its models.
    pub models: &'static [&'static str],
    /// Its embedded data sets.
    pub data: &'static [&'static str],
    /// What else `--data` takes.
    pub formats: &'static str,
    /// Its own defaults, by configuration key, over those of [`Config`].
    pub preset: &'static [(&'static str, &'static str)],
}

/// Data, read and split.
pub trait Prepared: Send + Sync {
    /// What the data is and how it was split.
    fn summary(&self) -> &DataSummary;

    /// Checks that a configuration fits the data, before any work.
    ///
    /// # Errors
    /// Settings that do not fit the data.
    fn check(&self, config: &Config) -> Result<()>;

    /// Trains one model.
    ///
    /// # Errors
    /// Settings that do not fit the data, files that cannot be written, a training that diverges.
    fn train(&self, config: &Config, control: &Control<'_>) -> Result<RunOutput>;
}

/// A data set and its split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSummary {
    /// The set's name or path.
    pub name: String,
    /// Number of classes.
    pub classes: usize,
    /// The classes' names, if known.
    pub class_names: Option<Vec<String>>,
    /// Shape of an input, channels first.
    pub input: Vec<usize>,
    /// Training rows.
    pub train: usize,
    /// Validation rows.
    pub validation: usize,
    /// Test rows.
    pub test: usize,
    /// Rows of each class in the training part.
    pub train_classes: Vec<usize>,
    /// What was left out or is out of the ordinary, counted: a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// How a run is watched, stopped and kept.
pub struct Control<'a> {
    /// The run's folder, if it has one: logs, checkpoints and results go there.
    pub folder: Option<PathBuf>,
    /// Whether to go on from the folder's checkpoint.
    pub resume: bool,
    /// Set from outside to stop after the current step.
    pub stop: &'a AtomicBool,
    /// Told of every step and epoch.
    pub observer: &'a dyn Observer,
}

/// Watches a run.
pub trait Observer: Sync {
    /// A step has been done; `done` of `total` rows of the whole training.
    fn on_step(&self, done: u64, total: u64) {
        let _ = (done, total);
    }

    /// An epoch has ended.
    fn on_epoch(&self, log: &EpochLog) {
        let _ = log;
    }
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}

/// What a finished training gives.
#[derive(Debug, Clone)]
pub struct RunOutput {
    /// Predictions for the validation rows, if there are any.
    pub validation: Option<Predictions>,
    /// Predictions for the test rows.
    pub test: Predictions,
    /// The epochs.
    pub epochs: Vec<EpochLog>,
    /// Wall time of the training, in seconds.
    pub seconds: f64,
    /// What the field measured besides.
    pub findings: Findings,
}

/// What a field measures of a training besides the figures of every classifier.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// Figures by name; they join the metrics of the run, so that comparisons summarise them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// Points by name, for pictures: a course over rounds, a projection of features.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub points: BTreeMap<String, Vec<(f64, f64)>>,
}

/// The figures of a run, before and after temperature scaling fitted on its validation rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// On the test rows.
    pub test: Evaluation,
    /// On the validation rows.
    pub validation: Option<Evaluation>,
    /// The temperature.
    pub temperature: Option<TemperatureFit>,
    /// On the test rows, with the temperature.
    pub test_after_temperature: Option<Evaluation>,
    /// On the validation rows, with the temperature.
    pub validation_after_temperature: Option<Evaluation>,
    /// Confidences of the test rows.
    pub confidence: Option<Histogram>,
    /// The same with the temperature.
    pub confidence_after_temperature: Option<Histogram>,
    /// Margins between the two largest logits of the test rows.
    pub margins: Option<Histogram>,
    /// What the field measured besides.
    #[serde(default)]
    pub findings: Findings,
}

impl RunOutput {
    /// The figures of this run.
    ///
    /// # Errors
    /// Predictions that cannot be evaluated.
    pub fn figures(&self, options: EvaluationOptions) -> Result<Figures> {
        let test = self.test.evaluate(options, None)?;
        let (confidence, margins) = self.test.histograms(None)?;
        let Some(validation) = &self.validation else {
            return Ok(Figures {
                test,
                validation: None,
                temperature: None,
                test_after_temperature: None,
                validation_after_temperature: None,
                confidence: Some(confidence),
                confidence_after_temperature: None,
                margins: Some(margins),
                findings: self.findings.clone(),
            });
        };
        let fit = validation.fit_temperature(None)?;
        let scaled = |predictions: &Predictions| -> Result<Predictions> {
            let mut scaled = predictions.clone();
            scaled.scores.apply_temperature(&fit.map)?;
            Ok(scaled)
        };
        let scaled_test = scaled(&self.test)?;
        Ok(Figures {
            test,
            validation: Some(validation.evaluate(options, None)?),
            temperature: Some(fit),
            test_after_temperature: Some(scaled_test.evaluate(options, None)?),
            validation_after_temperature: Some(scaled(validation)?.evaluate(options, None)?),
            confidence: Some(confidence),
            confidence_after_temperature: Some(scaled_test.histograms(None)?.0),
            margins: Some(margins),
            findings: self.findings.clone(),
        })
    }
}

/// Predictions of a finished run for other data; the run's weights file says which recipe it belongs to.
///
/// `device` is where the net runs now, wherever it was trained: see [`Config::device`](crate::Config).
///
/// # Errors
/// A folder without a finished run, a device that is not there, and those of [`Recipe::predict`].
pub fn predict(run: &Path, data: &str, device: &str) -> Result<Predictions> {
    let device = candor_burn::device(device)?;
    let weights = run.join("model.safetensors");
    let metadata = read_metadata(&weights)?;
    let described =
        ALL.iter().find_map(|recipe| Some((recipe, metadata.get(&description_key(recipe.info().name))?)));
    match described {
        Some((recipe, description)) => recipe.predict(&weights, description, data, &device),
        None => Err(Error::format(
            &weights,
            "does not say which model it belongs to; it was not written by a run",
        )),
    }
}

/// Every recipe, in the order of `candor list`.
pub const ALL: &[&dyn Recipe] = &[
    &crate::vision::Vision,
    &crate::tabular::TabularRecipe,
    &crate::graph::Graph,
    &crate::semi_supervised::SemiSupervised,
    &crate::stability::Stability,
];

/// The recipe of this name.
///
/// # Errors
/// [`candor::Error::UnknownName`] with the nearest one.
pub fn by_name(name: &str) -> Result<&'static dyn Recipe> {
    ALL.iter().copied().find(|recipe| recipe.info().name == name).ok_or_else(|| {
        Error::Core(candor::registry::unknown("recipe", name, ALL.iter().map(|recipe| recipe.info().name)))
    })
}
