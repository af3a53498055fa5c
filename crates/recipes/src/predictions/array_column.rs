//! One array of NumPy's format or of a safetensors file, read from its first row on.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use npyz::{DType, Endianness, NpyHeader, Order, TypeChar};

use super::chunk::rows_of_chunk;
use super::class_names::{label_of_text, whole};
use super::source::decompressed;
use super::{Fields, Problem, Values};
use crate::error::{Error, Result};

/// How an element is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F16,
    BF16,
    F32,
    F64,
    Int(u8),
    Uint(u8),
    Bool,
    /// Text of so many bytes, padded with zeros.
    Bytes(usize),
    /// Text of so many characters of 32 bits, padded with zeros.
    Characters(usize),
}

impl Element {
    fn size(self) -> usize {
        match self {
            Element::Bool => 1,
            Element::F16 | Element::BF16 => 2,
            Element::F32 => 4,
            Element::F64 => 8,
            Element::Int(size) | Element::Uint(size) => usize::from(size),
            Element::Bytes(size) => size,
            Element::Characters(size) => size * 4,
        }
    }

    /// Bytes that are swapped together where the byte order differs.
    fn unit(self) -> usize {
        match self {
            Element::Bytes(_) => 1,
            Element::Characters(_) => 4,
            other => other.size(),
        }
    }
}

/// One array, read from its first row on.
pub(super) struct ArrayColumn {
    path: PathBuf,
    /// The name within its file, for messages; empty where the file holds one array.
    name: String,
    reader: Box<dyn Read + Send>,
    element: Element,
    big_endian: bool,
    pub(super) n_rows: u64,
    pub(super) width: usize,
    /// Whether the array has one axis.
    flat: bool,
    buffer: Vec<u8>,
}

impl ArrayColumn {
    pub(super) fn problem(&self, problem: impl std::fmt::Display) -> Error {
        array_problem(&self.path, &self.name, problem)
    }

    /// An array of this shape, whose data come next.
    pub(super) fn new(
        path: &Path,
        name: &str,
        reader: Box<dyn Read + Send>,
        (element, big_endian): (Element, bool),
        shape: &[u64],
    ) -> Result<Self> {
        let (n_rows, width, flat) = match *shape {
            [n] => (n, 1, true),
            [n, k] => (n, k, false),
            _ => {
                let problem = format!("has shape {shape:?}, but needs [rows] or [rows, classes]");
                return Err(array_problem(path, name, problem));
            }
        };
        let bytes = n_rows.checked_mul(width).and_then(|values| values.checked_mul(element.size() as u64));
        let width = usize::try_from(width).ok().filter(|_| bytes.is_some());
        let Some(width) = width else {
            return Err(array_problem(
                path,
                name,
                format!("claims to have shape {shape:?}, which is no size of a file"),
            ));
        };
        let (path, name) = (path.to_owned(), name.to_owned());
        Ok(Self { path, name, reader, element, big_endian, n_rows, width, flat, buffer: Vec::new() })
    }

    /// A `.npy` array from a reader at its beginning.
    pub(super) fn npy(path: &Path, name: &str, mut reader: Box<dyn Read + Send>) -> Result<Self> {
        let not_npy = |problem: &dyn std::fmt::Display| {
            array_problem(path, name, format!("not a NumPy array (.npy): {problem}"))
        };
        let header = npy_header(reader.as_mut()).map_err(|error| not_npy(&error))?;
        let DType::Plain(element) = header.dtype() else {
            let problem = format!("holds records ({}), but numbers are needed", header.dtype().descr());
            return Err(array_problem(path, name, problem));
        };
        let size = element.size_field();
        let stored = match (element.type_char(), size) {
            (TypeChar::Float, 2) => Element::F16,
            (TypeChar::Float, 4) => Element::F32,
            (TypeChar::Float, 8) => Element::F64,
            (TypeChar::Int, 1 | 2 | 4 | 8) => Element::Int(size as u8),
            (TypeChar::Uint, 1 | 2 | 4 | 8) => Element::Uint(size as u8),
            (TypeChar::Bool, _) => Element::Bool,
            (TypeChar::ByteStr, 1..=65_536) => Element::Bytes(size as usize),
            (TypeChar::UnicodeStr, 1..=65_536) => Element::Characters(size as usize),
            _ => {
                let problem = format!("holds elements of type {element}, but numbers are needed");
                return Err(array_problem(path, name, problem));
            }
        };
        if header.order() == Order::Fortran && header.shape().len() > 1 {
            let problem = "is stored in Fortran order; save it with numpy.ascontiguousarray";
            return Err(array_problem(path, name, problem));
        }
        let big = element.endianness() == Endianness::Big;
        Self::new(path, name, reader, (stored, big), header.shape())
    }

