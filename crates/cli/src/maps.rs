//! Stored calibration maps: read and checked, and said in a few words.

use std::path::Path;

use anyhow::Result;
use candor::calibrators::{Map, SavedMap};
use candor_recipes::{Error, files};
use serde::Deserialize;

/// What is read of a file that `calibrate fit` wrote.
#[derive(Debug, Deserialize)]
pub struct StoredMap {
    #[serde(flatten)]
    pub saved: SavedMap,
    /// The column of the groups that it was fitted with.
    #[serde(default)]
    pub group: Option<String>,
}

/// Reads a map and checks its numbers.
pub fn read(path: &Path) -> Result<StoredMap> {
    let bytes = files::read(path)?;
    let bad = |problem: String| Error::Format { path: path.to_owned(), problem };
    let stored: StoredMap = serde_json::from_slice(&bytes)
        .map_err(|error| bad(format!("is no map written by calibrate fit: {error}")))?;
    stored.saved.check().map_err(|error| bad(format!("is a map that this version cannot apply: {error}")))?;
    Ok(stored)
}

/// A map in a few words.
pub fn described(map: &Map) -> String {
    match map {
        Map::Temperature(map) => format!("temperature {:.6}", map.temperature),
        Map::GroupTemperature(map) => {
            let each: Vec<String> = map.groups.iter().map(|(name, t)| format!("{name} {t:.4}")).collect();
            format!("temperatures {} (others {:.4})", each.join(", "), map.pooled)
        }
        Map::EnsembleTemperature(map) => {
            let [tempered, plain, uniform] = map.weights;
            format!(
                "temperature {:.6}, weights {tempered:.4} tempered, {plain:.4} plain, {uniform:.4} uniform",
                map.temperature
            )
        }
        Map::LogitNormalisation(map) => match map.p {
            Some(p) => format!("logit_normalisation with p = {p}"),
            None => "logit_normalisation: the largest probability".to_owned(),
        },
        other => format!("{} with {} numbers", other.name(), other.as_dyn().n_parameters()),
    }
}

/// A map in a word or two, for the head of a column.
pub fn short(map: &Map) -> String {
    match map {
        Map::Temperature(map) => format!("T = {:.3}", map.temperature),
        other => other.name().replace('_', " "),
    }
}
