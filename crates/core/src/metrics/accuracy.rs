//! Accuracy and top-k accuracy: shares of rows, with Wilson's interval.

use super::info::Needs;
use super::view::View;
use super::{Estimate, InputKind, Inputs, MetricInfo, Moments};
use crate::statistics::{normal_cdf, wilson_share};

pub(super) const ACCURACY: MetricInfo = MetricInfo {
    name: "accuracy",
    summary: "share of rows whose most probable class is the label",
    formula: "mean 1[argmax p = y]",
    range: "0 to 1",
    higher_is_better: Some(true),
    state: "O(1)",
    inputs: Inputs::ALL,
    default: true,
    paper: "interval: Wilson 1927",
    needs: Needs::NOTHING,
    compute: accuracy,
};

pub(super) const TOP_K_ACCURACY: MetricInfo = MetricInfo {
    name: "top_k_accuracy",
    summary: "share of rows whose label is among the k most probable classes (k = 5 unless set)",
    formula: "mean 1[rank of y <= k]",
    range: "0 to 1",
    higher_is_better: Some(true),
    state: "O(1)",
    inputs: Inputs::RANKED_CLASSES,
    default: false,
    paper: "interval: Wilson 1927",
    needs: Needs::ENTROPY,
    compute: |view| Some(share(&view.evaluator.top_k)),
};

fn accuracy(view: &View<'_>) -> Option<Estimate> {
    let moments = &view.evaluator.accuracy;
    if let InputKind::MultiLabel { .. } = view.kind() {
        return Some(moments.compute());
    }
    // If calibrated, the confidence itself is the expected accuracy; the gap's deviation gives the p-value.
    let sum: f64 = view.grid().occupied().map(|bin| bin.confidence.value()).sum();
    let confidence = sum / moments.weight();
    let estimate = share(moments);
    if view.kind() == InputKind::Binary {
        return Some(estimate);
    }
    let variance: f64 = view.grid().occupied().map(|bin| bin.null_variance() * bin.weight()).sum::<f64>()
        / moments.weight()
        / moments.effective_count();
    let p_value = 2.0 * normal_cdf(-((moments.mean() - confidence) / variance.sqrt()).abs());
    Some(estimate.with_null(confidence, p_value.is_finite().then_some(p_value)))
}

/// A mean of zeros and ones.
fn share(moments: &Moments) -> Estimate {
    let ci = wilson_share(moments.mean(), moments.effective_count(), 0.95);
    Estimate::plain(moments.mean()).with_ci(Some(ci), "Wilson")
}
