//! One row of logits in double precision with its softmax: what a row loss works on.
//!
//! Masked classes (logits of -inf) are left out before a loss sees the row, so that every loss treats
//! them alike: as if the row had been given without them. Positions below count the allowed classes.

use super::LossInfo;
use crate::batch::Scalar;
use crate::error::{Error, Result};
use crate::kernels::math;
use crate::kernels::softmax_cross_entropy::RowValue;
use crate::targets::{DenseRows, RowTarget};

/// One row: logits, softmax, target and label over its allowed classes.
#[derive(Debug)]
pub struct Row<'a> {
    info: &'static LossInfo,
    index: usize,
    n_classes: usize,
    /// The classes of the positions; empty if every class is allowed.
    classes: &'a [usize],
    logits: &'a [f64],
    log_probs: &'a [f64],
    probs: &'a [f64],
    target: &'a [f64],
    teacher: &'a [f64],
    label: Option<usize>,
    unsmoothed: RowTarget<'a>,
    predicted: usize,
    entropy: f64,
    nll: f64,
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

/// The arrays of one thread, reused from row to row.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    classes: Vec<usize>,
    logits: Vec<f64>,
    log_probs: Vec<f64>,
    probs: Vec<f64>,
    target: Vec<f64>,
    teacher: Vec<f64>,
    gradient: Vec<f64>,
    work: Work,
}

impl Scratch {
    /// Reads a row, leaving out its masked classes; the gradient starts at zero.
    ///
    /// # Errors
    /// [`Error::NonFiniteLogit`], [`Error::NoAllowedClass`], [`Error::MaskedTarget`].
    pub fn read<'s, T: Scalar>(
        &'s mut self,
        info: &'static LossInfo,
        index: usize,
        logits: &[T],
        target: RowTarget<'s>,
        teacher: Option<DenseRows<'_>>,
    ) -> Result<(Row<'s>, &'s mut Work, &'s mut [f64])> {
        let n_classes = logits.len();
        self.read_logits(index, logits, &target)?;
        let len = self.logits.len();
        let label = target.label().map(|label| self.classes.binary_search(&label).unwrap_or(label));
        for array in [&mut self.log_probs, &mut self.probs, &mut self.target, &mut self.gradient] {
            array.clear();
            array.resize(len, 0.0);
        }
        let (predicted, entropy) = log_softmax(&self.logits, &mut self.log_probs, &mut self.probs);
        let class = |position: usize| self.classes.get(position).copied().unwrap_or(position);
        let mut nll = 0.0;
        match label {
            Some(label) if target.smoothing == 0.0 => self.target[label] = 1.0,
            _ => {
                let allowed = target.allowed(logits);
                for (k, mass) in self.target.iter_mut().enumerate() {
                    *mass = target.mass(class(k), allowed);
                }
            }
        }
        match label {
            Some(label) => nll -= self.log_probs[label],
            None => {
                for (k, log_prob) in self.log_probs.iter().enumerate() {
                    let mass = target.explicit_mass(class(k));
                    nll -= if mass == 0.0 { 0.0 } else { mass * log_prob };
                }
            }
        }
        self.teacher.clear();
        if let Some(rows) = teacher {
            self.teacher.extend((0..len).map(|k| rows.get(index * n_classes + class(k))));
            check_teacher(index, &self.teacher, class)?;
        }
        let row = Row {
            info,
            index,
            n_classes,
            classes: &self.classes,
            logits: &self.logits,
            log_probs: &self.log_probs,
            probs: &self.probs,
            target: &self.target,
            teacher: &self.teacher,
            label,
            unsmoothed: target,
            predicted,
            entropy,
            nll,
        };
        Ok((row, &mut self.work, &mut self.gradient))
    }

    /// The allowed logits and, if some are masked, their classes.
    fn read_logits<T: Scalar>(&mut self, row: usize, logits: &[T], target: &RowTarget<'_>) -> Result<()> {
        self.logits.clear();
        self.classes.clear();
        for (class, z) in logits.iter().enumerate() {
            let value = z.to_f64();
            if value.is_nan() || value == f64::INFINITY {
                return Err(Error::NonFiniteLogit { row, class, value });
            }
            if value > f64::NEG_INFINITY {
                self.logits.push(value);
            }
        }
        if self.logits.is_empty() {
            return Err(Error::NoAllowedClass { row });
        }
        if self.logits.len() < logits.len() {
            for (class, z) in logits.iter().enumerate() {
                if z.to_f64() > f64::NEG_INFINITY {
                    self.classes.push(class);
                } else if target.explicit_mass(class) > 0.0 {
                    return Err(Error::MaskedTarget { row, class });
                }
            }
        }
        Ok(())
    }
}

/// A teacher may mask classes too, but not all that the row allows.
fn check_teacher(row: usize, teacher: &[f64], class: impl Fn(usize) -> usize) -> Result<()> {
    match teacher.iter().position(|z| z.is_nan() || *z == f64::INFINITY) {
        Some(k) => Err(Error::NonFiniteLogit { row, class: class(k), value: teacher[k] }),
        None if teacher.iter().all(|z| *z == f64::NEG_INFINITY) => Err(Error::NoAllowedClass { row }),
        None => Ok(()),
    }
}

/// Runs `body` with this thread's arrays.
///
/// They are taken out of their place while in use: should a body run another row on this thread, that one
/// finds fresh arrays.
pub(super) fn with_scratch<R>(body: impl FnOnce(&mut Scratch) -> R) -> R {
    thread_local!(static SCRATCH: std::cell::Cell<Scratch> = std::cell::Cell::default());
    let mut scratch = SCRATCH.take();
    let result = body(&mut scratch);
    SCRATCH.set(scratch);
    result
}

/// Softmax and its logarithm; gives the position of the largest value and the entropy in nats.
///
/// The largest term is exactly 1 and stays out of the sum, so that `ln p` is accurate as `p` nears 1.
/// A value of -inf has probability 0. `values` must not be empty, nor all -inf.
pub fn log_softmax(values: &[f64], log_probs: &mut [f64], probs: &mut [f64]) -> (usize, f64) {
    let (mut top, mut max) = (0, f64::NEG_INFINITY);
    for (k, &value) in values.iter().enumerate() {
        if value > max {
            (top, max) = (k, value);
        }
    }
    for (p, value) in probs.iter_mut().zip(values) {
        *p = math::exp(value - max);
    }
    probs[top] = 0.0;
    let rest: f64 = probs.iter().sum();
    probs[top] = 1.0;
    let log_sum = ln_1p(rest);
    let scale = 1.0 / (1.0 + rest);
    let mut entropy = log_sum;
    for (k, &value) in values.iter().enumerate() {
        let shifted = value - max;
        probs[k] *= scale;
        log_probs[k] = shifted - log_sum;
        entropy -= if probs[k] == 0.0 { 0.0 } else { probs[k] * shifted };
    }
    (top, entropy)
}

/// `ln(1 + x)` for x >= -1, accurate for small x (Kahan's quotient), with the same bits everywhere.
pub fn ln_1p(x: f64) -> f64 {
    let sum = 1.0 + x;
    if sum == 1.0 {
        x
    } else if sum.is_infinite() {
        math::ln(x)
    } else {
        math::ln(sum) * (x / (sum - 1.0))
    }
}

/// `ln(e^a + e^b)`; either may be -inf.
pub fn log_add_exp(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if high == f64::NEG_INFINITY { high } else { high + ln_1p(math::exp(low - high)) }
}

/// `ln Σ e^v`; -inf for no value.
pub fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let max = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return max;
    }
    max + math::ln(values.map(|v| math::exp(v - max)).sum())
}
