//! Comparison of two evaluations of the same rows: per metric, the difference and whether it is more than chance.
//!
//! Both models see the same rows, so their figures rise and fall together and only the differences count.
//! Figures that are means of rows are compared by the moments of the rows' differences. Binned errors and rank
//! figures are compared by drawing rows with replacement for both models at once, up to 1,000,000 rows. Rows are
//! drawn from their sorted pairs, so neither the order of arrival nor the split matters.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bootstrap::Resamples;
use super::counted_rows::CountedRows;
use super::selective::{AUGRC, AURC, AUROC, E_AURC, FPR95, Sweep};
use super::{BinEdges, CalibrationError, EvaluationOptions, Moments, RankedRow, RowScore};
use crate::error::{Error, Result};
use crate::statistics::{quantile_sorted, student_t_cdf};

/// The difference of two models in one metric: second minus first, in the metric's own unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedEstimate {
    /// The first model's figure; null if it is infinite.
    pub first: Option<f64>,
    /// The second model's figure; null if it is infinite.
    pub second: Option<f64>,
    /// Second minus first; null if one of them is infinite.
    pub difference: Option<f64>,
    /// 95 % interval of the difference.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ci: Option<[f64; 2]>,
    /// How the interval was made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ci_method: Option<String>,
    /// Two-sided p-value of no difference.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub p_value: Option<f64>,
}

/// Two models on the same rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedEvaluation {
    /// Number of rows.
    pub n: u64,
    /// Differences by metric.
    pub metrics: BTreeMap<String, PairedEstimate>,
}

/// What one row adds to a mean.
type RowFigure = fn(&RowScore) -> f64;

/// Figures that are means of rows, by name.
const ADDITIVE: [(&str, RowFigure); 6] = [
    ("accuracy", |row| f64::from(u8::from(row.correct))),
    ("nll", |row| row.nll),
    ("brier", |row| row.brier),
    ("top_label_brier", |row| (row.confidence - f64::from(u8::from(row.correct))).powi(2)),
    ("confidence", |row| row.confidence),
    ("signed_gap", |row| row.confidence - f64::from(u8::from(row.correct))),
];

/// Figures that are not, by name.
const RESAMPLED: [&str; 7] = ["ece", "rmsce", "aurc", "e_aurc", "augrc", "auroc_correctness", "fpr95"];

/// Collects rows that two models scored.
///
/// # Examples
/// ```
/// use candor::metrics::{PairedEvaluator, Scorer};
/// let mut paired = PairedEvaluator::new(Default::default())?;
/// let mut scorer = Scorer::default();
/// for label in [0, 1, 0] {
///     let first = scorer.logits(0, &[1.0_f32, 0.0], label)?;
///     let second = scorer.logits(0, &[2.0_f32, 0.0], label)?;
///     paired.update(first, second, 1.0)?;
/// }
/// let nll = &paired.compute()?.metrics["nll"];
/// assert!(nll.difference.is_some() && nll.ci.is_some());
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PairedEvaluator {
    options: EvaluationOptions,
    /// First, second and difference of each additive figure.
    moments: [[Moments; 3]; ADDITIVE.len()],
    /// Confidence and correctness of both, with the weight.
    rows: Vec<(f64, bool, f64, bool, f64)>,
}

impl PairedEvaluator {
    /// An empty comparison; bins, seed, intervals and resamples are those of the options.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a number of bins outside `1..=100000`.
    pub fn new(options: EvaluationOptions) -> Result<Self> {
        BinEdges::equal_width(options.n_bins, options.edges)?;
        Ok(Self { options, moments: Default::default(), rows: Vec::new() })
    }

    /// Adds one row as both models scored it, with its weight (1 for unweighted rows).
    ///
    /// # Errors
    /// [`Error::WeightValue`] for a weight that is negative or not finite.
    pub fn update(&mut self, first: RowScore, second: RowScore, weight: f64) -> Result<()> {
        if !(weight >= 0.0 && weight.is_finite()) {
            return Err(Error::WeightValue { what: "the sample weight of row", index: 0, value: weight });
        }
        for ((_, figure), [a, b, difference]) in ADDITIVE.iter().zip(&mut self.moments) {
            let (x, y) = (figure(&first), figure(&second));
            a.update_weighted(x, weight);
            b.update_weighted(y, weight);
            difference.update_weighted(y - x, weight);
        }
        if weight > 0.0 {
            self.rows.push((first.confidence, first.correct, second.confidence, second.correct, weight));
        }
        Ok(())
    }

