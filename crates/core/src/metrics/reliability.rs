//! The reliability table: what was claimed and what came true, bin by bin.

use serde::{Deserialize, Serialize};

use super::{BinEdges, ExactSum};
use crate::error::{Error, Result};
use crate::statistics::wilson;

/// A bin keeps its confidences themselves up to this number, for the exact simulation of small bins.
const KEPT: usize = 128;

/// Sums of one bin.
#[derive(Debug, Clone, PartialEq)]
pub struct Bin {
    /// Number of rows.
    pub count: u64,
    /// Number of correct rows.
    pub correct: u64,
    /// Σ confidence.
    pub confidence: ExactSum,
    /// Σ confidence².
    pub confidence_squares: ExactSum,
    /// Σ confidence of the correct rows.
    pub confidence_correct: ExactSum,
    /// The confidences, while they are few.
    kept: Option<Vec<f64>>,
}

impl Default for Bin {
    fn default() -> Self {
        Self {
            count: 0,
            correct: 0,
            confidence: ExactSum::default(),
            confidence_squares: ExactSum::default(),
            confidence_correct: ExactSum::default(),
            kept: Some(Vec::new()),
        }
    }
}

impl Bin {
    #[inline]
    fn update(&mut self, confidence: f64, correct: bool) {
        self.count += 1;
        self.confidence.add(confidence);
        self.confidence_squares.add(confidence * confidence);
        if correct {
            self.correct += 1;
            self.confidence_correct.add(confidence);
        }
        if let Some(kept) = &mut self.kept {
            if kept.len() < KEPT { kept.push(confidence) } else { self.kept = None }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.correct += other.correct;
        self.confidence.merge(&other.confidence);
        self.confidence_squares.merge(&other.confidence_squares);
        self.confidence_correct.merge(&other.confidence_correct);
        self.kept = match (self.kept.take(), &other.kept) {
            (Some(mut a), Some(b)) if a.len() + b.len() <= KEPT => {
                a.extend(b);
                Some(a)
            }
            _ => None,
        };
    }

    /// Mean confidence; NaN for an empty bin.
    pub fn mean_confidence(&self) -> f64 {
        self.confidence.value() / self.count as f64
    }

    /// Share of correct rows; NaN for an empty bin.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.count as f64
    }

    /// accuracy - confidence; NaN for an empty bin.
    pub fn gap(&self) -> f64 {
        self.accuracy() - self.mean_confidence()
    }

    /// The confidences in ascending order, if the bin is small enough to have kept them.
    pub fn kept_sorted(&self) -> Option<Vec<f64>> {
        let mut kept = self.kept.clone()?;
        kept.sort_unstable_by(f64::total_cmp);
        Some(kept)
    }

    /// Σ c(1-c): the variance of the number of correct rows if the confidences were true.
    pub fn null_variance(&self) -> f64 {
        (self.confidence.value() - self.confidence_squares.value()).max(0.0)
    }
}

/// One bin as reported.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Lower edge.
    pub low: f64,
    /// Upper edge.
    pub high: f64,
    /// Number of rows.
    pub count: u64,
    /// Mean confidence; null for an empty bin.
    pub confidence: Option<f64>,
    /// Share of correct rows; null for an empty bin.
    pub accuracy: Option<f64>,
    /// Wilson's 95 % interval of the share; null for an empty bin.
    pub accuracy_ci: Option<[f64; 2]>,
}

/// Counts and sums of confidence and correctness by bin: a streaming state of fixed size.
///
/// # Examples
/// ```
/// use candor::metrics::{BinEdges, ReliabilityTable};
/// let mut table = ReliabilityTable::new(BinEdges::equal_width(5, Default::default())?);
/// table.update(0.9, true);
/// table.update(0.85, false);
/// assert_eq!((table.bins()[4].count, table.bins()[4].correct), (2, 1));
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ReliabilityTable {
    edges: BinEdges,
    bins: Vec<Bin>,
}

impl ReliabilityTable {
    /// An empty table.
    pub fn new(edges: BinEdges) -> Self {
        let bins = vec![Bin::default(); edges.n_bins()];
        Self { edges, bins }
    }

    /// A table of given bins, for bins that are no grid.
    pub(crate) fn from_bins(edges: BinEdges, bins: Vec<Bin>) -> Self {
        Self { edges, bins }
    }

    /// Adds one row.
    #[inline]
    pub fn update(&mut self, confidence: f64, correct: bool) {
        self.bins[self.edges.bin(confidence)].update(confidence, correct);
    }

    /// Adds the rows of another table.
    ///
    /// # Errors
    /// [`Error::Merge`] if the bins differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.edges != other.edges {
            return Err(Error::Merge { what: "the bins", left: self.bins.len(), right: other.bins.len() });
        }
        self.bins.iter_mut().zip(&other.bins).for_each(|(a, b)| a.merge(b));
        Ok(())
    }

    /// The bins in ascending order.
    pub fn bins(&self) -> &[Bin] {
        &self.bins
    }

    /// The bins that hold a row.
    pub fn occupied(&self) -> impl Iterator<Item = &Bin> {
        self.bins.iter().filter(|bin| bin.count > 0)
    }

    /// Number of rows.
    pub fn count(&self) -> u64 {
        self.bins.iter().map(|bin| bin.count).sum()
    }

    /// The bins as reported.
    pub fn rows(&self) -> Vec<ReliabilityBin> {
        self.bins
            .iter()
            .enumerate()
            .map(|(i, bin)| {
                let (low, high) = self.edges.range(i);
                let some = bin.count > 0;
                ReliabilityBin {
                    low,
                    high,
                    count: bin.count,
                    confidence: some.then(|| bin.mean_confidence()),
                    accuracy: some.then(|| bin.accuracy()),
                    accuracy_ci: some.then(|| wilson(bin.correct, bin.count, 0.95)),
                }
            })
            .collect()
    }
}

/// Puts rows of one bin together.
pub(crate) fn bin_of(rows: &[(f64, bool)]) -> Bin {
    let mut bin = Bin::default();
    rows.iter().for_each(|&(confidence, correct)| bin.update(confidence, correct));
    bin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_equals_one_pass_and_forgets_the_rows_of_large_bins_alike() {
        let edges = BinEdges::equal_width(4, Default::default()).unwrap();
        let rows: Vec<(f64, bool)> = (0..300).map(|i| (f64::from(i % 97) / 97.0, i % 3 == 0)).collect();
        let table = |rows: &[(f64, bool)]| {
            let mut table = ReliabilityTable::new(edges.clone());
            rows.iter().for_each(|&(c, a)| table.update(c, a));
            table
        };
        let whole = table(&rows);
        for cut in [0, 1, 100, 299] {
            let mut left = table(&rows[..cut]);
            left.merge(&table(&rows[cut..])).unwrap();
            for (a, b) in left.bins().iter().zip(whole.bins()) {
                assert_eq!(
                    (a.count, a.correct, a.confidence, a.kept_sorted()),
                    (b.count, b.correct, b.confidence, b.kept_sorted())
                );
            }
        }
        let other = ReliabilityTable::new(BinEdges::equal_width(5, Default::default()).unwrap());
        assert!(matches!(table(&rows).merge(&other), Err(Error::Merge { .. })));
    }
}
