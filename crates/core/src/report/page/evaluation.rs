//! The page of a set of predictions.

use super::number::{count, decimals, fixed, metric_title, range, signed};
use super::pictures::{AS_TRAINED, reliability_panel};
use super::setting::Setting;
use super::text::shortened;
use super::{Cell, Figure, Heading, Histogram, Page, Row, RunDetail, Table, pictures, reading};
use crate::metrics::{ALL, Evaluation};
use crate::report::{Variant, evaluation_warnings};

/// Groups that get a row and a picture, at most.
const MOST_GROUPS: usize = 12;

impl Page {
    /// The page of predictions called `name`, with the evaluations of groups of their rows, if there are any.
    pub fn evaluation(
        name: &str,
        evaluation: &Evaluation,
        groups: &[(String, Evaluation)],
        margins: Option<&Histogram>,
        facts: Vec<(String, String)>,
        configuration: Vec<(String, String)>,
    ) -> Self {
        let mut tables = vec![metrics_table(evaluation)];
        if !groups.is_empty() {
            tables.push(groups_table(evaluation, groups));
        }
        Self {
            title: format!("How honest are the predictions in {}?", super::comparison::short_name(name)),
            lead: format!("{} rows with known labels were evaluated.", count(evaluation.n)),
            facts,
            verdict: vec![honesty(evaluation), chance(evaluation)],
            explanation: reading::ECE.to_owned(),
            recommendation: Some(advice(evaluation)),
            warnings: evaluation_warnings(evaluation),
            tables,
            figures: figures(evaluation, groups, margins),
            configuration,
            glossary: reading::glossary(false),
        }
    }
}

/// Whether, and in which direction, confidence is off.
pub(super) fn honesty(evaluation: &Evaluation) -> String {
    let value = |name| fixed(evaluation.value(name), 3);
    let gap = evaluation.value("signed_gap");
    let base = format!("mean confidence is {}, accuracy {}", value("confidence"), value("accuracy"));
    match direction(evaluation) {
        Some(true) => format!("The model is over-confident by {}: {base}.", fixed(gap, 3)),
        Some(false) => format!("The model is under-confident by {}: {base}.", fixed(-gap, 3)),
        None => format!("The model is neither over- nor under-confident overall: {base}."),
    }
}

/// Over-confident, under-confident, or neither beyond chance.
fn direction(evaluation: &Evaluation) -> Option<bool> {
    let gap = evaluation.metrics.get("signed_gap")?;
    match gap.ci {
        Some([low, _]) if low > 0.0 => Some(true),
        Some([_, high]) if high < 0.0 => Some(false),
        Some(_) => None,
        None => gap.value.filter(|value| value.abs() >= 0.005).map(|value| value > 0.0),
    }
}

/// Whether chance explains the calibration error.
pub(super) fn chance(evaluation: &Evaluation) -> String {
    let ece = evaluation.metrics.get("ece");
    let interval =
        ece.and_then(|ece| ece.ci).map_or(String::new(), |ends| format!(" (95 % {})", range(ends, 3)));
    let value = fixed(evaluation.value("ece"), 3);
    match ece.and_then(|ece| ece.null_value.zip(ece.p_value)) {
        Some((null, p)) => format!(
            "The calibration error (ECE) is {value}{interval}; perfectly calibrated predictions would score {} by chance, so {}.",
            fixed(null, 3),
            if p < 0.05 { "this is more than chance" } else { "chance explains it" }
        ),
        None => format!("The calibration error (ECE) is {value}{interval}."),
    }
}

fn advice(evaluation: &Evaluation) -> String {
    let significant = evaluation.metrics.get("ece").and_then(|ece| ece.p_value).is_none_or(|p| p < 0.05);
    match (direction(evaluation), significant) {
        (Some(true), _) => "Recommended: fit a temperature on held-out rows (it will be above 1), or train with some smoothing.",
        (Some(false), _) => "Recommended: fit a temperature on held-out rows (it will be below 1), or train with less smoothing.",
        (None, true) => "Recommended: look at the bins below; errors in both directions cancel, so one temperature may not be enough.",
        (None, false) => "Recommended: nothing; the confidence can be used as it is.",
    }
    .to_owned()
}

