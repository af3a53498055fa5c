//! Targets of one sigmoid a class: a probability for each class by itself, not a distribution.

use std::borrow::Cow;

use super::DenseRows;
use crate::batch::Labels;
use crate::error::{Error, Result, check_len};

/// Which classes of each row are positive.
#[derive(Debug, Clone)]
pub struct Positives<'a> {
    form: Form<'a>,
    n_rows: usize,
    n_classes: usize,
}

#[derive(Debug, Clone)]
enum Form<'a> {
    /// One column, labels 0 and 1.
    Binary(Labels<'a>),
    /// One positive class a row.
    OneOf(Labels<'a>),
    /// The positive classes of row i are `classes[offsets[i]..offsets[i+1]]`.
    Sets { offsets: Cow<'a, [usize]>, classes: Cow<'a, [u32]> },
    /// The degree of each class, in [0, 1].
    Dense(DenseRows<'a>),
}

impl<'a> Positives<'a> {
    /// A single yes-or-no column: label 1 is positive, 0 negative.
    ///
    /// # Errors
    /// [`Error::Shape`] unless the labels are over two classes.
    pub fn binary(labels: Labels<'a>) -> Result<Self> {
        check_len("the class axis of binary labels", 2, labels.n_classes())?;
        Ok(Self { form: Form::Binary(labels), n_rows: labels.len(), n_classes: 1 })
    }

    /// One positive class a row, each class with its own sigmoid, as detectors classify.
    pub fn one_of(labels: Labels<'a>) -> Self {
        Self { form: Form::OneOf(labels), n_rows: labels.len(), n_classes: labels.n_classes() }
    }

    /// A set of positive classes a row: row i owns `classes[offsets[i]..offsets[i+1]]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if offsets and classes do not fit together, [`Error::LabelOutOfRange`] for a class
    /// outside `0..n_classes`.
    ///
    /// # Examples
    /// ```
    /// use candor::targets::{BinaryHalf, BinaryRule, Positives};
    /// let positives = Positives::sets(vec![0, 2, 2], vec![0, 2], 3)?;
    /// let targets = BinaryHalf::new(0.2)?.targets(positives)?;
    /// assert_eq!(targets.dense_matrix(), [0.9, 0.1, 0.9, 0.1, 0.1, 0.1]);
    /// # Ok::<(), candor::Error>(())
    /// ```
    pub fn sets(
        offsets: impl Into<Cow<'a, [usize]>>,
        classes: impl Into<Cow<'a, [u32]>>,
        n_classes: usize,
    ) -> Result<Self> {
        let (offsets, classes) = (offsets.into(), classes.into());
        let whole = offsets.first() == Some(&0) && offsets.last() == Some(&classes.len());
        if !whole || offsets.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(Error::Shape {
                what: "offsets, ascending from 0 to the number of classes listed, their last",
                expected: classes.len(),
                got: offsets.last().copied().unwrap_or(0),
            });
        }
        for (row, range) in offsets.windows(2).enumerate() {
            let listed = &classes[range[0]..range[1]];
            if let Some(&class) = listed.iter().find(|&&class| class as usize >= n_classes) {
                let label = i64::from(class);
                return Err(Error::LabelOutOfRange { row, label, n_classes, ignore_index: None });
            }
        }
        Ok(Self { n_rows: offsets.len() - 1, form: Form::Sets { offsets, classes }, n_classes })
    }

    /// The degree to which each class is positive, `[n, n_classes]` in [0, 1].
    ///
    /// # Errors
    /// [`Error::RaggedRows`] for a wrong length, [`Error::ProbabilityValue`] for a value outside [0, 1].
    pub fn dense(rows: DenseRows<'a>, n_classes: usize) -> Result<Self> {
        if n_classes == 0 || !rows.len().is_multiple_of(n_classes) {
            return Err(Error::RaggedRows { what: "targets", len: rows.len(), n_classes });
        }
        for index in 0..rows.len() {
            let value = rows.get(index);
            if !(0.0..=1.0).contains(&value) {
                let (row, class) = (index / n_classes, index % n_classes);
                return Err(Error::ProbabilityValue { row, class, value });
            }
        }
        Ok(Self { n_rows: rows.len() / n_classes, form: Form::Dense(rows), n_classes })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of sigmoids a row; 1 for [`binary`](Self::binary).
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// The degree to which a class of the shape is positive, in [0, 1].
    fn degree(&self, row: usize, class: usize) -> f64 {
        let positive = match &self.form {
            Form::Binary(labels) => labels.get(row) == Some(1),
            Form::OneOf(labels) => labels.get(row) == Some(class),
            Form::Sets { offsets, classes } => {
                classes[offsets[row]..offsets[row + 1]].iter().any(|&listed| listed as usize == class)
            }
            Form::Dense(rows) => return rows.get(row * self.n_classes + class),
        };
        f64::from(u8::from(positive))
    }

    /// Whether a row counts nowhere.
    fn ignored(&self, row: usize) -> bool {
        match &self.form {
            Form::Binary(labels) | Form::OneOf(labels) => labels.get(row).is_none(),
            Form::Sets { .. } | Form::Dense(_) => false,
        }
    }
}

/// Targets `[n, n_classes]` of one sigmoid a class: `off_k + y_k (on_k - off_k)`, each in [0, 1].
///
/// The values of a row need not sum to 1: they are as many separate questions as there are classes, for a
/// sigmoid cross-entropy. Kept as the positives and two values a class.
///
/// # Examples
/// ```
/// use candor::{Labels, targets::{BinaryTargets, Positives}};
/// let positives = Positives::one_of(Labels::new(&[1], 3)?);
/// let targets = BinaryTargets::new(positives, vec![0.95; 3], vec![0.05; 3])?;
/// assert_eq!(targets.get(0, 1), Some(0.95));
/// assert_eq!(targets.dense_matrix(), [0.05, 0.95, 0.05]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BinaryTargets<'a> {
    positives: Positives<'a>,
    on: Vec<f64>,
    off: Vec<f64>,
    threshold: Option<f64>,
}

impl<'a> BinaryTargets<'a> {
    /// Targets with the value `on[k]` where class k is positive and `off[k]` where it is not.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one value a class, [`Error::OutOfRange`] for one outside [0, 1].
    pub fn new(positives: Positives<'a>, on: Vec<f64>, off: Vec<f64>) -> Result<Self> {
        check_len("the values of positive classes", positives.n_classes, on.len())?;
        check_len("the values of negative classes", positives.n_classes, off.len())?;
        for &value in on.iter().chain(&off) {
            crate::error::check_range("target", value, 0.0, 1.0)?;
        }
        Ok(Self { positives, on, off, threshold: None })
    }

    /// With 1 in the place of every value above `threshold` in [0, 1], and 0 in that of any other.
    ///
    /// For mixed or soft labels that are to be yes-or-no questions again: both labels of a Mixup become
    /// present. It acts after the smoothing, as in timm, so a threshold above the smoothed value of a
    /// positive leaves none.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a threshold outside [0, 1] or NaN.
    ///
    /// # Examples
    /// ```
    /// use candor::targets::{BinaryTargets, DenseRows, Positives};
    /// let mixed = Positives::dense(DenseRows::F64(&[0.7, 0.3, 0.0]), 3)?;
    /// let targets = BinaryTargets::new(mixed, vec![1.0; 3], vec![0.0; 3])?.binarised(0.2)?;
    /// assert_eq!(targets.dense_matrix(), [1.0, 1.0, 0.0]);
    /// # Ok::<(), candor::Error>(())
    /// ```
    pub fn binarised(self, threshold: f64) -> Result<Self> {
        crate::error::check_range("threshold", threshold, 0.0, 1.0)?;
        Ok(Self { threshold: Some(threshold), ..self })
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.positives.n_rows
    }

    /// Number of sigmoids a row.
    pub fn n_classes(&self) -> usize {
        self.positives.n_classes
    }

    /// Number of rows that count.
    pub fn counted(&self) -> usize {
        (0..self.n_rows()).filter(|&row| !self.positives.ignored(row)).count()
    }

    /// The value where class `class` is positive and where it is not; `None` outside the classes.
    pub fn on_off(&self, class: usize) -> Option<(f64, f64)> {
        (class < self.n_classes()).then(|| (self.mix(class, 1.0), self.mix(class, 0.0)))
    }

    /// One value; `None` for an ignored row or an index outside the shape.
    pub fn get(&self, row: usize, class: usize) -> Option<f64> {
        if row >= self.n_rows() || class >= self.n_classes() || self.positives.ignored(row) {
            return None;
        }
        Some(self.mix(class, self.positives.degree(row, class)))
    }

    /// Writes one row; false, and zeros, for an ignored one.
    ///
    /// # Errors
    /// [`Error::Shape`] unless `out` has one place a class, or for a row outside the shape.
    pub fn write_row(&self, row: usize, out: &mut [f64]) -> Result<bool> {
        check_len("the row to write to", self.n_classes(), out.len())?;
        if row >= self.n_rows() {
            return Err(Error::Shape { what: "targets, in rows,", expected: row + 1, got: self.n_rows() });
        }
        if self.positives.ignored(row) {
            out.fill(0.0);
            return Ok(false);
        }
        if let Form::Sets { offsets, classes } = &self.positives.form {
            // One pass over the set instead of one a class.
            out.iter_mut().enumerate().for_each(|(class, value)| *value = self.mix(class, 0.0));
            for &class in &classes[offsets[row]..offsets[row + 1]] {
                out[class as usize] = self.mix(class as usize, 1.0);
            }
        } else {
            for (class, value) in out.iter_mut().enumerate() {
                *value = self.get(row, class).unwrap_or(0.0);
            }
        }
        Ok(true)
    }

    /// The dense matrix `[n, n_classes]`; ignored rows are zero.
    pub fn dense_matrix(&self) -> Vec<f64> {
        let n_classes = self.n_classes();
        let value = |i: usize| self.get(i / n_classes, i % n_classes).unwrap_or(0.0);
        (0..self.n_rows() * n_classes).map(value).collect()
    }

    fn mix(&self, class: usize, degree: f64) -> f64 {
        // Exact at both ends.
        let value = self.off[class] * (1.0 - degree) + self.on[class] * degree;
        self.threshold.map_or(value, |threshold| f64::from(u8::from(value > threshold)))
    }
}

/// One row of [`BinaryTargets`].
#[derive(Debug, Clone, Copy)]
pub struct BinaryRow<'a> {
    targets: &'a BinaryTargets<'a>,
    row: usize,
}

