//! CSV files: one column a class, a list in one cell, or one score a row.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::chunk::rows_of_chunk;
use super::class_names::label_of_text;
use super::fields::Layout;
use super::rows::{RowBuilder, RowParts, number, numbers};
use super::source::ChunkSource;
use super::{Chunk, Fields, Problem};
use crate::error::{Error, Result};

/// The rows of a CSV file with a header.
pub(super) struct CsvRows {
    path: PathBuf,
    reader: csv::Reader<Box<dyn Read + Send>>,
    headers: Vec<String>,
    layout: Layout,
    fields: Arc<Fields>,
    row: u64,
    width: Option<usize>,
}

impl CsvRows {
    pub(super) fn open(
        path: &Path,
        input: Box<dyn Read + Send>,
        delimiter: u8,
        fields: Arc<Fields>,
    ) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).delimiter(delimiter).from_reader(input);
        let headers: Vec<String> = reader
            .byte_headers()
            .map_err(|error| not_csv(path, &error))?
            .iter()
            .map(|name| String::from_utf8_lossy(name).trim().trim_start_matches('\u{feff}').to_owned())
            .collect();
        let names: Vec<&str> = headers.iter().map(String::as_str).collect();
        let layout = Layout::find(path, &names, &fields)?;
        let width = layout.width();
        Ok(Self { path: path.to_owned(), reader, headers, layout, fields, row: 0, width })
    }

    fn scores(&self, record: &csv::ByteRecord, scratch: &mut Vec<f64>) -> Result<(), Problem> {
        scratch.clear();
        if self.layout.kind.scores().is_some() && !self.layout.by_class {
            let column = self.layout.scores.first().copied().unwrap_or_default();
            return numbers(cell(record, column)?, self.name(column), scratch);
        }
        for &column in &self.layout.scores {
            scratch.push(number(cell(record, column)?, self.name(column))?);
        }
        Ok(())
    }

    fn name(&self, column: usize) -> &str {
        self.headers.get(column).map_or("", String::as_str)
    }
}

fn not_csv(path: &Path, error: &csv::Error) -> Error {
    Error::format(path, format!("not readable as CSV: {error}"))
}

/// A cell as text.
fn cell(record: &csv::ByteRecord, column: usize) -> Result<&str, Problem> {
    let bytes = record.get(column).unwrap_or_default();
    std::str::from_utf8(bytes).map_err(|_| Problem::new("unreadable", "is no text in UTF-8"))
}

impl ChunkSource for CsvRows {
    fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        let layout = &self.layout;
        let mut rows =
            RowBuilder::new(self.width, self.row, layout.weights.is_some(), layout.group.is_some());
        let most = rows_of_chunk(self.width.unwrap_or(16));
        let mut record = csv::ByteRecord::new();
        let mut scratch = Vec::new();
        while rows.n_rows() < most {
            if !self.reader.read_byte_record(&mut record).map_err(|error| not_csv(&self.path, &error))? {
                break;
            }
            let line = record.position().map_or(0, csv::Position::line);
            if record.len() != self.headers.len() {
                let text = format!("has {} cells, but the header has {}", record.len(), self.headers.len());
                rows.push_unreadable(line, Problem::new("ragged", text));
                continue;
            }
            let label = cell(&record, self.layout.labels).and_then(|text| {
                if text.trim().is_empty() {
                    return Err(Problem::new("null", format!("{} is empty", self.name(self.layout.labels))));
                }
                label_of_text(text, self.fields.class_names.as_ref())
                    .map_err(|text| Problem::new("label_text", text))
            });
            let weight = self
                .layout
                .weights
                .map(|column| cell(&record, column).and_then(|text| number(text, self.name(column))));
            let group = self.layout.group.map(|column| cell(&record, column).unwrap_or("(no text)"));
            let scores = self.scores(&record, &mut scratch);
            rows.push(line, scores.map(|()| scratch.as_slice()), RowParts { label, weight, group });
        }
        if rows.n_rows() == 0 {
            return Ok(None);
        }
        self.row += rows.n_rows() as u64;
        let (chunk, width) = rows.finish(self.layout.kind);
        self.width = width;
        Ok(Some(chunk))
    }
}
