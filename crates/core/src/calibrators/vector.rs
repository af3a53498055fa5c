//! Vector scaling: a factor and a bias for each class (Guo et al. 2017, arXiv:1706.04599).

use serde::{Deserialize, Serialize};

use super::fit_report::Ending;
use super::linear_map::{SEPARATED, check_finite};
use super::linear_softmax::{LinearFit, Penalty, Shape, fit as fit_linear};
use super::{CalibrationMap, CalibratorInfo, Entry, Fit, Fitting, Output, Sample, WarningCode};
use crate::error::{Result, check_classes, check_len};
use crate::parameters::{Parameter, Parameters};

const INFO: CalibratorInfo = CalibratorInfo {
    name: "vector",
    summary: "a factor and a bias for each class; mends classes that are systematically over- or under-rated",
    formula: "softmax(w ⊙ z + b)",
    preserves_accuracy: false,
    output: Output::Probabilities,
    fitting: Fitting::Convex,
    parameters: &[Parameter::number(
        "bias",
        0.0,
        0.0,
        1e6,
        "strength μ of the penalty μ/K Σ b_j² on the bias; 0 is the published map",
    )],
    paper: "Guo et al. 2017, arXiv:1706.04599",
};

pub(super) const ENTRY: Entry = Entry { info: &INFO, fit };

/// `w ⊙ z + b`: a factor and a bias for each class. A masked class stays masked.
///
/// # Examples
/// ```
/// use candor::calibrators::{Map, Vector};
/// let map = Map::from(Vector { weights: vec![1.0, 0.5], bias: vec![0.0, 1.0] });
/// assert_eq!(map.logits(candor::Logits::new(&[2.0, 4.0], 2)?, None)?, [2.0, 3.0]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Vector {
    /// w, one number for each class.
    pub weights: Vec<f64>,
    /// b, one number for each class.
    pub bias: Vec<f64>,
}

fn fit(sample: &Sample, parameters: &Parameters) -> Result<Fit> {
    let penalty = Penalty { off_diagonal: 0.0, bias: parameters.number("bias") };
    let LinearFit { weights, bias, solution } =
        fit_linear(sample, sample.logits().to_vec(), Shape::Diagonal, penalty)?;
    let mut ending = Ending::of(&solution);
    if solution.value < SEPARATED {
        ending.warn(WarningCode::Separable);
    }
    if weights.iter().sum::<f64>() < 0.0 {
        ending.warn(WarningCode::AntiCorrelated);
    }
    ending.warn_of_absent_classes(sample);
    Ok(Fit::new(Vector { weights, bias }.into(), sample, ending))
}

impl CalibrationMap for Vector {
    fn info(&self) -> &'static CalibratorInfo {
        &INFO
    }

    fn n_parameters(&self) -> usize {
        2 * self.bias.len()
    }

    fn n_classes(&self) -> Option<usize> {
        Some(self.bias.len())
    }

    fn check(&self) -> Result<()> {
        check_classes(self.bias.len())?;
        check_len("the map's weights", self.bias.len(), self.weights.len())?;
        check_finite("a weight of the map", &self.weights)?;
        check_finite("a bias of the map", &self.bias)
    }

    fn apply_row(&self, logits: &[f64], _: Option<&str>, out: &mut [f64]) {
        for (((out, z), w), b) in out.iter_mut().zip(logits).zip(&self.weights).zip(&self.bias) {
            *out = if *z == f64::NEG_INFINITY { *z } else { w * z + b };
        }
    }
}
