//! Dirichlet calibration: a matrix and a bias on log-probabilities (Kull et al. 2019, arXiv:1910.12656).

use serde::{Deserialize, Serialize};

use super::linear_map::{BIAS, LinearMap, OFF_DIAGONAL};
use super::{CalibrationMap, CalibratorInfo, Entry, Fit, Fitting, Output, Sample, rows};
use crate::error::Result;
use crate::parameters::Parameters;

const INFO: CalibratorInfo = CalibratorInfo {
    name: "dirichlet",
    summary: "a matrix and a bias on log-probabilities: the multi-class form of beta calibration",
    formula: "softmax(W ln p + b)",
    preserves_accuracy: false,
    output: Output::Probabilities,
    fitting: Fitting::Convex,
    parameters: &[OFF_DIAGONAL, BIAS],
    paper: "Kull et al. 2019, arXiv:1910.12656",
};

pub(super) const ENTRY: Entry = Entry { info: &INFO, fit };

/// W and b on log-probabilities.
///
/// # Examples
/// ```
/// use candor::calibrators::{Dirichlet, LinearMap, Map};
/// let square = LinearMap { weights: vec![vec![2.0, 0.0], vec![0.0, 2.0]], bias: vec![0.0, 0.0] };
/// let out = Map::from(Dirichlet(square)).probs(candor::Logits::new(&[3.0_f64.ln(), 0.0], 2)?, None)?;
/// assert!((out[0] - 0.9).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dirichlet(pub LinearMap);

fn fit(sample: &Sample, parameters: &Parameters) -> Result<Fit> {
    let mut inputs = sample.logits().to_vec();
    inputs.chunks_exact_mut(sample.n_classes()).for_each(rows::log_softmax_in_place);
    let (map, ending) = LinearMap::fit(sample, inputs, parameters)?;
    Ok(Fit::new(Dirichlet(map).into(), sample, ending))
}

impl CalibrationMap for Dirichlet {
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
        let mut inputs = logits.to_vec();
        rows::log_softmax_in_place(&mut inputs);
        self.0.apply(logits, &inputs, out);
    }
}
