//! How confident the model was where it was right, and where it was wrong.

use super::super::number::{count, fixed};
use super::super::{Axis, Block, Figure, Histogram, Layer, LegendEntry, Mark, Paint, Panel, Plot, Role};
use super::AS_TRAINED;

/// The colour of wrong rows.
const WRONG: Paint = Paint { role: Role::Series(1), opacity: 0.75, dashed: false };

/// Two panels of one axis; `None` without rows.
pub(in super::super) fn outcomes(right: &Histogram, wrong: &Histogram) -> Option<Figure> {
    let n = right.count() + wrong.count();
    if n == 0 {
        return None;
    }
    let right_paint = AS_TRAINED.paint.opacity(0.6);
    let panel = |title: &str, histogram: &Histogram, paint: Paint| {
        let shares: Vec<([f64; 2], f64)> = histogram.shares().filter(|(_, share)| *share > 0.0).collect();
        let most = shares.iter().map(|(_, share)| *share).fold(0.0, f64::max);
        let words = |ends: [f64; 2], share: f64| {
            format!("{} to {}: {}", fixed(ends[0], 2), fixed(ends[1], 2), fixed(share, 3))
        };
        let described: Vec<String> = shares
            .iter()
            .filter(|(_, share)| *share >= 0.0005)
            .map(|(ends, share)| words(*ends, *share))
            .collect();
        let blocks = shares
            .iter()
            .map(|&(x, share)| Block {
                x,
                y: [0.0, share],
                note: format!("{} of these rows", words(x, share)),
            })
            .collect();
        Panel {
            title: title.to_owned(),
            description: format!(
                "Share of the {} rows by confidence: {}.",
                count(histogram.count()),
                described.join(", ")
            ),
            facts: vec![
                ("rows".to_owned(), count(histogram.count())),
                ("of all".to_owned(), fixed(histogram.count() as f64 / n as f64, 4)),
                ("with confidence above 0.9".to_owned(), fixed(above(histogram, 0.9), 3)),
            ],
            plot: Plot {
                x: Axis::fitting("confidence", &[0.0, 1.0], 5),
                y: Axis::fitting("share of these rows", &[0.0, most], 4),
                layers: vec![Layer::Blocks { paint, blocks }],
                strip: None,
            },
        }
    };
    let entry = |paint, text: &str| LegendEntry { mark: Mark::Area, paint, text: text.to_owned() };
    Some(Figure {
        name: "confidence".to_owned(),
        title: "How confident the model is".to_owned(),
        caption: "Confidence of the rows that it got right, and of those that it got wrong. The further apart the two hills, the better doubtful answers can be rejected.".to_owned(),
        reading: "The distribution of the probability that the model gives to its own answer. Right answers should lie on the right; wrong ones that lie there too are confident errors, which no threshold on the confidence will catch.".to_owned(),
        legend: vec![entry(right_paint, "right answers"), entry(WRONG, "wrong answers")],
        panels: vec![panel("right answers", right, right_paint), panel("wrong answers", wrong, WRONG)],
    })
}

/// Share of the values in the bins from `from` on.
fn above(histogram: &Histogram, from: f64) -> f64 {
    histogram.shares().filter(|(ends, _)| ends[0] >= from - 1e-9).map(|(_, share)| share).sum()
}
