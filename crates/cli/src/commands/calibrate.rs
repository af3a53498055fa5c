//! `candor calibrate`: fits a map on held-out predictions, applies it to others.

use anyhow::{Context, Result};
use candor::calibrators::{self, Outcome, Temperature};
use candor::metrics::EvaluationOptions;
use candor::report::Warning;
use candor_recipes::predictions::{Predictions, ScoreKind, read_npy_scores, write_npy_scores, write_parquet};
use candor_recipes::{Error, files};
use serde::{Deserialize, Serialize};

use crate::args::{ApplyArgs, FitArgs, Global};
use crate::inputs;
use crate::output::{print, print_json};
use crate::table::{paragraph, short, table};

/// A fitted map as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct MapFile {
    schema: String,
    method: String,
    parameters: Temperature,
    n: usize,
    outcome: Outcome,
    before: Summary,
    after: Summary,
    #[serde(default)]
    warnings: Vec<Warning>,
}

/// Figures of the fitted rows.
#[derive(Debug, Serialize, Deserialize)]
struct Summary {
    nll: f64,
    ece: f64,
    brier: f64,
    accuracy: f64,
}

const SCHEMA: &str = "candor.calibrate/1";

fn summary(predictions: &Predictions, ignore_index: Option<i64>) -> candor_recipes::Result<Summary> {
    let options = EvaluationOptions { intervals: false, ..EvaluationOptions::default() };
    let evaluation = predictions.evaluate(options, ignore_index)?;
    Ok(Summary {
        nll: evaluation.value("nll"),
        ece: evaluation.value("ece"),
        brier: evaluation.value("brier"),
        accuracy: evaluation.value("accuracy"),
    })
}

pub fn fit(args: &FitArgs, global: &Global) -> Result<()> {
    let known = calibrators::ALL.iter().map(|calibrator| calibrator.name);
    if !known.clone().any(|name| name == args.method) {
        return Err(candor::registry::unknown("calibrator", &args.method, known).into());
    }
    let input = inputs::read(&args.predictions)?;
    let ignore_index = args.predictions.ignore_index;
    let fit = input.predictions.fit_temperature(ignore_index).context(input.name.clone())?;
    let before = summary(&input.predictions, ignore_index)?;
    let mut scaled = input.predictions.clone();
    scaled.scores.apply_temperature(&fit.map)?;
    let after = summary(&scaled, ignore_index)?;
    let warnings: Vec<Warning> =
        fit.outcome.warning().map(|text| Warning::new("temperature_at_bound", text)).into_iter().collect();
    let map = MapFile {
        schema: SCHEMA.to_owned(),
        method: args.method.clone(),
        parameters: fit.map,
        n: input.predictions.labels.iter().filter(|label| Some(**label) != ignore_index).count(),
        outcome: fit.outcome,
        before,
        after,
        warnings,
    };
    if let Some(out) = &args.out {
        let mut bytes = serde_json::to_vec_pretty(&map)?;
        bytes.push(b'\n');
        files::write_bytes(out, &bytes)?;
    }
    if global.json {
        return print_json(&map);
    }
    let mut text =
        format!("{}: temperature {:.6} from {} rows\n\n", input.name, map.parameters.temperature, map.n);
    text.push_str(&before_after(&map.before, &map.after));
    text.push_str("The figures are of the fitted rows; judge the map on others.\n");
    for warning in &map.warnings {
        text.push_str(&paragraph(&format!("warning ({}): {}", warning.code, warning.message)));
    }
    print(&text)
}

fn before_after(before: &Summary, after: &Summary) -> String {
    let row = |name: &str, a: f64, b: f64| vec![name.to_owned(), short(a, 4), short(b, 4)];
    table(
        &["metric", "before", "after"],
        &[
            row("accuracy", before.accuracy, after.accuracy),
            row("nll", before.nll, after.nll),
            row("brier", before.brier, after.brier),
            row("ece", before.ece, after.ece),
        ],
    )
}

pub fn apply(args: &ApplyArgs, global: &Global) -> Result<()> {
    let bytes = files::read(&args.map)?;
    let bad = |problem: String| Error::Format { path: args.map.clone(), problem };
    let map: MapFile = serde_json::from_slice(&bytes)
        .map_err(|error| bad(format!("is no map written by calibrate fit: {error}")))?;
    if map.schema != SCHEMA || map.method != "temperature" {
        return Err(bad(format!(
            "is a {} map of schema {}, which this version cannot apply",
            map.method, map.schema
        ))
        .into());
    }
    let temperature = Temperature::new(map.parameters.temperature).context(args.map.display().to_string())?;
    let (before, after) = match (&args.file, &args.logits) {
        (Some(file), _) => {
            let mut predictions = inputs::read_file(file)?;
            let before = summary(&predictions, args.ignore_index).context(file.display().to_string())?;
            predictions.scores.apply_temperature(&temperature)?;
            let after = summary(&predictions, args.ignore_index)?;
            write_parquet(&args.out, &predictions)?;
            (Some(before), Some(after))
        }
        (None, Some(logits)) => {
            let scores = read_npy_scores(logits, ScoreKind::Logits)?;
            let mut scaled = scores.clone();
            scaled.apply_temperature(&temperature)?;
            let figures = match &args.labels {
                Some(labels) => {
                    let mut input = inputs::arrays(scores, logits, labels)?;
                    let before =
                        summary(&input.predictions, args.ignore_index).context(input.name.clone())?;
                    input.predictions.scores = scaled.clone();
                    (Some(before), Some(summary(&input.predictions, args.ignore_index)?))
                }
                None => (None, None),
            };
            write_npy_scores(&args.out, &scaled)?;
            figures
        }
        (None, None) => return Err(inputs::request("no predictions given: name a Parquet file or --logits")),
    };
    if global.json {
        #[derive(Serialize)]
        struct Applied<'a> {
            schema: &'static str,
            method: &'a str,
            parameters: Temperature,
            out: String,
            before: Option<Summary>,
            after: Option<Summary>,
        }
        return print_json(&Applied {
            schema: "candor.calibrate.apply/1",
            method: &map.method,
            parameters: temperature,
            out: args.out.display().to_string(),
            before,
            after,
        });
    }
    let mut text = String::new();
    if let (Some(before), Some(after)) = (&before, &after) {
        text.push_str(&before_after(before, after));
    }
    text.push_str(&format!(
        "Logits divided by {:.6} are in {}\n",
        temperature.temperature,
        args.out.display()
    ));
    print(&text)
}
