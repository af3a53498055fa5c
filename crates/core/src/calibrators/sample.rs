//! The rows that a map is fitted on: logits, labels, weights and groups of the rows that count.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{CalibrationMap, rows};
use crate::batch::{DType, Labels, Logits, Probs, Scalar};
use crate::error::{Error, Result, check_classes, check_len, check_range};

/// Largest magnitude of a finite logit that a map takes: its square is still a number.
pub const MAX_LOGIT: f64 = 1e150;

/// Rows of one partial sum.
const BLOCK_ROWS: usize = 1024;

/// Held-out rows to fit a map on.
///
/// Ignored rows and rows of weight 0 are left out when it is made. Probabilities count as logits ln p; a
/// probability of 0 counts as the smallest positive number of its storage type, which is what rounding can
/// have hidden.
///
/// # Shapes
/// logits or probs `[n, n_classes]`, labels, weights and groups `[n]`.
///
/// # Examples
/// ```
/// use candor::{Labels, Logits, calibrators::Sample};
/// let sample = Sample::from_logits(Logits::new(&[1.0_f32, 0.0, 0.0, 2.0], 2)?, Labels::new(&[0, 1], 2)?)?
///     .with_weights(&[1.0, 3.0])?
///     .with_groups(&["a", "b"])?;
/// assert_eq!((sample.n_rows(), sample.n_classes()), (2, 2));
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sample {
    logits: Vec<f64>,
    labels: Vec<usize>,
    weights: Vec<f64>,
    /// Index into `names`, one a row; empty without groups.
    groups: Vec<usize>,
    names: Vec<String>,
    n_classes: usize,
    /// Positions of the kept rows in the input, and how many rows that had.
    origin: Vec<usize>,
    n_input: usize,
}

impl Sample {
    /// Rows of logits.
    ///
    /// # Errors
    /// [`Error::Shape`] if rows and labels differ in number, [`Error::Empty`] without a counted row,
    /// [`Error::OutOfRange`] for fewer than two classes or a finite logit beyond [`MAX_LOGIT`],
    /// [`Error::NonFiniteLogit`], [`Error::NoAllowedClass`], [`Error::MaskedTarget`].
    pub fn from_logits<T: Scalar>(logits: Logits<'_, T>, labels: Labels<'_>) -> Result<Self> {
        Self::new(logits.n_rows(), logits.n_classes(), labels, |row, out| read_row(row, logits.row(row), out))
    }

    /// Rows of probabilities.
    ///
    /// # Errors
    /// As [`from_logits`](Self::from_logits).
    pub fn from_probs<T: Scalar>(probs: Probs<'_, T>, labels: Labels<'_>) -> Result<Self> {
        let n_classes = probs.n_classes();
        Self::new(probs.n_rows(), n_classes, labels, |row, out| {
            let values = &probs.data()[row * n_classes..(row + 1) * n_classes];
            out.extend(values.iter().map(|p| log_of_probability(*p)));
            Ok(())
        })
    }

