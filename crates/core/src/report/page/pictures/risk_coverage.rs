//! The risk-coverage curve: the error that is left if the least confident answers are rejected.

use super::super::evaluation::OtherModel;
use super::super::number::fixed;
use super::super::{Axis, Figure, Layer, LegendEntry, Mark, Panel, Plot, Point};
use super::{AS_TRAINED, OTHER_MODEL, Style};
use crate::metrics::Evaluation;

/// One panel with a line a model; `None` without a curve.
pub(in super::super) fn risk_coverage(
    name: &str,
    evaluation: &Evaluation,
    other: Option<&OtherModel>,
) -> Option<Figure> {
    if evaluation.risk_coverage.is_empty() {
        return None;
    }
    let mut curves: Vec<(&str, &Evaluation, Style)> = vec![(name, evaluation, AS_TRAINED)];
    curves.extend(other.map(|other| (other.name.as_str(), &other.evaluation, OTHER_MODEL)));
    let risks =
        curves.iter().flat_map(|(_, evaluation, _)| evaluation.risk_coverage.iter().map(|point| point.risk));
    let most = risks.fold(0.0, f64::max);
    let mut layers = Vec::new();
    let mut described = Vec::new();
    let mut facts = Vec::new();
    for (name, evaluation, style) in &curves {
        let points = || evaluation.risk_coverage.iter();
        layers.push(Layer::Line {
            paint: style.paint,
            points: points().map(|point| (point.coverage, point.risk)).collect(),
        });
        // Every fifth point can be read by hovering.
        let notes = points().step_by(5).map(|point| Point {
            x: point.coverage,
            y: point.risk,
            bar: None,
            note: format!(
                "answering {} of the rows: {} of the answers are wrong",
                fixed(point.coverage, 2),
                fixed(point.risk, 4)
            ),
        });
        layers.push(Layer::Points { paint: style.paint, mark: Mark::Line, points: notes.collect() });
        let at = |coverage: f64| points().find(|point| point.coverage >= coverage - 1e-9);
        for coverage in [0.5, 0.8, 0.9, 1.0] {
            let Some(point) = at(coverage) else { continue };
            described.push(format!(
                "{name}, coverage {}: risk {}",
                fixed(point.coverage, 2),
                fixed(point.risk, 4)
            ));
            if curves.len() == 1 {
                facts.push((format!("risk at {}", fixed(coverage, 1)), fixed(point.risk, 4)));
            }
        }
    }
    let legend = curves.iter().map(|(name, _, style)| LegendEntry {
        mark: Mark::Line,
        paint: style.paint,
        text: if curves.len() == 1 {
            "share of wrong answers among those that are kept".to_owned()
        } else {
            (*name).to_owned()
        },
    });
    Some(Figure {
        name: "risk-coverage".to_owned(),
        title: "What rejection would gain".to_owned(),
        caption: "If only the most confident share of the rows is answered, how many of the answers are wrong? The earlier the curve falls to the left, the better.".to_owned(),
        reading: "Read it from right to left: at coverage 1 every row is answered, and the risk is the error rate. Further left the least confident rows are rejected. A curve that stays high says that the confidence does not tell right from wrong; smoothing can do that to a model without changing its accuracy. The area under the curve is AURC.".to_owned(),
        legend: legend.collect(),
        panels: vec![Panel {
            title: "All rows".to_owned(),
            description: format!("Error rate by share of rows answered. {}.", described.join("; ")),
            facts,
            plot: Plot {
                x: Axis::fitting("share of rows answered", &[0.0, 1.0], 5),
                y: Axis::fitting("error rate among them", &[0.0, most], 4),
                layers,
                strip: None,
            },
        }],
    })
}
