//! Rows that count, gathered from a chunk: what the core's metrics take.

use candor::calibrators::Map;
use candor::metrics::{Evaluator, FairnessRow, RowScore, Scorer};
use candor::{Labels, Logits, Probs, Scalar};

use super::aligned::Side;
use super::mapped::calibrated;
use super::{InputKind, ScoreKind, Values};
use crate::error::Result;

/// Checked rows with labels and weights.
pub(super) struct Block {
    kind: InputKind,
    width: usize,
    values: Values,
    pub(super) labels: Vec<i64>,
    pub(super) weights: Option<Vec<f64>>,
}

impl Block {
    /// Some rows of a piece, by their place from its first row on. The weights are those of `weighted`.
    pub(super) fn of(side: &Side, rows: &[usize], weighted: &Side) -> Self {
        let chunk = side.chunk.as_ref();
        let places: Vec<usize> = rows.iter().map(|row| side.rows.start + row).collect();
        let weight = |weights: &Vec<f64>| {
            let at = |row: &usize| weights.get(weighted.rows.start + row).copied().unwrap_or(1.0);
            rows.iter().map(at).collect()
        };
        Self {
            kind: chunk.kind,
            width: chunk.width,
            values: chunk.values.rows(&places, chunk.width),
            labels: places.iter().filter_map(|&place| chunk.labels.get(place)).copied().collect(),
            weights: weighted.chunk.weights.as_ref().map(weight),
        }
    }

    /// The weight of a row.
    pub(super) fn weight(&self, row: usize) -> f64 {
        self.weights.as_ref().and_then(|weights| weights.get(row)).copied().unwrap_or(1.0)
    }

    /// Adds the rows to an evaluation of their kind.
    pub(super) fn feed(&self, evaluator: &mut Evaluator) -> Result<()> {
        match &self.values {
            Values::F32(values) => self.feed_values(values, evaluator),
            Values::F64(values) => self.feed_values(values, evaluator),
        }
    }

    fn feed_values<T: Scalar>(&self, values: &[T], evaluator: &mut Evaluator) -> Result<()> {
        let weights = self.weights.as_deref();
        let labels = |n_classes| Labels::new(&self.labels, n_classes);
        match self.kind {
            InputKind::Logits => {
                evaluator.update_logits(Logits::new(values, self.width)?, labels(self.width)?, weights)?;
            }
            InputKind::Probs => {
                evaluator.update_probs(Probs::new(values, self.width)?, labels(self.width)?, weights)?;
            }
            InputKind::Binary => evaluator.update_binary(values, labels(2)?, weights)?,
            InputKind::Confidence => {
                let correct: Vec<bool> = self.labels.iter().map(|label| *label == 1).collect();
                evaluator.update_confidence(values, &correct, weights)?;
            }
        }
        Ok(())
    }

    /// The score of every row. Of confidences, what needs classes is not a number.
    pub(super) fn scores(&self) -> Result<Vec<RowScore>> {
        match &self.values {
            Values::F32(values) => self.scores_of(values),
            Values::F64(values) => self.scores_of(values),
        }
    }

    fn scores_of<T: Scalar>(&self, values: &[T]) -> Result<Vec<RowScore>> {
        let mut scorer = Scorer::default();
        let rows = values.chunks_exact(self.width.max(1)).zip(&self.labels).enumerate();
        rows.map(|(row, (values, &label))| {
            let label = label as usize;
            let first = values.first().map_or(0.0, |value| value.to_f64());
            Ok(match self.kind {
                InputKind::Logits => scorer.logits(row, values, label)?,
                InputKind::Probs => scorer.probs(values, label),
                InputKind::Binary => scorer.probs(&[1.0 - first, first], label),
                InputKind::Confidence => RowScore {
                    confidence: first,
                    correct: label == 1,
                    nll: f64::NAN,
                    brier: f64::NAN,
                    entropy: f64::NAN,
                    rank: 1 - label,
                    predicted: 0,
                },
            })
        })
        .collect()
    }

    /// Every row as a decision for a class: decided for where it is predicted, with its probability.
    pub(super) fn decisions(&self, positive: usize) -> Result<Vec<FairnessRow>> {
        let scores = self.scores()?;
        let rows = scores.iter().zip(&self.labels).enumerate();
        Ok(rows
            .map(|(row, (score, &label))| FairnessRow {
                decision: score.predicted == positive,
                label: Some(label as usize == positive),
                score: Some(self.probability(row, positive, score).clamp(0.0, 1.0)),
                weight: self.weight(row),
            })
            .collect())
    }

    /// The probability of a class in a row that was scored.
    fn probability(&self, row: usize, class: usize, score: &RowScore) -> f64 {
        let value = |class: usize| match &self.values {
            Values::F32(values) => {
                values.get(row * self.width + class).map_or(0.0, |&value| f64::from(value))
            }
            Values::F64(values) => values.get(row * self.width + class).copied().unwrap_or(0.0),
        };
        match self.kind {
            // The softmax, from the largest logit and the probability that it came to.
            InputKind::Logits => {
                candor::kernels::math::exp(value(class) - value(score.predicted)) * score.confidence
            }
            InputKind::Probs => value(class),
            InputKind::Binary if class == 0 => 1.0 - value(0),
            InputKind::Binary | InputKind::Confidence => value(0),
        }
    }

    /// How far the largest value of a row is ahead of the next.
    pub(super) fn margin(&self, row: usize) -> f64 {
        let range = row * self.width..(row + 1) * self.width;
        match &self.values {
            Values::F32(values) => margin(values.get(range).unwrap_or_default()),
            Values::F64(values) => margin(values.get(range).unwrap_or_default()),
        }
    }

    /// The same rows after a map; confidences stay as they are.
    pub(super) fn calibrated(&self, map: &Map, groups: Option<&[String]>) -> Result<Self> {
        let values = match self.kind {
            InputKind::Logits => calibrated(map, ScoreKind::Logits, &self.values, self.width, groups)?,
            InputKind::Probs => calibrated(map, ScoreKind::Probs, &self.values, self.width, groups)?,
            InputKind::Binary => {
                let scores = self.values.clone().into_f64();
                let both = Values::F64(scores.into_iter().flat_map(|score| [1.0 - score, score]).collect());
                let both = calibrated(map, ScoreKind::Probs, &both, 2, groups)?.into_f64();
                Values::F64(both.into_iter().skip(1).step_by(2).collect())
            }
            InputKind::Confidence => self.values.clone(),
        };
        Ok(Self { values, labels: self.labels.clone(), weights: self.weights.clone(), ..*self })
    }
}

fn margin<T: Scalar>(values: &[T]) -> f64 {
    let (mut first, mut second) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    for value in values {
        let value = value.to_f64();
        if value > first {
            (first, second) = (value, first);
        } else {
            second = second.max(value);
        }
    }
    first - second
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_that_of_the_two_largest() {
        assert_eq!(margin(&[1.0_f64, 5.0, 3.5]), 1.5);
        assert_eq!(margin(&[2.0_f32, 2.0]), 0.0);
        assert_eq!(margin(&[1.0_f64, f64::NEG_INFINITY]), f64::INFINITY);
    }
}
