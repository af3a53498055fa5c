//! Cells to numbers: standardised numbers with their median where one is missing, one column a category.
//!
//! The rules, all learnt from the training rows alone:
//! - a column is numeric if at least 95 % of its known cells read as numbers; then all of them must;
//! - a missing number becomes the median, and a column of its own says so if that happened in training;
//! - "missing" is a category like any other;
//! - a category that no training row has becomes zeros in every column of its kind, and is counted.

use std::collections::{BTreeMap, BTreeSet};

use candor::statistics::quantile_sorted;
use serde::{Deserialize, Serialize};

use super::table::Table;
use crate::error::{Error, Result};

/// Most categories of a column.
const MOST_CATEGORIES: usize = 200;
/// Share of numbers from which a column is taken to be numeric.
const NUMERIC: f64 = 0.95;
/// The category of cells where nothing is known.
const MISSING: &str = "(missing)";

/// How the cells of a column become numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Code {
    /// `(x - mean)/sd`, and a column of its own where cells were missing.
    Numeric { median: f64, mean: f64, sd: f64, indicator: bool },
    /// A column of zeros and ones for each.
    Categories(Vec<String>),
}

/// The codes of all features, in their order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Encoder {
    columns: Vec<(String, Code)>,
}

/// What the rules were applied to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counts {
    /// Missing numbers by column.
    imputed: BTreeMap<String, usize>,
    /// Cells with an unknown category by column.
    unseen: BTreeMap<String, usize>,
}

