//! Figures of the ranking by confidence: what is left when the least confident rows are rejected.

use super::info::Needs;
use super::selective::{AUGRC as AUGRC_AT, AURC as AURC_AT, AUROC as AUROC_AT, FPR95 as FPR95_AT};
use super::selective::{
    COVERAGE_AT_RISK as COVERAGE_AT, E_AURC as E_AURC_AT, RISK_AT_COVERAGE as RISK_AT, Sweep,
};
use super::view::View;
use super::{Estimate, Inputs, MetricInfo};

pub(super) const AURC: MetricInfo = MetricInfo {
    name: "aurc",
    summary: "area under the risk-coverage curve: error left when the least confident rows are rejected",
    formula: "1/n Σ_k errors(k most confident)/k",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(n)",
    inputs: Inputs::DECISIONS,
    default: true,
    paper: "Geifman & El-Yaniv 2017, arXiv:1705.08500",
    needs: Needs::RANKED,
    compute: |view| view.selective(AURC_AT),
};

pub(super) const E_AURC: MetricInfo = MetricInfo {
    name: "e_aurc",
    summary: "AURC above that of a perfect ranking with as many errors",
    formula: "AURC - AURC*",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(n)",
    inputs: Inputs::DECISIONS,
    default: true,
    paper: "Geifman et al. 2019, arXiv:1805.08206",
    needs: Needs::RANKED,
    compute: |view| view.selective(E_AURC_AT),
};

pub(super) const AUGRC: MetricInfo = MetricInfo {
    name: "augrc",
    summary: "area under the generalised risk-coverage curve: mean share of rows that are answered and wrong",
    formula: "1/n Σ_k errors(k most confident)/n",
    range: "0 to 0.5",
    higher_is_better: Some(false),
    state: "O(n)",
    inputs: Inputs::DECISIONS,
    default: false,
    paper: "Traub et al. 2024, arXiv:2407.01032",
    needs: Needs::RANKED,
    compute: |view| view.selective(AUGRC_AT),
};

pub(super) const AUROC_CORRECTNESS: MetricInfo = MetricInfo {
    name: "auroc_correctness",
    summary: "chance that a correct row is more confident than a wrong one; ranking only, blind to calibration",
    formula: "P(conf of a correct row > conf of a wrong row), ties half",
    range: "0 to 1, 0.5 for no information",
    higher_is_better: Some(true),
    state: "O(n)",
    inputs: Inputs::DECISIONS,
    default: false,
    paper: "Hendrycks & Gimpel 2017, arXiv:1610.02136",
    needs: Needs::RANKED,
    compute: |view| view.selective(AUROC_AT),
};

pub(super) const FPR95: MetricInfo = MetricInfo {
    name: "fpr95",
    summary: "share of the wrong rows still answered at the threshold that answers 95 % of the correct ones",
    formula: "FPR at TPR >= 0.95, correct rows positive",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(n)",
    inputs: Inputs::DECISIONS,
    default: false,
    paper: "Liang et al. 2018, arXiv:1706.02690",
    needs: Needs::RANKED,
    compute: |view| view.selective(FPR95_AT),
};

pub(super) const COVERAGE_AT_RISK: MetricInfo = MetricInfo {
    name: "coverage_at_risk",
    summary: "largest share of rows that a confidence threshold can answer at an error rate of at most 5 % (unless set)",
    formula: "max coverage with errors/answered <= risk",
    range: "0 to 1",
    higher_is_better: Some(true),
    state: "O(n)",
    inputs: Inputs::DECISIONS,
    default: false,
    paper: "Geifman & El-Yaniv 2017, arXiv:1705.08500",
    needs: Needs::RANKED,
    compute: |view| view.selective(COVERAGE_AT),
};

pub(super) const RISK_AT_COVERAGE: MetricInfo = MetricInfo {
    name: "risk_at_coverage",
    summary: "error rate among the most confident 80 % of the rows (unless set)",
    formula: "errors(k)/k, k = ceil(coverage n)",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(n)",
    inputs: Inputs::DECISIONS,
    default: false,
    paper: "Geifman & El-Yaniv 2017, arXiv:1705.08500",
    needs: Needs::RANKED,
    compute: |view| view.selective(RISK_AT),
};

pub(super) const AUROC: MetricInfo = MetricInfo {
    name: "auroc",
    summary: "chance that a row where the event happened has a larger probability than one where it did not",
    formula: "P(p of a positive > p of a negative), ties half",
    range: "0 to 1, 0.5 for no information",
    higher_is_better: Some(true),
    state: "O(n)",
    inputs: Inputs::EVENTS,
    default: false,
    paper: "Hanley & McNeil 1982",
    needs: Needs::EVENTS,
    compute: auroc,
};

fn auroc(view: &View<'_>) -> Option<Estimate> {
    let sweep = Sweep::new(view.events(), 0.0, 1.0);
    let value = sweep.run()[AUROC_AT];
    let intervals = if view.options().intervals { sweep.intervals(&view.resamples()) } else { Vec::new() };
    let ci = intervals.get(AUROC_AT).copied().flatten();
    value.is_finite().then(|| Estimate::plain(value).with_ci(ci, "row bootstrap, percentiles"))
}
