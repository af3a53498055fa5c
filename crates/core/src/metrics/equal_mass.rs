//! Bins that hold equally many rows: the table behind the adaptive calibration error.

use super::reliability::bin_of;
use super::{Bin, BinEdges, RankedRows, ReliabilityTable};
use crate::error::{Result, check_range};

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
    check_range("n_bins", n_bins as f64, 1.0, 100_000.0)?;
    let rows = rows.ascending();
    let n = rows.len();
    let mut bins: Vec<Bin> = Vec::with_capacity(n_bins.min(n));
    let mut start = 0;
    for k in 1..=n_bins {
        // The first n % n_bins bins hold one row more.
        let mut end = k * (n / n_bins) + k.min(n % n_bins);
        while end > 0 && end < n && rows[end].0 == rows[end - 1].0 {
            end += 1;
        }
        if end > start {
            bins.push(bin_of(&rows[start..end]));
            start = end;
        }
    }
    let edges = BinEdges::equal_width(bins.len().max(1), Default::default())?;
    Ok(ReliabilityTable::from_bins(edges, bins))
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
