//! A warning, and those of one set of predictions: a stable code, a sentence, a remedy.

use serde::{Deserialize, Serialize};

use super::comparison_warnings::UNDER_CONFIDENT;
use crate::metrics::Evaluation;

/// Something that the figures show and that a user should act on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The stable code.
    pub code: String,
    /// What was found, and the remedy.
    pub message: String,
}

impl Warning {
    /// A warning.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }
}

/// The warnings of one set of predictions.
pub fn evaluation_warnings(evaluation: &Evaluation) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if evaluation.impossible > 0 {
        warnings.push(Warning::new(
            "zero_probability",
            format!(
                "{} of {} labels have probability 0, so the NLL is infinite: check for rounded or clipped probabilities, or give logits",
                evaluation.impossible, evaluation.n
            ),
        ));
    }
    let gap = evaluation.metrics.get("signed_gap");
    let direction = gap.and_then(|gap| gap.ci).map(|[low, high]| (low > 0.0, high < 0.0));
    let size = evaluation.value("signed_gap").abs();
    match direction {
        Some((true, _)) if size > UNDER_CONFIDENT => warnings.push(Warning::new(
            "over_confidence",
            format!("predictions are more confident than accurate by {size:.3}: apply temperature scaling (T > 1), or train with smoothing"),
        )),
        Some((_, true)) if size > UNDER_CONFIDENT => warnings.push(Warning::new(
            "under_confidence",
            format!("predictions are less confident than accurate by {size:.3}: apply temperature scaling (T < 1), or smooth less"),
        )),
        _ => {}
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::evaluation_warnings;
    use crate::metrics::{EvaluationOptions, Evaluator, Scorer};

    fn evaluated(rows: impl IntoIterator<Item = ([f64; 2], usize)>) -> Vec<String> {
        let mut evaluator = Evaluator::new(EvaluationOptions::default()).unwrap();
        let mut scorer = Scorer::default();
        rows.into_iter().for_each(|(probs, label)| evaluator.update(scorer.probs(&probs, label)));
        evaluation_warnings(&evaluator.compute().unwrap()).into_iter().map(|warning| warning.code).collect()
    }

    #[test]
    fn the_direction_of_the_error_and_impossible_labels_are_noticed() {
        assert_eq!(evaluated((0..100).map(|i| ([0.95, 0.05], usize::from(i % 4 == 0)))), ["over_confidence"]);
        assert_eq!(evaluated((0..100).map(|i| ([0.6, 0.4], usize::from(i % 10 == 0)))), ["under_confidence"]);
        assert!(evaluated((0..100).map(|i| ([0.75, 0.25], usize::from(i % 4 == 0)))).is_empty());
        assert_eq!(evaluated([([1.0, 0.0], 0), ([1.0, 0.0], 1)]), ["zero_probability"]);
    }
}
