//! What the conclusions of the recipes are made from: runs by setting, means over seeds, and plain pictures.

use candor::report::Variant;
use candor::report::page::{Axis, Cell, Figure, Layer, LegendEntry, Mark, Paint, Panel, Plot, Point, Role};

use crate::comparison::FinishedRun;

/// The runs of one setting, one a seed.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    /// What was trained.
    pub variant: &'a Variant,
    /// Its runs.
    pub runs: Vec<&'a FinishedRun>,
}

/// Mean and standard deviation over seeds; 0 for one seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation.
    pub sd: f64,
}

impl Spread {
    /// Of these values; `None` for none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        if values.is_empty() {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let sd = if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 };
        Some(Self { mean, sd })
    }

    /// `mean ± sd`, or the mean alone without a spread.
    pub fn words(&self, decimals: usize) -> String {
        if self.sd > 0.0 {
            format!("{:.decimals$} ± {:.decimals$}", self.mean, self.sd)
        } else {
            format!("{:.decimals$}", self.mean)
        }
    }

    /// A cell of a table.
    pub fn cell(found: Option<Self>, decimals: usize) -> Cell {
        found.map_or(Cell::text("-"), |found| Cell::number(found.words(decimals), found.mean))
    }
}

impl Setting<'_> {
    /// What tells a setting from the others: model and further settings where they differ, and the strength if it
    /// is asked for.
    pub fn label(&self, all: &[Setting<'_>], strength: bool) -> String {
        let mine = self.variant;
        let mut words = Vec::new();
        if all.iter().any(|other| other.variant.model != mine.model) {
            words.push(mine.model.clone());
        }
        for (key, value) in &mine.settings {
            if all.iter().any(|other| other.variant.settings.get(key) != Some(value)) {
                // The recipe's own choice needs no name.
                words.push(if key == "pseudo" { value.clone() } else { format!("{key}={value}") });
            }
        }
        if strength {
            words.push(mine.smoothing.to_string());
        }
        words.join(" ")
    }

    /// A figure over the seeds; `None` unless every run has it.
    pub fn spread(&self, metric: &str) -> Option<Spread> {
        let values: Option<Vec<f64>> =
            self.runs.iter().map(|run| run.record.metrics.get(metric).copied()).collect();
        Spread::of(&values?)
    }

    /// The mean of a figure over the seeds.
    pub fn mean(&self, metric: &str) -> Option<f64> {
        self.spread(metric).map(|spread| spread.mean)
    }

    /// The mean over the seeds of points that stand at the same places in every run.
    pub fn points(&self, name: &str) -> Vec<(f64, f64)> {
        let all: Vec<&Vec<(f64, f64)>> =
            self.runs.iter().filter_map(|run| run.figures.findings.points.get(name)).collect();
        let Some(first) = all.first() else { return Vec::new() };
        let mean = |index: usize| {
            let values: Vec<f64> = all.iter().filter_map(|points| Some(points.get(index)?.1)).collect();
            Spread::of(&values).map_or(f64::NAN, |spread| spread.mean)
        };
        first.iter().enumerate().map(|(index, (x, _))| (*x, mean(index))).collect()
    }
}

/// The runs by setting, in the order in which the settings come.
pub(crate) fn settings(runs: &[FinishedRun]) -> Vec<Setting<'_>> {
    let mut found: Vec<Setting<'_>> = Vec::new();
    for run in runs {
        match found.iter_mut().find(|setting| *setting.variant == run.record.variant) {
            Some(setting) => setting.runs.push(run),
            None => found.push(Setting { variant: &run.record.variant, runs: vec![run] }),
        }
    }
    found
}

/// The setting that differs from this one in the strength alone and has the smallest.
pub(crate) fn baseline<'s, 'a>(settings: &'s [Setting<'a>], of: &Variant) -> Option<&'s Setting<'a>> {
    settings
        .iter()
        .filter(|setting| setting.variant.same_but_smoothing(of))
        .min_by(|a, b| a.variant.smoothing.total_cmp(&b.variant.smoothing))
}

/// One line of a plot.
pub(crate) struct Line {
    /// What the legend says.
    pub name: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
    /// Half the length of a bar at each point; may be empty.
    pub bars: Vec<f64>,
}

impl Line {
    fn paint(index: usize) -> Paint {
        Paint { dashed: index % 2 == 1, ..Paint::solid(Role::Series(index)) }
    }
}

/// A panel of lines with marks on two axes.
pub(crate) fn lines(title: &str, x: &str, y: &str, from_zero: bool, lines: &[Line]) -> Panel {
    let xs: Vec<f64> = lines.iter().flat_map(|line| line.points.iter().map(|point| point.0)).collect();
    let mut ys: Vec<f64> = lines.iter().flat_map(|line| line.points.iter().map(|point| point.1)).collect();
    if from_zero {
        ys.push(0.0);
    }
    let mut layers = Vec::new();
    let mut described = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let paint = Line::paint(index);
        layers.push(Layer::Line { paint, points: line.points.clone() });
        let points: Vec<Point> = line
            .points
            .iter()
            .enumerate()
            .map(|(at, &(px, py))| {
                let half = line.bars.get(at).copied().filter(|half| *half > 0.0);
                ys.extend(half.iter().flat_map(|half| [py - half, py + half]));
                let note = format!("{} at {x} {px:.4}: {py:.4}", line.name);
                Point { x: px, y: py, bar: half.map(|half| [py - half, py + half]), note }
            })
            .collect();
        let words: Vec<String> = line.points.iter().map(|(px, py)| format!("{py:.3} at {px:.3}")).collect();
        described.push(format!("{}: {}", line.name, words.join(", ")));
        // Marks of a long line would cover it.
        let mark = match (points.len(), index % 2) {
            (25.., _) => Mark::Line,
            (_, 0) => Mark::Circle,
            _ => Mark::Triangle,
        };
        layers.push(Layer::Points { paint, mark, points });
    }
    Panel {
        title: title.to_owned(),
        description: format!("{y} against {x}. {}.", described.join("; ")),
        facts: Vec::new(),
        plot: Plot { x: Axis::fitting(x, &xs, 4), y: Axis::fitting(y, &ys, 4), layers, strip: None },
    }
}

/// The legend of lines with these names.
pub(crate) fn legend<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<LegendEntry> {
    names
        .into_iter()
        .enumerate()
        .map(|(index, name)| LegendEntry {
            mark: if index % 2 == 0 { Mark::Circle } else { Mark::Triangle },
            paint: Line::paint(index),
            text: name.to_owned(),
        })
        .collect()
}

/// A figure of panels.
pub(crate) fn figure(
    name: &str,
    title: &str,
    caption: &str,
    reading: &str,
    legend: Vec<LegendEntry>,
    panels: Vec<Panel>,
) -> Figure {
    let [name, title, caption, reading] = [name, title, caption, reading].map(str::to_owned);
    Figure { name, title, caption, reading, legend, panels }
}

/// Words in a list: `a, b and c`.
pub(crate) fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}
