//! Binned calibration errors from a reliability table: ECE, MCE, RMSCE, the signed gap, their intervals
//! and what a perfectly calibrated model would score.
//!
//! The target of an interval is the population value at these bin edges; `error_interval` says how it is made.
//! Chance makes the figure itself larger than that value, so the interval may lie below the figure; the estimate
//! has a note then, and `debiased_ece` is the figure without that part. `low` is 0 where the null is not rejected
//! at 5 %. Measured coverage stands in `docs/intervals.md`. The null simulates labels from the
//! confidences themselves (consistency resampling, Bröcker & Smith 2007): row by row in small bins,
//! from the bin's exact mean and variance in large ones. Both are seeded.

use super::error_interval::Simulated;
use super::{Bin, Estimate, ReliabilityTable};
use crate::error::{Error, Result};
use crate::random::Stream;

/// Number of simulated tables behind an interval and a null value.
pub const SIMULATIONS: usize = 1000;

/// How the gaps of the bins become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CalibrationError {
    /// ECE: mean |gap|, weighted by count (Naeini et al. 2015; Guo et al. 2017).
    Expected,
    /// MCE: the largest |gap|.
    Maximum,
    /// RMSCE: root of the count-weighted mean of gap².
    RootMeanSquare,
    /// Average CE: mean |gap| of the occupied bins, each counted alike.
    Average,
}

impl CalibrationError {
    /// The number of these (count, gap) pairs.
    pub(crate) fn of(self, gaps: &[(f64, f64)], n: f64) -> f64 {
        match self {
            CalibrationError::Expected => gaps.iter().map(|(w, gap)| w * gap.abs()).sum::<f64>() / n,
            CalibrationError::Maximum => gaps.iter().map(|(_, gap)| gap.abs()).fold(0.0, f64::max),
            CalibrationError::RootMeanSquare => {
                (gaps.iter().map(|(w, gap)| w * gap * gap).sum::<f64>() / n).sqrt()
            }
            CalibrationError::Average => {
                gaps.iter().map(|(_, gap)| gap.abs()).sum::<f64>() / gaps.len() as f64
            }
        }
    }
}

/// The calibration errors of one table.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationErrors {
    /// ECE.
    pub expected: Estimate,
    /// MCE.
    pub maximum: Estimate,
    /// RMSCE.
    pub root_mean_square: Estimate,
    /// Average CE.
    pub average: Estimate,
    /// Mean confidence minus accuracy: positive for over-confidence.
    pub signed_gap: Estimate,
}

impl CalibrationErrors {
    /// One error of a table, without interval.
    ///
    /// # Errors
    /// [`Error::Empty`] without rows.
    pub fn value(table: &ReliabilityTable, kind: CalibrationError) -> Result<f64> {
        let n = count(table)?;
        Ok(kind.of(&gaps(table), n))
    }

    /// All errors with intervals and null values, simulated from `seed`.
    ///
    /// # Errors
    /// [`Error::Empty`] without rows.
    pub fn compute(table: &ReliabilityTable, seed: u64) -> Result<Self> {
        Self::of(table, seed, true)
    }

