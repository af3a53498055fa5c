//! `candor calibrate`: fits a map on held-out predictions, applies it to others.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use candor::calibrators::{self, Candidate, Fit, Map, Output, Sample, SavedMap};
use candor::metrics::{EvaluationOptions, RankedRows, selective_risk};
use candor::parameters::ParameterValue;
use candor::report::Warning;
use candor::{Labels, Logits, Probs};
use candor_recipes::files;
use candor_recipes::predictions::{
    Collected, Predictions, ScoreKind, Scores, Values, read_npy_scores, write_npy_scores, write_npy_vector,
    write_parquet,
};
use serde::Serialize;

use crate::args::{ApplyArgs, FitArgs, Global};
use crate::inputs;
use crate::maps;
use crate::output::{print, print_json};
use crate::table::{paragraph, short, table};

/// A fitted map as it is printed and stored.
#[derive(Debug, Serialize)]
struct MapFile<'a> {
    #[serde(flatten)]
    saved: SavedMap,
    /// Rows that counted.
    n: usize,
    /// What the fitted numbers were.
    input: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    before: Summary,
    after: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    choice: Option<Table>,
    warnings: Vec<Warning>,
}

/// The cross-validation behind `auto`.
#[derive(Debug, Serialize)]
struct Table {
    folds: usize,
    seed: u64,
    candidates: Vec<Candidate>,
}

/// Figures of a set of rows.
#[derive(Debug, Clone, Copy, Serialize)]
struct Summary {
    nll: f64,
    ece: f64,
    brier: f64,
    accuracy: f64,
    aurc: f64,
}

fn summary(predictions: &Predictions, ignore_index: Option<i64>) -> candor_recipes::Result<Summary> {
    let options = EvaluationOptions { intervals: false, ..EvaluationOptions::default() };
    let evaluation = predictions.evaluate(options, ignore_index)?;
    Ok(Summary {
        nll: evaluation.value("nll"),
        ece: evaluation.value("ece"),
        brier: evaluation.value("brier"),
        accuracy: evaluation.value("accuracy"),
        aurc: evaluation.value("aurc"),
    })
}

/// The figures after a map; a score of its own changes the ranking alone.
fn summary_after(
    map: &Map,
    predictions: &Predictions,
    groups: Option<&[String]>,
    ignore_index: Option<i64>,
) -> candor_recipes::Result<Summary> {
    let scores = predictions.scores.calibrated(map, groups)?;
    let after = summary(&Predictions { scores, ..predictions.clone() }, ignore_index)?;
    if map.as_dyn().info().output != Output::Confidence {
        return Ok(after);
    }
    let trust = predictions.scores.confidence(map, groups)?;
    let mut ranked = RankedRows::default();
    for (at, (score, row)) in trust.into_iter().zip(predictions.row_scores(ignore_index)?).enumerate() {
        if let Some(row) = row {
            let weight = predictions.weights.as_ref().map_or(1.0, |weights| weights[at]);
            ranked.update_weighted(score, row.correct, weight);
        }
    }
    Ok(Summary { aurc: selective_risk(&ranked)?.aurc, ..after })
}

fn sample(predictions: &Predictions, ignore_index: Option<i64>) -> candor::Result<Sample> {
    let scores = &predictions.scores;
    let k = scores.n_classes;
    let labels = Labels::with_ignore(&predictions.labels, k, ignore_index)?;
    let sample = match (&scores.values, scores.kind) {
        (Values::F32(values), ScoreKind::Logits) => Sample::from_logits(Logits::new(values, k)?, labels),
        (Values::F64(values), ScoreKind::Logits) => Sample::from_logits(Logits::new(values, k)?, labels),
        (Values::F32(values), ScoreKind::Probs) => Sample::from_probs(Probs::new(values, k)?, labels),
        (Values::F64(values), ScoreKind::Probs) => Sample::from_probs(Probs::new(values, k)?, labels),
    }?;
    match &predictions.weights {
        Some(weights) => sample.with_weights(weights),
        None => Ok(sample),
    }
}

