//! Brier scores: over all classes (0 to 2) and of the event alone (0 to 1).

use super::info::Needs;
use super::spiegelhalter;
use super::view::View;
use super::{Estimate, Inputs, MetricInfo};

pub(super) const BRIER: MetricInfo = MetricInfo {
    name: "brier",
    summary: "squared distance of the probabilities from the one-hot label: a bounded proper score",
    formula: "mean Σ_k (p_k - 1[k = y])²",
    range: "0 to 2",
    higher_is_better: Some(false),
    state: "O(1)",
    inputs: Inputs::PROBABILITIES,
    default: true,
    paper: "Brier 1950",
    needs: Needs::BRIER,
    compute: |view| Some(view.brier().compute()),
};

pub(super) const TOP_LABEL_BRIER: MetricInfo = MetricInfo {
    name: "top_label_brier",
    summary: "squared distance of the confidence from correctness; for binary and multi-label rows, of the probability from the label",
    formula: "mean (conf - correct)²",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(1)",
    inputs: Inputs::ALL,
    default: false,
    paper: "Brier 1950; null: Spiegelhalter 1986",
    needs: Needs::EVENT_SCORES,
    compute: top_label,
};

fn top_label(view: &View<'_>) -> Option<Estimate> {
    let moments = &view.evaluator.event_brier;
    let null = view.grid().occupied().map(|bin| bin.null_variance() * bin.weight()).sum::<f64>();
    let p_value = spiegelhalter::z(view).map(|z| 2.0 * crate::statistics::normal_cdf(-z.abs()));
    Some(moments.compute().with_null(null / view.grid().weight(), p_value))
}
