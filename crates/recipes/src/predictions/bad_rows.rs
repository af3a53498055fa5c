//! The rows that cannot be used: how many there are, of which kinds, and the first ones in full.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Problem;

/// What happens to rows that cannot be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnBad {
    /// They are counted to the end, and the request is refused.
    #[default]
    Refuse,
    /// They are left out and counted.
    Skip,
}

/// One row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRow {
    /// The file.
    pub file: String,
    /// The row within the file, from 0.
    pub row: u64,
    /// What was found, and what is accepted.
    pub problem: String,
}

/// All rows that cannot be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRows {
    /// Number of such rows.
    pub count: u64,
    /// The same by kind of problem.
    pub kinds: BTreeMap<String, u64>,
    /// The first ones, in the order of the files.
    pub first: Vec<BadRow>,
}

/// Rows that are described in full.
const SHOWN: usize = 5;

impl BadRows {
    /// Counts a row; rows must come in the order of the files.
    pub(crate) fn add(&mut self, file: &str, row: u64, problem: &Problem) {
        self.count += 1;
        // Looked up before it is owned: there may be millions of bad rows of one kind.
        match self.kinds.get_mut(problem.code) {
            Some(count) => *count += 1,
            None => {
                self.kinds.insert(problem.code.to_owned(), 1);
            }
        }
        if self.first.len() < SHOWN {
            self.first.push(BadRow { file: file.to_owned(), row, problem: problem.text.clone() });
        }
    }

    /// The kinds with their counts, in words.
    pub fn summary(&self) -> String {
        let kinds: Vec<String> =
            self.kinds.iter().map(|(kind, count)| format!("{} {count}", kind.replace('_', " "))).collect();
        kinds.join(", ")
    }

    /// The first rows in full, one a line.
    pub fn shown(&self) -> String {
        let lines: Vec<String> =
            self.first.iter().map(|bad| format!("{}, row {}: {}", bad.file, bad.row, bad.problem)).collect();
        lines.join("\n")
    }
}
