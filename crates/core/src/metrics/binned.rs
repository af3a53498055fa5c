//! Calibration errors of the confidence over bins: ECE, MCE, RMSCE, average, adaptive and the signed gap.

use super::info::Needs;
use super::{Inputs, MetricInfo};

pub(super) const ECE: MetricInfo = MetricInfo {
    name: "ece",
    summary: "expected calibration error of the top class (binary: of class 1): mean distance of accuracy and confidence over bins",
    formula: "Σ_m (n_m/n) |acc_m - conf_m|",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(bins)",
    inputs: Inputs::ALL,
    default: true,
    paper: "Guo et al. 2017, arXiv:1706.04599",
    needs: Needs::NOTHING,
    compute: |view| Some(view.errors()?.expected.clone()),
};

pub(super) const MCE: MetricInfo = MetricInfo {
    name: "mce",
    summary: "largest distance of accuracy and confidence in a bin; noisy where bins are nearly empty",
    formula: "max_m |acc_m - conf_m|",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(bins)",
    inputs: Inputs::ALL,
    default: true,
    paper: "Naeini et al. 2015",
    needs: Needs::NOTHING,
    compute: |view| Some(view.errors()?.maximum.clone()),
};

pub(super) const RMSCE: MetricInfo = MetricInfo {
    name: "rmsce",
    summary: "root mean square calibration error: like ECE, large gaps count more",
    formula: "sqrt(Σ_m (n_m/n) (acc_m - conf_m)²)",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(bins)",
    inputs: Inputs::ALL,
    default: true,
    paper: "Hendrycks et al. 2019, arXiv:1812.04606",
    needs: Needs::NOTHING,
    compute: |view| Some(view.errors()?.root_mean_square.clone()),
};

pub(super) const AVERAGE_CE: MetricInfo = MetricInfo {
    name: "average_ce",
    summary: "mean distance of accuracy and confidence, every occupied bin counted alike (netcal's ACE)",
    formula: "mean over occupied bins of |acc_m - conf_m|",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(bins)",
    inputs: Inputs::ALL,
    default: false,
    paper: "Neumann et al. 2018",
    needs: Needs::NOTHING,
    compute: |view| Some(view.errors()?.average.clone()),
};

pub(super) const ADAPTIVE_ECE: MetricInfo = MetricInfo {
    name: "adaptive_ece",
    summary: "ECE over bins of equally many rows",
    formula: "Σ_m (n_m/n) |acc_m - conf_m|, equal n_m",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(n)",
    inputs: Inputs::ALL,
    default: true,
    paper: "Nixon et al. 2019, arXiv:1904.01685",
    needs: Needs::EVENTS,
    compute: |view| Some(view.adaptive_errors()?.expected.clone()),
};

pub(super) const SIGNED_GAP: MetricInfo = MetricInfo {
    name: "signed_gap",
    summary: "mean confidence minus accuracy (binary: mean probability minus rate of class 1): positive for over-, negative for under-confidence",
    formula: "mean(conf) - accuracy",
    range: "-1 to 1, best 0",
    higher_is_better: None,
    state: "O(bins)",
    inputs: Inputs::ALL,
    default: true,
    paper: "DeGroot & Fienberg 1983",
    needs: Needs::NOTHING,
    compute: |view| Some(super::calibration_error::signed_gap(view.grid())),
};
