//! Record batches of Arrow as chunks: what Parquet and Arrow IPC files have in common.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float16Array, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema};
use arrow::error::ArrowError;

use super::chunk::{NO_GROUP, rows_of_chunk};
use super::class_names::{label_of_text, whole};
use super::fields::Layout;
use super::rows::ragged;
use super::source::ChunkSource;
use super::{Chunk, Fields, Groups, Problem, Values};
use crate::error::{Error, Result};

/// Record batches with the needed columns alone.
pub(super) struct ArrowRows {
    path: PathBuf,
    format: &'static str,
    batches: Box<dyn Iterator<Item = std::result::Result<RecordBatch, ArrowError>> + Send>,
    /// What is left of the last batch: writers choose their size, and it may be large.
    rest: Option<RecordBatch>,
    layout: Layout,
    fields: Arc<Fields>,
    row: u64,
    width: Option<usize>,
}

impl ArrowRows {
    /// Rows of batches that hold the columns of `layout` and no others.
    pub(super) fn new(
        path: &Path,
        format: &'static str,
        batches: Box<dyn Iterator<Item = std::result::Result<RecordBatch, ArrowError>> + Send>,
        layout: Layout,
        fields: Arc<Fields>,
    ) -> Self {
        let width = layout.width();
        Self { path: path.to_owned(), format, batches, rest: None, layout, fields, row: 0, width }
    }