pub fn fit(args: &FitArgs, global: &Global) -> Result<()> {
    if args.method != "auto" {
        calibrators::by_name(&args.method)?;
        if !args.candidates.is_empty() {
            return Err(inputs::request("--candidates belongs to --method auto"));
        }
    }
    let ignore_index = args.predictions.ignore_index;
    let column = args.group.as_deref();
    let input = inputs::read(&args.predictions, column)?;
    let groups = input.groups.as_deref();
    let mut rows = sample(&input.predictions, ignore_index).context(input.name.clone())?;
    if let Some(groups) = groups {
        rows = rows.with_groups(groups)?;
    }
    let (fit, choice) = fitted(args, &rows).context(input.name.clone())?;
    let before = summary(&input.predictions, ignore_index)?;
    let after = summary_after(&fit.map, &input.predictions, groups, ignore_index)?;
    let warnings =
        fit.report.warnings.iter().map(|w| Warning::new(w.code.name(), w.message())).collect::<Vec<_>>();
    let map = MapFile {
        n: rows.n_rows(),
        input: input.predictions.scores.kind.name(),
        group: column,
        before,
        after,
        choice,
        warnings,
        saved: SavedMap::new(&fit, rows.n_classes()),
    };
    if let Some(out) = &args.out {
        let mut bytes = serde_json::to_vec_pretty(&map)?;
        bytes.push(b'\n');
        files::write_bytes(out, &bytes)?;
    }
    if global.json {
        return print_json(&map);
    }
    let mut text = format!("{}: {}, fitted on {} rows\n\n", input.name, maps::described(&fit.map), map.n);
    if let Some(choice) = &map.choice {
        text.push_str(&choice_table(choice, fit.map.name()));
        text.push('\n');
    }
    text.push_str(&before_after(&map.before, &map.after));
    let report = &fit.report;
    text.push_str(&format!(
        "{} after {} steps, gradient {:.1e}. ",
        if report.converged { "Converged" } else { "Stopped" },
        report.iterations,
        report.gradient_norm
    ));
    text.push_str("The figures are of the fitted rows; judge the map on others.\n");
    if fit.map.as_dyn().info().output == Output::Confidence {
        text.push_str("This map ranks predictions by trust (see aurc); its score is no probability.\n");
    }
    for warning in &map.warnings {
        text.push_str(&paragraph(&format!("warning ({}): {}", warning.code, warning.message)));
    }
    print(&text)
}

/// The fit, and the table of `auto`.
fn fitted(args: &FitArgs, rows: &Sample) -> Result<(Fit, Option<Table>)> {
    let given = inputs::parameters(&args.set)?;
    if args.method != "auto" {
        return Ok((calibrators::fit(&args.method, &given, rows)?, None));
    }
    let mut by_method: BTreeMap<String, BTreeMap<String, ParameterValue>> = BTreeMap::new();
    for (key, value) in given {
        let Some((method, key)) = key.split_once('.') else {
            return Err(inputs::request(&format!(
                "with --method auto a parameter is --set METHOD.{key}=VALUE"
            )));
        };
        by_method.entry(method.to_owned()).or_default().insert(key.to_owned(), value);
    }
    let names: Vec<&str> = args.candidates.iter().map(String::as_str).collect();
    let choice = calibrators::choose(rows, &names, &by_method, args.folds, args.seed)?;
    let table = Table { folds: args.folds, seed: args.seed, candidates: choice.table };
    Ok((choice.fit, Some(table)))
}

fn choice_table(choice: &Table, chosen: &str) -> String {
    let rows: Vec<Vec<String>> = choice
        .candidates
        .iter()
        .map(|candidate| {
            vec![
                candidate.method.to_owned(),
                candidate.n_parameters.to_string(),
                short(candidate.nll, 4),
                short(candidate.excess, 4),
                short(candidate.standard_error, 4),
                if candidate.method == chosen { "chosen".to_owned() } else { String::new() },
            ]
        })
        .collect();
    let headings = ["map", "numbers", "held-out nll", "above the best", "standard error", ""];
    format!(
        "{}{} folds, the simplest within one standard error of the best.\n",
        table(&headings, &rows),
        choice.folds
    )
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
            row("aurc", before.aurc, after.aurc),
        ],
    )
}

