//! Ensemble temperature scaling: a mixture of tempered, plain and uniform probabilities (Zhang et al. 2020).
//!
//! The uniform part is label smoothing of the outputs. The temperature is the best one by itself; given it,
//! the NLL is convex in the weights, which lie on a simplex. An interior-point Newton method finds them.

use serde::{Deserialize, Serialize};

use super::fit_report::Ending;
use super::{
    CalibrationMap, CalibratorInfo, Entry, Fit, Fitting, Output, Sample, Temperature, WarningCode, rows,
};
use crate::error::{Result, check_range};
use crate::kernels::math;
use crate::parameters::Parameters;

const INFO: CalibratorInfo = CalibratorInfo {
    name: "ensemble_temperature",
    summary: "mixes tempered, plain and uniform probabilities; more supple than a temperature, as safe",
    formula: "w_1 softmax(z/T) + w_2 softmax(z) + w_3/K, w on the simplex",
    preserves_accuracy: true,
    output: Output::Probabilities,
    fitting: Fitting::Convex,
    parameters: &[],
    paper: "Zhang, Kailkhura & Han 2020, arXiv:2003.07329",
};

pub(super) const ENTRY: Entry = Entry { info: &INFO, fit };

/// The weight of the uniform part stays below one by this, so that the order of the classes shows.
const LEAST_INFORMED: f64 = 1e-6;

/// `w_1 softmax(z/T) + w_2 softmax(z) + w_3/K`; K counts the allowed classes of a row.
///
/// # Examples
/// ```
/// use candor::calibrators::{EnsembleTemperature, Map};
/// let map = Map::from(EnsembleTemperature { temperature: 1.0, weights: [0.5, 0.0, 0.5] });
/// let out = map.probs(candor::Logits::new(&[3.0_f64.ln(), 0.0], 2)?, None)?;
/// assert!((out[0] - 0.625).abs() < 1e-15);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EnsembleTemperature {
    /// T of the first part.
    pub temperature: f64,
    /// The weights of the tempered, the plain and the uniform part; they sum to 1.
    pub weights: [f64; 3],
}

fn fit(sample: &Sample, _: &Parameters) -> Result<Fit> {
    let found = Temperature::of_rows(sample.logits(), sample);
    let mut ending = Ending::direct();
    ending.warnings.extend(found.outcome.code().map(super::FitWarning::new));
    let temperature = found.map.temperature;
    let total = sample.total_weight();
    let mut scratch = vec![0.0; sample.n_classes()];
    // What each part gives to the label of each row.
    let shares: Vec<([f64; 3], f64)> = sample
        .labels()
        .iter()
        .enumerate()
        .map(|(at, &label)| {
            let row = sample.row(at);
            let mut part = |t: f64| {
                Temperature { temperature: t }.apply_row(row, None, &mut scratch);
                math::exp(scratch[label] - rows::log_sum_exp(&scratch))
            };
            let allowed = row.iter().filter(|z| **z != f64::NEG_INFINITY).count();
            ([part(temperature), part(1.0), 1.0 / allowed as f64], sample.weights()[at] / total)
        })
        .collect();
    let (mut weights, iterations, violation) = simplex_weights(&shares);
    ending.iterations = iterations;
    ending.gradient_norm = violation;
    if violation > 1e-6 {
        ending.converged = false;
        ending.warn(WarningCode::NotConverged);
    }
    if weights[0] + weights[1] < LEAST_INFORMED {
        weights = [LEAST_INFORMED, 0.0, 1.0 - LEAST_INFORMED];
        ending.warn(WarningCode::Bounded);
    }
    Ok(Fit::new(EnsembleTemperature { temperature, weights }.into(), sample, ending))
}

