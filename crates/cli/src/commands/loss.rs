//! `candor loss`: value and gradient of a registered loss on the user's own arrays.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use candor::batch::{FromProbs, Link};
use candor::losses::{Batch, LossOptions, LossValue, Reduction};
use candor::parameters::ParameterValue;
use candor::report::Warning;
use candor::{Buffers, Scalar, Storage, Targets};
use candor_recipes::Error;
use candor_recipes::predictions::{
    ScoreKind, Scores, Values, read_npy_labels, read_npy_scores, read_npy_vector, write_npy_scores,
};
use serde::Serialize;

use super::loss_targets::{Smoothing, dense, has_sigmoids};
use crate::args::{Global, LossArgs};
use crate::inputs::{parameters, request};
use crate::output::{print, print_json};
use crate::table::{short, table};

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    /// A number, or a list without reduction.
    loss: serde_json::Value,
    nll: Option<f64>,
    accuracy: Option<f64>,
    entropy: Option<f64>,
    confidence: Option<f64>,
    /// Mean entropy of the targets: what the loss cannot fall below; null for losses without such a floor.
    floor: Option<f64>,
    rows: usize,
    ignored: usize,
    denominator: f64,
    name: &'a str,
    reduction: &'a str,
    warnings: Vec<Warning>,
}

/// What one request computes on, whatever the precision.
struct Inputs {
    labels: Option<Vec<i64>>,
    dense: Option<Values>,
    teacher: Option<Values>,
    class_weights: Option<Vec<f64>>,
    sample_weights: Option<Vec<f64>>,
    upstream: Option<Vec<f64>>,
    smoothing: Smoothing,
    loss: Box<dyn candor::losses::Loss>,
}

/// Value, row losses and floor.
struct Outcome {
    value: LossValue,
    rows: Vec<f64>,
    floor: Option<f64>,
    normalised: bool,
}

pub fn run(args: &LossArgs, global: &Global) -> Result<()> {
    let (path, kind) = match (&args.logits, &args.probs) {
        (Some(path), _) => (path, ScoreKind::Logits),
        (None, Some(path)) => (path, ScoreKind::Probs),
        (None, None) => return Err(request("nothing to take the loss of: name --logits or --probs")),
    };
    let scores = read_npy_scores(path, kind)?;
    let inputs = read(args, path, &scores)?;
    let n_classes = scores.n_classes;
    let (outcome, gradient) = match (&scores.values, kind) {
        (Values::F32(probs), ScoreKind::Probs) => over_probs(args, &inputs, probs, n_classes)?,
        (Values::F64(probs), ScoreKind::Probs) => over_probs(args, &inputs, probs, n_classes)?,
        (Values::F32(logits), _) => {
            let (outcome, gradient) = compute(args, &inputs, logits, n_classes)?;
            (outcome, Values::F32(gradient))
        }
        (Values::F64(logits), _) => {
            let (outcome, gradient) = compute(args, &inputs, logits, n_classes)?;
            (outcome, Values::F64(gradient))
        }
    };
    if let Some(path) = &args.grad {
        write_npy_scores(path, &Scores { kind: ScoreKind::Logits, values: gradient, n_classes })?;
    }
    let value = outcome.value;
    let finite = |value: f64| value.is_finite().then_some(value);
    let mut warnings = Vec::new();
    if !outcome.normalised {
        warnings.push(Warning::new(
            "targets_taken_as_weights",
            "the target rows are taken as they are, whether or not they sum to 1: the gradient is s·p - q with s their sum",
        ));
    }
    let loss = if args.reduction == "none" {
        serde_json::json!(outcome.rows)
    } else {
        serde_json::json!(value.loss)
    };
    let document = Document {
        schema: "candor.loss/1",
        loss,
        nll: finite(value.nll),
        accuracy: finite(value.accuracy),
        entropy: finite(value.entropy),
        confidence: finite(value.confidence),
        floor: outcome.floor,
        rows: value.rows,
        ignored: value.ignored,
        denominator: value.denominator,
        name: &args.loss,
        reduction: &args.reduction,
        warnings,
    };
    if global.json {
        return print_json(&document);
    }
    let optional = |value: Option<f64>| value.map_or("-".to_owned(), |value| short(value, 8));
    let rows = [
        ("loss", short(value.loss, 8)),
        ("un-smoothed NLL", optional(document.nll)),
        ("floor of the loss", optional(document.floor)),
        ("accuracy", optional(document.accuracy)),
        ("entropy of the predictions", optional(document.entropy)),
        ("rows", value.rows.to_string()),
        ("ignored rows", value.ignored.to_string()),
    ]
    .map(|(name, value)| vec![name.to_owned(), value]);
    print(&table(&[args.loss.as_str(), args.reduction.as_str()], &rows))
}

/// The loss over probabilities: on their logits in double precision, and its gradient turned back.
fn over_probs<T: Scalar>(
    args: &LossArgs,
    inputs: &Inputs,
    probs: &[T],
    n_classes: usize,
) -> Result<(Outcome, Values)> {
    let link = if has_sigmoids(&args.loss) { Link::Sigmoid } else { Link::Softmax };
    let link = FromProbs::new(link, args.clip)?;
    let logits = link.logits(probs, n_classes)?;
    let (outcome, mut gradient) = compute(args, inputs, &logits, n_classes)?;
    link.gradient(probs, n_classes, &mut gradient)?;
    Ok((outcome, Values::F64(gradient)))
}

