//! How confident the model is, and how far its largest logit is ahead: shares of rows.

use super::super::number::fixed;
use super::super::setting::Setting;
use super::super::{Axis, Block, Figure, Histogram, Layer, LegendEntry, Mark, Panel, Plot, RunDetail};
use super::{AS_TRAINED, Style, WITH_TEMPERATURE, drawn, left_out};
use crate::metrics::Evaluation;

/// A histogram as trained, and with the temperature.
struct Pair {
    title: String,
    before: Histogram,
    after: Option<Histogram>,
}

/// Confidences for every setting.
pub(in super::super) fn confidences(settings: &[Setting<'_>]) -> Option<Figure> {
    let pairs: Vec<Pair> = drawn(settings)
        .into_iter()
        .filter_map(|setting| {
            let before = pooled(setting, |run| run.confidence.clone().or_else(|| counts(&run.test)))?;
            let after = pooled(setting, |run| {
                let table = || counts(run.test_after_temperature.as_ref()?);
                run.confidence_after_temperature.clone().or_else(table)
            });
            Some(Pair { title: setting.title(), before, after })
        })
        .collect();
    figure(
        &pairs,
        (
            "confidence",
            if settings.len() > 1 { "How confident the models are" } else { "How confident the model is" },
            "confidence",
        ),
        &format!("Share of the rows by confidence{}.{}", together(settings), left_out(settings)),
        "The distribution of the probability that the model gives to its own answer. Much mass at 1 is good only if the accuracy is as high; smoothing moves it to the left. A spread that keeps hard and easy rows apart helps those who reject doubtful answers.",
    )
}

/// Margins of the logits for every setting that has them.
pub(in super::super) fn margins(settings: &[Setting<'_>]) -> Option<Figure> {
    let pairs: Vec<Pair> = drawn(settings)
        .into_iter()
        .filter_map(|setting| {
            let before = pooled(setting, |run| run.margins.clone())?;
            Some(Pair { title: setting.title(), before, after: None })
        })
        .collect();
    figure(
        &pairs,
        ("margins", "Margins of the logits", "largest minus second largest logit"),
        &format!("Share of the rows by margin{}.{}", together(settings), left_out(settings)),
        "How far the largest logit is ahead of the second one. Without smoothing margins grow as long as training lasts; smoothing gives them a target, so they gather in a narrow hill. Neither is good by itself: a narrow hill means that the model no longer says which rows are hard.",
    )
}

fn together(settings: &[Setting<'_>]) -> &'static str {
    if settings.iter().any(|setting| setting.runs.len() > 1) { ", all seeds together" } else { "" }
}

/// The histograms of all runs together; the first alone if their bins differ.
fn pooled(setting: &Setting<'_>, of: impl Fn(&RunDetail) -> Option<Histogram>) -> Option<Histogram> {
    let mut runs = setting.runs.iter().filter_map(|run| of(run));
    let mut sum = runs.next()?;
    runs.for_each(|run| {
        sum.merge(&run);
    });
    Some(sum)
}

/// The counts of a reliability table, if its bins are of equal width.
fn counts(evaluation: &Evaluation) -> Option<Histogram> {
    let bins = &evaluation.reliability;
    let (first, last) = (bins.first()?, bins.last()?);
    let width = (last.high - first.low) / bins.len() as f64;
    let equal = bins.iter().all(|bin| (bin.high - bin.low - width).abs() < 1e-9);
    equal.then(|| Histogram {
        low: first.low,
        high: last.high,
        counts: bins.iter().map(|bin| bin.count).collect(),
    })
}

fn figure(
    pairs: &[Pair],
    (name, title, axis): (&str, &str, &str),
    caption: &str,
    reading: &str,
) -> Option<Figure> {
    let all = || pairs.iter().flat_map(|pair| [Some(&pair.before), pair.after.as_ref()]).flatten();
    let most = all().flat_map(Histogram::shares).map(|(_, share)| share).fold(0.0, f64::max);
    let (low, high) =
        all().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), one| (l.min(one.low), h.max(one.high)));
    if pairs.is_empty() || low >= high {
        return None;
    }
    let x = Axis::fitting(axis, &[low, high], 5);
    let y = Axis::fitting("share of rows", &[0.0, most], 4);
    let panels = pairs.iter().map(|pair| panel(pair, &x, &y)).collect();
    let mut legend = vec![LegendEntry {
        mark: Mark::Area,
        paint: AS_TRAINED.paint.opacity(0.6),
        text: AS_TRAINED.name.to_owned(),
    }];
    if pairs.iter().any(|pair| pair.after.is_some()) {
        legend.push(LegendEntry {
            mark: Mark::Line,
            paint: WITH_TEMPERATURE.paint,
            text: WITH_TEMPERATURE.name.to_owned(),
        });
    }
    Some(Figure {
        name: name.to_owned(),
        title: title.to_owned(),
        caption: caption.to_owned(),
        reading: reading.to_owned(),
        legend,
        panels,
    })
}

fn panel(pair: &Pair, x: &Axis, y: &Axis) -> Panel {
    let note = |style: Style, ends: [f64; 2], share: f64| {
        format!("{}, {} to {}: {} of rows", style.name, fixed(ends[0], 2), fixed(ends[1], 2), fixed(share, 3))
    };
    let blocks: Vec<Block> = pair
        .before
        .shares()
        .filter(|(_, share)| *share > 0.0)
        .map(|(x, share)| Block { x, y: [0.0, share], note: note(AS_TRAINED, x, share) })
        .collect();
    let mut layers = vec![Layer::Blocks { paint: AS_TRAINED.paint.opacity(0.6), blocks }];
    let mut description = words(&pair.before, AS_TRAINED);
    if let Some(after) = &pair.after {
        let mut outline = vec![(after.low, 0.0)];
        for ([left, right], share) in after.shares() {
            outline.extend([(left, share), (right, share)]);
        }
        outline.push((after.high, 0.0));
        layers.push(Layer::Line { paint: WITH_TEMPERATURE.paint, points: outline });
        description = format!("{description} {}", words(after, WITH_TEMPERATURE));
    }
    Panel {
        title: pair.title.clone(),
        description,
        facts: Vec::new(),
        plot: Plot { x: x.clone(), y: y.clone(), layers, strip: None },
    }
}

fn words(histogram: &Histogram, style: Style) -> String {
    let shares: Vec<String> = histogram
        .shares()
        .filter(|(_, share)| *share >= 0.0005)
        .map(|(ends, share)| format!("{} to {}: {}", fixed(ends[0], 2), fixed(ends[1], 2), fixed(share, 3)))
        .collect();
    format!("Share of rows {}: {}.", style.name, shares.join(", "))
}
