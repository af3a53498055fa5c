//! What `candor eval` prints for people: tables and a diagram that fit 80 columns.

use candor::metrics::{Estimate, Evaluation, FAIRNESS, Rate};
use candor_recipes::predictions::InputKind;

use super::eval::{Judged, worst_group};
use crate::diagram;
use crate::maps;
use crate::table::{paragraph, short, table};

/// Groups and names that are shown, at most.
const MOST_GROUPS: usize = 30;
const LONGEST_NAME: usize = 22;

/// Everything in the order in which it is read.
pub(super) fn text(judged: &Judged<'_>) -> String {
    let evaluated = judged.evaluated;
    let evaluation = &evaluated.evaluation;
    let mut text = paragraph(&format!(
        "{}: {} rows, {} classes, {}{}{}",
        judged.name,
        evaluation.n,
        evaluated.n_classes,
        evaluated.kind.name(),
        counted(evaluated.ignored, "ignored"),
        counted(evaluated.bad.count, "left out")
    ));
    text.push('\n');
    text.push_str(&figures(judged));
    if evaluated.kind == InputKind::Binary {
        text.push_str(&paragraph(
            "The calibration errors judge the probability of class 1; given as two probabilities, the same rows are judged by their predicted class.",
        ));
    }
    text.push('\n');
    text.push_str(&diagram::reliability(&evaluation.reliability));
    for part in
        [groups(judged), decisions(judged), comparison(judged), with_map(judged)].into_iter().flatten()
    {
        text.push('\n');
        text.push_str(&part);
    }
    for bad in &evaluated.bad.first {
        text.push_str(&paragraph(&format!("left out: {}, row {}: {}", bad.file, bad.row, bad.problem)));
    }
    for warning in &judged.warnings {
        text.push_str(&paragraph(&format!("warning ({}): {}", warning.code, warning.message)));
    }
    text
}

fn counted(n: u64, what: &str) -> String {
    if n == 0 { String::new() } else { format!(", {n} {what}") }
}

fn interval(ci: Option<[f64; 2]>, decimals: usize) -> String {
    ci.map_or(String::new(), |[low, high]| format!("{} to {}", short(low, decimals), short(high, decimals)))
}

fn optional(value: Option<f64>, decimals: usize) -> String {
    value.map_or(String::new(), |value| short(value, decimals))
}

/// The metrics with interval, null value and p-value.
fn figures(judged: &Judged<'_>) -> String {
    let estimates = &judged.evaluated.evaluation.metrics;
    let rows: Vec<Vec<String>> = judged
        .metrics
        .metrics()
        .filter_map(|metric| {
            let estimate = estimates.get(metric.name)?;
            Some(vec![
                metric.name.to_owned(),
                short(estimate.number(), 4),
                interval(estimate.ci, 4),
                optional(estimate.null_value, 4),
                optional(estimate.p_value, 3),
            ])
        })
        .collect();
    let mut text = table(&["metric", "value", "95 % interval", "if calibrated", "p"], &rows);
    if estimates.values().any(|estimate| estimate.null_value.is_some()) {
        text.push_str("if calibrated: what calibrated predictions of these confidences would score\n");
    }
    for metric in judged.metrics.metrics() {
        if let Some(note) = estimates.get(metric.name).and_then(|estimate| estimate.note.as_ref()) {
            text.push_str(&paragraph(&format!("{}: {note}", metric.name)));
        }
    }
    text
}

fn name(text: &str) -> String {
    if text.chars().count() <= LONGEST_NAME {
        return text.to_owned();
    }
    text.chars().take(LONGEST_NAME - 1).chain(['…']).collect()
}

