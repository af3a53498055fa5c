//! A fitted map of any kind: applied to rows, and the form in which it is stored.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::sample::read_row;
use super::{
    BbqCurve, BetaCurve, CalibrationMap, Dirichlet, EnsembleTemperature, FitReport, GroupTemperature,
    HistogramCurve, Identity, IsotonicCurve, LogitNormalisation, Matrix, OneVsRest, PlattCurve,
    ScalingBinningCurve, Spline, Temperature, Unsmooth, Vector, rows,
};
use crate::batch::{Logits, Probs, Scalar};
use crate::error::{Error, Result, check_len};

/// A fitted map; stored as `{"method": …, "parameters": {…}}`.
///
/// # Examples
/// ```
/// use candor::calibrators::{Map, Temperature};
/// let map = Map::from(Temperature::new(2.0)?);
/// let text = serde_json::to_string(&map).unwrap();
/// assert_eq!(text, r#"{"method":"temperature","parameters":{"temperature":2.0}}"#);
/// assert_eq!(serde_json::from_str::<Map>(&text).unwrap(), map);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", content = "parameters", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Map {
    /// One number divides the logits.
    Temperature(Temperature),
    /// A factor and a bias for each class.
    Vector(Vector),
    /// A matrix and a bias.
    Matrix(Matrix),
    /// A matrix and a bias on log-probabilities.
    Dirichlet(Dirichlet),
    /// A sigmoid for each class.
    Platt(OneVsRest<PlattCurve>),
    /// A beta curve for each class.
    Beta(OneVsRest<BetaCurve>),
    /// An increasing curve for each class.
    Isotonic(OneVsRest<IsotonicCurve>),
    /// Frequencies of bins for each class.
    Histogram(OneVsRest<HistogramCurve>),
    /// Means of bins of a sigmoid for each class.
    ScalingBinning(OneVsRest<ScalingBinningCurve>),
    /// Averaged frequencies of many binnings for each class.
    Bbq(OneVsRest<BbqCurve>),
    /// A curve for the probability of the predicted class.
    Spline(Spline),
    /// A mixture of tempered, plain and uniform probabilities.
    EnsembleTemperature(EnsembleTemperature),
    /// One temperature for each group.
    GroupTemperature(GroupTemperature),
    /// The inverse of label smoothing.
    Unsmooth(Unsmooth),
    /// A confidence score by the p-norm of the logits.
    LogitNormalisation(LogitNormalisation),
    /// Nothing.
    Identity(Identity),
}

macro_rules! from_parts {
    ($($variant:ident: $part:ty,)*) => {
        $(impl From<$part> for Map {
            fn from(part: $part) -> Self {
                Map::$variant(part)
            }
        })*

        impl Map {
            /// The map as its trait.
            pub fn as_dyn(&self) -> &dyn CalibrationMap {
                match self {
                    $(Map::$variant(part) => part,)*
                }
            }
        }
    };
}

from_parts! {
    Temperature: Temperature,
    Vector: Vector,
    Matrix: Matrix,
    Dirichlet: Dirichlet,
    Platt: OneVsRest<PlattCurve>,
    Beta: OneVsRest<BetaCurve>,
    Isotonic: OneVsRest<IsotonicCurve>,
    Histogram: OneVsRest<HistogramCurve>,
    ScalingBinning: OneVsRest<ScalingBinningCurve>,
    Bbq: OneVsRest<BbqCurve>,
    Spline: Spline,
    EnsembleTemperature: EnsembleTemperature,
    GroupTemperature: GroupTemperature,
    Unsmooth: Unsmooth,
    LogitNormalisation: LogitNormalisation,
    Identity: Identity,
}

/// Rows of one parallel task.
const BLOCK_ROWS: usize = 1024;

