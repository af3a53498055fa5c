//! NDJSON files: one JSON object a line.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::chunk::rows_of_chunk;
use super::class_names::{label_of_text, whole};
use super::fields::Layout;
use super::rows::{RowBuilder, RowParts, number};
use super::source::ChunkSource;
use super::{Chunk, Fields, Problem};
use crate::error::{Error, Result};

/// Longest line that is read, so that a file of another kind does not fill the memory.
const LONGEST_LINE: u64 = 1 << 28;

/// The rows of an NDJSON file.
pub(super) struct JsonRows {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    fields: Arc<Fields>,
    /// Found from the first object.
    layout: Option<(Layout, Vec<String>)>,
    row: u64,
    line: u64,
    width: Option<usize>,
}

impl JsonRows {
    pub(super) fn open(path: &Path, reader: Box<dyn BufRead + Send>, fields: Arc<Fields>) -> Self {
        Self { path: path.to_owned(), reader, fields, layout: None, row: 0, line: 0, width: None }
    }

    /// The next line that is not blank; `None` at the end.
    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            let mut line = Vec::new();
            let read = (&mut self.reader)
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line)
                .map_err(Error::io(&self.path, "reading"))?;
            if read == 0 {
                return Ok(None);
            }
            self.line += 1;
            if line.len() as u64 == LONGEST_LINE {
                let problem = format!(
                    "line {} is longer than {LONGEST_LINE} bytes; is it one JSON object a line?",
                    self.line
                );
                return Err(Error::format(&self.path, problem));
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }
}

fn object(line: &[u8]) -> Result<Map<String, Value>, Problem> {
    serde_json::from_slice(line).map_err(|error| {
        Problem::new("unreadable", format!("is no JSON object ({error}); write NaN and infinities as text"))
    })
}

fn get<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a Value, Problem> {
    match object.get(name) {
        Some(Value::Null) => Err(Problem::new("null", format!("{name} is null"))),
        Some(value) => Ok(value),
        None => Err(Problem::new("null", format!("has no {name:?}"))),
    }
}

/// A number, or text that is one, such as "-inf".
fn float(value: &Value, name: &str) -> Result<f64, Problem> {
    match value {
        Value::String(text) => number(text, name),
        Value::Null => Err(Problem::new("null", format!("{name} holds a null"))),
        other => other.as_f64().ok_or_else(|| {
            Problem::new("unreadable", format!("{name} holds {other}, but must hold numbers"))
        }),
    }
}

fn label(value: &Value, name: &str, fields: &Fields) -> Result<i64, Problem> {
    let bad = || Problem::new("label_text", format!("{name} is {value}, but must be a class index or name"));
    match value {
        Value::Bool(right) => Ok(i64::from(*right)),
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)).ok_or_else(bad),
        Value::String(text) => {
            label_of_text(text, fields.class_names.as_ref()).map_err(|text| Problem::new("label_text", text))
        }
        _ => Err(bad()),
    }
}

fn scores(
    object: &Map<String, Value>,
    layout: &Layout,
    names: &[String],
    scratch: &mut Vec<f64>,
) -> Result<(), Problem> {
    scratch.clear();
    for &column in &layout.scores {
        let name = names.get(column).map_or("", String::as_str);
        match get(object, name)? {
            Value::Array(values) => {
                for value in values {
                    scratch.push(float(value, name)?);
                }
            }
            value => scratch.push(float(value, name)?),
        }
    }
    Ok(())
}

impl ChunkSource for JsonRows {
    fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        let (weighted, grouped) = (self.fields.weights.is_some(), self.fields.group.is_some());
        let mut rows = RowBuilder::new(self.width, self.row, weighted, grouped);
        let most = rows_of_chunk(self.width.unwrap_or(16));
        let mut scratch = Vec::new();
        while rows.n_rows() < most {
            let Some(line) = self.line()? else { break };
            let object = match object(&line) {
                Ok(object) => object,
                Err(problem) => {
                    rows.push_unreadable(self.line, problem);
                    continue;
                }
            };
            if self.layout.is_none() {
                let names: Vec<String> = object.keys().cloned().collect();
                let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
                let layout = Layout::find(&self.path, &borrowed, &self.fields)?;
                self.layout = Some((layout, names));
            }
            let Some((layout, names)) = &self.layout else { continue };
            let name = |column: usize| names.get(column).map_or("", String::as_str);
            let scores = scores(&object, layout, names, &mut scratch);
            let label = get(&object, name(layout.labels))
                .and_then(|value| label(value, name(layout.labels), &self.fields));
            let weight = layout
                .weights
                .map(|column| get(&object, name(column)).and_then(|value| float(value, name(column))));
            let group = layout.group.and_then(|column| match object.get(name(column)) {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.clone()),
                Some(other) => Some(other.to_string()),
            });
            let parts = RowParts { label, weight, group: group.as_deref() };
            rows.push(self.line, scores.map(|()| scratch.as_slice()), parts);
        }
        if rows.n_rows() == 0 {
            return Ok(None);
        }
        let Some((layout, _)) = &self.layout else {
            let problem = "holds no JSON object in its first lines; it needs one object a line";
            return Err(Error::format(&self.path, problem));
        };
        self.row += rows.n_rows() as u64;
        let (chunk, width) = rows.finish(layout.kind);
        self.width = width;
        Ok(Some(chunk))
    }
}
