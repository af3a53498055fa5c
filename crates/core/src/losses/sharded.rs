//! Cross-entropy over classes that are cut into shards, one a device (tensor parallel): what each shard sends,
//! how it merges, and each shard's part of the gradient.

use rayon::prelude::*;

use crate::batch::{Labels, Logits, Storage};
use crate::error::{Error, Result, check_len};
use crate::kernels::isa::Isa;
use crate::kernels::math::{exp, ln};
use crate::kernels::softmax_cross_entropy::LARGEST_SCALE;
use crate::kernels::softmax_cross_entropy::part::{part_gradient, part_sums};
use crate::kernels::storage::{singles, singles_mut};
use crate::targets::Convention;

/// What a shard knows of one row; the whole message that it sends to the others.
///
/// [`Default`] is the shard without a class, which changes nothing when merged.
///
/// # Examples
/// See [`ClassShard`].
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RowShard {
    /// The largest logit; -inf if no class is allowed.
    pub max: f64,
    /// `Σ e^(z - max)` over the allowed classes.
    pub sum_exp: f64,
    /// `Σ (z - max)` over the allowed classes.
    pub sum_shifted: f64,
    /// Number of allowed classes, those whose logit is not -inf.
    pub allowed: u64,
    /// The label's logit, if the label is in the shard.
    pub label_logit: Option<f64>,
}

impl Default for RowShard {
    fn default() -> Self {
        Self { max: f64::NEG_INFINITY, sum_exp: 0.0, sum_shifted: 0.0, allowed: 0, label_logit: None }
    }
}

impl RowShard {
    /// The same of both shards' classes together. Any order of merging gives the same numbers up to the
    /// rounding of double precision; merge in the order of the shards, and all devices have the same bits.
    pub fn merge(self, other: Self) -> Self {
        let max = self.max.max(other.max);
        let rebased = |shard: &Self| {
            if shard.allowed == 0 {
                return (0.0, 0.0);
            }
            let moved = shard.max - max;
            (shard.sum_exp * exp(moved), shard.sum_shifted + shard.allowed as f64 * moved)
        };
        let (a, b) = (rebased(&self), rebased(&other));
        Self {
            max,
            sum_exp: a.0 + b.0,
            sum_shifted: a.1 + b.1,
            allowed: self.allowed + other.allowed,
            label_logit: self.label_logit.or(other.label_logit),
        }
    }
}

/// One shard of the classes of a smoothed cross-entropy.
///
/// The smoothing mass is spread over the allowed classes of *all* shards: with a shard's own number of
/// classes in its place, the loss would depend on the number of devices.
/// Each device computes [`statistics`](Self::statistics), all exchange and merge them, and each takes the same
/// [`loss`](Self::loss) and its own [`gradient`](Self::gradient).
///
/// # Examples
/// ```
/// use candor::losses::ClassShard;
/// use candor::{Convention, Labels, Logits};
/// // Four classes on two devices, one row with label 2.
/// let labels = Labels::new(&[2], 4)?;
/// let (left, right) = ([2.0_f32, -1.0], [0.5_f32, 0.1]);
/// let first = ClassShard::new(0, 2, 4, 0.1, Convention::Uniform)?;
/// let second = ClassShard::new(2, 2, 4, 0.1, Convention::Uniform)?;
/// let a = first.statistics(Logits::new(&left, 2)?, labels)?;
/// let b = second.statistics(Logits::new(&right, 2)?, labels)?;
/// let merged = [a[0].merge(b[0])];
/// assert!((first.loss(0, &merged[0])? - 1.8624059381).abs() < 1e-9);
/// let mut gradient = [0.0_f32; 2];
/// second.gradient(Logits::new(&right, 2)?, labels, &merged, 1.0, &mut gradient)?;
/// assert!((gradient[0] + 0.7681407).abs() < 1e-6);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassShard {
    first: usize,
    n_classes: usize,
    total: usize,
    smoothing: f64,
    convention: Convention,
}

impl ClassShard {
    /// The classes `first..first + n_classes` of `total`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the shard reaches beyond the classes or has none, [`Error::OutOfRange`] for a strength
    /// that is illegal in its convention.
    pub fn new(
        first: usize,
        n_classes: usize,
        total: usize,
        smoothing: f64,
        convention: Convention,
    ) -> Result<Self> {
        if n_classes == 0 {
            return Err(Error::Shape { what: "the class axis of the shard", expected: 1, got: 0 });
        }
        match first.checked_add(n_classes) {
            Some(end) if end <= total => {}
            end => {
                let got = end.unwrap_or(usize::MAX);
                return Err(Error::Shape {
                    what: "the classes up to the end of the shard",
                    expected: total,
                    got,
                });
            }
        }
        convention.check(smoothing, total)?;
        Ok(Self { first, n_classes, total, smoothing, convention })
    }

    /// What this shard knows of each row: `logits` are the shard's columns, `labels` are over all classes.
    /// Ignored rows give the default.
    ///
    /// # Errors
    /// [`Error::NonFiniteLogit`] and [`Error::MaskedTarget`] for the shard's first bad row, with the class's
    /// number among all classes; [`Error::Shape`] if logits and labels do not fit.
    pub fn statistics<T: Storage>(&self, logits: Logits<'_, T>, labels: Labels<'_>) -> Result<Vec<RowShard>> {
        self.check(logits, labels)?;
        let rows: Vec<Result<RowShard>> = (0..labels.len())
            .into_par_iter()
            .map(|row| match labels.get(row) {
                Some(label) => self.row(row, logits.row(row), label),
                None => Ok(RowShard::default()),
            })
            .collect();
        rows.into_iter().collect()
    }

