//! Rows of weight 1 in columns: each state takes many of them at once, with the bits of one by one.

use super::bin_sums::BinSums;
use super::info::Needs;
use super::updates::{histogram_bar, probability};
use super::{Evaluator, RowScore, Scorer, row_score};
use crate::batch::{Labels, Probs, Scalar};
use crate::error::Result;
use crate::kernels::math;

/// Rows in a column: a few columns fit the first cache.
const ROWS: usize = 1024;
/// Rows that go to the reliability table at once.
const TABLE_ROWS: usize = 4 * ROWS;

/// The states that hold every row.
const WHOLE_ROWS: Needs = Needs(Needs::RANKED.0 | Needs::EVENTS.0);
/// The states that read the probability of an event with what happened, beside the table.
const EVENTS: Needs = Needs(Needs::EVENT_SCORES.0 | Needs::FINE.0 | WHOLE_ROWS.0);

/// The scores of a block of rows.
pub(super) struct Columns {
    sums: Option<BinSums>,
    /// Number of rows in the columns.
    rows: usize,
    confidence: Vec<f64>,
    /// 1 for correct decisions, 0 for others.
    correct: Vec<f64>,
    nll: Vec<f64>,
    brier: Vec<f64>,
    entropy: Vec<f64>,
    /// 1 where the label is among the first k, 0 elsewhere.
    top_k: Vec<f64>,
    figure: Vec<f64>,
}

impl Columns {
    /// Empty columns for an evaluation.
    pub(super) fn new(evaluator: &Evaluator) -> Self {
        let column = || vec![0.0; ROWS];
        Self {
            sums: BinSums::new(evaluator.table.edges()),
            rows: 0,
            confidence: column(),
            correct: column(),
            nll: column(),
            brier: column(),
            entropy: column(),
            top_k: column(),
            figure: Vec::with_capacity(ROWS),
        }
    }

    /// Adds a scored row, and says whether the columns are full.
    ///
    /// # Panics
    /// If they were full.
    #[inline]
    pub(super) fn push(&mut self, score: &RowScore, top_k: usize) -> bool {
        let row = self.rows;
        self.confidence[row] = score.confidence;
        self.correct[row] = f64::from(u8::from(score.correct));
        self.nll[row] = score.nll;
        self.brier[row] = score.brier;
        self.entropy[row] = score.entropy;
        self.top_k[row] = f64::from(u8::from(score.rank < top_k));
        self.rows += 1;
        self.rows == ROWS
    }
}

impl Evaluator {
    /// Adds probabilities of class 1.
    pub(super) fn unweighted_binary<T: Scalar>(&mut self, probs: &[T], labels: Labels<'_>) -> Result<()> {
        let mut columns = Columns::new(self);
        let (mut counted, mut truth) = (Vec::new(), Vec::new());
        let blocks = probs.chunks(TABLE_ROWS).zip(labels.data().chunks(TABLE_ROWS));
        for (block, (all, all_labels)) in blocks.enumerate() {
            let (probs, labels_of) = if labels.counted() == labels.len() {
                (all, all_labels)
            } else {
                counted.clear();
                truth.clear();
                for (p, label) in all.iter().zip(all_labels) {
                    if Some(*label) != labels.ignore_index() {
                        counted.push(*p);
                        truth.push(*label);
                    }
                }
                (&counted[..], &truth[..])
            };
            let happened = |label: i64| label as u32;
            let added = self.table_rows(&mut columns.sums, probs, labels_of, happened);
            let foretold = match &mut columns.sums {
                Some(sums) => sums.take_foretold(),
                None => {
                    let rows = probs[..added].iter().zip(labels_of);
                    rows.map(|(p, label)| u64::from((p.to_f64() > 0.5) == (*label == 1))).sum()
                }
            };
            self.accuracy.update_outcomes(added as u64, foretold);
            for (probs, labels) in probs[..added].chunks(ROWS).zip(labels_of.chunks(ROWS)) {
                self.events(probs, labels, &mut columns);
            }
            if added < probs.len() {
                let first = block * TABLE_ROWS;
                for (row, p) in all.iter().enumerate().filter(|(row, _)| labels.get(first + row).is_some()) {
                    probability(first + row, 1, p.to_f64())?;
                }
            }
        }
        Ok(())
    }

