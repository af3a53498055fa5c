//! Training curves: NLL, ECE and accuracy by epoch.

use super::super::number::fixed;
use super::super::setting::Setting;
use super::super::{Axis, EpochPoint, Figure, Layer, LegendEntry, Mark, Paint, Panel, Plot, Point, Role};
use super::{Style, TRAINING, VALIDATION, drawn, left_out};

/// Points of a curve that are drawn, at most.
const MOST_POINTS: usize = 120;
/// Runs of a setting that are drawn, at most.
const MOST_RUNS: usize = 5;

type Reader = fn(&EpochPoint) -> Option<f64>;

/// What one curve shows.
struct Curve {
    style: Style,
    of: Reader,
}

const NLL: [Curve; 2] = [
    Curve { style: TRAINING, of: |epoch| Some(epoch.train_nll) },
    Curve { style: VALIDATION, of: |epoch| epoch.validation_nll },
];
const ACCURACY: [Curve; 2] = [
    Curve { style: TRAINING, of: |epoch| epoch.train_accuracy },
    Curve { style: VALIDATION, of: |epoch| epoch.validation_accuracy },
];
const ECE: [Curve; 1] = [Curve { style: VALIDATION, of: |epoch| epoch.validation_ece }];

/// For every setting NLL by epoch, and ECE and accuracy of the validation rows of all settings together.
pub(in super::super) fn learning(settings: &[Setting<'_>]) -> Vec<Figure> {
    let drawn = drawn(settings);
    let histories: Vec<(String, Vec<&[EpochPoint]>)> = drawn
        .iter()
        .map(|setting| (setting.title(), histories(setting)))
        .filter(|(_, histories)| !histories.is_empty())
        .collect();
    if histories.is_empty() {
        return Vec::new();
    }
    let all: Vec<f64> = histories
        .iter()
        .flat_map(|(_, runs)| runs.iter().flat_map(|run| run.iter()))
        .flat_map(|epoch| NLL.iter().filter_map(|curve| (curve.of)(epoch)))
        .collect();
    let y = Axis::fitting("NLL in nats", &[&[0.0], &all[..]].concat(), 4);
    let panels = histories.iter().map(|(title, runs)| panel(title.clone(), runs, &NLL, &y)).collect();
    let mut figures = vec![Figure {
        name: "training".to_owned(),
        title: "NLL during training".to_owned(),
        caption: format!(
            "Without smoothing in it, so that the strengths can be compared. Bold is the first seed, thin the others; the dot marks the lowest validation NLL.{}",
            left_out(settings)
        ),
        reading: "The negative log-likelihood of the labels after each epoch, on the rows that were trained on and on the held-out validation rows. Good is a validation curve that falls and stays low. If it rises while the training curve goes on falling, the model overfits and becomes over-confident: that is where smoothing, fewer epochs or temperature scaling help.".to_owned(),
        legend: legend(&NLL),
        panels,
    }];
    figures.extend(validation(&drawn));
    figures
}

fn legend(curves: &[Curve]) -> Vec<LegendEntry> {
    curves
        .iter()
        .map(|curve| LegendEntry {
            mark: Mark::Line,
            paint: curve.style.paint,
            text: curve.style.name.to_owned(),
        })
        .collect()
}

/// The curves of one run: NLL, ECE and accuracy in a panel each.
pub(in super::super) fn single_run(epochs: &[EpochPoint]) -> Option<Figure> {
    if epochs.is_empty() {
        return None;
    }
    let panels =
        [("NLL", "NLL in nats", &NLL[..]), ("ECE", "ECE", &ECE[..]), ("Accuracy", "accuracy", &ACCURACY[..])]
            .into_iter()
            .filter_map(|(title, axis, curves)| {
                let mut values: Vec<f64> = epochs
                    .iter()
                    .flat_map(|epoch| curves.iter().filter_map(|curve| (curve.of)(epoch)))
                    .collect();
                if values.is_empty() {
                    return None;
                }
                if title != "Accuracy" {
                    values.push(0.0);
                }
                Some(panel(title.to_owned(), &[epochs], curves, &Axis::fitting(axis, &values, 4)))
            })
            .collect();
    Some(Figure {
        name: "training".to_owned(),
        title: "During training".to_owned(),
        caption: "After each epoch; the NLL is without smoothing. The dot marks the best epoch.".to_owned(),
        reading: "Each panel shows one measure after every epoch, on the rows that were trained on and on the validation rows. Good is a low NLL and ECE and a high accuracy of the validation rows. A validation NLL that rises while the training NLL falls means that the model overfits.".to_owned(),
        legend: legend(&NLL),
        panels,
    })
}

fn histories<'a>(setting: &Setting<'a>) -> Vec<&'a [EpochPoint]> {
    let kept = setting.runs.iter().filter(|run| !run.epochs.is_empty());
    kept.take(MOST_RUNS).map(|run| &run.epochs[..]).collect()
}