    /// Reads the bytes of the next rows.
    fn read(&mut self, n_rows: usize) -> Result<()> {
        let size = n_rows * self.width * self.element.size();
        self.buffer.resize(size, 0);
        if let Err(error) = self.reader.read_exact(&mut self.buffer) {
            return Err(self.problem(format!("ends too early: {error}")));
        }
        if self.big_endian {
            self.buffer.chunks_exact_mut(self.element.unit()).for_each(<[u8]>::reverse);
        }
        Ok(())
    }

    /// The next rows as numbers.
    pub(super) fn values(&mut self, n_rows: usize) -> Result<Values> {
        self.read(n_rows)?;
        Ok(match self.element {
            Element::F16 => {
                Values::F32(self.decode(|bytes: [u8; 2]| half::f16::from_le_bytes(bytes).to_f32()))
            }
            Element::BF16 => {
                Values::F32(self.decode(|bytes: [u8; 2]| half::bf16::from_le_bytes(bytes).to_f32()))
            }
            Element::F32 => Values::F32(self.decode(f32::from_le_bytes)),
            Element::F64 => Values::F64(self.decode(f64::from_le_bytes)),
            Element::Int(_) | Element::Uint(_) | Element::Bool => {
                Values::F64(self.integers().into_iter().map(|value| value as f64).collect())
            }
            Element::Bytes(_) | Element::Characters(_) => {
                return Err(self.problem("holds text, but numbers are needed"));
            }
        })
    }

    fn decode<const N: usize, T>(&self, decode: impl Fn([u8; N]) -> T) -> Vec<T> {
        self.buffer.as_chunks::<N>().0.iter().map(|bytes| decode(*bytes)).collect()
    }

    /// The integers that were read; what does not fit 64 bits is the largest of them, which is no class.
    fn integers(&self) -> Vec<i64> {
        match self.element {
            Element::Int(1) => self.decode(|bytes| i64::from(i8::from_le_bytes(bytes))),
            Element::Int(2) => self.decode(|bytes| i64::from(i16::from_le_bytes(bytes))),
            Element::Int(4) => self.decode(|bytes| i64::from(i32::from_le_bytes(bytes))),
            Element::Int(_) => self.decode(i64::from_le_bytes),
            Element::Uint(2) => self.decode(|bytes| i64::from(u16::from_le_bytes(bytes))),
            Element::Uint(4) => self.decode(|bytes| i64::from(u32::from_le_bytes(bytes))),
            Element::Uint(8) => {
                self.decode(|bytes| i64::try_from(u64::from_le_bytes(bytes)).unwrap_or(i64::MAX))
            }
            _ => self.buffer.iter().map(|&byte| i64::from(byte)).collect(),
        }
    }

    /// The next rows as labels.
    pub(super) fn labels(
        &mut self,
        n_rows: usize,
        fields: &Fields,
        problems: &mut Vec<(usize, Problem)>,
    ) -> Result<Vec<i64>> {
        match self.element {
            Element::Int(_) | Element::Uint(_) | Element::Bool => {
                self.read(n_rows)?;
                Ok(self.integers())
            }
            Element::Bytes(_) | Element::Characters(_) => {
                let words = self.words(n_rows)?;
                let mut put = |row: usize, text: String| {
                    problems.push((row, Problem::new("label_text", text)));
                    0
                };
                let label = |word: &String| label_of_text(word, fields.class_names.as_ref());
                Ok(words
                    .iter()
                    .enumerate()
                    .map(|(row, word)| label(word).unwrap_or_else(|text| put(row, text)))
                    .collect())
            }
            _ => {
                let values = self.values(n_rows)?.into_f64();
                let mut put = |row: usize, value: f64| {
                    let text = format!("label {value} is no class index");
                    problems.push((row, Problem::new("label_text", text)));
                    0
                };
                Ok(values
                    .iter()
                    .enumerate()
                    .map(|(row, &value)| whole(value).unwrap_or_else(|| put(row, value)))
                    .collect())
            }
        }
    }

    /// Number of classes of an array of scores.
    pub(super) fn classes(&self, what: &str) -> Result<usize> {
        if self.flat || self.width == 0 {
            let shape: &[u64] = &[self.n_rows, self.width as u64];
            let shape = if self.flat { &shape[..1] } else { shape };
            return Err(self.problem(format!("has shape {shape:?}, but {what} need [rows, classes]")));
        }
        Ok(self.width)
    }