impl<'a> BinaryRow<'a> {
    /// The row, or `None` if it is ignored.
    pub(super) fn new(targets: &'a BinaryTargets<'a>, row: usize) -> Option<Self> {
        (!targets.positives.ignored(row)).then_some(Self { targets, row })
    }

    /// The degree to which a class is positive, in [0, 1].
    ///
    /// # Panics
    /// If `class` is not below the number of classes.
    pub fn degree(&self, class: usize) -> f64 {
        self.targets.positives.degree(self.row, class)
    }

    /// The target of a class.
    ///
    /// # Panics
    /// If `class` is not below the number of classes.
    pub fn value(&self, class: usize) -> f64 {
        self.targets.mix(class, self.degree(class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::{Background, Targets};

    #[test]
    fn every_form_gives_the_same_matrix() {
        let one_of = Positives::one_of(Labels::new(&[2, 0], 3).unwrap());
        let sets = Positives::sets(vec![0, 1, 2], vec![2, 0], 3).unwrap();
        let dense = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
        let dense = Positives::dense(DenseRows::F64(&dense), 3).unwrap();
        let (on, off) = (vec![0.9, 0.8, 0.7], vec![0.1, 0.2, 0.3]);
        for positives in [one_of, sets, dense] {
            let targets = BinaryTargets::new(positives, on.clone(), off.clone()).unwrap();
            assert_eq!(targets.dense_matrix(), [0.1, 0.2, 0.7, 0.9, 0.2, 0.3]);
            let mut row = [0.0; 3];
            assert!(targets.write_row(1, &mut row).unwrap());
            assert_eq!(row, [0.9, 0.2, 0.3]);
        }
    }

    #[test]
    fn as_targets_of_a_batch_they_keep_values_positives_and_ignored_rows() {
        let labels = Labels::with_ignore(&[2, -1, 0], 3, Some(-1)).unwrap();
        let binary = BinaryTargets::new(Positives::one_of(labels), vec![0.9; 3], vec![0.2; 3]).unwrap();
        let want = binary.dense_matrix();
        let targets = Targets::binary(binary);
        assert_eq!((targets.n_rows(), targets.n_classes(), targets.counted()), (3, 3, 2));
        assert_eq!(targets.dense_matrix(), want);
        assert!(targets.row(1).is_none() && !targets.is_normalised());
        let row = targets.row(0).unwrap();
        assert_eq!([0, 1, 2].map(|class| row.explicit_mass(class)), [0.0, 0.0, 1.0]);
        assert_eq!(row.weigh(&[1.0, 2.0, 4.0]), 4.0);
        // A further smoothing starts from the values.
        let further = targets.smoothed(0.5, Background::Uniform);
        assert!((further.row(0).unwrap().dense(3)[2] - (0.45 + 0.5 / 3.0)).abs() < 1e-15);
    }

    #[test]
    fn ignored_rows_have_no_target() {
        let labels = Labels::with_ignore(&[1, -1], 2, Some(-1)).unwrap();
        let targets = BinaryTargets::new(Positives::binary(labels).unwrap(), vec![0.9], vec![0.0]).unwrap();
        assert_eq!((targets.counted(), targets.get(0, 0), targets.get(1, 0)), (1, Some(0.9), None));
        let mut row = [7.0];
        assert!(!targets.write_row(1, &mut row).unwrap());
        assert_eq!(row, [0.0]);
        assert!(targets.write_row(2, &mut row).is_err());
        assert!(targets.write_row(0, &mut []).is_err());
    }

    #[test]
    fn each_bad_argument_has_its_error() {
        assert!(Positives::binary(Labels::new(&[0], 3).unwrap()).is_err());
        assert!(matches!(Positives::sets(vec![0, 1], vec![3], 3), Err(Error::LabelOutOfRange { .. })));
        assert!(matches!(Positives::sets(vec![0, 2], vec![0], 3), Err(Error::Shape { .. })));
        assert!(matches!(Positives::dense(DenseRows::F64(&[0.5; 3]), 2), Err(Error::RaggedRows { .. })));
        assert!(matches!(
            Positives::dense(DenseRows::F64(&[0.5, 1.5]), 2),
            Err(Error::ProbabilityValue { class: 1, .. })
        ));
        let positives = Positives::one_of(Labels::new(&[0], 2).unwrap());
        assert!(BinaryTargets::new(positives.clone(), vec![1.0], vec![0.0; 2]).is_err());
        assert!(BinaryTargets::new(positives, vec![1.1; 2], vec![0.0; 2]).is_err());
    }
}
