//! Predictions with their labels: what a training leaves behind and an evaluation starts from.

mod aligned;
mod array_column;
mod arrays;
mod arrow_rows;
mod bad_rows;
mod block;
mod check;
mod chunk;
mod class_names;
mod csv_rows;
mod detail;
mod ensemble;
mod evaluate;
mod fields;
mod ipc;
mod json_rows;
mod mapped;
mod npy;
mod parquet;
mod rows;
mod source;
#[cfg(test)]
mod tests;

pub use bad_rows::{BadRow, BadRows, OnBad};
pub use chunk::{Chunk, Groups, InputKind, Problem};
pub use class_names::ClassNames;
pub use detail::Detail;
pub use ensemble::ensemble;
pub use evaluate::{Evaluated, Other, Request, evaluate};
pub use fields::Fields;
pub use source::{Collected, Format, Input, Stream};

pub use npy::{
    read_labels as read_npy_labels, read_scores as read_npy_scores, read_vector as read_npy_vector,
    write_scores as write_npy_scores, write_vector as write_npy_vector,
};
pub use parquet::write as write_parquet;

use std::ops::Range;

use candor::metrics::{self, Evaluation, EvaluationOptions, Evaluator, RowScore, Scorer};
use candor::report::page::Histogram;
use candor::{Labels, Logits, Probs, Scalar};
use rayon::prelude::*;

use crate::error::{Error, Result};

/// What the numbers of a row are; never guessed from their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoreKind {
    /// Unnormalised scores.
    Logits,
    /// Probabilities that sum to 1.
    Probs,
}

impl ScoreKind {
    /// The name in files and outputs.
    pub fn name(self) -> &'static str {
        match self {
            ScoreKind::Logits => "logits",
            ScoreKind::Probs => "probs",
        }
    }
}

/// Values in the precision in which they were stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Single precision; half precisions are widened to it.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
}

impl Values {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Values::F32(values) => values.len(),
            Values::F64(values) => values.len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values in double precision.
    pub(crate) fn into_f64(self) -> Vec<f64> {
        match self {
            Values::F32(values) => values.into_iter().map(f64::from).collect(),
            Values::F64(values) => values,
        }
    }

    /// These and then the others; in double precision if one of them is.
    fn joined(self, others: Self) -> Self {
        match (self, others) {
            (Values::F32(mut a), Values::F32(b)) => {
                a.extend(b);
                Values::F32(a)
            }
            (a, b) => {
                let mut a = a.into_f64();
                a.extend(b.into_f64());
                Values::F64(a)
            }
        }
    }

    /// Some of the rows of `width` values.
    fn rows(&self, rows: &[usize], width: usize) -> Self {
        fn chosen<T: Copy>(values: &[T], rows: &[usize], width: usize) -> Vec<T> {
            rows.iter()
                .filter_map(|row| values.get(row * width..(row + 1) * width))
                .flatten()
                .copied()
                .collect()
        }
        match self {
            Values::F32(values) => Values::F32(chosen(values, rows, width)),
            Values::F64(values) => Values::F64(chosen(values, rows, width)),
        }
    }
}

/// Scores `[n, n_classes]` of either kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// What the numbers are.
    pub kind: ScoreKind,
    /// The numbers, row after row.
    pub values: Values,
    /// Number of classes.
    pub n_classes: usize,
}

impl Scores {
    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.values.len() / self.n_classes.max(1)
    }
}

/// Scores with the labels of the same rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    /// The scores.
    pub scores: Scores,
    /// Class indices, one a row.
    pub labels: Vec<i64>,
    /// Weights of the rows; without them, rows count alike.
    pub weights: Option<Vec<f64>>,
}

/// Margins from here on share the last bin of a histogram.
const MARGIN_LIMIT: f64 = 20.0;

/// Rows evaluated at a time by one thread.
const CHUNK: usize = 4096;

impl Predictions {
    /// Scores with labels.
    ///
    /// # Errors
    /// [`candor::Error::Shape`] if their numbers of rows differ.
    pub fn new(scores: Scores, labels: Vec<i64>) -> Result<Self> {
        if labels.len() != scores.n_rows() {
            let what = "labels (one for each row of scores)";
            return Err(candor::Error::Shape { what, expected: scores.n_rows(), got: labels.len() }.into());
        }
        Ok(Self { scores, labels, weights: None })
    }

    /// The same rows with weights; `None` takes them away.
    ///
    /// # Errors
    /// [`candor::Error::Shape`] for another number of weights.
    pub fn with_weights(self, weights: Option<Vec<f64>>) -> Result<Self> {
        match &weights {
            Some(weights) if weights.len() != self.labels.len() => {
                let what = "weights (one for each row of scores)";
                Err(candor::Error::Shape { what, expected: self.labels.len(), got: weights.len() }.into())
            }
            _ => Ok(Self { weights, ..self }),
        }
    }

    /// Predictions of a model in single precision.
    pub fn from_logits(logits: Vec<f32>, n_classes: usize, labels: Vec<i64>) -> Result<Self> {
        Self::new(Scores { kind: ScoreKind::Logits, values: Values::F32(logits), n_classes }, labels)
    }

    /// All figures of these predictions; rows labelled `ignore_index` do not count.
    ///
    /// # Errors
    /// The first bad row: a label that is no class, a score that is not finite, probabilities that do not
    /// sum to 1; [`candor::Error::Empty`] without a row that counts.
    pub fn evaluate(&self, options: EvaluationOptions, ignore_index: Option<i64>) -> Result<Evaluation> {
        Ok(self.evaluator(options, ignore_index)?.compute()?)
    }

