//! Reliability diagrams: share of correct rows against stated confidence, with Wilson's bands and counts.

use super::super::number::{count, fixed, range, signed};
use super::super::setting::Setting;
use super::super::{Axis, Block, Figure, Layer, LegendEntry, Mark, Paint, Panel, Plot, Point, Role, Strip};
use super::{Style, drawn, left_out};
use crate::metrics::{Evaluation, ReliabilityBin};

/// One panel a setting, as trained or with the temperature; `None` without evaluations.
pub(in super::super) fn reliability(settings: &[Setting<'_>], after: bool) -> Option<Figure> {
    let panels: Vec<Panel> = drawn(settings)
        .into_iter()
        .filter_map(|setting| {
            let mut evaluations = setting.evaluations(after);
            let (seed, first) = evaluations.next()?;
            let others: Vec<&Evaluation> = evaluations.map(|(_, evaluation)| evaluation).collect();
            let mut panel = reliability_panel(setting.title(), first, &others, Style::of(after));
            if !others.is_empty() {
                panel.facts.insert(0, ("Seed".to_owned(), seed.to_string()));
            }
            if let (true, Some(t)) = (after, setting.runs.first().and_then(|run| run.temperature)) {
                panel.facts.insert(0, ("Temperature".to_owned(), fixed(t, 2)));
            }
            Some(panel)
        })
        .collect();
    if panels.is_empty() {
        return None;
    }
    let several = settings.iter().any(|setting| setting.evaluations(after).count() > 1);
    let (name, title, caption) = if after {
        (
            "reliability-with-temperature",
            "Reliability with temperature scaling",
            "The same models, their logits divided by one temperature that was fitted on the validation rows.",
        )
    } else {
        (
            "reliability",
            "Reliability as trained",
            "Points on the diagonal are honest. Below it the model promises too much, above it too little.",
        )
    };
    Some(Figure {
        name: name.to_owned(),
        title: title.to_owned(),
        caption: caption.to_owned() + &left_out(settings),
        reading: reading(after),
        legend: legend(Style::of(after), several),
        panels,
    })
}

fn reading(after: bool) -> String {
    if after {
        "The same diagram after the logits of each model were divided by its temperature. Compare it with the diagram as trained: where the points have moved to the diagonal, one number was enough to repair the confidence, and no new training is needed."
    } else {
        "Test rows are sorted into bins by how confident the model was. Each point shows how often the rows of a bin were right, its shaded box the 95 % interval (Wilson) of that share, and the bars below how many rows the bin holds. Good is a box that touches the diagonal wherever the bars are high; bins with few rows have wide boxes and say little."
    }
    .to_owned()
}

fn legend(style: Style, several: bool) -> Vec<LegendEntry> {
    let entry = |mark, paint, text: &str| LegendEntry { mark, paint, text: text.to_owned() };
    let mut legend = vec![
        entry(style.mark, Paint { dashed: false, ..style.paint }, "share of correct rows in a bin"),
        entry(Mark::Area, style.paint.opacity(0.25), "its 95 % interval"),
        entry(Mark::Line, Paint::solid(Role::Muted).dashed(), "perfect calibration"),
        entry(Mark::Area, Paint::solid(Role::Muted).opacity(0.6), "rows in the bin"),
    ];
    if several {
        legend.insert(2, entry(Mark::Dot, style.paint.opacity(0.5), "other seeds"));
    }
    legend
}

/// The diagram of one evaluation; `others` are drawn as small dots.
pub(in super::super) fn reliability_panel(
    title: String,
    evaluation: &Evaluation,
    others: &[&Evaluation],
    style: Style,
) -> Panel {
    let mut dots = Vec::new();
    for other in others {
        dots.extend(filled(&other.reliability).map(|(_, confidence, accuracy)| Point {
            x: confidence,
            y: accuracy,
            bar: None,
            note: String::new(),
        }));
    }
    let mut panel = bins_panel(title, &evaluation.reliability, dots, style);
    panel.description = format!("{} {}", figures_sentence(evaluation), panel.description);
    panel.facts = figures(evaluation);
    panel
}

/// The bins that hold rows.
fn filled(bins: &[ReliabilityBin]) -> impl Iterator<Item = (ReliabilityBin, f64, f64)> + '_ {
    bins.iter().filter_map(|bin| Some((*bin, bin.confidence?, bin.accuracy?)))
}

