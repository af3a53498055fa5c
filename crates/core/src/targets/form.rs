//! The form in which the targets of a batch reach a kernel.

use std::borrow::Cow;

use rayon::prelude::*;

use super::row::{RowBackground, RowExplicit, RowTarget};
use super::{Background, BinaryRow, BinaryTargets, DenseRows, Explicit};
use crate::batch::Labels;
use crate::error::{Error, Result, check_range};
use crate::kernels::masses::sum_of_masses;

/// Largest accepted |sum - 1| of a row of [`Targets::distribution`].
pub const TARGET_TOLERANCE: f64 = 1e-4;

/// Masses that a thread checks at least.
const CHECKED_TOGETHER: usize = 1 << 15;

/// The strength α of a batch: one for all rows, or one a row.
#[derive(Debug, Clone)]
enum Smoothing<'a> {
    Constant(f64),
    PerRow(Cow<'a, [f64]>),
}

/// The target distributions of a batch, in the form they were given: `q = (1-α)·explicit + α·background`.
///
/// # Shapes
/// `n` rows over `n_classes` classes; nothing of that size is built.
///
/// # Examples
/// ```
/// use candor::{Labels, targets::{Background, Targets}};
/// let labels = [0, 2];
/// let targets = Targets::labels(Labels::new(&labels, 4)?).smoothed(0.1, Background::Uniform);
/// assert_eq!(targets.row(1).unwrap().dense(4), vec![0.025, 0.025, 0.925, 0.025]);
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Targets<'a> {
    n_rows: usize,
    n_classes: usize,
    explicit: Explicit<'a>,
    smoothing: Smoothing<'a>,
    background: Background<'a>,
    ignored: Option<Cow<'a, [bool]>>,
    normalised: bool,
    /// Whether the rows are checked when a loss reads them.
    deferred: bool,
}

impl<'a> Targets<'a> {
    /// One class a row, without smoothing.
    pub fn labels(labels: Labels<'a>) -> Self {
        Self::hard(labels.len(), labels.n_classes(), Explicit::Labels(labels), true)
    }

    /// A distribution a row, `[n, n_classes]`: soft labels, a teacher, Mixup.
    ///
    /// # Errors
    /// [`Error::TargetValue`] for a negative or non-finite mass, [`Error::TargetSum`] for a row whose
    /// sum differs from 1 by more than [`TARGET_TOLERANCE`], [`Error::RaggedRows`] for a wrong length.
    pub fn distribution(rows: DenseRows<'a>, n_classes: usize) -> Result<Self> {
        Self::dense(rows, n_classes, true)
    }

