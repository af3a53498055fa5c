//! All figures of a set of predictions from one pass over its rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fine::FineRows;
use super::info::Needs;
use super::selective::{RiskCoverage, Sweep};
use super::view::View;
use super::{
    BinEdges, ClassRows, EdgeRule, Estimate, ExactSum, InputKind, MassRule, MetricSet, Moments, RankedRows,
    ReliabilityBin, ReliabilityTable,
};
use crate::error::{Error, Result, check_range};

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

/// How predictions are evaluated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvaluationOptions {
    /// What is computed; only what these metrics need is kept. Those that do not apply to the rows are left out.
    pub metrics: MetricSet,
    /// Number of bins, 15 by default.
    pub n_bins: usize,
    /// How the bins of `ece`, `mce`, `rmsce` and of the reliability table are cut.
    pub binning: Binning,
    /// Who owns an inner edge of equal-width bins.
    pub edges: EdgeRule,
    /// Where equal-mass bins are cut.
    pub mass_rule: MassRule,
    /// Seed of the simulations behind intervals and null values.
    pub seed: u64,
    /// Whether intervals and null values are computed.
    pub intervals: bool,
    /// Number of row resamples behind the intervals of rank metrics, 1000 by default; fewer are drawn of more
    /// than 100,000 rows, none of more than 1,000,000.
    pub bootstrap: usize,
    /// The k of `top_k_accuracy`, 5 by default.
    pub top_k: usize,
    /// The coverage of `risk_at_coverage`, in (0, 1], 0.8 by default.
    pub coverage: f64,
    /// The risk of `coverage_at_risk`, in [0, 1], 0.05 by default.
    pub risk: f64,
}

impl Default for EvaluationOptions {
    fn default() -> Self {
        Self {
            metrics: MetricSet::default(),
            n_bins: 15,
            binning: Binning::EqualWidth,
            edges: EdgeRule::RightClosed,
            mass_rule: MassRule::Split,
            seed: 0,
            intervals: true,
            bootstrap: 1000,
            top_k: 5,
            coverage: 0.8,
            risk: 0.05,
        }
    }
}

/// Number of bars of the confidence histogram.
pub(super) const HISTOGRAM: usize = 50;
/// About this many points of the risk-coverage curve are reported.
const CURVE: usize = 100;

/// Collects rows; mergeable, and the same whatever the order and the grouping.
///
/// Sample weights: a row of weight w counts w times in every mean, share and curve; intervals use the
/// effective number of rows `(Σ w)² / Σ w²`. Counts stay whole numbers of rows. Ignored rows count nowhere.
///
/// # Examples
/// ```
/// use candor::metrics::{Evaluator, InputKind};
/// use candor::{Labels, Logits};
/// let mut evaluator = Evaluator::with_kind(InputKind::Classes { n_classes: 2 }, Default::default())?;
/// evaluator.update_logits(Logits::new(&[2.0_f32, 0.0, 0.0, 1.0], 2)?, Labels::new(&[0, 0], 2)?, None)?;
/// let evaluation = evaluator.compute()?;
/// assert_eq!(evaluation.metrics["accuracy"].value, Some(0.5));
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluator {
    pub(super) kind: InputKind,
    pub(super) options: EvaluationOptions,
    pub(super) needs: Needs,
    pub(super) nll: Moments,
    pub(super) brier: Moments,
    /// (event probability - event)².
    pub(super) event_brier: Moments,
    pub(super) accuracy: Moments,
    pub(super) confidence: Moments,
    pub(super) entropy: Moments,
    pub(super) top_k: Moments,
    /// Numerator and variance of Spiegelhalter's Z.
    pub(super) spiegelhalter: [ExactSum; 2],
    pub(super) table: ReliabilityTable,
    pub(super) rows: RankedRows,
    pub(super) fine: Option<FineRows>,
    pub(super) class_tables: Vec<ReliabilityTable>,
    pub(super) class_rows: Option<ClassRows>,
    pub(super) histogram: Vec<u64>,
    pub(super) impossible: u64,
}

