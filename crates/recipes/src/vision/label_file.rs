//! Labels from a file of their own: class indices, or for every row the votes or probabilities of the classes.
//!
//! For the labels that people gave where a set's own are cleaner, such as those of CIFAR-10H (Peterson et al. 2019,
//! arXiv:1908.07086). NumPy arrays or CSV, plain or gzip.

use std::io::{Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use npyz::{DType, NpyFile, Order, TypeChar};

use crate::error::{Error, Result};
use crate::files;

/// What the file says of each image, in the order of the set's training file.
#[derive(Debug, Clone, PartialEq)]
pub enum FileLabels {
    /// A class.
    Classes(Vec<i64>),
    /// Votes or probabilities `[n, n_classes]`, not negative, with a positive sum in each row.
    Votes(Vec<f64>),
}

/// Reads labels for `n_rows` images of `n_classes` classes.
///
/// # Errors
/// [`Error::Io`]; [`Error::Format`] for another number of rows or classes, an index outside the classes, a vote
/// that is negative or not finite, or a row without any.
pub fn read(path: &Path, n_rows: usize, n_classes: usize) -> Result<FileLabels> {
    let found = array(path)?;
    let rows = found.values.len().checked_div(found.columns).unwrap_or(0);
    if rows != n_rows {
        let problem = format!(
            "has {rows} rows, but the data has {n_rows} images of which the labels are needed, in the order of its files"
        );
        return Err(Error::format(path, problem));
    }
    if found.columns == 1 {
        let index = |(row, value): (usize, f64)| {
            if value.fract() == 0.0 && (0.0..n_classes as f64).contains(&value) {
                return Ok(value as i64);
            }
            let problem = format!(
                "row {row}: label {value} is no class; classes are 0 to {}",
                n_classes.saturating_sub(1)
            );
            Err(Error::format(path, problem))
        };
        return found
            .values
            .into_iter()
            .enumerate()
            .map(index)
            .collect::<Result<_>>()
            .map(FileLabels::Classes);
    }
    if found.columns != n_classes {
        let problem = format!(
            "has {} values a row, but needs one class index or a share for each of the {n_classes} classes",
            found.columns
        );
        return Err(Error::format(path, problem));
    }
    for (row, votes) in found.values.chunks_exact(n_classes).enumerate() {
        if let Some(class) = votes.iter().position(|vote| !(vote.is_finite() && *vote >= 0.0)) {
            let value = votes[class];
            let problem =
                format!("row {row}, class {class}: {value} is no share; it must be a number from 0");
            return Err(Error::format(path, problem));
        }
        if votes.iter().all(|vote| *vote == 0.0) {
            return Err(Error::format(path, format!("row {row}: no class has a share")));
        }
    }
    Ok(FileLabels::Votes(found.values))
}

/// A table of numbers: columns, and the values row after row.
pub(super) fn table(path: &Path) -> Result<(usize, Vec<f64>)> {
    let found = array(path)?;
    Ok((found.columns, found.values))
}

struct Table {
    columns: usize,
    values: Vec<f64>,
}

fn array(path: &Path) -> Result<Table> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let mut bytes = files::read(path)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(&bytes[..]).read_to_end(&mut unpacked).map_err(|error| {
            Error::format(path, format!("the gzip data is damaged or truncated: {error}"))
        })?;
        bytes = unpacked;
    }
    match name.strip_suffix(".gz").unwrap_or(&name) {
        name if name.ends_with(".npy") => numpy(path, bytes),
        name if name.ends_with(".csv") => comma_separated(path, &bytes),
        _ => Err(Error::format(path, "must be an array (.npy) or a table (.csv), plain or .gz")),
    }
}

