//! Sums of absolute normal gaps in closed form: the expectation and variance of |N(gap, sd)|.
//!
//! A plug-in calibration error is such a sum, so its bias, its spread and its value for calibrated
//! predictions follow from the bins' moments without simulation, for any number of classes.

use super::calibration_error::gap_variance;
use super::{Bin, Estimate, ReliabilityTable};
use crate::kernels::math::exp;
use crate::statistics::normal_cdf;

/// Mean and variance of |N(gap, sd)| (Leone et al. 1961).
pub(crate) fn folded(gap: f64, sd: f64) -> (f64, f64) {
    if sd <= 0.0 {
        return (gap.abs(), 0.0);
    }
    let t = gap / sd;
    let mean =
        sd * (2.0 / std::f64::consts::PI).sqrt() * exp(-0.5 * t * t) + gap * (1.0 - 2.0 * normal_cdf(-t));
    (mean, (gap * gap + sd * sd - mean * mean).max(0.0))
}

/// The mean over tables of Σ_m share_m |gap_m|, with interval and null value.
pub(crate) fn mean_absolute(tables: &[ReliabilityTable]) -> Option<Estimate> {
    let tables: Vec<&ReliabilityTable> = tables.iter().filter(|table| table.weight() > 0.0).collect();
    if tables.is_empty() {
        return None;
    }
    let (mut value, mut around, mut spread) = (0.0, 0.0, 0.0);
    let (mut null, mut null_spread) = (0.0, 0.0);
    for table in &tables {
        let scale = 1.0 / (table.weight() * tables.len() as f64);
        for bin in table.occupied() {
            let share = bin.weight() * scale;
            let null_sd = (bin.null_variance() / bin.effective_count()).sqrt();
            let (mean, variance) = folded(bin.gap(), gap_variance(bin).sqrt());
            let (null_mean, null_variance) = folded(0.0, null_sd);
            value += share * bin.gap().abs();
            around += share * mean;
            spread += share * share * variance;
            null += share * null_mean;
            null_spread += share * share * null_variance;
        }
    }
    let p_value = normal_cdf(-(value - null) / null_spread.sqrt());
    let p_value = if p_value.is_finite() { p_value } else { 1.0 };
    let centre = 2.0 * value - around;
    let half = 1.959_963_984_540_054 * spread.sqrt();
    let low = if p_value > 0.05 { 0.0 } else { (centre - half).clamp(0.0, 1.0) };
    let ci = [low, (centre + half).clamp(low, 1.0)];
    Some(
        Estimate::plain(value)
            .with_ci(Some(ci), "moments of folded normal gaps, bias-corrected")
            .with_null(null, Some(p_value))
            .with_bias_note(),
    )
}

/// Twice the plug-in minus what resampled outcomes of these bins would give on average (Kumar et al. 2019).
pub(crate) fn debiased_absolute(table: &ReliabilityTable) -> f64 {
    let weight = table.weight();
    let of_bin = |bin: &Bin| {
        let accuracy = bin.accuracy();
        let sd = (accuracy * (1.0 - accuracy)).max(0.0).sqrt() / bin.effective_count().sqrt();
        bin.weight() / weight * (2.0 * bin.gap().abs() - folded(bin.gap(), sd).0)
    };
    table.occupied().map(of_bin).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_moments_by_hand() {
        let (mean, variance) = folded(0.0, 2.0);
        assert!((mean - 2.0 * (2.0 / std::f64::consts::PI).sqrt()).abs() < 1e-15);
        assert!((variance - 4.0 * (1.0 - 2.0 / std::f64::consts::PI)).abs() < 1e-14);
        // Far from zero nothing folds.
        let (mean, variance) = folded(-10.0, 0.5);
        assert!((mean - 10.0).abs() < 1e-12 && (variance - 0.25).abs() < 1e-9);
        assert_eq!(folded(-0.3, 0.0), (0.3, 0.0));
    }
}
