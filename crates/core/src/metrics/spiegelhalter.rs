//! Spiegelhalter's Z (1986): how far the Brier score is from what the probabilities themselves expect.
//!
//! `Z = Σ (a - c)(1 - 2c) / sqrt(Σ (1 - 2c)² c (1 - c))` is standard normal for calibrated probabilities.

use super::info::Needs;
use super::view::View;
use super::{Estimate, Inputs, MetricInfo};
use crate::statistics::normal_cdf;

pub(super) const SPIEGELHALTER_Z: MetricInfo = MetricInfo {
    name: "spiegelhalter_z",
    summary: "deviation of the Brier score from what calibrated predictions expect, in standard errors",
    formula: "Σ (a - c)(1 - 2c) / sqrt(Σ (1 - 2c)² c(1 - c))",
    range: "-infinity to infinity, best 0; |Z| > 1.96 rejects calibration",
    higher_is_better: None,
    state: "O(1)",
    inputs: Inputs::ALL,
    default: false,
    paper: "Spiegelhalter 1986",
    needs: Needs::EVENT_SCORES,
    compute: |view| {
        let z = z(view)?;
        Some(Estimate::plain(z).with_null(0.0, Some(2.0 * normal_cdf(-z.abs()))))
    },
};

/// The statistic; none if every probability is 0, 1/2 or 1, where it has no variance.
pub(super) fn z(view: &View<'_>) -> Option<f64> {
    let [numerator, variance] = &view.evaluator.spiegelhalter;
    let z = numerator.value() / variance.value().sqrt();
    z.is_finite().then_some(z)
}