    fn row<T: Storage>(&self, row: usize, logits: &[T], label: usize) -> Result<RowShard> {
        let mut found = RowShard::default();
        if let Some(sums) = singles(logits).and_then(|logits| part_sums(Isa::current(), logits)) {
            return Ok(RowShard {
                max: f64::from(sums.max),
                sum_exp: sums.exp,
                sum_shifted: sums.shifted,
                allowed: logits.len() as u64,
                label_logit: self.place(label).map(|place| logits[place].to_f64()),
            });
        }
        for (class, z) in logits.iter().enumerate() {
            let value = z.to_f64();
            if value.is_nan() || value == f64::INFINITY {
                return Err(Error::NonFiniteLogit { row, class: self.first + class, value });
            }
            found.max = found.max.max(value);
        }
        for value in logits.iter().map(|z| z.to_f64()).filter(|z| *z != f64::NEG_INFINITY) {
            let shifted = value - found.max;
            found.sum_exp += exp(shifted);
            found.sum_shifted += shifted;
            found.allowed += 1;
        }
        if let Some(place) = self.place(label) {
            found.label_logit = Some(logits[place].to_f64()).filter(|z| *z != f64::NEG_INFINITY);
            if found.label_logit.is_none() {
                return Err(Error::MaskedTarget { row, class: label });
            }
        }
        Ok(found)
    }

    /// The loss of a row from the merged statistics of all shards, in nats; the same on every device.
    ///
    /// `row` is only used to name the row in an error.
    ///
    /// # Errors
    /// [`Error::NoAllowedClass`], and [`Error::Shape`] if no merged shard holds the label: one is missing.
    pub fn loss(&self, row: usize, merged: &RowShard) -> Result<f64> {
        if merged.allowed == 0 {
            return Err(Error::NoAllowedClass { row });
        }
        let Some(label_logit) = merged.label_logit else {
            let got = merged.allowed as usize;
            return Err(Error::Shape {
                what: "the merged shards, without the label's,",
                expected: self.total,
                got,
            });
        };
        let (label_mass, uniform) = self.masses(merged.allowed);
        let label = label_logit - merged.max;
        Ok(ln(merged.sum_exp) - label_mass * label - uniform * merged.sum_shifted)
    }

    /// Where a class stands in the shard.
    fn place(&self, class: usize) -> Option<usize> {
        class.checked_sub(self.first).filter(|place| *place < self.n_classes)
    }

    /// The mass that the label has on top, and that of every allowed class.
    fn masses(&self, allowed: u64) -> (f64, f64) {
        let hard = 1.0 - self.smoothing;
        match self.convention {
            Convention::Uniform => (hard, self.smoothing / allowed as f64),
            // With the label as the only allowed class, all mass stays on it.
            Convention::OffClass if allowed == 1 => (1.0, 0.0),
            Convention::OffClass => {
                let off = self.smoothing / (allowed - 1) as f64;
                (hard - off, off)
            }
        }
    }

    /// `scale` times the gradient of each row's loss with respect to this shard's logits; 0 for ignored rows.
    ///
    /// # Errors
    /// [`Error::Shape`] if the arrays do not fit, and those of [`loss`](Self::loss).
    pub fn gradient<T: Storage>(
        &self,
        logits: Logits<'_, T>,
        labels: Labels<'_>,
        merged: &[RowShard],
        scale: f64,
        gradient: &mut [T],
    ) -> Result<()> {
        self.check(logits, labels)?;
        check_len("the merged rows", labels.len(), merged.len())?;
        check_len("the gradient buffer", logits.data().len(), gradient.len())?;
        let rows: Vec<Result<()>> = gradient
            .par_chunks_exact_mut(self.n_classes)
            .zip(merged)
            .enumerate()
            .map(|(row, (gradient, merged))| {
                let Some(label) = labels.get(row) else {
                    gradient.fill(T::default());
                    return Ok(());
                };
                self.loss(row, merged)?;
                gradient.copy_from_slice(logits.row(row));
                self.row_gradient(gradient, label, merged, scale);
                Ok(())
            })
            .collect();
        rows.into_iter().collect()
    }

    /// A row's logits of the shard become `scale` times the gradient of its loss.
    pub(super) fn row_gradient<T: Storage>(
        &self,
        logits: &mut [T],
        label: usize,
        merged: &RowShard,
        scale: f64,
    ) {
        let (label_mass, uniform) = self.masses(merged.allowed);
        let factor = scale / merged.sum_exp;
        // Beyond this scale products could overflow in single precision.
        let done = scale.abs() <= LARGEST_SCALE
            && singles_mut(logits).is_some_and(|logits| {
                let (max, factor, uniform) = (merged.max as f32, factor as f32, (scale * uniform) as f32);
                part_gradient(Isa::current(), logits, max, factor, uniform)
            });
        if !done {
            for slot in logits.iter_mut() {
                let value = slot.to_f64();
                let gradient = factor * exp(value - merged.max) - scale * uniform;
                *slot = T::from_f64(if value == f64::NEG_INFINITY { 0.0 } else { gradient });
            }
        }
        if let Some(slot) = self.place(label).and_then(|place| logits.get_mut(place)) {
            *slot = T::from_f64(slot.to_f64() - scale * label_mass);
        }
    }

    fn check<T: Storage>(&self, logits: Logits<'_, T>, labels: Labels<'_>) -> Result<()> {
        check_len("the class axis of the shard's logits", self.n_classes, logits.n_classes())?;
        labels.check_classes(self.total)?;
        check_len("the shard's rows of logits", labels.len(), logits.n_rows())
    }
}
