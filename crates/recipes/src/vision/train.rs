//! Trains an image model: what the shared loop asks of this field.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::OnceLock;

use burn::tensor::Device;
use candor_burn::{LossModule, LossOutput};

use super::data::{self, Split};
use super::label_file::FileLabels;
use super::model::{ImageModel, ImageShape};
use super::predict::{Description, WithModel, augmented, gathered, inputs, logits, normalised, with_model};
use super::setup::{Setup, file_labels};
use super::teacher::Teachers;
use super::telemetry::{self, Triple};
use crate::config::{Config, DataConfig};
use crate::error::Result;
use crate::predictions::Predictions;
use crate::recipe::{Control, DataSummary, Findings, Prepared, RunOutput};
use crate::training::{self, EpochLog, Task, describe};

/// Images, split and ready for any number of trainings.
#[derive(Debug)]
pub struct PreparedVision {
    pub(super) split: Split,
    pub(super) tables: Vec<[f32; 256]>,
    file: Option<FileLabels>,
    teachers: Teachers,
    triple: OnceLock<Triple>,
}

impl PreparedVision {
    /// Reads and splits the data.
    ///
    /// # Errors
    /// Those of [`data::load`], and labels from a file that do not fit.
    pub fn new(config: &DataConfig) -> Result<Self> {
        let split = data::load(config)?;
        let tables = split.normalisation.tables();
        let file = file_labels(&config.label_file, &split)?;
        Ok(Self { split, tables, file, teachers: Teachers::default(), triple: OnceLock::new() })
    }

    fn setup(&self, config: &Config) -> Result<Setup> {
        // What can be refused without the teacher is refused before it is loaded.
        let mut setup = Setup::new(config, &self.split, self.file.as_ref(), None)?;
        setup.teacher = self.teachers.of(config, &self.split)?;
        Ok(setup)
    }

    fn shape(&self) -> ImageShape {
        ImageShape { input: self.split.images.shape, classes: self.split.summary.classes }
    }

    /// The classes whose features are drawn: the same ones for every run on this data.
    pub(super) fn triple(&self) -> Option<Triple> {
        (self.split.summary.classes >= 3).then(|| *self.triple.get_or_init(|| Triple::of(&self.split)))
    }
}

/// The data with one kind of model.
pub(super) struct VisionTask<'a, M> {
    pub(super) data: &'a PreparedVision,
    pub(super) config: &'a Config,
    pub(super) setup: Setup,
    model: PhantomData<M>,
}

impl<M: ImageModel> VisionTask<'_, M> {
    fn predict(&self, model: &M, test: bool, device: &Device) -> Result<Predictions> {
        let split = &self.data.split;
        let (rows, images, labels) = match (test, &split.test_images, &self.setup.test_labels) {
            (true, Some(images), Some(labels)) => (&split.test, images, labels),
            (true, ..) => (&split.test, &split.images, &self.setup.labels),
            (false, ..) => (&split.validation, &split.images, &self.setup.labels),
        };
        let logits = logits(model, images, rows, &self.data.tables, device)?;
        let labels = rows.iter().map(|&row| labels[row]).collect();
        Predictions::from_logits(logits, split.summary.classes, labels)
    }
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
        places: &[usize],
        epoch: usize,
        loss: &LossModule,
        device: &Device,
    ) -> Result<LossOutput> {
        let split = &self.data.split;
        let rows: Vec<usize> = places.iter().map(|&place| split.train[place]).collect();
        let bytes = match &self.setup.augmenter {
            Some(augmenter) => augmented(&split.images, &rows, epoch, augmenter)?,
            None => gathered(&split.images, &rows),
        };
        let mut values = normalised(&bytes, split.images.shape, &self.data.tables);
        let pairs = self.setup.pairs(epoch, &rows, split.images.shape);
        if let Some(pairs) = &pairs {
            pairs.mix(&mut values);
        }
        let targets = self.setup.loss_targets(&rows, pairs.as_ref(), loss)?;
        let logits = model.logits(inputs(values, split.images.shape, device));
        Ok(match &self.setup.teacher {
            Some(teacher) => loss.clone().with_teacher(teacher.rows(places)).forward(logits, targets)?,
            None => loss.forward(logits, targets)?,
        })
    }

    fn predict_validation(&self, model: &M, device: &Device) -> Result<Option<Predictions>> {
        if self.data.split.validation.is_empty() {
            return Ok(None);
        }
        self.predict(model, false, device).map(Some)
    }

    fn predict_test(&self, model: &M, device: &Device) -> Result<Predictions> {
        self.predict(model, true, device)
    }

    fn telemetry_at_start(
        &self,
        model: &M,
        loss: &LossModule,
        device: &Device,
    ) -> Result<BTreeMap<String, f64>> {
        telemetry::at_start(self, model, loss, device)
    }

    fn telemetry_in_depth(
        &self,
        model: &M,
        loss: &LossModule,
        device: &Device,
    ) -> Result<BTreeMap<String, f64>> {
        telemetry::of_epoch(self, model, loss, device)
    }

    fn findings(&self, model: &M, epochs: &[EpochLog], device: &Device) -> Result<Findings> {
        let mut findings = Findings::default();
        if self.setup.smooths_otherwise() {
            let effective = self.setup.effective_smoothing(self.config)?;
            findings.metrics.insert("effective_smoothing".to_owned(), effective);
        }
        if let Some(teacher) = &self.setup.teacher {
            let labels = self.setup.labels_of(&self.data.split.train);
            let equivalent = teacher.equivalent_smoothing(self.config.distillation.temperature, &labels)?;
            for (name, value) in [
                ("teacher_smoothing", teacher.smoothing),
                ("teacher_accuracy", teacher.accuracy),
                ("teacher_equivalent_smoothing", equivalent),
            ] {
                findings.metrics.insert(name.to_owned(), value);
            }
        }
        if self.config.training.telemetry {
            findings.metrics.extend(telemetry::metrics(epochs));
            findings.points = telemetry::projections(self, model, device)?;
        }
        Ok(findings)
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
        self.setup(config)?;
        with_model(&config.model.name, Check { config, shape: self.shape(), device: Device::flex() })
    }

    fn train(&self, config: &Config, control: &Control<'_>) -> Result<RunOutput> {
        let setup = self.setup(config)?;
        with_model(&config.model.name, Train { data: self, config, setup, control })
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
    setup: Setup,
    control: &'a Control<'c>,
}

impl WithModel for Train<'_, '_> {
    type Output = RunOutput;

    fn run<M: ImageModel>(self) -> Result<RunOutput> {
        let smoothing = self.setup.smoothing.clone();
        let task =
            VisionTask::<M> { data: self.data, config: self.config, setup: self.setup, model: PhantomData };
        training::run(&task, self.config, smoothing, self.control)
    }
}
