//! What runs on graphs say beyond every classifier's report: label smoothing against smoothing over the graph.

use std::collections::BTreeSet;

use candor::report::Variant;
use candor::report::page::{Cell, Figure, Heading, HeatMap, Row, Table};

use super::train::{ENERGY, propagation_of};
use crate::comparison::FinishedRun;
use crate::recipe::Conclusion;

/// Metric, its name, what to look for.
const METRICS: [(&str, &str, &str); 3] = [
    ("accuracy", "Accuracy", "Share of correct test nodes; higher is better."),
    ("ece", "ECE", "Expected calibration error of the test nodes; lower is better."),
    (
        ENERGY,
        "Dirichlet energy",
        "How much the logits differ between neighbours, whatever their scale: 0 where they agree, about 1 where they do not know of each other. More propagation lowers it.",
    ),
];
/// How a grid of heat maps is read.
const READING: &str = "One panel for each strength of label smoothing; β is the strength of a step of propagation, k the number of steps, and βk = 0 a net that does not see the graph. Each cell is the mean over the seeds; all panels share one scale.";

/// The runs of one strength, β and k.
#[derive(Debug)]
struct Setting<'a> {
    smoothing: f64,
    beta: f64,
    k: usize,
    runs: Vec<&'a FinishedRun>,
}

impl Setting<'_> {
    /// Strength of propagation over all its steps.
    fn propagation(&self) -> f64 {
        self.beta * self.k as f64
    }

    /// Mean and standard deviation of a metric over the seeds.
    fn figure(&self, metric: &str) -> Option<(f64, Option<f64>)> {
        let values: Vec<f64> =
            self.runs.iter().filter_map(|run| run.record.metrics.get(metric).copied()).collect();
        let n = values.len() as f64;
        if values.is_empty() {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n;
        let square: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        Some((mean, (values.len() > 1).then(|| (square / (n - 1.0)).sqrt())))
    }

    fn mean(&self, metric: &str) -> Option<f64> {
        self.figure(metric).map(|(mean, _)| mean)
    }

    /// Strength and steps in words.
    fn place(&self) -> String {
        format!("β = {}, k = {}", self.beta, self.k)
    }
}

/// Sentences, table and heat maps of these runs.
pub(super) fn conclude(runs: &[FinishedRun]) -> Conclusion {
    let (settings, others) = settings(runs);
    let strengths = distinct(settings.iter().map(|setting| setting.smoothing));
    let betas = distinct(settings.iter().map(|setting| setting.beta));
    let steps: Vec<usize> =
        settings.iter().map(|setting| setting.k).collect::<BTreeSet<usize>>().into_iter().collect();
    if betas.len() * steps.len() < 2 {
        return Conclusion { verdict: energies(&settings), ..Conclusion::default() };
    }
    let mut verdict = Vec::new();
    verdict.extend(best(&settings));
    verdict.extend(smoothness(&settings));
    verdict.extend(interplay(&settings));
    let figures = METRICS
        .iter()
        .filter_map(|metric| figure(metric, &settings, &strengths, &betas, &steps, others))
        .collect();
    Conclusion { verdict, tables: vec![table(&settings)], figures, ..Conclusion::default() }
}

/// The runs by strength, β and k, and whether some were left out because they differ in other settings.
fn settings(runs: &[FinishedRun]) -> (Vec<Setting<'_>>, bool) {
    let rest = |run: &FinishedRun| {
        let mut variant = Variant { smoothing: 0.0, ..run.record.variant.clone() };
        variant.settings.retain(|key, _| key != "beta" && key != "k");
        variant
    };
    let Some(first) = runs.first().map(rest) else { return (Vec::new(), false) };
    let mut settings: Vec<Setting<'_>> = Vec::new();
    let mut others = false;
    for run in runs {
        if rest(run) != first {
            others = true;
            continue;
        }
        let smoothing = run.config.loss.smoothing;
        let (beta, k) = propagation_of(&run.config.model);
        match settings.iter_mut().find(|s| s.smoothing == smoothing && s.beta == beta && s.k == k) {
            Some(setting) => setting.runs.push(run),
            None => settings.push(Setting { smoothing, beta, k, runs: vec![run] }),
        }
    }
    (settings, others)
}

fn distinct(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

fn strength(smoothing: f64) -> String {
    if smoothing == 0.0 {
        "without label smoothing".to_owned()
    } else {
        format!("at label smoothing {smoothing}")
    }
}

/// The energies of runs that differ in the strength alone.
fn energies(settings: &[Setting<'_>]) -> Vec<String> {
    let words: Vec<String> = settings
        .iter()
        .filter_map(|setting| Some(format!("{:.3} {}", setting.mean(ENERGY)?, strength(setting.smoothing))))
        .collect();
    if words.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "The Dirichlet energy of the logits (0: neighbours agree, about 1: they ignore each other) is {}.",
        words.join(", ")
    )]
}

