//! Post-hoc maps: fitted on held-out predictions, applied to others.
//!
//! [`Sample`] holds the rows to fit on, [`fit`] makes a [`Fit`]: the fitted [`Map`] and a [`FitReport`] of
//! how the fit ended. A map takes logits to logits: the softmax of what it gives is the calibrated
//! distribution. [`choose`] compares several by cross-validation.

mod bbq;
mod beta;
mod choice;
mod curve;
mod dirichlet;
mod ensemble_temperature;
mod fit_report;
mod group_temperature;
mod histogram;
mod identity;
mod isotonic;
mod linear_map;
mod linear_softmax;
mod logistic;
mod logit_normalisation;
mod map;
mod matrix;
mod one_vs_rest;
mod platt;
mod rows;
mod sample;
mod scaling_binning;
mod solver;
mod spline;
mod steps;
mod temperature;
mod unsmooth;
mod vector;

pub use bbq::BbqCurve;
pub use beta::BetaCurve;
pub use choice::{Candidate, Choice, choose};
pub use curve::Curve;
pub use dirichlet::Dirichlet;
pub use ensemble_temperature::EnsembleTemperature;
pub use fit_report::{Fit, FitReport, FitWarning, WarningCode};
pub use group_temperature::GroupTemperature;
pub use histogram::HistogramCurve;
pub use identity::Identity;
pub use isotonic::IsotonicCurve;
pub use linear_map::LinearMap;
pub use logit_normalisation::LogitNormalisation;
pub use map::{MAP_SCHEMA, Map, SavedMap};
pub use matrix::Matrix;
pub use one_vs_rest::{OneVsRest, Score};
pub use platt::PlattCurve;
pub use sample::{MAX_LOGIT, Sample};
pub use scaling_binning::ScalingBinningCurve;
pub use spline::Spline;
pub use steps::Steps;
pub use temperature::{Outcome, Temperature, TemperatureFit};
pub use unsmooth::Unsmooth;
pub use vector::Vector;

use std::collections::BTreeMap;

use crate::error::Result;
use crate::parameters::{Parameter, ParameterValue, Parameters};

/// What a calibrator is called and what it keeps; shown by `candor list`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct CalibratorInfo {
    /// The name in configurations and files.
    pub name: &'static str,
    /// One line: what it does and when to use it.
    pub summary: &'static str,
    /// The map.
    pub formula: &'static str,
    /// Whether no class ever overtakes the predicted one.
    pub preserves_accuracy: bool,
    /// What the map gives.
    pub output: Output,
    /// How its numbers are found.
    pub fitting: Fitting,
    /// What can be set, with the defaults.
    pub parameters: &'static [Parameter],
    /// Where it was published.
    pub paper: &'static str,
}

/// What a map gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Output {
    /// A distribution over the classes.
    Probabilities,
    /// One score a row that ranks predictions by trust and is no probability.
    Confidence,
}

/// How the numbers of a map are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fitting {
    /// A convex problem: the fit ends at its global optimum.
    Convex,
    /// A formula or a sorted pass: no iteration that could fail.
    Direct,
    /// The best of a list of values.
    Search,
    /// Nothing is fitted.
    Given,
}

/// A fitted map from logits to logits: the softmax of what it gives is the calibrated distribution.
///
/// [`Identity`] shows the smallest implementation.
pub trait CalibrationMap: std::fmt::Debug + Send + Sync {
    /// The name, formula and source.
    fn info(&self) -> &'static CalibratorInfo;

    /// Number of fitted numbers: what [`choose`] calls simpler has fewer.
    fn n_parameters(&self) -> usize;

    /// The number of classes that it was fitted for; `None` if it takes any.
    fn n_classes(&self) -> Option<usize> {
        None
    }

    /// Checks numbers that come from a file.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) or [`Error::Shape`](crate::Error::Shape) for numbers
    /// that no fit gives.
    fn check(&self) -> Result<()>;

