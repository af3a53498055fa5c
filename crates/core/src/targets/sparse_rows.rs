//! Collects rows of a few (class, mass) pairs, for the rules that make them.

use super::Targets;
use crate::error::Result;

/// Rows of (class, mass) pairs under construction.
#[derive(Debug, Default)]
pub(super) struct SparseRows {
    offsets: Vec<usize>,
    classes: Vec<u32>,
    masses: Vec<f64>,
    ignored: Vec<bool>,
}

impl SparseRows {
    /// An empty collection with room for `rows` rows.
    pub(super) fn with_capacity(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { offsets, ignored: Vec::with_capacity(rows), ..Self::default() }
    }

    /// Adds mass to a class of the row under construction; pairs of the same class are merged.
    pub(super) fn add(&mut self, class: usize, mass: f64) {
        let start = self.offsets.last().copied().unwrap_or(0);
        match self.classes[start..].iter().position(|&known| known as usize == class) {
            Some(position) => self.masses[start + position] += mass,
            None if mass > 0.0 => {
                // Class indices are checked to fit when labels are.
                self.classes.push(class as u32);
                self.masses.push(mass);
            }
            None => {}
        }
    }

    /// Ends the row under construction.
    pub(super) fn end_row(&mut self) {
        self.offsets.push(self.classes.len());
        self.ignored.push(false);
    }

    /// Adds a row that does not count.
    pub(super) fn ignored_row(&mut self) {
        // A row must be a distribution even where nobody reads it.
        self.add(0, 1.0);
        self.offsets.push(self.classes.len());
        self.ignored.push(true);
    }

    /// The targets.
    pub(super) fn finish(self, n_classes: usize) -> Result<Targets<'static>> {
        let targets = Targets::sparse(self.offsets, self.classes, self.masses, n_classes)?;
        if self.ignored.contains(&true) { targets.with_ignored(self.ignored) } else { Ok(targets) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_one_class_are_merged_within_a_row_only() {
        let mut rows = SparseRows::with_capacity(3);
        rows.add(1, 0.25);
        rows.add(0, 0.0);
        rows.add(1, 0.75);
        rows.end_row();
        rows.ignored_row();
        rows.add(1, 1.0);
        rows.end_row();
        let targets = rows.finish(2).unwrap();
        assert_eq!(targets.dense_matrix(), [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        assert_eq!(targets.counted(), 2);
    }
}
