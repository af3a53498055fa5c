//! Reads the predictions that a command was given.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use candor::parameters::ParameterValue;
use candor_recipes::Error;
use candor_recipes::predictions::{
    Predictions, ScoreKind, Scores, read_npy_labels, read_npy_scores, read_parquet,
};

use crate::args::PredictionArgs;

/// The predictions, and a name for messages.
pub struct Input {
    pub predictions: Predictions,
    pub name: String,
}

/// Reads the file or the arrays.
pub fn read(args: &PredictionArgs) -> Result<Input> {
    if let Some(file) = &args.file {
        let predictions = read_file(file)?;
        return Ok(Input { predictions, name: file.display().to_string() });
    }
    let (scores, path) = match (&args.logits, &args.probs) {
        (Some(path), _) => (read_npy_scores(path, ScoreKind::Logits)?, path),
        (None, Some(path)) => (read_npy_scores(path, ScoreKind::Probs)?, path),
        (None, None) => {
            return Err(request(
                "no predictions given: name a Parquet file, or --logits or --probs with --labels",
            ));
        }
    };
    let Some(labels) = &args.labels else { return Err(request("--labels is missing")) };
    arrays(scores, path, labels)
}

/// Scores with the labels of a file.
pub fn arrays(scores: Scores, scores_path: &Path, labels_path: &Path) -> Result<Input> {
    let name = format!("{} with {}", scores_path.display(), labels_path.display());
    let labels = read_npy_labels(labels_path)?;
    let predictions = Predictions::new(scores, labels).context(name.clone())?;
    Ok(Input { predictions, name })
}

/// A prediction file by its ending.
pub fn read_file(path: &Path) -> Result<Predictions> {
    if path.extension().is_some_and(|ending| ending == "npy") {
        let problem = "a bare array has no labels; give it with --logits or --probs, and --labels";
        return Err(Error::Format { path: path.to_owned(), problem: problem.to_owned() }.into());
    }
    Ok(read_parquet(path, None)?)
}

/// `KEY=VALUE` texts as parameters: numbers where they read as such.
pub fn parameters(set: &[String]) -> Result<BTreeMap<String, ParameterValue>> {
    set.iter()
        .map(|text| {
            let (key, value) =
                text.split_once('=').ok_or_else(|| request(&format!("--set {text} must be KEY=VALUE")))?;
            let value = match value.trim().parse::<f64>() {
                Ok(number) => ParameterValue::Number(number),
                Err(_) => ParameterValue::Text(value.trim().to_owned()),
            };
            Ok((key.trim().to_owned(), value))
        })
        .collect()
}

/// An error of the request itself.
pub fn request(problem: &str) -> anyhow::Error {
    anyhow!(Error::Config {
        key: "request".to_owned(),
        got: "incomplete".to_owned(),
        problem: problem.to_owned()
    })
}