    /// The same before the figures are taken, to be merged with other parts.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate).
    pub fn evaluator(&self, options: EvaluationOptions, ignore_index: Option<i64>) -> Result<Evaluator> {
        match &self.scores.values {
            Values::F32(values) => self.evaluator_of(values, options, ignore_index),
            Values::F64(values) => self.evaluator_of(values, options, ignore_index),
        }
    }

    /// Evaluates chunks of rows in parallel and merges them; the figures do not depend on the split.
    fn evaluator_of<T: Scalar>(
        &self,
        values: &[T],
        options: EvaluationOptions,
        ignore_index: Option<i64>,
    ) -> Result<Evaluator> {
        let (n_rows, n_classes) = (self.labels.len(), self.scores.n_classes);
        let empty = || Evaluator::with_kind(metrics::InputKind::Classes { n_classes }, options);
        let part = |rows: Range<usize>| -> candor::Result<Evaluator> {
            let mut evaluator = empty()?;
            let labels = Labels::with_ignore(&self.labels[rows.clone()], n_classes, ignore_index)?;
            let weights = self.weights.as_ref().map(|weights| &weights[rows.clone()]);
            let values = &values[rows.start * n_classes..rows.end * n_classes];
            match self.scores.kind {
                ScoreKind::Logits => {
                    evaluator.update_logits(Logits::new(values, n_classes)?, labels, weights)?;
                }
                ScoreKind::Probs => {
                    evaluator.update_probs(Probs::new(values, n_classes)?, labels, weights)?
                }
            }
            Ok(evaluator)
        };
        let starts: Vec<usize> = (0..n_rows).step_by(CHUNK).collect();
        let parts: candor::Result<Vec<Evaluator>> =
            starts.par_iter().map(|&start| part(start..(start + CHUNK).min(n_rows))).collect();
        // A chunk counts its rows from its own first one; all rows at once give an error the right number.
        let Ok(parts) = parts else { return Ok(part(0..n_rows)?) };
        let mut whole = empty()?;
        for part in parts {
            whole.merge(&part)?;
        }
        Ok(whole)
    }

    /// What each row contributes to the metrics, in the order of the rows; `None` for ignored ones.
    ///
    /// # Errors
    /// The first bad row.
    pub fn row_scores(&self, ignore_index: Option<i64>) -> Result<Vec<Option<RowScore>>> {
        let n_classes = self.scores.n_classes;
        let labels = Labels::with_ignore(&self.labels, n_classes, ignore_index)?;
        let mut scorer = Scorer::default();
        let mut score = |row: usize, label: usize| -> Result<RowScore> {
            let range = row * n_classes..(row + 1) * n_classes;
            Ok(match (&self.scores.values, self.scores.kind) {
                (Values::F32(values), ScoreKind::Logits) => scorer.logits(row, &values[range], label)?,
                (Values::F64(values), ScoreKind::Logits) => scorer.logits(row, &values[range], label)?,
                (Values::F32(values), ScoreKind::Probs) => scorer.probs(&values[range], label),
                (Values::F64(values), ScoreKind::Probs) => scorer.probs(&values[range], label),
            })
        };
        (0..labels.len()).map(|row| labels.get(row).map(|label| score(row, label)).transpose()).collect()
    }

    /// How the confidences of the rows that count are spread, and the margins between their two largest scores.
    ///
    /// # Errors
    /// The first bad row.
    pub fn histograms(&self, ignore_index: Option<i64>) -> Result<(Histogram, Histogram)> {
        let mut confidence = Histogram::new(0.0, 1.0, 50);
        let mut margins = Histogram::new(0.0, MARGIN_LIMIT, 50);
        let n_classes = self.scores.n_classes;
        for (row, score) in self.row_scores(ignore_index)?.into_iter().enumerate() {
            let Some(score) = score else { continue };
            let range = row * n_classes..(row + 1) * n_classes;
            let values: Vec<f64> = match &self.scores.values {
                Values::F32(values) => values[range].iter().map(|&v| f64::from(v)).collect(),
                Values::F64(values) => values[range].to_vec(),
            };
            confidence.add(score.confidence);
            let others = values.iter().enumerate().filter(|(class, _)| *class != score.predicted);
            let second = others.map(|(_, value)| *value).fold(f64::NEG_INFINITY, f64::max);
            margins.add(values[score.predicted] - second);
        }
        Ok((confidence, margins))
    }

    /// Fits a temperature by NLL, where rows count alike.
    ///
    /// # Errors
    /// [`Error::Config`] for probabilities, and those of [`candor::calibrators::Temperature::fit`].
    pub fn fit_temperature(&self, ignore_index: Option<i64>) -> Result<candor::calibrators::TemperatureFit> {
        use candor::calibrators::Temperature;
        let n_classes = self.scores.n_classes;
        let labels = Labels::with_ignore(&self.labels, n_classes, ignore_index)?;
        self.scores.needs_logits()?;
        Ok(match &self.scores.values {
            Values::F32(values) => Temperature::fit(Logits::new(values, n_classes)?, labels)?,
            Values::F64(values) => Temperature::fit(Logits::new(values, n_classes)?, labels)?,
        })
    }
}

impl Scores {
    /// Divides logits by a temperature.
    ///
    /// # Errors
    /// [`Error::Config`] for probabilities.
    pub fn apply_temperature(&mut self, map: &candor::calibrators::Temperature) -> Result<()> {
        self.needs_logits()?;
        match &mut self.values {
            Values::F32(values) => map.apply(values),
            Values::F64(values) => map.apply(values),
        }
        Ok(())
    }

    fn needs_logits(&self) -> Result<()> {
        match self.kind {
            ScoreKind::Logits => Ok(()),
            ScoreKind::Probs => Err(Error::config(
                "input",
                "probs",
                "temperature scaling needs logits; the logarithm of the probabilities serves as well, if it is given as logits",
            )),
        }
    }
}
