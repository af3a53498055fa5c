//! Reads the predictions that a command was given.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use candor::parameters::ParameterValue;
use candor_recipes::Error;
use candor_recipes::predictions::{
    self, BadRows, ClassNames, Collected, Fields, InputKind, OnBad, Predictions, Scores, Stream,
    read_npy_labels,
};

use crate::args::PredictionArgs;

/// The predictions, and a name for messages.
pub struct Input {
    pub predictions: Predictions,
    /// The group of each row, if a column was asked for.
    pub groups: Option<Vec<String>>,
    pub name: String,
}

/// Reads all files or arrays into memory; says on standard error how many rows were left out.
pub fn read(args: &PredictionArgs, group: Option<&str>) -> Result<Input> {
    let input = source(args)?;
    if group.is_some() && args.files.is_empty() {
        return Err(request("--group names a column of a prediction file; bare arrays have none"));
    }
    let name = input.name();
    let stream = Stream::open(&input, Fields { group: group.map(str::to_owned), ..fields(args)? })?;
    let Collected { predictions, groups, bad } = stream.collect(args.ignore_index, on_bad(args)?)?;
    remark(&bad);
    Ok(Input { predictions, groups, name })
}

/// Says that rows were left out.
pub fn remark(bad: &BadRows) {
    if bad.count > 0 {
        eprintln!("left out: {} rows ({}), the first:\n{}", bad.count, bad.summary(), bad.shown());
    }
}

/// The files or arrays that were named.
pub fn source(args: &PredictionArgs) -> Result<predictions::Input> {
    if !args.files.is_empty() {
        let format = args.format.as_deref().map(str::parse).transpose()?;
        return Ok(predictions::Input::files(&args.files, format)?);
    }
    let given = [
        (InputKind::Logits, &args.logits),
        (InputKind::Probs, &args.probs),
        (InputKind::Binary, &args.binary),
        (InputKind::Confidence, &args.confidence),
    ];
    let Some((kind, scores)) = given.into_iter().find_map(|(kind, path)| Some((kind, path.clone()?))) else {
        return Err(request(
            "no predictions given: name a file, or --logits, --probs or --binary with --labels, or --confidence with --correct",
        ));
    };
    let labels = if kind == InputKind::Confidence { &args.correct } else { &args.labels };
    let Some(labels) = labels.clone() else { return Err(request("--labels is missing")) };
    Ok(predictions::Input::Arrays { kind, scores, labels })
}

/// The columns to read.
pub fn fields(args: &PredictionArgs) -> Result<Fields> {
    let columns = &args.columns;
    let given = [
        (InputKind::Logits, &columns.logits_column),
        (InputKind::Probs, &columns.probs_column),
        (InputKind::Binary, &columns.score_column),
        (InputKind::Confidence, &columns.confidence_column),
    ];
    let scores = given.into_iter().find_map(|(kind, name)| Some((kind, name.clone()?)));
    Ok(Fields {
        kind: scores.as_ref().map(|scores| scores.0),
        scores: scores.map(|scores| scores.1),
        labels: columns.labels_column.clone(),
        correct: columns.correct_column.clone(),
        weights: columns.weights_column.clone(),
        group: None,
        class_names: args.class_names.as_deref().map(ClassNames::read).transpose()?,
    })
}

/// What happens to rows that cannot be used.
pub fn on_bad(args: &PredictionArgs) -> Result<OnBad> {
    match args.on_bad.as_str() {
        "refuse" => Ok(OnBad::Refuse),
        "skip" => Ok(OnBad::Skip),
        other => Err(candor::registry::unknown("way to treat bad rows", other, ["refuse", "skip"]).into()),
    }
}

/// Scores with the labels of a file.
pub fn arrays(scores: Scores, scores_path: &Path, labels_path: &Path) -> Result<Input> {
    let name = format!("{} with {}", scores_path.display(), labels_path.display());
    let labels = read_npy_labels(labels_path)?;
    let predictions = Predictions::new(scores, labels).context(name.clone())?;
    Ok(Input { predictions, groups: None, name })
}

/// A prediction file in memory, by the usual names of its columns.
pub fn read_file(path: &Path, group: Option<&str>) -> Result<Collected> {
    let input = predictions::Input::files(std::slice::from_ref(&path.to_owned()), None)?;
    let fields = Fields { group: group.map(str::to_owned), ..Fields::default() };
    Ok(Stream::open(&input, fields)?.collect(None, OnBad::Refuse)?)
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

/// An error with the name of the input in front, unless it says it itself.
pub fn named(error: Error, name: &str) -> anyhow::Error {
    let says = error.to_string().contains(name);
    let error = anyhow::Error::from(error);
    if says { error } else { error.context(name.to_owned()) }
}

/// An error of the request itself.
pub fn request(problem: &str) -> anyhow::Error {
    anyhow!(Error::Config {
        key: "request".to_owned(),
        got: "incomplete".to_owned(),
        problem: problem.to_owned()
    })
}