/// Where accuracy is best, beside no propagation at all.
fn best(settings: &[Setting<'_>]) -> Option<String> {
    let accuracy = |setting: &&Setting<'_>| setting.mean("accuracy").unwrap_or(f64::NEG_INFINITY);
    let most = |settings: &mut dyn Iterator<Item = &Setting<'_>>| -> Option<(f64, String)> {
        let best = settings.max_by(|a, b| accuracy(a).total_cmp(&accuracy(b)))?;
        Some((best.mean("accuracy")?, format!("{} {}", best.place(), strength(best.smoothing))))
    };
    let (top, place) = most(&mut settings.iter())?;
    let blind = most(&mut settings.iter().filter(|setting| setting.propagation() == 0.0));
    let beside = blind
        .map_or(String::new(), |(blind, _)| format!("; without propagation (βk = 0) the best is {blind:.4}"));
    Some(format!("Test accuracy is highest at {place}: {top:.4}{beside}."))
}

/// Whether more propagation makes neighbours more alike.
fn smoothness(settings: &[Setting<'_>]) -> Option<String> {
    let (mut lower, mut pairs) = (0, 0);
    for a in settings {
        let more = |b: &&Setting<'_>| {
            a.smoothing == b.smoothing && a.beta <= b.beta && a.k <= b.k && a.propagation() < b.propagation()
        };
        for b in settings.iter().filter(more) {
            let (Some(from), Some(to)) = (a.mean(ENERGY), b.mean(ENERGY)) else { continue };
            pairs += 1;
            lower += usize::from(to < from);
        }
    }
    let end = |least: bool| -> Option<(f64, f64)> {
        let key = |s: &&Setting<'_>| if least { -s.propagation() } else { s.propagation() };
        let end = settings.iter().max_by(|a, b| key(a).total_cmp(&key(b)))?;
        Some((end.propagation(), end.mean(ENERGY)?))
    };
    let ((low, from), (high, to)) = (end(true)?, end(false)?);
    (pairs > 0).then(|| {
        format!(
            "Propagation smooths the output: its Dirichlet energy goes from {from:.3} at βk = {low} to {to:.3} at βk = {high}, and is lower with more propagation in {lower} of {pairs} pairs of settings."
        )
    })
}

/// How much the strength of label smoothing changes beside what propagation changes.
fn interplay(settings: &[Setting<'_>]) -> Option<String> {
    let strengths = distinct(settings.iter().map(|setting| setting.smoothing));
    let (least, most) = (*strengths.first()?, *strengths.last()?);
    if least == most {
        return None;
    }
    let changes = |metric: &str| -> Option<[f64; 2]> {
        let of = |from: &Setting<'_>| {
            let to =
                settings.iter().find(|to| to.smoothing == most && to.beta == from.beta && to.k == from.k)?;
            Some(to.mean(metric)? - from.mean(metric)?)
        };
        ends(settings.iter().filter(|from| from.smoothing == least).filter_map(of))
    };
    let [low, high] = changes("accuracy")?;
    let [ece_low, ece_high] = changes("ece")?;
    let [worst, best] = ends(
        settings.iter().filter(|setting| setting.smoothing == least).filter_map(|s| s.mean("accuracy")),
    )?;
    Some(format!(
        "From label smoothing {least} to {most}, accuracy changes by {low:+.4} to {high:+.4} over the grid and ECE by {ece_low:+.3} to {ece_high:+.3}; propagation moves accuracy by {:.4}.",
        best - worst
    ))
}

/// The smallest and the largest of some values.
fn ends(values: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    values.fold(None, |ends, value| {
        let [low, high] = ends.unwrap_or([value, value]);
        Some([f64::min(low, value), f64::max(high, value)])
    })
}

