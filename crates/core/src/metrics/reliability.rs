//! The reliability table: what was claimed and what came true, bin by bin.

use serde::{Deserialize, Serialize};

use super::bin_sums::{BinSums, CellSum};
use super::{BinEdges, ExactSum, RankedRow};
use crate::batch::Scalar;
use crate::error::{Error, Result};

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
    /// The confidences, while they are few and no row has a weight other than 1.
    kept: Option<Vec<f64>>,
    /// Kept from the first weight that is not 1; the sums of confidences are weighted then.
    weights: Option<Box<BinWeights>>,
}

/// Weights of one bin: Σ w, Σ w of the correct rows, Σ w².
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct BinWeights {
    weight: ExactSum,
    correct: ExactSum,
    square: ExactSum,
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
            weights: None,
        }
    }
}

impl Bin {
    #[inline]
    fn update(&mut self, confidence: f64, correct: bool) {
        if let Some(weights) = &mut self.weights {
            weights.weight.add(1.0);
            weights.square.add(1.0);
            weights.correct.add(f64::from(u8::from(correct)));
        }
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

    fn update_weighted(&mut self, confidence: f64, correct: bool, weight: f64) {
        if weight == 1.0 {
            return self.update(confidence, correct);
        }
        let weights = self.weights_mut();
        weights.weight.add(weight);
        weights.square.add(weight * weight);
        if correct {
            weights.correct.add(weight);
            self.correct += 1;
            self.confidence_correct.add(weight * confidence);
        }
        self.count += 1;
        self.confidence.add(weight * confidence);
        self.confidence_squares.add(weight * confidence * confidence);
        self.kept = None;
    }

    /// Adds the sums of many rows of weight 1; those that the bin keeps one by one are left to the caller.
    fn absorb(&mut self, [wrong, right]: [CellSum; 2]) {
        let count = wrong.count + right.count;
        if let Some(weights) = &mut self.weights {
            weights.weight.merge(&ExactSum::of_count(count));
            weights.square.merge(&ExactSum::of_count(count));
            weights.correct.merge(&ExactSum::of_count(right.count));
        }
        self.count += count;
        self.correct += right.count;
        self.confidence.add_grid(wrong.confidence + right.confidence);
        self.confidence_squares.add_grid(wrong.squares + right.squares);
        self.confidence_correct.add_grid(right.confidence);
    }

    /// The weight sums, which for rows of weight 1 follow from the counts.
    fn weights_mut(&mut self) -> &mut BinWeights {
        let count = ExactSum::of_count(self.count);
        let correct = ExactSum::of_count(self.correct);
        self.weights.get_or_insert_with(|| Box::new(BinWeights { weight: count, correct, square: count }))
    }

    fn merge(&mut self, other: &Self) {
        if self.weights.is_some() || other.weights.is_some() {
            let theirs = *other.clone().weights_mut();
            let mine = self.weights_mut();
            mine.weight.merge(&theirs.weight);
            mine.correct.merge(&theirs.correct);
            mine.square.merge(&theirs.square);
        }
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

    /// Total weight: the number of rows where no weights were given.
    pub fn weight(&self) -> f64 {
        self.weights.as_ref().map_or(self.count as f64, |weights| weights.weight.value())
    }

    /// Weight of the correct rows.
    pub fn weight_correct(&self) -> f64 {
        self.weights.as_ref().map_or(self.correct as f64, |weights| weights.correct.value())
    }

    /// (Σ w)² / Σ w²: the number of rows of equal weight that would say as much.
    pub fn effective_count(&self) -> f64 {
        self.weights.as_ref().map_or(self.count as f64, |weights| {
            let weight = weights.weight.value();
            if weight > 0.0 { weight * weight / weights.square.value() } else { 0.0 }
        })
    }

    /// Mean confidence; NaN for an empty bin.
    pub fn mean_confidence(&self) -> f64 {
        self.confidence.value() / self.weight()
    }

    /// Share of correct rows, by weight; NaN for an empty bin.
    pub fn accuracy(&self) -> f64 {
        self.weight_correct() / self.weight()
    }

    /// 95 % interval of the share: Wilson's, at the effective count where rows are weighted.
    pub fn accuracy_interval(&self) -> [f64; 2] {
        crate::statistics::wilson_share(self.accuracy(), self.effective_count(), 0.95)
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

    /// Mean of c(1-c): the variance of one row's correctness if the confidences were true.
    pub fn null_variance(&self) -> f64 {
        ((self.confidence.value() - self.confidence_squares.value()) / self.weight()).max(0.0)
    }

    /// Variance of the confidences within the bin.
    pub fn confidence_variance(&self) -> f64 {
        let mean = self.mean_confidence();
        (self.confidence_squares.value() / self.weight() - mean * mean).max(0.0)
    }

    /// Covariance of confidence and correctness within the bin.
    pub fn covariance(&self) -> f64 {
        self.confidence_correct.value() / self.weight() - self.mean_confidence() * self.accuracy()
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

    /// Adds rows of weight 1 up to the first confidence outside of [0, 1], and gives their number; `happened` is
    /// 1 for a correct row and 0 for another. `sums` are empty ones for these edges, and are left so.
    ///
    /// The state gets the bits that [`update`](Self::update) gives it row by row.
    pub(super) fn update_rows<T: Scalar, E: Copy>(
        &mut self,
        sums: &mut BinSums,
        confidences: &[T],
        correct: &[E],
        happened: impl Fn(E) -> u32,
    ) -> usize {
        let mut done = 0;
        for (confidences, correct) in confidences.chunks(sums.block()).zip(correct.chunks(sums.block())) {
            let added = sums.add(confidences, correct, &happened);
            let mut few = vec![];
            for (at, bin) in self.bins.iter_mut().enumerate() {
                let cells = sums.take(at);
                let count = cells[0].count + cells[1].count;
                bin.absorb(cells);
                match &bin.kept {
                    Some(_) if count == 0 => {}
                    Some(kept) if kept.len() as u64 + count <= KEPT as u64 => few.push(at),
                    _ => bin.kept = None,
                }
            }
            if !few.is_empty() {
                for confidence in &confidences[..added] {
                    let at = self.edges.bin(confidence.to_f64());
                    if let Some(kept) = &mut self.bins[at].kept
                        && few.contains(&at)
                    {
                        kept.push(confidence.to_f64());
                    }
                }
            }
            done += added;
            if added < confidences.len() {
                break;
            }
        }
        done
    }

    /// Adds one row with a weight, finite and not negative: it counts w times in every mean.
    pub fn update_weighted(&mut self, confidence: f64, correct: bool, weight: f64) {
        self.bins[self.edges.bin(confidence)].update_weighted(confidence, correct, weight);
    }

    /// Adds `count` equal rows, `correct` of them correct, at the cost of one (for rows that come counted).
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for more correct rows than rows.
    pub fn update_many(&mut self, confidence: f64, count: u64, correct: u64) -> Result<()> {
        crate::error::check_range("correct", correct as f64, 0.0, count as f64)?;
        let (confidence_grid, square_grid) =
            (ExactSum::of(confidence), ExactSum::of(confidence * confidence));
        let bin = &mut self.bins[self.edges.bin(confidence)];
        // The first rows one by one, so that small bins keep their confidences and weights.
        let single = count.min(KEPT as u64 + 1);
        let (right, wrong) = (correct.min(single), single - correct.min(single));
        (0..right).for_each(|_| bin.update(confidence, true));
        (0..wrong).for_each(|_| bin.update(confidence, false));
        let (rest, rest_correct) = (count - single, correct - right);
        bin.count += rest;
        bin.correct += rest_correct;
        bin.confidence.add_times(&confidence_grid, rest);
        bin.confidence_squares.add_times(&square_grid, rest);
        bin.confidence_correct.add_times(&confidence_grid, rest_correct);
        if let Some(weights) = &mut bin.weights {
            weights.weight.merge(&ExactSum::of_count(rest));
            weights.square.merge(&ExactSum::of_count(rest));
            weights.correct.merge(&ExactSum::of_count(rest_correct));
        }
        Ok(())
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

    /// The edges of the bins.
    pub(super) fn edges(&self) -> &BinEdges {
        &self.edges
    }

    /// The bins in ascending order.
    pub fn bins(&self) -> &[Bin] {
        &self.bins
    }

    /// The bins that hold a row of any weight.
    pub fn occupied(&self) -> impl Iterator<Item = &Bin> {
        self.bins.iter().filter(|bin| bin.weight() > 0.0)
    }

    /// Total weight: the number of rows where no weights were given.
    pub fn weight(&self) -> f64 {
        self.bins.iter().map(Bin::weight).sum()
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
                let some = bin.weight() > 0.0;
                ReliabilityBin {
                    low,
                    high,
                    count: bin.count,
                    confidence: some.then(|| bin.mean_confidence()),
                    accuracy: some.then(|| bin.accuracy()),
                    accuracy_ci: some.then(|| bin.accuracy_interval()),
                }
            })
            .collect()
    }
}

/// Puts rows of one bin together.
pub(crate) fn bin_of(rows: &[RankedRow]) -> Bin {
    let mut bin = Bin::default();
    rows.iter().for_each(|row| bin.update_weighted(row.confidence, row.correct, row.weight));
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
