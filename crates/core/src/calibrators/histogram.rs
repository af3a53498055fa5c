//! Histogram binning: each bin of probabilities gets the frequency of the class (Zadrozny & Elkan 2001).
//!
//! A bin without rows gets its midpoint, the value of a calibrated model.

use serde::{Deserialize, Serialize};

use super::one_vs_rest::{ClassRows, CurveFit};
use super::rows::sigmoid;
use super::steps::{N_BINS, Steps, bin_of, equal_mass, equal_width};
use super::{CalibratorInfo, Curve, Entry, FLOOR, Fitting, OneVsRest, Output, Score};
use crate::error::Result;
use crate::parameters::Parameter;

const INFO: CalibratorInfo = CalibratorInfo {
    name: "histogram",
    summary: "the frequency of the class in each bin; an empty bin gets its midpoint",
    formula: "p_k ∝ θ_kb for p_k in bin b, θ_kb = share of class k among the rows of the bin",
    preserves_accuracy: false,
    output: Output::Probabilities,
    fitting: Fitting::Direct,
    parameters: &[
        N_BINS,
        Parameter::choice("binning", "equal_width", &["equal_width", "equal_mass"], "how bins are cut"),
        FLOOR,
    ],
    paper: "Zadrozny & Elkan 2001, Obtaining calibrated probability estimates from decision trees",
};

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    fit: |sample, parameters| {
        let (n_bins, floor) = (parameters.number("n_bins") as usize, parameters.number("floor"));
        let by_mass = parameters.word("binning") == "equal_mass";
        OneVsRest::fit(sample, Score::LogOdds, |rows| fit_rows(rows, n_bins, by_mass, floor))
    },
};

/// The frequencies of one class in bins of its probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistogramCurve(pub Steps);

fn fit_rows(rows: &ClassRows, n_bins: usize, by_mass: bool, floor: f64) -> CurveFit<HistogramCurve> {
    let p: Vec<f64> = rows.x.iter().map(|x| sigmoid(*x)).collect();
    let edges = if by_mass {
        let mut sorted = p.clone();
        sorted.sort_by(f64::total_cmp);
        equal_mass(&sorted, n_bins)
    } else {
        equal_width(n_bins)
    };
    let mut sums = vec![(0.0, 0.0); edges.len() + 1];
    for ((p, y), w) in p.iter().zip(&rows.y).zip(&rows.weights) {
        let bin = &mut sums[bin_of(&edges, *p)];
        bin.0 += w;
        bin.1 += w * y;
    }
    let ends = |bin: usize| {
        let low = if bin == 0 { 0.0 } else { edges[bin - 1] };
        (low, edges.get(bin).copied().unwrap_or(1.0))
    };
    let values = sums
        .iter()
        .enumerate()
        .map(|(bin, (weight, positive))| {
            let (low, high) = ends(bin);
            if *weight > 0.0 { (positive / weight).clamp(0.0, 1.0) } else { 0.5 * (low + high) }
        })
        .collect();
    CurveFit::direct(HistogramCurve(Steps { edges, values }.clip(floor)))
}

impl Curve for HistogramCurve {
    fn info() -> &'static CalibratorInfo {
        &INFO
    }

    fn log_pair(&self, score: f64) -> (f64, f64) {
        self.0.log_pair(score)
    }

    fn n_parameters(&self) -> usize {
        self.0.values.len()
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_bin_gets_its_midpoint() {
        let logit = |p: f64| (p / (1.0 - p)).ln();
        let rows = ClassRows {
            x: vec![logit(0.1), logit(0.2), logit(0.9)],
            y: vec![0.0, 1.0, 1.0],
            weights: vec![1.0; 3],
        };
        let steps = fit_rows(&rows, 3, false, 0.0).curve.0;
        assert_eq!(steps.values, [0.5, 0.5, 1.0]);
        assert_eq!(steps.edges, [1.0 / 3.0, 2.0 / 3.0]);
        assert_eq!(fit_rows(&rows, 3, false, 0.01).curve.0.values[2], 0.99);
        let mass = fit_rows(&rows, 3, true, 0.0).curve.0;
        assert_eq!(mass.values, [0.0, 1.0, 1.0]);
    }
}
