//! Scaling-binning: a sigmoid, then the means of bins of its values (Kumar, Liang & Ma 2019, arXiv:1909.10155).
//!
//! The sigmoid is that of [`PlattCurve`], with Platt's targets; sigmoid, bins and means come from the same
//! rows. The paper splits the rows into three for its proof; its published program does not.

use serde::{Deserialize, Serialize};

use super::one_vs_rest::{ClassRows, CurveFit};
use super::rows::sigmoid;
use super::steps::{N_BINS, Steps, bin_of, equal_mass};
use super::{CalibratorInfo, Curve, Entry, Fitting, OneVsRest, Output, PlattCurve, SCORE, Score};
use crate::error::Result;

const INFO: CalibratorInfo = CalibratorInfo {
    name: "scaling_binning",
    summary: "bins of a fitted sigmoid: its calibration error can be measured, a smooth map's only bounded below",
    formula: "p_k ∝ mean of σ(a_k s_k + b_k) over the rows in the equal-mass bin of σ(a_k s_k + b_k)",
    preserves_accuracy: false,
    output: Output::Probabilities,
    fitting: Fitting::Convex,
    parameters: &[N_BINS, SCORE],
    paper: "Kumar, Liang & Ma 2019, arXiv:1909.10155",
};

pub(super) const ENTRY: Entry = Entry {
    info: &INFO,
    fit: |sample, parameters| {
        let n_bins = parameters.number("n_bins") as usize;
        OneVsRest::fit(sample, Score::of(parameters), |rows| fit_rows(rows, n_bins))
    },
};

/// A sigmoid of the score of one class, and the means of its bins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScalingBinningCurve {
    /// The sigmoid.
    pub scaling: PlattCurve,
    /// The bins of its values.
    pub bins: Steps,
}

fn fit_rows(rows: &ClassRows, n_bins: usize) -> CurveFit<ScalingBinningCurve> {
    let CurveFit { curve: scaling, ending } = PlattCurve::fit(rows);
    let scaled: Vec<f64> = rows.x.iter().map(|x| sigmoid(scaling.a * x + scaling.b)).collect();
    let mut sorted = scaled.clone();
    sorted.sort_by(f64::total_cmp);
    let edges = equal_mass(&sorted, n_bins);
    let mut sums = vec![(0.0, 0.0); edges.len() + 1];
    for (value, w) in scaled.iter().zip(&rows.weights) {
        let bin = &mut sums[bin_of(&edges, *value)];
        bin.0 += w;
        bin.1 += w * value;
    }
    // Equal-mass bins are never empty, except where there is no row at all.
    let values = sums.iter().map(|(w, sum)| if *w > 0.0 { (sum / w).clamp(0.0, 1.0) } else { 0.5 }).collect();
    CurveFit { curve: ScalingBinningCurve { scaling, bins: Steps { edges, values } }, ending }
}

impl Curve for ScalingBinningCurve {
    fn info() -> &'static CalibratorInfo {
        &INFO
    }

    fn log_pair(&self, score: f64) -> (f64, f64) {
        self.bins.log_pair(self.scaling.a * score + self.scaling.b)
    }

    fn n_parameters(&self) -> usize {
        2 + self.bins.values.len()
    }

    fn check(&self) -> Result<()> {
        self.scaling.check()?;
        self.bins.check()
    }
}
