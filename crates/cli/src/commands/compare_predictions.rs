//! `candor compare --predictions`: models trained elsewhere, compared row by row and as an ensemble.

use std::path::Path;

use anyhow::Result;
use candor::metrics::{ALL, Evaluation, EvaluationOptions};
use candor::report::page::differences_in_words;
use candor::report::{Warning, ensemble_warning};
use candor_recipes::predictions::{
    Evaluated, Fields, Input, InputKind, OnBad, Request, Stream, ensemble, evaluate,
};
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
    /// The mean of the models' probabilities, if all gave scores for every class.
    #[serde(skip_serializing_if = "Option::is_none")]
    ensemble: Option<Evaluation>,
    warnings: Vec<Warning>,
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
        ensemble: None,
        warnings: Vec::new(),
    };
    let Some((base, others)) = args.predictions.split_first() else { return Ok(()) };
    let name = |path: &Path| path.display().to_string();
    let mut have_classes = true;
    for other in others {
        let Evaluated { evaluation, other: Some(judged), kind, .. } = paired(base, other)? else { continue };
        have_classes &= kind != InputKind::Confidence && judged.evaluation.metrics.contains_key("nll");
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
    if have_classes {
        let members: Vec<_> = args
            .predictions
            .iter()
            .map(|path| Ok(inputs::read_file(path, None)?.predictions))
            .collect::<Result<_>>()?;
        let together = ensemble(&members)?.evaluate(EvaluationOptions::default(), None)?;
        let alone: Vec<&Evaluation> = document.files.iter().map(|file| &file.evaluation).collect();
        document.warnings.extend(ensemble_warning(&together, &alone));
        document.ensemble = Some(together);
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
        map: None,
        detail: false,
    };
    Ok(evaluate(stream(base)?, Some(stream(other)?), &request)?)
}

fn people(document: &Document) -> String {
    let row = |name: &str, evaluation: &Evaluation| {
        let value = |name: &str, decimals| short(evaluation.value(name), decimals);
        vec![
            name.to_owned(),
            value("accuracy", 4),
            value("nll", 3),
            value("ece", 3),
            value("brier", 3),
            value("signed_gap", 3),
            value("aurc", 3),
        ]
    };
    let models = document.files.iter().map(|file| row(&file.file, &file.evaluation));
    let together = document.ensemble.iter().map(|evaluation| row("mean of their probabilities", evaluation));
    let rows: Vec<Vec<String>> = models.chain(together).collect();
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
    for warning in &document.warnings {
        text.push_str(&paragraph(&format!("warning ({}): {}", warning.code, warning.message)));
    }
    text
}