    /// Adds confidences of decisions.
    pub(super) fn unweighted_confidence<T: Scalar>(
        &mut self,
        confidences: &[T],
        correct: &[bool],
    ) -> Result<()> {
        let mut columns = Columns::new(self);
        for (block, (values, correct)) in confidences.chunks(ROWS).zip(correct.chunks(ROWS)).enumerate() {
            let valid =
                values.iter().position(|c| !(0.0..=1.0).contains(&c.to_f64())).unwrap_or(values.len());
            columns.rows = valid;
            for (own, confidence) in columns.confidence.iter_mut().zip(values) {
                *own = confidence.to_f64();
            }
            for (own, correct) in columns.correct.iter_mut().zip(correct) {
                *own = f64::from(u8::from(*correct));
            }
            self.choices(&mut columns);
            if let Some(bad) = values.get(valid) {
                probability(block * ROWS + valid, 0, bad.to_f64())?;
            }
        }
        Ok(())
    }

    /// Adds rows of checked probabilities.
    pub(super) fn unweighted_probs<T: Scalar>(&mut self, probs: Probs<'_, T>, labels: Labels<'_>) {
        let by_class = Needs::CLASS_TABLES.0 | Needs::CLASS_ROWS.0 | Needs::ENTROPY.0;
        let scores = Needs::NLL.0 | Needs::BRIER.0 | EVENTS.0 | Needs::CONFIDENCE.0;
        if !self.needs.has(Needs(by_class | scores)) {
            return self.unweighted_tops(probs, labels);
        }
        let ignored = |label: i64| Some(label) == labels.ignore_index();
        let mut columns = Columns::new(self);
        let mut scorer = Scorer::new(self.needs.has(Needs::ENTROPY));
        let top_k = self.options.top_k;
        let blocks = probs.data().chunks(ROWS * probs.n_classes()).zip(labels.data().chunks(ROWS));
        for (probs_of, labels_of) in blocks {
            let rows = probs_of.chunks_exact(probs.n_classes()).zip(labels_of);
            for (values, label) in rows.filter(|(_, label)| !ignored(**label)) {
                let label = *label as usize;
                if self.needs.has(Needs(by_class)) {
                    columns.push(&scorer.likelihood(values, label), top_k);
                    self.class_states(&mut scorer, label, 1.0);
                } else {
                    columns.push(&row_score::likelihood(values, label), top_k);
                }
            }
            logarithms(&mut columns.nll[..columns.rows]);
            self.decisions(&mut columns);
        }
    }

    /// [`unweighted_probs`](Self::unweighted_probs) where accuracy and the reliability table are all.
    fn unweighted_tops<T: Scalar>(&mut self, probs: Probs<'_, T>, labels: Labels<'_>) {
        let mut sums = BinSums::new(self.table.edges());
        let (mut confidence, mut correct) = (vec![T::default(); TABLE_ROWS], vec![0; TABLE_ROWS]);
        let blocks =
            probs.data().chunks(TABLE_ROWS * probs.n_classes()).zip(labels.data().chunks(TABLE_ROWS));
        for (probs_of, labels_of) in blocks {
            let rows = probs_of.chunks_exact(probs.n_classes()).zip(labels_of);
            for ((values, label), (confidence, correct)) in rows.zip(confidence.iter_mut().zip(&mut correct))
            {
                let (predicted, of_predicted) = row_score::top(values);
                *confidence = of_predicted;
                *correct = u32::from(predicted as i64 == *label);
            }
            let mut counted = labels_of.len();
            if labels.counted() < labels.len() {
                counted = 0;
                let kept = labels_of.iter().enumerate();
                for (row, _) in kept.filter(|(_, label)| Some(**label) != labels.ignore_index()) {
                    (confidence[counted], correct[counted]) = (confidence[row], correct[row]);
                    counted += 1;
                }
            }
            let right = correct[..counted].iter().sum::<u32>();
            self.accuracy.update_outcomes(counted as u64, u64::from(right));
            self.table_rows(&mut sums, &confidence[..counted], &correct[..counted], |correct| correct);
            if let Some(sums) = &mut sums {
                sums.take_foretold();
            }
        }
    }

