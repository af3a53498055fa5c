//! Prediction files in Parquet: `labels` with `logits` or `probs` as a list column or one column a class.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, FixedSizeListArray, Float16Array, Float32Array, Float64Array, Int64Array, RecordBatch,
};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::{Predictions, ScoreKind, Scores, Values};
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

/// Reads predictions with a `labels` column and `logits` or `probs`.
///
/// `kind` chooses where a file has both.
///
/// # Errors
/// [`Error::Io`], or [`Error::Format`] naming the column and row.
pub fn read(path: &Path, kind: Option<ScoreKind>) -> Result<Predictions> {
    let file = File::open(path).map_err(Error::io(path, "opening"))?;
    let not_parquet =
        |error: &dyn std::fmt::Display| Error::format(path, format!("not readable as Parquet: {error}"));
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| not_parquet(&error))?;
    let columns = Columns::find(path, builder.schema(), kind)?;
    let reader = builder.with_batch_size(BATCH_ROWS).build().map_err(|error| not_parquet(&error))?;
    let mut labels = Vec::new();
    let mut values: Option<Values> = None;
    let mut n_classes = columns.width;
    for batch in reader {
        let batch = batch.map_err(|error| not_parquet(&error))?;
        let first_row = labels.len();
        let context = Context { path, first_row };
        read_labels(&context, batch.column(columns.labels), &mut labels)?;
        let part = context.scores(&batch, &columns, &mut n_classes)?;
        match (&mut values, part) {
            (None, part) => values = Some(part),
            (Some(Values::F32(all)), Values::F32(part)) => all.extend(part),
            (Some(Values::F64(all)), Values::F64(part)) => all.extend(part),
            _ => return Err(Error::format(path, "its row groups have different types")),
        }
    }
    let (Some(values), Some(n_classes)) = (values, n_classes) else {
        return Err(Error::format(path, "holds no rows: there are no predictions"));
    };
    Predictions::new(Scores { kind: columns.kind, values, n_classes }, labels)
}

/// Where labels and scores stand in a file.
struct Columns {
    labels: usize,
    kind: ScoreKind,
    /// One list column, or one column a class.
    scores: Vec<usize>,
    /// Number of classes, where the columns tell it.
    width: Option<usize>,
}

impl Columns {
    fn find(path: &Path, schema: &Schema, wanted: Option<ScoreKind>) -> Result<Self> {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let index = |name: &str| names.iter().position(|found| *found == name);
        let listed = || names.join(", ");
        let labels = index("labels")
            .or_else(|| index("label"))
            .ok_or_else(|| Error::format(path, format!("has no column \"labels\"; it has {}", listed())))?;
        let kinds = match wanted {
            Some(kind) => vec![kind],
            None => vec![ScoreKind::Logits, ScoreKind::Probs],
        };
        for kind in kinds {
            if let Some(column) = index(kind.name()) {
                return Ok(Self { labels, kind, scores: vec![column], width: None });
            }
            let stem = kind.name().trim_end_matches('s');
            let by_class: Vec<usize> = (0..).map_while(|k| index(&format!("{stem}_{k}"))).collect();
            if !by_class.is_empty() {
                let width = Some(by_class.len());
                return Ok(Self { labels, kind, scores: by_class, width });
            }
        }
        let needed = "a list column \"logits\" or \"probs\", or one column a class (logit_0, logit_1, …)";
        Err(Error::format(path, format!("needs {needed}; it has {}", listed())))
    }
}

/// For messages: which file, and where a batch begins.
struct Context<'a> {
    path: &'a Path,
    first_row: usize,
}