    /// Probabilities of class 1, as two classes.
    ///
    /// # Errors
    /// [`Error::ProbabilityValue`] for a score outside [0, 1], and those of [`from_logits`](Self::from_logits).
    pub fn from_scores<T: Scalar>(scores: &[T], labels: Labels<'_>) -> Result<Self> {
        labels.check_classes(2)?;
        Self::new(scores.len(), 2, labels, |row, out| {
            let value = scores[row].to_f64();
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::ProbabilityValue { row, class: 1, value });
            }
            // 1 - p of a rounded p is 0 only for p = 1.
            out.extend([log_of_probability(T::from_f64(1.0 - value)), log_of_probability(scores[row])]);
            Ok(())
        })
    }

    fn new(
        n_rows: usize,
        n_classes: usize,
        labels: Labels<'_>,
        mut read: impl FnMut(usize, &mut Vec<f64>) -> Result<()>,
    ) -> Result<Self> {
        check_classes(n_classes)?;
        labels.check_classes(n_classes)?;
        check_len("labels", n_rows, labels.len())?;
        if labels.counted() == 0 {
            return Err(Error::Empty { what: "the fit of a calibration map", rows: n_rows, ignored: n_rows });
        }
        let mut values = Vec::with_capacity(labels.counted() * n_classes);
        let (mut kept, mut origin) =
            (Vec::with_capacity(labels.counted()), Vec::with_capacity(labels.counted()));
        for row in 0..n_rows {
            let Some(label) = labels.get(row) else { continue };
            let start = values.len();
            read(row, &mut values)?;
            if values[start + label] == f64::NEG_INFINITY {
                return Err(Error::MaskedTarget { row, class: label });
            }
            kept.push(label);
            origin.push(row);
        }
        let weights = vec![1.0; kept.len()];
        Ok(Self {
            logits: values,
            labels: kept,
            weights,
            groups: Vec::new(),
            names: Vec::new(),
            n_classes,
            origin,
            n_input: n_rows,
        })
    }

    /// The same rows, weighted: one weight for each row of the input, ignored ones included.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number, [`Error::WeightValue`] for a negative or non-finite weight,
    /// [`Error::Empty`] if no row keeps a positive one.
    pub fn with_weights(self, weights: &[f64]) -> Result<Self> {
        check_len("weights", self.n_input, weights.len())?;
        if let Some(index) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
            return Err(Error::WeightValue { what: "sample weight", index, value: weights[index] });
        }
        // Weights matter by their ratio, but a sum must not overflow.
        let kept: Vec<usize> =
            (0..self.labels.len()).filter(|&row| weights[self.origin[row]] > 0.0).collect();
        let total: f64 = kept.iter().map(|&row| weights[self.origin[row]]).sum();
        if kept.is_empty() {
            let rows = self.n_input;
            return Err(Error::Empty { what: "the fit of a calibration map", rows, ignored: rows });
        }
        check_range("the sum of the sample weights", total, f64::MIN_POSITIVE, f64::MAX)?;
        let mut sample = self.subset(&kept);
        sample.weights = sample.origin.iter().map(|&row| weights[row]).collect();
        Ok(sample)
    }

    /// The same rows with the group of each, ignored rows included.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number.
    pub fn with_groups<S: AsRef<str>>(mut self, groups: &[S]) -> Result<Self> {
        check_len("groups", self.n_input, groups.len())?;
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        for &row in &self.origin {
            names.insert(groups[row].as_ref(), 0);
        }
        for (index, position) in names.values_mut().enumerate() {
            *position = index;
        }
        self.groups = self.origin.iter().map(|&row| names[groups[row].as_ref()]).collect();
        self.names = names.keys().map(|name| (*name).to_owned()).collect();
        Ok(self)
    }

    /// Number of rows that count.
    pub fn n_rows(&self) -> usize {
        self.labels.len()
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// The names of the groups in alphabetical order; empty without groups.
    pub fn group_names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn row(&self, row: usize) -> &[f64] {
        &self.logits[row * self.n_classes..(row + 1) * self.n_classes]
    }

    pub(super) fn logits(&self) -> &[f64] {
        &self.logits
    }

    pub(super) fn labels(&self) -> &[usize] {
        &self.labels
    }

    pub(super) fn weights(&self) -> &[f64] {
        &self.weights
    }

    pub(super) fn total_weight(&self) -> f64 {
        self.weights.iter().sum()
    }

    /// Indices into [`group_names`](Self::group_names), one a row.
    pub(super) fn groups(&self) -> &[usize] {
        &self.groups
    }

    fn group(&self, row: usize) -> Option<&str> {
        self.groups.get(row).map(|&group| self.names[group].as_str())
    }

    /// Classes without a label.
    pub(super) fn absent_classes(&self) -> Vec<usize> {
        let mut present = vec![false; self.n_classes];
        self.labels.iter().for_each(|&label| present[label] = true);
        (0..self.n_classes).filter(|&class| !present[class]).collect()
    }

    /// These rows alone.
    pub(super) fn subset(&self, chosen: &[usize]) -> Self {
        Self {
            logits: chosen.iter().flat_map(|&row| self.row(row).iter().copied()).collect(),
            labels: chosen.iter().map(|&row| self.labels[row]).collect(),
            weights: chosen.iter().map(|&row| self.weights[row]).collect(),
            groups: if self.groups.is_empty() {
                Vec::new()
            } else {
                chosen.iter().map(|&row| self.groups[row]).collect()
            },
            names: self.names.clone(),
            n_classes: self.n_classes,
            origin: chosen.iter().map(|&row| self.origin[row]).collect(),
            n_input: self.n_input,
        }
    }

    /// Weighted mean NLL after a map, in nats; infinite if a label has lost all its mass.
    pub fn nll(&self, map: &dyn CalibrationMap) -> f64 {
        let blocks: Vec<f64> = self
            .labels
            .par_chunks(BLOCK_ROWS)
            .enumerate()
            .map(|(block, labels)| {
                let mut out = vec![0.0; self.n_classes];
                let mut sum = 0.0;
                for (at, &label) in labels.iter().enumerate() {
                    let row = block * BLOCK_ROWS + at;
                    map.apply_row(self.row(row), self.group(row), &mut out);
                    // Distances first: beside a huge logit the logarithm of the sum would vanish.
                    let max = rows::max(&out);
                    out.iter_mut().for_each(|z| *z -= max);
                    sum += self.weights[row] * (rows::log_sum_exp(&out) - out[label]);
                }
                sum
            })
            .collect();
        blocks.iter().sum::<f64>() / self.total_weight()
    }
}

