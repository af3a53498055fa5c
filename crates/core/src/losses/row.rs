//! One row of logits in double precision with its softmax: what a row loss works on.
//!
//! Masked classes (logits of -inf) are left out before a loss sees the row, so that every loss treats
//! them alike: as if the row had been given without them. Positions below count the allowed classes.

use super::LossInfo;
use super::softmax::log_sum_exp;
use crate::error::{Error, Result};
use crate::kernels::math;
use crate::kernels::softmax_cross_entropy::RowValue;
use crate::targets::RowTarget;

/// One row: logits, softmax, target and label over its allowed classes.
#[derive(Debug)]
pub struct Row<'a> {
    pub(super) info: &'static LossInfo,
    pub(super) index: usize,
    pub(super) n_classes: usize,
    /// The classes of the positions; empty if every class is allowed.
    pub(super) classes: &'a [usize],
    pub(super) logits: &'a [f64],
    pub(super) log_probs: &'a [f64],
    pub(super) probs: &'a [f64],
    pub(super) target: &'a [f64],
    pub(super) teacher: &'a [f64],
    pub(super) label: Option<usize>,
    pub(super) unsmoothed: RowTarget<'a>,
    pub(super) predicted: usize,
    pub(super) entropy: f64,
    pub(super) nll: f64,
}

impl<'a> Row<'a> {
    /// The row's number in the batch.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Number of classes, masked ones included.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Number of allowed classes, the length of every array here; at least 1.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.logits.len()
    }

    /// The class at a position.
    ///
    /// # Panics
    /// If `position` is not below [`len`](Self::len) and some class is masked.
    pub fn class(&self, position: usize) -> usize {
        if self.classes.is_empty() { position } else { self.classes[position] }
    }

    /// Whether some class is masked.
    pub fn is_masked(&self) -> bool {
        !self.classes.is_empty()
    }

    /// The logits, all finite.
    pub fn logits(&self) -> &'a [f64] {
        self.logits
    }

    /// Logarithms of the probabilities.
    pub fn log_probs(&self) -> &'a [f64] {
        self.log_probs
    }

    /// The softmax of the logits.
    pub fn probs(&self) -> &'a [f64] {
        self.probs
    }

    /// The target masses, smoothing included.
    pub fn target(&self) -> &'a [f64] {
        self.target
    }

    /// The mass at a position before smoothing.
    pub fn unsmoothed(&self, position: usize) -> f64 {
        self.unsmoothed.explicit_mass(self.class(position))
    }

    /// The position of the largest logit, the first if there are several.
    pub fn predicted(&self) -> usize {
        self.predicted
    }

    /// Entropy of the softmax, in nats.
    pub fn entropy(&self) -> f64 {
        self.entropy
    }

    /// The position of the label, for losses that take labels only.
    ///
    /// # Errors
    /// [`Error::TargetKind`] if the target is smoothed or no label.
    pub fn label(&self) -> Result<usize> {
        let refuse = |got| Err(Error::TargetKind { loss: self.info.name, accepts: "class labels only", got });
        match self.label {
            Some(_) if self.unsmoothed.smoothing != 0.0 => refuse("smoothed labels"),
            Some(label) => Ok(label),
            None => refuse("soft targets"),
        }
    }

    /// The teacher's logits of this row.
    ///
    /// # Errors
    /// [`Error::Missing`] if the batch has no teacher.
    pub fn teacher(&self) -> Result<&'a [f64]> {
        let missing =
            Error::Missing { loss: self.info.name, what: "a teacher's logits", how: "Batch::teacher" };
        if self.teacher.is_empty() { Err(missing) } else { Ok(self.teacher) }
    }

    /// Cross-entropy against the target; adds its gradient `s·p - q` to `gradient`.
    pub fn cross_entropy(&self, gradient: &mut [f64]) -> f64 {
        let mass: f64 = self.target.iter().sum();
        let mut loss = 0.0;
        for (k, g) in gradient.iter_mut().enumerate() {
            // 0 times a huge distance stays 0.
            loss -= if self.target[k] == 0.0 { 0.0 } else { self.target[k] * self.log_probs[k] };
            *g += mass * self.probs[k] - self.target[k];
        }
        loss
    }

    /// Adds `factor · (p - onehot)` to `gradient`: the gradient of any function of `ln p` of one class
    /// whose derivative is `-factor`.
    pub fn add_residual(&self, class: usize, factor: f64, gradient: &mut [f64]) {
        let mut others = 0.0;
        for (k, g) in gradient.iter_mut().enumerate().filter(|(k, _)| *k != class) {
            *g += factor * self.probs[k];
            others += self.probs[k];
        }
        // 1 - p as the sum of the others, so that it does not cancel.
        gradient[class] -= factor * others;
    }

    /// The probability of all classes but one, and its logarithm; no cancellation as that class nears 1.
    pub fn other(&self, class: usize) -> (f64, f64) {
        let others = || (0..self.len()).filter(|&k| k != class);
        let mass: f64 = others().map(|k| self.probs[k]).sum();
        // Where the masses underflow, their logarithms still tell them apart.
        let log_mass =
            if mass > 1e-290 { math::ln(mass) } else { log_sum_exp(others().map(|k| self.log_probs[k])) };
        (mass, log_mass)
    }

    /// The figures of the row beside a loss.
    pub(super) fn value(&self, loss: f64) -> RowValue {
        RowValue {
            loss,
            nll: self.nll,
            correct: self.label == Some(self.predicted),
            confidence: self.probs[self.predicted],
            entropy: self.entropy,
        }
    }
}

/// Arrays that a row loss may use as it likes; their content is unspecified between rows.
#[derive(Debug, Default)]
pub struct Work {
    values: Vec<f64>,
    order: Vec<usize>,
}

impl Work {
    /// `N` arrays of `len` numbers, with any content.
    pub fn arrays<const N: usize>(&mut self, len: usize) -> [&mut [f64]; N] {
        split_arrays(&mut self.values, len)
    }

    /// The positions of `key`, ordered from the largest to the smallest, equal ones as they stand, and `N`
    /// arrays of as many numbers, with any content.
    pub fn descending<const N: usize>(&mut self, key: &[f64]) -> (&[usize], [&mut [f64]; N]) {
        self.order.clear();
        self.order.extend(0..key.len());
        self.order.sort_unstable_by(|&a, &b| key[b].total_cmp(&key[a]).then(a.cmp(&b)));
        (&self.order, split_arrays(&mut self.values, key.len()))
    }
}

/// `N` arrays of `len` numbers out of one.
fn split_arrays<const N: usize>(values: &mut Vec<f64>, len: usize) -> [&mut [f64]; N] {
    if values.len() < N * len {
        values.resize(N * len, 0.0);
    }
    let mut rest: &mut [f64] = values;
    std::array::from_fn(|_| {
        let (head, tail) = std::mem::take(&mut rest).split_at_mut(len);
        rest = tail;
        head
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descending_orders_and_keeps_ties_as_they_stand() {
        let mut work = Work::default();
        let (order, [first, second]) = work.descending(&[1.0, 3.0, 3.0, -2.0]);
        assert_eq!(order, [1, 2, 0, 3]);
        assert_eq!((first.len(), second.len()), (4, 4));
    }

    #[test]
    fn arrays_do_not_overlap() {
        let mut work = Work::default();
        let [a, b] = work.arrays(2);
        a.fill(1.0);
        b.fill(2.0);
        assert_eq!(a, [1.0, 1.0]);
    }
}
