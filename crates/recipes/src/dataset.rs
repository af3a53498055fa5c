//! Rows of features in memory with their labels, cut into parts, and models asked about them.

use burn::tensor::{Device, Tensor, TensorData};
use candor_burn::{LossModule, LossOutput, LossTargets};

use crate::config::{DataConfig, HeldOut, TrainSize};
use crate::error::{Error, Result};
use crate::predictions::Predictions;
use crate::recipe::DataSummary;
use crate::training::split::{hold_out, take};
use crate::vision::model::ImageModel;

/// Rows of a batch without gradients.
const PREDICT_ROWS: usize = 2048;

/// Rows of features of one shape: channels, height, width; plain rows have one channel of height 1.
#[derive(Debug, Clone)]
pub struct Features {
    shape: [usize; 3],
    values: Vec<f32>,
}

impl Features {
    /// Rows, one after the other.
    pub fn new(shape: [usize; 3], values: Vec<f32>) -> Self {
        Self { shape, values }
    }

    /// Plain rows of this width.
    pub fn plain(width: usize, values: Vec<f32>) -> Self {
        Self::new([1, 1, width], values)
    }

    /// Channels, height, width.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Values of a row.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.values.len() / self.width().max(1)
    }

    /// One row.
    pub fn row(&self, row: usize) -> &[f32] {
        let width = self.width();
        &self.values[row * width..(row + 1) * width]
    }

    /// These rows as `[n, channels, height, width]`.
    pub fn tensor(&self, rows: &[usize], device: &Device) -> Tensor<4> {
        let [channels, height, width] = self.shape;
        let values: Vec<f32> = rows.iter().flat_map(|&row| self.row(row)).copied().collect();
        Tensor::from_data(TensorData::new(values, [rows.len(), channels, height, width]), device)
    }

    /// Logits of these rows, one after the other.
    ///
    /// # Errors
    /// [`Error::Internal`] if they cannot be read back.
    pub fn logits<M: ImageModel>(&self, model: &M, rows: &[usize], device: &Device) -> Result<Vec<f32>> {
        let mut logits = Vec::new();
        for chunk in rows.chunks(PREDICT_ROWS) {
            let values = model.logits(self.tensor(chunk, device)).into_data().try_into_vec::<f32>();
            logits.extend(values.map_err(|error| Error::Internal(format!("{error:?}")))?);
        }
        Ok(logits)
    }
}

impl Features {
    /// The loss of a model on these rows.
    ///
    /// # Errors
    /// Whatever the loss refuses.
    pub fn loss<M: ImageModel>(
        &self,
        model: &M,
        rows: &[usize],
        targets: LossTargets,
        loss: &LossModule,
        device: &Device,
    ) -> Result<LossOutput> {
        Ok(loss.forward(model.logits(self.tensor(rows, device)), targets)?)
    }
}

/// Which rows are for what; all of one table of features.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// Training rows.
    pub train: Vec<usize>,
    /// Validation rows.
    pub validation: Vec<usize>,
    /// Test rows.
    pub test: Vec<usize>,
}

impl Parts {
    /// Cuts rows as a configuration says; `test` are the rows of a test part of its own.
    ///
    /// # Errors
    /// A part that leaves no row, test rows asked for beside a test part.
    pub fn cut(
        config: &DataConfig,
        rows: Vec<usize>,
        test: Option<Vec<usize>>,
        labels: &[i64],
    ) -> Result<Self> {
        let or_default =
            |wish, default| if wish == HeldOut::Auto { HeldOut::Fraction(default) } else { wish };
        let wish = HeldOut::parse("data.test", &config.test)?;
        let (rows, test) = match test {
            Some(_) if wish != HeldOut::Auto => {
                let problem = "the data has a test part of its own; leave this out";
                return Err(Error::config("data.test", &config.test, problem));
            }
            Some(test) => (rows, test),
            None => {
                hold_out("data.test", rows, labels, or_default(wish, 0.25), config.split_seed, "part test")?
            }
        };
        if test.is_empty() {
            let problem = "the data has no test part, so some rows must be held out";
            return Err(Error::config("data.test", &config.test, problem));
        }
        let wish = or_default(HeldOut::parse("data.validation", &config.validation)?, 0.1);
        let (rows, validation) =
            hold_out("data.validation", rows, labels, wish, config.split_seed, "part validation")?;
        let size = TrainSize::parse("data.train_size", &config.train_size)?;
        let train = take(rows, labels, size, config.split_seed)?;
        Ok(Self { train, validation, test })
    }
}

/// Features with labels and parts.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The features.
    pub features: Features,
    /// The class of each row.
    pub labels: Vec<i64>,
    /// Which rows are for what.
    pub parts: Parts,
    /// What all this is.
    pub summary: DataSummary,
}

impl Dataset {
    /// Puts features, labels and parts together.
    ///
    /// # Errors
    /// [`Error::Format`] naming the set if a class has no training row, or there are fewer than two.
    pub fn new(
        name: &str,
        features: Features,
        labels: Vec<i64>,
        parts: Parts,
        class_names: Option<Vec<String>>,
        notes: Vec<String>,
    ) -> Result<Self> {
        let classes = match &class_names {
            Some(names) => names.len(),
            None => labels.iter().max().map_or(0, |last| *last as usize + 1),
        };
        let mut train_classes = vec![0; classes];
        parts.train.iter().for_each(|&row| train_classes[labels[row] as usize] += 1);
        let called = |class: usize| match class_names.as_ref().and_then(|names| names.get(class)) {
            Some(name) => format!("{name:?}"),
            None => class.to_string(),
        };
        if classes < 2 {
            return Err(Error::format(name, "all labels are equal, but at least two classes are needed"));
        }
        if let Some(class) = train_classes.iter().position(|count| *count == 0) {
            let problem =
                format!("class {} has no training row; use more rows or another split", called(class));
            return Err(Error::format(name, problem));
        }
        let [channels, height, width] = features.shape();
        let input = if channels * height == 1 { vec![width] } else { vec![channels, height, width] };
        let summary = DataSummary {
            name: name.to_owned(),
            classes,
            class_names,
            input,
            train: parts.train.len(),
            validation: parts.validation.len(),
            test: parts.test.len(),
            train_classes,
            notes,
        };
        Ok(Self { features, labels, parts, summary })
    }

    /// Labels of these rows.
    pub fn labels_of(&self, rows: &[usize]) -> Vec<i64> {
        rows.iter().map(|&row| self.labels[row]).collect()
    }

    /// Predictions for the validation rows; `None` without such rows.
    ///
    /// # Errors
    /// Predictions that cannot be read back.
    pub fn predict_validation<M: ImageModel>(
        &self,
        model: &M,
        device: &Device,
    ) -> Result<Option<Predictions>> {
        if self.parts.validation.is_empty() {
            return Ok(None);
        }
        self.predict(model, &self.parts.validation, device).map(Some)
    }

    /// Predictions for the test rows.
    ///
    /// # Errors
    /// Predictions that cannot be read back.
    pub fn predict_test<M: ImageModel>(&self, model: &M, device: &Device) -> Result<Predictions> {
        self.predict(model, &self.parts.test, device)
    }

    /// Predictions for any rows.
    ///
    /// # Errors
    /// Predictions that cannot be read back.
    pub fn predict<M: ImageModel>(&self, model: &M, rows: &[usize], device: &Device) -> Result<Predictions> {
        let logits = self.features.logits(model, rows, device)?;
        Predictions::from_logits(logits, self.summary.classes, self.labels_of(rows))
    }
}
