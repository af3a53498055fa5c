//! Beta calibration: a curve with two shapes and a location (Kull, Silva Filho & Flach 2017).

use serde::{Deserialize, Serialize};

use super::fit_report::Ending;
use super::linear_map::{SEPARATED, check_finite};
use super::logistic::Logistic;
use super::one_vs_rest::{ClassRows, CurveFit};
use super::rows::softplus;
use super::solver::Solution;
use super::{CalibratorInfo, Curve, Entry, Fitting, OneVsRest, Output, Score, WarningCode};
use crate::error::{Result, check_range};

const INFO: CalibratorInfo = CalibratorInfo {
    name: "beta",
    summary: "a beta curve for each class: bends that a sigmoid cannot follow, and the identity among them",
    formula: "p_k ∝ σ(a_k ln p_k - b_k ln(1-p_k) + c_k), a, b ≥ 0",
    preserves_accuracy: false,
    output: Output::Probabilities,
    fitting: Fitting::Convex,
    parameters: &[],
    paper: "Kull, Silva Filho & Flach 2017, Beta calibration, AISTATS",
};

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, fit: |sample, _| OneVsRest::fit(sample, Score::LogOdds, BetaCurve::fit) };

/// `σ(a ln p - b ln(1-p) + c)` of the probability p of a class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BetaCurve {
    /// The shape near 0, not negative.
    pub a: f64,
    /// The shape near 1, not negative.
    pub b: f64,
    /// The location.
    pub c: f64,
}

impl BetaCurve {
    fn fit(rows: &ClassRows) -> CurveFit<Self> {
        let total: f64 = rows.weights.iter().sum();
        if total == 0.0 {
            return CurveFit::direct(BetaCurve { a: 1.0, b: 1.0, c: 0.0 });
        }
        let weights: Vec<f64> = rows.weights.iter().map(|w| w / total).collect();
        let pairs: Vec<[f64; 2]> = rows.x.iter().map(|&x| [-softplus(-x), softplus(x)]).collect();
        let squares: f64 = pairs.iter().zip(&weights).map(|(p, w)| w * (p[0] * p[0] + p[1] * p[1])).sum();
        let scale = squares.sqrt().max(f64::MIN_POSITIVE);
        // With a, b ≥ 0 the optimum is that of one of four problems without bounds.
        let mut best: Option<([bool; 2], Solution)> = None;
        for kept in [[true, true], [true, false], [false, true], [false, false]] {
            let mut features = Vec::with_capacity(3 * pairs.len());
            for pair in &pairs {
                features.extend((0..2).filter(|&j| kept[j]).map(|j| pair[j] / scale));
                features.push(1.0);
            }
            let shapes = kept.iter().filter(|kept| **kept).count();
            let mut start = vec![0.0; shapes + 1];
            // The identity, where it is among them and not far out of sight.
            start[..shapes].fill(scale.min(1.0));
            let found = Logistic::fit(&features, &rows.y, &weights, start);
            let legal = found.x[..shapes].iter().all(|shape| *shape >= 0.0);
            let all = kept == [true, true];
            if legal && best.as_ref().is_none_or(|(_, best)| found.value < best.value) {
                best = Some((kept, found));
                if all {
                    break;
                }
            }
        }
        let Some((kept, solution)) = best else {
            return CurveFit::direct(BetaCurve { a: 1.0, b: 1.0, c: 0.0 });
        };
        let mut ending = Ending::of(&solution);
        let mut shapes = solution.x.iter();
        let mut next = |kept: bool| if kept { shapes.next().map_or(0.0, |x| x / scale) } else { 0.0 };
        let (a, b) = (next(kept[0]), next(kept[1]));
        let curve = BetaCurve { a, b, c: solution.x.last().copied().unwrap_or(0.0) };
        if solution.value < SEPARATED {
            ending.warn(WarningCode::Separable);
        } else if kept == [false, false] {
            ending.warn(WarningCode::AntiCorrelated);
        }
        CurveFit { curve, ending }
    }
}

impl Curve for BetaCurve {
    fn info() -> &'static CalibratorInfo {
        &INFO
    }

    fn log_pair(&self, score: f64) -> (f64, f64) {
        let s = self.b * softplus(score) - self.a * softplus(-score) + self.c;
        (-softplus(-s), -softplus(s))
    }

    fn n_parameters(&self) -> usize {
        3
    }

    fn check(&self) -> Result<()> {
        check_range("a shape of a beta curve", self.a, 0.0, f64::MAX)?;
        check_range("a shape of a beta curve", self.b, 0.0, f64::MAX)?;
        check_finite("the location of a beta curve", &[self.c])
    }
}
