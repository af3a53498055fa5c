//! Arrays in their own files or together in one: NumPy's `.npy` and `.npz`, and safetensors.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Dtype as TensorType, Metadata};

use super::array_column::{ArrayColumn, Element, array_problem, open_npy};
use super::chunk::rows_of_chunk;
use super::fields::Layout;
use super::source::ChunkSource;
use super::{Chunk, Fields, Groups, InputKind};
use crate::error::{Error, Result};

/// Arrays of the same rows.
pub(super) struct ArrayRows {
    kind: InputKind,
    scores: Vec<ArrayColumn>,
    labels: ArrayColumn,
    weights: Option<ArrayColumn>,
    groups: Option<ArrayColumn>,
    fields: Arc<Fields>,
    row: u64,
    n_rows: u64,
    width: usize,
}

impl ArrayRows {
    /// Arrays of scores with labels (or what was right).
    fn new(
        kind: InputKind,
        by_class: bool,
        scores: Vec<ArrayColumn>,
        labels: ArrayColumn,
        weights: Option<ArrayColumn>,
        groups: Option<ArrayColumn>,
        fields: Arc<Fields>,
    ) -> Result<Self> {
        let several = kind.scores().is_some() && !by_class;
        for column in &scores {
            if several {
                column.classes(kind.name())?;
            } else {
                column.check_one_axis("scores of one class")?;
            }
        }
        let n_rows = scores.first().map_or(0, |column| column.n_rows);
        let others = [(Some(&labels), "labels"), (weights.as_ref(), "weights"), (groups.as_ref(), "groups")];
        for (column, what) in others.into_iter().filter_map(|(column, what)| Some((column?, what))) {
            column.check_one_axis(what)?;
        }
        for column in scores.iter().chain([&labels]).chain(&weights).chain(&groups) {
            if column.n_rows != n_rows {
                let problem = format!("has {} rows, but the scores have {n_rows}", column.n_rows);
                return Err(column.problem(problem));
            }
        }
        let width = scores.iter().map(|column| column.width).sum();
        Ok(Self { kind, scores, labels, weights, groups, fields, row: 0, n_rows, width })
    }

    /// Scores in one `.npy` file, labels (or what was right) in another.
    pub(super) fn npy(kind: InputKind, scores: &Path, labels: &Path, fields: Arc<Fields>) -> Result<Self> {
        Self::new(kind, false, vec![open_npy(scores)?], open_npy(labels)?, None, None, fields)
    }

    fn of_layout(
        layout: &Layout,
        open: impl Fn(usize) -> Result<ArrayColumn>,
        fields: Arc<Fields>,
    ) -> Result<Self> {
        let scores = layout.scores.iter().map(|&column| open(column)).collect::<Result<_>>()?;
        let weights = layout.weights.map(&open).transpose()?;
        let groups = layout.group.map(&open).transpose()?;
        Self::new(layout.kind, layout.by_class, scores, open(layout.labels)?, weights, groups, fields)
    }

    /// The arrays of a `.npz` archive.
    pub(super) fn npz(path: &Path, fields: Arc<Fields>) -> Result<Self> {
        let entries = zip_entries(path)?;
        let names: Vec<&str> = entries.iter().map(|entry| entry.trim_end_matches(".npy")).collect();
        let layout = Layout::find(path, &names, &fields)?;
        let open = |column: usize| {
            let (entry, name) = (entries.get(column), names.get(column));
            let (Some(entry), Some(name)) = (entry, name) else {
                return Err(Error::Internal("a column of an archive has no place".to_owned()));
            };
            ArrayColumn::npy(path, name, zip_entry(path, entry)?)
        };
        Self::of_layout(&layout, open, fields)
    }

    /// The tensors of a safetensors file.
    pub(super) fn safetensors(path: &Path, fields: Arc<Fields>) -> Result<Self> {
        let (metadata, start) = tensor_header(path)?;
        let names = metadata.offset_keys();
        let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
        let layout = Layout::find(path, &borrowed, &fields)?;
        let open =
            |column: usize| tensor(path, &metadata, start, borrowed.get(column).copied().unwrap_or_default());
        Self::of_layout(&layout, open, fields)
    }
}

