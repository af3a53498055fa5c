//! Prediction files in Parquet: `labels` with `logits` or `probs` as a list column or one column a class.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;

use super::arrow_rows::{ArrowRows, layout};
use super::chunk::rows_of_chunk;
use super::{Fields, Predictions, Values};
use crate::error::{Error, Result};
use crate::files::write_atomic;

/// Rows of a batch while writing.
const BATCH_ROWS: usize = 65_536;

/// Writes predictions: `labels` (int64) and `logits` or `probs` (fixed-size list of floats).
///
/// # Errors
/// [`Error::Io`].
pub fn write(path: &Path, predictions: &Predictions) -> Result<()> {
    let scores = &predictions.scores;
    let element = match scores.values {
        Values::F32(_) => DataType::Float32,
        Values::F64(_) => DataType::Float64,
    };
    let item = Arc::new(Field::new("item", element, false));
    let width = i32::try_from(scores.n_classes)
        .map_err(|_| Error::config("classes", scores.n_classes, "is too large for a Parquet list"))?;
    let list = DataType::FixedSizeList(Arc::clone(&item), width);
    let schema = Arc::new(Schema::new(vec![
        Field::new("labels", DataType::Int64, false),
        Field::new(scores.kind.name(), list, false),
    ]));
    let batch = |rows: std::ops::Range<usize>| {
        let labels: ArrayRef = Arc::new(Int64Array::from(predictions.labels[rows.clone()].to_vec()));
        let range = rows.start * scores.n_classes..rows.end * scores.n_classes;
        let values: ArrayRef = match &scores.values {
            Values::F32(values) => Arc::new(Float32Array::from(values[range].to_vec())),
            Values::F64(values) => Arc::new(Float64Array::from(values[range].to_vec())),
        };
        let lists = FixedSizeListArray::try_new(Arc::clone(&item), width, values, None)?;
        RecordBatch::try_new(Arc::clone(&schema), vec![labels, Arc::new(lists)])
    };
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    write_atomic(path, |file| {
        let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))?;
        let n = predictions.labels.len();
        for start in (0..n).step_by(BATCH_ROWS) {
            let batch = batch(start..(start + BATCH_ROWS).min(n)).map_err(std::io::Error::other)?;
            writer.write(&batch)?;
        }
        writer.close()?;
        Ok(())
    })
}

/// Opens a Parquet file: row groups are read page by page, and only the columns that are needed.
///
/// # Errors
/// [`Error::Io`], or [`Error::Format`] for another format or a column that is missing.
pub(super) fn open(path: &Path, fields: Arc<Fields>) -> Result<ArrowRows> {
    let file = File::open(path).map_err(Error::io(path, "opening"))?;
    let not_parquet =
        |error: &dyn std::fmt::Display| Error::format(path, format!("not readable as Parquet: {error}"));
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| not_parquet(&error))?;
    let layout = layout(path, builder.schema(), &fields)?;
    let metadata = Arc::clone(builder.metadata());
    let schema = metadata.file_metadata().schema_descr();
    let mask = ProjectionMask::roots(schema, layout.columns());
    let width = layout.width().unwrap_or_else(|| list_length(&metadata, layout.scores.first().copied()));
    let reader = builder
        .with_projection(mask)
        .with_batch_size(rows_of_chunk(width))
        .build()
        .map_err(|error| not_parquet(&error))?;
    Ok(ArrowRows::new(path, "Parquet", Box::new(reader), layout.projected(), fields))
}

/// Mean number of values in the lists of a column, for the size of batches.
fn list_length(metadata: &ParquetMetaData, column: Option<usize>) -> usize {
    let schema = metadata.file_metadata().schema_descr();
    let leaf = (0..schema.num_columns()).find(|&leaf| Some(schema.get_column_root_idx(leaf)) == column);
    let values =
        metadata.row_groups().iter().filter_map(|group| Some(group.column(leaf?).num_values())).sum::<i64>();
    let rows = metadata.file_metadata().num_rows().max(1);
    usize::try_from(values / rows).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::{Format, Input, OnBad, ScoreKind, Stream};
    use super::*;

    fn read(path: &Path, kind: Option<ScoreKind>) -> Result<Predictions> {
        let input = Input::Files { paths: vec![path.to_owned()], format: Some(Format::Parquet) };
        let fields = Fields { kind: kind.map(Into::into), ..Fields::default() };
        Ok(Stream::open(&input, fields)?.collect(None, OnBad::Refuse)?.predictions)
    }

    fn write_batch(path: &Path, columns: Vec<(&str, ArrayRef)>) {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn predictions_survive_a_round_trip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.parquet");
        let predictions =
            Predictions::from_logits(vec![0.5, -1.0, 2.0, 0.25, 1.0, 3.0], 3, vec![2, 0]).unwrap();
        write(&path, &predictions).unwrap();
        assert_eq!(read(&path, None).unwrap(), predictions);
        let message = read(&path, Some(ScoreKind::Probs)).unwrap_err().to_string();
        assert!(message.contains("probs") && message.contains("labels, logits"), "{message}");
    }

    #[test]
    fn one_column_a_class_and_small_integer_labels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.parquet");
        write_batch(
            &path,
            vec![
                ("prob_0", Arc::new(Float64Array::from(vec![0.25, 1.0]))),
                ("prob_1", Arc::new(Float64Array::from(vec![0.75, 0.0]))),
                ("labels", Arc::new(arrow::array::UInt8Array::from(vec![1, 0]))),
            ],
        );
        let predictions = read(&path, None).unwrap();
        assert_eq!(predictions.scores.values, Values::F64(vec![0.25, 0.75, 1.0, 0.0]));
        assert_eq!((predictions.labels, predictions.scores.kind), (vec![1, 0], ScoreKind::Probs));
    }

    #[test]
    fn ragged_null_and_foreign_columns_are_named() {
        use arrow::array::{ListArray, StringArray};
        use arrow::datatypes::Float32Type;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.parquet");
        let labels: ArrayRef = Arc::new(Int64Array::from(vec![0, 1]));
        let ragged = ListArray::from_iter_primitive::<Float32Type, _, _>(vec![
            Some(vec![Some(0.0), Some(1.0)]),
            Some(vec![Some(0.0)]),
        ]);
        write_batch(&path, vec![("labels", Arc::clone(&labels)), ("logits", Arc::new(ragged))]);
        assert!(
            read(&path, None)
                .unwrap_err()
                .to_string()
                .contains("row 1: has 1 scores, but the first row has 2")
        );
        write_batch(&path, vec![("labels", Arc::clone(&labels))]);
        assert!(read(&path, None).unwrap_err().to_string().contains("needs a list column"));
        let words: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let scores: ArrayRef = Arc::new(Float32Array::from(vec![0.0, 1.0]));
        write_batch(
            &path,
            vec![("labels", words), ("logit_0", Arc::clone(&scores)), ("logit_1", Arc::clone(&scores))],
        );
        assert!(read(&path, None).unwrap_err().to_string().contains("--class-names"));
        let null: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), None]));
        write_batch(&path, vec![("labels", null), ("logit_0", Arc::clone(&scores)), ("logit_1", scores)]);
        assert!(read(&path, None).unwrap_err().to_string().contains("row 1: the label is null"));
        std::fs::write(&path, b"PAR1 no").unwrap();
        assert!(read(&path, None).unwrap_err().to_string().contains("not readable as Parquet"));
    }
}