    /// That there is one value a row.
    pub(super) fn check_one_axis(&self, what: &str) -> Result<()> {
        if self.width == 1 {
            return Ok(());
        }
        let shape = [self.n_rows, self.width as u64];
        Err(self.problem(format!("has shape {shape:?}, but {what} need [rows]")))
    }

    /// All rows as numbers.
    pub(super) fn into_values(mut self) -> Result<Values> {
        let mut all: Option<Values> = None;
        while let Some(n) = self.next_rows() {
            let part = self.values(n)?;
            all = Some(match all {
                Some(before) => before.joined(part),
                None => part,
            });
        }
        Ok(all.unwrap_or(Values::F32(Vec::new())))
    }

    /// All rows as integers.
    pub(super) fn into_integers(mut self) -> Result<Vec<i64>> {
        if !matches!(self.element, Element::Int(_) | Element::Uint(_) | Element::Bool) {
            return Err(self.problem("holds no integers, but labels need an integer type"));
        }
        let mut all = Vec::new();
        while let Some(n) = self.next_rows() {
            self.read(n)?;
            all.extend(self.integers());
        }
        Ok(all)
    }

    /// How many rows to read next; `None` after the last.
    pub(super) fn next_rows(&mut self) -> Option<usize> {
        let n = self.n_rows.min(rows_of_chunk(self.width) as u64);
        self.n_rows -= n;
        (n > 0).then_some(n as usize)
    }

    /// The next rows as text.
    pub(super) fn words(&mut self, n_rows: usize) -> Result<Vec<String>> {
        if !matches!(self.element, Element::Bytes(_) | Element::Characters(_)) {
            let values = self.values(n_rows)?.into_f64();
            return Ok(values.iter().map(f64::to_string).collect());
        }
        self.read(n_rows)?;
        let cells = self.buffer.chunks_exact(self.element.size().max(1));
        Ok(if matches!(self.element, Element::Bytes(_)) {
            let text = |cell: &[u8]| String::from_utf8_lossy(cell).trim_end_matches('\0').to_owned();
            cells.map(text).collect()
        } else {
            cells
                .map(|cell| {
                    let characters = cell.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
                    let text: String = characters
                        .map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
                        .collect();
                    text.trim_end_matches('\0').to_owned()
                })
                .collect()
        })
    }
}

pub(super) fn array_problem(path: &Path, name: &str, problem: impl std::fmt::Display) -> Error {
    let array = if name.is_empty() { String::new() } else { format!("array {name:?} ") };
    Error::format(path, format!("{array}{problem}"))
}

/// Longest header that is read; NumPy itself writes a few hundred bytes.
const LONGEST_HEADER: u64 = 1 << 20;

/// The header of a `.npy` array.
fn npy_header(reader: &mut dyn Read) -> std::io::Result<NpyHeader> {
    let bad = |problem: &str| std::io::Error::other(problem.to_owned());
    let mut bytes = vec![0; 8];
    reader.read_exact(&mut bytes)?;
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err(bad("it does not begin with NumPy's mark"));
    }
    let length_bytes = if bytes.get(6) == Some(&1) { 2 } else { 4 };
    let mut length = [0; 4];
    reader.read_exact(&mut length[..length_bytes])?;
    bytes.extend_from_slice(&length[..length_bytes]);
    let length = u64::from(u32::from_le_bytes(length));
    if length > LONGEST_HEADER {
        return Err(bad("its header is too long"));
    }
    if reader.take(length).read_to_end(&mut bytes)? as u64 != length {
        return Err(bad("its header ends too early"));
    }
    // The parser multiplies the sizes; a product beyond 64 bits must not reach it.
    let text = String::from_utf8_lossy(&bytes);
    let shape = text.split("shape").nth(1).and_then(|rest| rest.split(')').next()).unwrap_or_default();
    let sizes = shape.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    sizes
        .map(|digits| digits.parse::<u64>().ok())
        .try_fold(1_u64, |product, size| product.checked_mul(size?.max(1)))
        .ok_or_else(|| bad("its shape is no size of a file"))?;
    NpyHeader::from_reader(bytes.as_slice())
}

/// Opens a `.npy` file, gzipped or not.
pub(super) fn open_npy(path: &Path) -> Result<ArrayColumn> {
    let file = File::open(path).map_err(Error::io(path, "opening"))?;
    ArrayColumn::npy(path, "", decompressed(path, Box::new(file))?)
}
