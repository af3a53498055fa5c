//! Scores after a calibration map, in the kind and the precision that they had.

use candor::calibrators::Map;
use candor::{Logits, Probs};

use super::{ScoreKind, Scores, Values};

impl Scores {
    /// The scores after a map. `groups` are the groups of the rows, for a map that has one set of numbers a group.
    ///
    /// # Errors
    /// Those of [`Map::logits`].
    pub fn calibrated(&self, map: &Map, groups: Option<&[String]>) -> candor::Result<Self> {
        let values = calibrated(map, self.kind, &self.values, self.n_classes, groups)?;
        Ok(Self { kind: self.kind, values, n_classes: self.n_classes })
    }

    /// The score by which a map ranks the rows.
    ///
    /// # Errors
    /// Those of [`Map::confidence`].
    pub fn confidence(&self, map: &Map, groups: Option<&[String]>) -> candor::Result<Vec<f64>> {
        let k = self.n_classes;
        match (&self.values, self.kind) {
            (Values::F32(values), ScoreKind::Logits) => map.confidence(Logits::new(values, k)?, groups),
            (Values::F64(values), ScoreKind::Logits) => map.confidence(Logits::new(values, k)?, groups),
            (Values::F32(values), ScoreKind::Probs) => {
                map.confidence_of_probs(Probs::new(values, k)?, groups)
            }
            (Values::F64(values), ScoreKind::Probs) => {
                map.confidence_of_probs(Probs::new(values, k)?, groups)
            }
        }
    }
}

/// Rows of `n_classes` values after a map.
pub(super) fn calibrated(
    map: &Map,
    kind: ScoreKind,
    values: &Values,
    n_classes: usize,
    groups: Option<&[String]>,
) -> candor::Result<Values> {
    let narrow = |values: Vec<f64>| Values::F32(values.into_iter().map(|value| value as f32).collect());
    Ok(match (values, kind) {
        (Values::F32(values), ScoreKind::Logits) => {
            narrow(map.logits(Logits::new(values, n_classes)?, groups)?)
        }
        (Values::F64(values), ScoreKind::Logits) => {
            Values::F64(map.logits(Logits::new(values, n_classes)?, groups)?)
        }
        (Values::F32(values), ScoreKind::Probs) => {
            narrow(map.probs_of_probs(Probs::new(values, n_classes)?, groups)?)
        }
        (Values::F64(values), ScoreKind::Probs) => {
            Values::F64(map.probs_of_probs(Probs::new(values, n_classes)?, groups)?)
        }
    })
}
