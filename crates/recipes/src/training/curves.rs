//! Pictures of what changed over the epochs: figures of the logs, one line a variant, mean over the seeds.

use candor::report::Variant;
use candor::report::page::{
    Axis, Figure, Layer, LegendEntry, Mark, Paint, Panel, Plot, Point, Role, variant_label,
};

use super::EpochLog;
use crate::comparison::FinishedRun;

/// Variants that are drawn, at most.
const MOST_VARIANTS: usize = 12;
/// Points of a line, at most.
const MOST_POINTS: usize = 120;

/// What one panel shows.
#[derive(Debug, Clone, Copy)]
pub struct Curve {
    /// The name of the figure in [`EpochLog::telemetry`].
    pub name: &'static str,
    /// The title of the panel.
    pub title: &'static str,
    /// The words at the vertical axis.
    pub axis: &'static str,
}

/// The variants of some runs with their labels and runs, in order of first appearance.
pub fn by_variant(runs: &[FinishedRun]) -> Vec<(String, Vec<&FinishedRun>)> {
    let mut found: Vec<&Variant> = Vec::new();
    for run in runs {
        if !found.contains(&&run.record.variant) {
            found.push(&run.record.variant);
        }
    }
    found
        .iter()
        .map(|variant| {
            let mine = runs.iter().filter(|run| run.record.variant == **variant).collect();
            (variant_label(variant, &found), mine)
        })
        .collect()
}

/// One panel a curve, one line a variant; `None` if no run has any of the figures.
pub fn curves(runs: &[FinishedRun], figure: Figure, curves: &[Curve]) -> Option<Figure> {
    let lines = |curve: &Curve| course(runs, |log| log.telemetry.get(curve.name).copied());
    let panels: Vec<Panel> =
        curves.iter().filter_map(|curve| panel(curve.title, curve.axis, &lines(curve))).collect();
    finish(figure, panels, runs)
}

/// The strength of smoothing over the epochs, where a schedule changes it.
pub fn strength(runs: &[FinishedRun]) -> Option<Figure> {
    if runs.iter().all(|run| run.config.schedule.name == "constant") {
        return None;
    }
    let lines = course(runs, |log| Some(log.smoothing));
    let figure = Figure {
        name: "strength".to_owned(),
        title: "Strength of smoothing during training".to_owned(),
        caption: "At the last step of each epoch.".to_owned(),
        reading: "How the schedules change the strength. A strength that falls to 0 leaves a model that ends like one without smoothing: as confident, and as badly calibrated if it overfits.".to_owned(),
        ..Figure::default()
    };
    finish(figure, panel("Strength", "smoothing", &lines).into_iter().collect(), runs)
}

type Line = (String, Vec<(f64, f64)>);

/// Mean over the runs of each variant, epoch by epoch; an epoch that a run lacks has the mean of the others.
fn course(runs: &[FinishedRun], figure: impl Fn(&EpochLog) -> Option<f64>) -> Vec<Line> {
    by_variant(runs)
        .into_iter()
        .take(MOST_VARIANTS)
        .map(|(label, mine)| {
            let last = mine.iter().map(|run| run.epochs.len()).max().unwrap_or(0);
            let every = last.div_ceil(MOST_POINTS).max(1);
            let points =
                (0..last).filter(|epoch| epoch % every == 0 || epoch + 1 == last).filter_map(|epoch| {
                    let values: Vec<f64> =
                        mine.iter().filter_map(|run| figure(run.epochs.get(epoch)?)).collect();
                    let n = values.len() as f64;
                    (n > 0.0).then(|| (epoch as f64 + 1.0, values.iter().sum::<f64>() / n))
                });
            (label, points.collect())
        })
        .collect()
}

fn style(index: usize) -> Paint {
    Paint { dashed: index % 2 == 1, ..Paint::solid(Role::Series(index)) }
}

fn panel(title: &str, axis: &str, lines: &[Line]) -> Option<Panel> {
    let (mut layers, mut described, mut values) = (Vec::new(), Vec::new(), vec![0.0]);
    let mut last_epoch = 1.0_f64;
    for (index, (label, points)) in lines.iter().enumerate() {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { continue };
        described.push(format!(
            "{label}: {} after epoch {}, {} after epoch {}",
            short(first.1),
            first.0,
            short(last.1),
            last.0
        ));
        last_epoch = last_epoch.max(last.0);
        values.extend(points.iter().map(|point| point.1));
        let hovered = points.iter().map(|(x, y)| Point {
            x: *x,
            y: *y,
            bar: None,
            note: format!("{label}, epoch {x}: {}", short(*y)),
        });
        layers.push(Layer::Line { paint: style(index), points: points.clone() });
        layers.push(Layer::Points { paint: style(index), mark: Mark::Line, points: hovered.collect() });
    }
    if layers.is_empty() {
        return None;
    }
    let mut x = Axis::fitting("epoch", &[1.0, last_epoch], 5);
    x.ticks.retain(|tick| tick.0.fract() == 0.0 && tick.0 >= 1.0 && tick.0 <= last_epoch);
    let margin = (last_epoch * 0.03).max(0.2);
    (x.low, x.high) = (1.0 - margin, last_epoch + margin);
    Some(Panel {
        title: title.to_owned(),
        description: format!("{}.", described.join("; ")),
        facts: Vec::new(),
        plot: Plot { x, y: Axis::fitting(axis, &values, 4), layers, strip: None },
    })
}

fn finish(figure: Figure, panels: Vec<Panel>, runs: &[FinishedRun]) -> Option<Figure> {
    if panels.is_empty() {
        return None;
    }
    let variants = by_variant(runs);
    let mut caption = figure.caption;
    if variants.len() > MOST_VARIANTS {
        caption.push_str(&format!(" Shown are {MOST_VARIANTS} of {} settings.", variants.len()));
    }
    let legend = variants
        .into_iter()
        .take(MOST_VARIANTS)
        .enumerate()
        .map(|(index, (text, _))| LegendEntry { mark: Mark::Line, paint: style(index), text })
        .collect();
    Some(Figure { caption, legend, panels, ..figure })
}

/// Three significant digits or so.
fn short(value: f64) -> String {
    if value != 0.0 && (value.abs() < 0.01 || value.abs() >= 1e5) {
        format!("{value:.2e}")
    } else {
        format!("{value:.3}")
    }
}