impl Evaluator {
    /// An empty evaluation of rows that were scored elsewhere; see [`update`](Self::update).
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an option outside its range.
    pub fn new(options: EvaluationOptions) -> Result<Self> {
        Self::with_kind(InputKind::Scores, options)
    }

    /// An empty evaluation of rows of this kind.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for an option outside its range or a number of classes below 2 (of labels, 1).
    pub fn with_kind(kind: InputKind, options: EvaluationOptions) -> Result<Self> {
        check_range("top_k", options.top_k as f64, 1.0, f64::from(u32::MAX))?;
        check_range("coverage", options.coverage, f64::MIN_POSITIVE, 1.0)?;
        check_range("risk", options.risk, 0.0, 1.0)?;
        let n_classes = match kind {
            InputKind::Classes { n_classes } => {
                crate::error::check_classes(n_classes)?;
                n_classes
            }
            InputKind::MultiLabel { n_labels } => {
                check_range("n_labels", n_labels as f64, 1.0, crate::error::MAX_CLASSES)?;
                n_labels
            }
            _ => 0,
        };
        let mut needs = options.metrics.needs(kind);
        if options.binning == Binning::EqualMass {
            needs = Needs(needs.0 | Needs::EVENTS.0);
        }
        let table = ReliabilityTable::new(BinEdges::equal_width(options.n_bins, options.edges)?);
        let class_tables =
            if needs.has(Needs::CLASS_TABLES) { vec![table.clone(); n_classes] } else { Vec::new() };
        Ok(Self {
            kind,
            options,
            needs,
            nll: Moments::default(),
            brier: Moments::default(),
            event_brier: Moments::default(),
            accuracy: Moments::default(),
            confidence: Moments::default(),
            entropy: Moments::default(),
            top_k: Moments::default(),
            spiegelhalter: Default::default(),
            table,
            rows: RankedRows::default(),
            fine: needs.has(Needs::FINE).then(FineRows::default),
            class_tables,
            class_rows: needs.has(Needs::CLASS_ROWS).then(|| ClassRows::new(n_classes)),
            histogram: if needs.has(Needs::CONFIDENCE) { vec![0; HISTOGRAM] } else { Vec::new() },
            impossible: 0,
        })
    }

    /// The kind of its rows.
    pub fn kind(&self) -> InputKind {
        self.kind
    }