    /// [`distribution`](Self::distribution) whose rows are checked when a loss reads them, which spares a pass over
    /// memory: for a training's steps.
    ///
    /// A loss then has the errors of rows. Of a batch over more than 64 classes, cross-entropy checks each row
    /// just before it computes it, so that the gradients of other rows may have been written when it finds one; all
    /// else checks every row first. Rows that do not count are not checked.
    ///
    /// # Errors
    /// [`Error::RaggedRows`] for a wrong length.
    ///
    /// # Examples
    /// ```
    /// use candor::losses::{Batch, CrossEntropy};
    /// use candor::{Buffers, Error, targets::{DenseRows, Targets}};
    /// let rows = [0.5_f32, 0.5, 0.7, 0.5];
    /// let targets = Targets::distribution_deferred(DenseRows::F32(&rows), 2)?;
    /// let logits = [0.0_f32; 4];
    /// let found = CrossEntropy.value_grad(Batch::new(Buffers::Forward(&logits), &targets));
    /// assert!(matches!(found, Err(Error::TargetSum { row: 1, .. })));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn distribution_deferred(rows: DenseRows<'a>, n_classes: usize) -> Result<Self> {
        let n_rows = rows_of(rows, n_classes)?;
        Ok(Self { deferred: true, ..Self::hard(n_rows, n_classes, Explicit::Dense(rows), true) })
    }

    /// Any non-negative masses a row; the loss is `Σ q_k (-ln p_k)` and its gradient `s·p - q` with
    /// `s = Σ q_k`. For targets that are meant to be unnormalised; elsewhere take
    /// [`distribution`](Self::distribution).
    ///
    /// # Errors
    /// [`Error::TargetValue`] for a negative or non-finite mass, [`Error::RaggedRows`] for a wrong length.
    pub fn weights(rows: DenseRows<'a>, n_classes: usize) -> Result<Self> {
        Self::dense(rows, n_classes, false)
    }

    fn dense(rows: DenseRows<'a>, n_classes: usize, normalised: bool) -> Result<Self> {
        let n_rows = rows_of(rows, n_classes)?;
        let targets = Self::hard(n_rows, n_classes, Explicit::Dense(rows), normalised);
        targets.check_dense(|_| true)?;
        Ok(targets)
    }

    /// The masses of the dense rows that `asked` says.
    fn check_dense(&self, asked: impl Fn(usize) -> bool + Sync) -> Result<()> {
        let wrong = (0..self.n_rows)
            .into_par_iter()
            .with_min_len(CHECKED_TOGETHER.div_ceil(self.n_classes))
            .map(|row| if asked(row) { self.check_dense_row(row) } else { Ok(()) })
            .find_first(Result::is_err);
        wrong.unwrap_or(Ok(()))
    }

    /// The masses of a dense row.
    fn check_dense_row(&self, row: usize) -> Result<()> {
        let Explicit::Dense(rows) = self.explicit else { return Ok(()) };
        let (from, to) = (row * self.n_classes, (row + 1) * self.n_classes);
        let passes = match rows {
            DenseRows::F32(rows) => {
                sum_of_masses(&rows[from..to]).is_some_and(|sum| sum_passes(sum, self.normalised))
            }
            DenseRows::F64(rows) => passes(&rows[from..to], self.normalised),
        };
        if passes {
            return Ok(());
        }
        check_masses(row, (from..to).map(|at| rows.get(at)).enumerate(), self.normalised)
    }

    /// Whether rows are checked when they are read.
    pub(crate) fn is_deferred(&self) -> bool {
        self.deferred
    }

    /// The row's masses, if they were not checked before.
    pub(crate) fn check_deferred(&self, row: usize) -> Result<()> {
        if self.deferred { self.check_dense_row(row) } else { Ok(()) }
    }

    /// [`check_deferred`](Self::check_deferred) of all rows that count.
    pub(crate) fn check_all_deferred(&self) -> Result<()> {
        if self.deferred {
            return self.check_dense(|row| self.ignored.as_ref().is_none_or(|ignored| !ignored[row]));
        }
        Ok(())
    }

    /// A few (class, mass) pairs a row: top-k teachers, Mixup of labels, several annotators.
    ///
    /// Row `i` owns the pairs `offsets[i]..offsets[i+1]`.
    ///
    /// # Errors
    /// [`Error::Shape`] if offsets, classes and masses do not fit together, [`Error::LabelOutOfRange`]
    /// for a class outside `0..n_classes`, and those of [`distribution`](Self::distribution).
    pub fn sparse(
        offsets: impl Into<Cow<'a, [usize]>>,
        classes: impl Into<Cow<'a, [u32]>>,
        masses: impl Into<Cow<'a, [f64]>>,
        n_classes: usize,
    ) -> Result<Self> {
        let (offsets, classes, masses) = (offsets.into(), classes.into(), masses.into());
        if classes.len() != masses.len() {
            return Err(Error::Shape { what: "masses", expected: classes.len(), got: masses.len() });
        }
        let whole = offsets.first() == Some(&0) && offsets.last() == Some(&classes.len());
        if !whole || offsets.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(Error::Shape {
                what: "offsets, ascending from 0 to the number of pairs, their last",
                expected: classes.len(),
                got: offsets.last().copied().unwrap_or(0),
            });
        }
        for (row, range) in offsets.windows(2).enumerate() {
            let pairs = range[0]..range[1];
            for &class in &classes[pairs.clone()] {
                if class as usize >= n_classes {
                    let label = i64::from(class);
                    return Err(Error::LabelOutOfRange { row, label, n_classes, ignore_index: None });
                }
            }
            let values = pairs.map(|i| (classes[i] as usize, masses[i]));
            check_masses(row, values, true)?;
        }
        let n_rows = offsets.len() - 1;
        Ok(Self::hard(n_rows, n_classes, Explicit::Sparse { offsets, classes, masses }, true))
    }

    /// A probability for each class by itself, for a loss with one sigmoid for each class.
    ///
    /// A loss takes the smoothed values; its figures beside the loss take the positives.
    ///
    /// # Examples
    /// ```
    /// use candor::{Targets, targets::{BinaryHalf, BinaryRule, Positives}};
    /// let positives = Positives::sets(vec![0, 2], vec![0, 2], 3)?;
    /// let targets = Targets::binary(BinaryHalf::new(0.2)?.targets(positives)?);
    /// assert_eq!(targets.dense_matrix(), [0.9, 0.1, 0.9]);
    /// assert_eq!(targets.row(0).unwrap().explicit_mass(0), 1.0);
    /// # Ok::<(), candor::Error>(())
    /// ```
    pub fn binary(targets: BinaryTargets<'a>) -> Self {
        Self::hard(targets.n_rows(), targets.n_classes(), Explicit::Binary(targets), false)
    }

    fn hard(n_rows: usize, n_classes: usize, explicit: Explicit<'a>, normalised: bool) -> Self {
        Self {
            n_rows,
            n_classes,
            explicit,
            smoothing: Smoothing::Constant(0.0),
            background: Background::Uniform,
            ignored: None,
            normalised,
            deferred: false,
        }
    }

    /// Moves the share `smoothing` of every row to the background.
    ///
    /// Rules check the range of the strength; a negative one is legal here and gives the
    /// generalised smoothing of Wei et al. (2022). A loss refuses a strength that is not finite and
    /// a prior that does not fit.
    pub fn smoothed(mut self, smoothing: f64, background: Background<'a>) -> Self {
        self.smoothing = Smoothing::Constant(smoothing);
        self.background = background;
        self
    }

    /// Moves a share of its own of each row to the background.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one strength a row, [`Error::OutOfRange`] for one outside [0, 1].
    pub fn smoothed_per_row(
        mut self,
        smoothing: impl Into<Cow<'a, [f64]>>,
        background: Background<'a>,
    ) -> Result<Self> {
        let smoothing = smoothing.into();
        if smoothing.len() != self.n_rows {
            return Err(Error::Shape {
                what: "per-row smoothing",
                expected: self.n_rows,
                got: smoothing.len(),
            });
        }
        for &strength in smoothing.iter() {
            check_range("smoothing", strength, 0.0, 1.0)?;
        }
        self.smoothing = Smoothing::PerRow(smoothing);
        self.background = background;
        Ok(self)
    }

    /// Marks rows that do not count, for targets that are no labels.
    ///
    /// # Errors
    /// [`Error::Shape`] unless there is one flag a row.
    pub fn with_ignored(mut self, ignored: impl Into<Cow<'a, [bool]>>) -> Result<Self> {
        let ignored = ignored.into();
        if ignored.len() != self.n_rows {
            return Err(Error::Shape { what: "ignored", expected: self.n_rows, got: ignored.len() });
        }
        self.ignored = Some(ignored);
        Ok(self)
    }

    /// Number of rows.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Number of rows that count.
    pub fn counted(&self) -> usize {
        match (&self.ignored, &self.explicit) {
            (None, Explicit::Labels(labels)) => labels.counted(),
            (None, Explicit::Binary(targets)) => targets.counted(),
            (None, _) => self.n_rows,
            (Some(_), _) => (0..self.n_rows).filter(|&row| self.row(row).is_some()).count(),
        }
    }

    /// Whether every row is known to sum to 1.
    pub fn is_normalised(&self) -> bool {
        self.normalised
    }

    /// The un-smoothed part.
    pub fn explicit(&self) -> &Explicit<'a> {
        &self.explicit
    }

    /// The dense rows, if that is the form of the explicit part.
    pub fn dense_rows(&self) -> Option<DenseRows<'a>> {
        match self.explicit {
            Explicit::Dense(rows) => Some(rows),
            _ => None,
        }
    }

    /// The prior or priors of the background, `[n_classes]` or `[n_classes, n_classes]`.
    pub fn priors(&self) -> Option<&[f64]> {
        match &self.background {
            Background::Prior(priors) | Background::PriorOfLabel(priors) => Some(priors.values()),
            _ => None,
        }
    }

    /// Checks what [`smoothed`](Self::smoothed) was given; every loss does so once a batch.
    pub(crate) fn check_background(&self) -> Result<()> {
        if let Smoothing::Constant(smoothing) = self.smoothing {
            check_range("smoothing", smoothing, f64::MIN, f64::MAX)?;
        }
        let labelled = matches!(self.explicit, Explicit::Labels(_));
        let (what, expected) = match self.background {
            Background::OtherClasses if !self.normalised => {
                return Err(Error::LabelsNeeded { what: "the background of the other classes" });
            }
            Background::PriorOfLabel(_) if !labelled => {
                return Err(Error::LabelsNeeded { what: "the prior of the label" });
            }
            Background::Prior(_) => ("the prior", self.n_classes),
            Background::PriorOfLabel(_) => {
                ("the priors of the labels", self.n_classes.saturating_mul(self.n_classes))
            }
            Background::Uniform | Background::OtherClasses => return Ok(()),
        };
        let priors = self.priors().unwrap_or_default();
        if priors.len() != expected {
            return Err(Error::Shape { what, expected, got: priors.len() });
        }
        // A prior of a label that does not occur is not read, here as in the kernels.
        let rows = if expected == self.n_classes { vec![0] } else { self.labels_that_occur() };
        for start in rows.into_iter().map(|row| row * self.n_classes) {
            let prior = &priors[start..start + self.n_classes];
            if let Some(class) = prior.iter().position(|mass| !(mass.is_finite() && *mass >= 0.0)) {
                let (index, value) = (start + class, prior[class]);
                return Err(Error::WeightValue { what: "prior mass", index, value });
            }
        }
        Ok(())
    }

    /// The labels of the rows that count, each once, in ascending order; none for other forms.
    pub(crate) fn labels_that_occur(&self) -> Vec<usize> {
        let mut occurs = vec![false; self.n_classes];
        if let Explicit::Labels(labels) = &self.explicit {
            let ignored = |row: usize| self.ignored.as_ref().is_some_and(|ignored| ignored[row]);
            for label in (0..self.n_rows).filter(|&row| !ignored(row)).filter_map(|row| labels.get(row)) {
                occurs[label] = true;
            }
        }
        (0..self.n_classes).filter(|&class| occurs[class]).collect()
    }

    /// One row, or `None` if it is ignored.
    ///
    /// # Panics
    /// If `row` is not below [`n_rows`](Self::n_rows).
    #[inline(always)]
    pub fn row(&self, row: usize) -> Option<RowTarget<'_>> {
        if self.ignored.as_ref().is_some_and(|ignored| ignored[row]) {
            return None;
        }
        let explicit = match &self.explicit {
            Explicit::Labels(labels) => RowExplicit::Label(labels.get(row)?),
            Explicit::Sparse { offsets, classes, masses } => {
                let pairs = offsets[row]..offsets[row + 1];
                RowExplicit::Sparse(&classes[pairs.clone()], &masses[pairs])
            }
            Explicit::Dense(rows) => {
                RowExplicit::Dense(rows.slice(row * self.n_classes, (row + 1) * self.n_classes))
            }
            Explicit::Binary(targets) => RowExplicit::Binary(BinaryRow::new(targets, row)?),
        };
        let smoothing = match &self.smoothing {
            Smoothing::Constant(smoothing) => *smoothing,
            Smoothing::PerRow(smoothing) => smoothing[row],
        };
        let background = match (&self.background, explicit) {
            (Background::Uniform, _) => RowBackground::Uniform,
            (Background::OtherClasses, _) => RowBackground::OtherClasses,
            (Background::Prior(prior), _) => RowBackground::Prior(prior.values()),
            (Background::PriorOfLabel(priors), RowExplicit::Label(label)) => {
                RowBackground::Prior(&priors.values()[label * self.n_classes..(label + 1) * self.n_classes])
            }
            (Background::PriorOfLabel(_), _) => RowBackground::Uniform,
        };
        Some(RowTarget { explicit, smoothing, background })
    }

    /// The rows as labels over one background, if that is what they are.
    pub(crate) fn label_rows(&self) -> Option<LabelRows<'_>> {
        let Explicit::Labels(labels) = self.explicit else { return None };
        let background = match &self.background {
            Background::Uniform => RowBackground::Uniform,
            Background::OtherClasses => RowBackground::OtherClasses,
            Background::Prior(prior) => RowBackground::Prior(prior.values()),
            Background::PriorOfLabel(_) => return None,
        };
        let (smoothing, per_row) = match &self.smoothing {
            Smoothing::Constant(smoothing) => (*smoothing, None),
            Smoothing::PerRow(smoothing) => (0.0, Some(&**smoothing)),
        };
        Some(LabelRows { labels, ignored: self.ignored.as_deref(), smoothing, per_row, background })
    }

    /// The dense matrix `[n, n_classes]`; ignored rows are zero.
    pub fn dense_matrix(&self) -> Vec<f64> {
        (0..self.n_rows)
            .flat_map(|row| match self.row(row) {
                Some(target) => target.dense(self.n_classes),
                None => vec![0.0; self.n_classes],
            })
            .collect()
    }
}

