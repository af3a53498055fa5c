//! Bins that hold equally many rows: the table behind the adaptive calibration error.

use super::reliability::bin_of;
use super::{Bin, BinEdges, RankedRow, RankedRows, ReliabilityTable};
use crate::error::{Result, check_range};

/// Where bins of equally many rows are cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MassRule {
    /// Where `numpy.array_split` cuts the sorted rows, rows of equal confidence in the earlier bin: ours, and
    /// that of uncertainty-calibration (and of torch-uncertainty where no rows are tied).
    #[default]
    Split,
    /// At linear quantiles, bins `(a, b]`: scikit-learn's `strategy="quantile"`.
    QuantileRightClosed,
    /// At linear quantiles, bins `[a, b)`: netcal's `equal_intervals=False`.
    QuantileLeftClosed,
    /// At `numpy.interp` of the sorted rows, bins `(a, b]` without the smallest row, as the code of Mukhoti
    /// et al. (2020) and of margin-based label smoothing does it.
    Interpolated,
}

impl std::str::FromStr for MassRule {
    type Err = crate::Error;

    fn from_str(name: &str) -> Result<Self> {
        Ok(match name {
            "split" => MassRule::Split,
            "quantile_right_closed" => MassRule::QuantileRightClosed,
            "quantile_left_closed" => MassRule::QuantileLeftClosed,
            "interpolated" => MassRule::Interpolated,
            _ => {
                let known = ["split", "quantile_right_closed", "quantile_left_closed", "interpolated"];
                return Err(crate::registry::unknown("rule of equal-mass bins", name, known));
            }
        })
    }
}

/// The reliability table of `n_bins` equally filled bins (fewer if confidences coincide).
///
/// Rows are sorted by confidence and cut where `numpy.array_split` cuts; rows of equal confidence stay in
/// one bin (the earlier), so the table does not depend on the order of the rows. Nixon et al. (2019),
/// arXiv:1904.01685.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for a number of bins outside `1..=100000`.
///
/// # Examples
/// ```
/// use candor::metrics::{CalibrationError, CalibrationErrors, RankedRows, equal_mass_table};
/// let mut rows = RankedRows::default();
/// rows.update(0.9, true);
/// rows.update(0.6, false);
/// let table = equal_mass_table(&rows, 2)?;
/// let ece = CalibrationErrors::value(&table, CalibrationError::Expected)?;
/// assert!((ece - 0.35).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
pub fn equal_mass_table(rows: &RankedRows, n_bins: usize) -> Result<ReliabilityTable> {
    equal_mass_table_by(rows, n_bins, MassRule::Split)
}

/// [`equal_mass_table`] with the cuts of another tool.
///
/// # Errors
/// [`Error::OutOfRange`](crate::Error::OutOfRange) for a number of bins outside `1..=100000`.
pub fn equal_mass_table_by(rows: &RankedRows, n_bins: usize, rule: MassRule) -> Result<ReliabilityTable> {
    check_range("n_bins", n_bins as f64, 1.0, 100_000.0)?;
    Ok(table_of(&rows.ascending(), n_bins, rule))
}

/// The table of rows in ascending order.
pub(crate) fn table_of(rows: &[RankedRow], n_bins: usize, rule: MassRule) -> ReliabilityTable {
    let bins: Vec<Bin> = match rule {
        MassRule::Split => split(rows, n_bins),
        _ => at_edges(rows, n_bins, rule),
    };
    ReliabilityTable::from_bins(BinEdges::of_groups(&bins), bins)
}