    /// Adds the rows of another evaluation.
    ///
    /// # Errors
    /// [`Error::Merge`] if the bins or the classes differ, [`Error::WrongKind`] if the kinds do.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.kind.name() != other.kind.name() {
            return Err(self.wrong_kind(other.kind.name()));
        }
        let (left, right) = (self.kind.n_classes().unwrap_or(0), other.kind.n_classes().unwrap_or(0));
        if left != right {
            return Err(Error::Merge { what: "the number of classes", left, right });
        }
        if self.options.top_k != other.options.top_k {
            let (left, right) = (self.options.top_k, other.options.top_k);
            return Err(Error::Merge { what: "top_k", left, right });
        }
        if self.needs != other.needs {
            let (left, right) = (usize::from(self.needs.0), usize::from(other.needs.0));
            return Err(Error::Merge { what: "what the selected metrics keep", left, right });
        }
        self.table.merge(&other.table)?;
        self.nll.merge(&other.nll);
        self.brier.merge(&other.brier);
        self.event_brier.merge(&other.event_brier);
        self.accuracy.merge(&other.accuracy);
        self.confidence.merge(&other.confidence);
        self.entropy.merge(&other.entropy);
        self.top_k.merge(&other.top_k);
        self.spiegelhalter.iter_mut().zip(&other.spiegelhalter).for_each(|(a, b)| a.merge(b));
        self.rows.merge(&other.rows);
        if let (Some(mine), Some(theirs)) = (&mut self.fine, &other.fine) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.class_tables.iter_mut().zip(&other.class_tables) {
            mine.merge(theirs)?;
        }
        if let (Some(mine), Some(theirs)) = (&mut self.class_rows, &other.class_rows) {
            mine.merge(theirs);
        }
        self.histogram.iter_mut().zip(&other.histogram).for_each(|(a, b)| *a += b);
        self.impossible += other.impossible;
        Ok(())
    }

    /// Number of rows.
    pub fn count(&self) -> u64 {
        self.accuracy.count()
    }

    /// Mean negative log-likelihood so far, in nats; NaN if it was not asked for.
    pub fn nll(&self) -> f64 {
        self.nll.mean()
    }

    /// The figures.
    ///
    /// # Errors
    /// [`Error::Empty`] without rows, [`Error::ZeroWeight`] if no row has a weight above 0.
    pub fn compute(&self) -> Result<Evaluation> {
        let n = self.count();
        if n == 0 {
            return Err(Error::Empty { what: "an evaluation", rows: 0, ignored: 0 });
        }
        if self.accuracy.weight() <= 0.0 {
            return Err(Error::ZeroWeight { what: "an evaluation" });
        }
        let view = View::new(self);
        let applicable = self.options.metrics.metrics().filter(|metric| metric.inputs.contain(self.kind));
        let mut metrics: BTreeMap<String, Estimate> = applicable
            .filter_map(|metric| Some((metric.name.to_owned(), (metric.compute)(&view)?)))
            .collect();
        if !self.options.intervals {
            metrics.values_mut().for_each(|estimate| *estimate = Estimate::plain(estimate.number()));
        }
        let ranked = self.needs.has(Needs::RANKED) && super::Inputs::DECISIONS.contain(self.kind);
        Ok(Evaluation {
            n,
            weight: (self.accuracy.weight() != n as f64).then(|| self.accuracy.weight()),
            kind: self.kind.name().to_owned(),
            n_classes: self.kind.n_classes(),
            n_bins: self.options.n_bins,
            binning: self.options.binning,
            metrics,
            reliability: view.table().rows(),
            class_reliability: self.class_tables.iter().map(ReliabilityTable::rows).collect(),
            risk_coverage: if ranked {
                Sweep::new(view.ranking(), self.options.risk, self.options.coverage).curve(CURVE)
            } else {
                Vec::new()
            },
            confidence_histogram: self.histogram.clone(),
            impossible: self.impossible,
        })
    }
}

/// The figures of a set of predictions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Number of rows.
    pub n: u64,
    /// Total weight, if rows were weighted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// The name of the [`InputKind`].
    #[serde(default)]
    pub kind: String,
    /// Number of classes or labels, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_classes: Option<usize>,
    /// Number of bins asked for.
    pub n_bins: usize,
    /// How they are cut.
    pub binning: Binning,
    /// The figures by name.
    pub metrics: BTreeMap<String, Estimate>,
    /// The bins.
    pub reliability: Vec<ReliabilityBin>,
    /// The equal-width bins of each class or label, if a class-wise metric was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_reliability: Vec<Vec<ReliabilityBin>>,
    /// The risk-coverage curve at about 100 coverages, if a selective metric was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub risk_coverage: Vec<RiskCoverage>,
    /// Number of rows by confidence of the decision, in 50 bars of equal width over [0, 1], if `confidence` was
    /// asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confidence_histogram: Vec<u64>,
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
    use super::super::{ALL, MetricInfo, Scorer};
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
    fn the_default_metrics_that_apply_are_computed_and_no_other() {
        let evaluation = evaluator(&rows()).compute().unwrap();
        let applies = |metric: &&MetricInfo| metric.default && metric.inputs.contain(InputKind::Scores);
        let mut registered: Vec<&str> = ALL.iter().filter(applies).map(|metric| metric.name).collect();
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
