//! Arrays of NumPy (`.npy`): scores of any float type, labels of any integer type.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use npyz::{DType, NpyFile, Order, TypeChar};

use super::{ScoreKind, Scores, Values};
use crate::error::{Error, Result};
use crate::files::write_atomic;

fn open(path: &Path) -> Result<NpyFile<BufReader<File>>> {
    let file = File::open(path).map_err(Error::io(path, "opening"))?;
    NpyFile::new(BufReader::new(file))
        .map_err(|error| Error::format(path, format!("not a NumPy array (.npy): {error}")))
}

/// The type letter and size of the elements.
fn element_type(path: &Path, npy: &NpyFile<BufReader<File>>) -> Result<(TypeChar, u64)> {
    match npy.dtype() {
        DType::Plain(plain) => Ok((plain.type_char(), plain.size_field())),
        other => {
            Err(Error::format(path, format!("holds records ({}), but numbers are needed", other.descr())))
        }
    }
}

fn check_order(path: &Path, npy: &NpyFile<BufReader<File>>) -> Result<()> {
    if npy.order() == Order::Fortran && npy.shape().len() > 1 {
        let problem = "is stored in Fortran order; save it with numpy.ascontiguousarray";
        return Err(Error::format(path, problem));
    }
    Ok(())
}

/// Reads scores: a float array `[n, n_classes]`.
///
/// # Errors
/// [`Error::Io`], or [`Error::Format`] for another shape, type or a truncated file.
pub fn read_scores(path: &Path, kind: ScoreKind) -> Result<Scores> {
    let npy = open(path)?;
    check_order(path, &npy)?;
    let shape = npy.shape().to_vec();
    let [_, n_classes] = shape[..] else {
        let problem = format!("has shape {shape:?}, but {} need [rows, classes]", kind.name());
        return Err(Error::format(path, problem));
    };
    let truncated = |error: std::io::Error| Error::format(path, format!("ends too early: {error}"));
    let values = match element_type(path, &npy)? {
        (TypeChar::Float, 2) => {
            let halves: Vec<half::f16> = npy.into_vec().map_err(truncated)?;
            Values::F32(halves.into_iter().map(f32::from).collect())
        }
        (TypeChar::Float, 4) => Values::F32(npy.into_vec().map_err(truncated)?),
        (TypeChar::Float, 8) => Values::F64(npy.into_vec().map_err(truncated)?),
        (letter, size) => {
            let problem = format!(
                "holds elements of type {letter:?} of {size} bytes, but {} need float16, float32 or float64",
                kind.name()
            );
            return Err(Error::format(path, problem));
        }
    };
    if n_classes == 0 {
        return Err(Error::format(path, format!("has shape {shape:?}: there are no classes")));
    }
    let n_classes = usize::try_from(n_classes).map_err(|_| Error::format(path, "has too many classes"))?;
    Ok(Scores { kind, values, n_classes })
}

/// Reads labels: an integer array `[n]` (or `[n, 1]`).
///
/// # Errors
/// [`Error::Io`], or [`Error::Format`] for another shape, type or a truncated file.
pub fn read_labels(path: &Path) -> Result<Vec<i64>> {
    let npy = open(path)?;
    let shape = npy.shape().to_vec();
    if !matches!(shape[..], [_] | [_, 1]) {
        return Err(Error::format(path, format!("has shape {shape:?}, but labels need [rows]")));
    }
    let truncated = |error: std::io::Error| Error::format(path, format!("ends too early: {error}"));
    macro_rules! widen {
        ($type:ty) => {
            npy.into_vec::<$type>().map_err(truncated)?.into_iter().map(i64::from).collect()
        };
    }
    Ok(match element_type(path, &npy)? {
        (TypeChar::Int, 1) => widen!(i8),
        (TypeChar::Int, 2) => widen!(i16),
        (TypeChar::Int, 4) => widen!(i32),
        (TypeChar::Int, 8) => widen!(i64),
        (TypeChar::Uint, 1) => widen!(u8),
        (TypeChar::Uint, 2) => widen!(u16),
        (TypeChar::Uint, 4) => widen!(u32),
        (TypeChar::Uint, 8) => {
            let wide: Vec<u64> = npy.into_vec().map_err(truncated)?;
            // A value beyond i64 is no class either way; the check against the classes names it.
            wide.into_iter().map(|label| i64::try_from(label).unwrap_or(i64::MAX)).collect()
        }
        (TypeChar::Bool, _) => {
            npy.into_vec::<bool>().map_err(truncated)?.into_iter().map(i64::from).collect()
        }
        (letter, size) => {
            let problem =
                format!("holds elements of type {letter:?} of {size} bytes, but labels need an integer type");
            return Err(Error::format(path, problem));
        }
    })
}