/// A heat map for each strength of label smoothing.
fn figure(
    (metric, name, caption): &(&str, &str, &str),
    settings: &[Setting<'_>],
    strengths: &[f64],
    betas: &[f64],
    steps: &[usize],
    others: bool,
) -> Option<Figure> {
    let range = ends(settings.iter().filter_map(|setting| setting.mean(metric)))?;
    let panels = strengths
        .iter()
        .map(|&smoothing| {
            let value = |(k, beta): (usize, f64)| {
                let found = |s: &&Setting<'_>| s.smoothing == smoothing && s.beta == beta && s.k == k;
                settings.iter().find(found)?.mean(metric)
            };
            let cells = steps.iter().flat_map(|&k| betas.iter().map(move |&beta| (k, beta)));
            let map = HeatMap {
                title: format!("Label smoothing {smoothing}"),
                x: ("β: strength of a step".to_owned(), betas.iter().map(f64::to_string).collect()),
                y: ("k: steps".to_owned(), steps.iter().map(usize::to_string).collect()),
                values: cells.map(value).collect(),
                range,
                decimals: 3,
            };
            map.panel()
        })
        .collect();
    let more = if others { " Runs that differ in other settings are left out." } else { "" };
    Some(Figure {
        name: format!("graph-{}", metric.replace('_', "-")),
        title: format!("{name} over label smoothing and propagation"),
        caption: format!("{caption}{more}"),
        reading: READING.to_owned(),
        legend: Vec::new(),
        panels,
    })
}

/// The numbers of all heat maps.
fn table(settings: &[Setting<'_>]) -> Table {
    let headings = [
        ("Smoothing", "strength of label smoothing"),
        ("β", "strength of a step of propagation"),
        ("k", "steps of propagation"),
        ("Accuracy", "share of correct test nodes; higher is better"),
        ("ECE", "expected calibration error; lower is better"),
        ("NLL", "negative log-likelihood in nats; lower is better"),
        ("Dirichlet energy", "how much the logits differ between neighbours; 0 where they agree"),
    ];
    let number = |value: f64| Cell::number(value.to_string(), value);
    let rows = settings
        .iter()
        .map(|setting| {
            let spread = |metric: &str, decimals: usize| {
                setting.figure(metric).map_or(Cell::text("–"), |(mean, sd)| {
                    let below = sd.map_or(String::new(), |sd| format!("± {sd:.decimals$}"));
                    Cell::number(format!("{mean:.decimals$}"), mean).with_below(below)
                })
            };
            let cells = vec![
                number(setting.smoothing),
                number(setting.beta),
                number(setting.k as f64),
                spread("accuracy", 4),
                spread("ece", 3),
                spread("nll", 3),
                spread(ENERGY, 3),
            ];
            Row { cells, recommended: false }
        })
        .collect();
    Table {
        title: "Label smoothing and propagation".to_owned(),
        note: "Mean over the seeds ± their standard deviation, on the test nodes; the energy is that of all nodes."
            .to_owned(),
        headings: headings.map(|(name, explanation)| Heading::new(name, explanation)).to_vec(),
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::{detail, record};
    use crate::config::Layers;
    use crate::predictions::Predictions;
    use crate::recipe::{Findings, RunOutput};
    use candor::metrics::EvaluationOptions;

    /// A run whose energy is given, right in `right` of four test rows.
    fn run(smoothing: &str, beta: &str, k: &str, seed: u64, right: usize, energy: f64) -> FinishedRun {
        let mut layers = Layers::recipe("graph").unwrap();
        for (key, text) in [("loss.smoothing", smoothing), ("model.beta", beta), ("model.k", k)] {
            layers.set(key, text).unwrap();
        }
        layers.set("seed", &seed.to_string()).unwrap();
        let config = layers.build().unwrap();
        let labels = (0..4).map(|row| i64::from(row >= right)).collect();
        let logits = [2.0, 0.0].repeat(4);
        let output = RunOutput {
            validation: None,
            test: Predictions::from_logits(logits, 2, labels).unwrap(),
            epochs: Vec::new(),
            seconds: 0.0,
            findings: Findings { metrics: [(ENERGY.to_owned(), energy)].into(), ..Findings::default() },
        };
        let figures = output.figures(EvaluationOptions::default()).unwrap();
        FinishedRun { record: record(&config, &figures, &[], 0.0), config, figures, epochs: Vec::new() }
    }

    #[test]
    fn a_grid_gets_sentences_a_table_and_a_heat_map_a_metric() {
        let runs = [
            run("0", "0", "1", 0, 1, 0.9),
            run("0", "0", "1", 1, 2, 0.7),
            run("0", "1", "1", 0, 3, 0.4),
            run("0", "1", "2", 0, 4, 0.5),
            run("0.1", "0", "1", 0, 2, 0.8),
            run("0.1", "1", "1", 0, 3, 0.3),
        ];
        let conclusion = conclude(&runs);
        let text = conclusion.verdict.join("\n");
        assert!(text.contains("highest at β = 1, k = 2 without label smoothing: 1.0000"), "{text}");
        assert!(text.contains("(βk = 0) the best is 0.5000"), "{text}");
        // Pairs by hand: at 0: (0,1)->(1,1) lower, (0,1)->(1,2) lower, (1,1)->(1,2) higher; at 0.1: one, lower.
        assert!(text.contains("from 0.800 at βk = 0 to 0.500 at βk = 2"), "{text}");
        assert!(text.contains("in 3 of 4 pairs"), "{text}");
        assert!(text.contains("accuracy changes by +0.0000 to +0.1250"), "{text}");
        assert_eq!(conclusion.figures.len(), 3);
        assert_eq!(conclusion.figures[0].panels.len(), 2);
        let description = &conclusion.figures[2].panels[0].description;
        assert!(description.contains("β: strength of a step 0, k: steps 1: 0.800"), "{description}");
        assert_eq!(conclusion.tables[0].rows.len(), 5);
        assert_eq!(conclusion.tables[0].rows[0].cells[6].text, "0.800");
        assert!(detail(&runs[0]).epochs.is_empty());
    }

    #[test]
    fn runs_that_differ_in_the_strength_alone_get_a_sentence() {
        let conclusion = conclude(&[run("0", "1", "1", 0, 1, 0.25), run("0.1", "1", "1", 0, 1, 0.125)]);
        assert_eq!(conclusion.verdict.len(), 1);
        assert!(
            conclusion.verdict[0].contains("0.250 without label smoothing, 0.125 at label smoothing 0.1")
        );
        assert!(conclusion.figures.is_empty() && conclusion.tables.is_empty());
        assert_eq!(conclude(&[]), Conclusion::default());
    }
}
