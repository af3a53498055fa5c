//! Trains an image model: batches from bytes, the shared loop, predictions of the held-out rows.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use candor_burn::{LossModule, LossOutput, LossTargets};
use serde::{Deserialize, Serialize};

use super::augment::{Augmentation, Augmenter};
use super::data::{self, Images, Normalisation, Split};
use super::model::{ImageModel, ImageShape, LeNet, Mlp, ResNet};
use crate::config::{Config, DataConfig, ModelConfig};
use crate::error::{Error, Result};
use crate::predictions::Predictions;
use crate::recipe::{Control, DataSummary, Prepared, RunOutput};
use crate::training::{self, Smoothing, Task, describe, read_description, read_weights};

/// Rows of a batch without gradients.
const PREDICT_ROWS: usize = 500;

/// What a weights file says about its model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Description {
    model: ModelConfig,
    shape: ImageShape,
    normalisation: Normalisation,
    class_names: Option<Vec<String>>,
}

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

    /// The views of a configuration, if it has any; padding is the byte that is nearest to an input of 0.
    fn augmenter(&self, config: &Config) -> Result<Option<Augmenter>> {
        let augmentation = Augmentation::parse("data.augment", &config.data.augment)?;
        if augmentation.is_none() {
            return Ok(None);
        }
        let Normalisation { scale, mean, .. } = &self.split.normalisation;
        let padding = mean.iter().map(|mean| (mean * scale).round().clamp(0.0, 255.0) as u8).collect();
        Ok(Some(Augmenter::new(augmentation, config.seed, self.split.images.shape, padding)?))
    }

    fn shape(&self) -> ImageShape {
        ImageShape { input: self.split.images.shape, classes: self.split.summary.classes }
    }
}

/// The bytes of these images, one after the other.
fn gathered(images: &Images, rows: &[usize]) -> Vec<u8> {
    rows.iter().flat_map(|&row| images.image(row)).copied().collect()
}

/// The bytes of random views of these images.
fn augmented(images: &Images, rows: &[usize], epoch: usize, augmenter: &Augmenter) -> Result<Vec<u8>> {
    let len = images.image_len();
    let mut bytes = vec![0; rows.len() * len];
    for (&row, view) in rows.iter().zip(bytes.chunks_exact_mut(len)) {
        augmenter.apply(epoch as u64, row as u64, images.image(row), view)?;
    }
    Ok(bytes)
}

/// The normalised inputs `[n, channels, height, width]` of images of bytes.
fn inputs(bytes: &[u8], shape: [usize; 3], tables: &[[f32; 256]], device: &Device) -> Tensor<4> {
    let [channels, height, width] = shape;
    let area = height * width;
    let mut values = Vec::with_capacity(bytes.len());
    for image in bytes.chunks_exact(channels * area) {
        for (channel, table) in image.chunks_exact(area).zip(tables) {
            values.extend(channel.iter().map(|byte| table[usize::from(*byte)]));
        }
    }
    let n = bytes.len() / (channels * area);
    Tensor::from_data(TensorData::new(values, [n, channels, height, width]), device)
}

/// Logits of these rows, with their labels.
fn predict<M: ImageModel>(
    model: &M,
    images: &Images,
    rows: &[usize],
    tables: &[[f32; 256]],
    classes: usize,
    device: &Device,
) -> Result<Predictions> {
    let mut logits = Vec::with_capacity(rows.len() * classes);
    for chunk in rows.chunks(PREDICT_ROWS) {
        let values = model
            .logits(inputs(&gathered(images, chunk), images.shape, tables, device))
            .try_into_data()
            .map_err(|error| Error::Internal(format!("{error:?}")))?
            .try_into_vec::<f32>()
            .map_err(|error| Error::Internal(format!("{error:?}")))?;
        logits.extend(values);
    }
    let labels = rows.iter().map(|&row| images.labels[row]).collect();
    Predictions::from_logits(logits, classes, labels)
}

/// The data with one kind of model.
struct VisionTask<'a, M> {
    data: &'a PreparedVision,
    augmenter: Option<Augmenter>,
    model: PhantomData<M>,
}

