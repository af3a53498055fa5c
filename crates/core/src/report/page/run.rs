//! The page of one training.

use super::evaluation::{chance, honesty};
use super::number::{count, decimals, fixed, metric_title, range};
use super::setting::Setting;
use super::{Cell, EpochPoint, Figure, Heading, LegendEntry, Page, Row, RunDetail, Table, pictures, reading};
use crate::metrics::{ALL, Evaluation};
use crate::report::{Warning, evaluation_warnings};

impl Page {
    /// The page of one training on `data`.
    pub fn run(
        data: &str,
        run: &RunDetail,
        facts: Vec<(String, String)>,
        configuration: Vec<(String, String)>,
    ) -> Self {
        let setting = Setting {
            variant: &run.variant,
            label: run.variant.smoothing.to_string(),
            runs: vec![run],
            recommended: [false; 2],
        };
        let settings = [setting];
        let mut figures = Vec::new();
        figures.extend(reliability(&settings, run.temperature));
        figures.extend(pictures::single_run(&run.epochs));
        figures.extend(pictures::confidences(&settings));
        figures.extend(pictures::margins(&settings));
        let mut verdict = vec![honesty(&run.test), chance(&run.test)];
        verdict.extend(repair(run));
        verdict.extend(history(&run.epochs));
        Self {
            title: format!("{} on {}", run.variant.model, super::comparison::short_name(data)),
            lead: format!(
                "One training with {}{}, judged on {} test rows.",
                run.variant.loss.replace('_', " "),
                if run.variant.smoothing == 0.0 {
                    " and no smoothing".to_owned()
                } else {
                    format!(" and smoothing {}", run.variant.smoothing)
                },
                count(run.test.n)
            ),
            facts,
            verdict,
            explanation: reading::ECE.to_owned(),
            recommendation: Some(advice(run)),
            warnings: warnings(run),
            tables: vec![table(run)],
            figures,
            configuration,
            glossary: reading::glossary(false),
        }
    }
}

/// As trained and with the temperature, side by side.
fn reliability(settings: &[Setting<'_>], temperature: Option<f64>) -> Option<Figure> {
    let mut figure = pictures::reliability(settings, false)?;
    "Reliability".clone_into(&mut figure.title);
    figure.panels.iter_mut().for_each(|panel| "As trained".clone_into(&mut panel.title));
    if let Some(mut scaled) = pictures::reliability(settings, true) {
        let title =
            temperature.map_or("With temperature".to_owned(), |t| format!("With T = {}", fixed(t, 2)));
        scaled.panels.iter_mut().for_each(|panel| panel.title.clone_from(&title));
        figure.panels.append(&mut scaled.panels);
        let entry = scaled.legend.into_iter().next();
        figure.legend.splice(
            1..1,
            entry.map(|entry| LegendEntry { text: format!("{}, with temperature", entry.text), ..entry }),
        );
        figure
            .reading
            .push_str(" If temperature scaling moves the points to the diagonal, no new training is needed.");
    }
    Some(figure)
}

fn repair(run: &RunDetail) -> Option<String> {
    let (after, temperature) = (run.test_after_temperature.as_ref()?, run.temperature?);
    Some(format!(
        "Temperature scaling with T = {}, fitted on the validation rows, brings ECE from {} to {} and NLL from {} to {}.",
        fixed(temperature, 2),
        fixed(run.test.value("ece"), 3),
        fixed(after.value("ece"), 3),
        fixed(run.test.value("nll"), 3),
        fixed(after.value("nll"), 3)
    ))
}

/// The epoch with the lowest validation NLL, its NLL, the last epoch and its NLL.
fn lowest(epochs: &[EpochPoint]) -> Option<(usize, f64, usize, f64)> {
    let points = || epochs.iter().filter_map(|epoch| Some((epoch.epoch, epoch.validation_nll?)));
    let best = points().min_by(|a, b| a.1.total_cmp(&b.1))?;
    let last = points().next_back()?;
    Some((best.0, best.1, last.0, last.1))
}

/// A rise of the validation NLL by this share of its lowest value is called overfitting.
const RISE: f64 = 0.05;

fn overfits(epochs: &[EpochPoint]) -> bool {
    lowest(epochs).is_some_and(|(_, best, _, last)| last > best * (1.0 + RISE))
}

fn history(epochs: &[EpochPoint]) -> Option<String> {
    let (best, best_nll, last, last_nll) = lowest(epochs)?;
    Some(if overfits(epochs) {
        format!(
            "The validation NLL was lowest after epoch {best} of {last} ({}) and rose to {}: the model overfits.",
            fixed(best_nll, 3),
            fixed(last_nll, 3)
        )
    } else {
        format!("The validation NLL was lowest after epoch {best} of {last} ({}).", fixed(best_nll, 3))
    })
}

fn advice(run: &RunDetail) -> String {
    let (before, after) =
        (run.test.value("ece"), run.test_after_temperature.as_ref().map(|e| e.value("ece")));
    let remedy = match (after, run.temperature) {
        (Some(after), Some(t)) if after < before * 0.8 => format!("divide the logits by T = {}", fixed(t, 2)),
        _ => "use the confidence as it is".to_owned(),
    };
    let stop = match lowest(&run.epochs) {
        Some((best, ..)) if overfits(&run.epochs) => {
            format!(", and train fewer epochs (about {best}) or compare strengths of smoothing")
        }
        _ => String::new(),
    };
    format!("Recommended: {remedy}{stop}.")
}

fn warnings(run: &RunDetail) -> Vec<Warning> {
    evaluation_warnings(&run.test)
}

/// Every metric as trained and with the temperature.
fn table(run: &RunDetail) -> Table {
    let headings = [
        ("Measure", ""),
        ("As trained", ""),
        ("95 % interval", "where the value would probably lie on other rows of the same kind"),
        ("if calibrated", "what perfectly calibrated predictions of the same confidences would score"),
        ("With temperature", "the logits divided by the temperature"),
        ("95 % interval", ""),
        ("if calibrated", ""),
    ];
    let cells = |evaluation: Option<&Evaluation>, name: &str| -> [Cell; 3] {
        let estimate = evaluation.and_then(|evaluation| evaluation.metrics.get(name));
        let Some(estimate) = estimate else {
            return [Cell::text("–"), Cell::text("–"), Cell::text("–")];
        };
        let decimals = decimals(name).max(4);
        [
            Cell::number(fixed(estimate.number(), decimals), estimate.number()),
            estimate.ci.map_or(Cell::text("–"), |ends| Cell::number(range(ends, decimals), ends[0])),
            estimate.null_value.map_or(Cell::text("–"), |null| Cell::number(fixed(null, decimals), null)),
        ]
    };
    let rows = ALL
        .iter()
        .filter(|metric| run.test.metrics.contains_key(metric.name))
        .map(|metric| {
            let mut row = vec![Cell::text(metric_title(metric.name)).with_below(metric.summary)];
            row.extend(cells(Some(&run.test), metric.name));
            row.extend(cells(run.test_after_temperature.as_ref(), metric.name));
            Row { cells: row, recommended: false }
        })
        .collect();
    Table {
        title: "All measures".to_owned(),
        note: format!("On {} test rows, {} bins.", count(run.test.n), run.test.n_bins),
        headings: headings.map(|(name, explanation)| Heading::new(name, explanation)).to_vec(),
        rows,
    }
}
