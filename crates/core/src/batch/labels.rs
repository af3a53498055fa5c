//! Class indices, with the rows that do not count.

use crate::error::{Error, Result};

/// Class indices from 0, one a row, checked against the number of classes.
///
/// Rows whose label equals `ignore_index` count nowhere: not in the loss, not in its
/// denominator, not in a metric.
///
/// # Examples
/// ```
/// use candor::Labels;
/// let labels = Labels::with_ignore(&[0, 2, -100], 3, Some(-100))?;
/// assert_eq!((labels.len(), labels.counted()), (3, 2));
/// assert_eq!(labels.get(2), None);
/// assert!(Labels::new(&[3], 3).is_err());
/// # Ok::<(), candor::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    data: &'a [i64],
    n_classes: usize,
    ignore_index: Option<i64>,
    counted: usize,
}

impl<'a> Labels<'a> {
    /// Labels without ignored rows.
    ///
    /// # Errors
    /// [`Error::LabelOutOfRange`] for the first label outside `0..n_classes`.
    pub fn new(data: &'a [i64], n_classes: usize) -> Result<Self> {
        Self::with_ignore(data, n_classes, None)
    }

    /// Labels of which those equal to `ignore_index` do not count.
    ///
    /// `ignore_index` may be a class index too; its rows are then ignored (PyTorch does the same).
    ///
    /// # Errors
    /// [`Error::LabelOutOfRange`] for the first label that is neither a class nor `ignore_index`.
    pub fn with_ignore(data: &'a [i64], n_classes: usize, ignore_index: Option<i64>) -> Result<Self> {
        if n_classes == 0 {
            return Err(Error::Shape { what: "the class axis", expected: 1, got: 0 });
        }
        let mut ignored = 0;
        for (row, &label) in data.iter().enumerate() {
            if Some(label) == ignore_index {
                ignored += 1;
            } else if label < 0 || label as u64 >= n_classes as u64 {
                return Err(Error::LabelOutOfRange { row, label, n_classes, ignore_index });
            }
        }
        Ok(Self { data, n_classes, ignore_index, counted: data.len() - ignored })
    }

    /// Number of rows, ignored ones included.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there is no row at all.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Number of rows that count.
    pub fn counted(&self) -> usize {
        self.counted
    }

    /// Checks that the labels are over as many classes as a rule was made for.
    pub(crate) fn check_classes(&self, expected: usize) -> Result<()> {
        crate::error::check_len("the class axis of the labels", expected, self.n_classes)
    }

    /// `rows` rows from row `from` on.
    pub(crate) fn rows(&self, from: usize, rows: usize) -> Labels<'a> {
        let data = &self.data[from..from + rows];
        let ignored =
            self.ignore_index.map_or(0, |ignore| data.iter().filter(|label| **label == ignore).count());
        Labels { data, counted: rows - ignored, ..*self }
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// The label that marks ignored rows.
    pub fn ignore_index(&self) -> Option<i64> {
        self.ignore_index
    }

    /// The labels as given.
    pub fn data(&self) -> &'a [i64] {
        self.data
    }

    /// The class of a row, or `None` for an ignored one.
    ///
    /// # Panics
    /// If `row` is not below [`len`](Self::len).
    #[inline]
    pub fn get(&self, row: usize) -> Option<usize> {
        let label = self.data[row];
        (Some(label) != self.ignore_index).then_some(label as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bad_label_is_named() {
        for bad in [-1, 3, i64::MAX, i64::MIN] {
            assert_eq!(
                Labels::with_ignore(&[0, bad, 7], 3, Some(-100)).unwrap_err(),
                Error::LabelOutOfRange { row: 1, label: bad, n_classes: 3, ignore_index: Some(-100) }
            );
        }
    }

    #[test]
    fn a_class_can_be_the_ignored_label() {
        let labels = Labels::with_ignore(&[0, 1, 0], 2, Some(0)).unwrap();
        assert_eq!(labels.counted(), 1);
        assert_eq!((labels.get(0), labels.get(1)), (None, Some(1)));
    }
}