/// Targets that are labels over one background, in a form whose rows are quick to make.
#[derive(Clone, Copy)]
pub(crate) struct LabelRows<'a> {
    labels: Labels<'a>,
    ignored: Option<&'a [bool]>,
    smoothing: f64,
    per_row: Option<&'a [f64]>,
    background: RowBackground<'a>,
}

impl<'a> LabelRows<'a> {
    /// The label of a row; `None` if it does not count.
    #[inline(always)]
    pub(crate) fn label(&self, row: usize) -> Option<usize> {
        if self.ignored.is_some_and(|ignored| ignored[row]) {
            return None;
        }
        self.labels.get(row)
    }

    /// [`Targets::row`], and its label.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> Option<(usize, RowTarget<'a>)> {
        let label = self.label(row)?;
        let smoothing = self.per_row.map_or(self.smoothing, |smoothing| smoothing[row]);
        let explicit = RowExplicit::Label(label);
        Some((label, RowTarget { explicit, smoothing, background: self.background }))
    }

    /// The labels of the rows from `first` on, and which of them count: the others get label 0.
    #[inline(always)]
    pub(crate) fn read(&self, first: usize, labels: &mut [u32], counts: &mut [bool]) {
        let data = &self.labels.data()[first..first + labels.len()];
        match self.labels.ignore_index() {
            Some(ignore) => {
                counts.iter_mut().zip(data).for_each(|(counts, label)| *counts = *label != ignore)
            }
            None => counts.fill(true),
        }
        if let Some(ignored) = self.ignored {
            counts.iter_mut().zip(&ignored[first..]).for_each(|(counts, ignored)| *counts &= !ignored);
        }
        for ((to, counts), label) in labels.iter_mut().zip(counts).zip(data) {
            *to = if *counts { *label as u32 } else { 0 };
        }
    }

    /// Whether every row counts.
    pub(crate) fn all_count(&self) -> bool {
        self.ignored.is_none() && self.labels.counted() == self.labels.len()
    }

    /// The strength of each row, if they have one each.
    pub(crate) fn strengths(&self) -> Option<&'a [f64]> {
        self.per_row
    }

    /// A row with any label, and with the strength of all rows if they have one: 0 if not.
    pub(crate) fn any(&self) -> RowTarget<'a> {
        RowTarget { explicit: RowExplicit::Label(0), smoothing: self.smoothing, background: self.background }
    }

    /// [`any`](Self::any), if all rows have one strength: they differ by their labels alone.
    pub(crate) fn alike(&self) -> Option<RowTarget<'a>> {
        self.per_row.is_none().then(|| self.any())
    }
}

