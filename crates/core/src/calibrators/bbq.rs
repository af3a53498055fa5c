//! Bayesian binning into quantiles: many equal-mass binnings, averaged by their evidence (Naeini et al. 2015).
//!
//! Each number of bins B from `n^(1/3)/10` to `10 n^(1/3)` has a Beta prior of strength N' = 2 on every bin,
//! centred on the bin's middle; its evidence is the Beta-binomial likelihood. The average of step functions
//! is one step function, and so it is stored. Binnings whose share of the evidence is below 1e-9 are left
//! out.

use serde::{Deserialize, Serialize};

use super::one_vs_rest::{ClassRows, CurveFit};
use super::rows::sigmoid;
use super::steps::{Steps, ascending, bin_of, equal_mass};
use super::{CalibratorInfo, Curve, Entry, Fitting, OneVsRest, Output, Score};
use crate::error::Result;
use crate::kernels::math;

const INFO: CalibratorInfo = CalibratorInfo {
    name: "bbq",
    summary: "binnings of many sizes averaged by their evidence: histogram binning without choosing a size",
    formula: "p_k ∝ Σ_B P(B|data) (m_b + N'/B mid_b) / (N_b + N'/B), N' = 2, equal-mass bins",
    preserves_accuracy: false,
    output: Output::Probabilities,
    fitting: Fitting::Direct,
    parameters: &[],
    paper: "Naeini, Cooper & Hauskrecht 2015, Obtaining well calibrated probabilities using Bayesian binning, AAAI",
};

pub(super) const ENTRY: Entry =
    Entry { info: &INFO, fit: |sample, _| OneVsRest::fit(sample, Score::LogOdds, fit_rows) };

/// The averaged frequencies of one class in bins of its probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BbqCurve(pub Steps);

/// N', the strength of the prior.
const STRENGTH: f64 = 2.0;
/// Shares of the evidence below this are left out.
const NEGLIGIBLE: f64 = 1e-9;

struct Binning {
    steps: Steps,
    evidence: f64,
}

fn fit_rows(rows: &ClassRows) -> CurveFit<BbqCurve> {
    let n = rows.x.len();
    if n == 0 {
        return CurveFit::direct(BbqCurve(Steps { edges: Vec::new(), values: vec![0.5] }));
    }
    let p: Vec<f64> = rows.x.iter().map(|x| sigmoid(*x)).collect();
    let order = ascending(&p);
    let sorted: Vec<f64> = order.iter().map(|&row| p[row]).collect();
    // Running sums of weight and of weight of the class.
    let mut sums = vec![(0.0, 0.0)];
    for &row in &order {
        let (weight, positive) = sums[sums.len() - 1];
        sums.push((weight + rows.weights[row], positive + rows.weights[row] * rows.y[row]));
    }
    let root = (n as f64).cbrt();
    let (fewest, most) = (((root / 10.0).floor() as usize).max(1), ((10.0 * root).ceil() as usize).min(n));
    let binnings: Vec<Binning> = (fewest..=most.max(fewest)).map(|b| binning(&sorted, &sums, b)).collect();
    let best = binnings.iter().map(|binning| binning.evidence).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = binnings.iter().map(|binning| math::exp(binning.evidence - best)).sum();
    let shares: Vec<(f64, &Steps)> = binnings
        .iter()
        .map(|binning| (math::exp(binning.evidence - best) / total, &binning.steps))
        .filter(|(share, _)| *share >= NEGLIGIBLE)
        .collect();
    let kept: f64 = shares.iter().map(|(share, _)| share).sum();
    let mut edges: Vec<f64> = shares.iter().flat_map(|(_, steps)| steps.edges.iter().copied()).collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    // The right end of a bin lies in it.
    let values = (0..=edges.len())
        .map(|bin| {
            let at = edges.get(bin).copied().unwrap_or(1.0);
            shares.iter().map(|(share, s)| share * s.values[bin_of(&s.edges, at)]).sum::<f64>() / kept
        })
        .collect();
    CurveFit::direct(BbqCurve(Steps { edges, values }))
}

fn binning(sorted: &[f64], sums: &[(f64, f64)], n_bins: usize) -> Binning {
    let edges = equal_mass(sorted, n_bins);
    let bins = edges.len() + 1;
    let strength = STRENGTH / bins as f64;
    let mut evidence = 0.0;
    let (mut low, mut start) = (0.0, 0);
    let mut values = Vec::with_capacity(bins);
    for bin in 0..bins {
        let high = edges.get(bin).copied().unwrap_or(1.0);
        let end = if bin + 1 == bins { sorted.len() } else { sorted.partition_point(|p| *p <= high) };
        let weight = sums[end].0 - sums[start].0;
        let positive = (sums[end].1 - sums[start].1).clamp(0.0, weight);
        // A prior at 0 or 1 exactly would have no evidence for the other outcome.
        let middle = (0.5 * (low + high)).clamp(1e-12, 1.0 - 1e-12);
        let (alpha, beta) = (strength * middle, strength * (1.0 - middle));
        evidence += libm::lgamma(strength) - libm::lgamma(weight + strength) + libm::lgamma(positive + alpha)
            - libm::lgamma(alpha)
            + libm::lgamma(weight - positive + beta)
            - libm::lgamma(beta);
        values.push((positive + alpha) / (weight + strength));
        (low, start) = (high, end);
    }
    Binning { steps: Steps { edges, values }, evidence }
}

impl Curve for BbqCurve {
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
