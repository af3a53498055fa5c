//! Labels from files, and target rows into files, for other frameworks.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Float64Array, Int64Array, ListArray, RecordBatch, StringArray, UInt32Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use candor::Targets;
use candor::targets::{RowBackground, RowExplicit};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::{Error, Result};
use crate::files;
use crate::predictions::read_npy_labels;

/// Reads class indices from `.npy`, or from a column of `.parquet` or `.csv`.
///
/// # Errors
/// [`Error::Io`], or [`Error::Format`] naming column and row.
pub fn read_labels(path: &Path, column: &str) -> Result<Vec<i64>> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("npy") => read_npy_labels(path),
        Some("parquet") => parquet_labels(path, column),
        Some("csv") => csv_labels(path, column),
        _ => Err(Error::format(path, "the labels must end in .npy, .parquet or .csv")),
    }
}

fn parquet_labels(path: &Path, column: &str) -> Result<Vec<i64>> {
    let file = std::fs::File::open(path).map_err(Error::io(path, "opening"))?;
    let bad =
        |error: &dyn std::fmt::Display| Error::format(path, format!("not readable as Parquet: {error}"));
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| bad(&error))?;
    let mut labels = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|error| bad(&error))?;
        let array = batch
            .column_by_name(column)
            .ok_or_else(|| Error::format(path, format!("has no column {column:?}")))?;
        if !array.data_type().is_integer() {
            let problem =
                format!("column {column:?} has type {}, but labels need integers", array.data_type());
            return Err(Error::format(path, problem));
        }
        let wide = arrow::compute::cast(array, &DataType::Int64).map_err(|error| bad(&error))?;
        let Some(wide) = wide.as_any().downcast_ref::<Int64Array>() else {
            return Err(Error::Internal("a cast to 64 bits gave another type".to_owned()));
        };
        if let Some(row) = (0..wide.len()).find(|&row| wide.is_null(row)) {
            return Err(Error::format(path, format!("row {}: the label is null", labels.len() + row)));
        }
        labels.extend(wide.values());
    }
    Ok(labels)
}

fn csv_labels(path: &Path, column: &str) -> Result<Vec<i64>> {
    let bad = |error: csv::Error| Error::format(path, format!("not readable as CSV: {error}"));
    let mut reader = csv::Reader::from_path(path).map_err(bad)?;
    let headers = reader.headers().map_err(bad)?.clone();
    let index = headers.iter().position(|name| name.trim() == column).ok_or_else(|| {
        let names: Vec<&str> = headers.iter().collect();
        Error::format(path, format!("has no column {column:?}; it has {}", names.join(", ")))
    })?;
    reader
        .records()
        .enumerate()
        .map(|(row, record)| {
            let record = record.map_err(bad)?;
            let text = record.get(index).unwrap_or_default().trim().to_owned();
            text.parse()
                .map_err(|_| Error::format(path, format!("row {row}: the label {text:?} is no class index")))
        })
        .collect()
}

fn write_columns(path: &Path, columns: Vec<(&str, ArrayRef)>) -> Result<()> {
    let batch = RecordBatch::try_from_iter(columns).map_err(|error| Error::Internal(error.to_string()))?;
    files::write_atomic(path, |file| {
        let mut writer = ArrowWriter::try_new(file, batch.schema(), None)?;
        writer.write(&batch)?;
        writer.close()?;
        Ok(())
    })
}

fn lists(lengths: impl IntoIterator<Item = usize>, values: ArrayRef) -> Result<ArrayRef> {
    let item = Arc::new(Field::new("item", values.data_type().clone(), false));
    ListArray::try_new(item, OffsetBuffer::from_lengths(lengths), values, None)
        .map(|list| Arc::new(list) as ArrayRef)
        .map_err(|error| Error::Internal(error.to_string()))
}

/// Writes `labels` and `targets` (a list of masses a row).
///
/// # Errors
/// [`Error::Io`].
pub fn write_dense_parquet(path: &Path, labels: &[i64], rows: &[f64], n_classes: usize) -> Result<()> {
    let targets = lists(labels.iter().map(|_| n_classes), Arc::new(Float64Array::from(rows.to_vec())))?;
    write_columns(path, vec![("labels", Arc::new(Int64Array::from(labels.to_vec()))), ("targets", targets)])
}

/// Writes `labels`, the explicit `classes` with their `masses`, and what is spread over the others: the mass
/// `background` in the way that `background_kind` names. Ignored rows have empty lists.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] for rows with a prior, whose background is no short list.
pub fn write_sparse_parquet(path: &Path, labels: &[i64], targets: &Targets<'_>) -> Result<()> {
    let (mut lengths, mut classes, mut masses) = (Vec::new(), Vec::new(), Vec::new());
    let (mut background, mut kinds) = (Vec::new(), Vec::new());
    for row in 0..targets.n_rows() {
        let before = classes.len();
        let Some(target) = targets.row(row) else {
            lengths.push(0);
            background.push(0.0);
            kinds.push("ignored");
            continue;
        };
        let hard = 1.0 - target.smoothing;
        match target.explicit {
            RowExplicit::Label(label) => {
                classes.push(label as u32);
                masses.push(hard);
            }
            RowExplicit::Sparse(some, share) => {
                classes.extend_from_slice(some);
                masses.extend(share.iter().map(|mass| mass * hard));
            }
            _ => return Err(Error::format(path, "this rule gives dense rows; leave out --sparse")),
        }
        lengths.push(classes.len() - before);
        background.push(target.smoothing);
        kinds.push(match target.background {
            RowBackground::Uniform => "uniform",
            RowBackground::OtherClasses => "other_classes",
            _ => return Err(Error::format(path, "this rule spreads mass by a prior; leave out --sparse")),
        });
    }
    write_columns(
        path,
        vec![
            ("labels", Arc::new(Int64Array::from(labels.to_vec()))),
            ("classes", lists(lengths.iter().copied(), Arc::new(UInt32Array::from(classes)))?),
            ("masses", lists(lengths.iter().copied(), Arc::new(Float64Array::from(masses)))?),
            ("background", Arc::new(Float64Array::from(background))),
            ("background_kind", Arc::new(StringArray::from(kinds))),
        ],
    )
}

/// Writes `label` and one column a class: `target_0`, `target_1`, …
///
/// # Errors
/// [`Error::Io`].
pub fn write_dense_csv(path: &Path, labels: &[i64], rows: &[f64], n_classes: usize) -> Result<()> {
    files::write_atomic(path, |file| {
        let mut out = std::io::BufWriter::new(file);
        write!(out, "label")?;
        for class in 0..n_classes {
            write!(out, ",target_{class}")?;
        }
        writeln!(out)?;
        for (label, row) in labels.iter().zip(rows.chunks_exact(n_classes.max(1))) {
            write!(out, "{label}")?;
            for mass in row {
                write!(out, ",{mass}")?;
            }
            writeln!(out)?;
        }
        out.flush()
    })
}