    /// Adds the rows of another comparison.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.moments.iter_mut().flatten().zip(other.moments.iter().flatten()) {
            mine.merge(theirs);
        }
        self.rows.extend_from_slice(&other.rows);
    }

    /// The differences.
    ///
    /// # Errors
    /// [`Error::Empty`] without rows, [`Error::ZeroWeight`] if no row has a weight above 0.
    pub fn compute(&self) -> Result<PairedEvaluation> {
        let n = self.moments[0][0].count();
        if n == 0 {
            return Err(Error::Empty { what: "a comparison", rows: 0, ignored: 0 });
        }
        if self.rows.is_empty() {
            return Err(Error::ZeroWeight { what: "a comparison" });
        }
        let mut metrics = BTreeMap::new();
        for ((name, _), moments) in ADDITIVE.iter().zip(&self.moments) {
            metrics.insert((*name).to_owned(), self.additive(moments));
        }
        for (name, estimate) in RESAMPLED.iter().zip(self.resampled()?) {
            metrics.insert((*name).to_owned(), estimate);
        }
        Ok(PairedEvaluation { n, metrics })
    }

    fn additive(&self, [first, second, difference]: &[Moments; 3]) -> PairedEstimate {
        let finite = |value: f64| value.is_finite().then_some(value);
        let mean = difference.mean();
        let mut estimate = PairedEstimate {
            first: finite(first.mean()),
            second: finite(second.mean()),
            difference: finite(mean),
            ci: None,
            ci_method: None,
            p_value: None,
        };
        if let Some(variance) = difference.variance_of_mean().filter(|_| self.options.intervals) {
            let df = difference.effective_count() - 1.0;
            estimate.ci = difference.interval();
            estimate.ci_method = Some("t interval of the rows' differences".to_owned());
            estimate.p_value = Some(if variance > 0.0 {
                2.0 * student_t_cdf(-(mean / variance.sqrt()).abs(), df)
            } else {
                f64::from(u8::from(mean == 0.0))
            });
        }
        estimate
    }

    fn resampled(&self) -> Result<Vec<PairedEstimate>> {
        let mut rows = self.rows.clone();
        rows.sort_unstable_by(|a, b| {
            (a.0.total_cmp(&b.0))
                .then(a.1.cmp(&b.1))
                .then(a.2.total_cmp(&b.2))
                .then(a.3.cmp(&b.3))
                .then(a.4.total_cmp(&b.4))
        });
        let first = Side::new(rows.iter().map(|row| (row.0, row.1, row.4)), &self.options)?;
        let second = Side::new(rows.iter().map(|row| (row.2, row.3, row.4)), &self.options)?;
        let ones = vec![1; rows.len()];
        let (a, b) = (first.figures(&ones), second.figures(&ones));
        let count = if self.options.intervals { self.options.bootstrap } else { 0 };
        let resamples = Resamples { seed: self.options.seed, count };
        let replicates = resamples.replicates(rows.len(), |counts| {
            let (a, b) = (first.figures(counts), second.figures(counts));
            a.iter().zip(b).map(|(a, b)| b - a).collect()
        });
        let finite = |value: f64| value.is_finite().then_some(value);
        let estimate = |at: usize| {
            let mut estimate = PairedEstimate {
                first: finite(a[at]),
                second: finite(b[at]),
                difference: finite(b[at] - a[at]),
                ci: None,
                ci_method: None,
                p_value: None,
            };
            let mut values: Vec<f64> = replicates.iter().map(|figures| figures[at]).collect();
            if !values.is_empty() && values.iter().all(|value| value.is_finite()) {
                values.sort_unstable_by(f64::total_cmp);
                estimate.ci = Some([quantile_sorted(&values, 0.025), quantile_sorted(&values, 0.975)]);
                estimate.ci_method = Some("paired row bootstrap, percentiles".to_owned());
                let below = values.iter().filter(|value| **value <= 0.0).count();
                let above = values.iter().filter(|value| **value >= 0.0).count();
                let tail = (1 + below.min(above)) as f64 / (1 + values.len()) as f64;
                estimate.p_value = Some((2.0 * tail).min(1.0));
            }
            estimate
        };
        Ok((0..RESAMPLED.len()).map(estimate).collect())
    }
}

/// One model's rows: in the order of the pairs, and in that of their own confidence.
struct Side {
    ascending: Vec<RankedRow>,
    /// The same for quick resamples, if no row is weighted.
    counted: Option<CountedRows>,
    /// Place in the order of the pairs of each ascending row.
    places: Vec<usize>,
    bins: Vec<usize>,
    edges: BinEdges,
    options: EvaluationOptions,
}