    /// The errors, with intervals and null values only if these are wanted.
    pub(crate) fn of(table: &ReliabilityTable, seed: u64, intervals: bool) -> Result<Self> {
        if !intervals {
            let value = |kind| Ok::<_, Error>(Estimate::plain(Self::value(table, kind)?));
            return Ok(Self {
                expected: value(CalibrationError::Expected)?,
                maximum: value(CalibrationError::Maximum)?,
                root_mean_square: value(CalibrationError::RootMeanSquare)?,
                average: value(CalibrationError::Average)?,
                signed_gap: signed_gap(table),
            });
        }
        let n = count(table)?;
        let observed = gaps(table);
        let spread: Vec<f64> = table.occupied().map(gap_variance).map(f64::sqrt).collect();
        let kinds = [
            CalibrationError::Expected,
            CalibrationError::Maximum,
            CalibrationError::RootMeanSquare,
            CalibrationError::Average,
        ];

        let simulated = Simulated::new(&observed, &spread, n, SIMULATIONS, seed);
        let mut drawn = observed.clone();
        let mut null = vec![Vec::with_capacity(SIMULATIONS); kinds.len()];
        let mut stream = Stream::new(seed, "calibration null", 0, 0);
        let bins: Vec<NullBin> = table.occupied().map(NullBin::new).collect();
        for _ in 0..SIMULATIONS {
            for (gap, bin) in drawn.iter_mut().zip(&bins) {
                gap.1 = bin.draw(&mut stream);
            }
            kinds.iter().zip(&mut null).for_each(|(kind, values)| values.push(kind.of(&drawn, n)));
        }

        let mut estimates = kinds.iter().zip(null).map(|(kind, null)| {
            let value = kind.of(&observed, n);
            let null_value = null.iter().sum::<f64>() / SIMULATIONS as f64;
            // Ties count as at least as bad, up to the rounding of the sums.
            let reached = null.iter().filter(|v| **v >= value - 1e-12).count();
            let p_value = (1 + reached) as f64 / (1 + SIMULATIONS) as f64;
            let ci = simulated.interval(*kind, p_value > 0.05);
            Estimate::plain(value)
                .with_ci(Some(ci), "simulated bin gaps, inverted")
                .with_null(null_value, Some(p_value))
                .with_bias_note()
        });
        let mut next = || estimates.next().unwrap_or_else(|| Estimate::plain(f64::NAN));
        let (expected, maximum, root_mean_square, average) = (next(), next(), next(), next());
        Ok(Self { expected, maximum, root_mean_square, average, signed_gap: signed_gap(table) })
    }
}

fn count(table: &ReliabilityTable) -> Result<f64> {
    match table.count() {
        0 => Err(Error::Empty { what: "a calibration error", rows: 0, ignored: 0 }),
        _ if table.weight() <= 0.0 => Err(Error::ZeroWeight { what: "a calibration error" }),
        _ => Ok(table.weight()),
    }
}

/// (weight, gap) of the occupied bins.
fn gaps(table: &ReliabilityTable) -> Vec<(f64, f64)> {
    table.occupied().map(|bin| (bin.weight(), bin.gap())).collect()
}

/// Variance of a bin's gap: that of `correct - confidence` around its mean, over the count.
///
/// One pseudo-row at the bin's own confidence keeps bins of few rows, all correct or all wrong, from
/// claiming certainty.
pub(crate) fn gap_variance(bin: &Bin) -> f64 {
    let n = bin.effective_count();
    let share = (bin.accuracy() * n + bin.mean_confidence()) / (n + 1.0);
    let of_label = share * (1.0 - share);
    let mean_square = bin.accuracy()
        + (bin.confidence_squares.value() - 2.0 * bin.confidence_correct.value()) / bin.weight();
    let sample = (mean_square - bin.gap() * bin.gap()).max(0.0);
    of_label.max(sample) / n
}

/// A bin under the hypothesis that its confidences are true.
enum NullBin {
    /// Few rows: each is drawn.
    Rows { confidences: Vec<f64>, sum: f64 },
    /// Many rows: the gap is normal with this standard deviation.
    Normal { sd: f64 },
}

impl NullBin {
    fn new(bin: &Bin) -> Self {
        match bin.kept_sorted() {
            Some(confidences) => {
                let sum = bin.confidence.value();
                NullBin::Rows { confidences, sum }
            }
            None => NullBin::Normal { sd: (bin.null_variance() / bin.effective_count()).sqrt() },
        }
    }

    fn draw(&self, stream: &mut Stream) -> f64 {
        match self {
            NullBin::Rows { confidences, sum } => {
                let correct = confidences.iter().filter(|c| stream.bernoulli(**c)).count();
                (correct as f64 - sum) / confidences.len() as f64
            }
            NullBin::Normal { sd } => sd * stream.normal(),
        }
    }
}