fn numpy(path: &Path, bytes: Vec<u8>) -> Result<Table> {
    let npy = NpyFile::new(Cursor::new(bytes))
        .map_err(|error| Error::format(path, format!("not a NumPy array (.npy): {error}")))?;
    let shape = npy.shape().to_vec();
    let columns = match shape[..] {
        [_] => 1,
        [_, columns] if npy.order() == Order::C => columns,
        [_, _] => {
            return Err(Error::format(
                path,
                "is stored in Fortran order; save it with numpy.ascontiguousarray",
            ));
        }
        _ => {
            return Err(Error::format(
                path,
                format!("has shape {shape:?}, but [rows] or [rows, classes] is needed"),
            ));
        }
    };
    let truncated = |error: std::io::Error| Error::format(path, format!("ends too early: {error}"));
    macro_rules! widen {
        ($type:ty) => {
            npy.into_vec::<$type>().map_err(truncated)?.into_iter().map(|value| value as f64).collect()
        };
    }
    let kind = match npy.dtype() {
        DType::Plain(plain) => (plain.type_char(), plain.size_field()),
        other => {
            return Err(Error::format(
                path,
                format!("holds records ({}), but numbers are needed", other.descr()),
            ));
        }
    };
    let values = match kind {
        (TypeChar::Int, 1) => widen!(i8),
        (TypeChar::Int, 2) => widen!(i16),
        (TypeChar::Int, 4) => widen!(i32),
        (TypeChar::Int, 8) => widen!(i64),
        (TypeChar::Uint, 1) => widen!(u8),
        (TypeChar::Uint, 2) => widen!(u16),
        (TypeChar::Uint, 4) => widen!(u32),
        (TypeChar::Uint, 8) => widen!(u64),
        (TypeChar::Float, 4) => widen!(f32),
        (TypeChar::Float, 8) => widen!(f64),
        (letter, size) => {
            let problem = format!(
                "holds elements of type {letter:?} of {size} bytes, but integers, float32 or float64 are needed"
            );
            return Err(Error::format(path, problem));
        }
    };
    Ok(Table { columns: usize::try_from(columns).unwrap_or(usize::MAX), values })
}

/// A first line that is not all numbers names the columns: those that end in `_0`, `_1`, … are the classes', else
/// `label` or `labels` is the index, or the only column.
fn comma_separated(path: &Path, bytes: &[u8]) -> Result<Table> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(bytes);
    let (mut columns, mut chosen) = (0, Vec::new());
    let mut values = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let record = record.map_err(|error| Error::format(path, format!("not readable as CSV: {error}")))?;
        if index == 0 {
            let named = record.iter().any(|field| field.parse::<f64>().is_err());
            chosen = if named { named_columns(path, &record)? } else { (0..record.len()).collect() };
            columns = chosen.len();
            if named {
                continue;
            }
        }
        for &column in &chosen {
            let field = record.get(column).unwrap_or_default();
            let value = field.parse::<f64>().map_err(|_| {
                Error::format(
                    path,
                    format!("line {}, column {}: {field:?} is no number", index + 1, column + 1),
                )
            })?;
            values.push(value);
        }
    }
    Ok(Table { columns, values })
}

