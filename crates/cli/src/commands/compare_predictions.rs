//! `candor compare --predictions`: models trained elsewhere, compared row by row.

use anyhow::{Context, Result};
use candor::metrics::{Evaluation, EvaluationOptions, RowScore};
use candor::statistics::{PairedDifference, paired_t};
use candor_recipes::Error;
use candor_recipes::predictions::Predictions;
use serde::Serialize;

use crate::args::{CompareArgs, Global};
use crate::inputs;
use crate::output::{print, print_json};
use crate::table::{paragraph, short, table};

#[derive(Serialize)]
struct Document {
    schema: &'static str,
    files: Vec<File>,
    differences: Vec<Difference>,
    verdict: Vec<String>,
}

#[derive(Serialize)]
struct File {
    file: String,
    evaluation: Evaluation,
}

/// A figure of a file against that of the first, paired by row.
#[derive(Serialize)]
struct Difference {
    file: String,
    metric: &'static str,
    #[serde(flatten)]
    difference: PairedDifference,
    ci_method: &'static str,
}

/// A figure of one row.
type RowFigure = fn(&RowScore) -> f64;

/// The figures that are means over rows, so that rows can be paired.
const PAIRED: [(&str, RowFigure); 4] = [
    ("accuracy", |score| f64::from(u8::from(score.correct))),
    ("nll", |score| score.nll),
    ("brier", |score| score.brier),
    ("signed_gap", |score| score.confidence - f64::from(u8::from(score.correct))),
];

pub fn run(args: &CompareArgs, global: &Global) -> Result<()> {
    let mut files = Vec::new();
    let mut scores: Vec<Vec<RowScore>> = Vec::new();
    let mut labels: Option<Vec<i64>> = None;
    for path in &args.predictions {
        let name = path.display().to_string();
        let predictions: Predictions = inputs::read_file(path)?;
        if let Some(first) = &labels
            && *first != predictions.labels
        {
            let problem = match first.iter().zip(&predictions.labels).position(|(a, b)| a != b) {
                Some(row) => format!(
                    "row {row} has another label than in the first file; the rows must be the same, in the same order"
                ),
                None => {
                    format!("has {} rows, but the first file has {}", predictions.labels.len(), first.len())
                }
            };
            return Err(Error::Format { path: path.clone(), problem }.into());
        }
        let evaluation = predictions.evaluate(EvaluationOptions::default(), None).context(name.clone())?;
        scores.push(predictions.row_scores(None)?.into_iter().flatten().collect());
        labels = Some(predictions.labels);
        files.push(File { file: name, evaluation });
    }
    let mut differences = Vec::new();
    let Some((base, others)) = scores.split_first() else { return Ok(()) };
    for (file, rows) in files.iter().skip(1).zip(others) {
        for (metric, figure) in PAIRED {
            let pairs: Vec<f64> = rows.iter().zip(base).map(|(a, b)| figure(a) - figure(b)).collect();
            if pairs.iter().all(|difference| difference.is_finite())
                && let Some(difference) = paired_t(&pairs, 0.95)
            {
                differences.push(Difference {
                    file: file.file.clone(),
                    metric,
                    difference,
                    ci_method: "paired t by row",
                });
            }
        }
    }
    let verdict = differences.iter().filter_map(|difference| sentence(difference, &files[0].file)).collect();
    let document = Document { schema: "candor.compare_predictions/1", files, differences, verdict };
    if global.json {
        return print_json(&document);
    }
    print(&people(&document))
}

/// What a difference says, if it is more than chance.
fn sentence(difference: &Difference, base: &str) -> Option<String> {
    let [low, high] = difference.difference.ci?;
    if low <= 0.0 && high >= 0.0 {
        return None;
    }
    let better = match difference.metric {
        "accuracy" => difference.difference.mean > 0.0,
        "nll" | "brier" => difference.difference.mean < 0.0,
        _ => return None,
    };
    Some(format!(
        "{} has a {} {} than {base}: {} ({} to {}).",
        difference.file,
        if better { "better" } else { "worse" },
        difference.metric,
        short(difference.difference.mean, 4),
        short(low, 4),
        short(high, 4)
    ))
}

fn people(document: &Document) -> String {
    let rows: Vec<Vec<String>> = document
        .files
        .iter()
        .map(|file| {
            let value = |name: &str, decimals| short(file.evaluation.value(name), decimals);
            vec![
                file.file.clone(),
                value("accuracy", 4),
                value("nll", 3),
                value("ece", 3),
                value("brier", 3),
                value("signed_gap", 3),
                value("aurc", 3),
            ]
        })
        .collect();
    let mut text = table(&["file", "accuracy", "NLL", "ECE", "Brier", "gap", "AURC"], &rows);
    text.push('\n');
    let rows: Vec<Vec<String>> = document
        .differences
        .iter()
        .map(|difference| {
            let ci = difference.difference.ci;
            vec![
                difference.file.clone(),
                difference.metric.to_owned(),
                short(difference.difference.mean, 4),
                ci.map_or("-".to_owned(), |[low, high]| format!("{} to {}", short(low, 4), short(high, 4))),
            ]
        })
        .collect();
    text.push_str(&table(&["against the first", "metric", "difference", "95 % interval"], &rows));
    text.push('\n');
    if document.verdict.is_empty() {
        text.push_str("No difference is larger than chance would make it.\n");
    }
    document.verdict.iter().for_each(|sentence| text.push_str(&paragraph(sentence)));
    text
}
