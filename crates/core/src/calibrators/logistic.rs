//! Logistic regression on a few features: the problem behind Platt scaling and beta calibration.

use super::rows::{sigmoid, softplus};
use super::solver::{Objective, Solution, minimise};

/// Weighted mean of `softplus(s) - t s` with `s = Σ θ_j f_j`, as a function of θ.
pub(super) struct Logistic<'a> {
    /// `[n, d]`.
    pub features: &'a [f64],
    pub targets: &'a [f64],
    /// Sum to 1.
    pub weights: &'a [f64],
    n_features: usize,
    /// w p (1-p) of each row at the last evaluated point.
    spread: Vec<f64>,
}

impl<'a> Logistic<'a> {
    /// Fits θ from `start`.
    pub fn fit(features: &'a [f64], targets: &'a [f64], weights: &'a [f64], start: Vec<f64>) -> Solution {
        let spread = vec![0.0; targets.len()];
        let mut problem = Logistic { features, targets, weights, n_features: start.len(), spread };
        minimise(&mut problem, start)
    }

    fn rows(&self) -> impl Iterator<Item = &'a [f64]> {
        self.features.chunks_exact(self.n_features)
    }
}

impl Objective for Logistic<'_> {
    fn evaluate(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        gradient.fill(0.0);
        let mut value = 0.0;
        let mut spread = std::mem::take(&mut self.spread);
        for (((row, target), weight), spread) in
            self.rows().zip(self.targets).zip(self.weights).zip(spread.iter_mut())
        {
            let s: f64 = row.iter().zip(x).map(|(f, x)| f * x).sum();
            let p = sigmoid(s);
            value += weight * (softplus(s) - target * s);
            for (g, f) in gradient.iter_mut().zip(row) {
                *g += weight * (p - target) * f;
            }
            *spread = weight * p * (1.0 - p);
        }
        self.spread = spread;
        value
    }

    fn hessian(&self, direction: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        for (row, spread) in self.rows().zip(&self.spread) {
            let along: f64 = row.iter().zip(direction).map(|(f, d)| f * d).sum();
            for (out, f) in out.iter_mut().zip(row) {
                *out += spread * along * f;
            }
        }
    }

    fn diagonal(&self, out: &mut [f64]) {
        out.fill(0.0);
        for (row, spread) in self.rows().zip(&self.spread) {
            for (out, f) in out.iter_mut().zip(row) {
                *out += spread * f * f;
            }
        }
    }
}
