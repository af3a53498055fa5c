//! `candor eval`: figures for predictions from anywhere.

use anyhow::{Context, Result};
use candor::metrics::{ALL, Evaluation, EvaluationOptions};
use candor::report::page::Page;
use serde::Serialize;

use crate::args::{EvalArgs, Global};
use crate::diagram;
use crate::inputs;
use crate::output::{print, print_json};
use crate::report;
use crate::table::{paragraph, short, table};

#[derive(Serialize)]
struct EvalDocument<'a> {
    schema: &'static str,
    file: &'a str,
    classes: usize,
    input: &'static str,
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    warnings: Vec<candor::report::Warning>,
}

pub fn run(args: &EvalArgs, global: &Global) -> Result<()> {
    let options = EvaluationOptions {
        n_bins: args.bins,
        binning: args.binning.parse()?,
        edges: args.edges.parse()?,
        seed: args.seed,
        intervals: true,
    };
    let input = inputs::read(&args.predictions)?;
    let evaluation =
        input.predictions.evaluate(options, args.predictions.ignore_index).context(input.name.clone())?;
    let scores = &input.predictions.scores;
    if let Some(path) = &args.report {
        let (_, margins) = input.predictions.histograms(args.predictions.ignore_index)?;
        let facts = [
            ("input", scores.kind.name().to_owned()),
            ("classes", scores.n_classes.to_string()),
            ("bins", format!("{} of {}", options.n_bins, options.binning.name().replace('_', " "))),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        let page = Page::evaluation(&input.name, &evaluation, &[], Some(&margins), facts, Vec::new());
        report::write_page(path, &page)?;
    }
    if global.json {
        return print_json(&EvalDocument {
            schema: "candor.eval/1",
            file: &input.name,
            classes: scores.n_classes,
            input: scores.kind.name(),
            evaluation: &evaluation,
            warnings: warnings(&evaluation),
        });
    }
    let mut text = format!(
        "{}: {} rows, {} classes, {}\n\n",
        input.name,
        evaluation.n,
        scores.n_classes,
        scores.kind.name()
    );
    text.push_str(&figures(&evaluation));
    text.push('\n');
    text.push_str(&diagram::reliability(&evaluation.reliability));
    for warning in warnings(&evaluation) {
        text.push_str(&paragraph(&format!("warning ({}): {}", warning.code, warning.message)));
    }
    print(&text)
}

/// The metrics with interval, null value and p-value.
fn figures(evaluation: &Evaluation) -> String {
    let rows: Vec<Vec<String>> = ALL
        .iter()
        .filter_map(|metric| {
            let estimate = evaluation.metrics.get(metric.name)?;
            let optional = |value: Option<f64>| value.map_or(String::new(), |value| short(value, 4));
            let ci = estimate
                .ci
                .map_or(String::new(), |[low, high]| format!("{} to {}", short(low, 4), short(high, 4)));
            let p = estimate.p_value.map_or(String::new(), |p| short(p, 3));
            Some(vec![
                metric.name.to_owned(),
                short(estimate.number(), 4),
                ci,
                optional(estimate.null_value),
                p,
            ])
        })
        .collect();
    let mut text = table(&["metric", "value", "95 % interval", "if calibrated", "p"], &rows);
    text.push_str("if calibrated: what calibrated predictions of these confidences would score\n");
    text
}

/// What the figures show that a user should act on.
fn warnings(evaluation: &Evaluation) -> Vec<candor::report::Warning> {
    candor::report::evaluation_warnings(evaluation)
}
