//! The identity: what is chosen where no map helps.

use serde::{Deserialize, Serialize};

use super::fit_report::Ending;
use super::{CalibrationMap, CalibratorInfo, Entry, Fit, Fitting, Output};
use crate::error::Result;

const INFO: CalibratorInfo = CalibratorInfo {
    name: "identity",
    summary: "leaves the predictions as they are; what `auto` chooses where no map helps",
    formula: "z",
    preserves_accuracy: true,
    output: Output::Probabilities,
    fitting: Fitting::Given,
    parameters: &[],
    paper: "none",
};

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, fit: |sample, _| Ok(Fit::new(Identity {}.into(), sample, Ending::direct())) };

/// Leaves logits as they are.
///
/// # Examples
/// ```
/// use candor::calibrators::{Identity, Map};
/// let same = Map::from(Identity {}).logits(candor::Logits::new(&[1.0, -2.0], 2)?, None)?;
/// assert_eq!(same, [1.0, -2.0]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Identity {}

impl CalibrationMap for Identity {
    fn info(&self) -> &'static CalibratorInfo {
        &INFO
    }

    fn n_parameters(&self) -> usize {
        0
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn apply_row(&self, logits: &[f64], _: Option<&str>, out: &mut [f64]) {
        out.copy_from_slice(logits);
    }
}
