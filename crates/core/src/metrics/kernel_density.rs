//! Calibration error by kernel density: the conditional frequency is a ratio of two Beta-kernel densities.

use super::fine::Mass;
use super::info::Needs;
use super::view::View;
use super::{Estimate, Inputs, MetricInfo};
use crate::kernels::math::{exp, ln};

pub(super) const KDE_ECE: MetricInfo = MetricInfo {
    name: "kde_ece",
    summary: "calibration error with leave-one-out Beta-kernel frequencies instead of bins",
    formula: "1/n Σ_j |Σ_{i≠j} k(c_j; c_i) a_i / Σ_{i≠j} k(c_j; c_i) - c_j|",
    range: "0 to 1",
    higher_is_better: Some(false),
    state: "O(1): 16,384 rows, then 8,192 cells",
    inputs: Inputs::ALL,
    default: false,
    paper: "Popordanoska et al. 2022, arXiv:2210.07810; Zhang et al. 2020, arXiv:2003.07329",
    needs: Needs::FINE,
    compute: |view: &View<'_>| kde_ece(view.masses()).map(|(value, _)| Estimate::plain(value)),
};

/// Bandwidths that are tried; the one of largest leave-one-out likelihood is taken.
const BANDWIDTHS: [f64; 9] = [0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
/// Kernels are evaluated between at most this many places.
const PLACES: usize = 512;

/// Probabilities and frequencies by place, and the chosen bandwidth.
fn kde_ece(masses: &[Mass]) -> Option<(f64, f64)> {
    let places = gather(masses);
    let total: f64 = places.iter().map(|place| place.weight).sum();
    if total <= 1.0 {
        return None;
    }
    let evaluate = |bandwidth: f64| {
        let kernels = kernels(&places, bandwidth);
        let (mut likelihood, mut error, mut counted) = (0.0, 0.0, 0.0);
        for (j, (own, row)) in places.iter().zip(kernels.chunks_exact(places.len())).enumerate() {
            let (mut density, mut happened) = (0.0, 0.0);
            for (other, k) in places.iter().zip(row) {
                density += other.weight * k;
                happened += other.happened * k;
            }
            // One row of the mean kind is left out.
            let left = row[j].min(density);
            let rate = own.happened / own.weight;
            let (density, happened) = (density - left, happened - left * rate);
            likelihood += own.weight * ln((density / (total - 1.0)).max(f64::MIN_POSITIVE));
            if density > 1e-12 * left {
                error += own.weight * (happened / density - own.at).abs();
                counted += own.weight;
            }
        }
        (likelihood, error / counted)
    };
    let best = BANDWIDTHS.iter().map(|&bandwidth| (evaluate(bandwidth), bandwidth));
    let ((_, error), bandwidth) = best.max_by(|a, b| a.0.0.total_cmp(&b.0.0))?;
    error.is_finite().then_some((error, bandwidth))
}

/// Masses gathered into few places.
fn gather(masses: &[Mass]) -> Vec<Mass> {
    if masses.len() <= PLACES {
        return masses.to_vec();
    }
    let place = |mass: &Mass| (mass.at * PLACES as f64) as usize;
    let groups = masses.chunk_by(|a, b| place(a) == place(b));
    groups
        .map(|group| {
            let weight: f64 = group.iter().map(|mass| mass.weight).sum();
            let at = group.iter().map(|mass| mass.weight * mass.at).sum::<f64>() / weight;
            Mass { at, weight, happened: group.iter().map(|mass| mass.happened).sum() }
        })
        .collect()
}

/// Beta densities: entry `[j, i]` is that of the kernel of place i at place j.
fn kernels(places: &[Mass], bandwidth: f64) -> Vec<f64> {
    // Densities at the ends themselves would be 0 or infinite.
    let logs: Vec<(f64, f64)> = places
        .iter()
        .map(|place| {
            let at = place.at.clamp(1e-6, 1.0 - 1e-6);
            (ln(at), ln(1.0 - at))
        })
        .collect();
    let constants: Vec<(f64, f64, f64)> = places
        .iter()
        .map(|place| {
            let (a, b) = (place.at / bandwidth, (1.0 - place.at) / bandwidth);
            (a, b, crate::statistics::ln_beta(a + 1.0, b + 1.0))
        })
        .collect();
    let mut kernels = Vec::with_capacity(places.len() * places.len());
    for (ln_c, ln_rest) in &logs {
        kernels.extend(constants.iter().map(|(a, b, norm)| exp(a * ln_c + b * ln_rest - norm)));
    }
    kernels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn of(error: f64, n: usize) -> f64 {
        let mut stream = Stream::new(8, "kde", 0, 0);
        let masses: Vec<Mass> = (0..n)
            .map(|_| {
                let at = 0.6 + 0.35 * stream.uniform();
                Mass { at, weight: 1.0, happened: f64::from(u8::from(stream.bernoulli(at - error))) }
            })
            .collect();
        kde_ece(&masses).unwrap().0
    }

    #[test]
    fn it_finds_the_error_of_a_shifted_model_and_little_in_a_calibrated_one() {
        assert!((of(0.2, 4000) - 0.2).abs() < 0.03, "{}", of(0.2, 4000));
        assert!(of(0.0, 4000) < 0.04, "{}", of(0.0, 4000));
        assert!(kde_ece(&[]).is_none());
    }
}