    /// Up to so many rows of the next batch.
    fn batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut batch = match self.rest.take() {
            Some(rest) => rest,
            None => loop {
                match self.batches.next() {
                    Some(Ok(batch)) if batch.num_rows() == 0 => {}
                    Some(Ok(batch)) => break batch,
                    Some(Err(error)) => {
                        let problem = format!("not readable as {}: {error}", self.format);
                        return Err(Error::format(&self.path, problem));
                    }
                    None => return Ok(None),
                }
            },
        };
        let most = rows_of_chunk(self.width.unwrap_or(16));
        if batch.num_rows() > most {
            self.rest = Some(batch.slice(most, batch.num_rows() - most));
            batch = batch.slice(0, most);
        }
        Ok(Some(batch))
    }

    fn scores(&mut self, batch: &RecordBatch, chunk: &mut Chunk) -> Result<()> {
        let columns: Vec<&ArrayRef> = self.layout.scores.iter().map(|&column| batch.column(column)).collect();
        if let ([column], true) = (&columns[..], self.layout.kind.scores().is_some() && !self.layout.by_class)
        {
            (chunk.values, chunk.width) = self.list(column, chunk)?;
            return Ok(());
        }
        let mut parts = Vec::with_capacity(columns.len());
        for (column, &place) in columns.iter().zip(&self.layout.scores) {
            for row in nulls(column) {
                let name = batch.schema_ref().field(place).name().clone();
                chunk.reject(row, Problem::new("null", format!("{name} is null")));
            }
            parts.push(self.floats(column)?);
        }
        chunk.width = parts.len();
        chunk.values = interleaved(parts, batch.num_rows());
        Ok(())
    }

    /// A column of lists, which must all be as long as the first of the file.
    fn list(&mut self, array: &ArrayRef, chunk: &mut Chunk) -> Result<(Values, usize)> {
        let n = array.len();
        let (inner, offsets): (ArrayRef, Vec<usize>) = match array.data_type() {
            DataType::FixedSizeList(_, width) => {
                let list = array.as_fixed_size_list();
                let width = usize::try_from(*width).unwrap_or(0);
                let first = usize::try_from(list.value_offset(0)).unwrap_or(0);
                (list.values().slice(first, n * width), (0..=n).map(|row| row * width).collect())
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                let offsets: Vec<usize> =
                    list.value_offsets().iter().map(|&offset| offset as usize).collect();
                (Arc::clone(list.values()), offsets)
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                let offsets: Vec<usize> =
                    list.value_offsets().iter().map(|&offset| offset as usize).collect();
                (Arc::clone(list.values()), offsets)
            }
            other => {
                let problem = format!("its score column has type {other}, but a list of numbers is needed");
                return Err(Error::format(&self.path, problem));
            }
        };
        // Positions within the lists' values, from the first row of this batch on.
        let (base, end) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
        let inner = inner.slice(base, end - base);
        let lengths = || offsets.windows(2).map(|pair| (pair[0] - base, pair[1] - pair[0]));
        if self.width.is_none() {
            let first = lengths().enumerate().find(|(row, (_, length))| array.is_valid(*row) && *length > 0);
            self.width = first.map(|(_, (_, length))| length);
        }
        let width = self.width.unwrap_or(0);
        for (row, (_, length)) in lengths().enumerate() {
            if array.is_null(row) {
                chunk.reject(row, Problem::new("null", "the list of scores is null"));
            } else if length != width || length == 0 {
                chunk.reject(row, ragged(length, width));
            }
        }
        let mut row_of_value = 0;
        for place in nulls(&inner) {
            while offsets.get(row_of_value + 1).is_some_and(|end| place >= end - base) {
                row_of_value += 1;
            }
            chunk.reject(row_of_value, Problem::new("null", "a score of the list is null"));
        }
        let values = self.floats(&inner)?;
        if lengths().all(|(_, length)| length == width) {
            return Ok((values, width));
        }
        // Rows that do not fit get a place of zeros.
        Ok((
            match values {
                Values::F32(values) => Values::F32(placed(&values, lengths(), width)),
                Values::F64(values) => Values::F64(placed(&values, lengths(), width)),
            },
            width,
        ))
    }

    /// Numbers of any type, zero where they are null.
    fn floats(&self, array: &ArrayRef) -> Result<Values> {
        let kind = array.data_type();
        let numeric = kind.is_numeric() && !matches!(kind, DataType::Decimal256(..));
        if !numeric {
            let problem = format!("its scores have type {kind}, but numbers are needed");
            return Err(Error::format(&self.path, problem));
        }
        let any = array.as_any();
        if let Some(values) = any.downcast_ref::<Float32Array>() {
            return Ok(Values::F32(values.values().to_vec()));
        }
        if let Some(values) = any.downcast_ref::<Float16Array>() {
            return Ok(Values::F32(values.values().iter().map(|value| value.to_f32()).collect()));
        }
        let wide = self.cast(array, &DataType::Float64, "scores")?;
        match wide.as_any().downcast_ref::<Float64Array>() {
            Some(values) => Ok(Values::F64(values.values().to_vec())),
            None => Err(Error::Internal("a cast to 64 bits gave another type".to_owned())),
        }
    }

    fn cast(&self, array: &ArrayRef, to: &DataType, what: &str) -> Result<ArrayRef> {
        cast(array, to).map_err(|error| {
            let problem =
                format!("its {what} have type {}, which cannot be read: {error}", array.data_type());
            Error::format(&self.path, problem)
        })
    }

    fn labels(&self, array: &ArrayRef, chunk: &mut Chunk) -> Result<Vec<i64>> {
        let kind = array.data_type();
        for row in nulls(array) {
            chunk.reject(row, Problem::new("null", "the label is null"));
        }
        if kind.is_integer() || *kind == DataType::Boolean {
            let wide = self.cast(array, &DataType::Int64, "labels")?;
            let Some(wide) = wide.as_any().downcast_ref::<Int64Array>() else {
                return Err(Error::Internal("a cast to 64 bits gave another type".to_owned()));
            };
            for row in nulls(wide) {
                chunk.reject(row, Problem::new("label_range", "the label does not fit 64 bits"));
            }
            return Ok(wide.values().to_vec());
        }
        let mut labels = vec![0; array.len()];
        let mut put = |row: usize, label: std::result::Result<i64, String>| match label {
            Ok(label) => labels[row] = label,
            Err(text) => chunk.reject(row, Problem::new("label_text", text)),
        };
        if kind.is_floating() {
            let wide = self.cast(array, &DataType::Float64, "labels")?;
            for (row, value) in wide.as_primitive::<arrow::datatypes::Float64Type>().iter().enumerate() {
                let Some(value) = value else { continue };
                put(row, whole(value).ok_or_else(|| format!("label {value} is no class index")));
            }
            return Ok(labels);
        }
        let text = self.text(array, "labels, which must be class indices or names,")?;
        for (row, word) in text.iter().enumerate() {
            let Some(word) = word else { continue };
            put(row, label_of_text(word, self.fields.class_names.as_ref()));
        }
        Ok(labels)
    }

    fn text(&self, array: &ArrayRef, what: &str) -> Result<StringArray> {
        let text = self.cast(array, &DataType::Utf8, what)?;
        match text.as_string_opt::<i32>() {
            Some(text) => Ok(text.clone()),
            None => Err(Error::Internal("a cast to text gave another type".to_owned())),
        }
    }

    fn weights(&self, array: &ArrayRef, chunk: &mut Chunk) -> Result<Vec<f64>> {
        for row in nulls(array) {
            chunk.reject(row, Problem::new("null", "the weight is null"));
        }
        Ok(match self.floats(array)? {
            Values::F32(values) => values.into_iter().map(f64::from).collect(),
            Values::F64(values) => values,
        })
    }

    fn groups(&self, array: &ArrayRef) -> Result<Groups> {
        let text = self.text(array, "groups")?;
        let mut groups = Groups::default();
        text.iter().for_each(|word| groups.push(word.filter(|word| !word.is_empty()).unwrap_or(NO_GROUP)));
        Ok(groups)
    }
}

