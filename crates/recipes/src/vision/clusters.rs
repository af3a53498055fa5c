//! The picture of what smoothing does to features: three classes in the plane of their templates.

use std::collections::BTreeMap;

use candor::report::page::{Axis, Figure, Layer, LegendEntry, Mark, Paint, Panel, Plot, Point, Role};

use crate::comparison::FinishedRun;
use crate::training::curves::by_variant;

/// Settings that are drawn, at most.
const MOST: usize = 6;
/// The shapes of the three classes, so that colour is not needed to tell them apart.
const MARKS: [Mark; 3] = [Mark::Circle, Mark::Triangle, Mark::Dot];

/// The features of the first seed of each setting; `None` without telemetry.
pub(super) fn figure(runs: &[FinishedRun]) -> Option<Figure> {
    let variants = by_variant(runs);
    let drawn: Vec<(String, &FinishedRun)> = variants
        .into_iter()
        .filter_map(|(label, mine)| {
            let run = mine.into_iter().min_by_key(|run| run.config.seed)?;
            (!run.figures.findings.points.is_empty()).then_some((label, run))
        })
        .take(MOST)
        .collect();
    let panels: Vec<Panel> = drawn
        .iter()
        .flat_map(|(label, run)| ["training", "validation"].map(|part| panel(label, part, run)))
        .flatten()
        .collect();
    let legend = drawn.first().map(|(_, run)| legend(run)).unwrap_or_default();
    (!panels.is_empty()).then(|| Figure {
        name: "clusters".to_owned(),
        title: "Features of three classes".to_owned(),
        caption: "What the last layer sees, in the plane through the templates of two classes that look alike and one that does not; first seed of each setting. The two pictures of a setting have the same axes, those of different settings have not.".to_owned(),
        reading: "Each point is an image. A class that spreads towards another one still tells which of its members resemble that class; tight clusters at equal distances, which smoothing tends to make, do not, and a student or another task can learn less from them. The axes show how large the features are, the figure below each picture how tight the classes are in proportion.".to_owned(),
        legend,
        panels,
    })
}

/// The classes of a part with their points.
fn classes<'a>(run: &'a FinishedRun, part: &str) -> BTreeMap<&'a str, &'a [(f64, f64)]> {
    let points = run.figures.findings.points.iter();
    points
        .filter_map(|(name, points)| {
            let class = name.strip_prefix("plane/")?.strip_prefix(part)?.strip_prefix('/')?;
            Some((class, points.as_slice()))
        })
        .collect()
}

fn paint(index: usize) -> Paint {
    Paint::solid(Role::Series(index)).opacity(0.75)
}

fn legend(run: &FinishedRun) -> Vec<LegendEntry> {
    classes(run, "training")
        .keys()
        .enumerate()
        .map(|(index, class)| LegendEntry {
            mark: MARKS[index % MARKS.len()],
            paint: paint(index),
            text: format!("class {class}"),
        })
        .collect()
}

fn panel(label: &str, part: &str, run: &FinishedRun) -> Option<Panel> {
    let classes = classes(run, part);
    if classes.values().all(|points| points.is_empty()) {
        return None;
    }
    let (mut layers, mut described) = (Vec::new(), Vec::new());
    for (index, (class, points)) in classes.iter().enumerate() {
        let n = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let width = points.iter().map(|point| (point.0 - x).hypot(point.1 - y)).sum::<f64>() / n;
        described.push(format!("class {class}: centre ({x:.2}, {y:.2}), mean distance from it {width:.2}"));
        let points = points.iter().map(|(x, y)| Point { x: *x, y: *y, bar: None, note: String::new() });
        layers.push(Layer::Points {
            paint: paint(index),
            mark: MARKS[index % MARKS.len()],
            points: points.collect(),
        });
    }
    let name = if part == "training" { "class_tightness" } else { "class_tightness_validation" };
    let tightness = run.record.metrics.get(name);
    let facts = tightness.map(|value| ("within / between classes".to_owned(), format!("{value:.3}")));
    // Both parts of a setting have the same axes.
    let points: Vec<(f64, f64)> = run.figures.findings.points.values().flatten().copied().collect();
    let along = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).collect::<Vec<f64>>();
    Some(Panel {
        title: format!("Smoothing {label}, {part} rows"),
        description: format!("{}.", described.join("; ")),
        facts: facts.into_iter().collect(),
        plot: Plot {
            x: Axis::fitting("from one template to the next", &along(|point| point.0), 4),
            y: Axis::fitting("towards the third", &along(|point| point.1), 4),
            layers,
            strip: None,
        },
    })
}