/// Every metric with its interval, null value and p-value.
fn metrics_table(evaluation: &Evaluation) -> Table {
    let headings = [
        ("Measure", ""),
        ("Value", ""),
        ("95 % interval", "where the value would probably lie on other rows of the same kind"),
        ("if calibrated", "what perfectly calibrated predictions of the same confidences would score"),
        ("p", "share of such predictions that score at least as badly"),
        ("Range", ""),
    ];
    let rows = ALL
        .iter()
        .filter_map(|metric| {
            let estimate = evaluation.metrics.get(metric.name)?;
            let optional = |value: Option<f64>, decimals| {
                value.map_or(Cell::text("–"), |value| Cell::number(fixed(value, decimals), value))
            };
            let decimals = decimals(metric.name).max(4);
            Some(Row {
                cells: vec![
                    Cell::text(metric_title(metric.name)).with_below(metric.summary),
                    Cell::number(fixed(estimate.number(), decimals), estimate.number()),
                    estimate
                        .ci
                        .map_or(Cell::text("–"), |ends| Cell::number(range(ends, decimals), ends[0])),
                    optional(estimate.null_value, decimals),
                    optional(estimate.p_value, 3),
                    Cell::text(metric.range),
                ],
                recommended: false,
            })
        })
        .collect();
    Table {
        title: "All measures".to_owned(),
        note: format!(
            "{} rows, {} bins ({}).",
            count(evaluation.n),
            evaluation.n_bins,
            evaluation.binning.name().replace('_', " ")
        ),
        headings: headings.map(|(name, explanation)| Heading::new(name, explanation)).to_vec(),
        rows,
    }
}

/// A row for the whole and one for each group.
fn groups_table(whole: &Evaluation, groups: &[(String, Evaluation)]) -> Table {
    let headings =
        ["Group", "Rows", "Accuracy", "ECE", "ECE, 95 %", "if calibrated", "gap", "NLL", "Brier", "AURC"];
    let row = |name: &str, evaluation: &Evaluation| {
        let metric = |name: &str| {
            let value = evaluation.value(name);
            let text = if name == "signed_gap" { signed(value, 3) } else { fixed(value, decimals(name)) };
            Cell::number(text, value)
        };
        let ece = evaluation.metrics.get("ece");
        let ends = ece.and_then(|ece| ece.ci);
        let null = ece.and_then(|ece| ece.null_value);
        Row {
            cells: vec![
                Cell::text(shortened(name, 80)),
                Cell::number(count(evaluation.n), evaluation.n as f64),
                metric("accuracy"),
                metric("ece"),
                ends.map_or(Cell::text("–"), |ends| Cell::number(range(ends, 3), ends[0])),
                null.map_or(Cell::text("–"), |null| Cell::number(fixed(null, 3), null)),
                metric("signed_gap"),
                metric("nll"),
                metric("brier"),
                metric("aurc"),
            ],
            recommended: false,
        }
    };
    let mut rows = vec![row("all rows", whole)];
    rows.extend(groups.iter().take(1000).map(|(name, evaluation)| row(name, evaluation)));
    Table {
        title: "By group".to_owned(),
        note: "A model can be honest on the whole and dishonest in a group. Small groups have wide intervals and a high ECE by chance: compare with the column “if calibrated”.".to_owned(),
        headings: headings.map(|name| Heading::new(name, "")).to_vec(),
        rows,
    }
}

fn figures(
    evaluation: &Evaluation,
    groups: &[(String, Evaluation)],
    margins: Option<&Histogram>,
) -> Vec<Figure> {
    let variant = Variant {
        loss: String::new(),
        target: String::new(),
        convention: String::new(),
        smoothing: 0.0,
        schedule: String::new(),
        model: String::new(),
        settings: Default::default(),
    };
    let run = RunDetail {
        variant: variant.clone(),
        seed: 0,
        test: evaluation.clone(),
        test_after_temperature: None,
        temperature: None,
        epochs: Vec::new(),
        confidence: None,
        confidence_after_temperature: None,
        margins: margins.cloned(),
    };
    let setting = Setting {
        variant: &variant,
        label: "All rows".to_owned(),
        runs: vec![&run],
        recommended: [false; 2],
    };
    let settings = [setting];
    let mut figures = Vec::new();
    if let Some(mut figure) = pictures::reliability(&settings, false) {
        figure.title = "Reliability".to_owned();
        for (name, group) in groups.iter().take(MOST_GROUPS) {
            figure.panels.push(reliability_panel(shortened(name, 60), group, &[], AS_TRAINED));
        }
        figures.push(figure);
    }
    figures.extend(pictures::confidences(&settings));
    figures.extend(pictures::margins(&settings));
    for panel in figures.iter_mut().flat_map(|figure| figure.panels.iter_mut().take(1)) {
        panel.title = "All rows".to_owned();
    }
    figures
}