impl Context<'_> {
    fn problem(&self, row: usize, problem: impl std::fmt::Display) -> Error {
        Error::format(self.path, format!("row {}: {problem}", self.first_row + row))
    }

    /// The scores of a batch, row after row.
    fn scores(
        &self,
        batch: &RecordBatch,
        columns: &Columns,
        n_classes: &mut Option<usize>,
    ) -> Result<Values> {
        if let [column] = columns.scores[..]
            && columns.width.is_none()
        {
            return self.list(batch.column(column), n_classes);
        }
        let parts: Vec<Values> = columns
            .scores
            .iter()
            .map(|&column| self.floats(batch.column(column).as_ref()))
            .collect::<Result<_>>()?;
        let wide: Vec<Vec<f64>> = parts
            .iter()
            .map(|part| match part {
                Values::F32(values) => values.iter().map(|&v| f64::from(v)).collect(),
                Values::F64(values) => values.clone(),
            })
            .collect();
        let interleaved = (0..batch.num_rows()).flat_map(|row| wide.iter().map(move |column| column[row]));
        // One column in double precision makes all of them double.
        if parts.iter().all(|part| matches!(part, Values::F32(_))) {
            Ok(Values::F32(interleaved.map(|v| v as f32).collect()))
        } else {
            Ok(Values::F64(interleaved.collect()))
        }
    }

    /// A list column, whose rows must all be as long as the first of the file.
    fn list(&self, array: &ArrayRef, n_classes: &mut Option<usize>) -> Result<Values> {
        let (inner, lengths): (ArrayRef, Vec<usize>) = match array.data_type() {
            DataType::FixedSizeList(_, width) => {
                let list = arrow::array::cast::as_fixed_size_list_array(array);
                let width = usize::try_from(*width).unwrap_or(0);
                (
                    list.values().slice(list.value_offset(0) as usize, list.len() * width),
                    vec![width; list.len()],
                )
            }
            DataType::List(_) => {
                let list = arrow::array::cast::as_list_array(array);
                let offsets = list.value_offsets();
                let (first, last) = (offsets[0] as usize, offsets[list.len()] as usize);
                let lengths = offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize).collect();
                (list.values().slice(first, last - first), lengths)
            }
            DataType::LargeList(_) => {
                let list = arrow::array::cast::as_large_list_array(array);
                let offsets = list.value_offsets();
                let (first, last) = (offsets[0] as usize, offsets[list.len()] as usize);
                let lengths = offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize).collect();
                (list.values().slice(first, last - first), lengths)
            }
            other => {
                let problem = format!("its score column has type {other}, but a list of floats is needed");
                return Err(Error::format(self.path, problem));
            }
        };
        if let Some(row) = (0..array.len()).find(|&row| array.is_null(row)) {
            return Err(self.problem(row, "the list of scores is null"));
        }
        for (row, &length) in lengths.iter().enumerate() {
            let width = *n_classes.get_or_insert(length);
            if length != width || length == 0 {
                return Err(self.problem(row, format!("has {length} scores, but the first row has {width}")));
            }
        }
        self.floats(inner.as_ref())
    }

    /// A float array without nulls.
    fn floats(&self, array: &dyn Array) -> Result<Values> {
        if let Some(position) = (0..array.len()).find(|&i| array.is_null(i)) {
            return Err(Error::format(self.path, format!("a score is null (value {position} of its batch)")));
        }
        let any = array.as_any();
        if let Some(values) = any.downcast_ref::<Float32Array>() {
            Ok(Values::F32(values.values().to_vec()))
        } else if let Some(values) = any.downcast_ref::<Float64Array>() {
            Ok(Values::F64(values.values().to_vec()))
        } else if let Some(values) = any.downcast_ref::<Float16Array>() {
            Ok(Values::F32(values.values().iter().map(|v| v.to_f32()).collect()))
        } else {
            let problem = format!("its scores have type {}, but floats are needed", array.data_type());
            Err(Error::format(self.path, problem))
        }
    }
}

/// Appends a label column.
fn read_labels(context: &Context<'_>, array: &ArrayRef, labels: &mut Vec<i64>) -> Result<()> {
    let integer = array.data_type().is_integer() || *array.data_type() == DataType::Boolean;
    if !integer {
        let problem =
            format!("its labels have type {}, but class indices (integers) are needed", array.data_type());
        return Err(Error::format(context.path, problem));
    }
    if let Some(row) = (0..array.len()).find(|&row| array.is_null(row)) {
        return Err(context.problem(row, "the label is null"));
    }
    let wide = arrow::compute::cast(array, &DataType::Int64)
        .map_err(|error| Error::format(context.path, format!("its labels cannot be read: {error}")))?;
    if let Some(wide) = wide.as_any().downcast_ref::<Int64Array>() {
        if let Some(row) = (0..wide.len()).find(|&row| wide.is_null(row)) {
            return Err(context.problem(row, "the label does not fit 64 bits"));
        }
        labels.extend(wide.values());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(read(&path, None).unwrap_err().to_string().contains("row 1: has 1 scores"));
        write_batch(&path, vec![("labels", Arc::clone(&labels))]);
        assert!(read(&path, None).unwrap_err().to_string().contains("needs a list column"));
        let words: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let scores: ArrayRef = Arc::new(Float32Array::from(vec![0.0, 1.0]));
        write_batch(&path, vec![("labels", words), ("logit_0", Arc::clone(&scores))]);
        assert!(read(&path, None).unwrap_err().to_string().contains("Utf8"));
        let null: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), None]));
        write_batch(&path, vec![("labels", null), ("logit_0", scores)]);
        assert!(read(&path, None).unwrap_err().to_string().contains("row 1: the label is null"));
        std::fs::write(&path, b"PAR1 no").unwrap();
        assert!(read(&path, None).unwrap_err().to_string().contains("not readable as Parquet"));
    }
}
