//! All figures of a set of predictions from one pass over its rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fine::FineRows;
use super::info::Needs;
use super::selective::{RiskCoverage, Sweep};
use super::view::View;
use super::{
    BinEdges, ClassRows, EdgeRule, Estimate, ExactSum, InputKind, MassRule, MetricSet, Moments, RankedRows,
    ReliabilityBin, ReliabilityTable, RowScore, Scorer,
};
use crate::batch::{Labels, Logits, Probs, Scalar};
use crate::error::{Error, Result, check_len, check_range};
use crate::kernels::math;

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
const HISTOGRAM: usize = 50;
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
    histogram: Vec<u64>,
    impossible: u64,
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

    /// Adds one row that was scored elsewhere (kind [`InputKind::Scores`]; in an evaluation of another kind,
    /// what needs the whole row does not see it).
    #[inline]
    pub fn update(&mut self, score: RowScore) {
        self.weigh(&score, 1.0);
    }

    /// Adds one row with a weight.
    ///
    /// # Errors
    /// [`Error::WeightValue`] for a weight that is negative or not finite.
    pub fn update_weighted(&mut self, score: RowScore, weight: f64) -> Result<()> {
        self.weigh(&score, checked(weight, 0)?);
        Ok(())
    }

    /// Adds rows of logits `[n, n_classes]` with labels and, if given, one weight a row.
    ///
    /// # Errors
    /// [`Error::WrongKind`] for an evaluation of another kind, [`Error::Shape`] for sizes that differ, and the
    /// first row that has a logit of NaN or +inf, only masked classes, or a bad weight. Rows before it are added.
    pub fn update_logits<T: Scalar>(
        &mut self,
        logits: Logits<'_, T>,
        labels: Labels<'_>,
        weights: Option<&[f64]>,
    ) -> Result<()> {
        self.check_rows(logits.n_rows(), logits.n_classes(), labels, weights)?;
        let mut scorer = Scorer::new(self.needs.has(Needs::ENTROPY));
        for (row, values) in logits.data().chunks_exact(logits.n_classes()).enumerate() {
            let Some(label) = labels.get(row) else { continue };
            let score = scorer.logits(row, values, label)?;
            let mut tally = Tally::default();
            self.class_row(score, &mut scorer, label, weight_of(weights, row)?, &mut tally);
            self.accuracy.update_outcomes(tally.rows, tally.right);
        }
        Ok(())
    }

    /// Adds rows of probabilities `[n, n_classes]` with labels and, if given, one weight a row.
    ///
    /// # Errors
    /// As [`update_logits`](Self::update_logits).
    pub fn update_probs<T: Scalar>(
        &mut self,
        probs: Probs<'_, T>,
        labels: Labels<'_>,
        weights: Option<&[f64]>,
    ) -> Result<()> {
        self.check_rows(probs.n_rows(), probs.n_classes(), labels, weights)?;
        let top_only = !self.needs.has(Needs(
            Needs::NLL.0 | Needs::BRIER.0 | Needs::ENTROPY.0 | Needs::CLASS_TABLES.0 | Needs::CLASS_ROWS.0,
        ));
        let mut tally = Tally::default();
        let mut scorer = Scorer::new(self.needs.has(Needs::ENTROPY));
        for (row, values) in probs.data().chunks_exact(probs.n_classes()).enumerate() {
            let Some(label) = labels.get(row) else { continue };
            // A bad weight ends here: the rows before it are in.
            let weight = match weight_of(weights, row) {
                Ok(weight) => weight,
                Err(error) => {
                    self.accuracy.update_outcomes(tally.rows, tally.right);
                    return Err(error);
                }
            };
            if top_only {
                self.score(&Scorer::top(values, label), weight, &mut tally);
            } else {
                let score = scorer.probs(values, label);
                self.class_row(score, &mut scorer, label, weight, &mut tally);
            }
        }
        self.accuracy.update_outcomes(tally.rows, tally.right);
        Ok(())
    }

    /// Adds probabilities of class 1 with labels over two classes and, if given, one weight a row.
    ///
    /// # Errors
    /// [`Error::WrongKind`] for an evaluation of another kind, [`Error::Shape`] for sizes that differ,
    /// [`Error::ProbabilityValue`] for the first value outside [0, 1], [`Error::WeightValue`] for a bad weight.
    pub fn update_binary<T: Scalar>(
        &mut self,
        probs: &[T],
        labels: Labels<'_>,
        weights: Option<&[f64]>,
    ) -> Result<()> {
        self.check_kind(InputKind::Binary)?;
        check_len("the labels (one a row)", probs.len(), labels.len())?;
        labels.check_classes(2)?;
        check_weights(weights, probs.len())?;
        let mut tally = Tally::default();
        let done = self.binary_rows(probs, labels, weights, &mut tally);
        self.accuracy.update_outcomes(tally.rows, tally.right);
        done
    }

    fn binary_rows<T: Scalar>(
        &mut self,
        probs: &[T],
        labels: Labels<'_>,
        weights: Option<&[f64]>,
        tally: &mut Tally,
    ) -> Result<()> {
        for (row, value) in probs.iter().enumerate() {
            let Some(label) = labels.get(row) else { continue };
            let p = probability(row, 1, value.to_f64())?;
            self.event(p, label == 1, weight_of(weights, row)?, tally);
        }
        Ok(())
    }

    /// Adds confidences with whether each decision was correct and, if given, one weight a row.
    ///
    /// # Errors
    /// As [`update_binary`](Self::update_binary).
    pub fn update_confidence<T: Scalar>(
        &mut self,
        confidences: &[T],
        correct: &[bool],
        weights: Option<&[f64]>,
    ) -> Result<()> {
        self.check_kind(InputKind::Confidence)?;
        check_len("correct (one a row)", confidences.len(), correct.len())?;
        check_weights(weights, confidences.len())?;
        for (row, (confidence, correct)) in confidences.iter().zip(correct).enumerate() {
            let confidence = probability(row, 0, confidence.to_f64())?;
            let weight = weight_of(weights, row)?;
            self.accuracy.update_weighted(f64::from(u8::from(*correct)), weight);
            self.decision(confidence, weight);
            self.happening(confidence, *correct, weight);
            if self.needs.has(Needs(Needs::RANKED.0 | Needs::EVENTS.0)) {
                self.rows.update_weighted(confidence, *correct, weight);
            }
        }
        Ok(())
    }

    /// Adds rows of independent probabilities `[n, n_labels]` with the truth of each, 0 or 1, and, if given,
    /// one weight a row. Entries whose truth is `ignore_index` count nowhere.
    ///
    /// Figures of a row (accuracy, NLL, Brier) are means over its entries, so their intervals take the row,
    /// whose entries depend on each other, as the unit.
    ///
    /// # Errors
    /// As [`update_binary`](Self::update_binary), and [`Error::LabelOutOfRange`] for a truth other than 0 or 1.
    pub fn update_multi_label<T: Scalar>(
        &mut self,
        probs: &[T],
        truth: &[i64],
        ignore_index: Option<i64>,
        weights: Option<&[f64]>,
    ) -> Result<()> {
        let InputKind::MultiLabel { n_labels } = self.kind else {
            return Err(self.wrong_kind("multi_label"));
        };
        check_len("the truth of the labels", probs.len(), truth.len())?;
        let truth = Labels::with_ignore(truth, 2, ignore_index)?;
        if !probs.len().is_multiple_of(n_labels) {
            return Err(Error::RaggedRows { what: "probs", len: probs.len(), n_classes: n_labels });
        }
        check_weights(weights, probs.len() / n_labels)?;
        let mut values = Vec::with_capacity(n_labels);
        for (row, entries) in probs.chunks_exact(n_labels).enumerate() {
            let weight = weight_of(weights, row)?;
            values.clear();
            for (class, p) in entries.iter().enumerate() {
                values.push(probability(row, class, p.to_f64())?);
            }
            let at = |class: usize| truth.get(row * n_labels + class);
            let known = (0..n_labels).filter_map(|class| at(class).map(|label| (class, label == 1)));
            let (mut n, mut right, mut nll, mut brier) = (0.0, 0.0, 0.0, 0.0);
            for (class, happened) in known {
                let p = values[class];
                n += 1.0;
                right += f64::from(u8::from((p > 0.5) == happened));
                if self.needs.has(Needs::NLL) {
                    nll -= math::ln(if happened { p } else { 1.0 - p });
                }
                brier += 2.0 * (p - f64::from(u8::from(happened))).powi(2);
                self.happening(p, happened, weight);
                if let Some(table) = self.class_tables.get_mut(class) {
                    table.update_weighted(p, happened, weight);
                }
                if self.needs.has(Needs::EVENTS) {
                    self.rows.update_weighted(p, happened, weight);
                }
            }
            if n == 0.0 {
                continue;
            }
            self.accuracy.update_weighted(right / n, weight);
            self.nll.update_weighted(nll / n, weight);
            self.brier.update_weighted(brier / n, weight);
            self.impossible += u64::from(nll == f64::INFINITY);
            // Rows with an unknown entry have no place in a matrix of whole rows.
            if n as usize == n_labels
                && let Some(rows) = &mut self.class_rows
            {
                rows.update(&values, |class| at(class) == Some(1), weight);
            }
        }
        Ok(())
    }

    /// One scored row by itself.
    #[inline]
    fn weigh(&mut self, score: &RowScore, weight: f64) {
        let mut tally = Tally::default();
        self.score(score, weight, &mut tally);
        self.accuracy.update_outcomes(tally.rows, tally.right);
    }

    /// Whether one decision was correct.
    #[inline]
    fn outcome(&mut self, correct: bool, weight: f64, tally: &mut Tally) {
        if weight == 1.0 {
            tally.rows += 1;
            tally.right += u64::from(correct);
        } else {
            self.accuracy.update_weighted(f64::from(u8::from(correct)), weight);
        }
    }

    /// How confident one decision was.
    #[inline]
    fn decision(&mut self, confidence: f64, weight: f64) {
        if self.needs.has(Needs::CONFIDENCE) {
            self.confidence.update_weighted(confidence, weight);
            let at = ((confidence * HISTOGRAM as f64) as usize).min(HISTOGRAM - 1);
            self.histogram[at] += 1;
        }
    }

    /// The scores of one decision among exclusive classes.
    #[inline]
    fn score(&mut self, score: &RowScore, weight: f64, tally: &mut Tally) {
        self.outcome(score.correct, weight, tally);
        self.decision(score.confidence, weight);
        if self.needs.has(Needs::NLL) {
            self.nll.update_weighted(score.nll, weight);
            self.impossible += u64::from(score.nll.is_infinite());
        }
        if self.needs.has(Needs::BRIER) {
            self.brier.update_weighted(score.brier, weight);
        }
        if self.needs.has(Needs::ENTROPY) {
            self.entropy.update_weighted(score.entropy, weight);
            self.top_k.update_weighted(f64::from(u8::from(score.rank < self.options.top_k)), weight);
        }
        self.happening(score.confidence, score.correct, weight);
        if self.needs.has(Needs(Needs::RANKED.0 | Needs::EVENTS.0)) {
            self.rows.update_weighted(score.confidence, score.correct, weight);
        }
    }

    /// A scored row together with its probabilities.
    fn class_row(
        &mut self,
        score: RowScore,
        scorer: &mut Scorer,
        label: usize,
        weight: f64,
        tally: &mut Tally,
    ) {
        self.score(&score, weight, tally);
        if self.class_tables.is_empty() && self.class_rows.is_none() {
            return;
        }
        let probs = scorer.probabilities();
        for (class, (table, p)) in self.class_tables.iter_mut().zip(probs).enumerate() {
            table.update_weighted(*p, class == label, weight);
        }
        if let Some(rows) = &mut self.class_rows {
            rows.update(probs, |class| class == label, weight);
        }
    }

    /// One binary row.
    #[inline]
    fn event(&mut self, p: f64, happened: bool, weight: f64, tally: &mut Tally) {
        let truth = f64::from(u8::from(happened));
        self.outcome((p > 0.5) == happened, weight, tally);
        self.decision(if p > 0.5 { p } else { 1.0 - p }, weight);
        if self.needs.has(Needs::NLL) {
            let nll = -math::ln(if happened { p } else { 1.0 - p });
            self.nll.update_weighted(nll, weight);
            self.impossible += u64::from(nll == f64::INFINITY);
        }
        if self.needs.has(Needs::BRIER) {
            self.brier.update_weighted(2.0 * (p - truth) * (p - truth), weight);
        }
        if self.needs.has(Needs::ENTROPY) {
            self.entropy.update_weighted(super::row_score::entropy(&[p, 1.0 - p]), weight);
        }
        self.happening(p, happened, weight);
        if self.needs.has(Needs(Needs::RANKED.0 | Needs::EVENTS.0)) {
            self.rows.update_weighted(p, happened, weight);
        }
    }

    /// An event with its probability: what calibration is about.
    #[inline]
    fn happening(&mut self, p: f64, happened: bool, weight: f64) {
        if weight == 1.0 {
            self.table.update(p, happened);
        } else {
            self.table.update_weighted(p, happened, weight);
        }
        if self.needs.has(Needs::EVENT_SCORES) {
            let truth = f64::from(u8::from(happened));
            let tilt = 1.0 - 2.0 * p;
            self.event_brier.update_weighted((p - truth) * (p - truth), weight);
            self.spiegelhalter[0].add(weight * (truth - p) * tilt);
            self.spiegelhalter[1].add(weight * weight * tilt * tilt * p * (1.0 - p));
        }
        if let Some(fine) = &mut self.fine {
            fine.update(p, happened, weight);
        }
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

    fn wrong_kind(&self, got: &'static str) -> Error {
        Error::WrongKind { expected: self.kind.name(), got }
    }

    fn check_kind(&self, kind: InputKind) -> Result<()> {
        if self.kind == kind { Ok(()) } else { Err(self.wrong_kind(kind.name())) }
    }

    fn check_rows(
        &self,
        rows: usize,
        n_classes: usize,
        labels: Labels<'_>,
        weights: Option<&[f64]>,
    ) -> Result<()> {
        if let InputKind::Classes { n_classes: expected } = self.kind {
            check_len("the class axis", expected, n_classes)?;
        } else if self.kind != InputKind::Scores {
            return Err(self.wrong_kind("classes"));
        }
        labels.check_classes(n_classes)?;
        check_len("the labels (one a row)", rows, labels.len())?;
        check_weights(weights, rows)
    }
}

/// Decisions of weight 1 that were counted apart from the state, which is slower to reach.
#[derive(Debug, Default)]
struct Tally {
    rows: u64,
    right: u64,
}

/// A probability in [0, 1].
#[inline]
fn probability(row: usize, class: usize, value: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(Error::ProbabilityValue { row, class, value }) }
}

#[inline]
fn checked(weight: f64, index: usize) -> Result<f64> {
    if weight >= 0.0 && weight.is_finite() {
        return Ok(weight);
    }
    Err(Error::WeightValue { what: "the sample weight of row", index, value: weight })
}

#[inline]
fn weight_of(weights: Option<&[f64]>, row: usize) -> Result<f64> {
    weights.map_or(Ok(1.0), |weights| checked(weights[row], row))
}

fn check_weights(weights: Option<&[f64]>, rows: usize) -> Result<()> {
    weights.map_or(Ok(()), |weights| check_len("the sample weights (one a row)", rows, weights.len()))
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
    use super::super::{ALL, MetricInfo};
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