    /// Adds the scores of decisions among exclusive classes, and empties the columns.
    pub(super) fn decisions(&mut self, columns: &mut Columns) {
        let rows = columns.rows;
        if self.needs.has(Needs::NLL) {
            self.log_losses(&columns.nll[..rows]);
        }
        if self.needs.has(Needs::BRIER) {
            self.brier.update_all(&columns.brier[..rows]);
        }
        if self.needs.has(Needs::ENTROPY) {
            self.entropy.update_all(&columns.entropy[..rows]);
            self.top_k.update_all(&columns.top_k[..rows]);
        }
        self.choices(columns);
    }

    /// Adds confidence and correctness of decisions, and empties the columns.
    fn choices(&mut self, columns: &mut Columns) {
        let Columns { sums, rows, confidence, correct, figure, .. } = columns;
        let (confidence, correct) = (&confidence[..*rows], &correct[..*rows]);
        let right = correct.iter().map(|correct| u64::from(*correct == 1.0)).sum();
        self.accuracy.update_outcomes(*rows as u64, right);
        self.confidences(confidence);
        self.table_rows(sums, confidence, correct, |correct| u32::from(correct == 1.0));
        if let Some(sums) = sums {
            sums.take_foretold();
        }
        self.happenings(confidence, correct, figure);
        *rows = 0;
    }

    fn confidences(&mut self, confidences: &[f64]) {
        if self.needs.has(Needs::CONFIDENCE) {
            self.confidence.update_all(confidences);
            confidences.iter().for_each(|confidence| self.histogram[histogram_bar(*confidence)] += 1);
        }
    }

    fn log_losses(&mut self, nll: &[f64]) {
        self.nll.update_all(nll);
        self.impossible += nll.iter().map(|nll| u64::from(nll.is_infinite())).sum::<u64>();
    }

    /// Rows for the reliability table, up to the first confidence outside of [0, 1]; gives their number.
    fn table_rows<T: Scalar, E: Copy>(
        &mut self,
        sums: &mut Option<BinSums>,
        confidences: &[T],
        events: &[E],
        happened: impl Fn(E) -> u32,
    ) -> usize {
        if let Some(sums) = sums {
            return self.table.update_rows(sums, confidences, events, happened);
        }
        let rows = confidences.iter().zip(events).take_while(|row| (0.0..=1.0).contains(&row.0.to_f64()));
        rows.map(|(p, event)| self.table.update(p.to_f64(), happened(*event) == 1)).count()
    }

    /// Checked probabilities of class 1 with their labels, beside accuracy and table.
    fn events<T: Scalar>(&mut self, probs: &[T], labels: &[i64], columns: &mut Columns) {
        let own = Needs(EVENTS.0 | Needs::NLL.0 | Needs::BRIER.0 | Needs::ENTROPY.0 | Needs::CONFIDENCE.0);
        if !self.needs.has(own) {
            return;
        }
        let Columns { confidence, correct, nll, figure, .. } = columns;
        let (p, truth) = (&mut confidence[..probs.len()], &mut correct[..probs.len()]);
        p.iter_mut().zip(probs).for_each(|(own, p)| *own = p.to_f64());
        truth.iter_mut().zip(labels).for_each(|(own, label)| *own = f64::from(*label as i32));
        let pairs = p.iter().zip(truth.iter());
        if self.needs.has(Needs::CONFIDENCE) {
            figure.clear();
            figure.extend(p.iter().map(|p| if *p > 0.5 { *p } else { 1.0 - p }));
            self.confidences(figure);
        }
        if self.needs.has(Needs::NLL) {
            // The probability of what happened: p or 1 - p.
            let nll = &mut nll[..probs.len()];
            nll.iter_mut().zip(pairs.clone()).for_each(|(own, (p, truth))| *own = ((1.0 - truth) - p).abs());
            logarithms(nll);
            self.log_losses(nll);
        }
        if self.needs.has(Needs::BRIER) {
            figure.clear();
            figure.extend(pairs.map(|(p, truth)| 2.0 * (p - truth) * (p - truth)));
            self.brier.update_all(figure);
        }
        if self.needs.has(Needs::ENTROPY) {
            figure.clear();
            figure.extend(p.iter().map(|p| row_score::entropy(&[*p, 1.0 - p])));
            self.entropy.update_all(figure);
        }
        self.happenings(p, truth, figure);
    }