impl Counts {
    /// A sentence for each rule that was applied.
    pub fn notes(&self) -> Vec<String> {
        let listed = |counts: &BTreeMap<String, usize>| {
            let parts: Vec<String> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
            parts.join(", ")
        };
        let mut notes = Vec::new();
        if !self.imputed.is_empty() {
            let columns = listed(&self.imputed);
            notes.push(format!("missing numbers were set to the median of the training rows: {columns}"));
        }
        if !self.unseen.is_empty() {
            let columns = listed(&self.unseen);
            notes.push(format!(
                "categories that no training row has count as none of the known ones: {columns}"
            ));
        }
        notes
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

impl Encoder {
    /// Learns the codes of `features` from these rows; columns named in `categorical` hold names.
    ///
    /// # Errors
    /// [`Error::Format`] naming column and row: text among numbers, no known cell, too many categories.
    pub fn fit(table: &Table, features: &[usize], rows: &[usize], categorical: &[String]) -> Result<Self> {
        let mut columns = Vec::with_capacity(features.len());
        let mut crowded = Vec::new();
        for column in features.iter().map(|&index| &table.columns[index]) {
            let known: Vec<(usize, &str)> =
                rows.iter().filter_map(|&row| Some((row, column.cells[row].as_deref()?))).collect();
            if known.is_empty() {
                let problem = format!(
                    "column {:?} has no known cell in the training rows; leave it out with --drop {0}",
                    column.name
                );
                return Err(Error::format(&table.source, problem));
            }
            let numbers: Vec<f64> = known.iter().filter_map(|(_, text)| number(text)).collect();
            let share = numbers.len() as f64 / known.len() as f64;
            let code = if share >= NUMERIC && !categorical.contains(&column.name) {
                if let Some((row, text)) = known.iter().find(|(_, text)| number(text).is_none()) {
                    return Err(text_among_numbers(table, *row, &column.name, text));
                }
                numeric(table, &column.name, numbers, rows.len())?
            } else {
                let names: BTreeSet<&str> =
                    rows.iter().map(|&row| column.cells[row].as_deref().unwrap_or(MISSING)).collect();
                if names.len() > MOST_CATEGORIES {
                    crowded.push(format!("{} ({})", column.name, names.len()));
                }
                Code::Categories(names.into_iter().map(str::to_owned).collect())
            };
            columns.push((column.name.clone(), code));
        }
        if !crowded.is_empty() {
            let names: Vec<&str> =
                crowded.iter().filter_map(|text| text.rsplit_once(" (").map(|parts| parts.0)).collect();
            let problem = format!(
                "columns with more than {MOST_CATEGORIES} categories: {}; leave them out with --drop {}",
                crowded.join(", "),
                names.join(",")
            );
            return Err(Error::format(&table.source, problem));
        }
        if columns.is_empty() {
            return Err(Error::format(&table.source, "no column is left as a feature"));
        }
        Ok(Self { columns })
    }

    /// Number of values of an encoded row.
    pub fn width(&self) -> usize {
        self.columns
            .iter()
            .map(|(_, code)| match code {
                Code::Numeric { indicator, .. } => 1 + usize::from(*indicator),
                Code::Categories(names) => names.len(),
            })
            .sum()
    }

    /// Rows of numbers, one after the other, and what the rules were applied to.
    ///
    /// # Errors
    /// [`Error::Format`] for text in a numeric column, a number beyond single precision, or a column that the
    /// table lacks.
    pub fn encode(&self, table: &Table, rows: &[usize]) -> Result<(Vec<f32>, Counts)> {
        let width = self.width();
        let mut values = vec![0.0; rows.len() * width];
        let mut counts = Counts::default();
        let mut offset = 0;
        for (name, code) in &self.columns {
            let column = table.columns.iter().find(|column| column.name == *name).ok_or_else(|| {
                Error::format(&table.source, format!("has no column {name:?}, which the model needs"))
            })?;
            for (&row, out) in rows.iter().zip(values.chunks_exact_mut(width)) {
                let cell = column.cells[row].as_deref();
                match code {
                    Code::Numeric { median, mean, sd, indicator } => {
                        let value = match cell {
                            Some(text) => {
                                number(text).ok_or_else(|| text_among_numbers(table, row, name, text))?
                            }
                            None => {
                                *counts.imputed.entry(name.clone()).or_default() += 1;
                                if *indicator {
                                    out[offset + 1] = 1.0;
                                }
                                *median
                            }
                        };
                        let scaled = ((value - mean) / sd) as f32;
                        if !scaled.is_finite() {
                            let (path, at) = table.place(row);
                            let problem = format!(
                                "row {at}, column {name:?}: {value} is too large beside the training rows"
                            );
                            return Err(Error::format(path, problem));
                        }
                        out[offset] = scaled;
                    }
                    Code::Categories(names) => {
                        let category = cell.unwrap_or(MISSING);
                        match names.binary_search_by(|known| known.as_str().cmp(category)) {
                            Ok(index) => out[offset + index] = 1.0,
                            Err(_) => *counts.unseen.entry(name.clone()).or_default() += 1,
                        }
                    }
                }
            }
            offset += match code {
                Code::Numeric { indicator, .. } => 1 + usize::from(*indicator),
                Code::Categories(names) => names.len(),
            };
        }
        Ok((values, counts))
    }
}

fn numeric(table: &Table, name: &str, mut numbers: Vec<f64>, n_rows: usize) -> Result<Code> {
    let indicator = numbers.len() < n_rows;
    numbers.sort_by(f64::total_cmp);
    let median = quantile_sorted(&numbers, 0.5);
    // The moments are those of the column that the model sees.
    numbers.resize(n_rows, median);
    let n = n_rows as f64;
    let mean = numbers.iter().sum::<f64>() / n;
    let sd = (numbers.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n).sqrt();
    if !mean.is_finite() || !sd.is_finite() {
        let problem = format!(
            "column {name:?} has numbers that are too large to standardise; leave it out with --drop {name}"
        );
        return Err(Error::format(&table.source, problem));
    }
    // A column of equal numbers says nothing, and stays 0.
    Ok(Code::Numeric { median, mean, sd: if sd > 0.0 { sd } else { 1.0 }, indicator })
}

fn text_among_numbers(table: &Table, row: usize, name: &str, text: &str) -> Error {
    let (path, at) = table.place(row);
    Error::format(
        path,
        format!(
            "row {at}, column {name:?}: {text:?} is no finite number, but the column is numeric; mend it, leave it empty where it is unknown, or give --categorical {name}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::table::Column;
    use super::*;

    fn table(columns: &[(&str, &[&str])]) -> Table {
        let cells =
            |cells: &[&str]| cells.iter().map(|cell| (*cell != "?").then(|| (*cell).to_owned())).collect();
        let columns = columns
            .iter()
            .map(|(name, text)| Column { name: (*name).to_owned(), cells: cells(text) })
            .collect();
        Table { source: "t.csv".into(), columns, test: None }
    }

    #[test]
    fn numbers_are_standardised_and_missing_ones_become_the_median() {
        let table = table(&[("x", &["1", "3", "8", "?", "?"])]);
        let encoder = Encoder::fit(&table, &[0], &[0, 1, 2, 3], &[]).unwrap();
        // With the median 3 in place: 1, 3, 8, 3 have mean 3.75 and variance 6.6875.
        let (values, counts) = encoder.encode(&table, &[0, 4]).unwrap();
        let scaled = |x: f64| ((x - 3.75) / 6.6875f64.sqrt()) as f32;
        assert_eq!(values, [scaled(1.0), 0.0, scaled(3.0), 1.0]);
        assert_eq!(counts.notes(), ["missing numbers were set to the median of the training rows: x 1"]);
    }

    #[test]
    fn categories_have_a_column_each_and_unknown_ones_none() {
        let table = table(&[("c", &["b", "a", "?", "z"])]);
        let encoder = Encoder::fit(&table, &[0], &[0, 1, 2], &[]).unwrap();
        let (values, counts) = encoder.encode(&table, &[0, 1, 2, 3]).unwrap();
        // In the order (missing), a, b.
        assert_eq!(values, [0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(counts.notes().len(), 1);
        assert!(counts.notes()[0].ends_with("c 1"));
    }

    #[test]
    fn text_among_numbers_names_its_place_and_numbers_can_be_names() {
        let mut cells = vec!["1"; 39];
        cells.push("one");
        let table = table(&[("x", &cells)]);
        let all: Vec<usize> = (0..40).collect();
        let message = Encoder::fit(&table, &[0], &all, &[]).unwrap_err().to_string();
        assert!(message.starts_with("t.csv: row 39, column \"x\": \"one\" is no finite number"), "{message}");
        let encoder = Encoder::fit(&table, &[0], &all, &["x".to_owned()]).unwrap();
        assert_eq!(encoder.width(), 2);
        // Seen after the codes were learnt, it is no better.
        let encoder = Encoder::fit(&table, &[0], &all[..39], &[]).unwrap();
        assert!(encoder.encode(&table, &all).unwrap_err().to_string().contains("row 39"));
    }

    #[test]
    fn columns_that_say_nothing_or_too_much_are_named() {
        let many: Vec<String> = (0..300).map(|i| format!("n{i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let all: Vec<usize> = (0..300).collect();
        let message = Encoder::fit(&table(&[("id", &many)]), &[0], &all, &[]).unwrap_err().to_string();
        assert!(message.contains("id (300)") && message.ends_with("--drop id"), "{message}");
        let message =
            Encoder::fit(&table(&[("e", &["?", "?"])]), &[0], &[0, 1], &[]).unwrap_err().to_string();
        assert!(message.contains("no known cell") && message.ends_with("--drop e"), "{message}");
        let huge = Encoder::fit(&table(&[("h", &["1e308", "-1e308"])]), &[0], &[0, 1], &[]).unwrap_err();
        assert!(huge.to_string().contains("too large"), "{huge}");
        let constant = Encoder::fit(&table(&[("k", &["7", "7"])]), &[0], &[0, 1], &[]).unwrap();
        assert_eq!(constant.encode(&table(&[("k", &["7"])]), &[0]).unwrap().0, [0.0]);
    }
}
