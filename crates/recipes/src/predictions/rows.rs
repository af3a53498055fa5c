//! Builds chunks from rows of text, one at a time.

use std::collections::BTreeMap;

use super::{Chunk, Groups, InputKind, Problem, Values};

/// What a row of text held beside its scores.
pub(super) struct RowParts<'a> {
    pub(super) label: Result<i64, Problem>,
    pub(super) weight: Option<Result<f64, Problem>>,
    pub(super) group: Option<&'a str>,
}

/// A chunk that grows by rows.
pub(super) struct RowBuilder {
    width: Option<usize>,
    first_row: u64,
    values: Vec<f64>,
    labels: Vec<i64>,
    weights: Option<Vec<f64>>,
    groups: Option<Groups>,
    problems: BTreeMap<usize, Problem>,
}

impl RowBuilder {
    /// An empty chunk; `width` is known from the second chunk of a file on.
    pub(super) fn new(width: Option<usize>, first_row: u64, weighted: bool, grouped: bool) -> Self {
        Self {
            width,
            first_row,
            values: Vec::new(),
            labels: Vec::new(),
            weights: weighted.then(Vec::new),
            groups: grouped.then(Groups::default),
            problems: BTreeMap::new(),
        }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.labels.len()
    }

    /// Appends a row from this line of the file.
    pub(super) fn push(&mut self, line: u64, scores: Result<&[f64], Problem>, parts: RowParts<'_>) {
        let row = self.n_rows();
        let scores = scores.and_then(|scores| self.fitting(scores));
        let (weight, weight_problem) = match parts.weight {
            Some(Err(problem)) => (0.0, Some(problem)),
            Some(Ok(weight)) => (weight, None),
            None => (1.0, None),
        };
        let (label, label_problem) = match parts.label {
            Ok(label) => (label, None),
            Err(problem) => (0, Some(problem)),
        };
        let scores_problem = match scores {
            Ok(scores) => {
                self.values.extend_from_slice(scores);
                None
            }
            Err(problem) => {
                self.values.resize((row + 1) * self.width.unwrap_or(0), 0.0);
                Some(problem)
            }
        };
        self.labels.push(label);
        if let Some(weights) = &mut self.weights {
            weights.push(weight);
        }
        if let Some(groups) = &mut self.groups {
            groups.push(parts.group.filter(|group| !group.is_empty()).unwrap_or(super::chunk::NO_GROUP));
        }
        if let Some(problem) = scores_problem.or(label_problem).or(weight_problem) {
            let text = format!("line {line}: {}", problem.text);
            self.problems.insert(row, Problem { text, ..problem });
        }
    }

    /// Appends a row that could not be read at all.
    pub(super) fn push_unreadable(&mut self, line: u64, problem: Problem) {
        self.push(line, Err(problem), RowParts { label: Ok(0), weight: None, group: None });
    }

    /// Scores of as many classes as the rows before; the first ones set the number.
    fn fitting<'a>(&mut self, scores: &'a [f64]) -> Result<&'a [f64], Problem> {
        let width = *self.width.get_or_insert_with(|| {
            // Rows before the first readable one got no place yet.
            self.values.resize(self.labels.len() * scores.len(), 0.0);
            scores.len()
        });
        if scores.len() == width { Ok(scores) } else { Err(ragged(scores.len(), width)) }
    }

    /// The chunk, and the number of scores a row if it is known by now.
    pub(super) fn finish(self, kind: InputKind) -> (Chunk, Option<usize>) {
        let chunk = Chunk {
            first_row: self.first_row,
            kind,
            values: Values::F64(self.values),
            width: self.width.unwrap_or(0),
            labels: self.labels,
            weights: self.weights,
            groups: self.groups,
            problems: self.problems,
        };
        (chunk, self.width)
    }
}

/// The problem of a row with another number of scores than the first one.
pub(super) fn ragged(found: usize, width: usize) -> Problem {
    let text = match width {
        0 => "has no scores".to_owned(),
        _ => format!("has {found} scores, but the first row has {width}"),
    };
    Problem::new("ragged", text)
}

/// A cell that must hold a number.
pub(super) fn number(text: &str, what: &str) -> Result<f64, Problem> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::new("null", format!("{what} is empty")));
    }
    text.parse().map_err(|_| Problem::new("unreadable", format!("{what} is {text:?}, but must be a number")))
}

/// A cell that holds a list of numbers: between brackets, separated by commas, semicolons or spaces.
pub(super) fn numbers(text: &str, what: &str, into: &mut Vec<f64>) -> Result<(), Problem> {
    into.clear();
    let text = text.trim();
    if text.is_empty() {
        return Err(Problem::new("null", format!("{what} is empty")));
    }
    let inner = text.trim_start_matches(['[', '(']).trim_end_matches([']', ')']);
    let cells =
        inner.split(|c: char| c == ',' || c == ';' || c.is_whitespace()).filter(|cell| !cell.is_empty());
    for cell in cells {
        into.push(number(cell, what)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_before_the_first_readable_one_get_their_place() {
        let mut rows = RowBuilder::new(None, 10, false, false);
        rows.push_unreadable(2, Problem::new("unreadable", "no row"));
        let parts = || RowParts { label: Ok(1), weight: None, group: None };
        rows.push(3, Ok(&[0.5, 1.5]), parts());
        rows.push(4, Ok(&[0.5]), parts());
        let (chunk, width) = rows.finish(InputKind::Logits);
        assert_eq!((width, chunk.values), (Some(2), Values::F64(vec![0.0, 0.0, 0.5, 1.5, 0.0, 0.0])));
        assert_eq!(chunk.problems[&0].text, "line 2: no row");
        assert_eq!(
            chunk.problems[&2],
            Problem::new("ragged", "line 4: has 1 scores, but the first row has 2")
        );
    }

    #[test]
    fn lists_in_a_cell_are_read_however_they_are_written() {
        let mut values = Vec::new();
        for text in ["[1.0, -2.5]", "1;-2.5", "(1 -2.5)", " [ 1 -2.5 ] "] {
            numbers(text, "x", &mut values).unwrap();
            assert_eq!(values, [1.0, -2.5], "{text}");
        }
        assert_eq!(numbers("", "x", &mut values).unwrap_err().code, "null");
        assert_eq!(numbers("1,b", "x", &mut values).unwrap_err().text, "x is \"b\", but must be a number");
    }
}
