//! A matrix and a bias: what matrix scaling and Dirichlet calibration share.

use serde::{Deserialize, Serialize};

use super::fit_report::Ending;
use super::linear_softmax::{LinearFit, Penalty, Shape, fit};
use super::{Sample, WarningCode};
use crate::error::{Result, check_classes, check_len, check_range};
use crate::parameters::{Parameter, Parameters};

/// The strength λ.
pub(super) const OFF_DIAGONAL: Parameter = Parameter::number(
    "off_diagonal",
    1.0,
    0.0,
    1e6,
    "strength λ of the penalty λ/(K(K-1)) Σ W_ij² off the diagonal; 0 is the plain map",
);

/// The strength μ.
pub(super) const BIAS: Parameter =
    Parameter::number("bias", 1.0, 0.0, 1e6, "strength μ of the penalty μ/K Σ b_j² on the bias");

/// W and b: each class's calibrated logit is `Σ_j W_ij x_j + b_i`.
///
/// A masked input adds nothing to the other classes and stays masked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinearMap {
    /// W, one row for each class.
    pub weights: Vec<Vec<f64>>,
    /// b, one number for each class.
    pub bias: Vec<f64>,
}

impl LinearMap {
    /// Fits W and b on these inputs.
    pub(super) fn fit(
        sample: &Sample,
        inputs: Vec<f64>,
        parameters: &Parameters,
    ) -> Result<(LinearMap, Ending)> {
        let penalty =
            Penalty { off_diagonal: parameters.number("off_diagonal"), bias: parameters.number("bias") };
        let LinearFit { weights, bias, solution } = fit(sample, inputs, Shape::Full, penalty)?;
        let mut ending = Ending::of(&solution);
        if solution.value < SEPARATED {
            ending.warn(WarningCode::Separable);
        }
        ending.warn_of_absent_classes(sample);
        let weights = weights.chunks_exact(bias.len()).map(<[f64]>::to_vec).collect();
        Ok((LinearMap { weights, bias }, ending))
    }

    /// Number of entries.
    pub(super) fn len(&self) -> usize {
        self.bias.len() * (self.bias.len() + 1)
    }

    pub(super) fn check(&self) -> Result<()> {
        check_classes(self.bias.len())?;
        check_len("the rows of the map's weights", self.bias.len(), self.weights.len())?;
        for row in &self.weights {
            check_len("a row of the map's weights", self.bias.len(), row.len())?;
            check_finite("a weight of the map", row)?;
        }
        check_finite("a bias of the map", &self.bias)
    }

    /// `W x + b` where `logits` is not masked.
    pub(super) fn apply(&self, logits: &[f64], inputs: &[f64], out: &mut [f64]) {
        for (class, ((out, weights), bias)) in out.iter_mut().zip(&self.weights).zip(&self.bias).enumerate() {
            if logits[class] == f64::NEG_INFINITY {
                *out = f64::NEG_INFINITY;
                continue;
            }
            *out = *bias;
            for (x, w) in inputs.iter().zip(weights) {
                if *x != f64::NEG_INFINITY {
                    *out += w * x;
                }
            }
        }
    }
}

/// An NLL below this says that the map separates the classes.
pub(super) const SEPARATED: f64 = 1e-7;

/// Checks that all numbers are finite.
pub(super) fn check_finite(what: &'static str, values: &[f64]) -> Result<()> {
    values.iter().try_for_each(|value| check_range(what, *value, -f64::MAX, f64::MAX))
}