impl Map {
    /// The method's name.
    pub fn name(&self) -> &'static str {
        self.as_dyn().info().name
    }

    /// Whether rows must come with their group.
    pub fn needs_groups(&self) -> bool {
        matches!(self, Map::GroupTemperature(_))
    }

    /// Calibrated logits: the softmax of a row is its calibrated distribution.
    ///
    /// `groups` are the groups of the rows, where the map has them. A map whose
    /// [`output`](super::CalibratorInfo::output) is a confidence leaves the logits as they are; see
    /// [`confidence`](Self::confidence).
    ///
    /// # Shapes
    /// logits `[n, n_classes]`, groups `[n]`, result `[n, n_classes]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the map was fitted for another number of classes or the groups are of another
    /// number, [`Error::MissingGroups`], [`Error::NonFiniteLogit`], [`Error::NoAllowedClass`], and
    /// [`Error::OutOfRange`] for a finite logit beyond [`MAX_LOGIT`](super::MAX_LOGIT).
    pub fn logits<T: Scalar>(&self, logits: Logits<'_, T>, groups: Option<&[String]>) -> Result<Vec<f64>> {
        let n_classes = logits.n_classes();
        self.rows(logits.n_rows(), n_classes, n_classes, groups, read_logits(logits), |row, group, out| {
            self.as_dyn().apply_row(row, group, out);
        })
    }

    /// Calibrated probabilities of rows of logits.
    ///
    /// # Errors
    /// As [`logits`](Self::logits).
    pub fn probs<T: Scalar>(&self, logits: Logits<'_, T>, groups: Option<&[String]>) -> Result<Vec<f64>> {
        let n_classes = logits.n_classes();
        let mut values = self.logits(logits, groups)?;
        values.par_chunks_mut(n_classes).for_each(rows::softmax_in_place);
        Ok(values)
    }

    /// Calibrated probabilities of rows of probabilities.
    ///
    /// # Errors
    /// As [`logits`](Self::logits).
    pub fn probs_of_probs<T: Scalar>(
        &self,
        probs: Probs<'_, T>,
        groups: Option<&[String]>,
    ) -> Result<Vec<f64>> {
        let n_classes = probs.n_classes();
        self.rows(probs.n_rows(), n_classes, n_classes, groups, read_probs(probs), |row, group, out| {
            self.as_dyn().apply_row(row, group, out);
            rows::softmax_in_place(out);
        })
    }

    /// How far each prediction can be trusted, for ranking: the largest calibrated probability, or the score
    /// of a map whose [`output`](super::CalibratorInfo::output) is a confidence.
    ///
    /// # Errors
    /// As [`logits`](Self::logits).
    pub fn confidence<T: Scalar>(
        &self,
        logits: Logits<'_, T>,
        groups: Option<&[String]>,
    ) -> Result<Vec<f64>> {
        let n_classes = logits.n_classes();
        self.rows(logits.n_rows(), n_classes, 1, groups, read_logits(logits), |row, group, out| {
            let mut scratch = vec![0.0; n_classes];
            out[0] = self.as_dyn().confidence_row(row, group, &mut scratch);
        })
    }

    /// [`confidence`](Self::confidence) of rows of probabilities.
    ///
    /// # Errors
    /// As [`logits`](Self::logits).
    pub fn confidence_of_probs<T: Scalar>(
        &self,
        probs: Probs<'_, T>,
        groups: Option<&[String]>,
    ) -> Result<Vec<f64>> {
        let n_classes = probs.n_classes();
        self.rows(probs.n_rows(), n_classes, 1, groups, read_probs(probs), |row, group, out| {
            let mut scratch = vec![0.0; n_classes];
            out[0] = self.as_dyn().confidence_row(row, group, &mut scratch);
        })
    }

    /// Runs over the rows in parallel; each row stands by itself, so threads change nothing.
    fn rows(
        &self,
        n_rows: usize,
        n_classes: usize,
        width: usize,
        groups: Option<&[String]>,
        read: impl Fn(usize, &mut Vec<f64>) -> Result<()> + Sync,
        write: impl Fn(&[f64], Option<&str>, &mut [f64]) + Sync,
    ) -> Result<Vec<f64>> {
        if let Some(expected) = self.as_dyn().n_classes() {
            check_len("the class axis (the map was fitted for a number of classes)", expected, n_classes)?;
        }
        match groups {
            Some(groups) => check_len("groups", n_rows, groups.len())?,
            None if self.needs_groups() => return Err(Error::MissingGroups { calibrator: self.name() }),
            None => {}
        }
        let mut out = vec![0.0; n_rows * width];
        out.par_chunks_mut(BLOCK_ROWS * width).enumerate().try_for_each(|(block, out)| {
            let mut row_values = Vec::with_capacity(n_classes);
            for (at, out) in out.chunks_exact_mut(width).enumerate() {
                let row = block * BLOCK_ROWS + at;
                row_values.clear();
                read(row, &mut row_values)?;
                write(&row_values, groups.map(|groups| groups[row].as_str()), out);
            }
            Ok::<(), Error>(())
        })?;
        Ok(out)
    }
}

fn read_logits<'a, T: Scalar>(
    logits: Logits<'a, T>,
) -> impl Fn(usize, &mut Vec<f64>) -> Result<()> + Sync + 'a {
    move |row, out| read_row(row, logits.row(row), out)
}

fn read_probs<'a, T: Scalar>(probs: Probs<'a, T>) -> impl Fn(usize, &mut Vec<f64>) -> Result<()> + Sync + 'a {
    move |row, out| {
        let n_classes = probs.n_classes();
        let values = &probs.data()[row * n_classes..(row + 1) * n_classes];
        out.extend(values.iter().map(|p| super::sample::log_of_probability(*p)));
        Ok(())
    }
}

/// The schema of stored maps.
pub const MAP_SCHEMA: &str = "candor.calibrate/1";

/// A fitted map as it is stored: the schema, the map, what it was fitted on, and how the fit ended.
///
/// # Examples
/// ```
/// use candor::calibrators::SavedMap;
/// let text = r#"{"schema": "candor.calibrate/1", "method": "temperature", "parameters": {"temperature": 1.5}}"#;
/// let saved: SavedMap = serde_json::from_str(text).unwrap();
/// assert!(saved.check().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedMap {
    /// [`MAP_SCHEMA`].
    pub schema: String,
    /// The method and its numbers.
    #[serde(flatten)]
    pub map: Map,
    /// Number of classes of the fitted rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_classes: Option<usize>,
    /// How the fit ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<FitReport>,
}

impl SavedMap {
    /// A fitted map, ready to be stored.
    pub fn new(fit: &super::Fit, n_classes: usize) -> Self {
        Self {
            schema: MAP_SCHEMA.to_owned(),
            map: fit.map.clone(),
            n_classes: Some(n_classes),
            report: Some(fit.report.clone()),
        }
    }

    /// Checks what was read from a file.
    ///
    /// # Errors
    /// [`Error::UnknownName`] for another schema, and those of
    /// [`CalibrationMap::check`](super::CalibrationMap::check).
    pub fn check(&self) -> Result<()> {
        if self.schema != MAP_SCHEMA {
            return Err(crate::registry::unknown("schema of maps", &self.schema, [MAP_SCHEMA]));
        }
        self.map.as_dyn().check()
    }
}
