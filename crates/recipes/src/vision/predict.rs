//! Logits of images: batches of bytes become inputs, a model's outputs become predictions.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::augment::Augmenter;
use super::data;
use super::images::{Images, Normalisation};
use super::model::{ImageModel, ImageShape, LeNet, Mlp, ResNet, Vit};
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::predictions::Predictions;
use crate::training::{description_key, read_description, read_metadata, read_weights};

/// Rows of a batch without gradients.
pub(super) const PREDICT_ROWS: usize = 500;

/// What a weights file says about its model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Description {
    pub(super) model: ModelConfig,
    pub(super) shape: ImageShape,
    pub(super) normalisation: Normalisation,
    pub(super) class_names: Option<Vec<String>>,
}

impl Description {
    /// What the weights of a finished run say about themselves.
    pub(super) fn read(weights: &Path) -> Result<Self> {
        let metadata = read_metadata(weights)?;
        let text = metadata.get(&description_key(super::INFO.name)).ok_or_else(|| {
            Error::format(
                weights,
                "does not say which model of images it belongs to; it was not written by a run",
            )
        })?;
        read_description(weights, text)
    }

    /// The run's model with its weights.
    pub(super) fn load<M: ImageModel>(&self, weights: &Path, device: &Device) -> Result<M> {
        Ok(read_weights(weights, M::build(&self.model, &self.shape, 0, device)?)?.valid())
    }
}

/// The bytes of these images, one after the other.
pub(super) fn gathered(images: &Images, rows: &[usize]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows.len() * images.shape.iter().product::<usize>());
    rows.iter().for_each(|&row| bytes.extend_from_slice(images.image(row)));
    bytes
}

/// The bytes of random views of these images.
pub(super) fn augmented(
    images: &Images,
    rows: &[usize],
    epoch: usize,
    augmenter: &Augmenter,
) -> Result<Vec<u8>> {
    let len = images.image_len();
    let mut bytes = vec![0; rows.len() * len];
    for (&row, view) in rows.iter().zip(bytes.chunks_exact_mut(len)) {
        augmenter.apply(epoch as u64, row as u64, images.image(row), view)?;
    }
    Ok(bytes)
}

/// The normalised values of images of bytes.
pub(super) fn normalised(bytes: &[u8], shape: [usize; 3], tables: &[[f32; 256]]) -> Vec<f32> {
    let [channels, height, width] = shape;
    let area = height * width;
    let mut values = Vec::with_capacity(bytes.len());
    for image in bytes.chunks_exact(channels * area) {
        for (channel, table) in image.chunks_exact(area).zip(tables) {
            values.extend(channel.iter().map(|byte| table[usize::from(*byte)]));
        }
    }
    values
}

/// The inputs `[n, channels, height, width]` of normalised values.
pub(super) fn inputs(values: Vec<f32>, [channels, height, width]: [usize; 3], device: &Device) -> Tensor<4> {
    let n = values.len() / (channels * height * width);
    Tensor::from_data(TensorData::new(values, [n, channels, height, width]), device)
}

/// The values of a tensor in host memory.
pub(super) fn host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    tensor
        .try_into_data()
        .map_err(|error| Error::Internal(format!("{error:?}")))?
        .try_into_vec::<f32>()
        .map_err(|error| Error::Internal(format!("{error:?}")))
}

/// Logits `[n, classes]` of these images.
pub(super) fn logits<M: ImageModel>(
    model: &M,
    images: &Images,
    rows: &[usize],
    tables: &[[f32; 256]],
    device: &Device,
) -> Result<Vec<f32>> {
    let mut logits = Vec::new();
    for chunk in rows.chunks(PREDICT_ROWS) {
        let values = normalised(&gathered(images, chunk), images.shape, tables);
        logits.extend(host(model.logits(inputs(values, images.shape, device)))?);
    }
    Ok(logits)
}

/// Something that is done with whichever model has a name.
pub(super) trait WithModel {
    type Output;
    fn run<M: ImageModel>(self) -> Result<Self::Output>;
}

pub(super) fn with_model<A: WithModel>(name: &str, action: A) -> Result<A::Output> {
    match name {
        "mlp" => action.run::<Mlp>(),
        "lenet" => action.run::<LeNet>(),
        "resnet" => action.run::<ResNet>(),
        "vit" => action.run::<Vit>(),
        _ => Err(Error::Core(candor::registry::unknown("model", name, super::MODELS.iter().copied()))),
    }
}

/// Predictions of the described model for a data set: its test part, or all rows of a set without one.
///
/// # Errors
/// Data of another shape or with other classes.
pub fn predict_with(weights: &Path, description: &str, data: &str, device: &Device) -> Result<Predictions> {
    let description: Description = read_description(weights, description)?;
    let images = data::load_for_prediction(data)?;
    if images.shape != description.shape.input {
        let problem = format!(
            "images have shape {:?}, but the model takes {:?}",
            images.shape, description.shape.input
        );
        return Err(Error::format(data, problem));
    }
    let rows: Vec<usize> = (0..images.len()).collect();
    let action = RunLogits { weights, description: &description, parts: &[(&images, &rows)], device };
    let mut logits = with_model(&description.model.name, action)?;
    Predictions::from_logits(
        logits.pop().unwrap_or_default(),
        description.shape.classes,
        images.labels.clone(),
    )
}

/// The logits of a finished run's model for rows of images, part by part.
pub(super) struct RunLogits<'a> {
    pub(super) weights: &'a Path,
    pub(super) description: &'a Description,
    pub(super) parts: &'a [(&'a Images, &'a [usize])],
    pub(super) device: &'a Device,
}

impl WithModel for RunLogits<'_> {
    type Output = Vec<Vec<f32>>;

    fn run<M: ImageModel>(self) -> Result<Vec<Vec<f32>>> {
        let model: M = self.description.load(self.weights, self.device)?;
        let tables = self.description.normalisation.tables();
        self.parts.iter().map(|(images, rows)| logits(&model, images, rows, &tables, self.device)).collect()
    }
}
