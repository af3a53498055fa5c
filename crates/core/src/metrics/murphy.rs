//! Murphy's decomposition of the Brier score of an event, with the terms that lie within bins.
//!
//! `top_label_brier = reliability - resolution + uncertainty + within-bin variance - 2 within-bin covariance`,
//! exactly (Stephenson et al. 2008); without the last two terms it holds only if each bin has one probability.

use super::info::Needs;
use super::view::View;
use super::{Bin, Estimate, Inputs, MetricInfo};

pub(super) const BRIER_RELIABILITY: MetricInfo = MetricInfo {
    name: "brier_reliability",
    summary: "part of the Brier score due to miscalibration of the bins",
    formula: "Σ_m (n_m/n) (conf_m - acc_m)²",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(bins)",
    inputs: Inputs::ALL,
    default: false,
    paper: "Murphy 1973; Stephenson et al. 2008",
    needs: Needs::NOTHING,
    compute: |view| mean(view, |bin, _| bin.gap() * bin.gap()),
};

pub(super) const BRIER_RESOLUTION: MetricInfo = MetricInfo {
    name: "brier_resolution",
    summary: "how far the bins' outcomes differ from the overall rate: what the predictions tell apart",
    formula: "Σ_m (n_m/n) (acc_m - acc)²",
    range: "0 to 0.25",
    higher_is_better: Some(true),
    state: "O(bins)",
    inputs: Inputs::ALL,
    default: false,
    paper: "Murphy 1973; Stephenson et al. 2008",
    needs: Needs::NOTHING,
    compute: |view| mean(view, |bin, rate| (bin.accuracy() - rate) * (bin.accuracy() - rate)),
};

pub(super) const BRIER_UNCERTAINTY: MetricInfo = MetricInfo {
    name: "brier_uncertainty",
    summary: "variance of the outcome itself, which no prediction changes",
    formula: "acc (1 - acc)",
    range: "0 to 0.25",
    higher_is_better: None,
    state: "O(bins)",
    inputs: Inputs::ALL,
    default: false,
    paper: "Murphy 1973; Stephenson et al. 2008",
    needs: Needs::NOTHING,
    compute: |view| mean(view, |_, rate| rate * (1.0 - rate)),
};

pub(super) const BRIER_WITHIN_BIN_VARIANCE: MetricInfo = MetricInfo {
    name: "brier_within_bin_variance",
    summary: "variance of the probabilities inside the bins",
    formula: "1/n Σ (c - conf_m)²",
    range: "0 to 0.25",
    higher_is_better: None,
    state: "O(bins)",
    inputs: Inputs::ALL,
    default: false,
    paper: "Murphy 1973; Stephenson et al. 2008",
    needs: Needs::NOTHING,
    compute: |view| mean(view, |bin, _| bin.confidence_variance()),
};

pub(super) const BRIER_WITHIN_BIN_COVARIANCE: MetricInfo = MetricInfo {
    name: "brier_within_bin_covariance",
    summary: "twice the covariance of probability and outcome inside the bins",
    formula: "2/n Σ (c - conf_m)(a - acc_m)",
    range: "-0.5 to 0.5",
    higher_is_better: Some(true),
    state: "O(bins)",
    inputs: Inputs::ALL,
    default: false,
    paper: "Murphy 1973; Stephenson et al. 2008",
    needs: Needs::NOTHING,
    compute: |view| mean(view, |bin, _| 2.0 * bin.covariance()),
};

fn mean(view: &View<'_>, term: impl Fn(&Bin, f64) -> f64) -> Option<Estimate> {
    let table = view.table();
    let weight = table.weight();
    let rate = table.occupied().map(Bin::weight_correct).sum::<f64>() / weight;
    let terms = table.occupied().map(|bin| bin.weight() / weight * term(bin, rate));
    Some(Estimate::plain(terms.sum()))
}