fn epoch_axis(runs: &[&[EpochPoint]]) -> Axis {
    let epochs = || runs.iter().flat_map(|run| run.iter()).map(|epoch| epoch.epoch);
    let (first, last) = (epochs().min().unwrap_or(1), epochs().max().unwrap_or(1));
    let step = Axis::fitting("", &[first as f64, last as f64], 5);
    let whole = step
        .ticks
        .iter()
        .filter(|tick| tick.0.fract() == 0.0 && tick.0 >= first as f64 && tick.0 <= last as f64);
    let mut places: Vec<(f64, String)> = whole.map(|tick| (tick.0, fixed(tick.0, 0))).collect();
    places.insert(0, (first as f64, first.to_string()));
    let mut axis = Axis::at("epoch", &places);
    let margin = ((last - first) as f64 * 0.03).max(0.2);
    (axis.low, axis.high) = (first as f64 - margin, last as f64 + margin);
    axis
}

/// At most [`MOST_POINTS`] points of a curve, the last among them.
fn thinned(run: &[EpochPoint], of: Reader) -> Vec<(f64, f64)> {
    let all: Vec<(f64, f64)> =
        run.iter().filter_map(|epoch| Some((epoch.epoch as f64, of(epoch)?))).collect();
    let every = all.len().div_ceil(MOST_POINTS).max(1);
    let last = all.len().saturating_sub(1);
    all.into_iter()
        .enumerate()
        .filter(|(i, _)| i % every == 0 || *i == last)
        .map(|(_, point)| point)
        .collect()
}

fn panel(title: String, runs: &[&[EpochPoint]], curves: &[Curve], y: &Axis) -> Panel {
    let (mut layers, mut front, mut described) = (Vec::new(), Vec::new(), Vec::new());
    for curve in curves {
        let (name, paint) = (curve.style.name, curve.style.paint);
        for (i, run) in runs.iter().enumerate() {
            let points = thinned(run, curve.of);
            if i > 0 {
                layers.push(Layer::Line { paint: paint.opacity(0.3), points });
                continue;
            }
            let hovered = points.iter().map(|(x, y)| Point {
                x: *x,
                y: *y,
                bar: None,
                note: format!("epoch {x}, {name}: {}", fixed(*y, 3)),
            });
            front.push(Layer::Points { paint, mark: Mark::Line, points: hovered.collect() });
            described.extend(course(run, curve));
            layers.push(Layer::Line { paint, points });
            front.extend(best(run, curve, &title));
        }
    }
    layers.extend(front);
    Panel {
        title,
        description: format!("{}.", described.join("; ")),
        facts: Vec::new(),
        plot: Plot { x: epoch_axis(runs), y: y.clone(), layers, strip: None },
    }
}