fn named_columns(path: &Path, names: &csv::StringRecord) -> Result<Vec<usize>> {
    let class = |name: &str| name.rsplit_once('_').and_then(|(_, number)| number.parse::<usize>().ok());
    let mut classes: Vec<(usize, usize)> =
        names.iter().enumerate().filter_map(|(column, name)| Some((class(name)?, column))).collect();
    classes.sort_unstable();
    if classes.len() > 1 {
        if classes.iter().enumerate().any(|(wanted, (found, _))| wanted != *found) {
            let problem = "the columns of the classes must end in _0, _1, … without a gap, each once";
            return Err(Error::format(path, problem));
        }
        return Ok(classes.into_iter().map(|(_, column)| column).collect());
    }
    let label = names.iter().position(|name| matches!(name, "label" | "labels"));
    match label {
        Some(column) => Ok(vec![column]),
        None if names.len() == 1 => Ok(vec![0]),
        None => {
            let names: Vec<&str> = names.iter().collect();
            let problem = format!(
                "has columns {}; a column label, or a column for each class that ends in _0, _1, … is needed",
                names.join(", ")
            );
            Err(Error::format(path, problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str, rows: usize, classes: usize) -> Result<FileLabels> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.csv");
        std::fs::write(&path, text).unwrap();
        read(&path, rows, classes)
    }

    #[test]
    fn tables_with_and_without_names_are_read() {
        let indices = FileLabels::Classes(vec![2, 0]);
        assert_eq!(csv("2\n0\n", 2, 3).unwrap(), indices);
        assert_eq!(csv("index,label\n0,2\n1,0\n", 2, 3).unwrap(), indices);
        assert_eq!(csv("y\n2\n0\n", 2, 3).unwrap(), indices);
        let shares = FileLabels::Votes(vec![0.5, 0.5, 3.0, 1.0]);
        assert_eq!(csv("0.5,0.5\n3,1\n", 2, 2).unwrap(), shares);
        assert_eq!(csv("label,target_1,target_0\n7,0.5,0.5\n7,1,3\n", 2, 2).unwrap(), shares);
    }

    #[test]
    fn arrays_are_read_packed_or_not() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        let header = format!("{:<117}\n", "{'descr': '<i8', 'fortran_order': False, 'shape': (2, 2), }");
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        [3_i64, 1, 0, 5].iter().for_each(|votes| bytes.extend(votes.to_le_bytes()));
        let votes = FileLabels::Votes(vec![3.0, 1.0, 0.0, 5.0]);
        let (plain, packed) = (folder.path().join("v.npy"), folder.path().join("v.npy.gz"));
        std::fs::write(&plain, &bytes).unwrap();
        assert_eq!(read(&plain, 2, 2).unwrap(), votes);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&bytes).unwrap();
        std::fs::write(&packed, encoder.finish().unwrap()).unwrap();
        assert_eq!(read(&packed, 2, 2).unwrap(), votes);
        std::fs::write(&plain, &bytes[..bytes.len() - 3]).unwrap();
        assert!(read(&plain, 2, 2).unwrap_err().to_string().contains("ends too early"));
        std::fs::rename(&plain, folder.path().join("v.txt")).unwrap();
        assert!(read(&folder.path().join("v.txt"), 2, 2).unwrap_err().to_string().contains(".npy"));
    }

    #[test]
    fn every_misfit_is_named() {
        let message = |text: &str| csv(text, 2, 3).unwrap_err().to_string();
        assert!(message("0\n1\n2\n").contains("has 3 rows, but the data has 2 images"));
        assert!(message("0\n3\n").contains("row 1: label 3 is no class; classes are 0 to 2"));
        assert!(message("0\n0.5\n").contains("row 1: label 0.5"));
        assert!(message("0,1\n1,0\n").contains("has 2 values a row"));
        assert!(message("0,1,0\n0,0,0\n").contains("row 1: no class has a share"));
        assert!(message("0,1,0\n0,-1,0\n").contains("row 1, class 1: -1"));
        assert!(message("0,1,0\n0,nan,0\n").contains("row 1, class 1"));
        assert!(message("0\nx\n").contains("line 2, column 1: \"x\" is no number"));
        assert!(message("a,b\n0,1\n").contains("a column label"));
        assert!(message("p_0,p_2\n0,1\n").contains("without a gap"));
        assert!(message("").contains("has 0 rows"));
        assert!(message("0,1,0\n0,1\n").contains("CSV"));
    }

    #[test]
    fn data_votes_of_cifar_10h_are_in_the_proportion_of_its_probabilities() {
        let Some(folder) = std::env::var_os("CANDOR_DATA") else {
            eprintln!("skipped: CANDOR_DATA is not set, so cifar-10h cannot be read");
            return;
        };
        let path = |name: &str| Path::new(&folder).join("cifar-10h").join(name);
        let votes = |name: &str| match read(&path(name), 10_000, 10).unwrap() {
            FileLabels::Votes(votes) => votes,
            FileLabels::Classes(_) => panic!("{name} has votes"),
        };
        let (counts, probs) = (votes("cifar10h-counts.npy.gz"), votes("cifar10h-probs.npy.gz"));
        let FileLabels::Classes(labels) = read(&path("cifar10_test_labels.csv.gz"), 10_000, 10).unwrap()
        else {
            panic!("the labels are indices")
        };
        let mut agree = 0;
        for ((counts, probs), label) in counts.chunks_exact(10).zip(probs.chunks_exact(10)).zip(labels) {
            let sum: f64 = counts.iter().sum();
            assert!(counts.iter().zip(probs).all(|(count, p)| (count / sum - p).abs() < 1e-12));
            let most = (0..10).max_by(|a, b| probs[*a].total_cmp(&probs[*b])).unwrap();
            agree += usize::from(most as i64 == label);
        }
        // Published with the set: the most frequent vote is the true label for 99.21 % of the images.
        assert!((9915..=9927).contains(&agree), "{agree}");
    }
}
