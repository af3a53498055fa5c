//! What one row of predictions contributes: computed once, read by every metric.

use crate::batch::Scalar;
use crate::error::{Error, Result};
use crate::kernels::math;

/// The figures of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowScore {
    /// The class with the largest probability, the first of several.
    pub predicted: usize,
    /// Its probability.
    pub confidence: f64,
    /// Whether it is the label.
    pub correct: bool,
    /// -ln of the label's probability, in nats; infinite for a probability of 0.
    pub nll: f64,
    /// Σ over classes of (p - onehot)², in [0, 2].
    pub brier: f64,
    /// Number of classes placed before the label: 0 if it is predicted; ties go to the smaller index.
    pub rank: usize,
    /// Entropy of the probabilities, in nats, in [0, ln K].
    pub entropy: f64,
}

/// Makes [`RowScore`]s; keeps the scratch row between calls.
///
/// Softmax is computed in double precision with a fixed order of operations, so scores have the
/// same bits on every machine.
#[derive(Debug, Clone)]
pub struct Scorer {
    exps: Vec<f64>,
    sum: f64,
    /// Whether entropy and rank are wanted; they are left at 0 otherwise.
    entropy: bool,
}

impl Default for Scorer {
    fn default() -> Self {
        Self::new(true)
    }
}

impl Scorer {
    /// A scorer that leaves out entropy and rank unless they are wanted.
    pub(crate) fn new(entropy: bool) -> Self {
        Self { exps: Vec::new(), sum: 1.0, entropy }
    }

    /// The probabilities of the row that was scored last.
    pub(crate) fn probabilities(&mut self) -> &[f64] {
        if self.sum != 1.0 {
            self.exps.iter_mut().for_each(|e| *e /= self.sum);
            self.sum = 1.0;
        }
        &self.exps
    }

    /// Scores a row of logits against a label below `logits.len()`.
    ///
    /// # Errors
    /// [`Error::NonFiniteLogit`] for NaN or +inf, [`Error::NoAllowedClass`] if every logit is -inf.
    /// `row` is the number that the error names.
    pub fn logits<T: Scalar>(&mut self, row: usize, logits: &[T], label: usize) -> Result<RowScore> {
        let mut max = f64::NEG_INFINITY;
        let mut predicted = 0;
        for (class, z) in logits.iter().enumerate() {
            let value = z.to_f64();
            if value.is_nan() || value == f64::INFINITY {
                return Err(Error::NonFiniteLogit { row, class, value });
            }
            if value > max {
                (max, predicted) = (value, class);
            }
        }
        if max == f64::NEG_INFINITY {
            return Err(Error::NoAllowedClass { row });
        }
        self.exps.clear();
        self.exps.extend(logits.iter().map(|z| math::exp(z.to_f64() - max)));
        let sum = sum_in_lanes(&self.exps, |e| e);
        let squares = sum_in_lanes(&self.exps, |e| e * e);
        self.sum = sum;
        let label_share = self.exps[label] / sum;
        let ln_sum = math::ln(sum);
        let entropy = if self.entropy {
            let shifted = logits.iter().map(|z| z.to_f64() - max);
            let products = self.exps.iter().zip(shifted).map(|(e, z)| if *e > 0.0 { e * z } else { 0.0 });
            (ln_sum - products.sum::<f64>() / sum).max(0.0)
        } else {
            0.0
        };
        Ok(RowScore {
            predicted,
            confidence: 1.0 / sum,
            correct: predicted == label,
            nll: ln_sum - (logits[label].to_f64() - max),
            brier: squares / (sum * sum) - 2.0 * label_share + 1.0,
            rank: if self.entropy { rank(logits, label) } else { 0 },
            entropy,
        })
    }

    /// Scores a checked row of probabilities against a label below `probs.len()`.
    pub fn probs<T: Scalar>(&mut self, probs: &[T], label: usize) -> RowScore {
        let score = self.likelihood(probs, label);
        RowScore { nll: -math::ln(score.nll), ..score }
    }

    /// [`probs`](Self::probs) with the label's probability itself in the place of `nll`: many logarithms at
    /// once are faster.
    #[inline]
    pub(crate) fn likelihood<T: Scalar>(&mut self, probs: &[T], label: usize) -> RowScore {
        self.exps.clear();
        self.exps.extend(probs.iter().map(|p| p.to_f64()));
        self.sum = 1.0;
        let score = likelihood(probs, label);
        if !self.entropy {
            return score;
        }
        RowScore { rank: rank(probs, label), entropy: entropy(&self.exps), ..score }
    }
}

/// [`Scorer::likelihood`] without rank and entropy.
#[inline]
pub(crate) fn likelihood<T: Scalar>(probs: &[T], label: usize) -> RowScore {
    let (predicted, confidence) = top(probs);
    let of_label = probs[label].to_f64();
    let brier = sum_in_lanes(probs, |p| p.to_f64() * p.to_f64()) - 2.0 * of_label + 1.0;
    let correct = predicted == label;
    RowScore {
        predicted,
        confidence: confidence.to_f64(),
        correct,
        nll: of_label,
        brier,
        rank: 0,
        entropy: 0.0,
    }
}

