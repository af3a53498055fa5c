//! How rows enter an evaluation: shapes and values are checked, each row is scored and given to the states.
//!
//! Rows of weight 1 go through `unweighted`, which does the same for many at once.

use super::evaluation::HISTOGRAM;
use super::info::Needs;
use super::unweighted::Columns;
use super::{Evaluator, InputKind, RowScore, Scorer, row_score};
use crate::batch::{Labels, Logits, Probs, Scalar};
use crate::error::{Error, Result, check_len};
use crate::kernels::math;

/// Fewer rows than this are added one by one.
const FEW: usize = 32;

impl Evaluator {
    /// Adds one row that was scored elsewhere (kind [`InputKind::Scores`]; in an evaluation of another kind,
    /// what needs the whole row does not see it).
    #[inline]
    pub fn update(&mut self, score: RowScore) {
        self.score(&score, 1.0);
    }

    /// Adds one row with a weight.
    ///
    /// # Errors
    /// [`Error::WeightValue`] for a weight that is negative or not finite.
    pub fn update_weighted(&mut self, score: RowScore, weight: f64) -> Result<()> {
        self.score(&score, checked(weight, 0)?);
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
        let n_classes = logits.n_classes();
        self.check_rows(logits.n_rows(), n_classes, labels, weights)?;
        self.class_rows_of(labels, weights, |scorer, row, label| {
            scorer.logits(row, &logits.data()[row * n_classes..][..n_classes], label)
        })
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
        let n_classes = probs.n_classes();
        self.check_rows(probs.n_rows(), n_classes, labels, weights)?;
        if weights.is_none() && labels.len() >= FEW {
            self.unweighted_probs(probs, labels);
            return Ok(());
        }
        self.class_rows_of(labels, weights, |scorer, row, label| {
            Ok(scorer.probs(&probs.data()[row * n_classes..][..n_classes], label))
        })
    }

    fn class_rows_of(
        &mut self,
        labels: Labels<'_>,
        weights: Option<&[f64]>,
        score: impl Fn(&mut Scorer, usize, usize) -> Result<RowScore>,
    ) -> Result<()> {
        let mut scorer = Scorer::new(self.needs.has(Needs::ENTROPY));
        let mut columns = (weights.is_none() && labels.len() >= FEW).then(|| Columns::new(self));
        let mut done = Ok(());
        for row in 0..labels.len() {
            let Some(label) = labels.get(row) else { continue };
            let scored =
                score(&mut scorer, row, label).and_then(|score| Ok((score, weight_of(weights, row)?)));
            let (score, weight) = match scored {
                Ok(scored) => scored,
                // The rows before it are in.
                Err(error) => {
                    done = Err(error);
                    break;
                }
            };
            match &mut columns {
                Some(columns) => {
                    if columns.push(&score, self.options.top_k) {
                        self.decisions(columns);
                    }
                }
                None => self.score(&score, weight),
            }
            self.class_states(&mut scorer, label, weight);
        }
        if let Some(columns) = &mut columns {
            self.decisions(columns);
        }
        done
    }

    /// Adds probabilities of class 1 with labels over two classes and, if given, one weight a row.
    ///
    /// # Errors
    /// [`Error::WrongKind`] for an evaluation of another kind, [`Error::Shape`] for sizes that differ,
    /// [`Error::ProbabilityValue`] for the first value outside [0, 1], [`Error::WeightValue`] for a bad weight.
    /// Rows before it are added.
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
        if weights.is_none() && probs.len() >= FEW {
            return self.unweighted_binary(probs, labels);
        }
        for (row, value) in probs.iter().enumerate() {
            let Some(label) = labels.get(row) else { continue };
            let p = probability(row, 1, value.to_f64())?;
            self.event(p, label == 1, weight_of(weights, row)?);
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
        if weights.is_none() && confidences.len() >= FEW {
            return self.unweighted_confidence(confidences, correct);
        }
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

    /// How confident one decision was.
    #[inline]
    fn decision(&mut self, confidence: f64, weight: f64) {
        if self.needs.has(Needs::CONFIDENCE) {
            self.confidence.update_weighted(confidence, weight);
            self.histogram[histogram_bar(confidence)] += 1;
        }
    }

    /// The scores of one decision among exclusive classes.
    #[inline]
    fn score(&mut self, score: &RowScore, weight: f64) {
        self.accuracy.update_weighted(f64::from(u8::from(score.correct)), weight);
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

    /// The states of each class by itself, for the row that was scored last.
    #[inline]
    pub(super) fn class_states(&mut self, scorer: &mut Scorer, label: usize, weight: f64) {
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
    fn event(&mut self, p: f64, happened: bool, weight: f64) {
        let truth = f64::from(u8::from(happened));
        self.accuracy.update_weighted(f64::from(u8::from((p > 0.5) == happened)), weight);
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
            self.entropy.update_weighted(row_score::entropy(&[p, 1.0 - p]), weight);
        }
        self.happening(p, happened, weight);
        if self.needs.has(Needs(Needs::RANKED.0 | Needs::EVENTS.0)) {
            self.rows.update_weighted(p, happened, weight);
        }
    }

    /// An event with its probability: what calibration is about.
    #[inline]
    fn happening(&mut self, p: f64, happened: bool, weight: f64) {
        self.table.update_weighted(p, happened, weight);
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

    pub(super) fn wrong_kind(&self, got: &'static str) -> Error {
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

/// The bar of a confidence in the histogram.
#[inline]
pub(super) fn histogram_bar(confidence: f64) -> usize {
    ((confidence * HISTOGRAM as f64) as i32).clamp(0, HISTOGRAM as i32 - 1) as usize
}

/// A probability in [0, 1].
#[inline]
pub(super) fn probability(row: usize, class: usize, value: f64) -> Result<f64> {
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
