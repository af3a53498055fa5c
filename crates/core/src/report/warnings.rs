//! Warnings with stable codes and one sentence of remedy each.

use serde::{Deserialize, Serialize};

use super::comparison::variants;
use super::{RunRecord, SummaryRow};

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

/// Mean confidence this far below accuracy is called under-confidence.
const UNDER_CONFIDENT: f64 = 0.02;

/// The warnings of a comparison.
pub fn comparison_warnings(runs: &[RunRecord], summary: &[SummaryRow]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let under: Vec<String> = summary
        .iter()
        .filter(|row| row.metric == "signed_gap" && row.mean < -UNDER_CONFIDENT)
        .map(|row| format!("{} (by {:.3})", row.variant.smoothing, -row.mean))
        .collect();
    if !under.is_empty() {
        warnings.push(Warning::new(
            "under_confidence",
            format!(
                "predictions are less confident than they are accurate at smoothing {}: lower the strength or apply temperature scaling (T < 1)",
                under.join(", ")
            ),
        ));
    }
    let seeds = variants(runs)
        .first()
        .map_or(0, |variant| runs.iter().filter(|run| run.variant == **variant).count());
    if seeds == 1 {
        warnings.push(Warning::new(
            "one_seed",
            "one seed gives no interval, so small differences may be chance: run with --seeds 5",
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::super::Comparison;
    use super::super::comparison::tests::run;

    fn codes(runs: Vec<super::RunRecord>) -> Vec<String> {
        Comparison::new("vision", "test", runs).warnings.into_iter().map(|warning| warning.code).collect()
    }

    #[test]
    fn under_confidence_and_a_single_seed_are_noticed() {
        assert_eq!(
            codes(vec![run(0.1, 0, 0.3, &[("signed_gap", -0.05, 0.0)])]),
            ["under_confidence", "one_seed"]
        );
        let fine = (0..2).map(|seed| run(0.0, seed, 0.3, &[("signed_gap", 0.01, 0.0)])).collect();
        assert!(codes(fine).is_empty());
    }
}
