//! `candor explain`: what a smoothing setting, any target rule or a row of one's own will do, before any training.

use anyhow::Result;
use candor::Convention;
use candor::parameters::ParameterValue;
use candor::theory::{Explanation, ReportOptions, RowReport, RuleReport, SigmoidReport};
use serde::Serialize;

use crate::args::{ExplainArgs, Global};
use crate::inputs::parameters;
use crate::output::{print, print_json};
use crate::table::{paragraph, table};

/// The strength where none is given.
const SMOOTHING: f64 = 0.1;

#[derive(Serialize)]
struct Document<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    explanation: &'a T,
    /// The row of the setting under class weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    weighted: Option<&'a RowReport>,
}

fn document<'a, T>(explanation: &'a T, weighted: Option<&'a RowReport>) -> Document<'a, T> {
    Document { schema: "candor.explain/1", explanation, weighted }
}

pub fn run(args: &ExplainArgs, global: &Global) -> Result<()> {
    let class_weights = (!args.class_weights.is_empty()).then_some(args.class_weights.as_slice());
    if !args.row.is_empty() {
        let report = RowReport::new("the given row", &args.row, args.label, class_weights)?;
        if global.json {
            return print_json(&document(&report, None));
        }
        return print(&row_table(&report));
    }
    match &args.target {
        Some(target) => explain_rule(target, args, class_weights, global),
        None => explain_setting(args, class_weights, global),
    }
}

/// A registered rule, whatever it is.
fn explain_rule(
    target: &str,
    args: &ExplainArgs,
    class_weights: Option<&[f64]>,
    global: &Global,
) -> Result<()> {
    let mut given = parameters(&args.set)?;
    if let Some(smoothing) = args.smoothing {
        given.insert("smoothing".to_owned(), ParameterValue::Number(smoothing));
    }
    let options = ReportOptions { label: args.label, accuracy: args.accuracy, class_weights };
    let report = RuleReport::new(target, &given, args.classes, options)?;
    if global.json {
        return print_json(&document(&report, None));
    }
    let mut text =
        format!("{} over {} classes: {}\n{}\n", report.target, report.classes, report.formula, report.paper);
    if let Some(assumption) = report.assumption {
        text.push_str(&paragraph(&format!("Shown on example data: {assumption}.")));
    }
    for row in &report.rows {
        text.push_str(&format!("\n{}\n", row_table(row)));
    }
    if let Some(sigmoids) = &report.sigmoids {
        text.push_str(&format!("\n{}", sigmoid_table(sigmoids)));
    }
    if let Some(gap) = report.expected_underconfidence {
        text.push_str(&paragraph(&format!(
            "Expected under-confidence of a model with accuracy {}: {gap:.6}.",
            report.accuracy
        )));
    }
    print(&text)
}

fn number(value: f64) -> String {
    format!("{value:.6}")
}

fn optional(value: Option<f64>, absent: &str) -> String {
    value.map_or(absent.to_owned(), number)
}

fn pairs(rows: Vec<(&str, String)>) -> String {
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    table(&["", "value"], &rows)
}

/// Masses with few decimals; long rows are cut.
fn masses(row: &[f64]) -> String {
    let shown: Vec<String> = row.iter().take(8).map(|q| format!("{q:.4}")).collect();
    let more = if row.len() > 8 { " …" } else { "" };
    format!("{}{more}", shown.join(" "))
}

fn row_table(row: &RowReport) -> String {
    let infinite = if row.has_optimum { "infinite" } else { "no optimum" };
    let mut rows = vec![
        ("target of the label", number(row.target.get(row.label).copied().unwrap_or(f64::NAN))),
        ("smallest optimal margin", optional(row.smallest_margin, infinite)),
        ("largest optimal margin", optional(row.largest_margin, infinite)),
        ("lowest possible loss, nats", optional(row.loss_floor, "none: no lower bound")),
        ("what training can remove, nats", optional(row.excess_at_uniform, "no lower bound")),
        ("Lipschitz constant of the loss (l2)", number(row.lipschitz_l2)),
        ("largest gradient of a logit", number(row.gradient_linf)),
        ("largest eigenvalue of the Hessian", number(row.hessian_bound)),
        ("effective hard weight", number(row.effective_hard_weight)),
        ("uniform strength of the same pull", number(row.equivalent_smoothing)),
    ];
    if let Some(weighted) = &row.weighted_optimum {
        rows.push(("optimum under PyTorch's class weights", masses(weighted)));
    }
    let mut text = format!("{}\ntarget: {}\n\n{}", row.case, masses(&row.target), pairs(rows));
    if row.weights_overturn_label == Some(true) {
        text.push_str(&paragraph(
            "These class weights make another class than the label the optimum; with weighting = label they do not.",
        ));
    }
    text
}