fn read(args: &LossArgs, path: &Path, scores: &Scores) -> Result<Inputs> {
    let labels = args.labels.as_deref().map(read_npy_labels).transpose()?;
    if let Some(labels) = &labels
        && labels.len() != scores.n_rows()
    {
        let expected = scores.n_rows();
        return Err(candor::Error::Shape { what: "labels", expected, got: labels.len() })
            .context(path.display().to_string());
    }
    let matrix = |path: &Path| -> Result<Values> {
        let rows = read_npy_scores(path, ScoreKind::Probs)?;
        if (rows.n_rows(), rows.n_classes) != (scores.n_rows(), scores.n_classes) {
            let problem = format!(
                "has shape [{}, {}], but the logits have [{}, {}]",
                rows.n_rows(),
                rows.n_classes,
                scores.n_rows(),
                scores.n_classes
            );
            return Err(Error::Format { path: path.to_owned(), problem }.into());
        }
        Ok(rows.values)
    };
    let dense = args.targets.as_deref().map(matrix).transpose()?;
    if labels.is_none() && dense.is_none() {
        return Err(request("no targets given: name --labels or --targets"));
    }
    let given: BTreeMap<String, ParameterValue> = parameters(&args.set)?;
    let loss = candor::losses::by_name(&args.loss, &given)?;
    let upstream = args.upstream.as_deref().map(read_npy_vector).transpose()?;
    if let Some(upstream) = &upstream {
        if args.reduction != "none" {
            return Err(request("--upstream multiplies the rows of a gradient: it needs --reduction none"));
        }
        if upstream.len() != scores.n_rows() {
            let expected = scores.n_rows();
            return Err(candor::Error::Shape { what: "upstream", expected, got: upstream.len() }.into());
        }
    }
    Ok(Inputs {
        labels,
        dense,
        teacher: args.teacher.as_deref().map(matrix).transpose()?,
        class_weights: args.weights.as_deref().map(read_npy_vector).transpose()?,
        sample_weights: args.sample_weights.as_deref().map(read_npy_vector).transpose()?,
        upstream,
        smoothing: Smoothing::new(args, scores.n_classes)?,
        loss,
    })
}

fn compute<T: Scalar>(
    args: &LossArgs,
    inputs: &Inputs,
    logits: &[T],
    n_classes: usize,
) -> Result<(Outcome, Vec<T>)> {
    let targets = match (&inputs.labels, &inputs.dense) {
        (Some(labels), _) => inputs.smoothing.of_labels(args, labels, n_classes)?,
        (None, Some(rows)) => inputs.smoothing.of_rows(args, rows, n_classes)?,
        (None, None) => return Err(request("no targets given: name --labels or --targets")),
    };
    let options = LossOptions {
        reduction: args.reduction.parse::<Reduction>()?,
        class_weights: inputs.class_weights.as_deref(),
        weighting: args.weighting.parse()?,
        sample_weights: inputs.sample_weights.as_deref(),
        mean_over: args.mean_over.parse()?,
        denominator: args.denominator,
        entropy: true,
    };
    let mut gradient = vec![T::default(); logits.len()];
    let mut rows = vec![T::default(); targets.n_rows()];
    let mut batch = Batch::new(Buffers::Gradient { logits, gradient: &mut gradient }, &targets)
        .options(options)
        .losses(&mut rows);
    if let Some(teacher) = &inputs.teacher {
        batch = batch.teacher(dense(teacher));
    }
    let mut state = inputs.loss.initial_state(n_classes);
    let value = candor::losses::value_grad(inputs.loss.as_ref(), batch, &mut state)?;
    if let Some(upstream) = &inputs.upstream {
        for (row, factor) in gradient.chunks_exact_mut(n_classes).zip(upstream) {
            row.iter_mut().for_each(|g| *g = T::from_f64(g.to_f64() * factor));
        }
    }
    let floor = (inputs.loss.info().name == "cross_entropy").then(|| floor(&targets)).flatten();
    let outcome = Outcome {
        value,
        rows: rows.into_iter().map(Storage::to_f64).collect(),
        floor,
        // Sigmoid targets are no distributions, and nobody takes them for some.
        normalised: targets.is_normalised() || has_sigmoids(&args.loss),
    };
    Ok((outcome, gradient))
}

/// Mean entropy of the target rows that count.
fn floor(targets: &Targets<'_>) -> Option<f64> {
    let counted = targets.counted();
    if counted == 0 || !targets.is_normalised() {
        return None;
    }
    let entropy = |row: Vec<f64>| -> f64 { row.into_iter().filter(|q| *q > 0.0).map(|q| -q * q.ln()).sum() };
    let sum: f64 = (0..targets.n_rows())
        .filter_map(|row| targets.row(row))
        .map(|row| entropy(row.dense(targets.n_classes())))
        .sum();
    Some(sum / counted as f64)
}