/// How many rows of so many classes there are.
fn rows_of(rows: DenseRows<'_>, n_classes: usize) -> Result<usize> {
    if n_classes == 0 {
        return Err(Error::Shape { what: "the class axis", expected: 1, got: 0 });
    }
    if !rows.len().is_multiple_of(n_classes) {
        return Err(Error::RaggedRows { what: "targets", len: rows.len(), n_classes });
    }
    Ok(rows.len() / n_classes)
}

/// Whether a sum is 1 for sure: to half the tolerance, for it may be rounded.
pub(crate) fn is_one(sum: f64) -> bool {
    (sum - 1.0).abs() <= 0.5 * TARGET_TOLERANCE
}

/// Whether a sum is finite, and 1 for sure where it has to be.
fn sum_passes(sum: f64, normalised: bool) -> bool {
    sum.is_finite() && (!normalised || is_one(sum))
}

/// Whether a row passes for sure, in independent sums, which cost a fraction of one sum in order.
///
/// [`check_masses`] has the last word on the others and names what is wrong.
fn passes(values: &[f64], normalised: bool) -> bool {
    const LANES: usize = 16;
    let (mut sums, mut least) = ([0.0_f64; LANES], [0.0_f64; LANES]);
    let mut add = |lane: usize, value: f64| {
        sums[lane] += value;
        least[lane] = if value < least[lane] { value } else { least[lane] };
    };
    let chunks = values.chunks_exact(LANES);
    chunks.remainder().iter().enumerate().for_each(|(lane, value)| add(lane, *value));
    for chunk in chunks {
        chunk.iter().enumerate().for_each(|(lane, value)| add(lane, *value));
    }
    // NaN and infinity stay in a sum, and nothing is negative where every lane's least is 0.
    sum_passes(sums.iter().sum(), normalised) && least.iter().all(|value| *value == 0.0)
}

