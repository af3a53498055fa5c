//! Binned calibration errors from a reliability table: ECE, MCE, RMSCE, the signed gap, their intervals
//! and what a perfectly calibrated model would score.
//!
//! The interval simulates the bin gaps around the observed ones and removes the bias that the absolute
//! value adds; its target is the population value at these bin edges. The null simulates labels from the
//! confidences themselves (consistency resampling, Bröcker & Smith 2007): row by row in small bins,
//! from the bin's exact mean and variance in large ones. Both are seeded.

use super::{Bin, Estimate, ReliabilityTable};
use crate::error::{Error, Result};
use crate::random::Stream;
use crate::statistics::quantile_sorted;

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
}

impl CalibrationError {
    /// The number of these (count, gap) pairs.
    fn of(self, gaps: &[(f64, f64)], n: f64) -> f64 {
        match self {
            CalibrationError::Expected => gaps.iter().map(|(w, gap)| w * gap.abs()).sum::<f64>() / n,
            CalibrationError::Maximum => gaps.iter().map(|(_, gap)| gap.abs()).fold(0.0, f64::max),
            CalibrationError::RootMeanSquare => {
                (gaps.iter().map(|(w, gap)| w * gap * gap).sum::<f64>() / n).sqrt()
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
                signed_gap: signed_gap(table),
            });
        }
        let n = count(table)?;
        let observed = gaps(table);
        let spread: Vec<f64> = table.occupied().map(gap_variance).map(f64::sqrt).collect();
        let kinds = [CalibrationError::Expected, CalibrationError::Maximum, CalibrationError::RootMeanSquare];

        let mut around = vec![Vec::with_capacity(SIMULATIONS); kinds.len()];
        let mut stream = Stream::new(seed, "calibration interval", 0, 0);
        let mut drawn = observed.clone();
        for _ in 0..SIMULATIONS {
            for ((gap, sd), (_, centre)) in drawn.iter_mut().zip(&spread).zip(&observed) {
                gap.1 = centre + sd * stream.normal();
            }
            kinds.iter().zip(&mut around).for_each(|(kind, values)| values.push(kind.of(&drawn, n)));
        }

        let mut null = vec![Vec::with_capacity(SIMULATIONS); kinds.len()];
        let mut stream = Stream::new(seed, "calibration null", 0, 0);
        let bins: Vec<NullBin> = table.occupied().map(NullBin::new).collect();
        for _ in 0..SIMULATIONS {
            for (gap, bin) in drawn.iter_mut().zip(&bins) {
                gap.1 = bin.draw(&mut stream);
            }
            kinds.iter().zip(&mut null).for_each(|(kind, values)| values.push(kind.of(&drawn, n)));
        }

        let mut estimates = kinds.iter().zip(around).zip(null).map(|((kind, around), null)| {
            let value = kind.of(&observed, n);
            let null_value = null.iter().sum::<f64>() / SIMULATIONS as f64;
            // Ties count as at least as bad, up to the rounding of the sums.
            let reached = null.iter().filter(|v| **v >= value - 1e-12).count();
            let p_value = (1 + reached) as f64 / (1 + SIMULATIONS) as f64;
            let ci = bias_corrected(value, around, p_value > 0.05);
            let mut estimate = Estimate::plain(value).with_ci(Some(ci), "simulated bin gaps, bias-corrected");
            estimate.null_value = Some(null_value);
            estimate.p_value = Some(p_value);
            estimate
        });
        let mut next = || estimates.next().unwrap_or_else(|| Estimate::plain(f64::NAN));
        let (expected, maximum, root_mean_square) = (next(), next(), next());
        Ok(Self { expected, maximum, root_mean_square, signed_gap: signed_gap(table) })
    }
}

fn count(table: &ReliabilityTable) -> Result<f64> {
    match table.count() {
        0 => Err(Error::Empty { what: "a calibration error", rows: 0, ignored: 0 }),
        n => Ok(n as f64),
    }
}

/// (count, gap) of the occupied bins.
fn gaps(table: &ReliabilityTable) -> Vec<(f64, f64)> {
    table.occupied().map(|bin| (bin.count as f64, bin.gap())).collect()
}

/// Variance of a bin's gap: that of `correct - confidence` around its mean, over the count.
///
/// One pseudo-row at the bin's own confidence keeps bins of few rows, all correct or all wrong, from
/// claiming certainty.
fn gap_variance(bin: &Bin) -> f64 {
    let n = bin.count as f64;
    let share = (bin.correct as f64 + bin.mean_confidence()) / (n + 1.0);
    let of_label = share * (1.0 - share);
    let residual_square =
        (bin.correct as f64 - 2.0 * bin.confidence_correct.value() + bin.confidence_squares.value()) / n;
    let sample = (residual_square - bin.gap() * bin.gap()).max(0.0);
    of_label.max(sample) / n
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
            None => NullBin::Normal { sd: bin.null_variance().sqrt() / bin.count as f64 },
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
fn signed_gap(table: &ReliabilityTable) -> Estimate {
    let n = table.count() as f64;
    let sum = |f: fn(&Bin) -> f64| table.occupied().map(f).sum::<f64>();
    let confidence = sum(|bin| bin.confidence.value());
    let correct = sum(|bin| bin.correct as f64);
    let squares =
        sum(|bin| bin.confidence_squares.value() - 2.0 * bin.confidence_correct.value() + bin.correct as f64);
    let mean = (confidence - correct) / n;
    let ci = crate::statistics::mean_interval(mean, squares / n, table.count(), 0.95);
    let mut estimate = Estimate::plain(mean).with_ci(ci, "t interval of the mean");
    estimate.null_value = Some(0.0);
    estimate
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
