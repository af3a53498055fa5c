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
    let filled = |evaluation: &Evaluation| -> Vec<(ReliabilityBin, f64, f64)> {
        let known = |bin: &ReliabilityBin| Some((*bin, bin.confidence?, bin.accuracy?));
        evaluation.reliability.iter().filter_map(known).collect()
    };
    let bins = filled(evaluation);
    let mut dots = Vec::new();
    for other in others {
        dots.extend(filled(other).into_iter().map(|(_, confidence, accuracy)| Point {
            x: confidence,
            y: accuracy,
            bar: None,
            note: String::new(),
        }));
    }
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
    let most = evaluation.reliability.iter().map(|bin| bin.count).max().unwrap_or(0) as f64;
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
        description: format!("{} {}", figures_sentence(evaluation), described.join("; ")),
        facts: figures(evaluation),
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
    for (name, metric, decimals) in [("Brier", "brier", 4), ("NLL", "nll", 3), ("AURC", "aurc", 4)] {
        figures.push((name.to_owned(), fixed(evaluation.value(metric), decimals)));
    }
    figures
}

fn figures_sentence(evaluation: &Evaluation) -> String {
    let words: Vec<String> =
        figures(evaluation).into_iter().map(|(name, value)| format!("{name} {value}")).collect();
    format!("{}.", words.join(", "))
}