/// Checks the masses of one row.
fn check_masses(row: usize, values: impl Iterator<Item = (usize, f64)>, normalised: bool) -> Result<()> {
    let mut sum = 0.0;
    for (class, value) in values {
        if !(value >= 0.0 && value.is_finite()) {
            return Err(Error::TargetValue { row, class, value });
        }
        sum += value;
    }
    if normalised && (sum - 1.0).abs() > TARGET_TOLERANCE {
        return Err(Error::TargetSum { row, sum });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unnormalised_and_negative_rows_are_refused_by_distribution() {
        let rows = DenseRows::F32(&[0.5, 0.5, 0.5, 0.4]);
        assert!(matches!(Targets::distribution(rows, 2), Err(Error::TargetSum { row: 1, .. })));
        assert!(!Targets::weights(rows, 2).unwrap().is_normalised());
        let rows = DenseRows::F64(&[1.5, -0.5]);
        assert!(matches!(Targets::weights(rows, 2), Err(Error::TargetValue { row: 0, class: 1, .. })));
        let rows = DenseRows::F64(&[f64::NAN, 1.0]);
        assert!(matches!(Targets::weights(rows, 2), Err(Error::TargetValue { .. })));
        assert!(matches!(
            Targets::weights(DenseRows::F64(&[1.0, 0.0, 0.0]), 2),
            Err(Error::RaggedRows { .. })
        ));
    }

    #[test]
    fn sparse_rows_are_checked() {
        let ok = Targets::sparse(vec![0, 2, 3], vec![0, 2, 1], vec![0.3, 0.7, 1.0], 3).unwrap();
        assert_eq!(ok.row(0).unwrap().dense(3), vec![0.3, 0.0, 0.7]);
        assert_eq!(ok.dense_matrix()[3..], [0.0, 1.0, 0.0]);
        let cases: [(Vec<usize>, Vec<u32>, Vec<f64>); 5] = [
            (vec![0, 1], vec![3], vec![1.0]),
            (vec![0, 1], vec![0], vec![0.5]),
            (vec![0, 2], vec![0], vec![1.0]),
            (vec![0, 1], vec![0], vec![]),
            (vec![], vec![], vec![]),
        ];
        for (offsets, classes, masses) in cases {
            assert!(Targets::sparse(offsets, classes, masses, 3).is_err());
        }
    }

    #[test]
    fn off_class_smoothing_of_soft_rows_is_the_mixture_of_off_class_rows() {
        let soft = Targets::sparse(vec![0, 2], vec![0, 2], vec![0.3, 0.7], 3).unwrap();
        let q = soft.smoothed(0.2, Background::OtherClasses).dense_matrix();
        for (got, want) in q.iter().zip([0.3 * 0.8 + 0.7 * 0.1, 0.1, 0.7 * 0.8 + 0.3 * 0.1]) {
            assert!((got - want).abs() < 1e-15, "{q:?}");
        }
    }

    #[test]
    fn ignored_rows_have_no_target() {
        let labels = [0, -100, 1];
        let targets = Targets::labels(Labels::with_ignore(&labels, 2, Some(-100)).unwrap());
        assert_eq!(targets.counted(), 2);
        assert!(targets.row(1).is_none());
        let rows = [0.5, 0.5, 1.0, 0.0];
        let soft = Targets::distribution(DenseRows::F64(&rows), 2).unwrap();
        let soft = soft.with_ignored(vec![true, false]).unwrap();
        assert_eq!(soft.counted(), 1);
        assert!(soft.row(0).is_none());
    }

    #[test]
    fn the_other_classes_of_a_distribution_are_those_of_each_of_its_labels() {
        let rows = [1.0, 0.0, 0.0, 0.5, 0.5, 0.0];
        let soft = Targets::distribution(DenseRows::F64(&rows), 3).unwrap();
        let got = soft.smoothed(0.3, Background::OtherClasses).dense_matrix();
        // A one-hot row is its label; the half-and-half row the mean of two labels.
        for (got, want) in got.iter().zip([0.7, 0.15, 0.15, 0.425, 0.425, 0.15]) {
            assert!((got - want).abs() < 1e-15, "{got} {want}");
        }
    }

    #[test]
    fn priors_of_labels_are_checked_where_they_are_read() {
        let labels = [2, 0, -100];
        let labels = Targets::labels(Labels::with_ignore(&labels, 3, Some(-100)).unwrap());
        assert_eq!(labels.labels_that_occur(), [0, 2]);
        for (bad, refused) in [(1, true), (4, false), (8, true)] {
            let mut priors = vec![0.5; 9];
            priors[bad] = f64::NAN;
            let smoothed = labels.clone().smoothed(0.1, Background::PriorOfLabel(priors.into()));
            let error = smoothed.check_background().err();
            let named = matches!(error, Some(Error::WeightValue { index, .. }) if index == bad);
            assert_eq!((error.is_some(), named), (refused, refused), "{error:?}");
        }
    }

    #[test]
    fn each_row_can_have_its_own_strength() {
        let labels = [0, 1];
        let hard = Targets::labels(Labels::new(&labels, 2).unwrap());
        let soft = hard.clone().smoothed_per_row(vec![0.0, 0.5], Background::Uniform).unwrap();
        assert_eq!(soft.dense_matrix(), vec![1.0, 0.0, 0.25, 0.75]);
        assert!(matches!(
            hard.clone().smoothed_per_row(vec![0.1], Background::Uniform),
            Err(Error::Shape { .. })
        ));
        assert!(matches!(
            hard.smoothed_per_row(vec![0.1, 1.1], Background::Uniform),
            Err(Error::OutOfRange { .. })
        ));
    }
}
