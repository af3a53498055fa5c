//! The inverse of label smoothing: what is left of the probabilities once the uniform share is taken off.
//!
//! A model that reaches the population optimum under uniform smoothing α gives `(1-α)η + α/K`
//! ([`theory::unsmooth`](crate::theory::unsmooth)); this map gives η back, kept above a floor.

use serde::{Deserialize, Serialize};

use super::fit_report::Ending;
use super::{CalibrationMap, CalibratorInfo, Entry, FLOOR, Fit, Fitting, Output, rows};
use crate::error::{Result, check_range, check_range_hint};
use crate::kernels::math;
use crate::parameters::Parameter;

const INFO: CalibratorInfo = CalibratorInfo {
    name: "unsmooth",
    summary: "undoes uniform label smoothing of a known strength; nothing is fitted",
    formula: "p_k ∝ max(p_k - α/K, floor)",
    preserves_accuracy: true,
    output: Output::Probabilities,
    fitting: Fitting::Given,
    parameters: &[
        Parameter::number(
            "smoothing",
            0.1,
            0.0,
            0.999_999,
            "the strength α of the training, convention uniform",
        ),
        FLOOR,
    ],
    paper: "inverse of Szegedy et al. 2016, arXiv:1512.00567",
};

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    fit: |sample, parameters| {
        let map = Unsmooth::new(parameters.number("smoothing"), parameters.number("floor"))?;
        Ok(Fit::new(map.into(), sample, Ending::direct()))
    },
};

/// Undoes uniform smoothing; K counts the allowed classes of a row.
///
/// # Examples
/// ```
/// use candor::calibrators::{Map, Unsmooth};
/// let map = Map::from(Unsmooth::new(0.2, 0.0)?);
/// let eta = map.probs_of_probs(candor::Probs::new(&[0.82, 0.18], 2)?, None)?;
/// assert!((eta[0] - 0.9).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Unsmooth {
    /// α in the uniform convention.
    pub smoothing: f64,
    /// Least share of a class before the row is scaled to sum to 1.
    pub floor: f64,
}

impl Unsmooth {
    /// The inverse of a strength.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a strength outside [0, 0.999999] or a floor
    /// outside [0, 0.1].
    pub fn new(smoothing: f64, floor: f64) -> Result<Self> {
        check_range_hint("smoothing", smoothing, 0.0, 0.999_999, " (uniform targets keep nothing)")?;
        check_range("floor", floor, 0.0, 0.1)?;
        Ok(Self { smoothing, floor })
    }
}

impl CalibrationMap for Unsmooth {
    fn info(&self) -> &'static CalibratorInfo {
        &INFO
    }

    fn n_parameters(&self) -> usize {
        0
    }

    fn check(&self) -> Result<()> {
        Self::new(self.smoothing, self.floor).map(|_| ())
    }

    fn apply_row(&self, logits: &[f64], _: Option<&str>, out: &mut [f64]) {
        let allowed = logits.iter().filter(|z| **z != f64::NEG_INFINITY).count();
        if self.smoothing == 0.0 || allowed < 2 {
            out.copy_from_slice(logits);
            return;
        }
        out.copy_from_slice(logits);
        rows::softmax_in_place(out);
        let share = self.smoothing / allowed as f64;
        for (out, z) in out.iter_mut().zip(logits) {
            if *z != f64::NEG_INFINITY {
                // 1-α scales the floor like everything else.
                *out = ((*out - share) / (1.0 - self.smoothing)).max(self.floor);
            }
        }
        // Nearly uniform rows may lie below the smoothing's share altogether.
        let nothing = out.iter().all(|p| *p == 0.0);
        for (out, z) in out.iter_mut().zip(logits) {
            *out = match *z == f64::NEG_INFINITY {
                true => f64::NEG_INFINITY,
                false if nothing => 0.0,
                false => math::ln(*out),
            };
        }
    }
}
