//! Calibration error of the Laplace kernel: residuals weighted by how near their probabilities lie.

use super::info::Needs;
use super::view::View;
use super::{Estimate, Inputs, MetricInfo};
use crate::kernels::math::exp;

pub(super) const LAPLACE_CE: MetricInfo = MetricInfo {
    name: "laplace_ce",
    summary: "kernel calibration error with the Laplace kernel: all pairs of residuals, near ones most",
    formula: "sqrt(|1/n² Σ_i Σ_j (c_i - a_i)(c_j - a_j) exp(-|c_i - c_j|)|)",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(1): 16,384 rows, then 8,192 cells",
    inputs: Inputs::ALL,
    default: false,
    paper: "Błasiok et al. 2023, arXiv:2211.16886",
    needs: Needs::FINE,
    compute,
};

/// Along ascending probabilities the sum over all earlier ones shrinks by one factor, so all pairs cost O(n).
/// For calibrated predictions only the pairs of a row with itself remain.
fn compute(view: &View<'_>) -> Option<Estimate> {
    let masses = view.masses();
    let total: f64 = masses.iter().map(|mass| mass.weight).sum();
    let (mut sum, mut earlier, mut previous, mut null) = (0.0, 0.0, 0.0, 0.0);
    for mass in masses {
        earlier *= exp(previous - mass.at);
        let r = mass.residual();
        sum += r * (r + 2.0 * earlier);
        earlier += r;
        previous = mass.at;
        null += mass.weight * mass.at * (1.0 - mass.at);
    }
    Some(Estimate::plain(sum.abs().sqrt() / total).with_null(null.sqrt() / total, None))
}