/// The place and the value of the largest probability, the first of several; without branches, for which of
/// the classes it is cannot be foreseen.
#[inline]
pub(crate) fn top<T: Scalar>(probs: &[T]) -> (usize, T) {
    let Some(&first) = probs.first() else { return (0, T::default()) };
    let (mut at, mut best) = (0, first);
    for (class, &p) in probs.iter().enumerate().skip(1) {
        let above = p > best;
        at = std::hint::select_unpredictable(above, class, at);
        best = if above { p } else { best };
    }
    (at, best)
}

/// Number of classes that come before `label` in descending order, the smaller index first among equals.
fn rank<T: Scalar>(values: &[T], label: usize) -> usize {
    let own = values[label].to_f64();
    let ahead = values[..label].iter().filter(|value| value.to_f64() >= own).count();
    ahead + values[label + 1..].iter().filter(|value| value.to_f64() > own).count()
}

/// -Σ p ln p, in nats; a probability of 0 adds nothing.
pub(crate) fn entropy(probs: &[f64]) -> f64 {
    -probs.iter().map(|p| if *p > 0.0 { p * math::ln(*p) } else { 0.0 }).sum::<f64>()
}

/// Sums in eight lanes, combined in a fixed order: vectorises, with the same bits at any vector width.
#[inline]
fn sum_in_lanes<T: Copy>(values: &[T], f: impl Fn(T) -> f64) -> f64 {
    let mut lanes = [0.0; 8];
    let chunks = values.chunks_exact(8);
    for (lane, value) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane += f(*value);
    }
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f(*value);
        }
    }
    ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logits_and_their_softmax_score_alike() {
        let logits = [2.0_f64, -1.0, 0.5, 0.1];
        let sum: f64 = logits.iter().map(|z| z.exp()).sum();
        let probs: Vec<f64> = logits.iter().map(|z| z.exp() / sum).collect();
        let mut scorer = Scorer::default();
        for label in 0..4 {
            let a = scorer.logits(0, &logits, label).unwrap();
            let b = scorer.probs(&probs, label);
            assert_eq!((a.predicted, a.correct), (b.predicted, b.correct));
            assert_eq!(a.rank, b.rank);
            assert!((a.entropy - b.entropy).abs() < 1e-14);
            for (x, y) in [(a.confidence, b.confidence), (a.nll, b.nll), (a.brier, b.brier)] {
                assert!((x - y).abs() < 1e-14);
            }
        }
        let score = scorer.logits(0, &logits, 0).unwrap();
        assert!((score.nll - 0.352_405_938_1).abs() < 1e-10);
        assert!((score.brier - 0.125_097_671_8).abs() < 1e-10);
    }

    #[test]
    fn ranks_and_entropies_by_hand() {
        let mut scorer = Scorer::default();
        let probs = [0.25, 0.25, 0.5, 0.0];
        assert_eq!([0, 1, 2, 3].map(|label| scorer.probs(&probs, label).rank), [1, 2, 0, 3]);
        // Half at ln 2, two quarters at ln 4.
        assert!((scorer.probs(&probs, 0).entropy - 1.5 * 2.0_f64.ln()).abs() < 1e-15);
        let masked = scorer.logits(0, &[0.0, f64::NEG_INFINITY, 0.0], 2).unwrap();
        assert!((masked.entropy - 2.0_f64.ln()).abs() < 1e-15);
        assert_eq!(masked.rank, 1);
    }

    #[test]
    fn the_first_of_equal_classes_is_predicted() {
        let score = Scorer::default().logits(0, &[1.0_f32, 1.0], 1).unwrap();
        assert_eq!((score.predicted, score.correct, score.confidence), (0, false, 0.5));
        assert!(!Scorer::default().probs(&[0.5, 0.5], 1).correct);
    }

    #[test]
    fn extreme_and_masked_rows() {
        let mut scorer = Scorer::default();
        let inf = f64::INFINITY;
        assert_eq!(scorer.logits(0, &[1e4, -1e4], 0).unwrap().nll, 0.0);
        assert_eq!(scorer.logits(0, &[1e4, -1e4], 1).unwrap().nll, 2e4);
        assert_eq!(scorer.logits(0, &[0.0, -inf], 1).unwrap().nll, inf);
        assert!(matches!(
            scorer.logits(7, &[0.0, inf], 1),
            Err(Error::NonFiniteLogit { row: 7, class: 1, .. })
        ));
        assert!(matches!(scorer.logits(7, &[f64::NAN, 0.0], 1), Err(Error::NonFiniteLogit { class: 0, .. })));
        assert!(matches!(scorer.logits(7, &[-inf, -inf], 1), Err(Error::NoAllowedClass { row: 7 })));
    }
}
