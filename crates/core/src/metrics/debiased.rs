//! Calibration errors without the bias of finite bins (Kumar, Liang & Ma 2019).

use super::folded::debiased_absolute;
use super::info::Needs;
use super::{Bin, Estimate, Inputs, MetricInfo, ReliabilityTable};

pub(super) const DEBIASED_ECE: MetricInfo = MetricInfo {
    name: "debiased_ece",
    summary: "ECE less the part that finite bins add: twice the plug-in minus its mean over redrawn outcomes",
    formula: "2 ECE - Σ_m (n_m/n) E|N(acc_m - conf_m, acc_m(1 - acc_m)/n_m)|",
    range: "-1 to 1, best 0; can fall below 0 by chance",
    higher_is_better: Some(false),
    state: "O(bins)",
    inputs: Inputs::ALL,
    default: true,
    paper: "Kumar et al. 2019, arXiv:1909.10155 (their mean of 1000 resamples in closed form)",
    needs: Needs::NOTHING,
    compute: |view| {
        let ece = view.errors()?.expected.clone();
        let method = "that of ece, whose target is the same";
        let estimate = Estimate::plain(debiased_absolute(view.table())).with_ci(ece.ci, method);
        Some(estimate.with_null(0.0, ece.p_value))
    },
};

pub(super) const DEBIASED_L2: MetricInfo = MetricInfo {
    name: "debiased_l2",
    summary: "root mean square calibration error less the variance of the bins' outcomes; 0 where that is larger",
    formula: "sqrt(max(0, Σ_m (n_m/n) [(acc_m - conf_m)² - acc_m(1 - acc_m)/(n_m - 1)]))",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(bins)",
    inputs: Inputs::ALL,
    default: false,
    paper: "Kumar et al. 2019, arXiv:1909.10155",
    needs: Needs::NOTHING,
    compute: |view| Some(Estimate::plain(debiased_square(view.table()).max(0.0).sqrt())),
};

pub(super) const DEBIASED_L2_SQUARED: MetricInfo = MetricInfo {
    name: "debiased_l2_squared",
    summary: "the unbiased estimate of the squared calibration error, before it is cut off at 0",
    formula: "Σ_m (n_m/n) [(acc_m - conf_m)² - acc_m(1 - acc_m)/(n_m - 1)]",
    range: "-1 to 1, best 0; can fall below 0 by chance",
    higher_is_better: Some(false),
    state: "O(bins)",
    inputs: Inputs::ALL,
    default: false,
    paper: "Kumar et al. 2019, arXiv:1909.10155",
    needs: Needs::NOTHING,
    compute: |view| Some(Estimate::plain(debiased_square(view.table()))),
};

/// Σ (n_m/n) [gap² - acc(1-acc)/(n_m - 1)]; bins of fewer than two rows add nothing.
pub(crate) fn debiased_square(table: &ReliabilityTable) -> f64 {
    let weight = table.weight();
    let of_bin = |bin: &Bin| {
        let n = bin.effective_count();
        if n < 2.0 {
            return 0.0;
        }
        let accuracy = bin.accuracy();
        bin.weight() / weight * (bin.gap() * bin.gap() - accuracy * (1.0 - accuracy) / (n - 1.0))
    };
    table.occupied().map(of_bin).sum()
}