impl<M: ImageModel> Task for VisionTask<'_, M> {
    type Model = M;

    fn n_train(&self) -> usize {
        self.data.split.train.len()
    }

    fn init(&self, config: &Config, device: &Device) -> Result<M> {
        M::build(&config.model, &self.data.shape(), config.seed, device)
    }

    fn loss(
        &self,
        model: &M,
        rows: &[usize],
        epoch: usize,
        loss: &LossModule,
        device: &Device,
    ) -> Result<LossOutput> {
        let split = &self.data.split;
        let rows: Vec<usize> = rows.iter().map(|&row| split.train[row]).collect();
        let views = match &self.augmenter {
            Some(augmenter) => Some(augmented(&split.images, &rows, epoch, augmenter)?),
            None => None,
        };
        let images = match &views {
            Some(bytes) => inputs(bytes, split.images.shape, &self.data.tables, device),
            None => inputs(&gathered(&split.images, &rows), split.images.shape, &self.data.tables, device),
        };
        let labels = rows.iter().map(|&row| split.images.labels[row]).collect();
        Ok(loss.forward(model.logits(images), LossTargets::Labels { labels, ignore_index: None })?)
    }

    fn predict_validation(&self, model: &M, device: &Device) -> Result<Option<Predictions>> {
        let split = &self.data.split;
        if split.validation.is_empty() {
            return Ok(None);
        }
        let classes = split.summary.classes;
        predict(model, &split.images, &split.validation, &self.data.tables, classes, device).map(Some)
    }

    fn predict_test(&self, model: &M, device: &Device) -> Result<Predictions> {
        let split = &self.data.split;
        let images = split.test_images.as_ref().unwrap_or(&split.images);
        predict(model, images, &split.test, &self.data.tables, split.summary.classes, device)
    }

    fn metadata(&self, config: &Config) -> Result<BTreeMap<String, String>> {
        let description = Description {
            model: config.model.clone(),
            shape: self.data.shape(),
            normalisation: self.data.split.normalisation.clone(),
            class_names: self.data.split.summary.class_names.clone(),
        };
        describe(&config.recipe, &description)
    }
}

impl Prepared for PreparedVision {
    fn summary(&self) -> &DataSummary {
        &self.split.summary
    }

    fn check(&self, config: &Config) -> Result<()> {
        let device = Device::flex();
        Smoothing::new(config, self.split.summary.classes)?;
        self.augmenter(config)?;
        with_model(&config.model.name, Check { config, shape: self.shape(), device })
    }

    fn train(&self, config: &Config, control: &Control<'_>) -> Result<RunOutput> {
        let smoothing = Smoothing::new(config, self.split.summary.classes)?;
        with_model(&config.model.name, Train { data: self, config, smoothing, control })
    }
}

/// Something that is done with whichever model has a name.
trait WithModel {
    type Output;
    fn run<M: ImageModel>(self) -> Result<Self::Output>;
}

fn with_model<A: WithModel>(name: &str, action: A) -> Result<A::Output> {
    match name {
        "mlp" => action.run::<Mlp>(),
        "lenet" => action.run::<LeNet>(),
        "resnet" => action.run::<ResNet>(),
        _ => Err(Error::Core(candor::registry::unknown("model", name, super::MODELS.iter().copied()))),
    }
}

struct Check<'a> {
    config: &'a Config,
    shape: ImageShape,
    device: Device,
}

impl WithModel for Check<'_> {
    type Output = ();

    fn run<M: ImageModel>(self) -> Result<()> {
        M::build(&self.config.model, &self.shape, self.config.seed, &self.device).map(|_| ())
    }
}

struct Train<'a, 'c> {
    data: &'a PreparedVision,
    config: &'a Config,
    smoothing: Smoothing,
    control: &'a Control<'c>,
}

impl WithModel for Train<'_, '_> {
    type Output = RunOutput;

    fn run<M: ImageModel>(self) -> Result<RunOutput> {
        let augmenter = self.data.augmenter(self.config)?;
        let task = VisionTask::<M> { data: self.data, augmenter, model: PhantomData };
        training::run(&task, self.config, self.smoothing, self.control)
    }
}

/// Predictions of the described model for a data set: its test part, or all rows of a set without one.
///
/// # Errors
/// Data of another shape or with other classes.
pub fn predict_with(weights: &Path, description: &str, data: &str) -> Result<Predictions> {
    let description: Description = read_description(weights, description)?;
    let images = data::load_for_prediction(data)?;
    if images.shape != description.shape.input {
        let problem = format!(
            "images have shape {:?}, but the model takes {:?}",
            images.shape, description.shape.input
        );
        return Err(Error::format(data, problem));
    }
    let device = Device::flex();
    with_model(&description.model.name.clone(), Predict { weights, description, images, device })
}

struct Predict<'a> {
    weights: &'a Path,
    description: Description,
    images: Images,
    device: Device,
}

impl WithModel for Predict<'_> {
    type Output = Predictions;

    fn run<M: ImageModel>(self) -> Result<Predictions> {
        let Description { model, shape, normalisation, .. } = &self.description;
        let model = read_weights(self.weights, M::build(model, shape, 0, &self.device)?)?.valid();
        let rows: Vec<usize> = (0..self.images.len()).collect();
        predict(&model, &self.images, &rows, &normalisation.tables(), shape.classes, &self.device)
    }
}
