//! The content of a page: plain words, tables and figures, before any markup.

use serde::{Deserialize, Serialize};

use super::Figure;
use crate::report::Warning;

/// A report in the order in which it is read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// What the page is about.
    pub title: String,
    /// One or two sentences: what was done to get here.
    pub lead: String,
    /// Short facts under the lead: name and value.
    pub facts: Vec<(String, String)>,
    /// The answer in plain words; the first sentence is set large.
    pub verdict: Vec<String>,
    /// The measures that the verdict names, in a sentence.
    pub explanation: String,
    /// What to do.
    pub recommendation: Option<String>,
    /// What to look out for, with remedies.
    pub warnings: Vec<Warning>,
    /// The figures in numbers.
    pub tables: Vec<Table>,
    /// The pictures.
    pub figures: Vec<Figure>,
    /// The complete settings: key and value.
    pub configuration: Vec<(String, String)>,
    /// Words that the page uses, explained.
    pub glossary: Vec<(String, String)>,
}

/// A table that can be sorted by each of its columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// What it lists.
    pub title: String,
    /// How to read it, below.
    pub note: String,
    /// The columns.
    pub headings: Vec<Heading>,
    /// The rows, each with one cell a column.
    pub rows: Vec<Row>,
}

/// The head of a column.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// Short name.
    pub name: String,
    /// What it means, shown on hover; may be empty.
    pub explanation: String,
}

impl Heading {
    /// A head with its explanation.
    pub fn new(name: &str, explanation: &str) -> Self {
        Self { name: name.to_owned(), explanation: explanation.to_owned() }
    }
}

/// A row of a table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The cells.
    pub cells: Vec<Cell>,
    /// Whether it is the recommended one, which is set off.
    pub recommended: bool,
}

/// A cell: what is shown, and the number that it is sorted by.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// What is shown.
    pub text: String,
    /// A second, smaller line; may be empty.
    pub below: String,
    /// What it is sorted by; without one, by the text. Always finite; what is not sorts last.
    pub key: Option<f64>,
}

impl Cell {
    /// A cell of words.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A cell that shows a number in its own words.
    pub fn number(text: impl Into<String>, key: f64) -> Self {
        Self { text: text.into(), below: String::new(), key: Some(key).filter(|key| key.is_finite()) }
    }

    /// The same with a second line.
    pub fn with_below(self, below: impl Into<String>) -> Self {
        Self { below: below.into(), ..self }
    }
}
