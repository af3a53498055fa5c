//! The interval of a binned calibration error: all values that the observed one does not contradict.
//!
//! Chance makes a calibration error larger, and the more so the nearer it is to 0, so an interval around the
//! figure misses. Here each multiple `t` of the observed gaps is taken for the truth, tables are simulated around
//! it, and its error belongs to the interval if the observed error lies between their 2.5 % and 97.5 % points
//! (Neyman 1937). The direction of the gaps is taken as observed; that of the truth is not known.

use super::CalibrationError;
use crate::random::Stream;
use crate::statistics::quantile_sorted;

/// Most draws that are kept: tables of very many bins are simulated less often.
const MAX_DRAWS: usize = 2_000_000;
const MIN_SIMULATIONS: usize = 100;
/// Halvings of the search for an end: 2^-16 of the observed error.
const HALVINGS: usize = 16;
/// No multiple beyond this is considered.
const MAX_MULTIPLE: f64 = 16.0;

/// Standard normal draws for every bin and simulated table.
pub(super) struct Simulated<'a> {
    /// (weight, gap) of each bin, and the standard deviations of the gaps.
    observed: &'a [(f64, f64)],
    spread: &'a [f64],
    total: f64,
    normals: Vec<f64>,
}

impl<'a> Simulated<'a> {
    /// At most so many simulations of bins with these gaps, of this total weight.
    pub(super) fn new(
        observed: &'a [(f64, f64)],
        spread: &'a [f64],
        total: f64,
        simulations: usize,
        seed: u64,
    ) -> Self {
        let bins = observed.len().max(1);
        let simulations = simulations.min((MAX_DRAWS / bins).max(MIN_SIMULATIONS));
        let mut stream = Stream::new(seed, "calibration interval", 0, 0);
        let normals = (0..bins * simulations).map(|_| stream.normal()).collect();
        Self { observed, spread, total, normals }
    }

    /// The 95 % interval of an error.
    pub(super) fn interval(&self, kind: CalibrationError, null_holds: bool) -> [f64; 2] {
        let value = kind.of(self.observed, self.total);
        // Without any gap the direction is that of the standard deviations.
        let flat = value == 0.0;
        let direction: Vec<(f64, f64)> = self
            .observed
            .iter()
            .zip(self.spread)
            .map(|((weight, gap), sd)| (*weight, if flat { *sd } else { *gap }))
            .collect();
        let unit = kind.of(&direction, self.total);
        let mut drawn = direction.clone();
        let mut point = |multiple: f64, level: f64| {
            let tables = self.normals.chunks_exact(direction.len());
            let mut errors: Vec<f64> = tables
                .map(|normals| {
                    for (((own, (_, gap)), sd), normal) in
                        drawn.iter_mut().zip(&direction).zip(self.spread).zip(normals)
                    {
                        own.1 = multiple * gap + sd * normal;
                    }
                    kind.of(&drawn, self.total)
                })
                .collect();
            errors.sort_unstable_by(f64::total_cmp);
            quantile_sorted(&errors, level)
        };
        // The points grow with the multiple; the end is where one of them passes the observed error.
        let mut end = |level: f64| {
            let (mut low, mut high) = (0.0, MAX_MULTIPLE);
            if point(low, level) >= value {
                return 0.0;
            }
            for _ in 0..HALVINGS {
                let middle = 0.5 * (low + high);
                if point(middle, level) < value { low = middle } else { high = middle }
            }
            (unit * 0.5 * (low + high)).min(1.0)
        };
        let low = if null_holds { 0.0 } else { end(0.975) };
        [low, end(0.025).max(low)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(gaps: &[(f64, f64)], spread: &[f64], null_holds: bool) -> [f64; 2] {
        let total = gaps.iter().map(|gap| gap.0).sum();
        Simulated::new(gaps, spread, total, 1000, 3).interval(CalibrationError::Expected, null_holds)
    }

    #[test]
    fn one_gap_far_from_zero_has_the_normal_interval() {
        let [low, high] = interval(&[(100.0, -0.2)], &[0.01], false);
        // 1000 draws place the 2.5 % point within 0.2 standard deviations.
        assert!(
            (low - (0.2 - 0.0196)).abs() < 0.002 && (high - (0.2 + 0.0196)).abs() < 0.002,
            "{low} {high}"
        );
    }

    #[test]
    fn the_interval_of_many_noisy_gaps_lies_below_the_figure() {
        // Each gap is one standard deviation: about what no miscalibration at all would show, and a little more.
        let gaps: Vec<(f64, f64)> = (0..100).map(|i| (1.0, if i % 2 == 0 { 0.1 } else { -0.1 })).collect();
        let [low, high] = interval(&gaps, &[0.1; 100], false);
        assert!(low > 0.0 && high < 0.1, "{low} {high}");
        assert_eq!(interval(&gaps, &[0.1; 100], true), [0.0, high]);
    }

    #[test]
    fn ends_stay_in_their_range_and_nothing_is_not_a_number() {
        for (gap, sd) in [(0.0, 0.0), (0.0, 0.1), (1.0, 0.0), (1.0, 0.5), (1e-300, 0.2)] {
            for null_holds in [false, true] {
                let [low, high] = interval(&[(1.0, gap), (2.0, gap)], &[sd, sd], null_holds);
                assert!(0.0 <= low && low <= high && high <= 1.0, "{gap} {sd}: {low} {high}");
            }
        }
        assert_eq!(interval(&[(1.0, 0.0)], &[0.0], false), [0.0, 0.0]);
        // Certain gaps leave no doubt.
        let [low, high] = interval(&[(1.0, 0.3)], &[0.0], false);
        assert!((low - 0.3).abs() < 1e-4 && (high - 0.3).abs() < 1e-4);
    }
}
