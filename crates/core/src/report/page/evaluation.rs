//! The page of a set of predictions.

use super::number::{count, decimals, fixed, metric_title, range, signed};
use super::pictures::{self, AS_TRAINED, OTHER_MODEL, reliability_panel};
use super::setting::Setting;
use super::text::shortened;
use super::{Cell, Figure, Heading, Histogram, Page, Row, RunDetail, Table, reading};
use crate::metrics::{ALL, Evaluation, FAIRNESS, Fairness, PairedEstimate, PairedEvaluation, Rate};
use crate::report::{Variant, Warning, evaluation_warnings};

/// Groups that get a row and a picture, at most.
const MOST_GROUPS: usize = 12;

/// What a page of predictions shows beside their figures; all of it may be left out.
#[derive(Debug, Clone, Default)]
pub struct EvaluationExtras {
    /// Groups of the rows, by name.
    pub groups: Vec<(String, Evaluation)>,
    /// The class that the decisions for the groups are for, and how far they lie apart.
    pub fairness: Option<(String, Fairness)>,
    /// Names of the classes.
    pub class_names: Vec<String>,
    /// Confidences of the rows that were right, and of those that were wrong.
    pub outcomes: Option<(Histogram, Histogram)>,
    /// Margins of the logits.
    pub margins: Option<Histogram>,
    /// What a calibration map makes of the predictions: its name, and the figures with it.
    pub mapped: Option<(String, Evaluation)>,
    /// Another model on the same rows.
    pub other: Option<OtherModel>,
    /// Warnings beyond those that the figures give.
    pub warnings: Vec<Warning>,
    /// Short facts under the title.
    pub facts: Vec<(String, String)>,
    /// The settings of the evaluation.
    pub configuration: Vec<(String, String)>,
}

/// Another model, compared with the first row by row.
#[derive(Debug, Clone)]
pub struct OtherModel {
    /// What it is called.
    pub name: String,
    /// Its figures.
    pub evaluation: Evaluation,
    /// Its figures less those of the first model.
    pub differences: PairedEvaluation,
}

/// Whether the second model is better in a metric, if more than chance says so.
fn better(metric: &str, estimate: &PairedEstimate) -> Option<bool> {
    let [low, high] = estimate.ci?;
    let higher_is_better = ALL.iter().find(|info| info.name == metric)?.higher_is_better?;
    (low > 0.0 || high < 0.0).then_some((low > 0.0) == higher_is_better)
}

/// What the differences say of models of these names, as far as they are more than chance.
pub fn differences_in_words(first: &str, other: &str, differences: &PairedEvaluation) -> Vec<String> {
    let registered = ALL.iter().filter_map(|info| Some((info.name, differences.metrics.get(info.name)?)));
    registered
        .filter_map(|(metric, estimate)| {
            let [low, high] = estimate.ci?;
            let word = if better(metric, estimate)? { "better" } else { "worse" };
            Some(format!(
                "{other} has a {word} {} than {first}: {} ({} to {}).",
                metric.replace('_', " "),
                signed(estimate.difference?, 4),
                signed(low, 4),
                signed(high, 4)
            ))
        })
        .collect()
}

impl Page {
    /// The page of predictions called `name`.
    pub fn evaluation(name: &str, evaluation: &Evaluation, extras: EvaluationExtras) -> Self {
        let mut verdict = vec![honesty(evaluation), chance(evaluation)];
        verdict.extend(extras.mapped.as_ref().map(|(map, mapped)| effect(map, evaluation, mapped)));
        if let Some(other) = &extras.other {
            verdict.extend(compared(name, other));
        }
        let mut tables = vec![metrics_table(evaluation)];
        if let Some(other) = &extras.other {
            tables.push(comparison_table(name, evaluation, other));
        }
        if !extras.groups.is_empty() {
            tables.push(groups_table(evaluation, &extras.groups));
        }
        if let Some((positive, fairness)) = &extras.fairness {
            tables.push(decisions_table(positive, fairness));
        }
        let mut warnings = evaluation_warnings(evaluation);
        let figures = figures(name, evaluation, &extras);
        warnings.extend(extras.warnings);
        Self {
            title: format!("How honest are the predictions in {}?", super::comparison::short_name(name)),
            lead: format!("{} rows with known labels were evaluated.", count(evaluation.n)),
            facts: extras.facts,
            verdict,
            explanation: reading::ECE.to_owned(),
            recommendation: Some(advice(evaluation)),
            warnings,
            tables,
            figures,
            configuration: extras.configuration,
            glossary: reading::glossary(false),
        }
    }
}

