//! Smooth ECE: the kernel-smoothed residual, at the bandwidth that equals its own error.
//!
//! `smECE_σ = ∫ |Σ_i K_σ(t, c_i)(c_i - a_i)| dt / n` with a Gaussian kernel reflected at 0 and 1 (Błasiok &
//! Nakkiran 2024). σ is the fixed point `smECE_σ = σ`, found by ten halvings from 1, and at least about 0.001.
//! Grid, kernel and quadrature are those of the authors' `relplot`: residuals are shared between the two
//! nearest of `max(2000, 20/σ)/2 + 1` points.

use super::fine::Mass;
use super::info::Needs;
use super::view::View;
use super::{Estimate, Inputs, MetricInfo};
use crate::kernels::math::exp;
use crate::random::Stream;
use crate::statistics::quantile_sorted;

pub(super) const SMOOTH_ECE: MetricInfo = MetricInfo {
    name: "smooth_ece",
    summary: "calibration error smoothed by a kernel as wide as the error itself: no bins to choose",
    formula: "∫ |Σ_i K_σ(t, c_i)(c_i - a_i)| dt / n at σ = smECE_σ",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(1): 16,384 rows, then 8,192 cells",
    inputs: Inputs::ALL,
    default: true,
    paper: "Błasiok & Nakkiran 2024, arXiv:2309.12236",
    needs: Needs::FINE,
    compute,
};

/// Smallest bandwidth that the search goes below.
const FINEST: f64 = 0.001;
/// Simulated sets behind interval and null value.
const SIMULATIONS: usize = 400;
/// What relplot adds to the density of every point.
const FLOOR: f64 = 1e-4;

fn compute(view: &View<'_>) -> Option<Estimate> {
    // Weights are brought to the effective number of rows: their unit must not matter beside relplot's floor,
    // and weighted rows vary as that number of equal ones.
    let moments = &view.evaluator.accuracy;
    let unit = moments.effective_count() / moments.weight();
    let scaled = |mass: &Mass| Mass { weight: mass.weight * unit, happened: mass.happened * unit, ..*mass };
    let masses: Vec<Mass> = view.masses().iter().map(scaled).collect();
    let masses = masses.as_slice();
    let sigma = bandwidth(masses);
    let value = at_bandwidth(masses, sigma);
    let estimate = Estimate::plain(value);
    if !view.options().intervals || !value.is_finite() {
        return Some(estimate);
    }
    let (around, null) = simulate(masses, sigma, view.options().seed);
    let reached = null.iter().filter(|v| **v >= value).count();
    let p_value = (1 + reached) as f64 / (1 + null.len()) as f64;
    let null_value = null.iter().sum::<f64>() / null.len() as f64;
    let ci = bias_corrected(value, around, p_value > 0.05);
    Some(
        estimate
            .with_ci(Some(ci), "simulated residuals at the chosen bandwidth, bias-corrected")
            .with_null(null_value, Some(p_value))
            .with_bias_note(),
    )
}

/// Smooth ECE of probabilities with events at a fixed bandwidth, in (0, 1]; in [0, 1], lower is better.
///
/// # Examples
/// ```
/// let error = candor::metrics::smooth_ece_at(&[(0.9, true), (0.6, false)], 0.1);
/// assert!(error > 0.2 && error < 0.4);
/// ```
pub fn smooth_ece_at(rows: &[(f64, bool)], sigma: f64) -> f64 {
    at_bandwidth(&masses(rows), sigma)
}

/// Smooth ECE of probabilities with events, and its bandwidth.
///
/// # Examples
/// ```
/// let (error, sigma) = candor::metrics::smooth_ece(&[(0.9, true), (0.6, false)]);
/// assert!((error - sigma).abs() < 0.01);
/// ```
pub fn smooth_ece(rows: &[(f64, bool)]) -> (f64, f64) {
    let masses = masses(rows);
    let sigma = bandwidth(&masses);
    (at_bandwidth(&masses, sigma), sigma)
}

