//! Where predictions come from: files of any format, standard input, bare arrays; read as a stream of chunks.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::arrays::ArrayRows;
use super::csv_rows::CsvRows;
use super::json_rows::JsonRows;
use super::{
    BadRows, Chunk, Fields, InputKind, OnBad, Predictions, ScoreKind, Scores, Values, check, ipc, parquet,
};
use crate::error::{Error, Result};

/// A file's rows, chunk after chunk.
pub(super) trait ChunkSource: Send {
    /// The next rows; `None` after the last.
    fn next_chunk(&mut self) -> Result<Option<Chunk>>;
}

/// How a file stores its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Parquet.
    Parquet,
    /// Arrow IPC, as a file or a stream.
    Arrow,
    /// CSV with a header.
    Csv,
    /// CSV with tabs.
    Tsv,
    /// One JSON object a line.
    Ndjson,
    /// NumPy arrays in an archive.
    Npz,
    /// Named tensors.
    Safetensors,
}

/// Every format by its name, and the endings of its files.
const FORMATS: [(Format, &str, &[&str]); 7] = [
    (Format::Parquet, "parquet", &["parquet", "pq"]),
    (Format::Arrow, "arrow", &["arrow", "arrows", "ipc", "feather"]),
    (Format::Csv, "csv", &["csv"]),
    (Format::Tsv, "tsv", &["tsv", "tab"]),
    (Format::Ndjson, "ndjson", &["ndjson", "jsonl"]),
    (Format::Npz, "npz", &["npz"]),
    (Format::Safetensors, "safetensors", &["safetensors"]),
];

impl std::str::FromStr for Format {
    type Err = candor::Error;

    fn from_str(name: &str) -> candor::Result<Self> {
        match FORMATS.iter().find(|format| format.1 == name) {
            Some(format) => Ok(format.0),
            None => Err(candor::registry::unknown("format", name, FORMATS.map(|format| format.1))),
        }
    }
}

impl Format {
    /// The format of a file by its ending, `.gz` left out, or by its first bytes.
    fn of(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
        if ending == "npy" {
            let problem = "a bare array has no labels; give it with --logits, --probs, --binary or --confidence, and --labels";
            return Err(Error::format(path, problem));
        }
        if let Some(format) = FORMATS.iter().find(|format| format.2.contains(&ending)) {
            return Ok(format.0);
        }
        let mut first = Vec::new();
        let file = File::open(path).map_err(Error::io(path, "opening"))?;
        file.take(6).read_to_end(&mut first).map_err(Error::io(path, "reading"))?;
        match &first[..] {
            [b'P', b'A', b'R', b'1', ..] => Ok(Format::Parquet),
            b"ARROW1" => Ok(Format::Arrow),
            _ => {
                let names: Vec<&str> = FORMATS.iter().map(|format| format.1).collect();
                let problem =
                    format!("its ending names no format that is read; give --format ({})", names.join(", "));
                Err(Error::format(path, problem))
            }
        }
    }
}

/// What to read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Input {
    /// Files of the same columns, one after another; `-` is standard input.
    Files {
        /// Their paths.
        paths: Vec<PathBuf>,
        /// Their format; by their endings if left out.
        format: Option<Format>,
    },
    /// Bare `.npy` arrays.
    Arrays {
        /// What the scores are.
        kind: InputKind,
        /// The scores.
        scores: PathBuf,
        /// The labels, or for [`InputKind::Confidence`] whether the prediction was right.
        labels: PathBuf,
    },
}

impl Input {
    /// Files by their names, where a name that is no file may be a pattern such as `part-*.parquet`.
    ///
    /// # Errors
    /// [`Error::Format`] for a pattern that is none, or that no file fits.
    pub fn files(names: &[PathBuf], format: Option<Format>) -> Result<Self> {
        let mut paths = Vec::new();
        for name in names {
            let text = name.to_string_lossy();
            if name.exists() || !text.contains(['*', '?', '[']) {
                paths.push(name.clone());
                continue;
            }
            let found = glob::glob(&text)
                .map_err(|error| Error::format(name, format!("is neither a file nor a pattern: {error}")))?;
            let before = paths.len();
            for path in found {
                paths.push(path.map_err(|error| Error::io(name, "listing")(error.into()))?);
            }
            if paths.len() == before {
                return Err(Error::format(name, "no file fits this pattern"));
            }
        }
        Ok(Input::Files { paths, format })
    }

    /// What it is called in messages and reports.
    pub fn name(&self) -> String {
        match self {
            Input::Files { paths, .. } => match &paths[..] {
                [] => "nothing".to_owned(),
                [one] => file_name(one),
                [first, ..] => format!("{} and {} more", file_name(first), paths.len() - 1),
            },
            Input::Arrays { scores, labels, .. } => format!("{} with {}", scores.display(), labels.display()),
        }
    }
}

/// The name of standard input where a file is expected.
const STDIN: &str = "-";