/// Mean confidence minus accuracy with its normal interval and two-sided p-value by moments.
pub(crate) fn signed_gap(table: &ReliabilityTable) -> Estimate {
    let n = table.weight();
    let sum = |f: fn(&Bin) -> f64| table.occupied().map(f).sum::<f64>();
    let mean = sum(|bin| bin.confidence.value() - bin.weight_correct()) / n;
    let square = sum(|bin| {
        bin.confidence_squares.value() - 2.0 * bin.confidence_correct.value() + bin.weight_correct()
    });
    // Effective counts of the bins add up as 1/n_eff = Σ (weight share)² / n_eff of the bin.
    let inverse: f64 = table.occupied().map(|bin| (bin.weight() / n).powi(2) / bin.effective_count()).sum();
    let ci = crate::statistics::mean_interval(mean, square / n, (1.0 / inverse).round() as u64, 0.95);
    let null_variance = sum(|bin| bin.null_variance() * bin.weight()) / n * inverse;
    let p_value = 2.0 * crate::statistics::normal_cdf(-(mean / null_variance.sqrt()).abs());
    Estimate::plain(mean)
        .with_ci(ci, "t interval of the mean")
        .with_null(0.0, p_value.is_finite().then_some(p_value))
}

#[cfg(test)]
mod tests {
    use super::super::BinEdges;
    use super::*;

    const CONFIDENCE: [f64; 10] = [0.95, 0.9, 0.85, 0.8, 0.7, 0.65, 0.6, 0.55, 0.52, 0.99];
    const CORRECT: [u8; 10] = [1, 1, 0, 1, 1, 0, 1, 0, 1, 1];

    fn worked(n_bins: usize) -> ReliabilityTable {
        let mut table = ReliabilityTable::new(BinEdges::equal_width(n_bins, Default::default()).unwrap());
        CONFIDENCE.iter().zip(CORRECT).for_each(|(c, a)| table.update(*c, a == 1));
        table
    }

    #[test]
    fn the_worked_example_with_5_10_and_15_bins() {
        for (n_bins, ece, mce, rmsce) in [
            (5, 0.1170, 0.1725, 0.127_602_899_7),
            (10, 0.1690, 0.3750, 0.205_085_348_1),
            (15, 0.2790, 0.8500, 0.390_953_961_5),
        ] {
            let errors = CalibrationErrors::compute(&worked(n_bins), 0).unwrap();
            assert!((errors.expected.number() - ece).abs() < 1e-9, "{n_bins}: {:?}", errors.expected);
            assert!((errors.maximum.number() - mce).abs() < 1e-9);
            assert!((errors.root_mean_square.number() - rmsce).abs() < 1e-9);
            assert!((errors.signed_gap.number() - 0.051).abs() < 1e-9);
        }
    }

    #[test]
    fn the_null_value_of_calibrated_predictions_is_near_their_score() {
        let mut stream = Stream::new(3, "test", 0, 0);
        let mut table = ReliabilityTable::new(BinEdges::equal_width(15, Default::default()).unwrap());
        for _ in 0..20_000 {
            let confidence = 0.5 + 0.5 * stream.uniform();
            table.update(confidence, stream.bernoulli(confidence));
        }
        let ece = CalibrationErrors::compute(&table, 0).unwrap().expected;
        let null = ece.null_value.unwrap();
        assert!((ece.number() / null - 1.0).abs() < 0.7, "{ece:?}");
        assert!(ece.p_value.unwrap() > 0.01 && ece.ci.unwrap()[0] == 0.0, "{ece:?}");
    }

    #[test]
    fn over_confidence_is_found_and_the_interval_holds_the_truth() {
        let mut stream = Stream::new(4, "test", 0, 0);
        let mut table = ReliabilityTable::new(BinEdges::equal_width(15, Default::default()).unwrap());
        for _ in 0..5_000 {
            let confidence = 0.6 + 0.4 * stream.uniform();
            table.update(confidence, stream.bernoulli(confidence - 0.1));
        }
        let errors = CalibrationErrors::compute(&table, 0).unwrap();
        let [low, high] = errors.expected.ci.unwrap();
        assert!(low < 0.1 && 0.1 < high && high - low < 0.05, "{:?}", errors.expected);
        assert!(errors.expected.p_value.unwrap() < 0.01);
        assert!((errors.signed_gap.number() - 0.1).abs() < 0.03);
    }

    #[test]
    fn nothing_has_no_calibration_error() {
        let table = ReliabilityTable::new(BinEdges::equal_width(15, Default::default()).unwrap());
        assert!(matches!(CalibrationErrors::compute(&table, 0), Err(Error::Empty { .. })));
        assert!(CalibrationErrors::value(&table, CalibrationError::Expected).is_err());
    }
}
