//! Accuracy, NLL, ECE, gap, Brier and AURC against the strength of smoothing.

use super::super::number::{decimals, fixed, range};
use super::super::setting::Setting;
use super::super::{Axis, Figure, Layer, LegendEntry, Mark, Paint, Panel, Plot, Point, Role};
use super::{Style, left_out};
use crate::report::{Comparison, Variant};

/// Metric, title of its panel, and whether its axis starts at 0.
const METRICS: [(&str, &str, bool); 6] = [
    ("accuracy", "Accuracy: higher is better", false),
    ("nll", "NLL: lower is better", false),
    ("ece", "ECE: lower is better", true),
    ("signed_gap", "Confidence − accuracy: 0 is best", true),
    ("brier", "Brier score: lower is better", false),
    ("aurc", "AURC: lower is better", true),
];

/// One line of every panel.
struct Series<'a> {
    name: String,
    paint: Paint,
    mark: Mark,
    after: bool,
    /// Place on the horizontal axis and setting.
    settings: Vec<(f64, &'a Setting<'a>)>,
}

/// Six panels; with several kinds of setting one figure as trained and one with the temperature.
pub(in super::super) fn strengths(comparison: &Comparison, settings: &[Setting<'_>]) -> Vec<Figure> {
    let mut kinds: Vec<Vec<&Setting<'_>>> = Vec::new();
    for setting in settings {
        match kinds
            .iter_mut()
            .find(|kind| kind.first().is_some_and(|first| first.variant.same_but_smoothing(setting.variant)))
        {
            Some(kind) => kind.push(setting),
            None => kinds.push(vec![setting]),
        }
    }
    // Settings that never differ in the strength alone stand side by side.
    let by_strength = kinds.iter().any(|kind| kind.len() > 1);
    let x = if by_strength {
        let places = settings.iter().map(|s| (s.variant.smoothing, s.variant.smoothing.to_string()));
        Axis::at("smoothing", &places.collect::<Vec<_>>())
    } else {
        let places = settings.iter().enumerate().map(|(i, s)| (i as f64, s.label.clone()));
        Axis::at("setting", &places.collect::<Vec<_>>())
    };
    let place = |setting: &Setting<'_>| {
        if by_strength {
            setting.variant.smoothing
        } else {
            settings.iter().position(|other| other.label == setting.label).unwrap_or(0) as f64
        }
    };
    let several = by_strength && kinds.len() > 1;
    if !several {
        let all: Vec<(f64, &Setting<'_>)> =
            settings.iter().map(|setting| (place(setting), setting)).collect();
        let series: Vec<Series<'_>> = [false, true]
            .map(Style::of)
            .into_iter()
            .zip([false, true])
            .map(|(style, after)| Series {
                name: style.name.to_owned(),
                paint: style.paint,
                mark: style.mark,
                after,
                settings: all.clone(),
            })
            .collect();
        return figure(comparison, settings, &x, &series, None, by_strength).into_iter().collect();
    }
    [false, true]
        .into_iter()
        .filter_map(|after| {
            let series: Vec<Series<'_>> = kinds
                .iter()
                .enumerate()
                .map(|(i, kind)| Series {
                    name: kind.first().map_or(String::new(), |first| kind_label(first.variant, &kinds)),
                    paint: Paint { dashed: i % 2 == 1, ..Paint::solid(Role::Series(i)) },
                    mark: if i % 2 == 0 { Mark::Circle } else { Mark::Triangle },
                    after,
                    settings: kind.iter().map(|setting| (place(setting), *setting)).collect(),
                })
                .collect();
            figure(comparison, settings, &x, &series, Some(after), true)
        })
        .collect()
}

/// What tells a kind from the others: its label without the strength.
fn kind_label(variant: &Variant, kinds: &[Vec<&Setting<'_>>]) -> String {
    let firsts: Vec<&Variant> = kinds.iter().filter_map(|kind| kind.first()).map(|s| s.variant).collect();
    let label = super::super::setting::variant_label(variant, &firsts);
    label.split_once(' ').map_or(label.clone(), |(_, rest)| rest.to_owned())
}

fn figure(
    comparison: &Comparison,
    settings: &[Setting<'_>],
    x: &Axis,
    series: &[Series<'_>],
    after: Option<bool>,
    lines: bool,
) -> Option<Figure> {
    let one_seed = settings.iter().all(|setting| runs_of(comparison, setting.variant) <= 1);
    let panels: Vec<Panel> =
        METRICS.iter().filter_map(|metric| panel(comparison, x, series, metric, lines)).collect();
    if panels.is_empty() {
        return None;
    }
    let bar = if one_seed {
        "the bar is the run's own 95 % interval, where there is one"
    } else {
        "the bar is the standard deviation over seeds either way, the dots are the single runs"
    };
    let mut legend: Vec<LegendEntry> = series
        .iter()
        .map(|series| LegendEntry { mark: series.mark, paint: series.paint, text: series.name.clone() })
        .collect();
    legend.push(LegendEntry {
        mark: Mark::Line,
        paint: Paint::solid(Role::Muted).dashed(),
        text: format!(
            "ECE that perfectly calibrated predictions would score by chance ({}); gap of 0",
            series.first().map_or("", |first| &first.name)
        ),
    });
    let which = match after {
        None => "",
        Some(false) => ", as trained",
        Some(true) => ", with temperature scaling",
    };
    Some(Figure {
        name: if after == Some(true) { "measures-with-temperature" } else { "measures" }.to_owned(),
        title: format!("What smoothing does to each measure{which}"),
        caption: format!("Each point is the mean over the seeds on the test rows; {bar}.{}", left_out(settings)),
        reading: "Every panel shows one measure against the strength of smoothing. Good is high for accuracy, zero for the gap between confidence and accuracy, and low for all others. If the two lines of a panel lie apart, temperature scaling changes that measure; it never changes the accuracy.".to_owned(),
        legend,
        panels,
    })
}

fn runs_of(comparison: &Comparison, variant: &Variant) -> usize {
    comparison.runs.iter().filter(|run| run.variant == *variant).count()
}

fn panel(
    comparison: &Comparison,
    x: &Axis,
    series: &[Series<'_>],
    (metric, title, from_zero): &(&str, &str, bool),
    lines: bool,
) -> Option<Panel> {
    let (mut layers, mut front, mut described) = (Vec::new(), Vec::new(), Vec::new());
    let mut values: Vec<f64> = if *from_zero { vec![0.0] } else { Vec::new() };
    let shift = (x.high - x.low) * 0.012;
    for (i, one) in series.iter().enumerate() {
        // Series stand beside each other where their strengths agree.
        let aside = shift * (i as f64 * 2.0 - (series.len() as f64 - 1.0)) / 2.0;
        let (mut points, mut dots) = (Vec::new(), Vec::new());
        for (place, setting) in &one.settings {
            let Some(found) = summary(comparison, setting, metric, one.after) else { continue };
            values.push(found.mean);
            values.extend(found.bar.iter().flatten().copied());
            values.extend(&found.runs);
            let note = format!("{}, {}: {}", setting.title(), one.name, found.words);
            described.push(note.clone());
            points.push(Point { x: place + aside, y: found.mean, bar: found.bar, note });
            if found.runs.len() > 1 {
                dots.extend(found.runs.iter().map(|run| Point {
                    x: place + aside,
                    y: *run,
                    bar: None,
                    note: String::new(),
                }));
            }
        }
        if lines {
            let line = points.iter().map(|point| (point.x, point.y)).collect();
            layers.push(Layer::Line { paint: one.paint, points: line });
        }
        layers.push(Layer::Points { paint: one.paint.opacity(0.55), mark: Mark::Dot, points: dots });
        front.push(Layer::Points { paint: one.paint, mark: one.mark, points });
    }
    if described.is_empty() {
        return None;
    }
    let reference = match *metric {
        "signed_gap" => vec![(x.low, 0.0), (x.high, 0.0)],
        "ece" => null_values(series),
        _ => Vec::new(),
    };
    values.extend(reference.iter().map(|point| point.1));
    layers.insert(0, Layer::Line { paint: Paint::solid(Role::Muted).dashed(), points: reference });
    layers.extend(front);
    let name = title.split(':').next().unwrap_or(title);
    Some(Panel {
        title: (*title).to_owned(),
        description: format!("{}.", described.join("; ")),
        facts: Vec::new(),
        plot: Plot { x: x.clone(), y: Axis::fitting(name, &values, 4), layers, strip: None },
    })
}

struct Found {
    mean: f64,
    bar: Option<[f64; 2]>,
    runs: Vec<f64>,
    words: String,
}

/// Mean, spread and single runs of a metric of a setting.
fn summary(comparison: &Comparison, setting: &Setting<'_>, metric: &str, after: bool) -> Option<Found> {
    let row = comparison.row(setting.variant, metric)?;
    let (mean, sd) = if after {
        row.after_temperature.as_ref().map(|after| (after.mean, after.sd))?
    } else {
        (row.mean, row.sd)
    };
    let runs: Vec<f64> = comparison
        .runs
        .iter()
        .filter(|run| run.variant == *setting.variant)
        .filter_map(|run| {
            let metrics = if after { run.metrics_after_temperature.as_ref()? } else { &run.metrics };
            metrics.get(metric).copied()
        })
        .collect();
    let decimals = decimals(metric);
    let own = || setting.evaluations(after).next().and_then(|(_, e)| e.metrics.get(metric)?.ci);
    let (bar, words) = match (sd, own()) {
        (Some(sd), _) => (Some([mean - sd, mean + sd]), format!(" ± {} over seeds", fixed(sd, decimals))),
        (None, Some(ends)) => (Some(ends), format!(" (95 % {})", range(ends, decimals))),
        (None, None) => (None, String::new()),
    };
    Some(Found { mean, bar, runs, words: fixed(mean, decimals) + &words })
}

/// Mean null value of ECE over the runs, by place.
fn null_values(series: &[Series<'_>]) -> Vec<(f64, f64)> {
    let Some(first) = series.first() else { return Vec::new() };
    first
        .settings
        .iter()
        .filter_map(|(place, setting)| {
            let nulls: Vec<f64> = setting
                .evaluations(first.after)
                .filter_map(|(_, evaluation)| evaluation.metrics.get("ece")?.null_value)
                .collect();
            (!nulls.is_empty()).then(|| (*place, nulls.iter().sum::<f64>() / nulls.len() as f64))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::setting::settings;
    use super::*;
    use crate::report::comparison::tests::run;

    fn figures(runs: &[(&str, f64)]) -> Vec<Figure> {
        let seeds = 0..2_u64;
        let runs = runs.iter().flat_map(|(loss, strength)| {
            seeds.clone().map(move |seed| {
                let mut run =
                    run(*strength, seed, 0.3, &[("ece", 0.1 + strength + seed as f64 * 0.02, 0.01)]);
                run.variant.loss = (*loss).to_owned();
                run
            })
        });
        let comparison = Comparison::new("vision", "digits", runs.collect());
        strengths(&comparison, &settings(&comparison, &[]))
    }

    #[test]
    fn strengths_of_one_kind_share_a_figure_with_their_temperature() {
        let [figure] = &figures(&[("ce", 0.0), ("ce", 0.1)])[..] else { panic!("one figure") };
        assert_eq!(figure.panels.len(), 1);
        let panel = &figure.panels[0];
        assert!(
            panel.description.contains("No smoothing, as trained: 0.110 ± 0.014 over seeds"),
            "{panel:?}"
        );
        assert!(panel.description.contains("Smoothing 0.1, with temperature scaling: 0.010"));
        assert_eq!(panel.plot.x.ticks.len(), 2);
    }

    #[test]
    fn several_kinds_have_a_line_each_and_a_figure_for_the_temperature() {
        let found = figures(&[("ce", 0.0), ("ce", 0.1), ("focal", 0.0), ("focal", 0.1)]);
        let names: Vec<&str> = found.iter().map(|figure| figure.name.as_str()).collect();
        assert_eq!(names, ["measures", "measures-with-temperature"]);
        let legend: Vec<&str> = found[0].legend.iter().map(|entry| entry.text.as_str()).collect();
        assert_eq!(legend[..2], ["loss=ce", "loss=focal"]);
    }

    #[test]
    fn settings_of_one_strength_stand_side_by_side() {
        let [figure] = &figures(&[("ce", 0.0), ("focal", 0.0)])[..] else { panic!("one figure") };
        assert_eq!(figure.panels[0].plot.x.label, "setting");
        let lines = figure.panels[0].plot.layers.iter().filter(|layer| matches!(layer, Layer::Line { .. }));
        // Only the reference line: there is nothing between two losses.
        assert_eq!(lines.count(), 1);
    }
}
