//! Reliability class by class: how often a class came true against the probability that it was given.

use super::super::number::{count, fixed};
use super::super::text::shortened;
use super::super::{Figure, LegendEntry, Mark, Paint, Role};
use super::AS_TRAINED;
use super::reliability::bins_panel;
use crate::metrics::{Evaluation, ReliabilityBin};

/// Classes that are drawn, at most.
const MOST: usize = 12;

/// The classes with the largest calibration errors; `None` without tables of single classes.
pub(in super::super) fn classes(evaluation: &Evaluation, names: &[String]) -> Option<Figure> {
    let tables = &evaluation.class_reliability;
    if tables.is_empty() {
        return None;
    }
    let mut order: Vec<(usize, f64)> = tables.iter().map(|bins| error(bins)).enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let panels = order
        .iter()
        .take(MOST)
        .filter_map(|&(class, error)| {
            let bins = tables.get(class)?;
            let title = match names.get(class) {
                Some(name) => shortened(name, 40),
                None => format!("class {class}"),
            };
            let mut panel = bins_panel(title, bins, Vec::new(), AS_TRAINED);
            panel.plot.x.label = "probability of the class".to_owned();
            panel.plot.y.label = "share that were it".to_owned();
            let is_it: f64 = bins.iter().filter_map(|bin| Some(bin.count as f64 * bin.accuracy?)).sum();
            panel.facts = vec![
                ("error".to_owned(), fixed(error, 4)),
                ("rows of the class".to_owned(), count(is_it.round() as u64)),
            ];
            Some(panel)
        })
        .collect();
    let shown = if tables.len() > MOST {
        format!(" Shown are the {MOST} of {} classes with the largest errors.", tables.len())
    } else {
        " The class with the largest error comes first.".to_owned()
    };
    let entry = |mark, paint, text: &str| LegendEntry { mark, paint, text: text.to_owned() };
    Some(Figure {
        name: "classes".to_owned(),
        title: "Reliability of each class".to_owned(),
        caption: format!(
            "Of the rows that were given a probability for the class, how many were it? Points on the diagonal are honest.{shown}"
        ),
        reading: "All rows count in each panel, with the probability that they give to this one class. A model can be honest about its first choice and still give too much to one class and too little to another; such a class lies off the diagonal here. Most rows are not of the class, so the bars are highest on the left.".to_owned(),
        legend: vec![
            entry(AS_TRAINED.mark, AS_TRAINED.paint, "share of rows of the class in a bin"),
            entry(Mark::Area, AS_TRAINED.paint.opacity(0.25), "its 95 % interval"),
            entry(Mark::Line, Paint::solid(Role::Muted).dashed(), "perfect calibration"),
            entry(Mark::Area, Paint::solid(Role::Muted).opacity(0.6), "rows in the bin"),
        ],
        panels,
    })
}

/// Mean distance of share and probability over the rows of a table.
fn error(bins: &[ReliabilityBin]) -> f64 {
    let n: u64 = bins.iter().map(|bin| bin.count).sum();
    let gaps = bins.iter().filter_map(|bin| Some(bin.count as f64 * (bin.accuracy? - bin.confidence?).abs()));
    gaps.sum::<f64>() / n.max(1) as f64
}