    /// Probabilities of events with what happened: what calibration is about, beside the table.
    fn happenings(&mut self, p: &[f64], truth: &[f64], figure: &mut Vec<f64>) {
        if !self.needs.has(EVENTS) {
            return;
        }
        let pairs = p.iter().zip(truth);
        if self.needs.has(Needs::EVENT_SCORES) {
            figure.clear();
            figure.extend(pairs.clone().map(|(p, truth)| (p - truth) * (p - truth)));
            self.event_brier.update_all(figure);
            figure.clear();
            figure.extend(pairs.map(|(p, truth)| (truth - p) * (1.0 - 2.0 * p)));
            self.spiegelhalter[0].add_all(figure, |value| value);
            self.spiegelhalter[1].add_all(p, |p| {
                let tilt = 1.0 - 2.0 * p;
                tilt * tilt * p * (1.0 - p)
            });
        }
        if let Some(fine) = &mut self.fine {
            fine.update_all(p, truth);
        }
        if self.needs.has(WHOLE_ROWS) {
            self.rows.update_all(p, truth);
        }
    }
}

/// Turns probabilities in [0, 1] into log-losses: -ln p, infinite for 0.
fn logarithms(probs: &mut [f64]) {
    // Without zeros and subnormals the logarithm has no branch, and the loop is vectorised.
    if probs.iter().all(|p| *p >= f64::MIN_POSITIVE) {
        probs.iter_mut().for_each(|p| *p = -math::ln_normal(*p, 0));
    } else {
        probs.iter_mut().for_each(|p| *p = -math::ln(*p));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Binning, EdgeRule, EvaluationOptions, InputKind, MetricSet};
    use super::*;
    use crate::batch::Logits;
    use crate::random::Stream;

    /// Probabilities of every kind: ends, edges of bins, small, tiny, subnormal, and any others.
    fn probabilities(n: usize, single: bool) -> Vec<f64> {
        let mut stream = Stream::new(n as u64, "probabilities", u64::from(single), 0);
        let special =
            [0.0, 1.0, 0.5, 1.0 / 3.0, 1.0 / 64.0, 1e-9, 1e-30, 1e-40, 1e-45, 1e-310, 5e-324, 0.999_999_99];
        (0..n)
            .map(|i| {
                let p = match i % 5 {
                    0 => special[stream.below(special.len() as u64) as usize],
                    1 => stream.below(31) as f64 / 30.0,
                    2 => stream.uniform().powi(30),
                    _ => stream.uniform(),
                };
                if single { f64::from(p as f32) } else { p }
            })
            .collect()
    }

    fn labels(n: usize, classes: u64) -> Vec<i64> {
        let mut stream = Stream::new(n as u64, "labels", classes, 0);
        (0..n).map(|_| if stream.bernoulli(0.1) { -1 } else { stream.below(classes) as i64 }).collect()
    }

    fn all_options() -> Vec<EvaluationOptions> {
        let options =
            |metrics, n_bins, edges| EvaluationOptions { metrics, n_bins, edges, ..Default::default() };
        let every = MetricSet::all();
        let mut list = vec![options(MetricSet::of(["ece"]).unwrap(), 15, EdgeRule::RightClosed)];
        for n_bins in [1, 2, 3, 10, 15, 100, 300] {
            list.push(options(every, n_bins, EdgeRule::RightClosed));
        }
        for edges in [EdgeRule::LeftClosed, EdgeRule::Torchmetrics, EdgeRule::TorchmetricsDouble] {
            list.push(options(every, 15, edges));
        }
        list.push(EvaluationOptions { binning: Binning::EqualMass, ..list[0] });
        list
    }

    /// Weights of 1 take the rows one by one.
    fn both(
        kind: InputKind,
        options: EvaluationOptions,
        rows: usize,
        add: impl Fn(&mut Evaluator, Option<&[f64]>) -> Result<()>,
    ) {
        let empty = Evaluator::with_kind(kind, options).unwrap();
        let (mut many, mut single) = (empty.clone(), empty);
        let ones = vec![1.0; rows];
        // Twice, so that states that already hold rows are met too.
        for _ in 0..2 {
            let (got, want) = (add(&mut many, None), add(&mut single, Some(&ones)));
            assert_eq!(got, want);
        }
        assert!(many == single, "{kind:?}, {rows} rows, {options:?}");
        assert!(many.count() > 0);
    }

    const SIZES: [usize; 5] = [33, 200, ROWS + 1, TABLE_ROWS, 2 * TABLE_ROWS + 77];

    #[test]
    fn many_rows_at_once_leave_the_state_of_one_by_one() {
        for options in all_options() {
            for n in SIZES {
                let truth = labels(n, 2);
                let truth = Labels::with_ignore(&truth, 2, Some(-1)).unwrap();
                let none_ignored: Vec<i64> = truth.data().iter().map(|label| label.abs()).collect();
                let none_ignored = Labels::new(&none_ignored, 2).unwrap();
                let correct: Vec<bool> = truth.data().iter().map(|label| *label == 1).collect();
                let double = probabilities(n, false);
                let single: Vec<f32> = probabilities(n, true).iter().map(|p| *p as f32).collect();
                for truth in [truth, none_ignored] {
                    both(InputKind::Binary, options, n, |e, w| e.update_binary(&double, truth, w));
                    both(InputKind::Binary, options, n, |e, w| e.update_binary(&single, truth, w));
                }
                both(InputKind::Confidence, options, n, |e, w| e.update_confidence(&double, &correct, w));
                both(InputKind::Confidence, options, n, |e, w| e.update_confidence(&single, &correct, w));
            }
        }
    }

    #[test]
    fn many_class_rows_at_once_leave_the_state_of_one_by_one() {
        let kind = InputKind::Classes { n_classes: 3 };
        for options in all_options() {
            for n in SIZES {
                let truth = labels(n, 3);
                let truth = Labels::with_ignore(&truth, 3, Some(-1)).unwrap();
                let logits: Vec<f64> = probabilities(3 * n, false).iter().map(|p| 40.0 * p).collect();
                let probs: Vec<f32> = probabilities(n, true)
                    .iter()
                    .enumerate()
                    .flat_map(|(i, p)| {
                        let mut row = [*p as f32, 1.0 - *p as f32, 0.0];
                        row.rotate_left(i % 3);
                        row
                    })
                    .collect();
                let (logits, probs) = (Logits::new(&logits, 3).unwrap(), Probs::new(&probs, 3).unwrap());
                both(kind, options, n, |e, w| e.update_logits(logits, truth, w));
                both(kind, options, n, |e, w| e.update_probs(probs, truth, w));
            }
        }
    }

    #[test]
    fn rows_before_a_bad_one_are_in() {
        let n = TABLE_ROWS + 300;
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            for at in [0, 5, ROWS, TABLE_ROWS + 100] {
                for options in [all_options()[0], all_options()[4], all_options()[7]] {
                    let mut p = probabilities(n, true);
                    p[at] = bad;
                    let truth = labels(n, 2);
                    let mut truth: Vec<i64> = truth.iter().map(|label| label.abs()).collect();
                    // An ignored row may hold anything.
                    (truth[at + 1], p[at + 1]) = (-1, f64::NAN);
                    let labels = Labels::with_ignore(&truth, 2, Some(-1)).unwrap();
                    let correct = vec![true; n];
                    for single in [false, true] {
                        let rows: Vec<f32> = p.iter().map(|p| *p as f32).collect();
                        let add = |e: &mut Evaluator, w: Option<&[f64]>| {
                            if single {
                                e.update_binary(&rows, labels, w)
                            } else {
                                e.update_binary(&p, labels, w)
                            }
                        };
                        let empty = Evaluator::with_kind(InputKind::Binary, options).unwrap();
                        let (mut many, mut one_by_one) = (empty.clone(), empty);
                        let (got, want) = (add(&mut many, None), add(&mut one_by_one, Some(&vec![1.0; n])));
                        assert_eq!(format!("{got:?}"), format!("{want:?}"));
                        assert!(got.is_err() && many == one_by_one && many.count() == at as u64);
                    }
                    let mut many = Evaluator::with_kind(InputKind::Confidence, options).unwrap();
                    let error = many.update_confidence(&p, &correct, None).unwrap_err();
                    assert!(format!("{error:?}").contains(&format!("row: {at},")), "{error:?}");
                    assert_eq!(many.count(), at as u64);
                }
            }
        }
    }
}
