//! Trains a model of a table: encoded rows, the shared loop, predictions and the gaps between groups.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use candor_burn::{LossModule, LossOutput, LossTargets};
use serde::{Deserialize, Serialize};

use super::data::{self, Tabular};
use super::encode::Encoder;
use super::fairness;
use crate::config::{Config, ModelConfig};
use crate::error::Result;
use crate::predictions::Predictions;
use crate::recipe::{Control, DataSummary, Findings, Prepared, RunOutput};
use crate::training::{self, EpochLog, Smoothing, Task, describe, read_description, read_weights};
use crate::vision::model::Mlp;

/// What a weights file says about its model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Description {
    model: ModelConfig,
    target: String,
    classes: Vec<String>,
    encoder: Encoder,
}

impl Description {
    /// Widths of the layers: logistic regression has none in between.
    fn widths(model: &ModelConfig, inputs: usize, classes: usize) -> Vec<usize> {
        let hidden: &[usize] = if model.name == "logistic" { &[] } else { &model.hidden };
        [&[inputs], hidden, &[classes]].concat()
    }
}

struct TabularTask<'a>(&'a Tabular);

impl Task for TabularTask<'_> {
    type Model = Mlp;

    fn n_train(&self) -> usize {
        self.0.dataset.parts.train.len()
    }

    fn init(&self, config: &Config, device: &Device) -> Result<Mlp> {
        let data = &self.0.dataset;
        let widths = Description::widths(&config.model, data.features.width(), data.summary.classes);
        Ok(Mlp::new(&widths, config.seed, device))
    }

    fn loss(
        &self,
        model: &Mlp,
        rows: &[usize],
        _: usize,
        loss: &LossModule,
        device: &Device,
    ) -> Result<LossOutput> {
        let data = &self.0.dataset;
        let rows: Vec<usize> = rows.iter().map(|&row| data.parts.train[row]).collect();
        let labels = data.labels_of(&rows);
        data.features.loss(model, &rows, LossTargets::Labels { labels, ignore_index: None }, loss, device)
    }

    fn predict_validation(&self, model: &Mlp, device: &Device) -> Result<Option<Predictions>> {
        self.0.dataset.predict_validation(model, device)
    }

    fn predict_test(&self, model: &Mlp, device: &Device) -> Result<Predictions> {
        self.0.dataset.predict_test(model, device)
    }

    fn findings(&self, model: &Mlp, _: &[EpochLog], device: &Device) -> Result<Findings> {
        let Some(groups) = &self.0.groups else { return Ok(Findings::default()) };
        let of: Vec<usize> = self.0.dataset.parts.test.iter().map(|&row| groups.of[row]).collect();
        let predictions = self.predict_test(model, device)?;
        fairness::findings(&predictions, self.0.positive, groups, &of, fairness::LEAST_ROWS)
    }

    fn metadata(&self, config: &Config) -> Result<BTreeMap<String, String>> {
        let description = Description {
            model: config.model.clone(),
            target: self.0.target.clone(),
            classes: self.0.dataset.summary.class_names.clone().unwrap_or_default(),
            encoder: self.0.encoder.clone(),
        };
        describe(&config.recipe, &description)
    }
}

impl Prepared for Tabular {
    fn summary(&self) -> &DataSummary {
        &self.dataset.summary
    }

    fn check(&self, config: &Config) -> Result<()> {
        Smoothing::new(config, self.dataset.summary.classes).map(|_| ())
    }

    fn train(&self, config: &Config, control: &Control<'_>) -> Result<RunOutput> {
        let smoothing = Smoothing::new(config, self.dataset.summary.classes)?;
        training::run(&TabularTask(self), config, smoothing, control)
    }
}

/// Predictions of the described model for a table: its test part, or all rows of a table without one.
///
/// # Errors
/// A table without the model's columns or with other classes.
pub fn predict_with(weights: &Path, description: &str, data: &str, device: &Device) -> Result<Predictions> {
    let Description { model, target, classes, encoder } = read_description(weights, description)?;
    let (features, labels) = data::load_for_prediction(data, &encoder, &target, &classes)?;
    let widths = Description::widths(&model, encoder.width(), classes.len());
    let model = read_weights(weights, Mlp::new(&widths, 0, device))?;
    let rows: Vec<usize> = (0..features.n_rows()).collect();
    Predictions::from_logits(features.logits(&model, &rows, device)?, classes.len(), labels)
}