/// Reads a float array `[n]`, such as class weights.
///
/// # Errors
/// [`Error::Io`], or [`Error::Format`] for another shape, type or a truncated file.
pub fn read_vector(path: &Path) -> Result<Vec<f64>> {
    let npy = open(path)?;
    let shape = npy.shape().to_vec();
    if !matches!(shape[..], [_] | [_, 1]) {
        return Err(Error::format(path, format!("has shape {shape:?}, but one axis is needed")));
    }
    let truncated = |error: std::io::Error| Error::format(path, format!("ends too early: {error}"));
    match element_type(path, &npy)? {
        (TypeChar::Float, 4) => {
            Ok(npy.into_vec::<f32>().map_err(truncated)?.into_iter().map(f64::from).collect())
        }
        (TypeChar::Float, 8) => npy.into_vec().map_err(truncated),
        (letter, size) => {
            let problem = format!(
                "holds elements of type {letter:?} of {size} bytes, but float32 or float64 is needed"
            );
            Err(Error::format(path, problem))
        }
    }
}

/// Writes scores as a float array `[n, n_classes]`.
///
/// # Errors
/// [`Error::Io`].
pub fn write_scores(path: &Path, scores: &Scores) -> Result<()> {
    use npyz::WriterBuilder;
    let shape = [scores.n_rows() as u64, scores.n_classes as u64];
    write_atomic(path, |file| {
        let writer = std::io::BufWriter::new(file);
        match &scores.values {
            Values::F32(values) => {
                let mut npy =
                    npyz::WriteOptions::new().default_dtype().shape(&shape).writer(writer).begin_nd()?;
                npy.extend(values.iter().copied())?;
                npy.finish()
            }
            Values::F64(values) => {
                let mut npy =
                    npyz::WriteOptions::new().default_dtype().shape(&shape).writer(writer).begin_nd()?;
                npy.extend(values.iter().copied())?;
                npy.finish()
            }
        }
    })
}

/// Writes numbers as a float array `[n]`.
///
/// # Errors
/// [`Error::Io`].
pub fn write_vector(path: &Path, values: &[f64]) -> Result<()> {
    use npyz::WriterBuilder;
    write_atomic(path, |file| {
        let writer = std::io::BufWriter::new(file);
        let shape = [values.len() as u64];
        let mut npy = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(writer).begin_nd()?;
        npy.extend(values.iter().copied())?;
        npy.finish()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_survive_a_round_trip_in_their_own_precision() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        for values in [Values::F32(vec![1.5, -2.0, 0.1, 7.0]), Values::F64(vec![0.1, 0.2, 0.3, 0.4])] {
            let scores = Scores { kind: ScoreKind::Logits, values, n_classes: 2 };
            write_scores(&path, &scores).unwrap();
            assert_eq!(read_scores(&path, ScoreKind::Logits).unwrap(), scores);
        }
        assert!(matches!(read_labels(&path), Err(Error::Format { .. })));
    }

    #[test]
    fn a_truncated_or_foreign_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let scores = Scores { kind: ScoreKind::Logits, values: Values::F32(vec![0.0; 8]), n_classes: 2 };
        write_scores(&path, &scores).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let message = read_scores(&path, ScoreKind::Logits).unwrap_err().to_string();
        assert!(message.contains("a.npy") && message.contains("too early"), "{message}");
        std::fs::write(&path, b"not an array").unwrap();
        assert!(read_scores(&path, ScoreKind::Logits).unwrap_err().to_string().contains("not a NumPy array"));
        assert!(matches!(read_scores(&folder.path().join("none"), ScoreKind::Logits), Err(Error::Io { .. })));
    }
}