impl Side {
    fn new(rows: impl Iterator<Item = (f64, bool, f64)>, options: &EvaluationOptions) -> Result<Self> {
        let edges = BinEdges::equal_width(options.n_bins, options.edges)?;
        let mut placed: Vec<(usize, RankedRow)> = rows
            .map(|(confidence, correct, weight)| RankedRow { confidence, correct, weight })
            .enumerate()
            .collect();
        // Stable, so rows that are equal keep the order of the pairs.
        placed.sort_by(|a, b| a.1.confidence.total_cmp(&b.1.confidence));
        let ascending: Vec<RankedRow> = placed.iter().map(|(_, row)| *row).collect();
        let bins = ascending.iter().map(|row| edges.bin(row.confidence)).collect();
        Ok(Self {
            places: placed.iter().map(|(at, _)| *at).collect(),
            counted: Sweep::new(&ascending, options.risk, options.coverage).counted(),
            ascending,
            bins,
            edges,
            options: *options,
        })
    }

    /// The resampled figures, in the order of their names.
    fn figures(&self, counts: &[u16]) -> [f64; RESAMPLED.len()] {
        let own: Vec<u16> = self.places.iter().map(|at| counts[*at]).collect();
        let mut sums = vec![(0.0, 0.0); self.edges.n_bins()];
        for ((row, bin), times) in self.ascending.iter().zip(&self.bins).zip(&own) {
            let weight = row.weight * f64::from(*times);
            sums[*bin].0 += weight;
            sums[*bin].1 += weight * (f64::from(u8::from(row.correct)) - row.confidence);
        }
        let total: f64 = sums.iter().map(|sum| sum.0).sum();
        let pairs: Vec<(f64, f64)> =
            sums.iter().filter(|sum| sum.0 > 0.0).map(|sum| (sum.0, sum.1 / sum.0)).collect();
        let sweep = Sweep::new(&self.ascending, self.options.risk, self.options.coverage);
        let ranked = sweep.resampled(self.counted.as_ref(), &own);
        [
            CalibrationError::Expected.of(&pairs, total),
            CalibrationError::RootMeanSquare.of(&pairs, total),
            ranked[AURC],
            ranked[E_AURC],
            ranked[AUGRC],
            ranked[AUROC],
            ranked[FPR95],
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Evaluator, Scorer};
    use super::*;

    fn pairs(n: usize) -> Vec<(RowScore, RowScore)> {
        let mut scorer = Scorer::default();
        (0..n)
            .map(|i| {
                let x = (i * 7919 % 1009) as f64 / 1009.0;
                let label = usize::from(i % 3 == 0);
                let first = scorer.logits(i, &[x, 0.4], label).unwrap();
                (first, scorer.logits(i, &[2.0 * x, 0.8], label).unwrap())
            })
            .collect()
    }

    fn options() -> EvaluationOptions {
        EvaluationOptions { bootstrap: 50, ..Default::default() }
    }

    fn paired(rows: &[(RowScore, RowScore)]) -> PairedEvaluator {
        let mut paired = PairedEvaluator::new(options()).unwrap();
        rows.iter().for_each(|(a, b)| paired.update(*a, *b, 1.0).unwrap());
        paired
    }

    #[test]
    fn each_side_is_its_own_evaluation_and_order_does_not_matter() {
        let rows = pairs(300);
        let whole = paired(&rows).compute().unwrap();
        let mut evaluator = Evaluator::new(options()).unwrap();
        rows.iter().for_each(|(a, _)| evaluator.update(*a));
        let alone = evaluator.compute().unwrap();
        for name in ["accuracy", "nll", "brier", "ece", "rmsce", "aurc", "signed_gap"] {
            let first = whole.metrics[name].first.unwrap();
            assert!((first - alone.value(name)).abs() < 1e-12, "{name}");
        }
        let mut merged = paired(&rows[100..]);
        merged.merge(&paired(&rows[..100]));
        assert_eq!(merged.compute().unwrap(), whole);
    }

    #[test]
    fn a_model_does_not_differ_from_itself() {
        let rows: Vec<_> = pairs(200).into_iter().map(|(a, _)| (a, a)).collect();
        for (name, estimate) in paired(&rows).compute().unwrap().metrics {
            assert_eq!((estimate.difference, estimate.p_value), (Some(0.0), Some(1.0)), "{name}");
        }
    }
}
