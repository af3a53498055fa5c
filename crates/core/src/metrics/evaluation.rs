//! All figures of a set of predictions from one pass over its rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    BinEdges, CalibrationErrors, EdgeRule, Estimate, Moments, RankedRows, ReliabilityBin, ReliabilityTable,
    RowScore, equal_mass_table, selective_risk,
};
use crate::error::{Error, Result};
use crate::statistics::wilson;

/// How the bins of the reliability table are cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binning {
    /// Bins of equal width over [0, 1].
    #[default]
    EqualWidth,
    /// Bins of equally many rows.
    EqualMass,
}

impl Binning {
    /// The name used in configurations and outputs.
    pub fn name(self) -> &'static str {
        match self {
            Binning::EqualWidth => "equal_width",
            Binning::EqualMass => "equal_mass",
        }
    }
}

impl std::str::FromStr for Binning {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "equal_width" | "equal-width" => Ok(Binning::EqualWidth),
            "equal_mass" | "equal-mass" => Ok(Binning::EqualMass),
            _ => Err(crate::registry::unknown("binning", name, ["equal_width", "equal_mass"])),
        }
    }
}

/// What a metric is called, its range and direction; shown by `candor list`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MetricInfo {
    /// The key in outputs.
    pub name: &'static str,
    /// One line: what it says.
    pub summary: &'static str,
    /// The formula.
    pub formula: &'static str,
    /// Its range and unit.
    pub range: &'static str,
    /// `true` for higher, `false` for lower, none where zero is best.
    pub higher_is_better: Option<bool>,
    /// How much its state grows: with the bins or with the rows.
    pub state: &'static str,
    /// Where it was published.
    pub paper: &'static str,
}

/// Every metric, in the order of tables and of `candor list`.
pub const ALL: &[MetricInfo] = &[
    MetricInfo {
        name: "accuracy",
        summary: "share of rows whose most probable class is the label",
        formula: "mean 1[argmax p = y]",
        range: "0 to 1",
        higher_is_better: Some(true),
        state: "O(1)",
        paper: "interval: Wilson 1927",
    },
    MetricInfo {
        name: "nll",
        summary: "negative log-likelihood of the labels: a proper score, lowest for the true probabilities",
        formula: "mean -ln p_y",
        range: "0 to infinity, nats",
        higher_is_better: Some(false),
        state: "O(1)",
        paper: "Good 1952",
    },
    MetricInfo {
        name: "brier",
        summary: "squared distance of the probabilities from the one-hot label: a bounded proper score",
        formula: "mean Σ_k (p_k - 1[k = y])²",
        range: "0 to 2",
        higher_is_better: Some(false),
        state: "O(1)",
        paper: "Brier 1950",
    },
    MetricInfo {
        name: "ece",
        summary: "expected calibration error of the top class: mean distance of accuracy and confidence over bins",
        formula: "Σ_m (n_m/n) |acc_m - conf_m|",
        range: "0 to 1",
        higher_is_better: Some(false),
        state: "O(bins)",
        paper: "Guo et al. 2017, arXiv:1706.04599",
    },
    MetricInfo {
        name: "mce",
        summary: "largest distance of accuracy and confidence in a bin; noisy where bins are nearly empty",
        formula: "max_m |acc_m - conf_m|",
        range: "0 to 1",
        higher_is_better: Some(false),
        state: "O(bins)",
        paper: "Naeini et al. 2015",
    },
    MetricInfo {
        name: "rmsce",
        summary: "root mean square calibration error: like ECE, large gaps count more",
        formula: "sqrt(Σ_m (n_m/n) (acc_m - conf_m)²)",
        range: "0 to 1",
        higher_is_better: Some(false),
        state: "O(bins)",
        paper: "Hendrycks et al. 2019, arXiv:1812.04606",
    },
    MetricInfo {
        name: "adaptive_ece",
        summary: "ECE over bins of equally many rows",
        formula: "Σ_m (n_m/n) |acc_m - conf_m|, equal n_m",
        range: "0 to 1",
        higher_is_better: Some(false),
        state: "O(n)",
        paper: "Nixon et al. 2019, arXiv:1904.01685",
    },
    MetricInfo {
        name: "signed_gap",
        summary: "mean confidence minus accuracy: positive for over-, negative for under-confidence",
        formula: "mean(conf) - accuracy",
        range: "-1 to 1, best 0",
        higher_is_better: None,
        state: "O(1)",
        paper: "DeGroot & Fienberg 1983",
    },
    MetricInfo {
        name: "confidence",
        summary: "mean probability of the predicted class",
        formula: "mean max_k p_k",
        range: "1/K to 1",
        higher_is_better: None,
        state: "O(1)",
        paper: "Guo et al. 2017, arXiv:1706.04599",
    },
    MetricInfo {
        name: "aurc",
        summary: "area under the risk-coverage curve: error left when the least confident rows are rejected",
        formula: "1/n Σ_k errors(k most confident)/k",
        range: "0 to 1",
        higher_is_better: Some(false),
        state: "O(n)",
        paper: "Geifman & El-Yaniv 2017, arXiv:1705.08500",
    },
    MetricInfo {
        name: "e_aurc",
        summary: "AURC above that of a perfect ranking with as many errors",
        formula: "AURC - AURC*",
        range: "0 to 1",
        higher_is_better: Some(false),
        state: "O(n)",
        paper: "Geifman et al. 2019, arXiv:1805.08206",
    },
];

