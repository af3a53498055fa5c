//! `candor compare --predictions`: models trained elsewhere, compared row by row.

use std::path::Path;

use anyhow::Result;
use candor::metrics::{ALL, Evaluation, EvaluationOptions};
use candor::report::page::differences_in_words;
use candor_recipes::predictions::{Evaluated, Fields, Input, OnBad, Request, Stream, evaluate};
use serde::Serialize;

use crate::args::{CompareArgs, Global};
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

/// A figure of a file less that of the first, paired by row.
#[derive(Serialize)]
struct Difference {
    file: String,
    metric: &'static str,
    mean: f64,
    ci: Option<[f64; 2]>,
    ci_method: Option<String>,
    p_value: Option<f64>,
}

pub fn run(args: &CompareArgs, global: &Global) -> Result<()> {
    let mut document = Document {
        schema: "candor.compare_predictions/1",
        files: Vec::new(),
        differences: Vec::new(),
        verdict: Vec::new(),
    };
    let Some((base, others)) = args.predictions.split_first() else { return Ok(()) };
    let name = |path: &Path| path.display().to_string();
    for other in others {
        let Evaluated { evaluation, other: Some(judged), .. } = paired(base, other)? else { continue };
        if document.files.is_empty() {
            document.files.push(File { file: name(base), evaluation });
        }
        document.verdict.extend(differences_in_words(&name(base), &name(other), &judged.differences));
        for metric in ALL {
            let Some(estimate) = judged.differences.metrics.get(metric.name) else { continue };
            let Some(mean) = estimate.difference else { continue };
            document.differences.push(Difference {
                file: name(other),
                metric: metric.name,
                mean,
                ci: estimate.ci,
                ci_method: estimate.ci_method.clone(),
                p_value: estimate.p_value,
            });
        }
        document.files.push(File { file: name(other), evaluation: judged.evaluation });
    }
    if global.json {
        return print_json(&document);
    }
    print(&people(&document))
}

/// Both files, row by row.
fn paired(base: &Path, other: &Path) -> Result<Evaluated> {
    let stream = |path: &Path| -> Result<Stream> {
        let input = Input::files(std::slice::from_ref(&path.to_owned()), None)?;
        Ok(Stream::open(&input, Fields::default())?)
    };
    let request = Request {
        options: EvaluationOptions::default(),
        ignore_index: None,
        on_bad: OnBad::Refuse,
        positive: None,
        temperature: None,
        detail: false,
    };
    Ok(evaluate(stream(base)?, Some(stream(other)?), &request)?)
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
            vec![
                difference.file.clone(),
                difference.metric.to_owned(),
                short(difference.mean, 4),
                difference
                    .ci
                    .map_or("-".to_owned(), |[low, high]| format!("{} to {}", short(low, 4), short(high, 4))),
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
