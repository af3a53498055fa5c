//! Trains an image model: batches from bytes, the shared loop, predictions of the held-out rows.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use candor_burn::{LossModule, LossOutput, LossTargets};

use super::data::{self, Images, Split};
use super::model::Mlp;
use crate::config::{Config, DataConfig};
use crate::error::{Error, Result};
use crate::predictions::Predictions;
use crate::recipe::{Control, DataSummary, Prepared, RunOutput};
use crate::training::{self, Task};

/// Rows of a batch without gradients.
const PREDICT_ROWS: usize = 1000;

/// Images, split and ready for any number of trainings.
#[derive(Debug)]
pub struct PreparedVision {
    split: Split,
    tables: Vec<[f32; 256]>,
}

impl PreparedVision {
    /// Reads and splits the data.
    ///
    /// # Errors
    /// Those of [`data::load`].
    pub fn new(config: &DataConfig) -> Result<Self> {
        let split = data::load(config)?;
        let tables = split.normalisation.tables();
        Ok(Self { split, tables })
    }

    /// The normalised inputs of these rows, `[n, values]`.
    fn inputs(&self, images: &Images, rows: &[usize], device: &Device) -> Tensor<2> {
        let len = images.image_len();
        let area = len / images.shape[0];
        let mut values = Vec::with_capacity(rows.len() * len);
        for &row in rows {
            for (channel, table) in images.image(row).chunks_exact(area).zip(&self.tables) {
                values.extend(channel.iter().map(|byte| table[usize::from(*byte)]));
            }
        }
        Tensor::from_data(TensorData::new(values, [rows.len(), len]), device)
    }

    fn predict(&self, model: &Mlp, images: &Images, rows: &[usize], device: &Device) -> Result<Predictions> {
        let mut logits = Vec::with_capacity(rows.len() * self.split.summary.classes);
        for chunk in rows.chunks(PREDICT_ROWS) {
            let output = model.forward(self.inputs(images, chunk, device));
            let values = output
                .try_into_data()
                .map_err(|error| Error::Internal(format!("{error:?}")))?
                .try_into_vec::<f32>()
                .map_err(|error| Error::Internal(format!("{error:?}")))?;
            logits.extend(values);
        }
        let labels = rows.iter().map(|&row| images.labels[row]).collect();
        Predictions::from_logits(logits, self.split.summary.classes, labels)
    }
}

impl Task for PreparedVision {
    type Model = Mlp;

    fn n_train(&self) -> usize {
        self.split.train.len()
    }

    fn init(&self, config: &Config, device: &Device) -> Result<Mlp> {
        let mut widths = vec![self.split.images.image_len()];
        widths.extend(&config.model.hidden);
        widths.push(self.split.summary.classes);
        Ok(Mlp::new(&widths, config.seed, device))
    }

    fn loss(&self, model: &Mlp, rows: &[usize], loss: &LossModule, device: &Device) -> Result<LossOutput> {
        let rows: Vec<usize> = rows.iter().map(|&row| self.split.train[row]).collect();
        let logits = model.forward(self.inputs(&self.split.images, &rows, device));
        let labels = rows.iter().map(|&row| self.split.images.labels[row]).collect();
        Ok(loss.forward(logits, LossTargets::Labels { labels, ignore_index: None })?)
    }

    fn predict_validation(&self, model: &Mlp, device: &Device) -> Result<Option<Predictions>> {
        if self.split.validation.is_empty() {
            return Ok(None);
        }
        self.predict(model, &self.split.images, &self.split.validation, device).map(Some)
    }

    fn predict_test(&self, model: &Mlp, device: &Device) -> Result<Predictions> {
        let images = self.split.test_images.as_ref().unwrap_or(&self.split.images);
        self.predict(model, images, &self.split.test, device)
    }
}

impl Prepared for PreparedVision {
    fn summary(&self) -> &DataSummary {
        &self.split.summary
    }

    fn train(&self, config: &Config, control: &Control<'_>) -> Result<RunOutput> {
        let rule = config.loss.convention.rule(config.loss.smoothing, self.split.summary.classes)?;
        let loss = candor::losses::by_name(&config.loss.name, &config.loss.parameters)?;
        let loss = LossModule::from_shared(Arc::from(loss)).with_shared_rule(Some(rule.into()));
        training::run(self, config, loss, control)
    }
}