/// How predictions are evaluated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvaluationOptions {
    /// Number of bins, 15 by default.
    pub n_bins: usize,
    /// How the bins of `ece`, `mce` and `rmsce` and of the reliability table are cut.
    pub binning: Binning,
    /// Who owns an inner edge of equal-width bins.
    pub edges: EdgeRule,
    /// Seed of the simulations behind intervals and null values.
    pub seed: u64,
    /// Whether intervals and null values are computed.
    pub intervals: bool,
}

impl Default for EvaluationOptions {
    fn default() -> Self {
        Self {
            n_bins: 15,
            binning: Binning::EqualWidth,
            edges: EdgeRule::RightClosed,
            seed: 0,
            intervals: true,
        }
    }
}

/// Collects rows; mergeable, and the same whatever the order and the grouping.
///
/// # Examples
/// ```
/// use candor::metrics::{Evaluator, Scorer};
/// let mut evaluator = Evaluator::new(Default::default())?;
/// let mut scorer = Scorer::default();
/// evaluator.update(scorer.logits(0, &[2.0_f32, 0.0], 0)?);
/// evaluator.update(scorer.logits(1, &[0.0_f32, 1.0], 0)?);
/// let evaluation = evaluator.compute()?;
/// assert_eq!(evaluation.metrics["accuracy"].value, Some(0.5));
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluator {
    options: EvaluationOptions,
    nll: Moments,
    brier: Moments,
    confidence: Moments,
    table: ReliabilityTable,
    ranked: RankedRows,
    impossible: u64,
}

impl Evaluator {
    /// An empty evaluation.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a number of bins outside `1..=100000`.
    pub fn new(options: EvaluationOptions) -> Result<Self> {
        Ok(Self {
            options,
            nll: Moments::default(),
            brier: Moments::default(),
            confidence: Moments::default(),
            table: ReliabilityTable::new(BinEdges::equal_width(options.n_bins, options.edges)?),
            ranked: RankedRows::default(),
            impossible: 0,
        })
    }

    /// Adds one row.
    pub fn update(&mut self, score: RowScore) {
        self.nll.update(score.nll);
        self.brier.update(score.brier);
        self.confidence.update(score.confidence);
        self.table.update(score.confidence, score.correct);
        self.ranked.update(score.confidence, score.correct);
        self.impossible += u64::from(score.nll.is_infinite());
    }