/// Minimises `-Σ ω ln(w·f)` over the simplex; returns w, the steps, and how far the optimality conditions
/// (`Σ ω f_j/(w·f) ≤ 1`, with equality where `w_j > 0`) are missed.
fn simplex_weights(shares: &[([f64; 3], f64)]) -> ([f64; 3], usize, f64) {
    let mut w = [1.0 / 3.0; 3];
    let mut steps = 0;
    let mut barrier = 1e-2;
    while barrier > 1e-15 {
        barrier *= 0.1;
        for _ in 0..50 {
            steps += 1;
            let (gradient, hessian) = derivatives(shares, w, barrier);
            // Free directions: w_3 gives what w_1 and w_2 take.
            let g = [gradient[0] - gradient[2], gradient[1] - gradient[2]];
            let h = |i: usize, j: usize| hessian[i][j] - hessian[i][2] - hessian[2][j] + hessian[2][2];
            let (a, b, c) = (h(0, 0), h(0, 1), h(1, 1));
            let determinant = a * c - b * b;
            let step = if determinant > 1e-14 * a * c {
                [(b * g[1] - c * g[0]) / determinant, (b * g[0] - a * g[1]) / determinant]
            } else {
                // Two parts that are alike: move along the gradient, scaled.
                [-g[0] / a.max(f64::MIN_POSITIVE), -g[1] / c.max(f64::MIN_POSITIVE)].map(|s| 0.5 * s)
            };
            let decrement = -(g[0] * step[0] + g[1] * step[1]);
            let full = [step[0], step[1], -step[0] - step[1]];
            let value = objective(shares, w, barrier);
            let mut length: f64 = 1.0;
            for (w, s) in w.iter().zip(full) {
                if s < 0.0 {
                    length = length.min(-0.99 * w / s);
                }
            }
            let mut moved = false;
            for _ in 0..60 {
                let mut next = [0, 1, 2].map(|j: usize| w[j] + length * full[j]);
                let sum: f64 = next.iter().sum();
                next = next.map(|w| w / sum);
                if objective(shares, next, barrier) <= value - 1e-4 * length * decrement {
                    w = next;
                    moved = true;
                    break;
                }
                length *= 0.5;
            }
            if !moved || decrement < 1e-20 {
                break;
            }
        }
    }
    for weight in &mut w {
        if *weight < 1e-10 {
            *weight = 0.0;
        }
    }
    let sum: f64 = w.iter().sum();
    let w = w.map(|w| w / sum);
    let (gradient, _) = derivatives(shares, w, 0.0);
    let violation = (0..3)
        .map(|j| if w[j] > 0.0 { (gradient[j] + 1.0).abs() * w[j] } else { (-gradient[j] - 1.0).max(0.0) })
        .fold(0.0, f64::max);
    (w, steps, violation)
}

fn mixture(f: &[f64; 3], w: [f64; 3]) -> f64 {
    f[0] * w[0] + f[1] * w[1] + f[2] * w[2]
}

fn objective(shares: &[([f64; 3], f64)], w: [f64; 3], barrier: f64) -> f64 {
    let nll: f64 = shares.iter().map(|(f, omega)| -omega * math::ln(mixture(f, w))).sum();
    nll - barrier * w.iter().map(|w| math::ln(*w)).sum::<f64>()
}

fn derivatives(shares: &[([f64; 3], f64)], w: [f64; 3], barrier: f64) -> ([f64; 3], [[f64; 3]; 3]) {
    let (mut gradient, mut hessian) = ([0.0; 3], [[0.0; 3]; 3]);
    for (f, omega) in shares {
        let inverse = 1.0 / mixture(f, w).max(f64::MIN_POSITIVE);
        let scaled = f.map(|f| f * inverse);
        for i in 0..3 {
            gradient[i] -= omega * scaled[i];
            for j in 0..3 {
                hessian[i][j] += omega * scaled[i] * scaled[j];
            }
        }
    }
    if barrier > 0.0 {
        for i in 0..3 {
            gradient[i] -= barrier / w[i];
            hessian[i][i] += barrier / (w[i] * w[i]);
        }
    }
    (gradient, hessian)
}

impl CalibrationMap for EnsembleTemperature {
    fn info(&self) -> &'static CalibratorInfo {
        &INFO
    }

    fn n_parameters(&self) -> usize {
        3
    }

    fn check(&self) -> Result<()> {
        Temperature::new(self.temperature)?;
        self.weights.iter().try_for_each(|w| check_range("a weight of the mixture", *w, 0.0, 1.0))?;
        check_range("the sum of the mixture's weights", self.weights.iter().sum(), 1.0 - 1e-9, 1.0 + 1e-9)
    }

    fn apply_row(&self, logits: &[f64], _: Option<&str>, out: &mut [f64]) {
        let allowed = logits.iter().filter(|z| **z != f64::NEG_INFINITY).count();
        let mut tempered = vec![0.0; logits.len()];
        Temperature { temperature: self.temperature }.apply_row(logits, None, &mut tempered);
        rows::log_softmax_in_place(&mut tempered);
        out.copy_from_slice(logits);
        rows::log_softmax_in_place(out);
        let [first, second, third] = self.weights.map(math::ln);
        let uniform = third - math::ln(allowed as f64);
        for (out, tempered) in out.iter_mut().zip(&tempered) {
            // A logarithm of a sum, so that small probabilities keep their order.
            if *out != f64::NEG_INFINITY {
                *out = rows::log_sum_exp(&[first + tempered, second + *out, uniform]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_meet_the_optimality_conditions() {
        // By hand: two kinds of rows, (1, 0, 0) and (0, 0, 1), seen 3 : 1; the optimum is (3/4, 0, 1/4).
        let (w, _, violation) = simplex_weights(&[([1.0, 0.0, 0.0], 0.75), ([0.0, 0.0, 1.0], 0.25)]);
        assert!((w[0] - 0.75).abs() < 1e-7 && w[1] == 0.0 && violation < 1e-6, "{w:?} {violation}");
        // A part that is always better takes everything.
        let (w, _, violation) = simplex_weights(&[([0.2, 0.9, 0.3], 0.5), ([0.5, 0.6, 0.3], 0.5)]);
        assert!(w[1] > 1.0 - 1e-8 && violation < 1e-6, "{w:?} {violation}");
    }
}
