//! How far predictions commit themselves: mean confidence, its variance, and the predictive entropy.

use super::info::Needs;
use super::view::View;
use super::{Bin, Estimate, Inputs, MetricInfo};

pub(super) const CONFIDENCE: MetricInfo = MetricInfo {
    name: "confidence",
    summary: "mean probability of the predicted class",
    formula: "mean max_k p_k",
    range: "1/K to 1",
    higher_is_better: None,
    state: "O(1)",
    inputs: Inputs::DECISIONS,
    default: true,
    paper: "Guo et al. 2017, arXiv:1706.04599",
    needs: Needs::CONFIDENCE,
    compute: |view| Some(view.evaluator.confidence.compute()),
};

pub(super) const SHARPNESS: MetricInfo = MetricInfo {
    name: "sharpness",
    summary: "variance of the confidence (binary and multi-label: of the probability)",
    formula: "mean (conf - mean conf)²",
    range: "0 to 0.25",
    higher_is_better: Some(true),
    state: "O(bins)",
    inputs: Inputs::ALL,
    default: false,
    paper: "Murphy & Winkler 1977",
    needs: Needs::NOTHING,
    compute: sharpness,
};

pub(super) const ENTROPY: MetricInfo = MetricInfo {
    name: "entropy",
    summary: "mean entropy of the predicted distribution; equals the NLL of calibrated predictions on average",
    formula: "mean -Σ_k p_k ln p_k",
    range: "0 to ln K, nats",
    higher_is_better: None,
    state: "O(1)",
    inputs: Inputs::EXCLUSIVE,
    default: false,
    paper: "Shannon 1948",
    needs: Needs::ENTROPY,
    compute: |view| Some(view.evaluator.entropy.compute()),
};

fn sharpness(view: &View<'_>) -> Option<Estimate> {
    let table = view.grid();
    let weight = table.weight();
    let mean = table.occupied().map(|bin| bin.confidence.value()).sum::<f64>() / weight;
    let squares = table.occupied().map(|bin: &Bin| bin.confidence_squares.value()).sum::<f64>() / weight;
    Some(Estimate::plain((squares - mean * mean).max(0.0)))
}
