//! The arrays that one thread reads rows into: masked classes left out, softmax taken.

use super::LossInfo;
use super::row::{Row, Work};
use super::softmax::log_softmax;
use crate::batch::Scalar;
use crate::error::{Error, Result};
use crate::targets::{DenseRows, RowTarget};

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