fn file_name(path: &Path) -> String {
    if path.as_os_str() == STDIN { "standard input".to_owned() } else { path.display().to_string() }
}

/// Rows from all files of an input, in order.
pub struct Stream {
    current: Option<(Arc<str>, Box<dyn ChunkSource>)>,
    remaining: VecDeque<PathBuf>,
    format: Option<Format>,
    fields: Arc<Fields>,
    /// What the first rows were, and in which file.
    first: Option<(InputKind, usize, Arc<str>)>,
    rows: u64,
    name: String,
}

impl Stream {
    /// Opens the first file.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Format`] for a file that cannot be read or lacks a column.
    pub fn open(input: &Input, fields: Fields) -> Result<Self> {
        let fields = Arc::new(fields);
        let mut stream = Self {
            current: None,
            remaining: VecDeque::new(),
            format: None,
            fields: Arc::clone(&fields),
            first: None,
            rows: 0,
            name: input.name(),
        };
        match input {
            Input::Files { paths, format } => {
                stream.remaining = paths.iter().cloned().collect();
                stream.format = *format;
                stream.open_next()?;
            }
            Input::Arrays { kind, scores, labels } => {
                let rows = ArrayRows::npy(*kind, scores, labels, fields)?;
                stream.current = Some((Arc::from(input.name()), Box::new(rows)));
            }
        }
        Ok(stream)
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the rows are, once one was read.
    pub fn kind(&self) -> Option<InputKind> {
        self.first.as_ref().map(|first| first.0)
    }

    fn open_next(&mut self) -> Result<bool> {
        let Some(path) = self.remaining.pop_front() else { return Ok(false) };
        let rows = open(&path, self.format, &self.fields)?;
        self.current = Some((Arc::from(file_name(&path)), rows));
        Ok(true)
    }

    /// The next rows with the name of their file; `None` after the last row of the last file.
    ///
    /// # Errors
    /// As [`open`](Self::open); also for a file whose scores are of another kind or number of classes, and at the
    /// end of files without any row.
    pub fn next_chunk(&mut self) -> Result<Option<(Arc<str>, Chunk)>> {
        while let Some((name, rows)) = &mut self.current {
            if let Some(chunk) = rows.next_chunk()? {
                let name = Arc::clone(name);
                self.rows += chunk.n_rows() as u64;
                self.check(&name, &chunk)?;
                return Ok(Some((name, chunk)));
            }
            self.current = None;
            self.open_next()?;
        }
        if self.rows == 0 {
            return Err(Error::format(&self.name, "holds no rows: there are no predictions"));
        }
        Ok(None)
    }

    /// All files must hold the same.
    fn check(&mut self, name: &Arc<str>, chunk: &Chunk) -> Result<()> {
        // A chunk of bad rows alone does not know its width.
        if chunk.width == 0 {
            return Ok(());
        }
        let Some((kind, n_classes, first)) = &self.first else {
            let n_classes = chunk.n_classes();
            if chunk.kind.scores().is_some() && n_classes < 2 {
                let problem = format!(
                    "has {n_classes} class, but a classification needs two or more; one score for class 1 is given as \"score\", or with --binary"
                );
                return Err(Error::format(name.as_ref(), problem));
            }
            if let Some(names) = &self.fields.class_names
                && names.len() != n_classes
                && chunk.kind != InputKind::Confidence
            {
                let problem =
                    format!("has {n_classes} classes, but the file of class names lists {}", names.len());
                return Err(Error::format(name.as_ref(), problem));
            }
            self.first = Some((chunk.kind, n_classes, Arc::clone(name)));
            return Ok(());
        };
        if *kind != chunk.kind || *n_classes != chunk.n_classes() {
            let problem = format!(
                "holds {} of {} classes, but {first} holds {} of {n_classes}",
                chunk.kind.name(),
                chunk.n_classes(),
                kind.name()
            );
            return Err(Error::format(name.as_ref(), problem));
        }
        Ok(())
    }

    /// All rows in memory, for what must see them more than once; binary scores become two probabilities.
    ///
    /// # Errors
    /// As [`next_chunk`](Self::next_chunk); [`Error::BadRows`] for rows that cannot be used, unless they are to be
    /// skipped; [`Error::Config`] for confidences, which are no distribution over classes.
    pub fn collect(mut self, ignore_index: Option<i64>, on_bad: OnBad) -> Result<Collected> {
        let mut bad = BadRows::default();
        let mut groups: Option<Vec<String>> = None;
        let mut weights: Option<Vec<f64>> = None;
        let mut labels = Vec::new();
        let mut values: Option<Values> = None;
        let mut rows = 0;
        while let Some((name, chunk)) = self.next_chunk()? {
            let found = check::check(&chunk, 0..chunk.n_rows(), ignore_index);
            for (row, problem) in &found {
                bad.add(&name, chunk.first_row + *row as u64, problem);
            }
            let bad_rows: HashSet<usize> = found.into_iter().map(|(row, _)| row).collect();
            rows += chunk.n_rows() as u64;
            let two = match chunk.kind {
                InputKind::Confidence => {
                    return Err(Error::config("input", "confidence", "this needs a score for every class"));
                }
                InputKind::Binary => Values::F64(
                    chunk.values.into_f64().into_iter().flat_map(|score| [1.0 - score, score]).collect(),
                ),
                _ => chunk.values,
            };
            let n_classes = if chunk.kind == InputKind::Binary { 2 } else { chunk.width };
            let kept = (0..chunk.labels.len()).filter(|row| !bad_rows.contains(row));
            let kept: Vec<usize> = kept.collect();
            labels.extend(kept.iter().filter_map(|&row| chunk.labels.get(row)));
            if let Some(column) = &chunk.groups {
                let names = kept.iter().map(|&row| column.of_row(row).unwrap_or_default().to_owned());
                groups.get_or_insert_default().extend(names);
            }
            if let Some(column) = &chunk.weights {
                weights.get_or_insert_default().extend(kept.iter().filter_map(|&row| column.get(row)));
            }
            let kept = two.rows(&kept, n_classes);
            values = Some(match values {
                Some(before) => before.joined(kept),
                None => kept,
            });
        }
        if on_bad == OnBad::Refuse && bad.count > 0 {
            return Err(Error::BadRows { rows, bad: Box::new(bad) });
        }
        let (kind, n_classes) = self.first.map_or((InputKind::Logits, 0), |first| (first.0, first.1));
        let kind = kind.scores().unwrap_or(ScoreKind::Probs);
        let scores = Scores { kind, values: values.unwrap_or(Values::F32(Vec::new())), n_classes };
        Ok(Collected { predictions: Predictions::new(scores, labels)?.with_weights(weights)?, groups, bad })
    }
}

/// All rows of a stream that can be used.
#[derive(Debug)]
pub struct Collected {
    /// Their scores, labels and weights.
    pub predictions: Predictions,
    /// Their groups, if a column was asked for.
    pub groups: Option<Vec<String>>,
    /// The rows that were left out.
    pub bad: BadRows,
}

fn open(path: &Path, format: Option<Format>, fields: &Arc<Fields>) -> Result<Box<dyn ChunkSource>> {
    let fields = Arc::clone(fields);
    if path.as_os_str() == STDIN {
        let input: Box<dyn Read + Send> = Box::new(std::io::stdin());
        let shown = Path::new("standard input");
        return match format {
            Some(format @ (Format::Csv | Format::Tsv | Format::Ndjson | Format::Arrow)) => {
                open_stream(shown, format, input, fields)
            }
            Some(_) => {
                Err(Error::format(shown, "this format needs a file, since it is not read from front to back"))
            }
            None => {
                Err(Error::format(shown, "its format is not known; give --format csv, tsv, ndjson or arrow"))
            }
        };
    }
    if path.is_dir() {
        return Err(Error::format(
            path,
            "is a folder; name its files, or a pattern such as FOLDER/*.parquet",
        ));
    }
    let format = match format {
        Some(format) => format,
        None => Format::of(path)?,
    };
    match format {
        Format::Parquet => Ok(Box::new(parquet::open(path, fields)?)),
        Format::Npz => Ok(Box::new(ArrayRows::npz(path, fields)?)),
        Format::Safetensors => Ok(Box::new(ArrayRows::safetensors(path, fields)?)),
        Format::Arrow if ipc::is_file(path)? => Ok(Box::new(ipc::open_file(path, fields)?)),
        format => {
            let file = File::open(path).map_err(Error::io(path, "opening"))?;
            open_stream(path, format, Box::new(file), fields)
        }
    }
}

/// Opens what is read from front to back.
fn open_stream(
    path: &Path,
    format: Format,
    input: Box<dyn Read + Send>,
    fields: Arc<Fields>,
) -> Result<Box<dyn ChunkSource>> {
    if format == Format::Arrow {
        return Ok(Box::new(ipc::open_stream(path, input, fields)?));
    }
    let input = decompressed(path, input)?;
    Ok(match format {
        Format::Ndjson => {
            Box::new(JsonRows::open(path, Box::new(BufReader::with_capacity(1 << 16, input)), fields))
        }
        Format::Tsv => Box::new(CsvRows::open(path, input, b'\t', fields)?),
        _ => Box::new(CsvRows::open(path, input, b',', fields)?),
    })
}

/// The content of what may be gzipped.
pub(super) fn decompressed(path: &Path, input: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>> {
    let mut reader = BufReader::with_capacity(1 << 16, input);
    let zipped = reader.fill_buf().map_err(Error::io(path, "reading"))?.starts_with(&[0x1f, 0x8b]);
    Ok(if zipped { Box::new(flate2::bufread::MultiGzDecoder::new(reader)) } else { Box::new(reader) })
}