/// The predictions to calibrate: with labels, or scores alone.
enum Given {
    File(Predictions),
    Labelled(Predictions),
    Bare(Scores),
}

impl Given {
    fn read(args: &ApplyArgs, group: Option<&str>) -> Result<(Self, Option<Vec<String>>)> {
        if group.is_some() && args.file.is_none() {
            return Err(inputs::request(
                "--group names a column of a prediction file; bare arrays have none",
            ));
        }
        let (scores, path) = match (&args.file, &args.logits, &args.probs) {
            (Some(file), ..) => {
                let Collected { predictions, groups, .. } = inputs::read_file(file, group)?;
                return Ok((Given::File(predictions), groups));
            }
            (None, Some(path), _) => (read_npy_scores(path, ScoreKind::Logits)?, path),
            (None, None, Some(path)) => (read_npy_scores(path, ScoreKind::Probs)?, path),
            (None, None, None) => {
                return Err(inputs::request(
                    "no predictions given: name a prediction file, or --logits or --probs",
                ));
            }
        };
        let given = match &args.labels {
            Some(labels) => Given::Labelled(inputs::arrays(scores, path, labels)?.predictions),
            None => Given::Bare(scores),
        };
        Ok((given, None))
    }

    fn predictions(&self) -> Option<&Predictions> {
        match self {
            Given::File(predictions) | Given::Labelled(predictions) => Some(predictions),
            Given::Bare(_) => None,
        }
    }

    fn scores(&self) -> &Scores {
        match self {
            Given::File(predictions) | Given::Labelled(predictions) => &predictions.scores,
            Given::Bare(scores) => scores,
        }
    }
}

pub fn apply(args: &ApplyArgs, global: &Global) -> Result<()> {
    let stored = maps::read(&args.map)?;
    let map = &stored.saved.map;
    let scored = map.as_dyn().info().output == Output::Confidence;
    if scored && args.out.extension().is_none_or(|ending| ending != "npy") {
        return Err(inputs::request(
            "this map gives one confidence score a row and no probabilities: name a .npy file with --out",
        ));
    }
    let column = args.group.as_deref().or(stored.group.as_deref()).filter(|_| map.needs_groups());
    let (given, groups) = Given::read(args, column)?;
    let groups = groups.as_deref();
    let what = || args.map.display().to_string();
    let figures = match given.predictions() {
        Some(predictions) => Some((
            summary(predictions, args.ignore_index)?,
            summary_after(map, predictions, groups, args.ignore_index).with_context(what)?,
        )),
        None => None,
    };
    if scored {
        write_npy_vector(&args.out, &given.scores().confidence(map, groups).with_context(what)?)?;
    } else {
        let scores = given.scores().calibrated(map, groups).with_context(what)?;
        match &given {
            Given::File(predictions) => {
                write_parquet(&args.out, &Predictions::new(scores, predictions.labels.clone())?)?;
            }
            Given::Labelled(_) | Given::Bare(_) => write_npy_scores(&args.out, &scores)?,
        }
    }
    if global.json {
        #[derive(Serialize)]
        struct Applied<'a> {
            schema: &'static str,
            #[serde(flatten)]
            map: &'a Map,
            out: String,
            before: Option<Summary>,
            after: Option<Summary>,
        }
        return print_json(&Applied {
            schema: "candor.calibrate.apply/1",
            map,
            out: args.out.display().to_string(),
            before: figures.map(|(before, _)| before),
            after: figures.map(|(_, after)| after),
        });
    }
    let mut text = String::new();
    if let Some((before, after)) = &figures {
        text.push_str(&before_after(before, after));
    }
    let kind = if scored { "Confidence scores" } else { "Calibrated scores" };
    text.push_str(&format!("{kind} by {} are in {}\n", maps::described(map), args.out.display()));
    print(&text)
}
