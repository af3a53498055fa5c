//! Calibration and refinement: what of a loss the best monotone map would remove, and what it would leave.
//!
//! The map is the isotonic regression of the event on its probability, fitted to the same rows (pool adjacent
//! violators), which is the best of all increasing maps for both losses. As it is fitted and judged on the same
//! rows, the calibration part is a little too large, by less than the ECE's null value squared for Brier.

use super::info::Needs;
use super::view::View;
use super::{Estimate, Inputs, MetricInfo, RankedRow};
use crate::kernels::math::ln;

pub(super) const NLL_CALIBRATION: MetricInfo = MetricInfo {
    name: "nll_calibration",
    summary: "part of the event's NLL that the best increasing map of the confidence removes",
    formula: "NLL(c) - NLL(isotonic(c)) of correctness",
    range: "0 to infinity, nats",
    higher_is_better: Some(false),
    state: "O(n)",
    inputs: Inputs::ALL,
    default: false,
    paper: "Bröcker 2009; Berta et al. 2025, arXiv:2501.19195; isotonic: Zadrozny & Elkan 2002",
    needs: Needs::EVENTS,
    compute: |view| split(view, log_loss).map(|(loss, refined)| Estimate::plain(loss - refined)),
};

pub(super) const NLL_REFINEMENT: MetricInfo = MetricInfo {
    name: "nll_refinement",
    summary: "the event's NLL that remains after the best increasing map of the confidence",
    formula: "NLL(isotonic(c)) of correctness",
    range: "0 to ln 2, nats",
    higher_is_better: Some(false),
    state: "O(n)",
    inputs: Inputs::ALL,
    default: false,
    paper: "Bröcker 2009; Berta et al. 2025, arXiv:2501.19195; isotonic: Zadrozny & Elkan 2002",
    needs: Needs::EVENTS,
    compute: |view| split(view, log_loss).map(|(_, refined)| Estimate::plain(refined)),
};

pub(super) const BRIER_CALIBRATION: MetricInfo = MetricInfo {
    name: "brier_calibration",
    summary: "part of top_label_brier that the best increasing map of the confidence removes",
    formula: "mean (c - a)² - mean (isotonic(c) - a)²",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(n)",
    inputs: Inputs::ALL,
    default: false,
    paper: "Bröcker 2009; Berta et al. 2025, arXiv:2501.19195; isotonic: Zadrozny & Elkan 2002",
    needs: Needs::EVENTS,
    compute: |view| split(view, square_loss).map(|(loss, refined)| Estimate::plain(loss - refined)),
};

pub(super) const BRIER_REFINEMENT: MetricInfo = MetricInfo {
    name: "brier_refinement",
    summary: "top_label_brier that remains after the best increasing map of the confidence",
    formula: "mean (isotonic(c) - a)²",
    range: "0 to 0.25",
    higher_is_better: Some(false),
    state: "O(n)",
    inputs: Inputs::ALL,
    default: false,
    paper: "Bröcker 2009; Berta et al. 2025, arXiv:2501.19195; isotonic: Zadrozny & Elkan 2002",
    needs: Needs::EVENTS,
    compute: |view| split(view, square_loss).map(|(_, refined)| Estimate::plain(refined)),
};

/// Loss of a weight of rows at a probability, of which some weight happened.
fn log_loss(p: f64, happened: f64, weight: f64) -> f64 {
    let part = |weight: f64, p: f64| if weight > 0.0 { -weight * ln(p) } else { 0.0 };
    part(happened, p) + part(weight - happened, 1.0 - p)
}

fn square_loss(p: f64, happened: f64, weight: f64) -> f64 {
    happened * (1.0 - p) * (1.0 - p) + (weight - happened) * p * p
}

/// Mean loss as it is, and after the isotonic map.
fn split(view: &View<'_>, loss: fn(f64, f64, f64) -> f64) -> Option<(f64, f64)> {
    let rows = view.events();
    let total: f64 = rows.iter().map(|row| row.weight).sum();
    let happened = |row: &RankedRow| if row.correct { row.weight } else { 0.0 };
    let own: f64 = rows.iter().map(|row| loss(row.confidence, happened(row), row.weight)).sum();
    let refined: f64 =
        pooled(rows).iter().map(|(happened, weight)| loss(happened / weight, *happened, *weight)).sum();
    let refined = refined / total;
    (total > 0.0).then(|| ((own / total).max(refined), refined))
}

/// The blocks of the isotonic regression: weight that happened, and weight.
fn pooled(rows: &[RankedRow]) -> Vec<(f64, f64)> {
    let mut blocks: Vec<(f64, f64)> = Vec::new();
    for group in rows.chunk_by(|a, b| a.confidence == b.confidence) {
        let weight = group.iter().map(|row| row.weight).sum::<f64>();
        let mut block = (group.iter().filter(|row| row.correct).map(|row| row.weight).sum::<f64>(), weight);
        while let Some(last) = blocks.last() {
            if last.0 * block.1 < block.0 * last.1 {
                break;
            }
            block = (block.0 + last.0, block.1 + last.1);
            blocks.pop();
        }
        blocks.push(block);
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violators_are_pooled() {
        let row = |confidence, correct| RankedRow { confidence, correct, weight: 1.0 };
        // Rates 0, 1, 0, 1, 1: the second and third pool to 1/2.
        let rows = [row(0.1, false), row(0.2, true), row(0.3, false), row(0.4, true), row(0.5, true)];
        assert_eq!(pooled(&rows), [(0.0, 1.0), (1.0, 2.0), (2.0, 2.0)]);
    }
}
