//! A stretch of rows as a file gives them: scores, labels and what else was asked for, with the rows that
//! cannot be used marked.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{ScoreKind, Values};

/// What a file says about each row; never guessed from the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum InputKind {
    /// One unnormalised score a class.
    Logits,
    /// One probability a class, which sum to 1.
    Probs,
    /// The probability of class 1, with labels 0 and 1.
    Binary,
    /// The probability of the predicted class, and whether it was right; the classes are not known.
    Confidence,
}

impl InputKind {
    /// The name in outputs.
    pub fn name(self) -> &'static str {
        match self {
            InputKind::Logits => "logits",
            InputKind::Probs => "probs",
            InputKind::Binary => "binary",
            InputKind::Confidence => "confidence",
        }
    }

    /// What the scores are, for rows with one score a class.
    pub fn scores(self) -> Option<ScoreKind> {
        match self {
            InputKind::Logits => Some(ScoreKind::Logits),
            InputKind::Probs => Some(ScoreKind::Probs),
            InputKind::Binary | InputKind::Confidence => None,
        }
    }
}

impl From<ScoreKind> for InputKind {
    fn from(kind: ScoreKind) -> Self {
        match kind {
            ScoreKind::Logits => InputKind::Logits,
            ScoreKind::Probs => InputKind::Probs,
        }
    }
}

/// Why a row cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The stable code that problems are counted by.
    pub code: &'static str,
    /// What was found, and what is accepted.
    pub text: String,
}

impl Problem {
    pub(crate) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// Rows in a row of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Chunk {
    /// Number of the first row within its file, from 0.
    pub first_row: u64,
    /// What the values are.
    pub kind: InputKind,
    /// The values, `width` a row.
    pub values: Values,
    /// Number of classes, or 1 for one score a row.
    pub width: usize,
    /// Class indices; for [`InputKind::Confidence`] 1 where the prediction was right.
    pub labels: Vec<i64>,
    /// Weights of the rows, if a column was asked for.
    pub weights: Option<Vec<f64>>,
    /// Groups of the rows, if a column was asked for.
    pub groups: Option<Groups>,
    /// The rows that cannot be used, by their place in this chunk; what they hold elsewhere means nothing.
    pub problems: BTreeMap<usize, Problem>,
}

impl Chunk {
    /// Number of rows, bad ones included.
    pub fn n_rows(&self) -> usize {
        self.labels.len()
    }

    /// Marks a row as bad; the first problem of a row stays.
    pub(crate) fn reject(&mut self, row: usize, problem: Problem) {
        self.problems.entry(row).or_insert(problem);
    }

    /// The values of one row; empty for a row that is not there.
    pub(crate) fn row_of<'a, T>(&self, values: &'a [T], row: usize) -> &'a [T] {
        values.get(row * self.width..(row + 1) * self.width).unwrap_or_default()
    }

    /// Classes that the kind and the width stand for.
    pub fn n_classes(&self) -> usize {
        match self.kind {
            InputKind::Logits | InputKind::Probs => self.width,
            InputKind::Binary | InputKind::Confidence => 2,
        }
    }
}

/// A column of few different words: each word once, and its index for each row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    names: Vec<String>,
    index: HashMap<String, u32>,
    rows: Vec<u32>,
}

impl Groups {
    /// Appends the group of one row.
    pub(crate) fn push(&mut self, name: &str) {
        let place = match self.index.get(name) {
            Some(place) => *place,
            None => {
                let place = self.names.len() as u32;
                self.names.push(name.to_owned());
                self.index.insert(name.to_owned(), place);
                place
            }
        };
        self.rows.push(place);
    }

    /// The different groups, in the order of their first row.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The group of a row, if there is such a row.
    pub fn of_row(&self, row: usize) -> Option<&str> {
        Some(self.names.get(*self.rows.get(row)? as usize)?)
    }

    /// Index into [`names`](Self::names) of each row.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }
}

/// What stands for a missing group.
pub(crate) const NO_GROUP: &str = "(missing)";

/// Values of a chunk, so that a chunk of any width takes a few megabytes.
const CHUNK_VALUES: usize = 1 << 19;

/// Rows of a chunk with so many values a row.
pub(crate) fn rows_of_chunk(width: usize) -> usize {
    (CHUNK_VALUES / width.max(1)).clamp(16, 1 << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_stored_once() {
        let mut groups = Groups::default();
        ["b", "a", "b"].into_iter().for_each(|name| groups.push(name));
        assert_eq!((groups.names(), groups.rows()), (&["b".to_owned(), "a".to_owned()][..], &[0, 1, 0][..]));
    }

    #[test]
    fn chunks_stay_small_at_any_width() {
        assert_eq!((rows_of_chunk(1), rows_of_chunk(10), rows_of_chunk(0)), (65_536, 52_428, 65_536));
        assert_eq!(rows_of_chunk(1 << 20), 16);
    }
}
