//! Kolmogorov-Smirnov calibration error: the largest cumulated gap along the confidence, without bins.

use super::info::Needs;
use super::view::View;
use super::{Estimate, Inputs, MetricInfo};
use crate::kernels::math::exp;

pub(super) const KS_ERROR: MetricInfo = MetricInfo {
    name: "ks_error",
    summary: "largest difference of cumulated confidence and cumulated correctness along the confidence",
    formula: "max_t 1/n |Σ_{c <= t} (c - a)|",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(1): 16,384 rows, then 8,192 cells",
    inputs: Inputs::ALL,
    default: false,
    paper: "Gupta et al. 2021, arXiv:2006.12800",
    needs: Needs::FINE,
    compute,
};

/// For calibrated predictions the cumulated gap is a random walk of known variance, so its largest value
/// follows the law of the maximum of |Brownian motion|.
fn compute(view: &View<'_>) -> Option<Estimate> {
    let masses = view.masses();
    let total: f64 = masses.iter().map(|mass| mass.weight).sum();
    let (mut sum, mut largest, mut variance) = (0.0_f64, 0.0_f64, 0.0);
    for mass in masses {
        sum += mass.residual();
        largest = largest.max(sum.abs());
        variance += mass.weight * mass.at * (1.0 - mass.at);
    }
    // Weighted rows vary as their effective number of equal rows would.
    let effective = view.evaluator.accuracy.effective_count() / view.evaluator.accuracy.count() as f64;
    let unit = view.evaluator.accuracy.weight() / view.evaluator.accuracy.count() as f64;
    let sd = (variance * unit / effective).sqrt();
    let null = (std::f64::consts::PI / 2.0).sqrt() * sd / total;
    let p_value = if sd > 0.0 { 1.0 - below(largest / sd) } else { 1.0 };
    Some(Estimate::plain(largest / total).with_null(null, Some(p_value.clamp(0.0, 1.0))))
}

/// P(max over [0, 1] of |Brownian motion| <= x).
fn below(x: f64) -> f64 {
    let pi = std::f64::consts::PI;
    if x < 0.2 {
        return 0.0;
    }
    let term = |k: i32| {
        let odd = f64::from(2 * k + 1);
        f64::from(1 - 2 * (k % 2)) / odd * exp(-odd * odd * pi * pi / (8.0 * x * x))
    };
    4.0 / pi * (0..50).map(term).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_of_the_maximum_of_a_random_walk() {
        // Feller (1971): the 95 % point is 2.2414, the median 1.1490.
        assert!((below(2.241_4) - 0.95).abs() < 1e-4, "{}", below(2.241_4));
        assert!((below(1.149_0) - 0.5).abs() < 1e-3);
        assert!(below(0.1) == 0.0 && (below(10.0) - 1.0).abs() < 1e-12);
    }
}