/// Bins between the edges that a rule puts at quantiles.
fn at_edges(rows: &[RankedRow], n_bins: usize, rule: MassRule) -> Vec<Bin> {
    let confidences: Vec<f64> = rows.iter().map(|row| row.confidence).collect();
    let last = confidences.len().saturating_sub(1);
    let step = 1.0 / n_bins as f64;
    // Rows often lie on the edges themselves, so the roundings are those of the tools.
    let edge = |k: usize| match rule {
        // numpy.interp over the places 0..n of the sorted rows.
        MassRule::Interpolated => quantile_at(&confidences, k as f64 * (step * confidences.len() as f64)),
        // numpy.percentile of numpy.linspace * 100.
        MassRule::QuantileRightClosed => {
            quantile_at(&confidences, k as f64 * step * 100.0 / 100.0 * last as f64)
        }
        _ => quantile_at(&confidences, k as f64 * step * last as f64),
    };
    let mut bins = Vec::with_capacity(n_bins);
    let mut start = match rule {
        MassRule::Interpolated => confidences.partition_point(|c| *c <= edge(0)),
        _ => 0,
    };
    for k in 1..=n_bins {
        let upper = edge(k);
        let end = match rule {
            _ if k == n_bins => rows.len(),
            MassRule::QuantileLeftClosed => confidences.partition_point(|c| *c < upper),
            _ => confidences.partition_point(|c| *c <= upper),
        };
        if end > start {
            bins.push(bin_of(&rows[start..end]));
            start = end;
        }
    }
    bins
}

/// The value at a place between sorted values, as numpy interpolates: from the nearer neighbour.
fn quantile_at(sorted: &[f64], place: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let low = (place as usize).min(last);
    let share = (place - low as f64).min(1.0);
    let (a, b) = (sorted[low], sorted[(low + 1).min(last)]);
    if share < 0.5 { a + (b - a) * share } else { b - (b - a) * (1.0 - share) }
}

fn split(rows: &[RankedRow], n_bins: usize) -> Vec<Bin> {
    let n = rows.len();
    let mut bins: Vec<Bin> = Vec::with_capacity(n_bins.min(n));
    let mut start = 0;
    for k in 1..=n_bins {
        // The first n % n_bins bins hold one row more.
        let mut end = k * (n / n_bins) + k.min(n % n_bins);
        while end > 0 && end < n && rows[end].confidence == rows[end - 1].confidence {
            end += 1;
        }
        if end > start {
            bins.push(bin_of(&rows[start..end]));
            start = end;
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::super::{CalibrationError, CalibrationErrors};
    use super::*;

    fn ranked(rows: impl IntoIterator<Item = (f64, bool)>) -> RankedRows {
        let mut state = RankedRows::default();
        rows.into_iter().for_each(|(c, a)| state.update(c, a));
        state
    }

    fn value(rows: &RankedRows, n_bins: usize, kind: CalibrationError) -> f64 {
        CalibrationErrors::value(&equal_mass_table(rows, n_bins).unwrap(), kind).unwrap()
    }

    #[test]
    fn the_worked_example_with_five_bins() {
        let rows = ranked(
            [0.95, 0.9, 0.85, 0.8, 0.7, 0.65, 0.6, 0.55, 0.52, 0.99]
                .into_iter()
                .zip([1, 1, 0, 1, 1, 0, 1, 0, 1, 1].map(|a| a == 1)),
        );
        assert!((value(&rows, 5, CalibrationError::Expected) - 0.1630).abs() < 1e-12);
        assert!((value(&rows, 5, CalibrationError::RootMeanSquare) - 0.210_178_495_6).abs() < 1e-9);
    }

    #[test]
    fn ties_stay_together_in_any_order() {
        let rows = [(0.5, true), (0.5, false), (0.5, true), (0.9, true)];
        let of = |order: [usize; 4]| value(&ranked(order.map(|i| rows[i])), 2, CalibrationError::Expected);
        // Bins {0.5, 0.5, 0.5} and {0.9}: (3*|2/3-0.5| + 0.1)/4.
        assert!((of([0, 1, 2, 3]) - 0.15).abs() < 1e-12);
        assert_eq!(of([0, 1, 2, 3]), of([3, 2, 0, 1]));
    }

    #[test]
    fn more_bins_than_rows() {
        assert!((value(&ranked([(0.7, true)]), 5, CalibrationError::Expected) - 0.3).abs() < 1e-12);
        assert!(equal_mass_table(&ranked([]), 0).is_err());
    }
}