    /// Adds the rows of another evaluation.
    ///
    /// # Errors
    /// [`Error::Merge`] if the bins differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.table.merge(&other.table)?;
        self.nll.merge(&other.nll);
        self.brier.merge(&other.brier);
        self.confidence.merge(&other.confidence);
        self.ranked.merge(&other.ranked);
        self.impossible += other.impossible;
        Ok(())
    }

    /// Number of rows.
    pub fn count(&self) -> u64 {
        self.table.count()
    }

    /// Mean negative log-likelihood so far, in nats.
    pub fn nll(&self) -> f64 {
        self.nll.mean()
    }

    /// The figures.
    ///
    /// # Errors
    /// [`Error::Empty`] without rows.
    pub fn compute(&self) -> Result<Evaluation> {
        let n = self.count();
        if n == 0 {
            return Err(Error::Empty { what: "an evaluation", rows: 0, ignored: 0 });
        }
        let options = self.options;
        let adaptive_table = equal_mass_table(&self.ranked, options.n_bins)?;
        let table = match options.binning {
            Binning::EqualWidth => &self.table,
            Binning::EqualMass => &adaptive_table,
        };
        let errors = CalibrationErrors::of(table, options.seed, options.intervals)?;
        let adaptive = CalibrationErrors::of(&adaptive_table, options.seed, options.intervals)?;
        let correct: u64 = self.table.bins().iter().map(|bin| bin.correct).sum();
        let accuracy =
            Estimate::plain(correct as f64 / n as f64).with_ci(Some(wilson(correct, n, 0.95)), "Wilson");
        let risk = selective_risk(&self.ranked)?;
        let mut metrics: BTreeMap<String, Estimate> = [
            ("accuracy", accuracy),
            ("nll", self.nll.compute()),
            ("brier", self.brier.compute()),
            ("ece", errors.expected),
            ("mce", errors.maximum),
            ("rmsce", errors.root_mean_square),
            ("adaptive_ece", adaptive.expected),
            ("signed_gap", errors.signed_gap),
            ("confidence", self.confidence.compute()),
            ("aurc", Estimate::plain(risk.aurc)),
            ("e_aurc", Estimate::plain(risk.e_aurc)),
        ]
        .into_iter()
        .map(|(name, estimate)| (name.to_owned(), estimate))
        .collect();
        if !options.intervals {
            metrics.values_mut().for_each(|estimate| *estimate = Estimate::plain(estimate.number()));
        }
        Ok(Evaluation {
            n,
            n_bins: options.n_bins,
            binning: options.binning,
            metrics,
            reliability: table.rows(),
            impossible: self.impossible,
        })
    }
}

/// The figures of a set of predictions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Number of rows.
    pub n: u64,
    /// Number of bins asked for.
    pub n_bins: usize,
    /// How they are cut.
    pub binning: Binning,
    /// The figures by name.
    pub metrics: BTreeMap<String, Estimate>,
    /// The bins.
    pub reliability: Vec<ReliabilityBin>,
    /// Number of rows whose label had probability 0, which makes the NLL infinite.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub impossible: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Evaluation {
    /// A figure by name; NaN for a name that is not there, infinity for an infinite figure.
    pub fn value(&self, name: &str) -> f64 {
        self.metrics.get(name).map_or(f64::NAN, Estimate::number)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scorer;
    use super::*;

    fn evaluator(rows: &[([f64; 3], usize)]) -> Evaluator {
        let mut evaluator = Evaluator::new(EvaluationOptions::default()).unwrap();
        let mut scorer = Scorer::default();
        for (i, (logits, label)) in rows.iter().enumerate() {
            evaluator.update(scorer.logits(i, logits, *label).unwrap());
        }
        evaluator
    }

    fn rows() -> Vec<([f64; 3], usize)> {
        (0..200)
            .map(|i| ([f64::from(i % 7), f64::from(i % 5) * 0.7, f64::from(i % 3)], i as usize % 3))
            .collect()
    }

    #[test]
    fn every_registered_metric_is_computed_and_no_other() {
        let evaluation = evaluator(&rows()).compute().unwrap();
        let mut registered: Vec<&str> = ALL.iter().map(|metric| metric.name).collect();
        registered.sort_unstable();
        assert_eq!(evaluation.metrics.keys().map(String::as_str).collect::<Vec<_>>(), registered);
    }

    #[test]
    fn merging_in_any_order_gives_the_same_bits() {
        let rows = rows();
        let whole = evaluator(&rows).compute().unwrap();
        for cut in [1, 77, 199] {
            let mut merged = evaluator(&rows[cut..]);
            merged.merge(&evaluator(&rows[..cut])).unwrap();
            assert_eq!(merged.compute().unwrap(), whole);
        }
    }

    #[test]
    fn an_impossible_label_makes_the_nll_infinite_and_is_counted() {
        let evaluation = evaluator(&[([0.0, f64::NEG_INFINITY, 0.0], 1)]).compute().unwrap();
        assert_eq!((evaluation.impossible, evaluation.metrics["nll"].value), (1, None));
        assert_eq!(evaluation.value("nll"), f64::INFINITY);
        assert!(evaluation.value("no such metric").is_nan());
    }

    #[test]
    fn nothing_cannot_be_evaluated() {
        assert!(matches!(evaluator(&[]).compute(), Err(Error::Empty { .. })));
    }
}
