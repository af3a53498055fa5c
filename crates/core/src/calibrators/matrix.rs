//! Matrix scaling: a matrix and a bias on the logits (Guo et al. 2017, arXiv:1706.04599).
//!
//! The off-diagonal and bias penalties are those of Kull et al. (2019, arXiv:1910.12656); without them the
//! map overfits as soon as there are many classes.

use serde::{Deserialize, Serialize};

use super::linear_map::{BIAS, LinearMap, OFF_DIAGONAL};
use super::{CalibrationMap, CalibratorInfo, Entry, Fit, Fitting, Output, Sample};
use crate::error::Result;
use crate::parameters::Parameters;

const INFO: CalibratorInfo = CalibratorInfo {
    name: "matrix",
    summary: "a matrix and a bias on the logits; needs many rows for each class, else it overfits",
    formula: "softmax(W z + b)",
    preserves_accuracy: false,
    output: Output::Probabilities,
    fitting: Fitting::Convex,
    parameters: &[OFF_DIAGONAL, BIAS],
    paper: "Guo et al. 2017, arXiv:1706.04599; penalties: Kull et al. 2019, arXiv:1910.12656",
};

pub(super) const ENTRY: Entry = Entry { info: &INFO, fit };

/// W and b on logits.
///
/// Unlike other maps it reads the logits as they are: adding a number to all logits of a row changes what
/// it gives. [`Dirichlet`](super::Dirichlet) reads log-probabilities and has no such freedom.
///
/// # Examples
/// ```
/// use candor::calibrators::{LinearMap, Map, Matrix};
/// let map = LinearMap { weights: vec![vec![1.0, 0.0], vec![1.0, 1.0]], bias: vec![0.0, 0.5] };
/// let out = Map::from(Matrix(map)).logits(candor::Logits::new(&[2.0, 1.0], 2)?, None)?;
/// assert_eq!(out, [2.0, 3.5]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matrix(pub LinearMap);

fn fit(sample: &Sample, parameters: &Parameters) -> Result<Fit> {
    let (map, ending) = LinearMap::fit(sample, sample.logits().to_vec(), parameters)?;
    Ok(Fit::new(Matrix(map).into(), sample, ending))
}

impl CalibrationMap for Matrix {
    fn info(&self) -> &'static CalibratorInfo {
        &INFO
    }

    fn n_parameters(&self) -> usize {
        self.0.len()
    }

    fn n_classes(&self) -> Option<usize> {
        Some(self.0.bias.len())
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }

    fn apply_row(&self, logits: &[f64], _: Option<&str>, out: &mut [f64]) {
        self.0.apply(logits, logits, out);
    }
}
