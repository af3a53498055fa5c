//! Platt scaling: a sigmoid of the score, fitted to Platt's targets (Platt 1999).
//!
//! The targets (N₊+1)/(N₊+2) and 1/(N₋+2) instead of 1 and 0 are label smoothing: they keep the fit finite
//! on separable rows. The score is a logit, never a probability: a sigmoid of a probability cannot reach 0
//! and 1.

use serde::{Deserialize, Serialize};

use super::fit_report::Ending;
use super::linear_map::check_finite;
use super::logistic::Logistic;
use super::one_vs_rest::{ClassRows, CurveFit};
use super::rows::softplus;
use super::{CalibratorInfo, Curve, Entry, Fitting, OneVsRest, Output, SCORE, Score, WarningCode};
use crate::error::Result;

const INFO: CalibratorInfo = CalibratorInfo {
    name: "platt",
    summary: "a sigmoid for each class, with Platt's prior targets; for few rows and two classes above all",
    formula: "p_k ∝ σ(a_k s_k + b_k), s = ln p/(1-p); targets (N₊+1)/(N₊+2) and 1/(N₋+2)",
    preserves_accuracy: false,
    output: Output::Probabilities,
    fitting: Fitting::Convex,
    parameters: &[SCORE],
    paper: "Platt 1999, Probabilistic outputs for support vector machines",
};

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    fit: |sample, parameters| OneVsRest::fit(sample, Score::of(parameters), PlattCurve::fit),
};

/// `σ(a s + b)` of the score s of a class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PlattCurve {
    /// The slope; negative if larger scores go with other classes.
    pub a: f64,
    /// The intercept.
    pub b: f64,
}

impl PlattCurve {
    pub(super) fn fit(rows: &ClassRows) -> CurveFit<Self> {
        let total: f64 = rows.weights.iter().sum();
        if total == 0.0 {
            return CurveFit::direct(PlattCurve { a: 1.0, b: 0.0 });
        }
        let positive: f64 = rows.y.iter().zip(&rows.weights).map(|(y, w)| y * w).sum();
        let negative = total - positive;
        let (high, low) = ((positive + 1.0) / (positive + 2.0), 1.0 / (negative + 2.0));
        let targets: Vec<f64> = rows.y.iter().map(|y| if *y > 0.0 { high } else { low }).collect();
        let weights: Vec<f64> = rows.weights.iter().map(|w| w / total).collect();
        // The solver sees scores with mean 0 and size 1.
        let mean: f64 = rows.x.iter().zip(&weights).map(|(x, w)| x * w).sum();
        let variance: f64 = rows.x.iter().zip(&weights).map(|(x, w)| w * (x - mean) * (x - mean)).sum();
        let spread = variance.sqrt();
        let flat = spread <= 1e-14 * mean.abs() || spread == 0.0;
        let scale = if flat { 1.0 } else { spread };
        let features: Vec<f64> =
            rows.x.iter().flat_map(|x| [if flat { 0.0 } else { (x - mean) / scale }, 1.0]).collect();
        let solution = Logistic::fit(&features, &targets, &weights, vec![0.0, 0.0]);
        let mut ending = Ending::of(&solution);
        let a = solution.x[0] / scale;
        let curve = PlattCurve { a, b: solution.x[1] - a * mean };
        if flat {
            ending.warn(WarningCode::Flat);
        } else if a < 0.0 && positive > 0.0 && negative > 0.0 {
            ending.warn(WarningCode::AntiCorrelated);
        }
        CurveFit { curve, ending }
    }
}

impl Curve for PlattCurve {
    fn info() -> &'static CalibratorInfo {
        &INFO
    }

    fn log_pair(&self, score: f64) -> (f64, f64) {
        let s = self.a * score + self.b;
        (-softplus(-s), -softplus(s))
    }

    fn n_parameters(&self) -> usize {
        2
    }

    fn check(&self) -> Result<()> {
        check_finite("a parameter of a sigmoid", &[self.a, self.b])
    }
}
