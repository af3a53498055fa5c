//! Calibration of object detections: confidence against precision, also by place and size of the box.
//!
//! D-ECE (Küppers et al. 2020) bins detections over confidence and any of the relative box coordinates
//! (centre x and y, width, height), and compares each bin's mean confidence with its precision: the share of
//! detections that match a true box. In [0, 1], lower is better. Bins are `(a, b]` in each dimension.

use std::collections::BTreeMap;

use super::{Bin, BinEdges, ReliabilityTable};
use crate::error::{Error, Result, check_len, check_range};

/// Streaming state of the detection calibration error: O(occupied cells).
///
/// # Examples
/// ```
/// use candor::metrics::DetectionCalibration;
/// // Ten bins of confidence, two of the relative centre x.
/// let mut state = DetectionCalibration::new(&[10, 2])?;
/// state.update(&[0.9, 0.1], true)?;
/// state.update(&[0.9, 0.8], false)?;
/// assert!((state.compute()? - 0.5).abs() < 1e-12);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DetectionCalibration {
    edges: Vec<BinEdges>,
    cells: BTreeMap<Vec<u32>, ReliabilityTable>,
    min_count: u64,
}

impl DetectionCalibration {
    /// An empty state: number of bins of the confidence, then of each box coordinate that is to be told apart.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for no dimension, more than five, or a number of bins outside `1..=100000`.
    pub fn new(n_bins: &[usize]) -> Result<Self> {
        check_range("the number of dimensions", n_bins.len() as f64, 1.0, 5.0)?;
        let edges =
            n_bins.iter().map(|n| BinEdges::equal_width(*n, Default::default())).collect::<Result<_>>()?;
        Ok(Self { edges, cells: BTreeMap::new(), min_count: 1 })
    }

    /// Leaves out cells of fewer detections, whose precision says nothing.
    pub fn with_min_count(mut self, min_count: u64) -> Self {
        self.min_count = min_count;
        self
    }

    /// Adds one detection: its confidence, then its relative coordinates, all in [0, 1], and whether it
    /// matches a true box at the overlap that counts.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of values, [`Error::ProbabilityValue`] for one outside [0, 1].
    pub fn update(&mut self, values: &[f64], matched: bool) -> Result<()> {
        check_len("a detection (confidence and coordinates)", self.edges.len(), values.len())?;
        if let Some((class, value)) = values.iter().enumerate().find(|(_, v)| !(0.0..=1.0).contains(*v)) {
            return Err(Error::ProbabilityValue { row: 0, class, value: *value });
        }
        let key: Vec<u32> = self.edges.iter().zip(values).map(|(edges, v)| edges.bin(*v) as u32).collect();
        if !self.cells.contains_key(&key) {
            let one = BinEdges::equal_width(1, Default::default())?;
            self.cells.insert(key.clone(), ReliabilityTable::new(one));
        }
        if let Some(cell) = self.cells.get_mut(&key) {
            cell.update(values[0], matched);
        }
        Ok(())
    }

    /// Adds the detections of another state.
    ///
    /// # Errors
    /// [`Error::Merge`] if the bins differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.edges != other.edges {
            let (left, right) = (self.edges.len(), other.edges.len());
            return Err(Error::Merge { what: "the detection bins", left, right });
        }
        for (key, theirs) in &other.cells {
            match self.cells.get_mut(key) {
                Some(mine) => mine.merge(theirs)?,
                None => {
                    self.cells.insert(key.clone(), theirs.clone());
                }
            }
        }
        Ok(())
    }

    /// D-ECE: mean |precision - confidence| over cells, weighted by count.
    ///
    /// # Errors
    /// [`Error::Empty`] without a cell of enough detections.
    pub fn compute(&self) -> Result<f64> {
        let bins: Vec<&Bin> = self
            .cells
            .values()
            .flat_map(ReliabilityTable::occupied)
            .filter(|bin| bin.count >= self.min_count)
            .collect();
        let total: f64 = bins.iter().map(|bin| bin.weight()).sum();
        if bins.is_empty() {
            return Err(Error::Empty { what: "a detection calibration error", rows: 0, ignored: 0 });
        }
        Ok(bins.iter().map(|bin| bin.weight() * bin.gap().abs()).sum::<f64>() / total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_dimension_is_the_ece_and_coordinates_split_what_cancels() {
        let rows = [(0.85, 0.1, true), (0.85, 0.9, false), (0.35, 0.1, true), (0.35, 0.9, false)];
        let of = |bins: &[usize], order: [usize; 4]| {
            let mut state = DetectionCalibration::new(bins).unwrap();
            for (c, x, matched) in order.map(|i| rows[i]) {
                let mut one = DetectionCalibration::new(bins).unwrap();
                one.update(&[c, x][..bins.len()], matched).unwrap();
                state.merge(&one).unwrap();
            }
            state.compute().unwrap()
        };
        // Precision is 1/2 in both bins: |0.85 - 0.5| and |0.35 - 0.5|.
        assert!((of(&[10], [0, 1, 2, 3]) - 0.25).abs() < 1e-12);
        // Apart, each row is a bin of its own.
        assert!((of(&[10, 2], [3, 2, 1, 0]) - (0.15 + 0.85 + 0.65 + 0.35) / 4.0).abs() < 1e-12);
        let mut state = DetectionCalibration::new(&[10]).unwrap();
        assert!(state.compute().is_err() && state.update(&[1.5], true).is_err());
        assert!(DetectionCalibration::new(&[]).is_err() && state.update(&[0.5, 0.5], true).is_err());
    }
}