fn sigmoid_table(sigmoids: &SigmoidReport) -> String {
    pairs(vec![
        ("target of a positive", number(sigmoids.target_positive)),
        ("target of a negative", number(sigmoids.target_negative)),
        ("optimal logit of a positive", optional(sigmoids.logit_positive, "infinite")),
        ("optimal logit of a negative", optional(sigmoids.logit_negative, "infinite")),
        ("optimal margin between them", optional(sigmoids.margin, "infinite")),
        ("lowest loss of a positive, nats", number(sigmoids.floor_positive)),
        ("lowest loss of a negative, nats", number(sigmoids.floor_negative)),
        ("largest gradient of a logit", number(sigmoids.gradient_bound)),
        ("largest second derivative", number(sigmoids.curvature_bound)),
        ("effective hard weight", number(sigmoids.effective_hard_weight)),
        ("sum of a row with one positive", number(sigmoids.sum_with_one_positive)),
    ])
}

/// Uniform smoothing in one of its two conventions.
fn explain_setting(args: &ExplainArgs, class_weights: Option<&[f64]>, global: &Global) -> Result<()> {
    let convention: Convention = args.convention.parse()?;
    let smoothing = args.smoothing.unwrap_or(SMOOTHING);
    let explanation = Explanation::new(smoothing, convention, args.classes)?.with_accuracy(args.accuracy)?;
    let weighted = match class_weights {
        Some(_) => {
            let mut row = vec![explanation.target_other; args.classes];
            let label = args.label.unwrap_or(args.classes / 2);
            if let Some(target) = row.get_mut(label) {
                *target = explanation.target_true;
            }
            Some(RowReport::new(&format!("label {label}"), &row, Some(label), class_weights)?)
        }
        None => None,
    };
    if global.json {
        return print_json(&document(&explanation, weighted.as_ref()));
    }
    let rows = vec![
        ("target of the true class", number(explanation.target_true)),
        ("target of each other class", number(explanation.target_other)),
        ("optimal margin between their logits", optional(explanation.margin, "infinite")),
        ("lowest possible loss, nats", number(explanation.loss_floor)),
        ("Lipschitz constant of the loss (l2)", number(explanation.lipschitz_l2)),
        ("largest gradient of a logit", number(explanation.gradient_linf)),
        ("largest eigenvalue of the Hessian", number(explanation.hessian_bound)),
        ("effective hard weight", number(explanation.effective_hard_weight)),
        ("same target, uniform convention", number(explanation.equivalent.uniform)),
        ("same target, off_class convention", number(explanation.equivalent.off_class)),
        ("same as label noise of a share", number(explanation.label_noise)),
        ("same as Mixup with Beta(a, a), a", optional(explanation.mixup_concentration, "none")),
        ("same as a teacher at temperature", optional(explanation.teacher_temperature, "infinite")),
        ("same as Hamming sampling at", optional(explanation.hamming_temperature, "infinite")),
        ("expected under-confidence", number(explanation.expected_underconfidence)),
    ];
    let mut text = format!(
        "smoothing {} ({}) over {} classes\n\n",
        explanation.smoothing,
        convention.name(),
        explanation.classes
    );
    text.push_str(&pairs(rows));
    text.push_str(&format!(
        "\n{}",
        paragraph(&format!(
            "The margin is where a label is certain; the teacher stands {} above all other classes; the under-confidence is that of a model with accuracy {} which fits the smoothed targets perfectly: about how far its confidence will stay below its accuracy.",
            explanation.teacher_margin, args.accuracy
        ))
    ));
    if let Some(weighted) = &weighted {
        text.push_str(&format!("\n{}", row_table(weighted)));
    }
    print(&text)
}