/// Reads one row of logits; its values are finite or -inf.
pub(super) fn read_row<T: Scalar>(row: usize, values: &[T], out: &mut Vec<f64>) -> Result<()> {
    let start = out.len();
    out.extend(values.iter().map(|z| z.to_f64()));
    let mut allowed = false;
    for (class, &value) in out[start..].iter().enumerate() {
        if value.is_nan() || value == f64::INFINITY {
            return Err(Error::NonFiniteLogit { row, class, value });
        }
        if value != f64::NEG_INFINITY {
            check_range("a finite logit", value, -MAX_LOGIT, MAX_LOGIT)?;
            allowed = true;
        }
    }
    if allowed { Ok(()) } else { Err(Error::NoAllowedClass { row }) }
}

/// ln p, with 0 taken as the smallest positive number of the type.
pub(super) fn log_of_probability<T: Scalar>(p: T) -> f64 {
    let smallest = match T::DTYPE {
        DType::F32 => f64::from(f32::from_bits(1)),
        DType::F64 => f64::from_bits(1),
        DType::Bf16 => f64::from(half::bf16::from_bits(1)),
        DType::F16 => f64::from(half::f16::from_bits(1)),
    };
    crate::kernels::math::ln(p.to_f64().max(smallest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrators::Identity;

    fn sample(logits: &[f64], labels: &[i64]) -> Result<Sample> {
        Sample::from_logits(Logits::new(logits, 2)?, Labels::with_ignore(labels, 2, Some(-1))?)
    }

    #[test]
    fn ignored_and_weightless_rows_do_not_count() {
        let all = [3.0, 0.0, 0.0, 1.0, 9.0, 0.0];
        let whole = sample(&all, &[0, 1, -1]).unwrap();
        assert_eq!(whole.n_rows(), 2);
        let one =
            whole.clone().with_weights(&[0.0, 2.0, 5.0]).unwrap().with_groups(&["x", "b", "a"]).unwrap();
        assert_eq!((one.n_rows(), one.row(0)), (1, [0.0, 1.0].as_slice()));
        assert_eq!(one.group_names(), ["b"]);
        assert!((one.nll(&Identity {}) - (-1.0_f64).exp().ln_1p()).abs() < 1e-15);
        let tripled = whole.with_weights(&[1.0, 3.0, 0.0]).unwrap().nll(&Identity {});
        let repeated = sample(&[3.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0], &[0, 1, 1, 1]).unwrap();
        assert!((tripled - repeated.nll(&Identity {})).abs() < 1e-15);
    }

    #[test]
    fn probabilities_count_as_their_logarithms() {
        let labels = [1, 0];
        let labels = Labels::new(&labels, 2).unwrap();
        let rows = Sample::from_probs(Probs::new(&[0.25_f64, 0.75, 1.0, 0.0], 2).unwrap(), labels).unwrap();
        let scores = Sample::from_scores(&[0.75_f64, 0.0], labels).unwrap();
        assert_eq!(rows.logits(), scores.logits());
        assert!((rows.logits()[1] - 0.75_f64.ln()).abs() < 1e-15);
        assert_eq!(rows.logits()[3], f64::from_bits(1).ln());
    }

    #[test]
    fn every_error_is_typed() {
        let inf = f64::NEG_INFINITY;
        assert!(matches!(sample(&[0.0, 1.0], &[0, 1]), Err(Error::Shape { .. })));
        assert!(matches!(sample(&[0.0, 1.0], &[-1]), Err(Error::Empty { .. })));
        assert!(matches!(sample(&[f64::NAN, 1.0], &[0]), Err(Error::NonFiniteLogit { .. })));
        assert!(matches!(sample(&[1e200, 1.0], &[0]), Err(Error::OutOfRange { .. })));
        assert!(matches!(sample(&[inf, inf], &[0]), Err(Error::NoAllowedClass { .. })));
        assert!(matches!(sample(&[inf, 0.0], &[0]), Err(Error::MaskedTarget { .. })));
        let good = || sample(&[0.0, 1.0], &[0]).unwrap();
        assert!(matches!(good().with_weights(&[]), Err(Error::Shape { .. })));
        assert!(matches!(good().with_weights(&[-1.0]), Err(Error::WeightValue { .. })));
        assert!(matches!(good().with_weights(&[0.0]), Err(Error::Empty { .. })));
        assert!(matches!(good().with_groups::<&str>(&[]), Err(Error::Shape { .. })));
        let labels = [0];
        let labels = Labels::new(&labels, 2).unwrap();
        assert!(matches!(Sample::from_scores(&[1.5], labels), Err(Error::ProbabilityValue { .. })));
        let one = Logits::new(&[0.0], 1).unwrap();
        assert!(matches!(
            Sample::from_logits(one, Labels::new(&[0], 1).unwrap()),
            Err(Error::OutOfRange { .. })
        ));
    }
}