fn masses(rows: &[(f64, bool)]) -> Vec<Mass> {
    let mass =
        |&(at, happened): &(f64, bool)| Mass { at, weight: 1.0, happened: f64::from(u8::from(happened)) };
    rows.iter().map(mass).collect()
}

/// The fixed point by halving, as relplot searches it.
fn bandwidth(masses: &[Mass]) -> f64 {
    let holds = |sigma: f64| sigma < FINEST || sigma < at_bandwidth(masses, sigma);
    let (mut start, mut end) = (1.0, 0.0);
    if holds(start) {
        return start;
    }
    for _ in 0..10 {
        let middle = 0.5 * (start + end);
        if holds(middle) { end = middle } else { start = middle }
    }
    start
}

/// smECE at a bandwidth on relplot's grid.
fn at_bandwidth(masses: &[Mass], sigma: f64) -> f64 {
    let points = (20.0 / sigma).round().max(2000.0) as usize / 2 + 1;
    let (mut residual, mut density) = (vec![0.0; points], vec![0.0; points]);
    for mass in masses {
        let (at, share) = place(mass.at, points);
        let r = mass.residual();
        residual[at] += (1.0 - share) * r;
        residual[at + 1] += share * r;
        density[at] += (1.0 - share) * mass.weight;
        density[at + 1] += share * mass.weight;
    }
    let kernel = kernel(points, sigma);
    let (residual, density) = (smooth(&residual, &kernel), smooth(&density, &kernel));
    let steps = (10.0 / sigma).round().max(200.0) as usize;
    let (mut sum, mut total) = (0.0, 0.0);
    for step in 0..steps {
        let t = step as f64 / (steps - 1) as f64;
        let (at, share) = place(t, points);
        let between = |values: &[f64]| values[at] * (1.0 - share) + values[at + 1] * share;
        sum += between(&residual).abs();
        total += between(&density) + FLOOR;
    }
    sum / total
}

/// The grid point below a probability and how far it lies towards the next.
fn place(t: f64, points: usize) -> (usize, f64) {
    let scaled = t * (points - 1) as f64;
    let at = (scaled as usize).min(points - 2);
    (at, scaled - at as f64)
}

/// The half of the Gaussian's values that matters, by distance from the first place left of the centre.
struct Kernel {
    /// Value at source place minus target place, from `-reach`.
    taps: Vec<f64>,
    reach: isize,
}

/// relplot's kernel: a Gaussian at 1/2 on the grid's own points, cut to [0, 1], here also where it is below 1e-15.
fn kernel(points: usize, sigma: f64) -> Kernel {
    let centre = (points / 2) as isize;
    let reach = ((8.5 * sigma * (points - 1) as f64).ceil() as isize + 1).min(centre);
    let value = |offset: isize| {
        let k = centre + offset;
        if k < 0 || k >= points as isize {
            return 0.0;
        }
        let t = k as f64 / (points - 1) as f64 - 0.5;
        exp(-t * t / (2.0 * sigma * sigma)) / ((2.0 * std::f64::consts::PI).sqrt() * sigma)
    };
    Kernel { taps: (-reach..=reach).map(value).collect(), reach }
}

/// Convolution of values that are reflected at both ends.
fn smooth(values: &[f64], kernel: &Kernel) -> Vec<f64> {
    let (n, reach) = (values.len() as isize, kernel.reach);
    // The values with their reflections on both sides, so that the inner loop is a plain product.
    let reflect = |place: isize| {
        let period = 2 * (n - 1);
        let place = place.rem_euclid(period);
        values[place.min(period - place) as usize]
    };
    let extended: Vec<f64> = (-reach..n + reach).map(reflect).collect();
    let taps: Vec<f64> = kernel.taps.iter().rev().copied().collect();
    extended.windows(taps.len()).map(|window| dot(window, &taps)).collect()
}

/// A product in eight lanes: vectorises, with the same bits at any vector width.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    for ((lane, a), b) in lanes.iter_mut().zip(left.remainder()).zip(right.remainder()) {
        *lane += a * b;
    }
    for (a, b) in left.zip(right) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
}

