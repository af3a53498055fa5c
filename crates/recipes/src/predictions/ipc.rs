//! Prediction files in Arrow's own format (IPC), as a file or a stream.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use arrow::error::ArrowError;
use arrow::ipc::reader::{FileReader, StreamReader};

use super::Fields;
use super::arrow_rows::{ArrowRows, layout};
use crate::error::{Error, Result};

const FORMAT: &str = "Arrow IPC";

fn not_arrow(path: &Path) -> impl Fn(ArrowError) -> Error + '_ {
    move |error| Error::format(path, format!("not readable as {FORMAT}: {error}"))
}

/// Whether the bytes begin as those of the file format, not of the stream.
pub(super) fn is_file(path: &Path) -> Result<bool> {
    let mut first = Vec::new();
    let file = File::open(path).map_err(Error::io(path, "opening"))?;
    file.take(6).read_to_end(&mut first).map_err(Error::io(path, "reading"))?;
    Ok(first == b"ARROW1")
}

/// Opens the file format.
pub(super) fn open_file(path: &Path, fields: Arc<Fields>) -> Result<ArrowRows> {
    let open = || File::open(path).map_err(Error::io(path, "opening"));
    let schema = FileReader::try_new(BufReader::new(open()?), None).map_err(not_arrow(path))?.schema();
    let layout = layout(path, &schema, &fields)?;
    let reader =
        FileReader::try_new(BufReader::new(open()?), Some(layout.columns())).map_err(not_arrow(path))?;
    Ok(ArrowRows::new(path, FORMAT, Box::new(reader), layout.projected(), fields))
}

/// Opens the stream format.
pub(super) fn open_stream(
    path: &Path,
    input: Box<dyn Read + Send>,
    fields: Arc<Fields>,
) -> Result<ArrowRows> {
    let reader = StreamReader::try_new(BufReader::new(input), None).map_err(not_arrow(path))?;
    let layout = layout(path, &reader.schema(), &fields)?;
    let columns = layout.columns();
    let batches = reader.map(move |batch| batch.and_then(|batch| batch.project(&columns)));
    Ok(ArrowRows::new(path, FORMAT, Box::new(batches), layout.projected(), fields))
}
