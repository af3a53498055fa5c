//! Row bootstrap: what a figure would be on other rows of the same kind, by drawing rows with replacement.
//!
//! Rows are drawn from the sorted rows, so the same rows give the same interval in any order of arrival.
//! Each resample has a stream of its own, keyed by the seed and its number, so threads do not matter.

use rayon::prelude::*;

use crate::random::Stream;
use crate::statistics::quantile_sorted;

/// Most rows that are resampled; beyond, rank metrics carry no interval.
pub const MAX_BOOTSTRAP_ROWS: usize = 1_000_000;
/// Most draws in all: fewer resamples are taken of many rows, but never fewer than [`MIN_RESAMPLES`].
const MAX_DRAWS: usize = 100_000_000;
const MIN_RESAMPLES: usize = 200;

/// How intervals are resampled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resamples {
    pub(crate) seed: u64,
    /// Number asked for.
    pub(crate) count: usize,
}

impl Resamples {
    /// The number taken of `n` rows.
    pub(crate) fn taken(&self, n: usize) -> usize {
        if n == 0 || n > MAX_BOOTSTRAP_ROWS {
            return 0;
        }
        self.count.min((MAX_DRAWS / n).max(MIN_RESAMPLES))
    }

    /// The figures of every resample; `figures` is given how often each row was drawn.
    pub(crate) fn replicates(&self, n: usize, figures: impl Fn(&[u16]) -> Vec<f64> + Sync) -> Vec<Vec<f64>> {
        (0..self.taken(n) as u64)
            .into_par_iter()
            .map_init(
                || vec![0_u16; n],
                |counts, resample| {
                    counts.fill(0);
                    let mut stream = Stream::new(self.seed, "row bootstrap", resample, 0);
                    stream.below_each(n as u64, n, |row| {
                        let drawn = &mut counts[row as usize];
                        *drawn = drawn.saturating_add(1);
                    });
                    figures(counts)
                },
            )
            .collect()
    }

    /// 95 % percentile intervals of `n_figures` figures; a figure that is ever not a number has none.
    pub(crate) fn intervals(
        &self,
        n: usize,
        n_figures: usize,
        figures: impl Fn(&[u16]) -> Vec<f64> + Sync,
    ) -> Vec<Option<[f64; 2]>> {
        let replicates = self.replicates(n, figures);
        (0..n_figures)
            .map(|at| {
                let mut values: Vec<f64> = replicates.iter().map(|figures| figures[at]).collect();
                if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
                    return None;
                }
                values.sort_unstable_by(f64::total_cmp);
                Some([quantile_sorted(&values, 0.025), quantile_sorted(&values, 0.975)])
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_a_mean_is_that_of_theory() {
        let n = 4000;
        let resamples = Resamples { seed: 1, count: 1000 };
        // Rows 0 and 1 alternate: the mean is 1/2, its standard error 1/(2 sqrt n).
        let mean = |counts: &[u16]| {
            let sum: f64 = counts.iter().skip(1).step_by(2).map(|c| f64::from(*c)).sum();
            vec![sum / n as f64]
        };
        let [low, high] = resamples.intervals(n, 1, mean)[0].unwrap();
        let half = 1.96 * 0.5 / (n as f64).sqrt();
        assert!((low - (0.5 - half)).abs() < 0.1 * half && (high - (0.5 + half)).abs() < 0.1 * half);
        assert_eq!(resamples.intervals(n, 1, mean)[0], Some([low, high]));
    }

    #[test]
    fn many_rows_are_resampled_less_often_and_too_many_not_at_all() {
        let resamples = Resamples { seed: 0, count: 1000 };
        assert_eq!(resamples.taken(100_000), 1000);
        assert_eq!(resamples.taken(1_000_000), 200);
        assert_eq!(resamples.taken(1_000_001), 0);
        assert_eq!(resamples.taken(0), 0);
    }
}