/// Errors of simulated residuals at a fixed bandwidth: around the observed ones, and of calibrated predictions.
fn simulate(masses: &[Mass], sigma: f64, seed: u64) -> (Vec<f64>, Vec<f64>) {
    // Eight points a bandwidth are enough for the spread.
    let points = ((8.0 / sigma).ceil() as usize).clamp(16, 8_000) + 1;
    let (mut residual, mut variance, mut null) = (vec![0.0; points], vec![0.0; points], vec![0.0; points]);
    for mass in masses {
        let (at, share) = place(mass.at, points);
        let r = mass.residual();
        residual[at] += (1.0 - share) * r;
        residual[at + 1] += share * r;
        let nearest = at + usize::from(share > 0.5);
        let failed = mass.weight - mass.happened;
        variance[nearest] += mass.happened * (1.0 - mass.at).powi(2) + failed * mass.at.powi(2);
        null[nearest] += mass.weight * mass.at * (1.0 - mass.at);
    }
    let kernel = kernel(points, sigma);
    let total: f64 = masses.iter().map(|mass| mass.weight).sum();
    // The trapezoid rule; the kernel integrates to 1 over the points' distance.
    let error = |values: &[f64]| {
        let smoothed = smooth(values, &kernel);
        let ends = 0.5 * (smoothed[0].abs() + smoothed[points - 1].abs());
        (smoothed.iter().map(|v| v.abs()).sum::<f64>() - ends) / ((points - 1) as f64 * total)
    };
    let draw = |purpose, centre: &dyn Fn(usize) -> f64, spread: &[f64]| -> Vec<f64> {
        let mut stream = Stream::new(seed, purpose, 0, 0);
        let sds: Vec<f64> = spread.iter().map(|v| v.sqrt()).collect();
        (0..SIMULATIONS)
            .map(|_| {
                let values: Vec<f64> =
                    sds.iter().enumerate().map(|(i, sd)| centre(i) + sd * stream.normal()).collect();
                error(&values)
            })
            .collect()
    };
    let around = draw("smooth interval", &|i| residual[i], &variance);
    (around, draw("smooth null", &|_| 0.0, &null))
}

/// Where the replicates lie around the observed value shows the bias; the interval is moved back by it.
fn bias_corrected(value: f64, mut replicates: Vec<f64>, null_holds: bool) -> [f64; 2] {
    let mean = replicates.iter().sum::<f64>() / replicates.len() as f64;
    replicates.sort_unstable_by(f64::total_cmp);
    let centre = value - (mean - value);
    let low = centre + (quantile_sorted(&replicates, 0.025) - mean);
    let high = centre + (quantile_sorted(&replicates, 0.975) - mean);
    let low = if null_holds { 0.0 } else { low.clamp(0.0, 1.0) };
    [low, high.clamp(low, 1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_probability_far_from_the_ends_gives_its_gap() {
        // All residuals share one sign, so smoothing moves none of them across zero.
        let rows: Vec<(f64, bool)> = (0..100).map(|i| (0.5, i % 5 == 0)).collect();
        let error = smooth_ece_at(&rows, 0.05);
        assert!((error - 0.3).abs() < 1e-3, "{error}");
    }

    #[test]
    fn opposite_errors_cancel_only_within_the_bandwidth() {
        let rows: Vec<(f64, bool)> =
            (0..200).map(|i| if i < 100 { (0.3, i % 2 == 0) } else { (0.7, i % 2 == 0) }).collect();
        // relplot 1.0.3 at the same bandwidths.
        for (sigma, want) in [(0.02, 0.199_999_899_8), (0.3, 0.109_650_646_6), (0.5, 0.091_171_100_0)] {
            let got = smooth_ece_at(&rows, sigma);
            assert!((got - want).abs() < 1e-8, "{sigma}: {got} against {want}");
        }
        let (error, sigma) = smooth_ece(&rows);
        assert!((error - sigma).abs() < 2e-3, "{error} {sigma}");
    }
}