/// A row a group, and the worst one.
fn groups(judged: &Judged<'_>) -> Option<String> {
    let groups = &judged.evaluated.groups;
    if groups.is_empty() {
        return None;
    }
    let columns = [("accuracy", 4), ("nll", 3), ("brier", 3), ("ece", 3)];
    let row = |group: &str, evaluation: &Evaluation| {
        let metric = |name: &str, decimals| {
            evaluation.metrics.get(name).map_or(String::new(), |estimate| short(estimate.number(), decimals))
        };
        let mut cells = vec![name(group), evaluation.n.to_string()];
        cells.extend(columns.iter().map(|(name, decimals)| metric(name, *decimals)));
        cells.push(optional(evaluation.metrics.get("ece").and_then(|ece| ece.null_value), 3));
        cells.push(metric("signed_gap", 3));
        cells
    };
    let rows: Vec<Vec<String>> =
        groups.iter().take(MOST_GROUPS).map(|(name, group)| row(name, group)).collect();
    let mut text = table(&["group", "rows", "accuracy", "NLL", "Brier", "ECE", "chance", "gap"], &rows);
    if groups.len() > MOST_GROUPS {
        text.push_str(&format!("and {} more groups; --json has all\n", groups.len() - MOST_GROUPS));
    }
    text.push_str("chance: ECE of as many calibrated predictions; gap: confidence - accuracy\n");
    if let Some((group, evaluation)) = worst_group(judged.evaluated) {
        let ece = evaluation.metrics.get("ece");
        let null = ece.and_then(|ece| ece.null_value);
        let by_chance = null.map_or(String::new(), |null| format!(", by chance {}", short(null, 3)));
        let value = short(ece.map_or(f64::NAN, Estimate::number), 3);
        text.push_str(&paragraph(&format!("Worst group by ECE: {group} ({value}{by_chance})")));
    }
    Some(text)
}

/// The rates of the decisions of each group.
fn decisions(judged: &Judged<'_>) -> Option<String> {
    let (positive, fairness) = judged.positive.zip(judged.evaluated.fairness.as_ref())?;
    let rate = |rate: Option<Rate>| optional(rate.map(|rate| rate.value), 4);
    let groups = fairness.groups.iter().take(MOST_GROUPS).map(|(group, figures)| (group.as_str(), figures));
    let rows: Vec<Vec<String>> = groups
        .chain([("all rows", &fairness.overall)])
        .map(|(group, figures)| {
            vec![
                name(group),
                rate(Some(figures.selection_rate)),
                rate(figures.base_rate),
                rate(figures.true_positive_rate),
                rate(figures.false_positive_rate),
                rate(figures.positive_predictive_value),
            ]
        })
        .collect();
    let mut text = format!("Decisions for {positive}\n");
    text.push_str(&table(&["group", "selected", "true", "TPR", "FPR", "PPV"], &rows));
    let apart: Vec<String> = FAIRNESS
        .iter()
        .filter_map(|info| {
            Some(format!("{} {}", info.name.replace('_', " "), short(*fairness.metrics.get(info.name)?, 4)))
        })
        .collect();
    text.push_str(&paragraph(&apart.join(", ")));
    Some(text)
}

/// The other model, paired by row.
fn comparison(judged: &Judged<'_>) -> Option<String> {
    let (other_name, other) = judged.other.zip(judged.evaluated.other.as_ref())?;
    let first = &judged.evaluated.evaluation;
    let rows: Vec<Vec<String>> = judged
        .metrics
        .metrics()
        .filter_map(|metric| {
            let (a, b) = (first.metrics.get(metric.name)?, other.evaluation.metrics.get(metric.name)?);
            let difference = other.differences.metrics.get(metric.name);
            Some(vec![
                metric.name.to_owned(),
                short(a.number(), 4),
                short(b.number(), 4),
                optional(difference.and_then(|d| d.difference), 4),
                interval(difference.and_then(|d| d.ci), 4),
                optional(difference.and_then(|d| d.p_value), 3),
            ])
        })
        .collect();
    let mut text = paragraph(&format!("Compared with {other_name}, paired by row"));
    text.push_str(&table(&["metric", "first", "other", "other-first", "95 % interval", "p"], &rows));
    if judged.verdict.is_empty() {
        text.push_str("No difference is larger than chance would make it.\n");
    }
    judged.verdict.iter().for_each(|sentence| text.push_str(&paragraph(sentence)));
    Some(text)
}

/// The figures as they are and with the map.
fn with_map(judged: &Judged<'_>) -> Option<String> {
    let (map, mapped) = judged.map.zip(judged.evaluated.mapped.as_ref())?;
    let first = &judged.evaluated.evaluation;
    let rows: Vec<Vec<String>> = judged
        .metrics
        .metrics()
        .filter_map(|metric| {
            let (a, b) = (first.metrics.get(metric.name)?, mapped.metrics.get(metric.name)?);
            Some(vec![metric.name.to_owned(), short(a.number(), 4), short(b.number(), 4)])
        })
        .collect();
    Some(table(&["with the map", "as it is", &maps::short(map)], &rows))
}
