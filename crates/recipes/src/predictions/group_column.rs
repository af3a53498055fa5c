//! One column of a prediction file as text: the group of every row.

use std::fs::File;
use std::path::Path;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::{Error, Result};

/// Reads a column of a Parquet file as text, one value a row; nulls become an empty text.
///
/// # Errors
/// [`Error::Io`], or [`Error::Format`] for another format or naming the columns that there are.
pub fn read(path: &Path, column: &str) -> Result<Vec<String>> {
    let file = File::open(path).map_err(Error::io(path, "opening"))?;
    let not_parquet =
        |error: &dyn std::fmt::Display| Error::format(path, format!("not readable as Parquet: {error}"));
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| not_parquet(&error))?;
    let names: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
    let Some(at) = names.iter().position(|name| name == column) else {
        let problem = format!("has no column {column:?} to group by; it has {}", names.join(", "));
        return Err(Error::format(path, problem));
    };
    let mut groups = Vec::new();
    for batch in builder.build().map_err(|error| not_parquet(&error))? {
        let batch = batch.map_err(|error| not_parquet(&error))?;
        let values = batch.column(at);
        let options = FormatOptions::default();
        let text = ArrayFormatter::try_new(values.as_ref(), &options)
            .map_err(|error| Error::format(path, format!("the column {column:?} is no text: {error}")))?;
        groups.extend((0..values.len()).map(|row| text.value(row).to_string()));
    }
    Ok(groups)
}