/// A dot at the best value of the validation rows.
fn best(run: &[EpochPoint], curve: &Curve, title: &str) -> Option<Layer> {
    if curve.style != VALIDATION {
        return None;
    }
    let sign = if title == "Accuracy" { -1.0 } else { 1.0 };
    let points = run.iter().filter_map(|epoch| Some((epoch.epoch as f64, (curve.of)(epoch)?)));
    let (x, y) = points.min_by(|a, b| (a.1 * sign).total_cmp(&(b.1 * sign)))?;
    let note = format!("best: {} at epoch {x}", fixed(y, 3));
    let points = vec![Point { x, y, bar: None, note }];
    Some(Layer::Points { paint: curve.style.paint, mark: Mark::Circle, points })
}

/// First, lowest and last value in words.
fn course(run: &[EpochPoint], curve: &Curve) -> Option<String> {
    let points: Vec<(usize, f64)> =
        run.iter().filter_map(|epoch| Some((epoch.epoch, (curve.of)(epoch)?))).collect();
    let (first, last) = (points.first()?, points.last()?);
    let lowest = points.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(format!(
        "{}: {} at epoch {}, lowest {} at epoch {}, {} at epoch {}",
        curve.style.name,
        fixed(first.1, 3),
        first.0,
        fixed(lowest.1, 3),
        lowest.0,
        fixed(last.1, 3),
        last.0
    ))
}

/// ECE and accuracy of the validation rows, all settings in one panel each, first seeds only.
fn validation(settings: &[&Setting<'_>]) -> Option<Figure> {
    let named: Vec<(String, &[EpochPoint])> =
        settings.iter().filter_map(|setting| Some((setting.title(), *histories(setting).first()?))).collect();
    let style = |i: usize| Paint { dashed: i % 2 == 1, ..Paint::solid(Role::Series(i)) };
    let panels: Vec<Panel> =
        [("Validation ECE", "ECE", ECE[0].of), ("Validation accuracy", "accuracy", ACCURACY[1].of)]
            .into_iter()
            .filter_map(|(title, axis, of)| {
                let (mut layers, mut described, mut values) = (Vec::new(), Vec::new(), Vec::new());
                if axis == "ECE" {
                    values.push(0.0);
                }
                for (i, (name, run)) in named.iter().enumerate() {
                    let points = thinned(run, of);
                    let Some(last) = points.last() else { continue };
                    described.push(format!("{name}: {} after epoch {}", fixed(last.1, 3), last.0));
                    values.extend(points.iter().map(|point| point.1));
                    let note = |x: f64, y: f64| format!("{name}, epoch {x}: {}", fixed(y, 3));
                    let hovered =
                        points.iter().map(|(x, y)| Point { x: *x, y: *y, bar: None, note: note(*x, *y) });
                    let hovered = hovered.collect();
                    layers.push(Layer::Line { paint: style(i), points });
                    layers.push(Layer::Points { paint: style(i), mark: Mark::Line, points: hovered });
                }
                if described.is_empty() {
                    return None;
                }
                let runs: Vec<&[EpochPoint]> = named.iter().map(|(_, run)| *run).collect();
                Some(Panel {
                    title: title.to_owned(),
                    description: format!("{}.", described.join("; ")),
                    facts: Vec::new(),
                    plot: Plot {
                        x: epoch_axis(&runs),
                        y: Axis::fitting(axis, &values, 4),
                        layers,
                        strip: None,
                    },
                })
            })
            .collect();
    if panels.is_empty() {
        return None;
    }
    let legend = named
        .iter()
        .enumerate()
        .map(|(i, (name, _))| LegendEntry { mark: Mark::Line, paint: style(i), text: name.clone() })
        .collect();
    Some(Figure {
        name: "validation".to_owned(),
        title: "Calibration and accuracy during training".to_owned(),
        caption: "On the validation rows, first seed of each setting.".to_owned(),
        reading: "How the calibration error and the accuracy of the validation rows develop with the epochs. Good is an ECE near 0 and a high accuracy at the end. An ECE that rises while the accuracy stands still says that longer training only makes the model surer of itself.".to_owned(),
        legend,
        panels,
    })
}
