//! Points for the study of flipped labels: generated sets, images or a table, with a constant feature added.

use crate::config::DataConfig;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::{semi_supervised, tabular};

/// Most test rows at which predictions are compared.
const MOST_QUERIES: usize = 500;

/// A data set, and its rows in double precision.
#[derive(Debug, Clone)]
pub struct StabilityData {
    /// The set.
    pub dataset: Dataset,
    /// Number of features, the constant one included.
    pub width: usize,
}

impl StabilityData {
    /// These rows as `[n, width]`, each ending in 1: the intercept of the ridge learners and of softmax regression,
    /// which is penalised like any weight.
    pub fn rows(&self, rows: &[usize]) -> Vec<f64> {
        let one =
            |row: &usize| self.dataset.features.row(*row).iter().map(|value| f64::from(*value)).chain([1.0]);
        rows.iter().flat_map(one).collect()
    }

    /// The test rows at which predictions are compared.
    pub fn queries(&self) -> &[usize] {
        let test = &self.dataset.parts.test;
        &test[..test.len().min(MOST_QUERIES)]
    }
}

/// Reads a set: a table where a target column is named or the set is one, else images or the two moons.
///
/// # Errors
/// Those of the set.
pub fn load(config: &DataConfig) -> Result<StabilityData> {
    let is_table = !config.target_column.is_empty() || config.path == tabular::data::GENERATED;
    let dataset = if is_table {
        tabular::data::load(config)?.dataset
    } else {
        semi_supervised::data::images_or_moons(config)?
    };
    let width = dataset.features.width() + 1;
    Ok(StabilityData { dataset, width })
}