impl ChunkSource for ArrayRows {
    fn next_chunk(&mut self) -> Result<Option<Chunk>> {
        let n = (self.n_rows - self.row).min(rows_of_chunk(self.width) as u64) as usize;
        if n == 0 {
            return Ok(None);
        }
        let mut parts = self.scores.iter_mut().map(|column| column.values(n)).collect::<Result<Vec<_>>>()?;
        let values = match parts.len() {
            1 => parts.remove(0),
            _ => super::arrow_rows::interleaved(parts, n),
        };
        let mut problems = Vec::new();
        let labels = self.labels.labels(n, &self.fields, &mut problems)?;
        let weights = match &mut self.weights {
            Some(column) => Some(column.values(n)?.into_f64()),
            None => None,
        };
        let groups = match &mut self.groups {
            Some(column) => {
                let mut groups = Groups::default();
                column.words(n)?.iter().for_each(|word| groups.push(word));
                Some(groups)
            }
            None => None,
        };
        let first_row = self.row;
        self.row += n as u64;
        Ok(Some(Chunk {
            first_row,
            kind: self.kind,
            values,
            width: self.width,
            labels,
            weights,
            groups,
            problems: problems.into_iter().collect(),
        }))
    }
}

fn not_zip(path: &Path) -> impl Fn(npyz::zip::result::ZipError) -> Error + '_ {
    move |error| Error::format(path, format!("not readable as a NumPy archive (.npz): {error}"))
}

fn archive(path: &Path) -> Result<npyz::zip::ZipArchive<BufReader<File>>> {
    let file = File::open(path).map_err(Error::io(path, "opening"))?;
    npyz::zip::ZipArchive::new(BufReader::new(file)).map_err(not_zip(path))
}

fn zip_entries(path: &Path) -> Result<Vec<String>> {
    let mut entries: Vec<String> = archive(path)?.file_names().map(str::to_owned).collect();
    entries.sort();
    Ok(entries)
}

/// An entry as a reader of its own: in place where it is stored, through a temporary file where it is compressed,
/// since several are read at once.
fn zip_entry(path: &Path, entry: &str) -> Result<Box<dyn Read + Send>> {
    let mut archive = archive(path)?;
    let mut file = archive.by_name(entry).map_err(not_zip(path))?;
    if file.compression() == npyz::zip::CompressionMethod::Stored {
        let (start, size) = (file.data_start(), file.size());
        return section(path, start, size);
    }
    let mut copy = tempfile::tempfile().map_err(Error::io(path, "decompressing"))?;
    std::io::copy(&mut file, &mut copy).map_err(Error::io(path, "decompressing"))?;
    copy.seek(SeekFrom::Start(0)).map_err(Error::io(path, "decompressing"))?;
    Ok(Box::new(BufReader::new(copy)))
}

/// So many bytes of a file from a place on.
fn section(path: &Path, start: u64, size: u64) -> Result<Box<dyn Read + Send>> {
    let mut file = File::open(path).map_err(Error::io(path, "opening"))?;
    file.seek(SeekFrom::Start(start)).map_err(Error::io(path, "reading"))?;
    Ok(Box::new(BufReader::new(file.take(size))))
}

/// What a safetensors file holds, and where its data begin.
fn tensor_header(path: &Path) -> Result<(Metadata, u64)> {
    let bad = |problem: &dyn std::fmt::Display| {
        Error::format(path, format!("not readable as safetensors: {problem}"))
    };
    let mut file = File::open(path).map_err(Error::io(path, "opening"))?;
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|error| bad(&error))?;
    let length = u64::from_le_bytes(length);
    // The format's own limit.
    if length > 100_000_000 {
        return Err(bad(&"its header is too long"));
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).map_err(|error| bad(&error))?;
    let metadata = serde_json::from_slice(&header).map_err(|error| bad(&error))?;
    Ok((metadata, 8 + length))
}

fn tensor(path: &Path, metadata: &Metadata, start: u64, name: &str) -> Result<ArrayColumn> {
    let Some(info) = metadata.info(name) else {
        return Err(Error::format(path, format!("has no tensor {name:?}")));
    };
    let element = match info.dtype {
        TensorType::F16 => Element::F16,
        TensorType::BF16 => Element::BF16,
        TensorType::F32 => Element::F32,
        TensorType::F64 => Element::F64,
        TensorType::I8 => Element::Int(1),
        TensorType::I16 => Element::Int(2),
        TensorType::I32 => Element::Int(4),
        TensorType::I64 => Element::Int(8),
        TensorType::U8 => Element::Uint(1),
        TensorType::U16 => Element::Uint(2),
        TensorType::U32 => Element::Uint(4),
        TensorType::U64 => Element::Uint(8),
        TensorType::BOOL => Element::Bool,
        other => {
            let problem =
                format!("holds elements of type {other:?}; f16, bf16, f32, f64, integers and bool are read");
            return Err(array_problem(path, name, problem));
        }
    };
    let (begin, end) = info.data_offsets;
    let shape: Vec<u64> = info.shape.iter().map(|&size| size as u64).collect();
    let reader = section(path, start + begin as u64, end.saturating_sub(begin) as u64)?;
    ArrayColumn::new(path, name, reader, (element, false), &shape)
}