    /// Writes the calibrated logits of one row; a class at -inf stays there.
    ///
    /// `logits` are finite or -inf, with at least one finite; `out` is as long.
    fn apply_row(&self, logits: &[f64], group: Option<&str>, out: &mut [f64]);

    /// How far the prediction of a row can be trusted, for ranking: the largest calibrated probability,
    /// unless the map gives a score of its own.
    fn confidence_row(&self, logits: &[f64], group: Option<&str>, scratch: &mut [f64]) -> f64 {
        self.apply_row(logits, group, scratch);
        rows::softmax_in_place(scratch);
        scratch.iter().copied().fold(0.0, f64::max)
    }
}

/// A registered calibrator: its description and how to fit it.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The description.
    pub info: &'static CalibratorInfo,
    /// Fits it with checked parameters.
    pub fit: fn(&Sample, &Parameters) -> Result<Fit>,
}

/// Every calibrator, in the order of `candor list`.
pub const ALL: &[Entry] = &[
    temperature::ENTRY,
    vector::ENTRY,
    matrix::ENTRY,
    dirichlet::ENTRY,
    platt::ENTRY,
    beta::ENTRY,
    isotonic::ENTRY,
    histogram::ENTRY,
    scaling_binning::ENTRY,
    bbq::ENTRY,
    spline::ENTRY,
    ensemble_temperature::ENTRY,
    group_temperature::ENTRY,
    unsmooth::ENTRY,
    logit_normalisation::ENTRY,
    identity::ENTRY,
];

/// The registered calibrator of this name.
///
/// # Errors
/// [`Error::UnknownName`](crate::Error::UnknownName), naming the closest one.
///
/// # Examples
/// ```
/// assert!(candor::calibrators::by_name("temperature")?.info.preserves_accuracy);
/// assert!(candor::calibrators::by_name("temprature").is_err());
/// # Ok::<(), candor::Error>(())
/// ```
pub fn by_name(name: &str) -> Result<&'static Entry> {
    let known = || ALL.iter().map(|entry| entry.info.name);
    ALL.iter()
        .find(|entry| entry.info.name == name)
        .ok_or_else(|| crate::registry::unknown("calibrator", name, known()))
}

/// Fits the calibrator of this name, with the given parameters over its defaults.
///
/// # Errors
/// [`Error::UnknownName`](crate::Error::UnknownName) for the name or a parameter, the others of
/// [`Parameters::resolve`], and those of the method.
///
/// # Examples
/// ```
/// use candor::calibrators::{self, Sample};
/// use candor::{Labels, Logits};
/// let logits = [4.0_f64, 0.0, 4.0, 0.0, 4.0, 0.0, 4.0, 0.0];
/// let sample = Sample::from_logits(Logits::new(&logits, 2)?, Labels::new(&[0, 0, 0, 1], 2)?)?;
/// let fit = calibrators::fit("temperature", &Default::default(), &sample)?;
/// assert!(fit.report.converged && fit.report.nll_after < fit.report.nll_before);
/// let calibrated = fit.map.probs(Logits::new(&logits, 2)?, None)?;
/// assert!((calibrated[0] - 0.75).abs() < 1e-9);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn fit(name: &str, given: &BTreeMap<String, ParameterValue>, sample: &Sample) -> Result<Fit> {
    let entry = by_name(name)?;
    (entry.fit)(sample, &Parameters::resolve(entry.info.name, entry.info.parameters, given)?)
}

/// How far probabilities stay from 0 and 1 in maps that could reach them.
const FLOOR: Parameter = Parameter::number(
    "floor",
    1e-6,
    0.0,
    0.1,
    "smallest probability of a class, so that the NLL stays finite; 0 is the published map",
);

/// The score that a one-vs-rest map reads.
const SCORE: Parameter = Parameter::choice(
    "score",
    "log_odds",
    &["log_odds", "logit"],
    "what is calibrated for each class: ln p/(1-p), or the logit itself (the difference of both for 2 classes)",
);