/// The diagram of some bins, without figures.
pub(super) fn bins_panel(title: String, all: &[ReliabilityBin], dots: Vec<Point>, style: Style) -> Panel {
    let bins: Vec<(ReliabilityBin, f64, f64)> = filled(all).collect();
    let bands: Vec<Block> = bins
        .iter()
        .filter_map(|(bin, _, _)| {
            Some(Block { x: [bin.low, bin.high], y: bin.accuracy_ci?, note: String::new() })
        })
        .collect();
    let points: Vec<Point> = bins
        .iter()
        .map(|(bin, confidence, accuracy)| Point {
            x: *confidence,
            y: *accuracy,
            bar: None,
            note: sentence(bin, *confidence, *accuracy),
        })
        .collect();
    let most = all.iter().map(|bin| bin.count).max().unwrap_or(0) as f64;
    let bars: Vec<Block> = bins
        .iter()
        .map(|(bin, ..)| Block {
            x: inset([bin.low, bin.high]),
            y: [0.0, bin.count as f64],
            note: format!("{} to {}: {} rows", fixed(bin.low, 2), fixed(bin.high, 2), count(bin.count)),
        })
        .collect();
    let paint = style.paint;
    let described: Vec<String> =
        bins.iter().map(|(bin, confidence, accuracy)| sentence(bin, *confidence, *accuracy)).collect();
    Panel {
        title,
        description: described.join("; "),
        facts: Vec::new(),
        plot: Plot {
            x: Axis::unit("confidence"),
            y: Axis::unit("share correct"),
            layers: vec![
                Layer::Blocks { paint: paint.opacity(0.25), blocks: bands },
                Layer::Line {
                    paint: Paint::solid(Role::Muted).dashed(),
                    points: vec![(0.0, 0.0), (1.0, 1.0)],
                },
                Layer::Points { paint: paint.opacity(0.5), mark: Mark::Dot, points: dots },
                Layer::Points { paint, mark: style.mark, points },
            ],
            strip: Some(Strip {
                y: Axis::fitting("rows", &[0.0, most], 2),
                blocks: bars,
                paint: Paint::solid(Role::Muted).opacity(0.6),
            }),
        },
    }
}

/// Two models on the same rows, side by side.
pub(in super::super) fn two_models(
    first: (&str, &Evaluation, Style),
    other: (&str, &Evaluation, Style),
) -> Figure {
    let panel = |(name, evaluation, style): (&str, &Evaluation, Style)| {
        reliability_panel(name.to_owned(), evaluation, &[], style)
    };
    Figure {
        name: "models".to_owned(),
        title: "Both models".to_owned(),
        caption: "The same rows, judged by each model. The one whose points lie closer to the diagonal is the more honest.".to_owned(),
        reading: "The reliability diagrams of the two models that were compared. Whether a difference is more than chance is in the table, where the models are paired by row.".to_owned(),
        legend: legend(first.2, false).into_iter().skip(1).collect(),
        panels: vec![panel(first), panel(other)],
    }
}

/// What a calibration map makes of the predictions.
pub(in super::super) fn effect_of_map(map: &str, before: &Evaluation, after: &Evaluation) -> Figure {
    Figure {
        name: "map".to_owned(),
        title: format!("With {map}"),
        caption: "The same predictions as they are, and with the map. A map that works moves the points to the diagonal.".to_owned(),
        reading: "A calibration map changes the confidences and keeps the answers, or nearly so. It must have been fitted on other rows than these, or the right-hand picture flatters it.".to_owned(),
        legend: legend(Style::of(false), false).into_iter().skip(1).collect(),
        panels: vec![
            reliability_panel("as they are".to_owned(), before, &[], Style::of(false)),
            reliability_panel(format!("with {map}"), after, &[], Style::of(true)),
        ],
    }
}

/// Slightly narrower, so that neighbours stay apart.
fn inset([left, right]: [f64; 2]) -> [f64; 2] {
    let margin = (right - left) * 0.06;
    [left + margin, right - margin]
}

fn sentence(bin: &ReliabilityBin, confidence: f64, accuracy: f64) -> String {
    let interval = bin.accuracy_ci.map_or(String::new(), |ends| format!(" (95 % {})", range(ends, 3)));
    format!(
        "confidence {}: {} correct{interval}, {} rows",
        fixed(confidence, 3),
        fixed(accuracy, 3),
        count(bin.count)
    )
}

/// ECE and what belongs beside it.
pub(in super::super) fn figures(evaluation: &Evaluation) -> Vec<(String, String)> {
    let ece = evaluation.metrics.get("ece");
    let interval =
        ece.and_then(|ece| ece.ci).map_or(String::new(), |ends| format!(" (95 %: {})", range(ends, 3)));
    let mut figures = vec![("ECE".to_owned(), fixed(evaluation.value("ece"), 3) + &interval)];
    if let Some(null) = ece.and_then(|ece| ece.null_value) {
        figures.push(("if calibrated".to_owned(), fixed(null, 3)));
    }
    figures.push(("gap".to_owned(), signed(evaluation.value("signed_gap"), 3)));
    let others = [("Brier", "brier", 4), ("NLL", "nll", 3), ("AURC", "aurc", 4)];
    // Some inputs have no such figure.
    for (name, metric, decimals) in
        others.into_iter().filter(|other| evaluation.metrics.contains_key(other.1))
    {
        figures.push((name.to_owned(), fixed(evaluation.value(metric), decimals)));
    }
    figures
}

fn figures_sentence(evaluation: &Evaluation) -> String {
    let words: Vec<String> =
        figures(evaluation).into_iter().map(|(name, value)| format!("{name} {value}")).collect();
    format!("{}.", words.join(", "))
}