/// The rows that are null.
fn nulls(array: &dyn Array) -> impl Iterator<Item = usize> + use<> {
    let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
    nulls
        .into_iter()
        .flat_map(|nulls| (0..nulls.len()).filter(move |&row| nulls.is_null(row)).collect::<Vec<_>>())
}

/// Columns of single classes as rows; one column in double precision makes all of them double.
pub(super) fn interleaved(parts: Vec<Values>, n_rows: usize) -> Values {
    if let [only] = &parts[..] {
        return only.clone();
    }
    if parts.iter().all(|part| matches!(part, Values::F32(_))) {
        let columns: Vec<&[f32]> = parts
            .iter()
            .map(|part| match part {
                Values::F32(values) => values.as_slice(),
                Values::F64(_) => &[],
            })
            .collect();
        return Values::F32(
            (0..n_rows).flat_map(|row| columns.iter().map(move |column| column[row])).collect(),
        );
    }
    let columns: Vec<Vec<f64>> = parts.into_iter().map(Values::into_f64).collect();
    Values::F64((0..n_rows).flat_map(|row| columns.iter().map(move |column| column[row])).collect())
}

/// Lists of `width` values as they are, zeros for the others.
fn placed<T: Copy + Default>(
    values: &[T],
    lists: impl Iterator<Item = (usize, usize)>,
    width: usize,
) -> Vec<T> {
    let mut rows = Vec::new();
    for (start, length) in lists {
        match values.get(start..start + width) {
            Some(row) if length == width => rows.extend_from_slice(row),
            _ => rows.resize(rows.len() + width, T::default()),
        }
    }
    rows
}

impl ChunkSource for ArrowRows {
    fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        let Some(batch) = self.batch()? else { return Ok(None) };
        let mut chunk = Chunk {
            first_row: self.row,
            kind: self.layout.kind,
            values: Values::F32(Vec::new()),
            width: 0,
            labels: Vec::new(),
            weights: None,
            groups: None,
            problems: Default::default(),
        };
        self.scores(&batch, &mut chunk)?;
        chunk.labels = self.labels(batch.column(self.layout.labels), &mut chunk)?;
        if let Some(column) = self.layout.weights {
            chunk.weights = Some(self.weights(batch.column(column), &mut chunk)?);
        }
        if let Some(column) = self.layout.group {
            chunk.groups = Some(self.groups(batch.column(column))?);
        }
        self.row += batch.num_rows() as u64;
        Ok(Some(chunk))
    }
}

/// The layout of a schema's columns.
pub(super) fn layout(path: &Path, schema: &Schema, fields: &Fields) -> Result<Layout> {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    Layout::find(path, &names, fields)
}