/// What a map does to the calibration error.
fn effect(map: &str, before: &Evaluation, after: &Evaluation) -> String {
    let value = |evaluation: &Evaluation, name| fixed(evaluation.value(name), 3);
    let null = after.metrics.get("ece").and_then(|ece| ece.null_value);
    format!(
        "With {map}, ECE goes from {} to {}{} and NLL from {} to {}.",
        value(before, "ece"),
        value(after, "ece"),
        null.map_or(String::new(), |null| format!(" (by chance: {})", fixed(null, 3))),
        value(before, "nll"),
        value(after, "nll")
    )
}

/// What the comparison with another model says.
fn compared(name: &str, other: &OtherModel) -> Vec<String> {
    let said = differences_in_words(name, &other.name, &other.differences);
    if said.is_empty() {
        return vec![format!(
            "Between {} and {name} no difference is larger than chance would make it.",
            other.name
        )];
    }
    said
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

/// Both models' figures and what lies between.
fn comparison_table(name: &str, first: &Evaluation, other: &OtherModel) -> Table {
    let rows = ALL
        .iter()
        .filter(|metric| {
            first.metrics.contains_key(metric.name) && other.evaluation.metrics.contains_key(metric.name)
        })
        .map(|metric| {
            let number = |value: f64| Cell::number(fixed(value, decimals(metric.name)), value);
            let difference = other.differences.metrics.get(metric.name);
            let dash = || Cell::text("–");
            let optional =
                |value: Option<f64>| value.map_or_else(dash, |value| Cell::number(fixed(value, 3), value));
            Row {
                cells: vec![
                    Cell::text(metric_title(metric.name)),
                    number(first.value(metric.name)),
                    number(other.evaluation.value(metric.name)),
                    difference
                        .and_then(|d| d.difference)
                        .map_or_else(dash, |d| Cell::number(signed(d, 4), d)),
                    difference
                        .and_then(|d| d.ci)
                        .map_or_else(dash, |ends| Cell::number(range(ends, 4), ends[0])),
                    optional(difference.and_then(|d| d.p_value)),
                    Cell::text(match difference.and_then(|d| better(metric.name, d)) {
                        Some(true) => "better",
                        Some(false) => "worse",
                        None => "",
                    }),
                ],
                recommended: false,
            }
        })
        .collect();
    let headings = [
        ("Measure".to_owned(), ""),
        (shortened(super::comparison::short_name(name), 24), "the first model"),
        (shortened(super::comparison::short_name(&other.name), 24), "the other model"),
        ("Difference".to_owned(), "the other less the first, mean over the rows"),
        ("95 %".to_owned(), "where the difference would probably lie on other rows of the same kind"),
        ("p".to_owned(), "two-sided, of no difference"),
        ("The other is".to_owned(), "only where the difference is more than chance"),
    ];
    Table {
        title: "Compared with another model".to_owned(),
        note: "Both models were judged on the same rows, so their figures are paired by row. Measures that are no mean over rows have no paired interval.".to_owned(),
        headings: headings.iter().map(|(name, explanation)| Heading::new(name, explanation)).collect(),
        rows,
    }
}

/// The rates of the decisions of every group.
fn decisions_table(positive: &str, fairness: &Fairness) -> Table {
    let rate = |rate: Option<Rate>| match rate {
        Some(rate) => Cell::number(fixed(rate.value, 3), rate.value).with_below(range(rate.ci, 3)),
        None => Cell::text("–"),
    };
    let groups = fairness.groups.iter().map(|(name, group)| (name.as_str(), group));
    let rows = groups.take(1000).chain([("all rows", &fairness.overall)]).map(|(name, group)| Row {
        cells: vec![
            Cell::text(shortened(name, 80)),
            Cell::number(count(group.count), group.count as f64),
            rate(Some(group.selection_rate)),
            rate(group.base_rate),
            rate(group.true_positive_rate),
            rate(group.false_positive_rate),
            rate(group.positive_predictive_value),
            group.mean_score.map_or(Cell::text("–"), |score| Cell::number(fixed(score, 3), score)),
        ],
        recommended: false,
    });
    let apart: Vec<String> = FAIRNESS
        .iter()
        .filter_map(|info| {
            let value = fairness.metrics.get(info.name)?;
            Some(format!("{} {}", info.name.replace('_', " "), fixed(*value, 3)))
        })
        .collect();
    Table {
        title: format!("Decisions for {} by group", shortened(positive, 40)),
        note: format!(
            "Between the groups: {}. Smoothing is no means to fairness: it shrinks the differences of scores and leaves decisions as they are.",
            apart.join(", ")
        ),
        headings: [
            ("Group", ""),
            ("Rows", ""),
            ("Selected", "share of the rows that are decided for"),
            ("True", "share of the rows that are of the class"),
            ("TPR", "share of the rows of the class that are decided for"),
            ("FPR", "share of the other rows that are decided for"),
            ("PPV", "share of the rows decided for that are of the class"),
            ("Mean score", "mean probability of the class"),
        ]
        .map(|(name, explanation)| Heading::new(name, explanation))
        .to_vec(),
        rows: rows.collect(),
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

fn figures(name: &str, evaluation: &Evaluation, extras: &EvaluationExtras) -> Vec<Figure> {
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
        margins: extras.margins.clone(),
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
        for (name, group) in extras.groups.iter().take(MOST_GROUPS) {
            figure.panels.push(reliability_panel(shortened(name, 60), group, &[], AS_TRAINED));
        }
        if extras.groups.len() > MOST_GROUPS {
            let n = extras.groups.len();
            figure.caption.push_str(&format!(" Shown are {MOST_GROUPS} of {n} groups; the table has all."));
        }
        figures.push(figure);
    }
    if let Some(other) = &extras.other {
        let names = (super::comparison::short_name(name), super::comparison::short_name(&other.name));
        figures.push(pictures::two_models(
            (names.0, evaluation, AS_TRAINED),
            (names.1, &other.evaluation, OTHER_MODEL),
        ));
    }
    figures
        .extend(extras.mapped.as_ref().map(|(map, mapped)| pictures::effect_of_map(map, evaluation, mapped)));
    match &extras.outcomes {
        Some((right, wrong)) => figures.extend(pictures::outcomes(right, wrong)),
        None => figures.extend(pictures::confidences(&settings)),
    }
    figures.extend(pictures::classes(evaluation, &extras.class_names));
    figures.extend(pictures::risk_coverage(name, evaluation, extras.other.as_ref()));
    figures.extend(pictures::margins(&settings));
    // These were made for one setting of a training, whose title says nothing here.
    let of_setting = |figure: &&mut Figure| {
        let outcomes = figure.name == "confidence" && extras.outcomes.is_some();
        ["reliability", "margins", "confidence"].contains(&figure.name.as_str()) && !outcomes
    };
    for panel in figures.iter_mut().filter(of_setting).filter_map(|figure| figure.panels.first_mut()) {
        panel.title = "All rows".to_owned();
    }
    figures
}
