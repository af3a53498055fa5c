//! What the pictures of a report need beyond the figures: collected on request, in the same pass.

use candor::metrics::RowScore;
use candor::report::page::Histogram;

use super::InputKind;
use super::block::Block;

/// Bins of a histogram.
const BINS: usize = 50;
/// Margins from here on share the last bin.
const MARGIN_LIMIT: f64 = 20.0;

/// How the rows are spread.
#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    /// Confidences of the rows that were right.
    pub right: Histogram,
    /// Confidences of the rows that were wrong.
    pub wrong: Histogram,
    /// Differences of the two largest logits.
    pub margins: Option<Histogram>,
}

impl Detail {
    pub(super) fn new(kind: InputKind) -> Self {
        Self {
            right: Histogram::new(0.0, 1.0, BINS),
            wrong: Histogram::new(0.0, 1.0, BINS),
            margins: (kind == InputKind::Logits).then(|| Histogram::new(0.0, MARGIN_LIMIT, BINS)),
        }
    }

    /// Adds rows with their scores.
    pub(super) fn update(&mut self, block: &Block, scores: &[RowScore]) {
        for (row, score) in scores.iter().enumerate() {
            if score.correct {
                self.right.add(score.confidence)
            } else {
                self.wrong.add(score.confidence)
            }
            if let Some(margins) = &mut self.margins {
                margins.add(block.margin(row));
            }
        }
    }

    /// Adds the rows of another state.
    pub(super) fn merge(&mut self, other: &Self) {
        self.right.merge(&other.right);
        self.wrong.merge(&other.wrong);
        if let (Some(mine), Some(theirs)) = (&mut self.margins, &other.margins) {
            mine.merge(theirs);
        }
    }
}
